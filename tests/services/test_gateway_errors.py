"""What each exception of the SDK says about money, row by row, with the SDK's own code on the way."""

import ssl
from xml.parsers.expat import ExpatError

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError
from urllib3.exceptions import ProxyError as PoolProxyError
from urllib3.exceptions import SSLError as PoolSSLError

from rtserver.payments.errors import GatewayAway, GatewayRefused
from rtserver.payments.records import AttemptState
from rtserver.services.gateway_braintree_errors import VERDICTS
from tests.services.gateway_house import House, attempt, sale, sold

NO, UNKNOWN = AttemptState.ERROR, AttemptState.UNKNOWN

SECRETS = ("fake-valid-nonce", "simulator_private", "device-secret", "tok_saved")


def lost(reason, kind=requests.exceptions.ConnectionError):
    """As requests wraps what urllib3 had to give up for: the request, with body and keys, is in it."""
    request = requests.Request(
        "POST", "http://127.0.0.1/", data=" ".join(SECRETS), headers={"Authorization": SECRETS[1]}
    )
    return kind(MaxRetryError(None, "/merchants/m/transactions", reason), request=request.prepare())


def tls(error):
    return lost(PoolSSLError(error), requests.exceptions.SSLError)


def reason(name):
    made = ssl.SSLError(1, f"[SSL: {name}] no")
    made.reason = name
    return made


NOT_CONNECTED = {
    "connect timeout": requests.exceptions.ConnectTimeout("fake-valid-nonce"),
    "refused": lost(NewConnectionError(None, "refused")),
    "no such name": lost(NameResolutionError("gateway", None, OSError("unknown"))),
    "no way through a proxy": lost(PoolProxyError("no", OSError("no")), requests.exceptions.ProxyError),
    "certificate refused": tls(ssl.SSLCertVerificationError(1, "self-signed")),
    "no TLS at the other end": tls(reason("WRONG_VERSION_NUMBER")),
}

CONNECTION_LOST = {
    "reset": requests.exceptions.ConnectionError(ProtocolError("aborted", ConnectionResetError(104, "reset"))),
    "closed": requests.exceptions.ConnectionError(ProtocolError("aborted", EOFError())),
    "TLS that broke in the middle": tls(reason("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")),
    "TLS without a reason": tls(ssl.SSLError("?")),
}

STATUSES = {
    401: (NO, "unauthorized", False),
    403: (NO, "forbidden", False),
    404: (NO, "not_found", False),
    408: (UNKNOWN, "gateway_408", True),
    426: (NO, "upgrade_required", False),
    429: (NO, "too_many_requests", True),
    500: (UNKNOWN, "gateway_500", True),
    503: (UNKNOWN, "gateway_503", True),
    504: (UNKNOWN, "gateway_504", True),
    **{status: (UNKNOWN, "unexpected_answer", True) for status in (302, 400, 402, 409, 418, 502, 520)},
}

UNREADABLE = {
    "empty 200": (200, ""),
    "empty 422": (422, ""),
    "no content": (204, ""),
    "not XML": (200, "<html><p>sorry"),
    "a page": (200, "<html></html>"),
    "another object": (200, "<customer><id>1</id></customer>"),
    "no amount": sold(without=("amount",)),
    "amount that is none": sold(amount="ten"),
    "amount NaN": sold(amount="NaN"),
    "amount too exact": sold(amount="10.001"),
    "no id": sold(without=("id",)),
    "no status": sold(without=("status",)),
    "error without errors": (422, "<api-error-response><message>no</message></api-error-response>"),
    "error with an empty element of errors": (
        422,
        "<api-error-response><errors/><message>no</message></api-error-response>",
    ),
    "refused by the parser": ExpatError("no"),
}

ROWS = {
    **{name: (error, (NO, "not_connected", True)) for name, error in NOT_CONNECTED.items()},
    **{name: (error, (UNKNOWN, "connection_lost", True)) for name, error in CONNECTION_LOST.items()},
    "read timeout": (requests.exceptions.ReadTimeout("slow"), (UNKNOWN, "timeout", True)),
    "some timeout": (requests.exceptions.Timeout("slow"), (UNKNOWN, "timeout", True)),
    "broken chunks": (requests.exceptions.ChunkedEncodingError("cut"), (UNKNOWN, "unexpected_answer", True)),
    "HTTP error": (requests.exceptions.HTTPError("odd"), (UNKNOWN, "unexpected_answer", True)),
    **{f"status {status}": ((status, ""), row) for status, row in STATUSES.items()},
    **{
        name: (answer, (UNKNOWN, "unexpected_answer" if isinstance(answer, Exception) else "unreadable_answer", True))
        for name, answer in UNREADABLE.items()
    },
}


