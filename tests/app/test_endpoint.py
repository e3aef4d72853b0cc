"""One endpoint without a server: how a request becomes arguments and a result an answer, and what providers live through."""

import functools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel
from twisted.internet.defer import CancelledError, Deferred

from rtserver.app import Body, Depends, Given, Header, HTTPError, Path, Query, Response, wait
from rtserver.app.calling import TooBusy
from rtserver.app.endpoint import Endpoint
from rtserver.app.shapes import Invalid, NotText, Unfit
from tests.app_house import FakeThreads, now


class Item(BaseModel):
    id: int


@dataclass(frozen=True)
class Shop(Given):
    name: str


@dataclass(frozen=True)
class Gate(Given):
    @staticmethod
    def absent() -> HTTPError:
        return HTTPError(401, "closed")


@dataclass
class FakeIncoming:
    """A request of plain values."""

    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, list[str]] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    given: Mapping[type[Given], Given] = field(default_factory=dict)
    asked: list[type[Given]] = field(default_factory=list)

    def header(self, name: str) -> list[str]:
        return list(self.headers.get(name, []))

    def cookie(self, name: str) -> str | None:
        return self.cookies.get(name)

    async def give(self, kind: type[Given]) -> Given | None:
        self.asked.append(kind)
        return self.given.get(kind)


def begin(
    function: Any, path: Mapping[str, str] | None = None, threads: FakeThreads | None = None, **incoming: Any
) -> Any:
    template = "/" + "/".join(f"{{{name}}}" for name in path or {})
    endpoint = Endpoint("POST", template, function)
    run = (threads or FakeThreads()).run
    return Deferred.fromCoroutine(endpoint.respond(FakeIncoming(**incoming), path or {}, run))


def ask(function: Any, path: Mapping[str, str] | None = None, **incoming: Any) -> Any:
    """The JSON of the answer."""
    return msgspec.json.decode(now(begin(function, path, **incoming)).content)


def mistakes(function: Any, path: Mapping[str, str] | None = None, **incoming: Any) -> list[list[Any]]:
    with pytest.raises(Invalid) as caught:
        ask(function, path, **incoming)
    return [each["loc"] for each in caught.value.mistakes]


# Arguments


def test_every_mistake_of_every_place_is_told_at_once():
    def read(
        item: Item, a: int, q: int, x: Annotated[int, Header()], many: Annotated[list[int], Query()], more: int = 0
    ) -> None: ...

    found = mistakes(
        read, {"a": "x"}, query={"q": ["x"], "many": ["1", "y"], "more": ["z"]}, headers={"x": ["y"]}, body=b"{}"
    )
    assert found == [
        ["path", "a"],
        ["query", "q"],
        ["query", "many", 1],
        ["query", "more"],
        ["header", "x"],
        ["body", "id"],
    ]


def test_a_default_is_taken_when_nothing_came():
    async def read(a: int = 5, b: Annotated[list[int], Query()] = [1]) -> list[Any]:  # noqa: B006
        b.append(a)
        return b

    assert ask(read) == ask(read) == [1, 5]


def test_one_body_is_taken_whole_and_several_by_their_names():
    async def one(item: Item) -> Item:
        return item

    async def named(item: Annotated[Item, Body("thing")]) -> Item:
        return item

    async def several(a: Item, b: Item | None = None) -> list[Any]:
        return [a, b]

    assert ask(one, body=b'{"id":1}') == {"id": 1}
    assert ask(named, body=b'{"thing":{"id":1}}') == {"id": 1}
    assert ask(several, body=b'{"a":{"id":1},"c":5}') == [{"id": 1}, None]
    assert mistakes(several, body=b'{"a":{"id":"x"},"b":{}}') == [["body", "a", "id"], ["body", "b", "id"]]


def test_a_body_of_a_function_and_its_provider_with_one_name_is_one_body():
    async def check(item: Item) -> int:
        return item.id

    async def read(item: Item, checked: Annotated[int, Depends(check)]) -> list[Any]:
        return [item, checked]

    assert ask(read, body=b'{"id":1}') == [{"id": 1}, 1]


def test_one_name_may_be_two_types_in_a_function_and_its_provider():
    async def check(item: dict[str, Any]) -> int:
        return len(item)

    async def read(item: Item, checked: Annotated[int, Depends(check)]) -> list[Any]:
        return [item, checked]

    assert ask(read, body=b'{"id":1,"more":2}') == [{"id": 1}, 2]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"nope"])
def test_a_body_that_is_no_json_is_told_apart(body):
    async def one(item: Item) -> None: ...

    async def several(a: Item, b: Item) -> None: ...

    for each in (one, several):
        with pytest.raises(NotText):
            ask(each, body=body)


