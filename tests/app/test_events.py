"""Realtime functions without a server: what they are given, what they may answer, and which are refused at once."""

import typing
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Raw, Struct
from pydantic import BaseModel, Field, ValidationError
from twisted.internet.defer import Deferred

from rtserver.app import (
    Accept,
    Allow,
    App,
    Body,
    Connection,
    Cookie,
    Depends,
    Disconnect,
    Given,
    Header,
    Path,
    Publish,
    Refuse,
    User,
)
from rtserver.app.endpoint import Description
from rtserver.app.events import Event, EventFunction, EventSource, read_stream, sentence
from rtserver.app.parameters import Wanted
from rtserver.app.shapes import Invalid, Unfit
from tests.app_house import FakeThreads, now


class Message(BaseModel):
    text: str
    stars: int = 0


class Tick(Struct):
    price: float


def call(
    event: Event,
    function: Any,
    payload: Any = b"",
    named: Mapping[str, str] | None = None,
    pattern: str = "*",
    given: Mapping[type[Given], Given] | None = None,
) -> Any:
    made = EventFunction(event, pattern, function)
    text = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)

    def give(wanted: Wanted) -> Given | None:
        return (given or {}).get(wanted.kind)

    source = EventSource(made, text, named or {}, give)
    return now(Deferred.fromCoroutine(made.call(source, FakeThreads().run)))


def rpc(function: Any, payload: Any = b"", **keywords: Any) -> Any:
    return msgspec.json.decode(call(Event.RPC, function, payload, **keywords))


def mistakes(function: Any, payload: Any = b"", **keywords: Any) -> str:
    with pytest.raises(Invalid) as caught:
        rpc(function, payload, **keywords)
    return sentence(caught.value.mistakes)


# Arguments


def test_one_model_is_the_whole_payload():
    async def say(message: Message) -> str:
        return message.text

    async def count(numbers: list[int]) -> int:
        return sum(numbers)

    async def tick(tick: Tick) -> float:
        return tick.price

    async def scalar(number: Annotated[int, Body()]) -> int:
        return number

    assert rpc(say, {"text": "hi"}) == "hi" and rpc(count, [1, 2]) == 3
    assert rpc(tick, {"price": 1.5}) == 1.5 and rpc(scalar, 5) == 5


def test_several_parameters_and_plain_ones_are_keys():
    async def one(number: int) -> int:
        return number

    async def several(message: Message, count: Annotated[int, Field(ge=1)] = 1) -> list[Any]:
        return [message.text, count]

    async def named(message: Annotated[Message, Body("m")]) -> str:
        return message.text

    assert rpc(one, {"number": "5"}) == 5
    assert rpc(several, {"message": {"text": "hi"}, "other": 1}) == ["hi", 1]
    assert rpc(named, {"m": {"text": "hi"}}) == "hi"


def test_everything_may_have_a_default():
    async def rest(number: int = 5) -> int:
        return number

    async def whole(message: Message | None = None) -> bool:
        return message is None

    assert rpc(rest) == 5 and rpc(rest, {}) == 5 and rpc(whole) is True and rpc(whole, b"null") is True


def test_every_mistake_is_told_at_once():
    async def several(message: Message, count: Annotated[int, Field(ge=1)], more: str) -> None: ...

    assert mistakes(several, {"message": {"stars": "x"}, "count": 0}) == (
        "data.count: Input should be greater than or equal to 1; data.more: Field required; data.message.text: Field "
        "required; data.message.stars: Input should be a valid integer, unable to parse string as an integer"
    )


@pytest.mark.parametrize("payload", [b"", b"null", b"5", b"[]", b'"x"', b"\xff", b"{", b"not json"])
def test_a_payload_that_is_nothing_of_the_kind_is_a_mistake(payload):
    async def whole(message: Message) -> None: ...

    async def struct(tick: Tick) -> None: ...

    async def keys(a: int, b: int) -> None: ...

    assert mistakes(whole, payload).startswith("data: ") and mistakes(struct, payload).startswith("data: ")
    text = mistakes(keys, payload)
    assert text == ("data.a: Field required; data.b: Field required" if not payload else text)
    assert not payload or text == "data: Input should be an object with the keys a, b"


def test_the_parts_of_a_pattern_are_arguments_with_types():
    async def read(room: int, user: str, method: str) -> list[Any]:
        return [room, user, method]

    named = {"room": "5", "user": "a", "method": "x.5.a"}
    assert rpc(read, pattern="x.{room}.{user}", named=named) == [5, "a", "x.5.a"]
    text = mistakes(read, pattern="x.{room}.{user}", named={**named, "room": "x"})
    assert text.startswith("method.room: Input should be a valid integer")


def test_a_part_may_be_left_and_a_name_that_is_no_part_is_of_the_payload():
    async def read(user: str) -> str:
        return user

    assert rpc(read, {"user": "b"}, pattern="x.{room}") == "b"


def test_a_part_of_the_pattern_may_have_the_name_of_the_whole():
    async def read(channel: str) -> Publish:
        return Publish(data=channel)

    answer = call(Event.PUBLISH, read, pattern="chat:{channel}", named={"channel": "a"})
    assert answer.data == "a"


