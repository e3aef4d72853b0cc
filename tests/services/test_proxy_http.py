"""Hooks over HTTP, through a real HTTP client and a real resource in memory."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from rtserver.core.errors import BackendUnavailable, CommandError, Disconnected
from rtserver.core.hooks import (
    Admitted,
    Allowed,
    Identity,
    PublishAsked,
    RefreshAsked,
    Refreshed,
    RpcAsked,
)
from rtserver.core.messages import EMPTY
from rtserver.core.options import ChannelOptions, Seconds
from rtserver.services.proxy_http import ProxyHooks, ProxyLimits, client_over
from rtserver.services.proxy_options import (
    ProxyHTTPOptions,
    ProxySettings,
    RpcOptions,
    RpcRules,
    StatusTransform,
    TransformError,
)
from tests.services.proxy_bench import ASKED, CALLED, CALLER, HANGS, Bench, result_of


@pytest.fixture
def log() -> Any:
    """The lines that are logged during a test."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_format"):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# What is asked and answered


def test_connect_asks_who_it_is() -> None:
    bench = Bench({"result": {"user": "42", "info": {"name": "Ada"}}})
    assert bench.connect(data=Raw(b'{"a":1}'), channels=("x",)) == Identity("42", info=Raw(b'{"name": "Ada"}'))
    assert bench.backend.bodies == [{**CALLED, "data": {"a": 1}, "channels": ["x"]}]
    assert bench.backend.requests[0].uri == b"/hook?key=hidden"
    assert bench.backend.sent("content-type") == ["application/json"]
    assert bench.backend.sent("host") == ["backend.example:8080"]


def test_connect_without_result_does_not_say_who_it_is() -> None:
    assert Bench({"result": None}).connect() is None


def test_a_client_with_a_token_is_not_asked_about() -> None:
    assert Bench({}).hooks.connect(True) is None


def test_refresh_asks_for_the_user() -> None:
    bench = Bench({"result": {"expire_at": 99}})
    assert bench.ask(bench.hooks.refresh(), RefreshAsked(CALLER)) == Refreshed(expire_at=99)
    assert bench.backend.bodies == [{**CALLED, "user": "42"}]


def test_subscribe_asks_for_channel_data_and_token() -> None:
    bench = Bench({"result": {"data": {"hello": 1}}})
    assert bench.subscribe() == Allowed(data=Raw(b'{"hello": 1}'))
    assert bench.backend.bodies == [{**CALLED, "user": "42", "channel": "news:1", "data": [1], "token": "t"}]


def test_publish_asks_for_the_data() -> None:
    bench = Bench({"result": {"data": {"clean": 1}}})
    hook = bench.hooks.publish("news:1", ASKED)
    assert bench.ask(hook, PublishAsked(CALLER, "news:1", Raw(b'"dirty"'))) == Admitted(Raw(b'{"clean": 1}'))
    assert bench.backend.bodies == [{**CALLED, "user": "42", "channel": "news:1", "data": "dirty"}]


def test_sub_refresh_asks_for_user_and_channel() -> None:
    bench = Bench({"result": {"expired": True}})
    hook = bench.hooks.sub_refresh("news:1", ASKED)
    assert bench.ask(hook, RefreshAsked(CALLER, "news:1")) == Refreshed(expired=True)
    assert bench.backend.bodies == [{**CALLED, "user": "42", "channel": "news:1"}]


def test_rpc_asks_for_the_method() -> None:
    bench = Bench({"result": {"data": 3}})
    assert bench.rpc() == Raw(b"3")
    assert bench.backend.bodies == [{**CALLED, "user": "42", "method": "sum", "data": [1, 2]}]


def test_binary_encoding_and_meta_travel_where_they_are_switched_on() -> None:
    bench = Bench({"result": {"b64data": "AAE="}}, binary_encoding=True, include_connection_meta=True)
    assert bench.rpc() == Raw(b"\x00\x01")
    assert bench.backend.bodies[0]["b64data"] == "WzEsMl0="
    assert bench.backend.bodies[0]["meta"] == {"role": "admin"}


def test_headers_are_those_of_the_configuration() -> None:
    http = ProxyHTTPOptions(static_headers={"X-Key": "k"})
    bench = Bench({"result": {}}, http_headers=("Cookie",), http=http)
    bench.subscribe()
    assert bench.backend.sent("cookie") == ["s=1"]
    assert bench.backend.sent("x-key") == ["k"]


def test_a_cookie_of_one_answer_does_not_go_with_the_request_of_another_user() -> None:
    bench = Bench({"result": {}})
    bench.subscribe()
    bench.subscribe()
    assert bench.backend.sent("cookie") == []


def test_nobody_is_asked_where_nothing_is_switched_on() -> None:
    bench = Bench({})
    hooks = ProxyHooks(ProxySettings(), client_over(bench.agent), bench.clock)
    off = ChannelOptions()
    assert [hooks.connect(False), hooks.refresh(), hooks.rpc("x"), hooks.disconnect()] == [None] * 4
    assert [hooks.subscribe("x", off), hooks.publish("x", off), hooks.sub_refresh("x", off)] == [None] * 3


