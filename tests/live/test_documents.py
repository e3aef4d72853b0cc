"""The documents of a whole server, with accounts, payments and an application: valid, and true of who may ask."""

import json
import urllib.request

import pytest
from openapi_spec_validator import validate

from tests.app.asyncapi_parser import parse
from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer
from tests.live.simulator_process import running
from tests.live.test_accounts_http import Browser, signed_up
from tests.live.test_payments_browser import settings

EITHER = [{"bearer": []}, {"session": []}]


@pytest.fixture(scope="module")
def rt(tmp_path_factory):
    place, port = tmp_path_factory.mktemp("documents"), free_port()
    with running(place) as simulator:
        config = {**settings(port, simulator), "apps": [{"module": "tests.live.apps.market:app"}]}
        server = RtServer(place, config, port).start()
        yield server
        server.stop()


def document(server, name):
    with urllib.request.urlopen(server.url(f"/{name}.json"), timeout=10) as answer:
        return json.load(answer)


def test_the_http_document_has_everything_of_the_server(rt):
    made = document(rt, "openapi")
    validate(made)
    tags = {tag for item in made["paths"].values() for each in item.values() for tag in each.get("tags", [])}
    assert {"server API", "accounts", "payments", "operations"} <= tags
    assert made["paths"]["/payment/orders"]["get"]["security"] == EITHER
    assert made["paths"]["/market/me"]["get"]["security"] == EITHER
    assert made["paths"]["/auth/token"]["get"]["security"] == [{"session": []}]
    assert made["paths"]["/api/info"]["post"]["security"] == [{"apiKey": []}]


@pytest.mark.parametrize("path", ["/payment/orders", "/market/me"])
def test_a_session_or_a_token_is_what_it_takes(rt, path):
    ada = signed_up(rt, f"ada-{path.split('/')[1]}")
    assert ada.read(path)[0] == 200
    token = ada.read("/auth/token")[1]["token"]
    program = Browser(rt)
    assert program.ask("GET", path, Authorization=f"Bearer {token}")[0].status == 200
    assert program.ask("GET", path)[0].status == 401
    for wrong in ("Bearer x", "Bearer ", "Bearer"):
        assert ada.ask("GET", path, Authorization=wrong)[0].status == 401, (
            "a token that is none is not made good by a cookie"
        )
    assert ada.ask("GET", path, Authorization="Basic eDp5")[0].status == 200, "such as of a proxy in front"


def test_the_realtime_document_has_the_channels_of_the_server_and_its_address(rt):
    made = document(rt, "asyncapi")
    (outcome,) = parse([made])
    assert (outcome["valid"], outcome["said"]) == (True, [])
    assert {"rt_auth:{proof}", "user:{user}", "staff:payments"} <= {
        each["address"] for each in made["channels"].values()
    }
    server = made["servers"]["websocket"]
    assert f"{server['protocol']}://{server['host']}{server['pathname']}" == rt.url("/connection/websocket").replace(
        "http", "ws", 1
    )
