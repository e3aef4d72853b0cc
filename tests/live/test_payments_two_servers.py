"""Two servers on one PostgreSQL take the payments of the same people."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.postgres_server import PostgresServer
from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer, merged
from tests.live.simulator_process import running
from tests.live.test_accounts_http import Browser, signed_up
from tests.live.test_payments_browser import settings
from tests.live.test_payments_http import eventually, pay_until_the_kill, sale, state_of

SECRET = "the same secret of both servers, long enough"


class Chain:
    """``first`` and ``second`` are the servers; ``more`` are settings of both."""

    def __init__(self, place, simulator, database, **more):
        self.simulator = simulator
        ports = [free_port(), free_port()]
        self.first, self.second = (self._server(place, ports, number, database, more) for number in range(2))
        simulator.settings(webhook_url=self.second.url("/payment/webhook/"))

    def _server(self, place, ports, number, database, more):
        folder = place / f"server{number}"
        folder.mkdir()
        shared = {
            "accounts": {"secret_key": SECRET, "base_url": f"http://127.0.0.1:{ports[0]}"},
            "database": {"url": database.url},
            "mail": {"directory": str(place / "server0" / "mail")},
        }
        known = merged(settings(ports[number], self.simulator), shared)
        return RtServer(folder, merged(known, more), ports[number])

    def start(self):
        self.first.start()
        self.second.start()

    def both(self, name):
        """The same browser at both servers."""
        one = signed_up(self.first, name)
        other = Browser(self.second)
        other.jar = one.jar
        return one, other

    def charged(self):
        return [each for each in self.simulator.objects("transactions") if each["type"] == "sale"]


@pytest.fixture
def chain(tmp_path):
    with running(tmp_path) as simulator, PostgresServer() as database:
        made = Chain(tmp_path, simulator, database)
        try:
            made.start()
            yield made
            made.second.stop()
        finally:
            made.first.kill()
            made.second.kill()


def at_once(path, asked):
    """The answers to all of these, pairs of browser and body."""
    with ThreadPoolExecutor(len(asked)) as threads:
        return [each.result() for each in [threads.submit(browser.post, path, body) for browser, body in asked]]


def test_one_request_at_both_servers_charges_once(chain):
    one, other = chain.both("paula")
    answers = at_once("/payment/process/", [(each, sale("fake-valid-visa-nonce")) for each in [one, other] * 4])
    assert {status for status, _ in answers} <= {200, 409} and len(chain.charged()) == 1
    order = one.post("/payment/orders", {"item": "test-10"})[1]["order"]
    bodies = [{"order": order, "nonce": f"fake-valid-{kind}-nonce"} for kind in ("mastercard", "amex", "discover")]
    answers = at_once("/payment/process/", [(each, body) for each in (one, other) for body in bodies])
    assert {status for status, _ in answers} <= {200, 409} and len(chain.charged()) == 2


def test_refunds_at_both_servers_never_exceed_what_was_paid(chain):
    one, other = chain.both("boss")
    order = one.post("/payment/process/", sale("fake-valid-visa-nonce"))[1]["order"]["order"]
    chain.simulator.settle()
    eventually(lambda: state_of(one, order) == "settled")
    answers = at_once(f"/payment/orders/{order}/refund", [(each, {"amount": "3.00"}) for each in [one, other] * 4])
    made = Counter(status for status, _ in answers)
    assert set(made) <= {200, 409, 422}
    assert one.read(f"/payment/orders/{order}")[1]["refunded"] == f"{3 * made[200]}.00"


def test_what_a_killed_server_leaves_behind_the_other_one_finds_out(chain):
    one, other = chain.both("paula")
    pay_until_the_kill(one, chain.simulator, chain.charged)
    eventually(lambda: [each["state"] for each in other.read("/payment/orders")[1]["orders"]] == ["paid"])
    assert other.post("/payment/process/", sale("fake-valid-visa-nonce"))[1]["result"] == "done"
    assert len(chain.charged()) == 1
