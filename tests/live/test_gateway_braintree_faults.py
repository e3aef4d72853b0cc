"""The gateway of the server while things go wrong on the way: what each trouble says about money, and repeats pay once."""

import socket
import ssl
import threading
from dataclasses import replace
from itertools import takewhile

import pytest
import pytest_twisted
from braintree import Environment
from twisted.internet.defer import Deferred

from rtserver.payments.errors import GatewayAway
from rtserver.payments.records import AttemptState, Op
from tests.deadline import deadline
from tests.live.gateway_calls import Gateways, attempt, repeated, sale

APPROVED, ERROR, UNKNOWN = AttemptState.APPROVED, AttemptState.ERROR, AttemptState.UNKNOWN


@pytest_twisted.async_yield_fixture
async def make(simulator):
    gateways = Gateways(simulator.url())
    yield gateways
    await gateways.stop()


# On the way to the answer


@pytest.mark.parametrize(
    ("fault", "more", "code", "exists"),
    [
        ("work_then_silence", {}, "timeout", True),
        ("silence_before_work", {}, "timeout", False),
        ("work_then_drop", {}, "connection_lost", True),
        ("drop_before_work", {}, "connection_lost", False),
        ("work_then_status", {"status": 500}, "gateway_500", True),
        ("status", {"status": 500}, "gateway_500", False),
        ("status", {"status": 502}, "unexpected_answer", False),
        ("status", {"status": 503}, "gateway_503", False),
        ("status", {"status": 504}, "gateway_504", False),
        ("status", {"status": 408}, "gateway_408", False),
        ("status", {"status": 302}, "unexpected_answer", False),
        ("bad_xml", {}, "unreadable_answer", True),
        ("empty", {}, "unreadable_answer", True),
    ],
)
@deadline(60)
async def test_a_sale_without_a_clear_answer_is_unknown_and_the_repeat_pays_once(sim, make, fault, more, code, exists):
    gateway = await make(timeout=1)
    sim.fault("POST /transactions", fault, **more)
    given = sale()
    outcome = await gateway.sale(given)
    assert (outcome.state, outcome.code) == (UNKNOWN, code)
    assert len(sim.objects("transactions")) == exists
    again = await gateway.sale(repeated(given))
    assert again.state is APPROVED
    [only] = sim.objects("transactions")
    assert (only["id"], only["order_id"]) == (again.transaction.id, given.attempt.id)
    assert [each.id for each in await gateway.transactions_of(given.attempt.id)] == [only["id"]]


@deadline(60)
async def test_a_slow_answer_is_waited_for(sim, make):
    gateway = await make(timeout=10)
    sim.fault("POST /transactions", "slow", ms=700)
    assert (await gateway.sale(sale())).state is APPROVED


@deadline(60)
async def test_a_request_that_is_still_under_way_stays_unknown(sim, make):
    slow, quick = await make(timeout=10), await make(timeout=10)
    given = sale()
    sim.fault("POST /transactions", "slow", ms=1500)
    first = Deferred.fromCoroutine(slow.sale(given))
    sim.wait_for(lambda: not sim.order("GET", "/faults"))
    second = await quick.sale(repeated(given))
    assert (second.state, second.code) == (UNKNOWN, "915233")
    assert (await first).state is APPROVED
    assert len(sim.objects("transactions")) == 1


@pytest.mark.parametrize("fault", ["work_then_silence", "work_then_drop", "drop_before_work", "bad_xml"])
@deadline(60)
async def test_a_refund_without_a_clear_answer_is_given_once(sim, make, fault):
    gateway = await make(timeout=1)
    paid = (await gateway.sale(sale())).transaction.id
    sim.settle(paid)
    sim.fault("POST /transactions/*/refund", fault)
    asked = attempt(Op.REFUND, 400, paid)
    assert (await gateway.refund(asked)).state is UNKNOWN
    again = await gateway.refund(replace(asked, state=UNKNOWN))
    assert again.state is APPROVED
    assert (await gateway.transaction(paid)).refund_ids == (again.transaction.id,)
    assert [each.id for each in await gateway.transactions_of(asked.id)] == [again.transaction.id]


