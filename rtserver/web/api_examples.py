"""For the documentation: a request of every method of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROOM = {"channel": "chat:room1"}
_SUBSCRIPTION = {"user": "42", "channel": "news:front"}

EXAMPLES: Mapping[str, Any] = {
    "publish": {**_ROOM, "data": {"text": "hello"}, "idempotency_key": "msg-1"},
    "broadcast": {"channels": ["chat:room1", "chat:room2"], "data": {"text": "to all"}},
    "subscribe": _SUBSCRIPTION,
    "unsubscribe": _SUBSCRIPTION,
    "disconnect": {"user": "42", "disconnect": {"code": 4500, "reason": "account closed"}},
    "refresh": {"user": "42", "expire_at": 1_999_999_999},
    "presence": _ROOM,
    "presence_stats": _ROOM,
    "history": {**_ROOM, "limit": 2, "reverse": True},
    "history_remove": _ROOM,
    "channels": {"pattern": "chat:*"},
    "info": {},
    "rpc": {"method": "orders.close", "params": {"order": 7}},
    "batch": {"commands": [{"publish": {**_ROOM, "data": {"n": 1}}}, {"presence_stats": _ROOM}], "parallel": False},
}