def move(house, op, made=None):
    made = made or attempt()
    return {
        "sale": lambda: house.money.sale(sale(made=made, device_data="device-secret")),
        "settle": lambda: house.money.settle(made, False),
        "part": lambda: house.money.settle(made, True),
        "void": lambda: house.money.void(made),
        "refund": lambda: house.money.refund(made),
        "retry": lambda: house.money.retry_charge(made),
    }[op]()


@pytest.mark.parametrize("op", ["sale", "settle", "part", "void", "refund", "retry"])
@pytest.mark.parametrize("name", ROWS)
def test_every_trouble_says_what_it_says_about_money(name, op):
    answer, (state, code, is_soft) = ROWS[name]
    outcome = move(House(answer), op)
    assert (outcome.state, outcome.code, outcome.is_soft) == (state, code, is_soft)
    assert outcome.transaction is None
    assert outcome.sentence.endswith(".")
    assert not any(secret in repr(outcome) for secret in SECRETS)


@pytest.mark.parametrize("name", ROWS)
def test_a_repeat_that_did_not_get_through_leaves_the_first_time_unknown(name):
    answer, (_, code, _) = ROWS[name]
    for made in (attempt(state=AttemptState.UNKNOWN), attempt(checks=1)):
        outcome = move(House(answer), "refund", made)
        assert (outcome.state, outcome.code) == (UNKNOWN, code)


@pytest.mark.parametrize("name", ROWS)
def test_every_trouble_of_a_question_is_told_without_secrets(name):
    answer, (_, code, _) = ROWS[name]
    house = House(answer)
    if name == "status 404":
        assert house.money.transaction("tx1") is None
        return
    with pytest.raises(GatewayAway) as caught:
        house.money.transaction("tx1")
    # What is no transaction has no transaction inside: the SDK looks for it by its name.
    assert str(caught.value).endswith(f"({code})")
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    "ask",
    [
        lambda house: house.vault.client_token("c1", ""),
        lambda house: house.vault.make_customer("c1", "a@b.c", "A B"),
        lambda house: house.vault.save_method("c1", "fake-valid-nonce", "tok_saved", True),
        lambda house: house.vault.methods("c1"),
        lambda house: house.vault.choose_method("tok_saved"),
        lambda house: house.vault.delete_method("tok_saved"),
        lambda house: house.vault.cancel_subscription("s1"),
        lambda house: house.vault.disputes(True),
        lambda house: house.vault.accept_dispute("d1"),
        lambda house: house.vault.add_evidence("d1", "it came"),
        lambda house: house.money.transactions_of("a1"),
        lambda house: house.money.transactions_between(0, 1),
    ],
)
@pytest.mark.parametrize("name", ["read timeout", "refused", "status 500", "status 401", "not XML"])
def test_every_question_is_away_when_the_gateway_is(name, ask):
    answer, (_, code, _) = ROWS[name]
    with pytest.raises(GatewayAway, match=rf"\({code}\)"):
        ask(House(answer))


@pytest.mark.parametrize("status", [401, 403, 426])
def test_what_somebody_must_change_is_an_alarm_and_says_what(status):
    code = STATUSES[status][1]
    verdict = next(verdict for _, verdict in VERDICTS if verdict.code == code)
    assert verdict.is_alarm
    assert any(word in verdict.about for word in ("set payments", "give the API user", "install"))


def test_what_the_sdk_will_not_send_was_not_sent():
    house = House(sold())
    outcome = house.money.sale(sale(descriptor={"name": "x", "colour": "red"}))
    assert (outcome.state, outcome.code) == (NO, "not_sent")
    assert house.sent == []


def test_an_id_that_could_leave_its_path_is_not_sent():
    house = House(sold())
    outcome = house.money.void(attempt(target="../../other/void"))
    assert (outcome.state, outcome.code) == (NO, "not_found")
    assert house.money.transaction("../x") is None
    with pytest.raises(GatewayRefused, match="not_found"):
        house.vault.cancel_subscription("../x")
    assert house.sent == []


def test_a_search_that_never_ends_is_ended():
    page = (
        200,
        '<disputes type="collection"><current-page-number type="integer">1</current-page-number>'
        '<page-size type="integer">0</page-size><total-items type="integer">1</total-items></disputes>',
    )
    house = House(page)
    with pytest.raises(GatewayAway, match="shorter span"):
        house.vault.disputes(False)
    assert 2 < len(house.sent) < 1000
