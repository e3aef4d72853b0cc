"""Realtime functions of an application behind real sessions: every answer, every mistake, time, threads and leaving."""

import traceback
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from msgspec import Raw
from pydantic import BaseModel, Field
from twisted.internet.defer import CancelledError, Deferred

from rtserver.app import (
    Accept,
    Allow,
    App,
    Clock,
    Connection,
    Depends,
    Disconnect,
    HTTPError,
    Publish,
    Publisher,
    Refuse,
    Request,
    User,
    wait,
)
from rtserver.core import errors
from rtserver.core.options import ChannelOptions, ClientOptions
from rtserver.core.ports import ConnectionClaims
from tests.app_house import AppHouse
from tests.fakes import EVERYTHING, UNIX

CLOSED = ChannelOptions(presence=True, history_size=10, history_ttl=60, join_leave=True, force_push_join_leave=True)
"""A namespace in which nobody may do anything without being told so."""


class Message(BaseModel):
    text: str = Field(min_length=1)


class Line(Message):
    user: str


def house_of(app: App, **client: Any) -> AppHouse:
    options = ClientOptions(allow_anonymous_connect_without_token=True, **client)
    return AppHouse(app, client=options, namespaces={"closed": CLOSED, "open": EVERYTHING})


@pytest.fixture
def app():
    return App("trials")


# on_connect


def test_on_connect_says_who_it_is_and_gives_data_channels_and_an_end(app):
    @app.on_connect
    async def connect(connection: Connection, name: str) -> Accept:
        return Accept(
            user=name,
            info={"n": name},
            data={"hello": name},
            channels=("closed:a",),
            expire_at=int(UNIX) + 60,
            meta=[1],
        )

    house = house_of(app)
    client = house.world.client()
    client.send(id=1, connect={"data": {"name": "ada"}})
    reply = client.take()[0]["connect"]
    assert reply["data"] == {"hello": "ada"} and list(reply["subs"]) == ["closed:a"]
    assert (reply["expires"], reply["ttl"]) == (True, 60)
    session = client.session
    assert (session.user, session.info, session.meta) == ("ada", Raw(b'{"n":"ada"}'), Raw(b"[1]"))


def test_on_connect_without_an_opinion_leaves_it_to_the_rules(app):
    @app.on_connect
    async def connect() -> None: ...

    assert house_of(app).client().session.user == ""


def test_on_connect_sees_the_connection_and_the_user_of_the_token(app):
    seen = []

    @app.on_connect
    async def connect(connection: Connection, user: User | None) -> None:
        seen.append((connection, user))

    house = house_of(app)
    house.world.tokens.connections["t"] = ConnectionClaims("ada", info=Raw(b'{"a":1}'), meta=Raw(b"[2]"))
    client = house.world.client(headers={"cookie": "x"}, remote="192.0.2.1")
    client.send(id=1, connect={"token": "t", "name": "js"})
    connection, user = seen[0]
    assert user == User("ada", {"a": 1})
    assert (connection.client, connection.user, connection.name) == (client.session.id, "ada", "js")
    assert (connection.transport, connection.protocol, connection.remote) == ("websocket", "json", "192.0.2.1")
    assert (connection.headers, connection.info, connection.meta) == ({"cookie": "x"}, {"a": 1}, [2])


def test_information_that_is_no_json_is_given_as_bytes(app):
    @app.rpc("info")
    async def info(connection: Connection) -> str:
        return repr(connection.info)

    house = house_of(app)
    house.world.tokens.connections["t"] = ConnectionClaims("ada", info=Raw(b"\xff"))
    assert house.rpc(house.client(token="t"), "info")["rpc"]["data"] == r"b'\xff'"


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Refuse(), {"code": 103, "message": "permission denied"}),
        (Refuse(1000, "closed today", temporary=True), {"code": 1000, "message": "closed today", "temporary": True}),
        (HTTPError(402, "pay first"), {"code": 402, "message": "pay first"}),
        (HTTPError(409), {"code": 409, "message": "refused"}),
        (HTTPError(409, {"why": "taken"}), {"code": 409, "message": '{"why":"taken"}'}),
        (LookupError("secret"), {"code": 100, "message": "internal server error", "temporary": True}),
    ],
)
def test_what_refuses_a_connect_is_an_error_reply(app, failure, error):
    @app.on_connect
    async def connect() -> None:
        raise failure

    house = house_of(app)
    client = house.world.client()
    client.send(id=1, connect={})
    assert client.take() == [{"id": 1, "error": error}] and client.finished


