"""Where an application declares its functions."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest

import rtserver
import rtserver.app
from rtserver.app import App, Limits
from rtserver.app.events import LIMIT, Event


def test_every_method_has_a_decorator_that_leaves_the_function_alone():
    app = App("shop", prefix="/v1/")

    async def read() -> None: ...

    for method in ("get", "post", "put", "patch", "delete"):
        assert getattr(app, method)("/items")(read) is read
    assert app.route("OPTIONS", "/items")(read) is read
    assert [each.method for each in app.endpoints] == ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    assert {each.path for each in app.endpoints} == {"/v1/items"}


def test_summary_and_text_are_those_of_the_docstring_unless_given():
    app = App()

    @app.get("/a", tags=["x"], responses={404: "gone"}, deprecated=True, hidden=True, status=202)
    async def one() -> None:
        """Reads.

        All of it.
        """

    @app.get("/b", summary="Given")
    async def two() -> None:
        """Written."""

    @app.get("/c")
    async def three() -> None: ...

    first, second, third = (each.description for each in app.endpoints)
    assert (first.summary, first.text, first.tags, first.responses) == ("Reads.", "All of it.", ("x",), {404: "gone"})
    assert first.deprecated and first.hidden and app.endpoints[0].status == 202
    assert second.summary == "Given" and (third.summary, third.text) == ("", "")


@pytest.mark.parametrize(
    "name", ["get", "post", "put", "patch", "delete", "on_subscribe", "on_publish", "rpc", "stream", "on_payment"]
)
def test_a_decorator_without_brackets_is_refused_because_it_would_declare_nothing(name):
    async def read() -> None: ...

    with pytest.raises(TypeError, match=rf'read: write @app.{name}\("'):
        getattr(App(), name)(read)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tags": "items"}, r"read: tags='items': write a list, tags=\['items'\]"),
        ({"responses": {404: {"description": "gone"}}}, "read: responses: say in a text what 404 means"),
        ({"status": 404}, "read: status=404"),
        ({"status": "201"}, "read: status='201'"),
    ],
)
def test_options_that_mean_something_else_elsewhere_are_refused_with_the_way_to_write_them(options, text):
    async def read() -> None: ...

    with pytest.raises(TypeError, match=text):
        App().get("/", **options)(read)


@pytest.mark.parametrize("seconds", [0, -1, None, math.nan, "5"])
def test_a_time_limit_is_a_number_above_zero(seconds):
    async def read() -> None: ...

    with pytest.raises(ValueError, match="give a number above 0"):
        Limits(seconds=seconds)
    with pytest.raises(ValueError, match="give a number above 0"):
        App().rpc("a", seconds=seconds)(read)
    with pytest.raises(ValueError, match="a number of bytes"):
        Limits(body_size=-1)


def test_a_time_limit_may_be_without_end():
    assert Limits(seconds=math.inf).seconds == math.inf


def test_limits_are_those_of_the_endpoint():
    app = App()

    @app.post("/a", limits=Limits(body_size=10, seconds=1.5))
    async def one() -> None: ...

    @app.post("/b")
    async def two() -> None: ...

    assert [each.limits.seconds for each in app.endpoints] == [1.5, 30.0]
    assert [each.limits.body_size for each in app.endpoints] == [10, 1_048_576]


def test_realtime_functions_are_kept_by_event():
    app = App()

    @app.on_connect
    async def connect() -> None: ...

    @app.on_disconnect
    async def disconnect() -> None: ...

    @app.on_subscribe("chat:*")
    async def subscribe() -> None: ...

    @app.on_publish("chat:*", seconds=2)
    async def publish() -> None: ...

    @app.rpc("cart.add", seconds=3)
    async def rpc() -> None: ...

    @app.stream("prices")
    async def prices() -> AsyncIterator[int]:
        yield 1

    assert [each.event for each in app.events] == [
        *(Event.CONNECT, Event.DISCONNECT, Event.SUBSCRIBE, Event.PUBLISH, Event.RPC)
    ]
    assert [each.seconds for each in app.events] == [LIMIT, LIMIT, LIMIT, 2, 3]
    assert [each.channel for each in app.streams] == ["prices"]
    assert (connect, publish, rpc, prices) == (
        *(each.function for each in app.events if each.event in (Event.CONNECT, Event.PUBLISH, Event.RPC)),
        app.streams[0].function,
    )


@pytest.mark.parametrize("name", rtserver.app.__all__)
def test_everything_that_applications_need_is_at_the_top(name):
    assert getattr(rtserver, name) is getattr(rtserver.app, name)


def test_nothing_else_is():
    with pytest.raises(AttributeError):
        _ = rtserver.nothing
    with pytest.raises(AttributeError):
        _ = rtserver.Nothing
