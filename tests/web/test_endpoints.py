"""Typed endpoints over HTTP: statuses, bodies, headers, time, threads and clients that leave."""

import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from http import HTTPStatus
from typing import Annotated, Any

import pytest
from msgspec import Raw
from pydantic import BaseModel
from twisted.internet.defer import CancelledError, Deferred

from rtserver.app import (
    App,
    Clock,
    Cookie,
    Depends,
    Given,
    Header,
    HTTPError,
    Limits,
    Publisher,
    Refuse,
    Request,
    Response,
    User,
    wait,
)
from rtserver.app.endpoint import Endpoint
from rtserver.core.errors import BrokerUnavailable
from rtserver.core.ports import ConnectionClaims
from tests.app_house import AppHouse, answer
from tests.fakes import UNIX


class Item(BaseModel):
    id: int
    name: str = "cup"


class Trials:
    """What the endpoints of the test application wait for and note."""

    def __init__(self) -> None:
        self.waited: Deferred[Any] = Deferred()
        self.notes: list[str] = []
        self.result: Any = None


def make_app(trials: Trials) -> App:
    app = App("trials")

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> Item:
        return Item(id=item_id)

    @app.post("/items", status=201, limits=Limits(body_size=100))
    async def add(item: Item) -> Item:
        return item

    @app.get("/wait", limits=Limits(seconds=5))
    async def waits() -> Any:
        try:
            return await trials.waited
        except CancelledError:
            trials.notes.append("cancelled")
            raise

    @app.get("/stubborn", limits=Limits(seconds=5))
    async def stubborn() -> Any:
        try:
            await trials.waited
        except CancelledError:
            trials.notes.append("went on")
            trials.waited = Deferred()
            await trials.waited
            raise LookupError("late") from None

    @app.get("/fails")
    async def fails() -> None:
        raise LookupError("the secret is out")

    @app.get("/unfit")
    async def unfit() -> Item:
        return {"id": "x"}  # type: ignore[return-value]

    @app.get("/result")
    async def result() -> Any:
        if isinstance(trials.result, BaseException):
            raise trials.result
        return trials.result

    @app.get("/gone", status=204)
    async def nothing() -> None: ...

    @app.get("/plain")
    def plain(n: int = 1) -> int:
        return n

    @app.get("/me")
    async def me(user: User) -> dict[str, Any]:
        return {"id": user.id, "info": user.info}

    @app.get("/perhaps")
    async def perhaps(user: User | None) -> str:
        return user.id if user else "nobody"

    @app.get("/request")
    async def request(request: Request) -> dict[str, Any]:
        return {
            "id": request.id,
            "method": request.method,
            "path": request.path,
            "agent": request.headers["user-agent"],
        }

    @app.post("/news")
    async def news(item: Item, publisher: Publisher) -> int:
        return (await publisher.publish("news", item)).offset

    @app.post("/news/plainly")
    def news_plainly(item: Item, publisher: Publisher) -> int:
        return wait(publisher.publish("news", item)).offset

    @app.get("/later")
    async def later(clock: Clock, seconds: float = 1) -> float:
        await clock.sleep(seconds)
        return clock.now()

    return app


@pytest.fixture
def trials():
    return Trials()


@pytest.fixture
def house(trials):
    return AppHouse(make_app(trials), allowed=("https://shop.example",))


# Statuses


def test_an_answer_is_one_piece_with_its_length(house):
    answer = house.get("/items/5")
    assert (answer.status, answer.json) == (200, {"id": 5, "name": "cup"})
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))


def test_every_status_has_its_phrase(house):
    line = house.begin("POST", "/items", {"id": "x"})
    phrase = line.take().split(b"\r\n")[0].removeprefix(b"HTTP/1.1 422 ").decode()
    assert phrase == HTTPStatus.UNPROCESSABLE_ENTITY.phrase


