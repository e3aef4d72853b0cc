"""Faults on demand: which request they meet, and what becomes of it, on a line without a socket and a clock that is told."""

import json
from base64 import b64encode

import pytest
from twisted.internet.testing import StringTransport

from rtserver.simulator.control import Desk
from rtserver.simulator.faults import KINDS, MAX_FAULTS, MAX_WAIT, BadFault, Faults, fault_of
from rtserver.simulator.refusals import Full
from rtserver.simulator.site import make_site
from rtserver.simulator.xml_wire import write
from tests.simulator.house import KEYS, make_gateway

SALE = write(
    "transaction",
    {"type": "sale", "amount": "10.00", "payment_method_nonce": "fake-valid-nonce", "api_request_key": "k"},
)


def test_a_fault_meets_the_requests_that_match_as_often_as_told():
    faults = Faults()
    faults.add(fault_of({"match": "POST /transactions", "fault": "status", "times": 2}))
    faults.add(fault_of({"match": "* /transactions/*", "fault": "empty"}))
    taken = [
        faults.take(*each)
        for each in [("GET", "/transactions"), *[("POST", "/transactions")] * 3, ("PUT", "/transactions/x/void")]
    ]
    assert [each and each.kind for each in taken] == [None, "status", "status", None, "empty"]
    assert faults.all() == []


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"fault": 7},
        {"fault": "nonsense"},
        {"fault": "slow", "ms": -1},
        {"fault": "slow", "ms": True},
        {"fault": "slow", "x": 1},
        {"fault": "status", "status": 99},
        {"fault": "empty", "match": 7},
        {"fault": "empty", "times": 0},
    ],
)
def test_what_is_no_fault_says_what_to_change(said):
    with pytest.raises(BadFault):
        fault_of(said)


def test_faults_are_bounded():
    faults = Faults()
    for _ in range(MAX_FAULTS):
        faults.add(fault_of({"fault": "empty"}))
    with pytest.raises(Full):
        faults.add(fault_of({"fault": "empty"}))


class Line:
    """One connection to the site, with a clock that is told."""

    def __init__(self, desk=None):
        self.gateway = desk.gateway if desk else make_gateway()
        self.desk = desk or Desk(self.gateway, Faults(), None)
        self.clock = self.gateway.clock
        self.transport = StringTransport()
        self.channel = make_site(self.desk, self.clock).buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def send(self, verb, path, body=b"", **headers):
        login = b64encode(f"{KEYS.public_key}:{KEYS.private_key}".encode()).decode()
        given = {
            "Host": "127.0.0.1",
            "Authorization": f"Basic {login}",
            "X-ApiVersion": "6",
            "Content-Length": len(body),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.channel.dataReceived(f"{verb} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return self

    def sale(self, fault=None, **more):
        if fault:
            self.desk.faults.add(fault_of({"match": "POST /transactions", "fault": fault, **more}))
        return self.send("POST", "/merchants/m/transactions", SALE)

    @property
    def status(self):
        got = self.transport.value()
        return int(got.split()[1]) if got else 0

    @property
    def body(self):
        return self.transport.value().partition(b"\r\n\r\n")[2]

    @property
    def dropped(self):
        return self.transport.disconnected

    @property
    def made(self):
        return len(self.gateway.transactions.shelf)


def test_every_kind_of_fault_does_or_leaves_the_work_as_its_plan_says():
    for kind, plan in KINDS.items():
        line = Line()
        line.sale(kind)
        line.clock.advance(1)
        assert line.made == plan.works, kind


@pytest.mark.parametrize(
    ("kind", "status", "dropped"),
    [
        ("work_then_silence", 0, False),
        ("work_then_drop", 0, True),
        ("drop_before_work", 0, True),
        ("silence_before_work", 0, False),
        ("status", 503, False),
        ("work_then_status", 503, False),
        ("bad_xml", 201, False),
        ("empty", 201, False),
    ],
)
def test_the_caller_gets_what_the_fault_gives(kind, status, dropped):
    line = Line().sale(kind, status=503)
    assert (
        line.status,
        line.dropped,
    ) == (status, dropped)


def test_silence_ends_by_itself_some_day():
    line = Line().sale("work_then_silence")
    line.clock.advance(MAX_WAIT + 1)
    assert line.dropped


def test_slow_work_is_done_after_its_time_and_not_before():
    line = Line().sale("slow", ms=5000)
    line.clock.advance(4.9)
    assert (line.status, line.made) == (0, 0)
    other = Line(line.desk).sale()
    assert (other.status, b"915233" in other.body) == (422, True)
    line.clock.advance(0.2)
    assert (line.status, line.made) == (201, 1)
    again = Line(line.desk).sale()
    assert (again.status, again.made) == (201, 1)


def test_slow_work_of_before_a_reset_is_not_done_after_it():
    line = Line().sale("slow", ms=5000)
    line.send("POST", "/_sim/reset")
    other = Line(line.desk).send("POST", "/_sim/reset")
    assert other.status == 200
    line.clock.advance(6)
    assert line.made == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "[::1]:3999"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Authorization": "Basic eA=="}, 401),
        ({"X-ApiVersion": "5"}, 426),
        ({"Content-Length": 5_000_000}, 413),
    ],
)
def test_the_door_lets_in_who_may(headers, status):
    assert Line().send("GET", "/merchants/m/plans/", **headers).status == status


def test_the_gateway_of_another_merchant_is_not_here():
    assert Line().send("GET", "/merchants/other/plans/").status == 403
    assert Line().send("GET", "/elsewhere").status == 403


def test_orders_are_listed_and_answered_in_json():
    line = Line().send("GET", "/_sim/")
    told = json.loads(line.body)
    assert (line.status, told["merchant_id"], told["counts"]["transactions"]) == (200, "m", 0)
    assert "POST /_sim/faults" in told["orders"]
