"""What the nodes of a cluster tell each other through the broker's control channel: JSON objects tagged by ``kind``."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class _Control(Struct, tag_field="kind", tag=str.lower, omit_defaults=True):
    """``sender`` is the id of the node that sent it."""

    sender: str


class Target(Struct, omit_defaults=True):
    """Which connections are meant: those of ``user`` ("" are the anonymous ones), narrowed by the client id or the session
    secret, without those in ``whitelist`` (client ids)."""

    user: str
    client: str = ""
    session: str = ""
    whitelist: list[str] = []


class DisconnectUser(_Control):
    target: Target
    code: int
    reason: str


class UnsubscribeUser(_Control):
    target: Target
    channel: str


class SubscribeUser(_Control):
    """``expire_at`` in Unix seconds; ``override`` as in tokens (see ``ports.SubscriptionOverride``). The payloads may be any
    bytes, so they travel as base64."""

    target: Target
    channel: str
    info: bytes = b""
    data: bytes = b""
    recover_offset: int | None = None
    recover_epoch: str = ""
    override: dict[str, bool] = {}
    expire_at: int = 0


class RefreshUser(_Control):
    """``expire_at`` in Unix seconds, 0: the connection does not expire any more."""

    target: Target
    expired: bool = False
    expire_at: int = 0
    info: bytes = b""


class NodeInfo(_Control):
    """Sent every few seconds; a node that was not heard of for a while is dead. ``uptime`` in seconds."""

    name: str
    version: str
    num_clients: int = 0
    num_users: int = 0
    num_channels: int = 0
    num_subs: int = 0
    uptime: int = 0


class Farewell(_Control):
    """The node is leaving."""


class Survey(_Control):
    """Asks every node for its channels that match ``pattern`` (a glob, "" for all)."""

    id: str
    pattern: str = ""


class SurveyAnswer(_Control):
    """Channel name to number of subscribers on the answering node."""

    id: str
    channels: dict[str, int]


class Emulated(_Control):
    """A frame that a client posted to another node than the one that holds its connection. Base64 in JSON."""

    session: str
    frame: bytes


ControlMessage = (
    DisconnectUser
    | UnsubscribeUser
    | SubscribeUser
    | RefreshUser
    | NodeInfo
    | Farewell
    | Survey
    | SurveyAnswer
    | Emulated
)

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ControlMessage).decode