def test_every_mistake_is_422(house):
    answer = house.post("/items", {"id": "x", "name": 5})
    assert answer.status == 422 and [each["loc"] for each in answer.json["detail"]] == [
        ["body", "id"],
        ["body", "name"],
    ]


@pytest.mark.parametrize("body", [b"{", b"{'id': 1}", b'{"id":1}{}', b"\xff\xfe", b'{"name":"\xff"}'])
def test_a_body_that_is_no_json_is_400(house, body):
    answer = house.post("/items", body)
    assert answer.status == 400 and answer.json["detail"].startswith("The body is not ")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_a_body_of_another_type_is_415(house, kind):
    answer = house.post("/items", {"id": 1}, **{"Content-Type": kind})
    assert (answer.status, answer.json) == (415, {"detail": "send the body as application/json"})


def test_a_body_without_a_type_is_415_because_pages_of_any_origin_may_send_one(house):
    line = house.port.begin("POST", "/items", b'{"id":1}')
    assert answer(line).status == 415


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON ; charset=utf-8", "application/x.y+json"])
def test_json_has_more_than_one_type(house, kind):
    assert house.post("/items", {"id": 1}, **{"Content-Type": kind}).status == 201


def test_a_compressed_body_is_415(house):
    answer = house.post("/items", b"x", **{"Content-Encoding": "gzip"})
    assert answer.status == 415 and "Content-Encoding" in answer.json["detail"]
    assert house.post("/items", {"id": 1}, **{"Content-Encoding": "identity"}).status == 201


def test_a_body_above_the_limit_of_the_endpoint_is_413(house):
    assert house.post("/items", {"id": 1, "name": "x" * 60}).status == 201
    answer = house.post("/items", {"id": 1, "name": "x" * 100})
    assert (answer.status, answer.json) == (413, {"detail": "the body is larger than 100 bytes"})


def test_an_endpoint_without_a_body_does_not_look_at_one(house):
    assert house.ask("GET", "/items/5", b"\xff", {"Content-Type": "text/plain"}).status == 200


def test_a_path_that_is_not_known_is_404(house):
    for path in ("/", "/items", "/items/5/", "/items/5/6", "/nowhere?x=1"):
        answer = house.get(path)
        assert (answer.status, answer.json) == (
            (404, {"detail": "Not Found"}) if path != "/items" else (405, answer.json)
        )


def test_a_method_that_is_not_known_is_405_with_the_others(house):
    answer = house.ask("DELETE", "/items/5")
    assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})
    assert answer.header("allow") == "GET, HEAD, OPTIONS"
    assert house.get("/items").header("allow") == "POST, OPTIONS"


def test_head_is_the_head_of_get(house):
    answer = house.ask("HEAD", "/items/5")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-length") == str(len(house.get("/items/5").body))


def test_204_has_no_body_and_no_length(house):
    answer = house.get("/gone")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("content-length") is None and answer.header("content-type") is None


# Answers of all kinds


def test_a_response_is_sent_as_it_is(house, trials):
    headers = {"X-A": "b", "Set-Cookie": ["a=1", "b=2"], "Cache-Control": "no-store"}
    trials.result = Response(b"<p>", "text/html", 202, headers)
    answer = house.get("/result")
    assert (answer.status, answer.body, answer.header("content-type")) == (202, b"<p>", "text/html")
    assert answer.headers.getRawHeaders("set-cookie") == ["a=1", "b=2"] and answer.header("x-a") == "b"


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_sends_none(house, trials, status):
    trials.result = Response(b"ignored", status=status)
    answer = house.get("/result")
    assert (answer.status, answer.body) == (status, b"")


def test_line_breaks_do_not_get_into_the_head(house, trials):
    trials.result = Response(b"x", "text/plain\r\nX-Evil: 1", headers={"X-A": "b\r\nX-Evil: 1"})
    answer = house.get("/result")
    assert answer.status == 200 and answer.header("x-evil") is None