def test_a_namespace_names_the_proxy_that_it_asks() -> None:
    bench = Bench({"result": {}})
    bench.subscribe(ChannelOptions(subscribe_proxy_enabled=True, subscribe_proxy_name="other"))
    assert {each.name: each.stats.asked for each in bench.hooks.backends}["proxies.other"] == 1


# Methods


def test_a_method_of_an_unknown_namespace_is_not_found() -> None:
    with pytest.raises(CommandError) as caught:
        Bench({}).hooks.rpc("nowhere:sum")
    assert caught.value.error.code == 104


def test_a_method_of_a_namespace_without_proxy_is_not_available() -> None:
    with pytest.raises(CommandError) as caught:
        Bench({}).hooks.rpc("off:sum")
    assert caught.value.error.code == 108


def test_the_boundary_of_methods_is_configured() -> None:
    bench = Bench({"result": {"data": 1}})
    rules = RpcRules(".", namespaces={"orders": RpcOptions(True, "other")})
    settings = ProxySettings(named=bench.settings.named, rpc=rules)
    bench.hooks = ProxyHooks(settings, client_over(bench.agent), bench.clock)
    assert bench.rpc("orders.list") == Raw(b"1")
    assert bench.backend.bodies[0]["method"] == "orders.list"
    with pytest.raises(CommandError) as caught:
        bench.rpc("list")
    assert caught.value.error.code == 108


# What a backend refuses


def test_an_error_of_the_backend_goes_to_the_client() -> None:
    with pytest.raises(CommandError) as caught:
        Bench({"error": {"code": 1000, "message": "no"}}).subscribe()
    assert str(caught.value) == "1000: no"


def test_a_disconnect_of_the_backend_ends_the_connection() -> None:
    with pytest.raises(Disconnected) as caught:
        Bench({"disconnect": {"code": 4501, "reason": "go"}}).subscribe()
    assert caught.value.reason == (4501, "go")


def test_what_a_backend_refuses_is_no_failure(log: list[str]) -> None:
    bench = Bench({"error": {"code": 1000, "message": "no"}})
    with pytest.raises(CommandError):
        bench.subscribe()
    assert [each.stats.failed for each in bench.hooks.backends] == [0] * len(bench.hooks.backends)
    assert log == []


def test_a_status_is_what_the_configuration_says() -> None:
    http = ProxyHTTPOptions(status_to_code_transforms=(StatusTransform(404, TransformError(1404, "not found")),))
    with pytest.raises(CommandError) as caught:
        Bench(404, http=http).subscribe()
    assert caught.value.error.code == 1404


# Failures


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (500, "the answer has status 500"),
        (302, "the answer has status 302"),
        (b"<html>", "the answer is no JSON object as agreed"),
        ({"result": {"data": 1, "expire_at": -1}}, "expire_at is no time in Unix seconds"),
        ({}, 'neither "result" nor "error" nor "disconnect"'),
        ({"error": {"code": 5, "message": "x"}}, "codes of errors are 100 to 1999"),
        (b'"' + b"x" * 2000 + b'"', "larger than 1000 bytes"),
    ],
    ids=str,
)
def test_a_bad_answer_is_a_failure_with_a_line_in_the_log(answer: Any, reason: str, log: list[str]) -> None:
    bench = Bench(answer, limits=ProxyLimits(max_answer=1000))
    with pytest.raises(BackendUnavailable, match=reason):
        bench.subscribe()
    assert len(log) == 1
    assert log[0].startswith("The proxy channel.proxy.subscribe at backend.example:8080 failed: ")
    assert reason in log[0]


def test_the_log_holds_no_address_token_data_or_header(log: list[str]) -> None:
    bench = Bench(b'{"result": "sesame"}', http_headers=("cookie",))
    with pytest.raises(BackendUnavailable) as caught:
        bench.subscribe()
    for text in (*log, str(caught.value)):
        assert not any(secret in text for secret in ("hidden", "sesame", "s=1", "admin", "news"))


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ConnectionRefusedError(), "ConnectionRefusedError: Connection was refused by other side."),
        (DNSLookupError("no results"), "DNSLookupError: DNS lookup failed: no results."),
        (ResponseNeverReceived([Failure(OSError("certificate verify failed"))]), "certificate verify failed"),
    ],
    ids=["refused", "no host", "no trust"],
)
def test_a_backend_that_cannot_be_reached_is_a_failure(failure: Exception, reason: str, log: list[str]) -> None:
    class Nobody:
        def request(self, *_: Any) -> Deferred[Any]:
            return fail(failure)

    bench = Bench({})
    bench.hooks = ProxyHooks(bench.settings, client_over(Nobody()), bench.clock)
    with pytest.raises(BackendUnavailable):
        bench.connect()
    assert reason in log[0]