@pytest.mark.parametrize("has_keys", [True, False])
@deadline(60)
async def test_a_void_and_a_settlement_without_a_clear_answer_are_done_once(sim, make, has_keys):
    sim.settings(api_request_keys=has_keys)
    gateway = await make(timeout=1)
    voided = (await gateway.sale(sale())).transaction.id
    held = (await gateway.sale(sale(is_held=True))).transaction.id
    sim.fault("PUT /transactions/*/void", "work_then_drop")
    sim.fault("PUT /transactions/*/submit_for_settlement", "work_then_drop")
    void, settle = attempt(Op.VOID, target=voided), attempt(Op.SETTLE, target=held)
    assert (await gateway.void(void)).state is UNKNOWN
    assert (await gateway.settle(settle, False)).state is UNKNOWN
    assert (await gateway.void(replace(void, checks=1))).transaction.status == "voided"
    assert (await gateway.settle(replace(settle, checks=1), False)).transaction.status == "submitted_for_settlement"


@deadline(60)
async def test_parts_of_a_held_payment_are_settled_and_can_be_found(sim, make):
    gateway = await make()
    held = (await gateway.sale(sale(attempt(minor=3000), is_held=True))).transaction.id
    asked = [attempt(Op.SETTLE, minor, held) for minor in (1000, 1500)]
    for each in asked:
        part = (await gateway.settle(each, True)).transaction
        assert (part.parent, part.amount) == (held, each.amount)
        assert [found.id for found in await gateway.transactions_of(each.id)] == [part.id]
    too_much = await gateway.settle(attempt(Op.SETTLE, 501, held), True)
    assert (too_much.state, too_much.code) == (AttemptState.INVALID, "91522")


@deadline(60)
async def test_without_request_keys_a_lost_sale_is_searched_for_and_not_made_again(sim, make):
    sim.settings(api_request_keys=False)
    gateway = await make(timeout=1)
    assert (await gateway.sale(sale())).state is APPROVED
    sim.fault("POST /transactions", "work_then_drop")
    given = sale(attempt(minor=1100))
    assert (await gateway.sale(given)).state is UNKNOWN
    again = await gateway.sale(repeated(given))
    assert (again.state, again.code) == (UNKNOWN, "915231")
    [found] = await gateway.transactions_of(given.attempt.id)
    assert found.amount == given.attempt.amount
    assert len(sim.objects("transactions")) == 2


@deadline(60)
async def test_a_search_may_lag(sim, make):
    gateway = await make()
    sim.settings(search_lag_seconds=60.0)
    given = sale()
    await gateway.sale(given)
    assert list(await gateway.transactions_of(given.attempt.id)) == []
    sim.ahead(61)
    assert len(await gateway.transactions_of(given.attempt.id)) == 1


@deadline(60)
async def test_a_payment_that_outlives_its_deadline_ends_and_is_told(sim, make):
    gateway = await make(connect_timeout=0.2, timeout=30)
    told = Deferred()
    gateway.late = lambda attempt, outcome: told.callback((attempt.id, outcome))
    sim.fault("POST /transactions", "slow", ms=1200)
    given = sale()
    paying = Deferred.fromCoroutine(gateway.sale(given))
    sim.wait_for(lambda: not sim.order("GET", "/faults"))
    paying.addErrback(lambda _cancelled: None).cancel()
    id, outcome = await told
    assert (id, outcome.state) == (given.attempt.id, APPROVED)


# No way to the gateway


async def not_connected(gateway):
    outcome = await gateway.sale(sale())
    assert (outcome.state, outcome.code, outcome.is_soft) == (ERROR, "not_connected", True)
    with pytest.raises(GatewayAway, match="not_connected"):
        await gateway.transactions_of("t-1")
    repeat = await gateway.sale(repeated(sale()))
    assert (repeat.state, repeat.code) == (UNKNOWN, "not_connected")