@pytest.mark.parametrize("body", [b"[1,]", b"5 5", b"[[[", b'"a'])
def test_a_body_that_begins_like_another_type_and_is_no_json_is_told_apart_too(body):
    async def several(a: Item, b: Item) -> None: ...

    with pytest.raises(NotText):
        ask(several, body=body)


def test_a_body_that_is_no_object_where_keys_are_wanted_is_one_mistake():
    async def several(a: Item, b: Item, c: Annotated[int, Body()] = 1) -> None: ...

    assert mistakes(several, body=b"[]") == [["body"]]
    assert mistakes(several) == [["body", "a"], ["body", "b"]]


# What is given


def test_who_may_not_call_learns_nothing_of_the_body():
    async def read(item: Item, gate: Gate) -> None: ...

    with pytest.raises(HTTPError) as caught:
        ask(read, body=b"{")
    assert caught.value.status == 401


def test_something_that_may_be_missing_is_none():
    async def read(gate: Gate | None) -> bool:
        return gate is None

    assert ask(read) is True and ask(read, given={Gate: Gate()}) is False


def test_something_that_this_server_does_not_have_is_a_failure():
    async def read(shop: Shop) -> None: ...

    with pytest.raises(HTTPError) as caught:
        ask(read)
    assert caught.value.status == 500


def test_something_is_asked_for_once_however_many_want_it():
    async def inner(shop: Shop) -> str:
        return shop.name

    async def read(shop: Shop, name: Annotated[str, Depends(inner)]) -> str:
        return shop.name + name

    endpoint = Endpoint("GET", "/", read)
    incoming = FakeIncoming(given={Shop: Shop("x")})
    answer = now(Deferred.fromCoroutine(endpoint.respond(incoming, {}, FakeThreads().run)))
    assert answer.content == b'"xx"' and incoming.asked == [Shop]


# Providers


def test_a_provider_is_called_once_for_a_request_and_anew_for_the_next():
    calls = []

    async def number(n: int = 0) -> int:
        calls.append(n)
        return len(calls)

    async def twice(number: Annotated[int, Depends(number)]) -> int:
        return 2 * number

    async def read(number: Annotated[int, Depends(number)], twice: Annotated[int, Depends(twice)]) -> list[int]:
        return [number, twice]

    assert ask(read) == [1, 2] and ask(read, query={"n": ["5"]}) == [2, 4] and calls == [0, 5]


def test_providers_of_every_kind_make_values():
    threads = FakeThreads()

    class Page:
        def __init__(self, skip: int = 7) -> None:
            self.skip = skip

    async def awaited() -> int:
        return 1

    def plain() -> int:
        return 2

    async def generator() -> AsyncIterator[int]:
        yield 3

    def plain_generator() -> Iterator[int]:
        yield 4

    async def read(
        a: Annotated[int, Depends(awaited)],
        b: Annotated[int, Depends(plain)],
        c: Annotated[int, Depends(generator)],
        d: Annotated[int, Depends(plain_generator)],
        page: Annotated[Page, Depends(Page)],
    ) -> list[int]:
        return [a, b, c, d, page.skip]

    assert now(begin(read, threads=threads)).content == b"[1,2,3,4,7]"
    assert plain in threads.functions and awaited not in threads.functions and Page not in threads.functions


def test_what_partial_has_filled_is_not_the_clients_to_choose():
    async def need(role: str, name: str) -> str:
        return f"{name} is {role}"

    async def read(who: Annotated[str, Depends(functools.partial(need, role="admin"))]) -> str:
        return who

    assert ask(read, query={"role": ["guest"], "name": ["ada"]}) == "ada is admin"


def test_no_provider_is_called_after_a_mistake_and_each_mistake_is_told_once():
    calls = []

    async def page(limit: int) -> int:
        calls.append("page")
        return limit

    async def other() -> int:
        calls.append("other")
        return 1

    async def outer(page: Annotated[int, Depends(page)], other: Annotated[int, Depends(other)]) -> int:
        calls.append("outer")
        return page

    async def read(a: Annotated[int, Depends(outer)], page: Annotated[int, Depends(page)], n: int) -> None: ...

    assert mistakes(read, query={"limit": ["x"]}) == [["query", "limit"], ["query", "n"]]
    assert calls == []


def test_a_provider_may_refuse_before_the_body_is_looked_at():
    async def member(user: str = "") -> str:
        raise HTTPError(403, "members only")

    async def read(item: Item, member: Annotated[str, Depends(member)]) -> None: ...

    with pytest.raises(HTTPError):
        ask(read, body=b"{}")


