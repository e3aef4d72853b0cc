"""Applications are found by name, and everything that does not go together is told before the server starts."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtserver.app import App, Database, Publisher, Transaction
from rtserver.app.routes import Routes
from rtserver.apps import ANSWER_TIME, Applications, NoSuchApp, load_app
from rtserver.core.errors import Conflict, StoreUnavailable
from rtserver.web.endpoints import EndpointsResource, Surroundings
from rtserver.web.site import NotFound, Paths
from tests.app_house import AppHouse, FakeThreads, answer
from tests.fakes import World


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported: ``module(text)`` gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(text: str) -> str:
        names.append(f"app_of_test_{len(names)}_{tmp_path.name.replace('-', '_')}")
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_an_application_is_found_by_module_and_name(module):
    name = module("from rtserver import App\napp = App('shop')\nclass Box:\n    app = App('boxed')\n")
    assert load_app(f"{name}:app").title == "shop"


@pytest.mark.parametrize("name", ["shop", "shop:", "", ":"])
def test_a_name_without_its_parts_is_refused(name):
    with pytest.raises(NoSuchApp, match="write package.module:attribute"):
        load_app(name)


def test_a_module_that_is_not_there_is_refused_with_the_remedy():
    with pytest.raises(NoSuchApp, match="PYTHONPATH"):
        load_app("no_such_module_anywhere:app")


def test_what_is_no_application_is_refused(module):
    name = module("app = 5\n")
    for attribute in ("app", "other"):
        with pytest.raises(NoSuchApp, match="is no rtserver.App"):
            load_app(f"{name}:{attribute}")


def test_a_mistake_in_the_module_shows_itself(module):
    name = module("from rtserver import App\napp = App()\n@app.get('/')\ndef read(a): ...\n")
    with pytest.raises(TypeError, match="parameter a has no annotation"):
        load_app(f"{name}:app")


def test_several_applications_share_a_server():
    one, two = App("one", prefix="/one"), App("two", prefix="/two")

    @one.get("/")
    async def first() -> int:
        return 1

    @two.get("/")
    async def second() -> int:
        return 2

    @two.rpc("add")
    async def add() -> int:
        return 3

    house = AppHouse(one, two)
    assert (house.get("/one/").json, house.get("/two/").json) == (1, 2)
    assert house.rpc(house.client(), "add")["rpc"]["data"] == 3


def test_two_applications_with_one_path_are_refused():
    one, two = App(), App()
    for each in (one, two):

        @each.get("/")
        async def read() -> None: ...

    with pytest.raises(TypeError, match="GET / is declared twice"):
        AppHouse(one, two)


def test_an_endpoint_behind_a_page_of_the_server_is_refused_because_nobody_would_reach_it():
    app = App()

    @app.get("/docs")
    async def mine() -> None: ...

    around = Surroundings(Clock(), lambda *said, **fields: None, FakeThreads().run, lambda origin: False)
    resource = EndpointsResource(Routes(app.endpoints), around)
    Paths({"/asyncapi": NotFound()}, resource)
    with pytest.raises(TypeError, match="mine: /docs is a page of the server itself: take another path"):
        Paths({"/docs": NotFound()}, resource)


def test_without_an_application_everything_is_404_and_rpc_is_not_available():
    house = AppHouse()
    assert house.get("/").status == 404 and house.rpc(house.client(), "x")["error"]["code"] == 108


def test_functions_of_every_kind_publish_by_the_same_publisher():
    app = App()
    seen = []

    @app.get("/")
    async def read(publisher: Publisher) -> None:
        seen.append(publisher)

    @app.rpc("x")
    async def rpc(publisher: Publisher) -> None:
        seen.append(publisher)

    house = AppHouse(app)
    house.get("/")
    house.rpc(house.client(), "x")
    assert seen[0] is seen[1]


class FakeStore:
    """A database that notes what it is asked, and fails when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.failure: Exception | None = None

    async def run(self, sql: str, params: Any = ()) -> list[Any]:
        self.asked.append((sql, *params))
        if self.failure is not None:
            raise self.failure
        return [(1,)]

    async def transact(self, work: Any) -> Any:
        self.asked.append("begin")
        outcome = await work(self)
        self.asked.append("commit")
        return outcome


def with_database() -> App:
    app = App()

    @app.get("/")
    async def read(database: Database) -> list[Any]:
        return await database.run("SELECT ?", [5])

    @app.post("/")
    async def change(database: Database) -> Any:
        async def work(transaction: Transaction) -> Any:
            return await transaction.run("UPDATE x")

        return await database.transact(work)

    @app.rpc("read")
    async def rpc(database: Database) -> list[Any]:
        return await database.run("SELECT 1")

    return app


def test_functions_are_given_the_database():
    store = FakeStore()
    house = AppHouse(with_database(), store=store)
    assert house.get("/").json == [[1]] and house.post("/", None).json == [[1]]
    assert house.rpc(house.client(), "read")["rpc"]["data"] == [[1]]
    assert store.asked == [("SELECT ?", 5), "begin", ("UPDATE x",), "commit", ("SELECT 1",)]


def test_a_database_that_is_away_is_503_and_error_100_with_one_line_each():
    store = FakeStore()
    store.failure = StoreUnavailable("PostgreSQL cannot be reached")
    house = AppHouse(with_database(), store=store)
    assert house.get("/").status == 503 and house.rpc(house.client(), "read")["error"]["code"] == 100
    assert house.log.texts("warn") == ["PostgreSQL cannot be reached", "rpc: PostgreSQL cannot be reached"]


def test_another_failure_of_the_database_is_a_failure_of_the_function():
    store = FakeStore()
    store.failure = Conflict("users.email")
    house = AppHouse(with_database(), store=store)
    assert house.get("/").status == 500 and len(house.log.texts("error")) == 1


def test_an_end_before_there_was_a_node_is_one_too():
    world = World()
    applications = Applications([], world.clock)
    world.run(applications.stop())


def test_the_end_waits_for_requests_that_are_under_way():
    app = App()
    waited: list[Deferred[int]] = []

    @app.get("/")
    async def read() -> int:
        waited.append(Deferred())
        return await waited[-1]

    house = AppHouse(app)
    first, second = house.begin("GET", "/"), house.begin("GET", "/")
    ended: list[Any] = []
    Deferred.fromCoroutine(house.applications.stop()).addBoth(ended.append)
    house.clock.advance(0.1)
    waited[0].callback(1)
    house.clock.advance(0.1)
    assert ended == [] and answer(first).json == 1
    second.leave()
    house.clock.advance(0.1)
    assert ended == [None]


def test_the_end_does_not_wait_for_ever():
    app = App()

    @app.get("/")
    async def read() -> None:
        await Deferred()

    house = AppHouse(app)
    house.begin("GET", "/")
    ended: list[Any] = []
    Deferred.fromCoroutine(house.applications.stop()).addBoth(ended.append)
    for _ in range(200):
        house.clock.advance(ANSWER_TIME / 150)
    assert ended == [None]


def test_functions_that_are_left_behind_at_the_end_are_told():
    house = AppHouse(App())
    house.threads.is_held = True
    house.world.spawn(house.threads.run(len, {}))
    house.world.run(house.applications.stop())
    assert house.log.texts("warn") == ["1 plain functions still run and are left behind"]
    house.threads.go()
