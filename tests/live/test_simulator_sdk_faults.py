"""The simulator and the real SDK over HTTP: request keys, faults on demand, who may call, and how much."""

import http.client
import subprocess
import sys
import threading
from base64 import b64encode
from xml.parsers.expat import ExpatError

import braintree
import pytest
from braintree.exceptions import (
    authentication_error,
    authorization_error,
    gateway_timeout_error,
    server_error,
    service_unavailable_error,
    too_many_requests_error,
    unexpected_error,
)
from braintree.exceptions.http import connection_error, timeout_error

from tests.live.simulator_process import MERCHANT, PRIVATE_KEY, PUBLIC_KEY, ROOT

SHORT = (2, 0.4)
"""Connect and read timeout for tests in which an answer stays out."""


def sale(gateway, amount="10.00", key=None, nonce="fake-valid-nonce", **more):
    more |= {"api_request_key": key} if key else {}
    return gateway.transaction.sale({"amount": amount, "payment_method_nonce": nonce, "order_id": "o-1", **more})


def codes(result):
    assert not result.is_success
    return [error.code for error in result.errors.deep_errors]


def count(sim):
    return len(sim.objects("transactions"))


# Request keys


def test_the_same_request_with_the_same_key_is_done_once(sim, gateway):
    first, again = sale(gateway, key="k"), sale(gateway, key="k")
    assert first.transaction.id == again.transaction.id
    assert count(sim) == 1
    assert sale(gateway, key="other").transaction.id != first.transaction.id


def test_another_request_with_the_same_key_is_refused(sim, gateway):
    assert sale(gateway, key="k").is_success
    assert codes(sale(gateway, "11.00", key="k")) == ["915232"]
    assert codes(sale(gateway, key="x" * 256)) == ["915230"]
    assert sale(gateway, "12.00", key="x" * 255).is_success
    assert count(sim) == 2


def test_a_key_whose_request_failed_cannot_be_used_again(sim, gateway):
    assert codes(sale(gateway, "bad", key="k")) == ["81503"]
    assert codes(sale(gateway, "bad", key="k")) == ["915234"]


def test_a_declined_sale_with_the_same_key_stays_the_same_transaction(sim, gateway):
    first, again = sale(gateway, "2000.00", key="k"), sale(gateway, "2000.00", key="k")
    assert first.transaction.id == again.transaction.id
    sim.settings(answer_declined_repeats=False)
    assert codes(sale(gateway, "2000.00", key="k")) == ["915234"]


def test_a_merchant_may_be_without_keys(sim, gateway):
    sim.settings(api_request_keys=False)
    assert codes(sale(gateway, key="k")) == ["915231"]
    assert sale(gateway).is_success


def test_a_key_holds_for_thirty_days(sim, gateway):
    first = sale(gateway, key="k").transaction.id
    sim.ahead(31 * 86_400)
    assert sale(gateway, key="k").transaction.id != first


def test_every_call_that_moves_money_takes_a_key(sim, gateway):
    key = {"api_request_key": "void"}
    void = sale(gateway, "1.00").transaction.id
    assert [gateway.transaction.void(void, key).transaction.status for _ in range(2)] == ["voided"] * 2
    settle = sale(gateway, "2.00").transaction.id
    given = (settle, None, {"api_request_key": "settle"})
    assert [gateway.transaction.submit_for_settlement(*given).is_success for _ in range(2)] == [True] * 2
    part = sale(gateway, "3.00").transaction.id
    given = (part, "1.00", {"api_request_key": "part"})
    parts = {gateway.transaction.submit_for_partial_settlement(*given).transaction.id for _ in range(2)}
    sim.settle()
    refunds = {
        gateway.transaction.refund(settle, {"amount": "1.00", "api_request_key": "r"}).transaction.id for _ in range(2)
    }
    reverses = {
        gateway.transaction.reverse(next(iter(parts)), {"api_request_key": "v"}).transaction.id for _ in range(2)
    }
    assert [len(each) for each in (parts, refunds, reverses)] == [1, 1, 1]


