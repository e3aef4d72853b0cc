"""The command connection: order, limits, and what happens to commands that were not answered."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.ports import BrokerStats
from rtserver.services.redis_commands import CommandLimits, Commands
from rtserver.services.redis_errors import FunctionMissing, ReadOnly, reply_error
from rtserver.services.redis_greeting import command_greeting
from rtserver.services.redis_library import build_library
from rtserver.services.redis_link import LinkPlan
from rtserver.services.redis_options import parse_address
from tests.services.fake_redis import FakeRedis, array, bulk

LIBRARY = build_library("rtserver")
MISSING = b"-ERR Function not found\r\n"


class Connected:
    """A command connection on a fake Redis and a clock."""

    def __init__(
        self, url: str = "redis://localhost", *, library: bool = False, start: bool = True, calls: int = 10
    ) -> None:
        self.clock = Clock()
        self.redis = FakeRedis()
        self.stats = BrokerStats()
        greeting = command_greeting(parse_address(url), "name", LIBRARY if library else None)
        limits = CommandLimits(timeout=4.0, max_calls=calls, max_bytes=100_000)
        self.commands = Commands(LinkPlan("test", self.redis), self.clock, greeting, limits, self.stats)
        if start:
            self.start()

    def start(self) -> None:
        self.commands.start()
        self.redis.turn()

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.redis.turn()

    def asked(self) -> list[tuple[bytes, ...]]:
        return self.redis.connection.asked


def result(deferred: Deferred[Any]) -> Any:
    """What it fired with; a failure as the exception; "waiting" when it did not."""
    found: list[Any] = ["waiting"]
    deferred.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found[-1]


def test_the_greeting_logs_in_selects_and_names_before_anything_else() -> None:
    c = Connected("redis://user:pa%2Fss@localhost/3", start=False)
    waiting = c.commands.call("GET", "k")
    assert isinstance(result(waiting), BrokerUnavailable), "nothing is taken before the start"
    c.commands.start()
    early = c.commands.call("GET", "k")
    c.redis.turn()
    assert c.asked() == [
        (b"AUTH", b"user", b"pa/ss"),
        (b"SELECT", b"3"),
        (b"CLIENT", b"SETNAME", b"name"),
        (b"GET", b"k"),
    ]
    assert result(early) == b"OK"


def test_replies_stay_bytes() -> None:
    c = Connected()
    for reply, expected in ((bulk(b"007"), b"007"), (bulk(b"\xff"), b"\xff"), (b":7\r\n", 7), (b"$-1\r\n", None)):
        c.redis.replies[b"GET"] = lambda command, reply=reply: [reply]  # type: ignore[misc]
        answer = c.commands.call("GET", "k")
        c.redis.turn()
        assert result(answer) == expected


def test_commands_are_sent_in_order_and_answered_in_order() -> None:
    c = Connected()
    c.redis.replies[b"ECHO"] = lambda command: [bulk(command[1])]
    answers = [c.commands.call("ECHO", str(number)) for number in range(5)]
    assert c.commands.calls == 5
    c.redis.turn()
    assert [result(answer) for answer in answers] == [b"0", b"1", b"2", b"3", b"4"] and c.commands.calls == 0


def test_without_a_connection_commands_wait_and_then_go_in_order() -> None:
    c = Connected()
    c.redis.replies[b"ECHO"] = lambda command: [bulk(command[1])]
    c.redis.connection.hang_up()
    answers = [c.commands.call("ECHO", str(number)) for number in range(3)]
    c.advance(1)
    assert [result(answer) for answer in answers] == [b"0", b"1", b"2"] and c.stats.reconnects == 1


def test_waiting_ends_with_the_time_limit() -> None:
    c = Connected()
    c.redis.up = False
    c.redis.connection.hang_up()
    answer = c.commands.call("GET", "k")
    c.advance(3.9)
    assert not answer.called
    c.advance(1.2)
    assert isinstance(result(answer), BrokerUnavailable) and c.commands.calls == 0 and c.stats.commands_failed == 1


def test_an_answer_that_is_late_costs_the_connection() -> None:
    c = Connected()
    c.redis.replies[b"GET"] = lambda command: []
    answers = [c.commands.call("GET", "k") for _ in range(3)]
    c.advance(5.2)
    assert all("not known" in str(result(answer)) for answer in answers)
    assert len(c.redis.connections) == 2


def test_what_was_sent_and_not_answered_fails_when_the_connection_is_lost() -> None:
    c = Connected()
    c.redis.replies[b"GET"] = lambda command: []
    answer = c.commands.call("GET", "k")
    c.redis.connection.hang_up()
    assert isinstance(result(answer), BrokerUnavailable)


def test_the_number_and_the_size_of_waiting_commands_are_bounded() -> None:
    c = Connected(calls=3)
    c.redis.replies[b"GET"] = lambda command: []
    for _ in range(3):
        c.commands.call("GET", "k")
    assert "3 commands" in str(result(c.commands.call("GET", "k")))
    c = Connected()
    assert isinstance(result(c.commands.call("GET", "k" * 200_000)), BrokerUnavailable)
    assert result(c.commands.call("GET", "k" * 50_000)) == "waiting"
    assert isinstance(result(c.commands.call("GET", "k" * 50_000)), BrokerUnavailable)


def test_a_cancelled_command_frees_its_place_and_its_answer_is_ignored() -> None:
    c = Connected()
    c.redis.replies[b"ECHO"] = lambda command: [bulk(command[1])]
    first, second = c.commands.call("ECHO", "1"), c.commands.call("ECHO", "2")
    first.addErrback(lambda failure: None)
    first.cancel()
    assert c.commands.calls == 1
    c.redis.turn()
    assert result(second) == b"2" and c.commands.calls == 0
    c.advance(10)
    assert len(c.redis.connections) == 1


def test_a_lost_library_is_loaded_once_and_every_call_is_repeated_in_order() -> None:
    c = Connected()
    loaded = False

    def call(command: tuple[bytes, ...]) -> list[bytes | None]:
        return [bulk(command[-1]) if loaded else MISSING]

    def load(command: tuple[bytes, ...]) -> list[bytes | None]:
        nonlocal loaded
        loaded = True
        return [bulk(b"rtserver")]

    c.redis.replies[b"FCALL"] = call
    c.redis.replies[b"FUNCTION"] = load
    answers = [c.commands.function(LIBRARY, "publish", "c", str(number)) for number in range(3)]
    c.redis.turn()
    assert [result(answer) for answer in answers] == [b"0", b"1", b"2"]
    assert sum(command[0] == b"FUNCTION" for command in c.asked()) == 1


def test_a_library_that_cannot_be_loaded_is_told() -> None:
    c = Connected()
    c.redis.replies[b"FCALL"] = lambda command: [MISSING]
    c.redis.replies[b"FUNCTION"] = lambda command: [b"-NOPERM no permission\r\n"]
    answer = c.commands.function(LIBRARY, "publish", "c")
    c.redis.turn()
    assert isinstance(result(answer), FunctionMissing)


@pytest.mark.parametrize(
    ("version", "loads"),
    [(bulk(LIBRARY.version.encode()), 0), (bulk(b"other"), 1), (MISSING, 1)],
    ids=["same", "other", "none"],
)
def test_the_library_is_loaded_when_redis_has_another_or_none(version: bytes, loads: int) -> None:
    c = Connected(library=True, start=False)
    c.redis.replies[b"FCALL"] = lambda command: [version]
    c.start()
    assert c.commands.link.is_up
    assert sum(command[:3] == (b"FUNCTION", b"LOAD", b"REPLACE") for command in c.asked()) == loads


def test_an_old_redis_is_refused_with_the_version_that_is_needed() -> None:
    c = Connected(library=True, start=False)
    c.redis.replies[b"FCALL"] = lambda command: [b"-ERR unknown command 'FCALL', with args\r\n"]
    c.start()
    assert "Redis 7" in c.commands.link.problem


def test_behind_sentinel_a_replica_is_not_taken() -> None:
    c = Connected("redis+sentinel://localhost/master", start=False)
    c.redis.replies[b"ROLE"] = lambda command: [array(b"slave", b"host", 6379)]
    c.start()
    assert not c.commands.link.is_up and "no master" in c.commands.link.problem
    c.redis.replies[b"ROLE"] = lambda command: [array(b"master", 1)]
    c.advance(1)
    assert c.commands.link.is_up


def test_a_master_that_became_a_replica_is_left() -> None:
    c = Connected()
    c.redis.replies[b"SET"] = lambda command: [b"-READONLY You can't write against a read only replica.\r\n"]
    answer = c.commands.call("SET", "k", "v")
    c.redis.turn()
    assert isinstance(result(answer), ReadOnly)
    c.advance(1)
    assert len(c.redis.connections) == 2


def test_stopping_fails_what_waits_and_leaves_no_delayed_call() -> None:
    c = Connected()
    c.redis.replies[b"GET"] = lambda command: []
    sent = c.commands.call("GET", "k")
    stopping = Deferred.fromCoroutine(c.commands.stop())
    c.redis.turn()
    assert stopping.called and isinstance(result(sent), BrokerUnavailable)
    assert c.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("reply", "kind", "advice"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", BrokerUnavailable, "maxmemory"),
        ("READONLY You can't write against a read only replica.", BrokerUnavailable, "master"),
        ("LOADING Redis is loading the dataset in memory", BrokerUnavailable, "wait"),
        ("BUSY Redis is busy running a script.", BrokerUnavailable, "KILL"),
        ("MISCONF Redis is configured to save RDB snapshots", BrokerUnavailable, "disk"),
        ("NOAUTH Authentication required.", BrokerError, "redis.address"),
        ("WRONGPASS invalid username-password pair", BrokerError, "correct"),
        ("NOPERM this user has no permissions", BrokerError, "ACL"),
        ("WRONGTYPE Operation against a key", BrokerError, "redis.prefix"),
        ("MOVED 1234 127.0.0.1:7000", BrokerError, "independent servers"),
        ("ERR Function not found", FunctionMissing, "loaded again"),
        ("ERR something else", BrokerError, "something else"),
    ],
)
def test_every_refusal_of_redis_says_what_to_do(reply: str, kind: type[BrokerError], advice: str) -> None:
    error = reply_error(reply)
    assert isinstance(error, kind) and advice in str(error)
    assert isinstance(error, BrokerUnavailable) is issubclass(kind, BrokerUnavailable)
