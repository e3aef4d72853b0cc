"""``api_request_key``: the same request with the same key is done once, within 30 days.

What the SDK's own tests show: a repeat gets the original transaction, another request with the same key 915232, a key of more
than 255 characters 915230. Our reading: a repeat of a declined sale gets the declined transaction again, a repeat of a request
that failed validation 915234; ``answer_declined`` false gives 915234 for both.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from rtserver.simulator.refusals import Full, Refused
from rtserver.simulator.shelf import World

WINDOW = timedelta(days=30)
MAX_KEYS = 20_000
MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: ``body`` is whole XML, or empty. ``made`` says that a transaction came of the request."""

    status: int
    body: bytes = b""
    made: bool = False


@dataclass(slots=True)
class _Use:
    digest: bytes
    since: datetime
    answer: Answer | None = None


class RequestKeys:
    def __init__(self, world: World) -> None:
        self._world = world
        self._uses: OrderedDict[str, _Use] = OrderedDict()
        self.enabled = True
        self.answer_declined = True

    def claim(self, key: str, verb: str, path: str, body: bytes) -> Answer | None:
        """The answer that was given already; None when the request is to be done now. Raises ``Refused``."""
        if not self.enabled:
            raise Refused("915231")
        if len(key) > MAX_LENGTH:
            raise Refused("915230")
        self._forget()
        digest = sha256(b"\0".join((verb.encode(), path.encode(), body))).digest()
        use = self._uses.get(key)
        if use is None:
            self._uses[key] = _Use(digest, self._world.now())
            return None
        if use.digest != digest:
            raise Refused("915232")
        if use.answer is None:
            raise Refused("915233")
        if not use.answer.made or (use.answer.status == 422 and not self.answer_declined):
            raise Refused("915234")
        return use.answer

    def settle(self, key: str, answer: Answer) -> None:
        """The claimed request was done."""
        if key in self._uses:
            self._uses[key].answer = answer

    def clear(self) -> None:
        self._uses.clear()
        self.enabled = self.answer_declined = True

    def _forget(self) -> None:
        oldest = self._world.now() - WINDOW
        while self._uses and next(iter(self._uses.values())).since < oldest:
            self._uses.popitem(last=False)
        if len(self._uses) >= MAX_KEYS:
            raise Full(f"{MAX_KEYS} request keys are kept at most: POST /_sim/reset empties the simulator")