# Faults


def test_work_then_silence_leaves_a_transaction_behind(sim):
    gateway = sim.gateway(timeout=SHORT)
    sim.fault("POST /transactions", "work_then_silence")
    with pytest.raises(timeout_error.ReadTimeoutError):
        sale(gateway, key="k")
    assert count(sim) == 1
    again = sale(gateway, key="k")
    assert again.is_success
    assert count(sim) == 1
    assert gateway.transaction.search(braintree.TransactionSearch.order_id == "o-1").ids == [again.transaction.id]


def test_a_drop_before_work_leaves_nothing_behind(sim, gateway):
    sim.fault("POST /transactions", "drop_before_work")
    with pytest.raises(connection_error.ConnectionError):
        sale(gateway, key="k")
    assert count(sim) == 0
    assert sale(gateway, key="k").is_success


def test_a_drop_after_work_looks_the_same_to_the_caller(sim, gateway):
    sim.fault("POST /transactions", "work_then_drop")
    with pytest.raises(connection_error.ConnectionError):
        sale(gateway)
    assert count(sim) == 1


def test_silence_before_work_never_does_it(sim):
    sim.fault("POST /transactions", "silence_before_work")
    with pytest.raises(timeout_error.ReadTimeoutError):
        sale(sim.gateway(timeout=SHORT))
    assert count(sim) == 0


def test_slow_work_is_in_flight_and_is_done_even_when_the_caller_has_gone(sim, gateway):
    sim.fault("POST /transactions", "slow", ms=1500)
    with pytest.raises(timeout_error.ReadTimeoutError):
        sale(sim.gateway(timeout=SHORT), key="k")
    assert count(sim) == 0
    assert codes(sale(gateway, key="k")) == ["915233"]
    sim.wait_for(lambda: count(sim) == 1)
    assert sale(gateway, key="k").is_success
    assert count(sim) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, server_error.ServerError),
        (503, service_unavailable_error.ServiceUnavailableError),
        (504, gateway_timeout_error.GatewayTimeoutError),
        (429, too_many_requests_error.TooManyRequestsError),
        (401, authentication_error.AuthenticationError),
        (502, unexpected_error.UnexpectedError),
    ],
)
def test_any_status_can_be_answered_with_and_without_work(status, error, sim, gateway):
    sim.fault("POST /transactions", "status", status=status)
    with pytest.raises(error):
        sale(gateway)
    assert count(sim) == 0
    sim.fault("POST /transactions", "work_then_status", status=status)
    with pytest.raises(error):
        sale(gateway)
    assert count(sim) == 1


def test_answers_that_are_broken_raise_what_is_no_error_of_the_sdk(sim, gateway):
    sim.fault("POST /transactions", "bad_xml")
    with pytest.raises(ExpatError):
        sale(gateway, "1.00")
    key = sale(gateway, "2.00").transaction.id
    sim.fault("GET /transactions/*", "empty")
    with pytest.raises(KeyError):
        gateway.transaction.find(key)
    assert count(sim) == 2


def test_faults_come_in_order_as_often_as_told_and_only_where_they_match(sim, gateway):
    sim.fault("POST /transactions", "status", status=500, times=2)
    sim.fault("PUT /transactions/*/void", "status", status=503)
    assert len(sim.order("GET", "/faults")) == 2
    for _ in range(2):
        with pytest.raises(server_error.ServerError):
            sale(gateway)
    made = sale(gateway).transaction.id
    with pytest.raises(service_unavailable_error.ServiceUnavailableError):
        gateway.transaction.void(made)
    assert gateway.transaction.void(made).is_success
    sim.fault("*", "status")
    sim.order("DELETE", "/faults")
    assert gateway.transaction.find(made).status == "voided"


