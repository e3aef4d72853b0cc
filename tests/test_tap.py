"""The composition root: what is served where, and what options and the greeting say."""

from __future__ import annotations

import json
import sys

import pytest
import txaio
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage

from rtserver.app import App, Connection, Request
from rtserver.config import load
from rtserver.core.channels import Channels
from rtserver.core.intake import ChannelIntake
from rtserver.log import JSONLines
from rtserver.services.broker_memory import MemoryBroker
from rtserver.services.broker_redis import RedisBroker
from rtserver.services.redis_options import RedisOptions
from rtserver.tap import Options, build, greet, make_broker
from tests.fakes import FakeLog
from tests.line import Port, parse
from tests.ws_client import WSClient, upgrade_headers

EVERYTHING = """
listen = ["tcp:8000"]
[client]
allow_anonymous_connect_without_token = true
[http_api]
key = "secret"
[prometheus]
enabled = true
[sse]
enabled = true
[http_stream]
enabled = true
[uni_websocket]
enabled = true
[uni_sse]
enabled = true
[uni_http_stream]
enabled = true
"""


class NoDatabase:
    """A store that needs no thread."""

    unready = ""

    async def start(self):
        """Nothing to open."""

    async def stop(self):
        """Nothing to close."""


class House:
    """A built and started server on a reactor of memory."""

    def __init__(self, text=EVERYTHING, apps=()):
        self.reactor = MemoryReactorClock()
        txaio.config.loop = self.reactor
        self.log = FakeLog()
        self.config = load(text, {}, {"database.outbox": False})
        self.server = build(self.reactor, self.config, self.log, apps, lambda reactor, config: NoDatabase())
        self.server.startService()
        self.ports = {port: Port(self.reactor, {}, site=factory) for port, factory, *_ in self.reactor.tcpServers}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        txaio.config.loop = None

    def statuses(self, port, *paths):
        return [self.ports[port].ask("GET", path).status for path in paths]


OPERATOR = ("/health", "/livez", "/readyz", "/metrics")


def test_every_door_is_where_the_protocol_says():
    with House() as house:
        port = house.ports[8000]
        assert house.statuses(8000, *OPERATOR) == [200] * 4
        for path in ("/connection/websocket", "/connection/uni_websocket"):
            assert parse(port.begin("GET", path, headers=upgrade_headers()).take()).status == 101
        for path in ("/connection/http_stream", "/connection/sse"):
            line = port.begin("POST", path, b'{"id":1,"connect":{}}')
            assert parse(line.take()).status == 200
        for path in ("/connection/uni_http_stream", "/connection/uni_sse"):
            assert parse(port.begin("POST", path, b"{}").take()).status == 200
        assert port.ask("POST", "/emulation", b'{"node":"x","session":"y","data":"{}"}').status == 404
        assert port.ask("POST", "/api/info", b"{}", {"X-API-Key": "secret"}).json["result"]["nodes"]
        assert port.ask("POST", "/api/info", b"{}").status == 401
        assert house.statuses(8000, "/nothing") == [404]


def test_what_is_switched_off_is_not_there():
    off = "".join(f"[{name}]\nenabled = false\n" for name in ("sse", "http_stream", "emulation"))
    with House('listen = ["tcp:8000"]\n' + off) as house:
        port = house.ports[8000]
        paths = ["/connection/sse", "/connection/http_stream", "/connection/uni_websocket", "/emulation", "/metrics"]
        assert house.statuses(8000, *paths, "/connection/uni_sse", "/connection/uni_http_stream") == [404] * 7
        assert parse(port.begin("GET", "/connection/websocket", headers=upgrade_headers()).take()).status == 101
        assert port.ask("POST", "/api/info", b"{}", {"X-API-Key": ""}).status == 401


def test_internal_ports_take_the_operator_s_paths_from_the_public_ones():
    with House(EVERYTHING + '[http_server]\ninternal = ["tcp:9000"]') as house:
        assert house.statuses(8000, *OPERATOR) == [404] * 4
        assert house.statuses(9000, *OPERATOR) == [200] * 4
        body, key = b"{}", {"X-API-Key": "secret"}
        assert house.ports[8000].ask("POST", "/api/info", body, key).status in (404, 405)
        assert house.ports[9000].ask("POST", "/api/info", body, key).status == 200
        assert house.statuses(9000, "/connection/websocket") == [404]
        assert not {*OPERATOR, "/api/info"} & documented(house, 8000)
        assert {*OPERATOR, "/api/info"} <= documented(house, 9000)