@pytest.mark.parametrize("detail", ["no", None, {"why": [1]}, Item(id=1), [Item(id=1)]])
def test_an_error_of_the_application_is_its_status_and_detail(house, trials, detail):
    trials.result = HTTPError(409, detail, {"Retry-After": "5"})
    answer = house.get("/result")
    expected = {"id": 1, "name": "cup"} if isinstance(detail, Item) else detail
    assert answer.status == 409 and answer.header("retry-after") == "5"
    assert answer.json["detail"] == (expected if not isinstance(detail, list) else [{"id": 1, "name": "cup"}])
    house.log.check()


@pytest.mark.parametrize(("code", "status"), [(103, 403), (101, 401), (104, 404), (111, 429), (409, 409), (1000, 403)])
def test_a_refusal_made_for_realtime_is_a_status(house, trials, code, status):
    trials.result = Refuse(code, "no")
    answer = house.get("/result")
    assert (answer.status, answer.json) == (status, {"detail": "no"})


# Failures


@pytest.mark.parametrize("path", ["/fails", "/unfit"])
def test_a_failure_is_500_without_details_and_with_a_name_that_is_in_the_log(house, path):
    answer = house.get(path)
    assert answer.status == 500 and set(answer.json) == {"detail", "request_id"}
    assert answer.json["detail"] == "Internal Server Error" and "secret" not in answer.text
    level, text, failure, fields = house.log.lines[-1]
    assert level == "error" and failure is not None and fields == {"request": answer.json["request_id"]}
    assert text.startswith(f"{__name__}.make_app.<locals>.") and answer.header("x-request-id") == fields["request"]


def test_a_result_that_does_not_fit_says_so_to_the_developer(house):
    house.get("/unfit")
    _, text, failure, _ = house.log.lines[-1]
    assert text.endswith("unfit: its result does not fit the declared type") and "id" in str(failure)


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [("abc-1", True), ("x" * 64, True), ("x" * 65, False), ("é", False), ("a\tb", False), ("", False)],
)
def test_the_client_may_name_the_request_if_the_name_is_short_and_plain(house, name, is_taken):
    answer = house.get("/fails", **{"X-Request-Id": name})
    assert (answer.json["request_id"] == name) is is_taken


@pytest.mark.parametrize(
    "result",
    [
        object(),
        HTTPError(400, object()),
        Response(b"x", headers={"a b": "c"}),
        Response(b"x", headers={"a": 5}),
        SystemExit(),
    ],  # type: ignore[dict-item]
)
def test_what_cannot_be_sent_is_500_too_and_never_no_answer(house, trials, result):
    trials.result = result
    answer = house.get("/result")
    assert answer.status == 500 and house.log.texts("error")


def test_a_cancelled_deferred_of_the_application_itself_is_a_failure(house, trials):
    trials.waited.cancel()
    assert house.get("/wait").status == 500
    trials.waited = Deferred()
    line = house.begin("GET", "/wait")
    trials.waited.cancel()
    house.clock.advance(0)
    assert answer(line).status == 500


# Time


def test_an_endpoint_may_take_its_time(house, trials):
    line = house.begin("GET", "/wait")
    house.clock.advance(4.9)
    assert line.take() == b""
    trials.waited.callback(5)
    house.clock.advance(0)
    assert answer(line).json == 5
    house.clock.advance(10)
    house.log.check()
    assert not house.clock.getDelayedCalls() or trials.notes == []


def test_one_that_takes_too_long_is_cancelled_and_answered_504(house, trials):
    line = house.begin("GET", "/wait", None, {"X-Request-Id": "r1"})
    house.clock.advance(5)
    house.clock.advance(0)
    got = answer(line)
    assert (got.status, got.json) == (504, {"detail": "no answer within 5 s"})
    assert got.header("x-request-id") == "r1" and trials.notes == ["cancelled"]
    level, text, _, fields = house.log.lines[-1]
    assert (level, fields) == ("warn", {"request": "r1"}) and "longer than its 5 s" in text


