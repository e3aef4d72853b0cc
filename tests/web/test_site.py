"""The HTTP side of a port: exact paths, bounded heads and bodies, time limits."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from rtserver.web.site import LINGER, SiteLimits
from tests.line import Port, parse


class Echo(Resource):
    """Counts its calls and answers with what it got."""

    isLeaf = True

    def __init__(self, name="echo"):
        super().__init__()
        self.name = name
        self.calls = 0

    def render(self, request):
        self.calls += 1
        rest = b"/".join(request.postpath).decode()
        return f"{self.name}|{rest}|".encode() + request.content.read()


class Who(Resource):
    """Answers with the client's address and port."""

    isLeaf = True

    def render(self, request):
        address = request.getClientAddress()
        return f"{getattr(address, 'host', '-')} {getattr(address, 'port', '-')} {type(address).__name__}".encode()


def who(peer, proxies, *forwarded):
    port = Port(Clock(), {"/who": Who()}, proxies=proxies)
    port.peer = peer
    line = port.connect()
    headers = "".join(f"X-Forwarded-For: {each}\r\n" for each in forwarded)
    line.send(f"GET /who HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
    return parse(line.take()).text


PEER = IPv4Address("TCP", "10.0.0.1", 50_000)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "answer"),
    [
        ((), ["198.51.100.1"], "10.0.0.1 50000 IPv4Address"),
        (("10.0.0.2",), ["198.51.100.1"], "10.0.0.1 50000 IPv4Address"),
        (("10.0.0.1",), [], "10.0.0.1 50000 IPv4Address"),
        (("10.0.0.1",), ["nobody"], "10.0.0.1 50000 IPv4Address"),
        (("10.0.0.1",), ["1.1.1.1, 198.51.100.1"], "198.51.100.1 0 IPv4Address"),
        (("10.0.0.0/8",), ["1.1.1.1", "198.51.100.1", "10.0.0.3"], "198.51.100.1 0 IPv4Address"),
        (("10.0.0.1",), ["2001:db8::7"], "2001:db8::7 0 IPv6Address"),
    ],
)
def test_the_client_behind_a_trusted_proxy_is_the_client_and_nobody_else_is_believed(proxies, forwarded, answer):
    assert who(PEER, proxies, *forwarded) == answer


def test_a_proxy_may_come_through_a_unix_socket():
    socket = UNIXAddress(None)
    assert who(socket, ("unix:",), "198.51.100.1") == "198.51.100.1 0 IPv4Address"
    assert who(socket, ("unix:",)) == who(socket, ("10.0.0.1",), "198.51.100.1") == "- - UNIXAddress"


class House:
    def __init__(self, **limits):
        self.clock = Clock()
        self.echo = Echo()
        self.below = Echo("below")
        self.port = Port(self.clock, {"/echo": self.echo, "/below/*": self.below}, SiteLimits(**limits))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/echo", "echo||"),
        ("/echo?a=/b", "echo||"),
        ("/below/", "below||"),
        ("/below/a/b", "below|a/b|"),
        ("/below/a?b=c", "below|a|"),
    ],
)
def test_paths_are_matched_whole_and_tables_may_take_what_is_below(path, answer):
    assert House().port.ask("GET", path).text == answer


@pytest.mark.parametrize(
    "path", ["/", "/ech", "/echo/", "/echo/x", "/below", "/ECHO", "//echo", "/below2/x", "/x?/echo"]
)
def test_what_is_in_no_table_is_404(path):
    house = House()
    answer = house.port.ask("GET", path)
    assert answer.status == 404 and "nothing is served" in answer.text
    assert house.echo.calls == house.below.calls == 0


def test_a_body_of_the_limit_arrives_whole():
    house = House(body_size=1000)
    assert house.port.ask("POST", "/echo", b"x" * 1000).body == b"echo||" + b"x" * 1000


def test_a_body_that_announces_too_much_is_413_before_it_comes_and_the_connection_ends():
    house = House(body_size=1000)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
    answer = parse(line.take())
    assert answer.status == 413 and answer.header("connection") == "close"
    assert answer.header("content-type") == "application/json"
    assert answer.json == {"detail": "the body is larger than 1000 bytes"}
    house.clock.advance(LINGER)
    house.clock.advance(0)
    assert not line.connected and house.echo.calls == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_is_still_sending_can_read_the_413_before_the_connection_ends(chunked):
    """Ended at once, with bytes unread, TCP would reset the connection and take the answer away."""
    house = House(body_size=1000)
    line = house.port.connect()
    length = b"Transfer-Encoding: chunked\r\n\r\n1388\r\n" if chunked else b"Content-Length: 5000\r\n\r\n"
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\n" + length)
    line.send(b"x" * 2000)
    assert chunked is False or parse(line.take()).status == 413
    house.clock.advance(LINGER / 2)
    assert line.connected and not line.disconnecting
    line.send(b"x" * 3000 + (b"\r\n0\r\n\r\n" if chunked else b""))
    house.clock.advance(0)
    assert not line.connected and house.echo.calls == 0 and house.clock.getDelayedCalls() == []