@deadline(60)
async def test_a_refused_connection_moved_no_money(make):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gateway = await make(simulator_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        await not_connected(gateway)


@deadline(60)
async def test_a_connection_that_is_never_made_moved_no_money(make):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            gateway = await make(simulator_url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.3)
            await not_connected(gateway)
        finally:
            for each in waiting:
                each.close()


@deadline(60)
async def test_keys_that_are_not_known_moved_no_money(sim, make, logged_failures):
    gateway = await make(private_key="wrong")
    outcome = await gateway.sale(sale())
    assert (outcome.state, outcome.code) == (ERROR, "unauthorized")
    assert [event["log_level"].name for event in logged_failures] == ["critical"]
    logged_failures.clear()
    other = await make(merchant_id="another")
    assert (await other.sale(sale())).code == "forbidden"
    logged_failures.clear()
    assert sim.objects("transactions") == []


class Tls(Environment):
    """The SDK takes https on port 443 only."""

    protocol = "https://"


class Server:
    """Does with every connection what it was told to, and keeps what came."""

    def __init__(self, talk, host):
        self._talk = talk
        self._listening = socket.create_server((host, 0))
        self.port = self._listening.getsockname()[1]
        self.came = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(5)
            with connection:
                try:
                    self._talk(connection, self.came)
                except OSError as error:
                    self.came.append(type(error))

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


ANSWER = b"HTTP/1.1 503 Not now\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def serve():
    made = []

    def start(talk, host="127.0.0.1"):
        made.append(Server(talk, host))
        return made[-1]

    yield start
    for server in made:
        server.close()


def whole_request(connection):
    """Up to the end of the body: a connection that is closed with bytes unread is reset, and the answer lost with it."""
    with connection.makefile("rb") as coming:
        head = list(takewhile(lambda line: line.strip(), coming))
        sizes = [int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length:")]
        return b"".join(head) + coming.read(sum(sizes))


def in_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def talk(connection, came):
        with context.wrap_socket(connection, server_side=True) as talking:
            came.append(whole_request(talking))
            talking.sendall(ANSWER)

    return talk


def in_plain(connection, came):
    connection.recv(65536)
    connection.sendall(ANSWER)


def in_silence(connection, came):
    while connection.recv(65536):
        pass


def by_tls(port, trusted, host="127.0.0.1"):
    return Tls("tls", host, str(port), "", True, str(trusted), host, str(port))


@deadline(60)
async def test_a_certificate_that_is_not_trusted_ends_it_before_anything_is_sent(make, serve, certificate):
    server = serve(in_tls(certificate))
    await not_connected(await make(by_tls(server.port, Environment.Sandbox.ssl_certificate)))
    assert not any(isinstance(each, bytes) for each in server.came)


@deadline(60)
async def test_a_certificate_of_another_name_ends_it_too(make, serve, certificate):
    server = serve(in_tls(certificate), "127.0.0.2")
    await not_connected(await make(by_tls(server.port, certificate / "cert.pem", "127.0.0.2")))
    assert not any(isinstance(each, bytes) for each in server.came)


@deadline(60)
async def test_a_certificate_that_is_trusted_is_taken(make, serve, certificate):
    server = serve(in_tls(certificate))
    gateway = await make(by_tls(server.port, certificate / "cert.pem"))
    assert (await gateway.sale(sale())).code == "gateway_503"
    assert server.came[0].startswith(b"POST /merchants/sim_merchant/transactions ")


@deadline(60)
async def test_a_gateway_that_speaks_no_tls_gets_nothing(make, serve, certificate):
    await not_connected(await make(by_tls(serve(in_plain).port, certificate / "cert.pem")))


@deadline(60)
async def test_silence_in_the_handshake_is_unknown_as_it_cannot_be_told_from_silence_afterwards(
    make, serve, certificate
):
    gateway = await make(by_tls(serve(in_silence).port, certificate / "cert.pem"), connect_timeout=0.5, timeout=0.5)
    assert (await gateway.sale(sale())).state is UNKNOWN
