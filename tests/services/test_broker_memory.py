from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.task import Clock

from rtserver.core.history import StreamLimits
from rtserver.core.ports import PublishOptions
from rtserver.services.broker_memory import MemoryBroker
from tests.contracts import BROKER_CHECKS, EVERYTHING, META_TTL, Check, Recorder, kept, pub, publish_many


class MemoryHarness:
    """A memory broker on a clock that only moves when told."""

    presence_ttl = 60.0
    tick = 10.0

    def __init__(self, limits: StreamLimits | None = None) -> None:
        self.clock = Clock()
        self.events = Recorder()
        self.broker = MemoryBroker(self.clock, "n1", limits)
        run(self.broker.start(self.events))

    async def until(self, condition: Callable[[], bool]) -> None:
        assert condition()

    async def pass_time(self, seconds: float) -> None:
        for _ in range(10):
            self.clock.advance(seconds / 10)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the coroutine waits for something")


@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
def test_the_memory_broker_keeps_the_contract(check: Check) -> None:
    harness = MemoryHarness()
    run(check(harness))  # type: ignore[arg-type]
    run(harness.broker.stop())
    assert harness.clock.getDelayedCalls() == []


def test_a_publication_arrives_before_publish_returns() -> None:
    harness = MemoryHarness()
    run(harness.broker.subscribe("c"))
    publishing = harness.broker.publish("c", pub("x"), kept())
    run(publishing)
    assert harness.events.data("c") == [b"x"]
    assert harness.broker.stats.publications_received == 1


def test_control_messages_for_any_node_are_taken_when_the_broker_has_no_name() -> None:
    events = Recorder()
    broker = MemoryBroker(Clock())
    run(broker.start(events))
    run(broker.publish_control(b"x", "whoever"))
    assert events.control == [b"x"]


def test_memory_over_the_bound_is_freed_from_the_channel_published_to_longest_ago() -> None:
    harness = MemoryHarness(StreamLimits(max_bytes=10_000))
    broker = harness.broker
    run(publish_many(broker, "old", 10))
    run(broker.publish("new", pub(b"x" * 8000), kept()))
    assert run(broker.history("old", EVERYTHING, META_TTL)).publications == []
    assert run(broker.history("old", EVERYTHING, META_TTL)).top.offset == 10
    assert len(run(broker.history("new", EVERYTHING, META_TTL)).publications) == 1


def test_expired_streams_are_forgotten_without_being_used() -> None:
    harness = MemoryHarness()
    for number in range(3000):
        options = PublishOptions(history_size=2, history_ttl=5, meta_ttl=20, idempotency_key="k")
        run(harness.broker.publish(f"c{number}", pub("x"), options))
    run(harness.pass_time(400))
    run(harness.broker.stop())
    assert len(harness.broker._streams) == 0 and harness.broker._streams.cost == 0