def test_one_that_does_not_want_to_end_is_answered_504_all_the_same(house, trials):
    line = house.begin("GET", "/stubborn")
    house.clock.advance(5)
    house.clock.advance(0)
    assert answer(line).status == 504 and trials.notes == ["went on"]
    trials.waited.callback(None)
    house.clock.advance(0)
    assert line.take() == b"" and house.log.texts("error") == [f"{__name__}.make_app.<locals>.stubborn: it failed"]


def test_the_clock_of_the_server_can_be_waited_for(house):
    line = house.begin("GET", "/later?seconds=2")
    house.clock.advance(2)
    house.clock.advance(0)
    assert answer(line).json == pytest.approx(house.applications.clock.now(), abs=5)


# Clients that leave


def test_a_client_that_leaves_cancels_the_work(house, trials):
    line = house.begin("GET", "/wait")
    line.leave()
    assert trials.notes == ["cancelled"]
    house.clock.advance(100)
    assert house.log.lines == []


def test_a_client_that_leaves_is_not_written_to(house, trials):
    line = house.begin("GET", "/stubborn")
    line.leave()
    assert trials.notes == ["went on"]
    trials.waited.callback(None)
    assert line.value() == b"" and house.log.texts("warn") == []


def test_providers_are_ended_when_the_client_leaves():
    notes = []
    app = App()

    async def session() -> AsyncIterator[int]:
        try:
            yield 1
        except CancelledError:
            notes.append("undone")
            raise
        finally:
            notes.append("closed")

    @app.get("/")
    async def read(session: Annotated[int, Depends(session)]) -> None:
        await Deferred()

    AppHouse(app).begin("GET", "/").leave()
    assert notes == ["undone", "closed"]


# Threads


def test_a_plain_function_runs_in_a_thread_and_others_are_answered_meanwhile(house):
    house.threads.is_held = True
    line = house.begin("GET", "/plain?n=5")
    assert house.get("/items/5").status == 200 and line.take() == b""
    house.threads.go()
    house.clock.advance(0)
    assert answer(line).json == 5


def test_mistakes_are_told_without_a_thread(house):
    house.threads.is_full = True
    assert house.get("/plain?n=x").status == 422


def test_when_every_thread_is_taken_the_answer_is_503_and_the_log_says_so_once_a_second(house):
    house.threads.is_full = True
    for _ in range(3):
        answer = house.get("/plain")
        assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert house.log.texts("warn") == ["too many wait"]
    house.clock.advance(1)
    house.get("/plain")
    assert len(house.log.texts("warn")) == 2


def test_a_thread_that_takes_too_long_is_answered_for(house):
    house.threads.is_held = True
    line = house.begin("GET", "/plain")
    house.clock.advance(30)
    house.clock.advance(0)
    assert answer(line).status == 504
    house.threads.go()
    house.clock.advance(0)
    assert line.take() == b"" and house.log.texts("error") == []


# What is given


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_user_is_that_of_the_connection_token(house):
    house.world.tokens.connections["t"] = ConnectionClaims("ada", info=Raw(b'{"name":"Ada"}'))
    assert house.get("/me", **bearer("t")).json == {"id": "ada", "info": {"name": "Ada"}}
    assert house.get("/me", Authorization="bearer   t ").json["id"] == "ada"
    assert house.get("/perhaps", **bearer("t")).json == "ada"


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic t"}, {"Authorization": "Bearer "}, {"Authorization": "t"}]
)
def test_without_a_token_who_must_sign_in_is_401_and_who_may_is_nobody(house, headers):
    answer = house.get("/me", **headers)
    assert (answer.status, answer.json) == (401, {"detail": "Not authenticated"})
    assert answer.header("www-authenticate") == "Bearer"
    assert house.get("/perhaps", **headers).json == "nobody"


