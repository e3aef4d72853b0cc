"""Two servers on one PostgreSQL and one Redis: whoever is asked to charge, the payer and the staff hear of it where they are
connected."""

from contextlib import contextmanager

import pytest

from tests.live.postgres_server import PostgresServer
from tests.live.raw import RawClient
from tests.live.redis_server import RedisServer
from tests.live.simulator_process import running
from tests.live.test_payments_http import PATIENCE, pay_until_the_kill, sale, state_of
from tests.live.test_payments_two_servers import Chain


@contextmanager
def chain_of(place, first):
    """``first``: the number of the server that starts first, and so does what only one of
    them does at a time: it publishes the news, also those of the other one."""
    with running(place) as simulator, PostgresServer() as database, RedisServer() as redis:
        engine = {"type": "redis", "redis": {"address": [redis.url]}}
        made = Chain(place, simulator, database, engine=engine, payments={"timeout": "3s"})
        servers = (made.first, made.second)
        try:
            servers[first].start()
            servers[1 - first].start()
            yield made
            made.first.stop()
        finally:
            made.first.kill()
            made.second.kill()


class Listener:
    """A connection of a person to the server of ``browser`` that hears ``channel``."""

    def __init__(self, browser, channel):
        self._client = RawClient(browser.server, additional_headers={"Origin": browser.server.url()})
        self._client.connect(token=browser.read("/auth/token")[1]["token"])
        token = browser.read(f"/auth/subscription-token?channel={channel}")[1]["token"]
        assert "error" not in self._client.call(2, subscribe={"channel": channel, "token": token})

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._client.__exit__(*error)

    def states(self, last):
        """The states of the order that is told of, until it is ``last``."""
        found = []
        while last not in found:
            record = self._client.receive(PATIENCE)["push"]["pub"]["data"]["record"]
            found.append(record["state"])
        return found


@contextmanager
def hearing(payer, staff):
    """Both at the servers of their browsers."""
    user = payer.read("/auth/session")[1]["user"]["id"]
    with Listener(payer, f"user:{user}") as own, Listener(staff, "staff:payments") as all_news:
        yield own, all_news


def test_what_is_paid_and_refunded_at_one_server_is_heard_at_the_other(tmp_path):
    with chain_of(tmp_path, 1) as chain:
        (payer, payer_there), (staff, staff_there) = chain.both("paula"), chain.both("boss")
        with hearing(payer, staff) as listeners:
            order = payer_there.post("/payment/process/", sale("fake-valid-visa-nonce"))[1]["order"]["order"]
            assert [each.states("paid") for each in listeners] == [["paid"]] * 2
            chain.simulator.settle()
            assert [each.states("settled") for each in listeners] == [["settled"]] * 2
            assert staff_there.post(f"/payment/orders/{order}/refund", {"amount": "3.00"})[0] == 200
            assert [each.states("partly_refunded") for each in listeners] == [["partly_refunded"]] * 2
            assert payer.read(f"/payment/orders/{order}")[1]["refunded"] == "3.00"
        chain.second.stop()


@pytest.mark.parametrize("first", [0, 1], ids=["which held nothing", "which held everything"])
def test_who_pays_by_a_server_that_is_killed_hears_of_it_at_the_other(tmp_path, first):
    with chain_of(tmp_path, first) as chain:
        (payer, payer_there), (staff, _) = chain.both("paula"), chain.both("boss")
        with hearing(payer, staff) as listeners:
            pay_until_the_kill(payer_there, chain.simulator, chain.charged)
            assert [each.states("paid") for each in listeners] == [["checking", "paid"]] * 2
        ((order,),) = ([each["order"] for each in payer.read("/payment/orders")[1]["orders"]],)
        assert state_of(payer, order) == "paid" and len(chain.charged()) == 1