def test_providers_take_the_payload_the_parts_and_what_is_given():
    def author(room: str, user: User, stars: int = 0) -> str:
        return f"{user.id}@{room}*{stars}"

    async def say(text: str, author: Annotated[str, Depends(author)]) -> str:
        return f"{author}: {text}"

    assert (
        rpc(say, {"text": "hi", "stars": 3}, pattern="{room}", named={"room": "lobby"}, given={User: User("ada")})
        == "ada@lobby*3: hi"
    )


def test_a_plain_function_runs_in_a_thread():
    def plain(n: int) -> int:
        return n + 1

    assert rpc(plain, {"n": 1}) == 2


def test_a_client_that_has_left_leaves_a_code_and_a_reason():
    heard = []

    async def gone(code: int, reason: str) -> None:
        heard.append((code, reason))

    assert call(Event.DISCONNECT, gone, named={"code": "3000", "reason": "bye"}) is None
    assert heard == [(3000, "bye")]


# Answers


async def nothing() -> None: ...


def returning(value: Any, kind: Any = ...) -> Any:
    async def answer(): ...

    async def give():
        return value

    if kind is not ...:
        give.__annotations__["return"] = kind
    return give


@pytest.mark.parametrize(
    ("event", "own"),
    [(Event.CONNECT, Accept(user="a")), (Event.SUBSCRIBE, Allow(info=1)), (Event.PUBLISH, Publish(data=1))],
)
def test_none_and_the_answer_of_the_event_are_taken_as_they_are(event, own):
    for kind in (..., type(own), type(own) | None):
        assert call(event, returning(own, kind)) is own
        assert call(event, returning(None, kind)) is None
    assert call(event, nothing) is None


@pytest.mark.parametrize("event", [Event.SUBSCRIBE, Event.PUBLISH, Event.RPC])
@pytest.mark.parametrize("kind", [..., Message, Message | None])
def test_a_value_is_written_by_its_type(event, kind):
    assert call(event, returning(Message(text="a"), kind)) == Raw(b'{"text":"a","stars":0}')


def test_a_value_beside_the_own_answer_is_written_by_its_own_type():
    assert call(Event.PUBLISH, returning({"text": "a", "more": 1}, Publish | Message)) == Raw(b'{"text":"a","stars":0}')


def test_an_rpc_without_a_result_answers_null():
    assert call(Event.RPC, nothing) == call(Event.RPC, returning(None)) == Raw(b"null")
    assert call(Event.RPC, returning(5, None)) == Raw(b"null")
    assert call(Event.RPC, returning(False, bool)) == Raw(b"false")


@pytest.mark.parametrize("event", [Event.SUBSCRIBE, Event.PUBLISH])
@pytest.mark.parametrize("value", [True, False])
def test_a_function_that_says_no_with_false_is_told_to_refuse(event, value):
    """Else it would allow everything."""
    with pytest.raises(TypeError, match=r"to refuse, raise Refuse\(\)"):
        call(event, returning(value))
    with pytest.raises(TypeError, match=r"to refuse, raise Refuse\(\)"):
        EventFunction(event, "*", returning(value, bool))
    with pytest.raises(TypeError, match=r"to refuse, raise Refuse\(\)"):
        EventFunction(event, "*", returning(value, bool | None))


@pytest.mark.parametrize(
    ("event", "value"),
    [
        (Event.CONNECT, "ada"),
        (Event.CONNECT, Allow()),
        (Event.SUBSCRIBE, Accept()),
        (Event.PUBLISH, Allow()),
        (Event.RPC, Allow()),
        (Event.DISCONNECT, 5),
        (Event.DISCONNECT, Publish()),
    ],
)
def test_an_answer_that_means_nothing_is_a_mistake_of_the_application(event, value):
    with pytest.raises(TypeError, match=f"a {type(value).__name__}: a function for {event.value} returns None"):
        call(event, returning(value))
    with pytest.raises(TypeError, match="returns None"):
        EventFunction(event, "*", returning(value, type(value)))


@pytest.mark.parametrize("event", [Event.CONNECT, Event.SUBSCRIBE])
def test_a_value_where_only_the_own_answer_was_declared_is_one_too(event):
    own = {Event.CONNECT: Accept, Event.SUBSCRIBE: Allow}[event]
    with pytest.raises(TypeError, match="it answered with a dict"):
        call(event, returning({}, own))


def test_a_list_of_truths_is_a_value():
    assert call(Event.PUBLISH, returning([True], list[bool])) == Raw(b"[true]")


def test_a_value_of_another_type_does_not_fit():
    for event in (Event.PUBLISH, Event.RPC):
        with pytest.raises(Unfit):
            call(event, returning({"stars": 1}, Message))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Accept(user=5),  # type: ignore[arg-type]
        lambda: Accept(channels="news"),  # type: ignore[arg-type]
        lambda: Accept(expire_at="soon"),  # type: ignore[arg-type]
        lambda: Allow(expire_at=1.5),  # type: ignore[arg-type]
        lambda: Publish(tags={"a": 1}),  # type: ignore[dict-item]
        lambda: Publish(idempotency_key=5),  # type: ignore[arg-type]
        lambda: Accept(name="ada"),  # type: ignore[call-arg]
    ],
)
def test_answers_have_types_of_their_own(make):
    with pytest.raises((ValidationError, TypeError)):
        make()


