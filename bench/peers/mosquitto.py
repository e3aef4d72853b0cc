"""Mosquitto with its WebSocket listener: MQTT 3.1.1 in binary frames, publications by PUBLISH (QoS 0) over TCP."""

from __future__ import annotations

from bench.load import PAYLOAD, Target
from bench.peers.contender import Contender, debian_version, fill, program
from bench.processes import Stage, free_port

SERVER = program("mosquitto")
TOPIC = "bench"


def string(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def packet(first_byte: int, body: bytes) -> bytes:
    """MQTT 3.1.1 section 2.2: type and flags, the remaining length as a variable byte integer, the rest."""
    size, length = len(body), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([first_byte]) + length + bytes([size]) + body


def connect(client: str) -> bytes:
    """Section 3.1: protocol level 4, a clean session, no keep-alive."""
    return packet(0x10, string("MQTT") + b"\x04\x02\x00\x00" + string(client))


def start(stage: Stage) -> Target:
    tcp, websocket = free_port(), free_port()
    config = stage.write("mosquitto.conf", fill("mosquitto.conf.in", tcp=tcp, websocket=websocket))
    pid = stage.spawn(SERVER, "-c", config, ports=(tcp, websocket))
    # fanload puts six digits in the place of %N: the lengths must be those of the text that goes out.
    numbered = connect("000000").replace(b"000000", b"%N")
    subscribe = packet(0x82, b"\x00\x01" + string(TOPIC) + b"\x00")
    return Target(
        port=websocket,
        path="/mqtt",
        subprotocol="mqtt",
        pids=(pid,),
        binary_frames=(numbered, subscribe),
        acks=2,
        publish_port=tcp,
        preamble=connect("publisher"),
        publication=packet(0x30, string(TOPIC) + PAYLOAD.encode()),
    )


CONTENDER = Contender(
    name="mosquitto",
    start=start,
    version=lambda: f"mosquitto {debian_version('mosquitto')}",
    highest_rate=100,
    capacity=40_000,
    packages=(("mosquitto", SERVER),),
    optional=True,
)