def test_a_disconnect_ends_the_connection_with_the_code_of_the_application(app):
    @app.on_connect
    async def connect() -> None:
        raise Disconnect(4501, "banned")

    client = house_of(app).world.client()
    client.send(id=1, connect={})
    assert client.closed == errors.DisconnectReason(4501, "banned")


def test_data_that_does_not_fit_is_error_107_with_every_mistake(app):
    @app.on_connect
    async def connect(name: str, age: int) -> None: ...

    client = house_of(app).world.client()
    client.send(id=1, connect={"data": {"age": "x"}})
    assert client.take()[0]["error"] == {
        "code": 107,
        "message": "bad request: data.name: Field required; "
        "data.age: Input should be a valid integer, unable to parse string as an integer",
    }


# on_subscribe


def test_on_subscribe_decides_in_place_of_the_permissions_and_adds_information_and_data(app):
    @app.on_subscribe("closed:{room}")
    async def subscribe(room: str, user: User, since: int = 0) -> Allow:
        if room == "cellar":
            raise Refuse()
        return Allow(info={"room": room}, data={"since": since}, expire_at=int(UNIX) + 60)

    house = house_of(app)
    house.world.tokens.connections["t"] = ConnectionClaims("ada")
    client = house.client(token="t")
    assert client.subscribe("closed:cellar")["error"]["code"] == 103
    reply = client.subscribe("closed:a", data={"since": 5})["subscribe"]
    assert (reply["data"], reply["ttl"]) == ({"since": 5}, 60)
    presence = house.world.run(house.world.node.presence("closed:a"))
    assert presence[client.session.id].chan_info == Raw(b'{"room":"a"}')


def test_who_is_nobody_cannot_be_a_user(app):
    @app.on_subscribe("closed:*")
    async def subscribe(user: User) -> None: ...

    assert house_of(app).client().subscribe("closed:a")["error"]["code"] == 103


def test_a_value_is_the_data_of_the_reply(app):
    @app.on_subscribe("closed:*")
    async def subscribe() -> Message:
        return Message(text="welcome")

    assert house_of(app).client().subscribe("closed:a")["subscribe"]["data"] == {"text": "welcome"}


def test_channels_without_a_function_are_left_to_the_configuration(app):
    @app.on_subscribe("closed:*")
    async def subscribe() -> None: ...

    client = house_of(app).client()
    assert "subscribe" in client.subscribe("open:a") and "subscribe" in client.subscribe("closed:a")


def test_the_most_special_pattern_decides(app):
    @app.on_subscribe("*")
    async def everything() -> None:
        raise Refuse(1000, "everything")

    @app.on_subscribe("closed:*")
    async def closed() -> None:
        raise Refuse(1001, "closed")

    @app.on_subscribe("closed:a")
    async def exact() -> None:
        raise Refuse(1002, "exact")

    client = house_of(app).client()
    codes = {name: client.subscribe(name)["error"]["code"] for name in ("open:a", "closed:b", "closed:a")}
    assert codes == {"open:a": 1000, "closed:b": 1001, "closed:a": 1002}


@pytest.mark.parametrize("answer", [True, False])
def test_a_function_that_says_true_or_false_allows_nothing(app, answer):
    @app.on_subscribe("closed:*")
    async def subscribe():
        return answer

    house = house_of(app)
    assert house.client().subscribe("closed:a")["error"]["code"] == 100
    level, text, failure, _ = house.log.lines[-1]
    assert (level, text) == ("error", "subscribe failed") and "to refuse, raise Refuse()" in str(failure)


# on_publish


def published(house: AppHouse, client: Any, channel: str) -> Any:
    house.world.turn()
    return client.pushes()


def test_on_publish_replaces_the_data(app):
    @app.on_subscribe("closed:*")
    async def subscribe() -> None: ...

    @app.on_publish("closed:{room}")
    async def say(message: Message, room: str, channel: str, connection: Connection) -> Line:
        return Line(text=f"{channel} {message.text}", user=connection.user or "guest")

    house = house_of(app)
    client = house.client()
    client.subscribe("closed:a")
    assert "publish" in house.call(client, publish={"channel": "closed:a", "data": {"text": "hi", "more": 1}})
    (push,) = [each for each in published(house, client, "closed:a") if "data" in each]
    assert push["data"] == {"text": "closed:a hi", "user": "guest"}


def test_none_leaves_the_very_bytes_of_the_client(app):
    @app.on_publish("open:*")
    async def say(data: Any) -> None: ...

    house = house_of(app)
    client = house.client()
    client.subscribe("open:a")
    client.session.received_frame(b'{"id":9,"publish":{"channel":"open:a","data":{"a": 1.10}}}')
    house.world.turn()
    assert any(b'{"a": 1.10}' in each for each in client.written)