class Recorder:
    """A provider that yields, and notes what it lives through."""

    def __init__(self, swallows: bool = False, fails: bool = False) -> None:
        self.notes: list[str] = []
        self.swallows = swallows
        self.fails = fails

    async def session(self) -> AsyncIterator[str]:
        self.notes.append("open")
        try:
            yield "session"
            self.notes.append("commit")
        except Exception as error:
            self.notes.append(f"undo {type(error).__name__}")
            if not self.swallows:
                raise
        finally:
            self.notes.append("close")
            if self.fails:
                raise ConnectionError("commit failed")

    def plain(self) -> Iterator[str]:
        self.notes.append("open")
        try:
            yield "session"
            self.notes.append("commit")
        except Exception as error:
            self.notes.append(f"undo {type(error).__name__}")
            raise
        finally:
            self.notes.append("close")


def using(provider: Any, work: Any) -> Any:
    async def read(session: Annotated[str, Depends(provider)]) -> int:
        assert session == "session"
        outcome = work()
        return await outcome if isinstance(outcome, Deferred) else outcome

    return read


def fail() -> None:
    raise LookupError("no")


@pytest.mark.parametrize("kind", ["session", "plain"])
def test_a_provider_that_yields_goes_on_when_the_answer_is_made(kind):
    recorder = Recorder()
    assert ask(using(getattr(recorder, kind), lambda: recorder.notes.append("work") or 5)) == 5
    assert recorder.notes == ["open", "work", "commit", "close"]


@pytest.mark.parametrize("kind", ["session", "plain"])
def test_it_learns_of_a_failure(kind):
    recorder = Recorder()
    with pytest.raises(LookupError):
        ask(using(getattr(recorder, kind), fail))
    assert recorder.notes == ["open", "undo LookupError", "close"]


def test_it_learns_of_a_result_that_does_not_fit():
    recorder = Recorder()
    with pytest.raises(Unfit):
        ask(using(recorder.session, lambda: "no number"))
    assert recorder.notes == ["open", "undo Unfit", "close"]


def test_it_cannot_make_a_success_of_a_failure():
    recorder = Recorder(swallows=True)
    with pytest.raises(LookupError):
        ask(using(recorder.session, fail))
    assert recorder.notes == ["open", "undo LookupError", "close"]


def test_its_own_failure_at_the_end_is_that_of_the_call():
    with pytest.raises(ConnectionError):
        ask(using(Recorder(fails=True).session, lambda: 5))


@pytest.mark.parametrize("kind", ["session", "plain"])
def test_a_call_that_is_given_up_ends_its_providers(kind):
    recorder = Recorder()
    work = begin(using(getattr(recorder, kind), Deferred))
    assert recorder.notes == ["open"]
    work.cancel()
    with pytest.raises(CancelledError):
        now(work)
    assert recorder.notes == ["open", "undo CancelledError", "close"]


def test_providers_end_in_the_opposite_order():
    notes: list[str] = []

    async def outer() -> AsyncIterator[int]:
        yield 1
        notes.append("outer")

    async def inner(outer: Annotated[int, Depends(outer)]) -> AsyncIterator[int]:
        yield outer
        notes.append("inner")

    async def read(inner: Annotated[int, Depends(inner)], outer: Annotated[int, Depends(outer)]) -> None: ...

    ask(read)
    assert notes == ["inner", "outer"]


def test_what_was_opened_is_closed_when_a_later_provider_fails():
    recorder = Recorder()

    async def refuse() -> None:
        raise HTTPError(403)

    async def read(a: Annotated[str, Depends(recorder.session)], b: Annotated[None, Depends(refuse)]) -> None: ...

    with pytest.raises(HTTPError):
        ask(read)
    assert recorder.notes == ["open", "undo HTTPError", "close"]


def test_the_second_half_of_a_plain_provider_runs_however_busy_the_threads_are():
    recorder, threads = Recorder(), FakeThreads()

    def work() -> int:
        threads.is_full = True
        return 5

    assert now(begin(using(recorder.plain, work), threads=threads)).content == b"5"
    assert recorder.notes[-1] == "close"
    with pytest.raises(TooBusy):
        now(begin(using(recorder.plain, work), threads=threads))


def test_a_plain_provider_that_opens_while_its_call_is_given_up_is_closed():
    recorder, threads = Recorder(), FakeThreads()
    threads.is_held = True
    work = begin(using(recorder.plain, lambda: 5), threads=threads)
    work.cancel()
    assert recorder.notes == []
    threads.go()
    with pytest.raises(CancelledError):
        now(work)
    assert recorder.notes in ([], ["open", "undo CancelledError", "close"])