@pytest.mark.parametrize("kind", [Accept, Allow])
@pytest.mark.parametrize("at", [-1, 1_800_000_000_000, 10**30])
def test_an_end_is_a_time_in_unix_seconds(kind, at):
    with pytest.raises(ValidationError, match="expire_at"):
        kind(expire_at=at)
    assert kind(expire_at=1_800_000_000).expire_at == 1_800_000_000


def test_a_channel_has_a_name():
    with pytest.raises(ValidationError, match="at least 1 character"):
        Accept(channels=("",))


def test_channels_may_be_any_list():
    assert Accept(channels=["a", "b"]).channels == ("a", "b")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [100, 103, 113, 400, 1999])
def test_a_refusal_has_a_code_of_the_protocol_or_of_the_application(code):
    assert Refuse(code, "no").code == code


@pytest.mark.parametrize("code", [0, 99, 114, 399, 2000, 3000])
def test_other_codes_are_refused(code):
    with pytest.raises(ValueError, match="400 to 1999"):
        Refuse(code)


@pytest.mark.parametrize(("code", "reason"), [(3500, "x"), (5000, "x"), (4500, ""), (4500, "é" * 62)])
def test_a_close_has_a_code_of_applications_and_a_reason_that_fits_a_frame(code, reason):
    with pytest.raises(ValueError):
        Disconnect(code, reason)
    assert Disconnect(4499, "x" * 123).code == 4499


# Declarations that are refused


def test_realtime_functions_have_no_headers():
    def header(x: Annotated[str, Header()]): ...

    def cookie(x: Annotated[str, Cookie()]): ...

    for each in (header, cookie):
        with pytest.raises(TypeError, match="realtime functions take no"):
            EventFunction(Event.RPC, "*", each)


def test_a_part_that_the_pattern_has_not_is_refused():
    def read(room: Annotated[str, Path()]): ...

    with pytest.raises(TypeError, match="the path has no {room}"):
        EventFunction(Event.RPC, "x.*", read)


def test_a_client_that_has_left_sends_nothing():
    def gone(message: Message): ...

    with pytest.raises(TypeError, match="a client that has left sends no message"):
        EventFunction(Event.DISCONNECT, "*", gone)


def test_only_streams_yield():
    async def read() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="only providers and streams may yield"):
        EventFunction(Event.RPC, "*", read)


# Streams


def test_a_stream_takes_the_parts_of_its_pattern_and_what_is_given():
    async def prices(symbol: str, channel: str, connection: Connection) -> AsyncIterator[Tick]:
        yield Tick(1.0)

    stream = read_stream("prices:{symbol}", prices, Description())
    assert [each.name for each in stream.signature.parameters] == ["symbol", "channel"]
    assert stream.result.dump(Tick(1.0)) == b'{"price":1.0}'


def test_a_stream_without_a_declared_type_gives_any_value():
    async def values():
        yield 1

    assert read_stream("a", values, Description()).result.dump({"a": 1}) == b'{"a":1}'


@pytest.mark.parametrize("returns", [AsyncIterator[Tick], AsyncGenerator[Tick, None], typing.AsyncIterable[Tick]])
def test_the_type_of_a_streams_values_may_be_said_in_several_ways(returns):
    async def prices():
        yield Tick(1.0)

    prices.__annotations__["return"] = returns
    assert read_stream("a", prices, Description()).result.annotation is Tick


@pytest.mark.parametrize(("returns", "name"), [(Tick, "Tick"), (None, "NoneType"), (Iterator[Tick], "")])
def test_another_type_is_refused_because_anything_would_leave(returns, name):
    async def prices():
        yield Tick(1.0)

    prices.__annotations__["return"] = returns
    with pytest.raises(TypeError, match=rf"prices: .* returns AsyncIterator\[{name}"):
        read_stream("a", prices, Description())


def test_what_is_no_stream_is_refused():
    async def returning() -> int:
        return 1

    def plain():
        yield 1

    async def asking(n: int) -> AsyncIterator[int]:
        yield n

    for function, text in ((returning, "async def with yield"), (plain, "async def with yield"), (asking, "fill n")):
        with pytest.raises(TypeError, match=text):
            read_stream("a", function, Description())


# Sentences


def test_mistakes_are_one_line_of_bounded_length():
    made = [{"loc": ["data", number], "msg": "x" * 50} for number in range(100)]
    text = sentence(made)
    assert len(text) == 1000 and text.endswith("...") and text.startswith("data.0: xxx")


def test_functions_keep_their_docstrings():
    app = App()

    @app.rpc("add")
    async def add() -> None:
        """Adds.

        More of it.
        """

    assert (app.events[0].description.summary, app.events[0].description.text) == ("Adds.", "More of it.")