def test_a_client_that_sends_too_much_without_end_is_cut_off():
    house = House(body_size=1000)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
    for _ in range(10):
        line.send(b"x" * 10_000)
        house.clock.advance(LINGER / 5)
    assert not line.connected


def test_a_client_that_leaves_after_its_413_leaves_no_timer():
    house = House(body_size=10)
    line = house.port.begin("POST", "/echo", b"")
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    line.leave()
    assert house.clock.getDelayedCalls() == []


def test_a_length_beyond_all_numbers_is_413_too():
    house = House(body_size=1000)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n")
    assert parse(line.take()).status == 413


def test_a_client_that_asks_before_it_sends_too_much_gets_413_alone():
    house = House(body_size=1000)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    data = line.take()
    assert data.startswith(b"HTTP/1.1 413") and b"100 Continue" not in data


def test_a_client_that_asks_before_it_sends_is_told_to_go_on():
    house = House()
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert line.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.send(b"ab")
    assert parse(line.take()).text == "echo||ab"


def test_a_chunked_body_is_counted_and_cut_off():
    house = House(body_size=1000)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    line.send(b"1f4\r\n" + b"x" * 500 + b"\r\n")
    assert line.take() == b""
    line.send(b"1f4\r\n" + b"x" * 500 + b"\r\n")
    assert line.take() == b""
    line.send(b"1\r\nx\r\n0\r\n\r\n")
    data = line.take()
    assert parse(data).status == 413 and data.count(b"HTTP/1.1") == 1
    assert parse(data).json == {"detail": "the body is larger than 1000 bytes"}
    house.clock.advance(0)
    assert not line.connected and house.echo.calls == 0


def test_a_chunked_body_of_the_limit_arrives():
    house = House(body_size=1000)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    line.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n")
    assert parse(line.take()).body == b"echo||" + b"x" * 1000


def test_a_request_after_a_body_that_was_too_large_is_not_served():
    house = House(body_size=10)
    line = house.port.connect()
    line.send(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"
        + b"x" * 11
        + b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert line.take().count(b"HTTP/1.1") == 1 and house.echo.calls == 0


def test_two_lengths_are_refused():
    house = House()
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert parse(line.take()).status == 400 and house.echo.calls == 0


def test_a_head_above_the_limit_is_refused():
    house = House(header_size=1000)
    assert house.port.ask("GET", "/echo", headers={"X": "x" * 500}).status == 200
    line = house.port.begin("GET", "/echo", headers={"X": "x" * 1000})
    assert parse(line.take()).status == 400
    house.clock.advance(0)
    assert not line.connected and house.echo.calls == 1


def test_a_head_that_drips_in_too_slowly_is_cut_off():
    house = House(head_timeout=5)
    line = house.port.connect()
    for byte in b"GET /e":
        line.send(bytes((byte,)))
        house.clock.advance(0.9)
    assert line.aborted and not line.connected and house.echo.calls == 0


def test_a_client_that_says_nothing_is_cut_off():
    house = House(head_timeout=5)
    line = house.port.connect()
    house.clock.advance(5)
    assert line.aborted


def test_a_head_in_time_stops_the_timer():
    house = House(head_timeout=5, idle_timeout=60)
    line = house.port.connect()
    line.send(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
    house.clock.advance(30)
    assert line.connected and not line.aborted


def test_a_client_that_leaves_before_its_head_leaves_no_timer():
    house = House()
    line = house.port.connect()
    line.leave()
    assert house.clock.getDelayedCalls() == []


def test_a_connection_is_kept_for_further_requests_and_ends_when_idle():
    house = House(idle_timeout=60)
    line = house.port.connect()
    for number in range(3):
        line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % number)
        assert parse(line.take()).text == f"echo||{number}"
        house.clock.advance(50)
    assert line.connected
    house.clock.advance(10)
    house.clock.advance(0)
    assert not line.connected


def test_a_body_that_does_not_come_ends_the_connection_when_idle():
    house = House(idle_timeout=60)
    line = house.port.connect()
    line.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    house.clock.advance(60)
    house.clock.advance(0)
    assert not line.connected and house.echo.calls == 0


def test_pipelined_requests_are_answered_in_order():
    house = House()
    line = house.port.connect()
    line.send(b"GET /below/a HTTP/1.1\r\nHost: a\r\n\r\nGET /below/b HTTP/1.1\r\nHost: a\r\n\r\n")
    data = line.take()
    assert data.index(b"below|a|") < data.index(b"below|b|")


def test_a_json_body_is_not_parsed_as_a_form():
    answer = House().port.ask("POST", "/echo", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.text == "echo||a=1"


def test_only_http_1_1_is_offered_in_tls():
    assert House().port.site.acceptableProtocols() == [b"http/1.1"]


def test_a_resource_that_fails_shows_no_traceback(logged_failures):
    class Broken(Resource):
        isLeaf = True

        def render(self, request):
            raise ValueError("a secret detail")

    answer = Port(Clock(), {"/x": Broken()}).ask("GET", "/x")
    assert answer.status == 500 and b"secret" not in answer.body and b"Traceback" not in answer.body
    logged_failures.clear()