def documented(house, port):
    answer = house.ports[port].ask("GET", "/openapi.json")
    return set(answer.json["paths"]) if answer.status == 200 else set()


def test_the_operator_s_paths_are_where_the_file_says():
    text = 'listen = ["tcp:8000"]\n[health]\nhandler_prefix = "/up"\n[prometheus]\nenabled = true\nhandler_prefix = "/numbers"'
    with House(text) as house:
        assert house.statuses(8000, "/up", "/numbers", "/livez", "/readyz") == [200] * 4
        assert house.statuses(8000, "/health", "/metrics") == [404] * 2
        assert {"/up", "/numbers", "/livez", "/readyz"} <= documented(house, 8000)


@pytest.mark.parametrize(
    ("more", "protocol", "host"),
    [("", "ws", "localhost"), ('[accounts]\nbase_url = "https://rt.example.com:443"', "wss", "rt.example.com")],
)
def test_the_realtime_document_names_the_server_as_people_reach_it(more, protocol, host):
    with House('listen = ["tcp:8000"]\n' + more) as house:
        server = house.ports[8000].ask("GET", "/asyncapi.json").json["servers"]["websocket"]
        assert (server["protocol"], server["host"], server["pathname"]) == (protocol, host, "/connection/websocket")


def test_an_application_cannot_stand_where_operators_look():
    app = App()

    @app.get("/livez")
    async def fine() -> bool: ...

    with pytest.raises(TypeError, match="GET /livez is declared twice, by rtserver.web.ops"):
        House(apps=[app])
    txaio.config.loop = None


def metrics(house):
    lines = house.ports[8000].ask("GET", "/metrics").text.splitlines()
    return {line.split(" ")[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_the_gauges_say_what_is_open():
    with House() as house:
        before = metrics(house)
        assert (before["rtserver_ready"], before["rtserver_connections"], before["rtserver_channels"]) == (1, 0, 0)
        frame = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"#a"}}'
        line = house.ports[8000].begin("POST", "/connection/http_stream", frame)
        after = metrics(house)
        assert (after["rtserver_connections"], after["rtserver_clients"]) == (1, 1)
        line.leave()
        assert metrics(house)["rtserver_connections"] == 0


def test_the_server_waits_at_its_end_for_every_kind_of_connection():
    with House() as house:
        house.ports[8000].begin("GET", "/connection/websocket", headers=upgrade_headers())
        house.ports[8000].begin("POST", "/connection/http_stream", b'{"id":1,"connect":{}}')
        assert house.server.connections() == 2


def test_the_limits_of_the_file_are_those_of_the_ports():
    with House(EVERYTHING + '[limits]\napi_body_size = 1024\nheader_size = 1024\nhandshake_timeout = "2s"') as house:
        port = house.ports[8000]
        assert port.ask("POST", "/api/info", b" " * 1025, {"X-API-Key": "secret"}).status == 413
        assert port.ask("GET", "/livez", headers={"X": "x" * 1024}).status == 400
        line = port.connect()
        house.reactor.advance(2)
        assert line.aborted


def who():
    """An application that says where the client is."""
    app = App()

    @app.get("/who")
    async def http(request: Request) -> str:
        return request.remote

    @app.rpc("who")
    async def rpc(connection: Connection) -> str:
        return connection.remote

    return app


ASKING = b'{"id":1,"connect":{}}\n{"id":2,"rpc":{"method":"who"}}'