@pytest.mark.parametrize(
    "said",
    [
        {"fault": "unknown"},
        {"fault": "slow", "ms": 10**9},
        {"fault": "status", "times": 0},
        {"fault": "status", "more": 1},
        {},
    ],
)
def test_a_fault_that_cannot_be_says_what_to_change(said, sim):
    with pytest.raises(AssertionError, match="400"):
        sim.order("POST", "/faults", **said)


def test_fifty_sales_at_once_are_fifty_transactions(sim, gateway):
    done = []
    threads = [
        threading.Thread(target=lambda n=n: done.append(sale(gateway, f"{n}.00").is_success)) for n in range(1, 51)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert done == [True] * 50
    assert count(sim) == 50


# Who may call


def test_wrong_keys_and_a_foreign_merchant_are_turned_away(sim):
    with pytest.raises(authentication_error.AuthenticationError):
        sale(sim.gateway(private_key="wrong"))
    with pytest.raises(authorization_error.AuthorizationError):
        sale(sim.gateway(merchant="somebody"))


def ask(sim, method, path, body=b"", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=10)
    login = b64encode(f"{PUBLIC_KEY}:{PRIVATE_KEY}".encode()).decode()
    given = {
        "Authorization": f"Basic {login}",
        "X-ApiVersion": "6",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    connection.request(method, path, body, {name: value for name, value in given.items() if value is not None})
    answer = connection.getresponse()
    got = answer.status, answer.read()
    connection.close()
    return got


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"X_ApiVersion": None}, 426),
        ({"X_ApiVersion": "1"}, 426),
        ({"Authorization": None}, 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Bearer abc"}, 401),
        ({"Host": "pay.example.com"}, 421),
    ],
)
def test_the_headers_must_be_right(headers, status, sim):
    assert ask(sim, "GET", f"/merchants/{MERCHANT}/plans/", **headers)[0] == status


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><transaction><amount>&b;</amount></transaction>'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<transaction><amount>1", 400),
        (b"\xff\xfe", 400),
        (BOMB, 400),
        (b"<a>" * 200_000, 400),
        (b"<a>" * 30 + b"</a>" * 30, 400),
        (b"<transaction><amount type='integer'>x</amount></transaction>", 400),
        (b"<transaction>text</transaction>", 422),
        (b"", 422),
    ],
)
def test_a_bad_body_is_refused(body, status, sim):
    assert ask(sim, "POST", f"/merchants/{MERCHANT}/transactions", body)[0] == status


def test_a_huge_body_is_not_read(sim):
    try:
        status, _ = ask(sim, "POST", f"/merchants/{MERCHANT}/document_uploads", b"x" * 5_000_000)
    except OSError:
        status = 413
    assert status == 413
    assert sim.order("GET", "/")["simulator"] == "braintree"


def test_orders_take_json_only(sim):
    assert ask(sim, "POST", "/_sim/reset", b"{}", Content_Type="text/plain")[0] == 400
    assert ask(sim, "POST", "/_sim/reset", b"[]", Content_Type="application/json")[0] == 400
    assert ask(sim, "POST", "/_sim/nothing", b"{}", Content_Type="application/json")[0] == 404


def test_nonces_and_keys_stay_out_of_the_log(sim, gateway):
    nonce = sim.order("POST", "/nonces")["nonce"]
    gateway.payment_method_nonce.find(nonce)
    sale(gateway, nonce=nonce)
    assert nonce not in sim.log
    assert PRIVATE_KEY not in sim.log


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com", ""])
def test_it_listens_on_the_loopback_only(host):
    done = subprocess.run(
        [sys.executable, "-m", "rtserver.simulator", "--host", host],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "loopback only" in done.stderr


def test_a_port_in_use_is_told_in_a_sentence(sim):
    done = subprocess.run(
        [sys.executable, "-m", "rtserver.simulator", "--port", str(sim.port)],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr
    assert "Traceback" not in done.stderr
