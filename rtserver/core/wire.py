"""How messages become the bytes of one kind of connection: codec, envelope and frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtserver.core.messages import Push, Reply
from rtserver.core.ports import Codec


@dataclass(frozen=True, slots=True, eq=False)
class FramedWire:
    """A codec whose messages travel in ``frame``. Unidirectional wires write bare pushes, the others replies.

    Compared by identity: there is one instance per kind of connection, and subscribers that share it share the encoded
    bytes of a publication.
    """

    name: str
    codec: Codec
    frame: Callable[[bytes], bytes]
    unidirectional: bool = False

    def reply(self, reply: Reply) -> bytes:
        """Raises ``NotJSON`` when the codec cannot carry a payload of it."""
        return self.frame(self.codec.encode_reply(reply))

    def push(self, push: Push) -> bytes:
        """Raises ``NotJSON`` when the codec cannot carry a payload of it."""
        if self.unidirectional:
            return self.frame(self.codec.encode_push(push))
        return self.frame(self.codec.encode_reply(Reply(push=push)))

    def ping(self) -> bytes:
        """The empty message."""
        if self.unidirectional:
            return self.frame(self.codec.encode_push(Push()))
        return self.frame(self.codec.encode_reply(Reply()))
