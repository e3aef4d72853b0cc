"""The subscriber connection: bytes in any pieces, subscriptions that stay true, silence that is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.ports import BrokerStats
from rtserver.services.redis_greeting import command_greeting
from rtserver.services.redis_link import LinkPlan, LinkState
from rtserver.services.redis_options import parse_address
from rtserver.services.redis_raw import escape_pattern, patterns
from rtserver.services.redis_subscriber import Subscriber, SubscriberPlan
from tests.services.fake_redis import FakeRedis, array

TIMEOUT = 4.0
GREETING = (b"CLIENT", b"SETNAME", b"name")


class Wired:
    """A subscriber on a fake Redis and a clock."""

    def __init__(self, start: bool = True) -> None:
        self.clock = Clock()
        self.redis = FakeRedis()
        self.gaps = 0
        self.heard: list[tuple[str, bytes]] = []
        self.stats = BrokerStats()
        greeting = command_greeting(parse_address("redis://localhost"), "name")
        plan = SubscriberPlan(LinkPlan("test", self.redis), greeting, TIMEOUT, self.gap)
        self.subscriber = Subscriber(plan, self.clock, self.stats)
        if start:
            self.subscriber.start()
            self.redis.turn()

    def gap(self) -> None:
        self.gaps += 1

    def sink(self, name: str) -> Callable[[bytes], None]:
        return lambda payload: self.heard.append((name, payload))

    def subscribe(self, *names: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self.subscriber.subscribe({name.encode(): self.sink(name) for name in names}))

    def subscribed(self, *names: str) -> None:
        done = self.subscribe(*names)
        self.redis.turn()
        assert done.called

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.redis.turn()

    def come_back(self) -> None:
        count = len(self.redis.connections)
        while len(self.redis.connections) == count:
            self.advance(0.1)

    def send(self, *items: bytes) -> None:
        self.redis.connection.send(array(*items))


def failure_of(deferred: Deferred[Any]) -> BaseException:
    caught: list[BaseException] = []
    deferred.addErrback(lambda failure: caught.append(failure.value))
    return caught[0]


def test_a_subscription_is_done_when_redis_has_acknowledged_every_name() -> None:
    wired = Wired()
    wired.redis.replies[b"SUBSCRIBE"] = lambda command: []
    done = wired.subscribe("a", "b")
    wired.redis.turn()
    wired.send(b"subscribe", b"b", b"1")
    assert not done.called
    wired.send(b"subscribe", b"a", b"2")
    assert done.called


def test_acknowledgements_belong_to_names_and_not_to_an_order() -> None:
    wired = Wired()
    wired.redis.replies[b"SUBSCRIBE"] = lambda command: []
    first, second = wired.subscribe("a"), wired.subscribe("b")
    wired.send(b"subscribe", b"b", b"1")
    assert second.called and not first.called


def test_the_acknowledgement_of_an_older_subscription_is_not_that_of_a_newer_one() -> None:
    wired = Wired()
    wired.redis.replies[b"SUBSCRIBE"] = lambda command: []
    late = wired.subscribe("a")
    wired.advance(TIMEOUT + 1)
    assert isinstance(failure_of(late), BrokerUnavailable)
    again = wired.subscribe("a")
    wired.send(b"subscribe", b"a", b"1")
    assert not again.called
    wired.send(b"subscribe", b"a", b"1")
    assert again.called


def test_messages_go_to_the_sink_of_their_channel_byte_for_byte() -> None:
    wired = Wired()
    wired.subscribed("a", "42")
    for name, payload in ((b"a", b"007"), (b"42", b"\xff\r\n\x00"), (b"a", b""), (b"unknown", b"x")):
        wired.send(b"message", name, payload)
    assert wired.heard == [("a", b"007"), ("42", b"\xff\r\n\x00"), ("a", b"")]


def test_pattern_messages_carry_the_name() -> None:
    wired = Wired()
    heard: list[tuple[bytes, bytes]] = []
    done = Deferred.fromCoroutine(wired.subscriber.psubscribe({b"rt:*": lambda *pair: heard.append(pair)}))
    wired.redis.turn()
    assert done.called
    wired.send(b"pmessage", b"rt:*", b"rt:a", b"x")
    wired.subscriber.punsubscribe([b"rt:*"])
    wired.send(b"pmessage", b"rt:*", b"rt:a", b"y")
    assert heard == [(b"rt:a", b"x")]
    assert wired.redis.connection.asked[-1] == (b"PUNSUBSCRIBE", b"rt:*")


def test_after_an_unsubscription_late_messages_are_dropped() -> None:
    wired = Wired()
    wired.subscribed("a")
    wired.subscriber.unsubscribe([b"a", b"never"])
    wired.send(b"message", b"a", b"late")
    assert wired.heard == []
    assert wired.redis.connection.asked[-1] == (b"UNSUBSCRIBE", b"a")


def test_a_sink_that_fails_does_not_stop_the_others(logged_failures: list[dict[str, object]]) -> None:
    wired = Wired()
    done = Deferred.fromCoroutine(wired.subscriber.subscribe({b"bad": lambda payload: {}[payload]}))
    wired.redis.turn()
    assert done.called
    wired.subscribed("good")
    wired.redis.connection.send(array(b"message", b"bad", b"x") + array(b"message", b"good", b"y"))
    assert wired.heard == [("good", b"y")] and wired.redis.connection.open
    assert len(logged_failures) == 1
    logged_failures.clear()


def test_every_new_connection_gets_all_subscriptions_and_then_the_gap_is_told() -> None:
    wired = Wired()
    wired.subscribed("a", "b")
    wired.subscriber.unsubscribe([b"b"])
    wired.subscriber.add({b"c": wired.sink("c")})
    wired.redis.turn()
    assert wired.gaps == 0
    wired.redis.connection.hang_up()
    wired.come_back()
    assert wired.redis.connection.asked == [GREETING, (b"SUBSCRIBE", b"a", b"c")]
    assert wired.gaps == 1 and wired.stats.reconnects == 1 and wired.stats.resubscribes == 1


def test_the_gap_is_told_only_after_every_acknowledgement() -> None:
    wired = Wired()
    wired.subscribed("a", "b")
    wired.redis.replies[b"SUBSCRIBE"] = lambda command: [array(b"subscribe", b"a", b"1")]
    wired.redis.connection.hang_up()
    wired.come_back()
    assert wired.gaps == 0 and not wired.subscriber.link.is_up
    wired.send(b"subscribe", b"b", b"2")
    assert wired.gaps == 1 and wired.subscriber.link.is_up


def test_many_names_go_out_in_chunks() -> None:
    wired = Wired(start=False)
    wired.subscriber.add({b"c%d" % number: wired.sink("") for number in range(2500)})
    wired.subscriber.start()
    wired.redis.turn()
    assert [len(command) - 1 for command in wired.redis.connection.asked[1:]] == [1000, 1000, 500]
    assert wired.subscriber.link.is_up and wired.gaps == 0


def test_a_subscription_made_while_there_is_no_connection_waits_for_the_next() -> None:
    wired = Wired()
    wired.redis.connection.hang_up()
    done = wired.subscribe("a")
    wired.come_back()
    assert done.called and wired.redis.connection.asked[-1] == (b"SUBSCRIBE", b"a")


def test_a_subscription_that_fails_in_time_is_taken_back() -> None:
    wired = Wired()
    wired.redis.up = False
    wired.redis.connection.hang_up()
    done = wired.subscribe("a")
    wired.advance(TIMEOUT + 0.2)
    assert isinstance(failure_of(done), BrokerUnavailable)
    wired.redis.up = True
    wired.come_back()
    assert wired.redis.connection.asked == [GREETING]


def test_a_refused_subscription_fails_at_once_with_advice() -> None:
    wired = Wired()
    wired.subscribed("good")
    wired.redis.replies[b"SUBSCRIBE"] = lambda command: [b"-NOPERM no access to the channel\r\n"]
    done = wired.subscribe("bad")
    wired.redis.turn()
    assert "permission" in str(failure_of(done)) and wired.subscriber.link.is_up


def test_a_silent_connection_is_cut_and_made_anew() -> None:
    wired = Wired()
    wired.subscribed("a")
    wired.advance(20)
    assert len(wired.redis.connections) == 1, "PING was answered"
    wired.redis.replies[b"PING"] = lambda command: []
    wired.advance(TIMEOUT + 3)
    assert len(wired.redis.connections) == 2 and wired.gaps == 1


def test_a_connection_that_hangs_while_it_is_prepared_is_given_up() -> None:
    wired = Wired(start=False)
    wired.redis.replies[b"CLIENT"] = lambda command: []
    wired.subscriber.start()
    wired.advance(TIMEOUT + 0.5)
    assert wired.redis.attempts == 2


def test_attempts_become_rarer_but_never_rarer_than_the_longest_delay() -> None:
    wired = Wired()
    wired.redis.up = False
    wired.redis.connection.hang_up()
    attempts = []
    for _ in range(30):
        before = wired.redis.attempts
        wired.advance(1)
        attempts.append(wired.redis.attempts - before)
    assert attempts[0] > attempts[-1] and sum(attempts[-10:]) >= 5


def test_a_refused_password_is_retried_with_growing_pauses() -> None:
    wired = Wired(start=False)
    wired.redis.replies[b"CLIENT"] = lambda command: [b"-NOAUTH Authentication required.\r\n"]
    wired.subscriber.start()
    wired.advance(30)
    assert 12 < wired.redis.attempts < 60
    assert "password" in wired.subscriber.link.problem


def test_a_pause_holds_messages_back_and_loses_none() -> None:
    wired = Wired()
    done = Deferred.fromCoroutine(
        wired.subscriber.subscribe(
            {b"a": lambda payload: (wired.heard.append(("a", payload)), wired.subscriber.pause("x"))}
        )
    )
    wired.redis.turn()
    assert done.called
    wired.redis.connection.send(b"".join(array(b"message", b"a", b"%d" % number) for number in range(3)))
    assert [payload for _, payload in wired.heard] == [b"0"] and not wired.redis.connection.reading
    wired.subscriber.pause("y")
    wired.subscriber.resume("x")
    assert len(wired.heard) == 1, "the other one still wants the pause"
    wired.subscriber.resume("y")
    assert [payload for _, payload in wired.heard] == [b"0", b"1"], "and the sink paused again"


def test_a_paused_connection_is_not_taken_for_dead() -> None:
    wired = Wired()
    wired.subscriber.pause("x")
    wired.redis.replies[b"PING"] = lambda command: []
    wired.advance(60)
    assert len(wired.redis.connections) == 1


def test_a_new_connection_is_paused_when_the_pause_still_holds() -> None:
    wired = Wired()
    wired.subscriber.pause("x")
    wired.redis.connection.hang_up()
    wired.come_back()
    assert not wired.redis.connection.reading


def test_bytes_that_are_no_resp_end_the_connection() -> None:
    wired = Wired()
    wired.redis.connection.send(b"HTTP/1.1 400 Bad Request\r\n")
    wired.come_back()
    assert wired.gaps == 1


def test_stopping_ends_everything() -> None:
    wired = Wired()
    wired.redis.replies[b"SUBSCRIBE"] = lambda command: []
    waiting = wired.subscribe("a")
    stopping = Deferred.fromCoroutine(wired.subscriber.stop())
    wired.redis.turn()
    assert stopping.called and isinstance(failure_of(waiting), BrokerUnavailable)
    assert wired.clock.getDelayedCalls() == [] and wired.subscriber.link.state is LinkState.STOPPED
    assert isinstance(failure_of(wired.subscribe("b")), BrokerError)


@pytest.mark.parametrize("up", [True, False])
def test_a_link_can_be_stopped_at_any_moment(up: bool) -> None:
    wired = Wired(start=False)
    wired.redis.up = up
    wired.redis.replies[b"CLIENT"] = lambda command: []
    wired.subscriber.start()
    stopping = Deferred.fromCoroutine(wired.subscriber.stop())
    wired.redis.turn()
    assert stopping.called and wired.clock.getDelayedCalls() == []


@given(
    messages=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=50)), max_size=20),
    cuts=st.lists(st.integers(0, 2000), max_size=20),
)
def test_bytes_may_come_in_any_pieces(messages: list[tuple[str, bytes]], cuts: list[int]) -> None:
    wired = Wired()
    wired.subscribed("a", "b")
    stream = b"".join(array(b"message", name.encode(), payload) for name, payload in messages)
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in zip(edges, edges[1:], strict=False):
        wired.redis.connection.send(stream[start:end])
    assert wired.heard == messages


def test_patterns_match_each_raw_name_once() -> None:
    assert patterns("rt:", ["b:", "a:", "$a:"]) == [b"rt:$a:*", b"rt:a:*", b"rt:b:*"]
    assert patterns("rt:", ["a:", ""]) == [b"rt:*"]
    assert patterns("rt:", []) == []


def test_characters_with_a_meaning_in_patterns_are_escaped() -> None:
    assert escape_pattern("a*b?[c]^\\-d:") == "a\\*b\\?\\[c\\]\\^\\\\\\-d:"