def test_a_slow_backend_is_a_failure_when_the_time_is_over(log: list[str]) -> None:
    bench = Bench(HANGS, timeout=Seconds(1.5))
    asking = bench.begin(bench.hooks.rpc("sum"), RpcAsked(CALLER, "sum", EMPTY))
    bench.clock.advance(1.4)
    assert not asking.called
    bench.clock.advance(0.2)
    with pytest.raises(BackendUnavailable, match="no answer within 1.5 s"):
        result_of(asking)
    assert len(log) == 1


def test_an_answer_in_time_leaves_no_timer() -> None:
    bench = Bench({"result": {}})
    bench.subscribe()
    assert bench.clock.getDelayedCalls() == []


def test_a_question_that_nobody_waits_for_any_more_is_dropped_without_a_line(log: list[str]) -> None:
    bench = Bench(HANGS)
    asking = bench.begin(bench.hooks.rpc("sum"), RpcAsked(CALLER, "sum", EMPTY))
    asking.addErrback(lambda failure: None)
    asking.cancel()
    assert asking.called
    assert bench.clock.getDelayedCalls() == []
    assert log == []


def stopped(asking: Deferred[Any]) -> None:
    """As Twisted fails a request that is cancelled after it was sent."""
    asking.errback(ResponseNeverReceived([Failure(CancelledError())]))


class Silent:
    def request(self, *_: Any) -> Deferred[Any]:
        return Deferred(stopped)


def test_the_time_of_a_request_that_was_sent_is_told_as_such(log: list[str]) -> None:
    bench = Bench({})
    hooks = ProxyHooks(bench.settings, client_over(Silent()), bench.clock)
    asking = bench.begin(hooks.rpc("sum"), RpcAsked(CALLER, "sum", EMPTY))
    bench.clock.advance(1)
    with pytest.raises(BackendUnavailable, match="no answer within 1 s"):
        result_of(asking)
    assert len(log) == 1


def test_a_request_that_was_sent_and_that_nobody_waits_for_any_more_is_no_failure(log: list[str]) -> None:
    bench = Bench({})
    hooks = ProxyHooks(bench.settings, client_over(Silent()), bench.clock)
    asking = bench.begin(hooks.rpc("sum"), RpcAsked(CALLER, "sum", EMPTY))
    asking.cancel()
    with pytest.raises(CancelledError):
        result_of(asking)
    assert log == [] and all(each.stats.failed == 0 for each in hooks.backends)


def test_lines_about_failures_are_written_seldom_and_count_what_was_left_out(log: list[str]) -> None:
    bench = Bench(500)
    for _ in range(4):
        with pytest.raises(BackendUnavailable):
            bench.subscribe()
    assert len(log) == 1
    bench.clock.advance(10)
    with pytest.raises(BackendUnavailable):
        bench.subscribe()
    assert log[1].endswith("(3 more failures since the last line).")
    (backend,) = [each for each in bench.hooks.backends if each.name == "channel.proxy.subscribe"]
    assert (backend.stats.asked, backend.stats.failed) == (5, 5)


# Bounds


def test_more_questions_than_places_wait_and_their_time_runs(log: list[str]) -> None:
    bench = Bench(HANGS, {"result": {"data": 1}}, limits=ProxyLimits(max_requests=1), timeout=Seconds(1))
    first = bench.begin(bench.hooks.rpc("a"), RpcAsked(CALLER, "a", EMPTY))
    bench.clock.advance(0.5)
    second = bench.begin(bench.hooks.rpc("b"), RpcAsked(CALLER, "b", EMPTY))
    assert len(bench.backend.requests) == 1
    bench.clock.advance(0.5)
    bench.agent.flush()
    with pytest.raises(BackendUnavailable):
        result_of(first)
    assert result_of(second) == Raw(b"1")


def test_a_waiting_question_that_nobody_waits_for_any_more_is_never_sent() -> None:
    bench = Bench(HANGS, limits=ProxyLimits(max_requests=1))
    slow = bench.begin(bench.hooks.rpc("a"), RpcAsked(CALLER, "a", EMPTY))
    late = bench.begin(bench.hooks.rpc("b"), RpcAsked(CALLER, "b", EMPTY))
    late.addErrback(lambda failure: None)
    late.cancel()
    bench.clock.advance(1)
    with pytest.raises(BackendUnavailable):
        result_of(slow)
    assert len(bench.backend.requests) == 1


def test_too_many_waiting_questions_fail_at_once() -> None:
    bench = Bench(HANGS, limits=ProxyLimits(max_requests=1, max_waiting=1))
    for method in "ab":
        bench.begin(bench.hooks.rpc(method), RpcAsked(CALLER, method, EMPTY)).addErrback(lambda failure: None)
    with pytest.raises(BackendUnavailable, match="1 questions are waiting already"):
        bench.rpc("c")


def test_a_full_proxy_does_not_hold_up_another_one() -> None:
    bench = Bench(HANGS, {"result": {}}, limits=ProxyLimits(max_requests=1))
    bench.begin(bench.hooks.rpc("a"), RpcAsked(CALLER, "a", EMPTY)).addErrback(lambda failure: None)
    assert bench.subscribe() == Allowed()
