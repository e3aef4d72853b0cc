"""Who may come in: origins, header bytes, limits, and what pages of other origins may read."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from rtserver.core.options import ClientOptions
from rtserver.protocols.entrance import Entrance, allow_origin, preflight, refuse
from tests.line import Port


class Door(Resource):
    """Answers as a connection endpoint would, without making a connection."""

    isLeaf = True

    def __init__(self, entrance):
        super().__init__()
        self.entrance = entrance

    def render(self, request):
        refusal = self.entrance.refuse(request)
        if refusal is not None:
            return refuse(request, refusal)
        allow_origin(request)
        if request.method == b"OPTIONS":
            return preflight(request, "GET, OPTIONS")
        return b"welcome"


class House:
    def __init__(self, **options):
        self.clock = Clock()
        self.unready = ""
        self.entrance = Entrance(ClientOptions(**options), self.clock.seconds, lambda: self.unready)
        self.port = Port(self.clock, {"/c": Door(self.entrance)})

    def ask(self, method="GET", path="/c", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.port.ask(method, path, headers=named)


def test_a_client_without_origin_is_no_page_and_comes_in():
    assert House().ask().text == "welcome"


def test_without_configured_origins_no_page_comes_in():
    answer = House().ask(origin="https://example.com")
    assert answer.status == 403 and "client.allowed_origins" in answer.text


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://example.com", "https://example.com", True),
        ("https://example.com", "HTTPS://EXAMPLE.com", True),
        ("https://Example.com", "https://example.com", True),
        ("https://example.com", "http://example.com", False),
        ("https://example.com", "https://example.com:8443", False),
        ("https://example.com", "https://example.com.evil.org", False),
        ("https://example.com", "https://evil.org/https://example.com", False),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://a.example.com.evil.org", False),
        ("https://example.com:*", "https://example.com:8443", True),
        ("*", "https://anything.at.all", True),
        ("*", "null", True),
        ("https://example.com", "null", False),
        ("https://example.com", "", False),
    ],
)
def test_origins_are_globs_on_the_whole_lower_case_origin(pattern, origin, allowed):
    answer = House(allowed_origins=(pattern,)).ask(origin=origin)
    assert (answer.status == 200) is allowed


def test_any_of_several_patterns_is_enough():
    house = House(allowed_origins=("https://a.com", "https://b.com"))
    assert [house.ask(origin=f"https://{name}.com").status for name in "abc"] == [200, 200, 403]


@pytest.mark.parametrize("origin", [b"https://\xff", b"\xc3\xa9", b"https://ex\xe9mple.com"])
def test_an_origin_in_no_encoding_is_refused_and_breaks_nothing(origin):
    assert House(allowed_origins=("https://*.com",)).ask(origin=origin).status == 403


BREAKS = [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85", b"\x01", b"\x7f", "\u2028".encode(), "\u2029".encode()]


@pytest.mark.parametrize("bad", BREAKS)
def test_bytes_that_some_parser_takes_for_a_line_end_are_refused_in_values(bad):
    answer = House().ask(x_note=b"a" + bad + b"Origin: https://example.com")
    assert answer.status == 400


@pytest.mark.parametrize("bad", BREAKS)
def test_such_bytes_are_refused_in_names(bad):
    assert House().ask(**{(b"x" + bad + b"y").decode("latin-1"): "1"}).status == 400


@pytest.mark.parametrize("bad", BREAKS)
def test_such_bytes_are_refused_in_the_address(bad):
    assert House().ask(path="/c?a=" + bad.decode("latin-1")).status == 400


def test_header_values_beyond_ascii_are_no_line_ends():
    assert House().ask(x_name="Zoë 日本").status == 200


def test_a_server_that_is_not_ready_says_why_and_when_to_come_back():
    house = House()
    house.unready = "the server is starting"
    answer = house.ask()
    assert (answer.status, answer.text) == (503, "the server is starting\n") and answer.header("retry-after") == "1"


def test_a_full_house_lets_in_again_when_someone_leaves():
    house = House(connection_limit=2)
    house.entrance.entered()
    assert house.ask().status == 200
    house.entrance.entered()
    answer = house.ask()
    assert answer.status == 503 and "client.connection_limit" in answer.text
    house.entrance.left()
    assert house.ask().status == 200


def test_the_rate_limit_counts_by_the_second():
    house = House(connection_rate_limit=2)
    assert [house.ask().status for _ in range(4)] == [200, 200, 503, 503]
    house.clock.advance(0.5)
    assert house.ask().status == 503
    house.clock.advance(0.5)
    assert [house.ask().status for _ in range(3)] == [200, 200, 503]


def test_a_request_that_is_refused_for_another_reason_does_not_use_up_the_rate():
    house = House(connection_rate_limit=1)
    assert house.ask(origin="https://example.com").status == 403
    assert house.ask().status == 200


def test_refusals_are_counted():
    house = House(connection_limit=1)
    house.entrance.entered()
    house.ask()
    house.ask(origin="https://example.com")
    assert house.entrance.refused == 2


def test_an_allowed_origin_is_echoed_with_credentials():
    answer = House(allowed_origins=("https://*.com",)).ask(origin="https://Example.com")
    assert answer.header("access-control-allow-origin") == "https://Example.com"
    assert answer.header("access-control-allow-credentials") == "true"
    assert answer.header("vary").lower() == "origin"


def test_without_origin_there_are_no_cors_headers():
    assert House().ask().header("access-control-allow-origin") is None


def test_a_preflight_names_methods_and_echoes_the_asked_headers():
    house = House(allowed_origins=("*",))
    answer = house.ask("OPTIONS", origin="https://example.com", access_control_request_headers="content-type, x-trace")
    assert answer.status == 204 and answer.body == b""
    assert answer.header("access-control-allow-methods") == "GET, OPTIONS"
    assert answer.header("access-control-max-age") == "300"
    assert answer.header("access-control-allow-headers") == "content-type, x-trace"
