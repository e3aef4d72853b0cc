"""What Redis answers when it cannot, in sentences that say what to do."""

from __future__ import annotations

import txredisapi
from twisted.internet.defer import CancelledError, TimeoutError
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerError, BrokerUnavailable


class FunctionMissing(BrokerUnavailable):
    """Redis does not know our functions: it was flushed, or another server took over."""


class ReadOnly(BrokerUnavailable):
    """We are connected to a replica."""


class GroupMissing(BrokerError):
    """There is no such consumer group, or no such stream."""


class GroupExists(BrokerError):
    """The consumer group is there already."""


# First word of the error reply -> exception, what to do.
_REPLIES: dict[str, tuple[type[BrokerError], str]] = {
    "OOM": (BrokerUnavailable, "Redis is out of memory: raise maxmemory, or keep less history"),
    "READONLY": (
        ReadOnly,
        "this Redis is a read-only replica: give the address of the master, or use redis+sentinel://",
    ),
    "LOADING": (BrokerUnavailable, "Redis is loading its data: wait"),
    "BUSY": (BrokerUnavailable, "Redis is busy with a script: wait, or end it with SCRIPT KILL or FUNCTION KILL"),
    "MISCONF": (BrokerUnavailable, "Redis cannot save its data and takes no writes: look at its log and its disk"),
    "MASTERDOWN": (BrokerUnavailable, "this Redis is a replica without its master: wait, or give the master's address"),
    "NOREPLICAS": (
        BrokerUnavailable,
        "Redis has too few replicas to write: start them, or lower min-replicas-to-write",
    ),
    "NOTMASTER": (ReadOnly, "this Redis is no master any more: wait until the Sentinels name the new one"),
    "NOAUTH": (BrokerError, "Redis asks for a password: put it into redis.address (redis://user:password@host)"),
    "WRONGPASS": (BrokerError, "Redis refused the user or the password of redis.address: correct them"),
    "NOPERM": (BrokerError, "the Redis user lacks a permission: allow it fcall, function, pub/sub and the keys (ACL)"),
    "WRONGTYPE": (BrokerError, "a key holds something else than this server put there: choose another redis.prefix"),
    "NOGROUP": (GroupMissing, "the consumer group of the inbox is gone: it is made again"),
    "BUSYGROUP": (GroupExists, "the consumer group of the inbox exists: nothing to do"),
    "MOVED": (BrokerError, "this is a node of a Redis Cluster: list independent servers in redis.address instead"),
    "CROSSSLOT": (BrokerError, "this is a node of a Redis Cluster: list independent servers in redis.address instead"),
}
_NOT_FOUND = "ERR Function not found"


def reply_error(text: str) -> BrokerError:
    """The exception for an error reply of Redis."""
    if text.startswith(_NOT_FOUND):
        return FunctionMissing("Redis lost the functions of this server: they are being loaded again, try again")
    kind, advice = _REPLIES.get(text.partition(" ")[0], (BrokerError, "look at the log of Redis"))
    return kind(f"{advice} (Redis says: {text[:200]})")


def broker_error(failure: Failure) -> BrokerError:
    """The exception for anything that txredisapi or the connection may fail with."""
    error = failure.value
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, txredisapi.ResponseError):
        return reply_error(str(error))
    if isinstance(error, (TimeoutError, CancelledError)):
        return BrokerUnavailable("Redis did not answer in time: look at its load, or raise redis.io_timeout")
    return BrokerUnavailable(
        f"the connection to Redis was lost before it answered ({failure.getErrorMessage()}): try again; "
        "whether the command was executed is not known"
    )