def test_a_publication_may_be_changed_in_more_than_its_data(app):
    @app.on_publish("open:*")
    async def say(message: Message) -> Publish:
        return Publish(data={"text": "x"}, tags={"k": "v"}, skip_history=message.text == "skip", idempotency_key="once")

    house = house_of(app)
    client = house.client()
    client.subscribe("open:a")
    for text in ("one", "two"):
        house.call(client, publish={"channel": "open:a", "data": {"text": text}})
    pushes = published(house, client, "open:a")
    assert [(each["data"], each["tags"], each["offset"]) for each in pushes] == [({"text": "x"}, {"k": "v"}, 1)]
    house.call(client, publish={"channel": "open:b", "data": {"text": "skip"}})
    found = house.world.run(house.applications._the_publisher().history("open:b"))
    assert found == []


@pytest.mark.parametrize(
    ("failure", "code"), [(Refuse(1000, "no"), 1000), (Refuse(), 103), (LookupError("x"), 100), (HTTPError(429), 429)]
)
def test_a_publication_may_be_refused(app, failure, code):
    @app.on_publish("open:*")
    async def say() -> None:
        raise failure

    house = house_of(app)
    client = house.client()
    client.subscribe("open:a")
    reply = house.call(client, publish={"channel": "open:a", "data": 1})
    assert reply["error"]["code"] == code and published(house, client, "open:a") == []


def test_a_publication_that_does_not_fit_is_error_107(app):
    @app.on_publish("open:*")
    async def say(message: Message) -> None: ...

    house = house_of(app)
    reply = house.call(house.client(), publish={"channel": "open:a", "data": {"text": ""}})
    assert reply["error"]["code"] == 107
    assert reply["error"]["message"] == "bad request: data.text: String should have at least 1 character"
    house.log.check()


# rpc


def test_rpc_takes_and_gives_types(app):
    @app.rpc("cart.add")
    async def add(item: int, count: Annotated[int, Field(ge=1)] = 1) -> dict[str, int]:
        return {"total": item * count}

    @app.rpc("nothing")
    async def nothing() -> None: ...

    house = house_of(app)
    client = house.client()
    assert house.rpc(client, "cart.add", {"item": 2, "count": 3})["rpc"] == {"data": {"total": 6}}
    assert house.rpc(client, "nothing")["rpc"] == {"data": None}
    reply = house.rpc(client, "cart.add", {"count": 0})
    assert reply["error"] == {
        "code": 107,
        "message": "bad request: data.item: Field required; data.count: Input should be greater than or equal to 1",
    }


def test_a_method_that_nobody_answers_is_104_when_some_are_answered_else_108(app):
    assert house_of(App()).rpc(house_of(App()).client(), "x")["error"]["code"] == 108

    @app.rpc("cart.*")
    async def cart(method: str) -> str:
        return method

    house = house_of(app)
    assert house.rpc(house.client(), "other")["error"]["code"] == 104
    assert house.rpc(house.client(), "cart.x.y")["rpc"] == {"data": "cart.x.y"}