@pytest.mark.parametrize(
    ("proxies", "client"), [('"127.0.0.1"', "198.51.100.1"), ('"10.0.0.0/8"', "127.0.0.1"), ("", "127.0.0.1")]
)
def test_every_door_names_the_client_behind_a_trusted_proxy_and_believes_no_other(proxies, client):
    with House(f"{EVERYTHING}\n[http_server]\ntrusted_proxies = [{proxies}]", [who()]) as house:
        port, headers = house.ports[8000], {"X-Forwarded-For": "1.1.1.1, 198.51.100.1"}
        assert port.ask("GET", "/who", headers=headers).json == client
        assert client in port.ask("POST", "/connection/http_stream", ASKING, headers).text
        assert client in port.ask("POST", "/connection/sse", ASKING, headers).text
        socket = WSClient(port.begin("GET", "/connection/websocket", headers=upgrade_headers(**headers)))
        socket.command(id=1, connect={})
        socket.command(id=2, rpc={"method": "who"})
        assert socket.messages()[-1]["rpc"] == {"data": client}


def test_the_broker_is_chosen_by_its_name():
    reactor = MemoryReactorClock()
    assert isinstance(make_broker(reactor, load("", {}), "n", None), MemoryBroker)
    config = load('[engine]\ntype = "redis"', {})
    assert isinstance(config.engine.redis, RedisOptions)
    assert isinstance(make_broker(reactor, config, "n", ChannelIntake(Channels(config.channel))), RedisBroker)


class Parent:
    def __init__(self):
        self.components = []

    def setComponent(self, interface, component):
        self.components.append(component)

    def addService(self, service):
        """As an application does."""


@pytest.mark.parametrize(("format", "kinds"), [("json", [JSONLines]), ("text", [])])
def test_the_log_s_format_is_that_of_the_file(format, kinds):
    server = build(MemoryReactorClock(), load(f'[log]\nformat = "{format}"', {}), FakeLog())
    parent = Parent()
    server.setServiceParent(parent)
    assert [type(component) for component in parent.components] == kinds


# Options


def test_a_key_can_be_set_on_the_command_line(tmp_path):
    file = tmp_path / "rtserver.toml"
    file.write_text('[http_api]\nkey = "k"\n[client.token]\nhmac_secret_key = "s"\n')
    options = Options()
    options.parseOptions(["--config", str(file), "--set", "client.ping_interval=10s", "--set", "log.level=warn"])
    config, new_secrets = options.configured
    assert (config.client.ping_interval, config.log.level, new_secrets) == (10, "warn", {})


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--config", "/does/not/exist"], "/does/not/exist: No such file"),
        (["--config", "/"], "/: Is a directory"),
        (["--set", "no equals sign"], "write KEY=VALUE"),
        (["--set", "client.pingg=1"], "client.pingg"),
        (["--app", "nowhere_to_be_found:app"], "nowhere_to_be_found"),
    ],
)
def test_wrong_options_are_told_by_a_sentence_without_a_traceback(arguments, word):
    with pytest.raises(usage.UsageError) as error:
        Options().parseOptions(arguments)
    assert word in str(error.value)


def test_a_wrong_file_is_told_with_every_mistake(tmp_path):
    file = tmp_path / "rtserver.toml"
    file.write_text("[client]\nping_interval = 5\nconnection_limt = 1\n")
    with pytest.raises(usage.UsageError) as error:
        Options().parseOptions(["--config", str(file)])
    assert 'client.connection_limt: unknown key; did you mean "connection_limit"?' in str(error.value)
    assert "client.ping_interval: add a unit" in str(error.value)


# The greeting


class Terminal:
    def __init__(self, terminal):
        self.terminal = terminal
        self.text = ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        """Nothing is kept back."""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_new_secret_is_shown_on_a_terminal_only_and_never_logged(terminal, monkeypatch):
    out, log = Terminal(terminal), FakeLog()
    monkeypatch.setattr(sys, "stdout", out)
    greet(load("", {}), {"http_api.key": "very secret"}, log)
    assert ("very secret" in out.text) is terminal and "http_api.key was not configured" in out.text
    assert "very secret" not in json.dumps([text for _, text, _, _ in log.lines])


def test_the_greeting_says_what_the_worst_case_costs():
    log = FakeLog()
    greet(load("", {}), {}, log)
    assert "memory engine" in log.texts("info")[0]


def test_environment_variables_that_nobody_reads_are_named(monkeypatch):
    monkeypatch.setenv("CENTRIFUGO_CLIENT_PINGG_INTERVAL", "1s")
    log = FakeLog()
    greet(load("", {}), {}, log)
    assert any("CENTRIFUGO_CLIENT_PINGG_INTERVAL" in text for text in log.texts("warn"))