def test_a_token_of_nobody_is_no_user(house):
    house.world.tokens.connections["t"] = ConnectionClaims("")
    assert house.get("/me", **bearer("t")).status == 401 and house.get("/perhaps", **bearer("t")).json == "nobody"


@pytest.mark.parametrize(
    ("token", "text"), [("expired", "The token is expired, get a new one"), ("forged", "The token is not valid")]
)
@pytest.mark.parametrize("path", ["/me", "/perhaps"])
def test_a_token_that_cannot_be_used_is_401_with_a_sentence(house, token, text, path):
    answer = house.get(path, **bearer(token))
    assert (answer.status, answer.json) == (401, {"detail": text})
    assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'


def test_a_token_whose_connection_would_be_over_is_expired(house):
    house.world.tokens.connections["t"] = ConnectionClaims("ada", expire_at=int(UNIX) - 1)
    house.world.tokens.connections["u"] = ConnectionClaims("ada", expire_at=int(UNIX) + 60)
    assert house.get("/me", **bearer("t")).status == 401 and house.get("/me", **bearer("u")).status == 200


def test_information_that_is_no_json_is_its_bytes(house):
    house.world.tokens.connections["t"] = ConnectionClaims("ada", info=Raw(b"plain"))
    assert house.get("/me", **bearer("t")).json == {"id": "ada", "info": "plain"}


def test_facts_of_the_request_are_given(house):
    answer = house.get("/request?x=1", **{"User-Agent": "test", "X-Request-Id": "r1"})
    assert answer.json == {"id": "r1", "method": "GET", "path": "/request", "agent": "test"}


@pytest.mark.parametrize("path", ["/news", "/news/plainly"])
def test_endpoints_publish(house, path):
    client = house.client()
    client.subscribe("news")
    assert house.post(path, {"id": 1}).json == 1
    house.world.turn()
    assert client.pushes() == [{"data": {"id": 1, "name": "cup"}, "offset": 1}]


def test_a_broker_that_is_away_is_503_with_one_line(house):
    async def away(*arguments: Any) -> None:
        raise BrokerUnavailable("Redis cannot be reached")

    house.world.broker.publish = away
    answer = house.post("/news", {"id": 1})
    assert answer.status == 503 and "Redis" not in answer.text
    assert house.log.texts("warn") and not house.log.texts("error")


def test_a_function_that_wants_what_nobody_gives_is_refused_when_the_server_is_made():
    class Shop(Given):
        """Of an application that forgot to give it."""

    app = App()

    @app.get("/")
    async def read(shop: Shop) -> None: ...

    with pytest.raises(TypeError, match="read: shop: endpoints are given .*Publisher.*, but no Shop"):
        AppHouse(app)


# Headers and cookies


def test_cookies_are_read_as_browsers_send_them():
    app = App()

    @app.get("/")
    async def read(a: Annotated[str, Cookie()] = "-", b: Annotated[str, Cookie("b c")] = "-") -> list[str]:
        return [a, b]

    house = AppHouse(app)
    cases = {
        "a=1; b c=2": ["1", "2"],
        "a=1;a=2": ["2", "-"],
        'a="x \\"y\\""': ['x "y"', "-"],
        "a": ["-", "-"],
        "=x; a=": ["", "-"],
        'a="': ['"', "-"],
        'json={"x": 1}; a=1': ["1", "-"],
        "a=x=y": ["x=y", "-"],
        "\ta =\t1 ; b c = 2": ["1", "2"],
        "\xa0a=1; \x85a=2": ["-", "-"],
    }
    assert {text: house.get("/", Cookie=text).json for text in cases} == cases


def test_headers_are_latin_text():
    app = App()

    @app.get("/")
    async def read(x_name: Annotated[str, Header()]) -> str:
        return x_name

    assert AppHouse(app).get("/", **{"X-Name": "caf\u00e9".encode("latin-1")}).json == "café"


# Origins


