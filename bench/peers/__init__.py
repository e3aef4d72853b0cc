"""The contenders. A new one is a file here and a line in ``CONTENDERS``."""

from bench.peers import fastapi_uvicorn, mosquitto, nats, nchan, rtserver
from bench.peers.contender import Contender

CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        rtserver.WITHOUT_HISTORY,
        rtserver.WITH_HISTORY,
        nchan.CONTENDER,
        nats.CONTENDER,
        fastapi_uvicorn.CONTENDER,
        mosquitto.CONTENDER,
    )
}