def test_a_result_that_does_not_fit_is_error_100_and_a_clear_line(app):
    @app.rpc("broken")
    async def broken() -> Message:
        return {"text": 5}  # type: ignore[return-value]

    house = house_of(app)
    client = house.client()
    assert house.rpc(client, "broken")["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    level, text, failure, fields = house.log.lines[-1]
    assert (level, text) == ("error", "rpc failed") and fields["client"] == client.session.id
    assert "broken: its result does not fit the declared type" in str(failure) and "text" in str(failure)


@pytest.mark.parametrize("part", ["info", "data", "meta"])
def test_a_part_of_an_answer_without_a_json_form_is_a_line_that_names_the_function(app, part):
    @app.on_connect
    async def greet() -> Accept:
        return Accept(**{part: object()})

    house = house_of(app)
    client = house.world.client()
    client.send(id=1, connect={})
    assert client.take()[0]["error"]["code"] == 100
    assert "greet: its Accept cannot be sent" in str(house.log.lines[-1][2])


@pytest.mark.parametrize("answer", [Allow(data=object()), Publish(data=object())])
def test_so_it_is_with_subscriptions_and_publications(app, answer):
    decorate = app.on_subscribe if isinstance(answer, Allow) else app.on_publish

    @decorate("closed:*")
    async def decide() -> Any:
        return answer

    house = house_of(app)
    client = house.client()
    command = "subscribe" if isinstance(answer, Allow) else "publish"
    client.send(id=9, **{command: {"channel": "closed:a", "data": 1}})
    assert client.take()[0]["error"]["code"] == 100
    assert f"decide: its {type(answer).__name__} cannot be sent" in str(house.log.lines[-1][2])


def test_a_function_that_fails_is_error_100_and_one_line(app):
    @app.rpc("fails")
    async def fails() -> None:
        raise LookupError("secret")

    house = house_of(app)
    reply = house.rpc(house.client(), "fails")
    assert reply["error"]["code"] == 100 and "secret" not in str(reply)
    assert house.log.texts("error") == ["rpc failed"]


@pytest.mark.parametrize("kind", ["websocket/json", "websocket/protobuf"])
def test_bytes_that_are_no_json_are_error_107(app, kind):
    """Clients that speak Protobuf may send any."""
    from rtserver.protocols import client_pb2

    @app.rpc("say")
    async def say(message: Message) -> None: ...

    house = house_of(app)
    if kind == "websocket/json":
        assert house.rpc(house.client(), "say", "text")["error"]["code"] == 107
        return
    client = house.world.client(kind)
    for command in (
        client_pb2.Command(id=1, connect=client_pb2.ConnectRequest()),
        client_pb2.Command(id=2, rpc=client_pb2.RPCRequest(method="say", data=b"\xff\x00")),
    ):
        body = command.SerializeToString()
        client.session.received_frame(bytes([len(body)]) + body)
    assert b"bad request: data: Invalid JSON" in b"".join(client.written)
    house.log.check()


def test_plain_functions_run_in_threads_and_may_publish_from_there(app):
    @app.rpc("news")
    def news(text: str, publisher: Publisher) -> int:
        return wait(publisher.publish("open:news", {"text": text})).offset

    house = house_of(app)
    client = house.client()
    client.subscribe("open:news")
    assert house.rpc(client, "news", {"text": "hi"})["rpc"] == {"data": 1}
    house.world.turn()
    assert client.pushes()[0]["data"] == {"text": "hi"} and house.threads.functions == [news]


def test_when_every_thread_is_taken_the_client_is_asked_to_come_again(app):
    @app.rpc("plain")
    def plain() -> None: ...

    house = house_of(app)
    client = house.client()
    house.threads.is_full = True
    for _ in range(3):
        assert house.rpc(client, "plain")["error"] == {"code": 111, "message": "too many requests", "temporary": True}
    assert house.log.texts("warn") == ["too many wait"] and house.log.texts("error") == []


def test_providers_are_called_once_and_ended(app):
    notes = []

    async def session() -> AsyncIterator[str]:
        notes.append("open")
        try:
            yield "session"
        finally:
            notes.append("close")

    def repeated(session: Annotated[str, Depends(session)], text: str) -> str:
        return session + text

    @app.rpc("x")
    async def x(session: Annotated[str, Depends(session)], repeated: Annotated[str, Depends(repeated)]) -> list[str]:
        notes.append("work")
        return [session, repeated]

    house = house_of(app)
    assert house.rpc(house.client(), "x", {"text": "!"})["rpc"]["data"] == ["session", "session!"]
    assert notes == ["open", "work", "close"]


def test_what_realtime_functions_are_not_given_is_refused_when_the_server_is_made(app):
    @app.rpc("x")
    async def x(request: Request) -> None: ...

    with pytest.raises(TypeError, match="x: request: realtime functions are given .*Connection.*, but no Request"):
        house_of(app)


@pytest.mark.parametrize("declare", ["on_connect", "on_subscribe", "on_publish", "rpc"])
def test_two_functions_for_the_same_are_refused(app, declare):
    for _ in range(2):

        async def function() -> None: ...

        decorator = getattr(app, declare)
        (decorator if declare == "on_connect" else decorator("a"))(function)
    with pytest.raises(ValueError, match="declared twice"):
        house_of(app)


# Time and leaving


def waiting(app: App, notes: list[str], **options: Any) -> list[Deferred[Any]]:
    """What the calls of "wait" wait for."""
    waited: list[Deferred[Any]] = []

    @app.rpc("wait", **options)
    async def wait_for() -> Any:
        try:
            waited.append(Deferred())
            return await waited[-1]
        except CancelledError:
            notes.append("cancelled")
            raise

    return waited


def test_a_function_may_take_its_time(app):
    waited = waiting(app, [])
    house = house_of(app)
    client = house.client()
    client.send(id=9, rpc={"method": "wait"})
    house.clock.advance(29)
    assert client.take() == []
    waited[0].callback(5)
    assert client.take() == [{"id": 9, "rpc": {"data": 5}}]
    house.clock.advance(60)
    house.log.check()


@pytest.mark.parametrize(("options", "seconds"), [({}, 30), ({"seconds": 2}, 2)])
def test_one_that_takes_too_long_is_error_100_and_one_line(app, options, seconds):
    notes: list[str] = []
    waiting(app, notes, **options)
    house = house_of(app)
    client = house.client()
    client.send(id=9, rpc={"method": "wait"})
    house.clock.advance(seconds)
    assert client.take() == [{"id": 9, "error": {"code": 100, "message": "internal server error", "temporary": True}}]
    assert notes == ["cancelled"] and house.log.texts("error") == []
    (text,) = house.log.texts("warn")
    assert f"wait_for took longer than its {seconds} s and was given up" in text


def test_a_client_that_leaves_cancels_what_is_done_for_it(app):
    notes: list[str] = []
    waiting(app, notes)
    house = house_of(app)
    one, two = house.client(), house.client()
    for client in (one, two):
        client.send(id=9, rpc={"method": "wait"})
    one.session.lost()
    house.clock.advance(0)
    assert notes == ["cancelled"]
    house.clock.advance(100)
    assert notes == ["cancelled", "cancelled"] and len(house.log.texts("warn")) == 1 and house.log.texts("error") == []


def test_a_client_that_leaves_while_it_connects_cancels_that(app):
    notes = []

    @app.on_connect
    async def connect() -> None:
        try:
            await Deferred()
        except CancelledError:
            notes.append("cancelled")
            raise

    house = house_of(app)
    client = house.world.client()
    client.send(id=1, connect={})
    client.session.lost()
    house.clock.advance(0)
    assert notes == ["cancelled"] and house.log.texts("error") == []


def test_a_function_may_end_the_connection_that_it_is_called_for(app):
    @app.rpc("leave")
    async def leave(connection: Connection, publisher: Publisher, clock: Clock) -> None:
        await publisher.disconnect(connection.user, 4500, "as you wish")
        await clock.sleep(1)

    house = house_of(app)
    house.world.tokens.connections["t"] = ConnectionClaims("ada")
    client = house.client(token="t")
    client.send(id=9, rpc={"method": "leave"})
    assert client.closed == errors.DisconnectReason(4500, "as you wish")
    house.clock.advance(5)
    assert house.log.texts("error") == []


@pytest.mark.parametrize("failure", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_what_would_end_the_program_is_error_100_and_one_line(app, failure, seconds):
    @app.rpc("leave")
    async def leave(clock: Clock) -> None:
        if seconds:
            await clock.sleep(seconds)
        raise failure

    house = house_of(app)
    client = house.client()
    client.send(id=9, rpc={"method": "leave"})
    house.clock.advance(seconds)
    assert [each["error"]["code"] for each in client.take()] == [100] and client.closed is None
    assert house.log.texts("error") == ["rpc failed"]
    reason = house.log.lines[-1][2]
    assert f"it raised {type(failure).__name__}" in str(reason) and reason.__cause__ is failure
    assert "in leave" in "".join(traceback.format_tb(reason.__traceback__))


def test_a_cancelled_deferred_of_the_application_itself_is_error_100(app):
    waited = waiting(app, [])
    house = house_of(app)
    client = house.client()
    client.send(id=9, rpc={"method": "wait"})
    waited[0].cancel()
    assert client.take()[0]["error"]["code"] == 100 and house.log.texts("error") == ["rpc failed"]


# on_disconnect


def test_on_disconnect_hears_who_left_and_why(app):
    heard = []

    @app.on_disconnect
    async def gone(connection: Connection, code: int, reason: str) -> None:
        heard.append((connection.user, code, reason))

    house = house_of(app)
    house.world.tokens.connections["t"] = ConnectionClaims("ada")
    house.client(token="t").session.lost()
    house.client(token="t").session.close(errors.FORCE_DISCONNECT)
    house.world.client().session.lost()  # never connected
    assert heard == [("ada", 3000, "connection closed"), ("ada", 3503, "force disconnect")]


def test_every_function_hears_of_it_also_when_one_fails(app):
    heard = []
    other = App("other")

    @app.on_disconnect
    async def fails() -> None:
        raise LookupError

    @other.on_disconnect
    async def hears() -> None:
        heard.append(1)

    house = AppHouse(app, other)
    house.client().session.lost()
    assert heard == [1] and len(house.log.texts("error")) == 1


def test_what_is_done_after_a_client_has_left_is_not_cancelled_by_that(app):
    heard = []

    @app.on_disconnect
    async def gone(clock: Clock) -> None:
        await clock.sleep(1)
        heard.append(1)

    house = house_of(app)
    house.client().session.lost()
    house.clock.advance(0)
    house.clock.advance(1)
    assert heard == [1]