def test_a_session_is_not_closed_while_the_thread_that_uses_it_still_runs():
    recorder, threads = Recorder(), FakeThreads()

    def read(session: Annotated[str, Depends(recorder.session)]) -> None: ...

    threads.is_held = True
    work = begin(read, threads=threads)
    work.cancel()
    assert recorder.notes == ["open"]
    threads.go()
    with pytest.raises(CancelledError):
        now(work)
    assert recorder.notes == ["open", "undo CancelledError", "close"]


# How it is run


def test_a_plain_function_runs_in_a_thread_and_may_wait_there():
    threads = FakeThreads()

    async def later() -> int:
        return 5

    def read() -> int:
        return wait(later())

    assert now(begin(read, threads=threads)).content == b"5" and threads.functions == [read]


def test_a_plain_decorator_around_an_async_function_does_no_harm():
    def decorate(function):
        @functools.wraps(function)
        def call(**values):
            return function(**values)

        return call

    @decorate
    async def number(n: int) -> int:
        return n

    @decorate
    async def read(number: Annotated[int, Depends(number)], more: int = 1) -> int:
        return number + more

    assert ask(read, query={"n": ["5"]}) == 6


def test_nobody_else_may_wait():
    async def read() -> None:
        wait(Deferred())

    with pytest.raises(RuntimeError, match="in async def write await"):
        ask(read)


def test_an_endpoint_does_not_yield():
    async def read() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="return the result"):
        Endpoint("GET", "/", read)


# Answers


def answer(result: Any, kind: Any = Any, status: int = 200) -> Response:
    async def read(): ...

    read.__annotations__["return"] = kind
    return Endpoint("GET", "/", read, status).answer(result)


@pytest.mark.parametrize(
    ("result", "kind", "status", "content"),
    [
        (Item(id=1), Item, 201, b'{"id":1}'),
        ([Item(id=1)], list[Item], 200, b'[{"id":1}]'),
        (None, None, 200, b"null"),
        ("ignored", None, 200, b"null"),
        (None, Item | None, 200, b"null"),
        ("ignored", Item, 204, b""),
        (Item(id=1), Item | Response, 200, b'{"id":1}'),
    ],
)
def test_a_result_becomes_an_answer(result, kind, status, content):
    got = answer(result, kind, status)
    assert (got.status, got.content, got.media_type) == (status, content, "application/json")


@pytest.mark.parametrize("kind", [Response, Item | Response, Item, None, Any])
def test_a_response_is_the_answer_whatever_was_declared(kind):
    response = Response(b"x", "text/plain", 202, {"X-A": "b"})
    assert answer(response, kind) is response


def test_a_result_without_a_declared_type_is_written_as_it_is():
    async def read(): ...

    assert Endpoint("GET", "/", read).answer({"a": Item(id=1)}).content == b'{"a":{"id":1}}'


def test_a_result_of_another_type_does_not_fit():
    with pytest.raises(Unfit):
        answer({"id": "x"}, Item)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"content": "text"}, "encode it"), ({"status": 99}, "200 to 599"), ({"status": 600}, "200")],
)
def test_a_response_is_bytes_with_a_status(arguments, text):
    with pytest.raises(TypeError, match=text):
        Response(**arguments)


@pytest.mark.parametrize("name", ["Content-Type", "content-length", "Transfer-Encoding"])
def test_headers_that_the_server_writes_are_left_to_it(name):
    with pytest.raises(TypeError, match=f"leave the header {name} out"):
        Response(b"a", headers={"x-a": "b", name: "c"})
    with pytest.raises(TypeError, match=f"leave the header {name} out"):
        HTTPError(400, headers={name: "c"})


@pytest.mark.parametrize("status", [200, 304, 600])
def test_an_error_has_the_status_of_one(status):
    with pytest.raises(ValueError, match="return a Response"):
        HTTPError(status)


# Declarations that are refused


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("items", "must begin with /"),
        ("/items?a={a}", "parameters make the query"),
        ("/{a:int}", "types are annotations"),
        ("/{a", "write {name}"),
        ("/{1}", "write {name}"),
        ("/{a}/{a}", "a name twice"),
        ("/{b}", "the function does not take it"),
    ],
)
def test_a_path_that_is_none_is_refused(path, text):
    async def read(a: int = 0) -> None: ...

    with pytest.raises(TypeError, match=text) as caught:
        Endpoint("GET", path, read)
    assert "read" in str(caught.value)


def test_a_provider_may_be_the_one_that_takes_a_part_of_the_path():
    async def inner(a: int) -> int:
        return a

    async def read(value: Annotated[int, Depends(inner)]) -> int:
        return value

    assert ask(read, {"a": "5"}) == 5


def test_a_path_parameter_outside_of_the_path_is_refused():
    async def read(a: Annotated[int, Path()]) -> None: ...

    with pytest.raises(TypeError, match="the path has no {a}"):
        Endpoint("GET", "/", read)
