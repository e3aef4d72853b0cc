"""The real SDK without a network: what it sends is kept, what it gets is told beforehand."""

import re
from xml.sax.saxutils import escape

from braintree.util.http import Http

from rtserver.core.payments import Money
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import Attempt, AttemptState, Op, Sale
from rtserver.services.gateway_braintree_config import link_of
from rtserver.services.gateway_braintree_money import MoneyCalls
from rtserver.services.gateway_braintree_vault import VaultCalls

OPTIONS = PaymentsOptions(enabled=True)
PRIVATE_KEY = "simulator_private"


class Wire(Http):
    """A strategy of HTTP. ``answers`` are exceptions, bodies with status 201, or pairs of status and body; the last stays."""

    def __init__(self, config, environment, answers):
        super().__init__(config, environment)
        self.answers = list(answers)
        self.sent = []

    def http_do(self, http_verb, path, headers, request_body):
        self.sent.append((http_verb, re.sub(r".*/merchants/[^/]+", "", path), request_body or ""))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer()
        return list(answer) if isinstance(answer, tuple) else [201, answer]


class House:
    """Calls to a gateway that gives these answers."""

    def __init__(self, *answers, options=OPTIONS):
        made = []

        def strategy(config, environment):
            made.append(Wire(config, environment, answers))
            return made[0]

        self.link = link_of(options, strategy=strategy)
        self.wire = made[0]
        self.money = MoneyCalls(self.link)
        self.vault = VaultCalls(self.link)

    @property
    def sent(self):
        """Verb and path of each request."""
        return [f"{verb} {path}" for verb, path, _ in self.wire.sent]

    @property
    def bodies(self):
        return [body for _, _, body in self.wire.sent]


# What is asked


def attempt(op=Op.SALE, amount=1000, currency="USD", **more):
    known = dict(
        id="a1",
        order_id="o1",
        op=op,
        api_request_key="key-1",
        amount=Money(amount, currency),
        target="t1",
        state=AttemptState.SENDING,
        gateway_id="",
        code="",
        sentence="",
        sent_at=0,
        answered_at=0,
        checks=0,
        next_check_at=0,
    )
    return Attempt(**{**known, **more})


def sale(nonce="fake-valid-nonce", is_held=False, made=None, **more):
    return Sale(made or attempt(), is_held, nonce=nonce, **more)


# What is answered


def xml(tag, inside):
    return f'<?xml version="1.0" encoding="UTF-8"?><{tag}>{inside}</{tag}>'


def element(name, value):
    if value is None:
        return f'<{name} nil="true"/>'
    if isinstance(value, bool):
        return f'<{name} type="boolean">{str(value).lower()}</{name}>'
    if isinstance(value, list):
        return f'<{name} type="array">{"".join(value)}</{name}>'
    if isinstance(value, dict):
        return f"<{name}>{elements(value)}</{name}>"
    kind = ' type="datetime"' if name.endswith("-at") or name == "timestamp" else ""
    return f"<{name}{kind}>{escape(str(value))}</{name}>"


def elements(values):
    return "".join(element(name, value) for name, value in values.items())


SOLD = {
    "id": "tx1",
    "status": "submitted_for_settlement",
    "type": "sale",
    "currency-iso-code": "USD",
    "amount": "10.00",
    "order-id": "a1",
    "created-at": "2026-11-22T09:24:51Z",
    "processor-response-code": "1000",
    "processor-response-text": "Approved",
    "processor-response-type": "approved",
    "payment-instrument-type": "credit_card",
    "credit-card": {"token": None, "bin": "401288", "last-4": "1881", "card-type": "Visa"},
}


def transaction(without=(), **more):
    """Names with ``_`` stand for ``-``."""
    values = {**SOLD, **{name.replace("_", "-"): value for name, value in more.items()}}
    return elements({name: value for name, value in values.items() if name not in without})


def sold(**more):
    return xml("transaction", transaction(**more))


def error(code, attribute="base", message="No."):
    return f"<error><code>{code}</code><attribute>{attribute}</attribute><message>{message}</message></error>"


def refusal(*errors, place=("transaction",), inside="", message="No."):
    """422. ``place`` is where the errors are; ``inside`` more elements, such as a transaction."""
    nested = f'<errors type="array">{"".join(errors)}</errors>' if errors else ""
    for name in reversed(place if errors else ()):
        nested = f"<{name}>{nested if nested.startswith('<errors') else EMPTY + nested}</{name}>"
    return 422, xml("api-error-response", f"<errors>{EMPTY}{nested}</errors><message>{message}</message>{inside}")


EMPTY = '<errors type="array"></errors>'


def final(status, code="2000", text="Do Not Honor", kind="soft_declined", **more):
    """422 with a transaction inside."""
    known = {"processor_response_code": code, "processor_response_text": text, "processor_response_type": kind}
    made = transaction(status=status, **{**known, **more})
    return refusal(inside=f"<transaction>{made}</transaction>", message=text)
