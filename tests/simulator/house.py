"""A gateway without sockets, with a clock that stands still and ids that count."""

import itertools

from twisted.internet.task import Clock

from rtserver.simulator.__main__ import ACCOUNTS, PLANS
from rtserver.simulator.gateway import Call, Gateway, Setup
from rtserver.simulator.merchant import Keys
from rtserver.simulator.routes import find_route
from rtserver.simulator.shelf import World
from rtserver.simulator.xml_wire import read, write

KEYS = Keys("m", "public", "private")


def make_gateway():
    clock, numbers = Clock(), itertools.count(1)
    clock.advance(1_700_000_000.0)
    gateway = Gateway(Setup(KEYS, ACCOUNTS, PLANS), World(clock.seconds, lambda: f"id{next(numbers)}"), find_route)
    gateway.clock = clock
    return gateway


def call(verb, path, root=None, value=None, **query):
    body = write(root, value) if root else b""
    return Call(verb, path, read(body), query, body)


def ask(gateway, verb, path, root=None, value=None, **query):
    """Status and answer, read from its XML."""
    request = call(verb, path, root, value, **query)
    answer = gateway.admit(request) or gateway.work(request)
    return answer.status, read(answer.body) if answer.status < 500 and answer.status != 404 else answer.body.decode()


def sale(gateway, amount="10.00", submit=False, **more):
    given = {"type": "sale", "amount": amount, "payment_method_nonce": "fake-valid-nonce"}
    options = {"options": {"submit_for_settlement": submit}}
    return ask(gateway, "POST", "/transactions", "transaction", {**given, **options, **more})


def sold(gateway, amount="10.00", submit=False, **more):
    status, answer = sale(gateway, amount, submit, **more)
    assert status == 201, answer
    return answer["transaction"]


def codes(answer):
    """Codes of all errors, however deep."""
    found = []

    def walk(level):
        found.extend(error["code"] for error in level["errors"])
        for name, deeper in level.items():
            if name != "errors":
                walk(deeper)

    walk(answer["api_error_response"]["errors"])
    return found
