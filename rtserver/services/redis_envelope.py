"""What goes through Redis: the messages of a channel's pub/sub, and the JSON kept in streams and presence.

A message is one of

* ``p:<offset>:<epoch>:<time>:<length of meta>:<meta><data>`` a publication, with the time in ms at which Redis stored it;
  without history offset and time are 0 and the epoch is empty;
* ``j<info>`` and ``l<info>`` join and leave.

``meta`` is JSON with the keys ``info``, ``tags`` and ``delta``, or nothing at all; ``info`` is a ``ClientInfo`` whose two
payloads are base64, because they may be any bytes. The data itself is never touched.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from rtserver.core.errors import BrokerError
from rtserver.core.messages import ClientInfo, Publication


class BadEnvelope(BrokerError):
    """Bytes that are none of the messages above."""


class _Info(Struct, omit_defaults=True):
    user: str
    client: str
    conn_info: bytes = b""
    chan_info: bytes = b""


class _Meta(Struct, omit_defaults=True):
    info: _Info | None = None
    tags: dict[str, str] | None = None
    delta: bool = False


_encode = msgspec.json.Encoder().encode
_decode_info = msgspec.json.Decoder(_Info).decode
_decode_meta = msgspec.json.Decoder(_Meta).decode


def build_info(info: ClientInfo) -> bytes:
    return _encode(_Info(info.user, info.client, bytes(info.conn_info), bytes(info.chan_info)))


def parse_info(text: bytes) -> ClientInfo:
    """Raises ``BadEnvelope``."""
    try:
        info = _decode_info(text)
    except msgspec.DecodeError as error:
        raise BadEnvelope(f"client info that this version cannot read: {error}") from error
    return ClientInfo(info.user, info.client, Raw(info.conn_info), Raw(info.chan_info))


def build_meta(publication: Publication) -> bytes:
    """The meta JSON of a publication; empty when there is nothing but data."""
    info = publication.info
    if info is None and publication.tags is None and not publication.delta:
        return b""
    kept = None if info is None else _Info(info.user, info.client, bytes(info.conn_info), bytes(info.chan_info))
    return _encode(_Meta(kept, publication.tags, publication.delta))


def build_publication(meta: bytes, data: bytes) -> bytes:
    """The message of a publication without history."""
    return b"p:0::0:%d:%b%b" % (len(meta), meta, data)


def parse_publication(message: bytes) -> tuple[Publication, str, int]:
    """A publication, its epoch, and the time in ms at which it was stored (0: it was not). Raises ``BadEnvelope``."""
    try:
        _, offset, epoch, at, size, rest = message.split(b":", 5)
        if size == b"0":
            return Publication(Raw(rest), None, int(offset)), epoch.decode(), int(at)
        end = int(size)
        return read_publication(int(offset), rest[:end], rest[end:]), epoch.decode(), int(at)
    except ValueError as error:
        raise BadEnvelope(
            f"a publication in a form that this version does not know ({message[:40]!r}): "
            "let nothing else publish below redis.prefix"
        ) from error


def read_publication(offset: int, meta: bytes, data: bytes) -> Publication:
    """A publication from what a stream keeps. Raises ``BadEnvelope``."""
    if not meta:
        return Publication(Raw(data), None, offset)
    try:
        known = _decode_meta(meta)
    except msgspec.DecodeError as error:
        raise BadEnvelope(f"publication meta that this version cannot read: {error}") from error
    info = known.info
    client = None if info is None else ClientInfo(info.user, info.client, Raw(info.conn_info), Raw(info.chan_info))
    return Publication(Raw(data), client, offset, known.tags, known.delta)
