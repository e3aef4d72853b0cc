"""Health and metrics."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from openapi_spec_validator import validate

from rtserver.app.openapi import openapi
from rtserver.app.routes import Routes
from rtserver.core import errors
from rtserver.web.endpoints import EndpointsResource, Surroundings
from rtserver.web.ops import NodeCollector, Operations, Services
from tests.api_house import no_threads
from tests.fakes import World
from tests.line import Port


@pytest.fixture
def world():
    return World()


@pytest.fixture
def database():
    return SimpleNamespace(unready="")


@pytest.fixture
def services():
    names = ("client.proxy.connect", "proxies.orders")
    proxies = [SimpleNamespace(name=name, stats=SimpleNamespace(asked=0, failed=0)) for name in names]
    return Services(proxies, SimpleNamespace(stats=SimpleNamespace(published=0, dead=0)))


@pytest.fixture
def endpoints(world, database, services):
    gauges = {"connections": ("Open client connections.", lambda: len(world.node.open_sessions))}
    whole = Operations(world.node, database, NodeCollector(world.node, gauges, services))
    bare = Operations(world.node, database, NodeCollector(world.node, gauges))
    return [*whole.endpoints("/healthy", "/metrics"), *bare.endpoints("", "/bare")[2:]]


@pytest.fixture
def port(world, endpoints):
    around = Surroundings(world.clock, world.log, no_threads, lambda origin: False)
    return Port(world.clock, {"/*": EndpointsResource(Routes(endpoints), around)})


def test_the_live_answer_says_only_that_the_reactor_turns(world, port):
    world.node.draining = True
    for path in ("/livez", "/healthy"):
        answer = port.ask("GET", path)
        assert (answer.status, answer.body, answer.header("content-type")) == (200, b"{}", "application/json")


def test_ready_is_200_when_clients_may_come(port):
    answer = port.ask("GET", "/readyz")
    assert (answer.status, answer.body, answer.header("content-type")) == (200, b'{"ready":true}', "application/json")


def test_unready_is_503_with_the_reason(world, port):
    world.node.started = False
    answer = port.ask("GET", "/readyz")
    assert (answer.status, answer.json) == (503, {"ready": False, "reason": "the server is starting"})
    world.node.started, world.node.draining = True, True
    assert port.ask("GET", "/readyz").json["reason"] == "the server is shutting down"


def test_a_database_that_is_away_is_told_without_its_address_and_takes_no_clients_away(world, database, port):
    database.unready = "PostgreSQL at db.example.com:5432 is not to be had"
    answer = port.ask("GET", "/readyz")
    assert (answer.status, answer.json["ready"]) == (200, True)
    assert "the database cannot be used now" in answer.json["database"] and "example" not in answer.text
    world.node.draining = True
    answer = port.ask("GET", "/readyz")
    assert answer.status == 503 and answer.json.keys() == {"ready", "reason", "database"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthy", "/metrics"])
def test_only_get_and_head_are_taken(port, path):
    whole, head = port.ask("GET", path), port.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-type") == whole.header("content-type")
    assert int(head.header("content-length")) == len(whole.body)
    refused = port.ask("POST", path)
    assert (refused.status, refused.header("allow")) == (405, "GET, HEAD, OPTIONS")


def test_a_path_that_is_not_configured_is_not_served(world, database):
    found = Operations(world.node, database, NodeCollector(world.node, {})).endpoints()
    assert [each.path for each in found] == ["/livez", "/readyz"]


def test_the_document_tells_of_them(endpoints):
    made = openapi([], title="x", version="1", endpoints=endpoints[:4])
    validate(json.loads(json.dumps(made)))
    assert list(made["paths"]) == ["/livez", "/readyz", "/healthy", "/metrics"]
    operations = {path: item["get"] for path, item in made["paths"].items()}
    assert all(each["tags"] == ["operations"] and each["summary"] for each in operations.values())
    assert all("security" not in each for each in operations.values())
    ready = operations["/readyz"]["responses"]
    for status in ("200", "503"):
        assert ready[status]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Readiness"}
    assert ready["503"]["content"]["application/json"]["example"]["ready"] is False
    assert operations["/metrics"]["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}


def metrics(port, path="/metrics"):
    answer = port.ask("GET", path)
    assert answer.status == 200 and answer.header("content-type").startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_count_deliveries_and_closes_by_code(world, port):
    client, other = world.connected(), world.connected()
    for each in (client, other):
        each.subscribe("plain:a")
    world.publish("plain:a", 1)
    world.turn()
    other.session.close(errors.FORCE_DISCONNECT)
    values = metrics(port)
    assert values["rtserver_deliveries_total"] == 2
    assert values["rtserver_connections"] == 1
    assert values['rtserver_disconnects_total{code="3503"}'] == 1


def test_reasons_of_the_same_code_are_one_series(world, port):
    for text in ("one", "two"):
        world.connected().session.close(errors.DisconnectReason(4000, text))
    assert metrics(port)['rtserver_disconnects_total{code="4000"}'] == 2


def test_metrics_tell_refused_publications(world, port):
    world.node.on_raw("nowhere:a", b"1")
    assert metrics(port)["rtserver_raw_refused_total"] == 1


def test_metrics_count_questions_to_backends_by_their_name(services, port):
    connect, orders = services.proxies
    connect.stats.asked, connect.stats.failed, orders.stats.asked = 5, 2, 7
    values = metrics(port)
    assert values['rtserver_proxy_requests_total{proxy="client.proxy.connect"}'] == 5
    assert values['rtserver_proxy_failures_total{proxy="client.proxy.connect"}'] == 2
    assert values['rtserver_proxy_requests_total{proxy="proxies.orders"}'] == 7
    assert values['rtserver_proxy_failures_total{proxy="proxies.orders"}'] == 0


def test_metrics_count_the_rows_of_the_outbox(services, port):
    services.outbox.stats.published, services.outbox.stats.dead = 3, 1
    values = metrics(port)
    assert (values["rtserver_outbox_published_total"], values["rtserver_outbox_dead_total"]) == (3, 1)


def test_a_server_without_outbox_and_proxies_has_their_metrics_too(port):
    values = metrics(port, "/bare")
    assert (values["rtserver_outbox_published_total"], values["rtserver_outbox_dead_total"]) == (0, 0)
    assert not any(name.startswith("rtserver_proxy") for name in values)
