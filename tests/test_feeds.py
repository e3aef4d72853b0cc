"""When the node subscribes to a channel at the broker and when it leaves it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtserver.core.errors import BrokerUnavailable
from rtserver.feeds import LINGER, Feeds


class SlowBroker:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.open: list[Deferred[None]] = []

    def subscribe(self, channel: str) -> Deferred[None]:
        return self._call("subscribe", channel)

    def unsubscribe(self, channel: str) -> Deferred[None]:
        return self._call("unsubscribe", channel)

    def _call(self, what: str, channel: str) -> Deferred[None]:
        self.calls.append((what, channel))
        self.open.append(Deferred())
        return self.open[-1]


class Scene:
    def __init__(self) -> None:
        self.broker = SlowBroker()
        self.clock = Clock()
        self.wanted = {"a"}
        self.reports: list[str] = []
        self.feeds = Feeds(
            self.broker,
            self.wanted.__contains__,
            self.clock.callLater,
            lambda work: Deferred.fromCoroutine(work),
            lambda text, failure: self.reports.append(text),
        )

    def need(self) -> list[object]:
        """The outcome of ``need("a")``, when there is one."""
        outcome: list[object] = []
        Deferred.fromCoroutine(self.feeds.need("a")).addBoth(outcome.append)
        return outcome


@pytest.fixture
def scene():
    return Scene()


def test_thousands_who_need_a_channel_wait_for_one_subscription(scene):
    outcomes = [scene.need() for _ in range(5000)]
    assert scene.broker.calls == [("subscribe", "a")] and not any(outcomes)
    scene.broker.open[0].callback(None)
    assert outcomes == [[None]] * 5000
    assert scene.need() == [None] and len(scene.broker.calls) == 1


def test_all_who_wait_share_a_failure_and_the_next_tries_again(scene):
    outcomes = [scene.need() for _ in range(3)]
    scene.broker.open[0].errback(BrokerUnavailable("gone"))
    assert all(outcome[0].check(BrokerUnavailable) for outcome in outcomes)
    assert len(scene.feeds) == 0
    scene.need()
    assert scene.broker.calls == [("subscribe", "a")] * 2


def test_a_channel_is_left_a_while_after_the_last_subscriber(scene):
    scene.need()
    scene.broker.open[0].callback(None)
    scene.wanted.clear()
    scene.feeds.release("a")
    scene.clock.advance(LINGER)
    assert scene.broker.calls[-1] == ("unsubscribe", "a")
    scene.broker.open[1].callback(None)
    assert len(scene.feeds) == 0


def test_one_who_comes_while_the_channel_is_being_left_subscribes_anew(scene):
    scene.need()
    scene.broker.open[0].callback(None)
    scene.wanted.clear()
    scene.feeds.release("a")
    scene.clock.advance(LINGER)
    outcome = scene.need()
    assert not outcome
    scene.broker.open[1].callback(None)
    assert scene.broker.calls[-1] == ("subscribe", "a")
    scene.broker.open[2].callback(None)
    assert outcome == [None]


def test_a_channel_that_is_wanted_again_is_not_left(scene):
    scene.need()
    scene.broker.open[0].callback(None)
    scene.feeds.release("a")
    scene.clock.advance(LINGER)
    assert len(scene.broker.calls) == 1