def test_a_page_of_an_allowed_origin_may_read_the_answer(house):
    answer = house.get("/items/5", Origin="https://shop.example")
    assert answer.header("access-control-allow-origin") == "https://shop.example"
    assert answer.header("access-control-allow-credentials") == "true" and answer.header("vary") == "origin"


@pytest.mark.parametrize("path", ["/items/5", "/fails", "/nowhere", "/items/x"])
def test_a_page_of_another_origin_may_not(house, path):
    answer = house.get(path, Origin="https://evil.example")
    assert answer.header("access-control-allow-origin") is None and answer.header("vary") == "origin"


@pytest.mark.parametrize("path", ["/fails", "/nowhere", "/items/x", "/gone"])
def test_refusals_can_be_read_by_allowed_pages_too(house, path):
    assert house.get(path, Origin="https://shop.example").header("access-control-allow-origin")


def test_a_page_may_ask_first(house):
    answer = house.ask(
        "OPTIONS",
        "/items",
        None,
        {
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, authorization",
        },
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-methods") == "POST, OPTIONS"
    assert answer.header("access-control-allow-headers") == "content-type, authorization"
    assert answer.header("access-control-max-age")


def test_options_without_an_origin_tells_the_methods(house):
    answer = house.ask("OPTIONS", "/items/5")
    assert answer.status == 204 and answer.header("allow") == "GET, HEAD, OPTIONS"
    assert answer.header("access-control-allow-origin") is None
    assert house.ask("OPTIONS", "/nowhere").status == 404


def test_an_own_vary_adds_to_that_of_the_origin(house, trials):
    trials.result = Response(b"x", headers={"Vary": "accept"})
    answer = house.get("/result", Origin="https://shop.example")
    assert answer.headers.getRawHeaders("vary") == ["origin", "accept"]


# Contexts


def test_what_a_request_sets_in_its_context_stays_in_it():
    name: ContextVar[str] = ContextVar("name", default="nobody")
    waits: list[Deferred[None]] = []
    app = App()

    @app.get("/{who}")
    async def read(who: str, wait: bool = False) -> list[str]:
        before = name.get()
        name.set(who)
        if wait:
            waits.append(Deferred())
            await waits[-1]
        return [before, name.get()]

    house = AppHouse(app)
    line = house.begin("GET", "/ada?wait=1")
    assert house.get("/eve").json == ["nobody", "eve"]
    waits[0].callback(None)
    house.clock.advance(0)
    assert answer(line).json == ["nobody", "ada"] and name.get() == "nobody"


# Bounds


def test_a_hostile_body_gets_a_small_answer():
    app = App()

    @app.post("/")
    async def read(items: list[Item]) -> None: ...

    house = AppHouse(app)
    answer = house.post("/", b"[" + b",".join([b"{}"] * 200_000) + b"]")
    assert answer.status == 422 and len(answer.body) < 1000
    assert json.loads(answer.body)["detail"][0]["type"] == "too_many_mistakes"


def test_two_requests_on_one_connection_are_answered_in_order(house, trials):
    line = house.port.connect()
    line.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /items/5 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.take() == b""
    trials.waited.callback(1)
    house.clock.advance(0)
    text = line.take()
    assert text.count(b"HTTP/1.1 200 OK") == 2 and text.index(b"\r\n\r\n1") < text.index(b'{"id":5')


class Guarded(Endpoint):
    headers = (("cache-control", "no-store"),)


def test_an_endpoint_may_have_headers_on_every_answer_also_on_refusals_that_it_never_saw():
    async def add(item: Item) -> Item:
        if item.id == 2:
            raise LookupError("broken")
        return item

    app = App()
    app.endpoints.append(Guarded("POST", "/items", add))
    house = AppHouse(app)
    for body, status in (({"id": 1}, 200), (b"{", 400), ({}, 422), ({"id": 2}, 500)):
        answer = house.post("/items", body)
        assert (answer.status, answer.headers.getRawHeaders("cache-control")) == (status, ["no-store"])
    house.log.lines.clear()
