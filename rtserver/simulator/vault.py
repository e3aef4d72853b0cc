"""The vault: customers and their saved payment methods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rtserver.simulator.instruments import KINDS, Instrument
from rtserver.simulator.money import amount_of
from rtserver.simulator.nonces import VAULT, Nonce, Nonces, ThreeDSecure
from rtserver.simulator.processor import Outcome, Status, authorization
from rtserver.simulator.refusals import Refused
from rtserver.simulator.shelf import Shelf, World
from rtserver.simulator.transactions import ADDRESS, PERSON
from rtserver.simulator.xml_wire import Array, Value, inside

CUSTOMER = ("customer",)
MAX_CUSTOMERS = 10_000
MAX_METHODS = 20_000
OWN_ID = re.compile(r"[A-Za-z0-9_-]+")
"""Ids and tokens that fit into a path (``braintree.util.validation``)."""
MAX_ID = 36

VERIFIED: Mapping[Status, str] = {Status.AUTHORIZED: "verified"}
"""Status of an authorisation -> of a verification, where they differ."""


def own_id(given: Value, codes: tuple[str, str, str], place: tuple[str, ...], shelf: Shelf[Value], world: World) -> str:
    """The id that the caller wants, or a new one. ``codes``: bad characters, too long, taken. Raises ``Refused``."""
    if given in (None, ""):
        return world.new_id()
    name = str(given)
    broken = (not OWN_ID.fullmatch(name), len(name) > MAX_ID, name in shelf)
    for code, is_so in zip(codes, broken, strict=True):
        if is_so:
            raise Refused(code, place)
    return name


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a trial authorisation."""

    id: str
    outcome: Outcome
    instrument: Instrument
    created_at: datetime
    three_d_secure: ThreeDSecure | None = None

    @property
    def passed(self) -> bool:
        return self.outcome.status is Status.AUTHORIZED

    def view(self) -> dict[str, Value]:
        outcome = self.outcome
        return {
            "id": self.id,
            "status": VERIFIED.get(outcome.status, outcome.status),
            "processor_response_code": outcome.code,
            "processor_response_text": outcome.text,
            "processor_response_type": outcome.kind,
            "gateway_rejection_reason": outcome.rejection or None,
            "cvv_response_code": "M" if self.passed else "N",
            "avs_error_response_code": None,
            "avs_postal_code_response_code": "M",
            "avs_street_address_response_code": "M",
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "credit_card": dict(self.instrument.fields),
            "three_d_secure_info": self.three_d_secure and self.three_d_secure.view(),
        }


class VerificationFailed(Exception):
    """The method was not saved; the verification says why."""

    def __init__(self, verification: Verification) -> None:
        super().__init__(verification.outcome.message)
        self.verification = verification


@dataclass(slots=True)
class PaymentMethod:
    """One saved instrument of a customer."""

    token: str
    customer_id: str
    instrument: Instrument
    created_at: datetime
    updated_at: datetime
    said: dict[str, Value] = field(default_factory=dict)
    verifications: list[Verification] = field(default_factory=list)


@dataclass(slots=True)
class Customer:
    """Somebody. ``tokens`` are in the order of saving."""

    id: str
    created_at: datetime
    updated_at: datetime
    said: dict[str, Value] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    default: str | None = None

    @property
    def person(self) -> dict[str, Value]:
        return {**self.said, "id": self.id}


class Vault:
    def __init__(self, world: World, nonces: Nonces) -> None:
        self._world = world
        self._nonces = nonces
        self.customers: Shelf[Customer] = Shelf("customers", MAX_CUSTOMERS)
        self.methods: Shelf[PaymentMethod] = Shelf("payment methods", MAX_METHODS)

    # Customers

    def create_customer(self, params: Mapping[str, Value]) -> Customer:
        """With a payment method when the request has a nonce. Raises ``Refused``, ``VerificationFailed``."""
        key = own_id(params.get("id"), ("91610", "91612", "91609"), CUSTOMER, self.customers, self._world)
        said = _person(params)
        now = self._world.now()
        customer = Customer(key, now, now, said)
        name = params.get("payment_method_nonce")
        made = self._prepare(str(name), inside(params, "credit_card"), key) if name else None
        self.customers.put(key, customer)
        if made is not None:
            self._save(customer, made, make_default=True)
            self._nonces.use(str(name))
        return customer

    def update_customer(self, key: str, params: Mapping[str, Value]) -> Customer:
        customer = self.customers.get(key)
        said = _person(params)
        new = params.get("id")
        if new and new != key:
            new = own_id(new, ("91610", "91612", "91609"), CUSTOMER, self.customers, self._world)
            self.customers.remove(key)
            customer.id = new
            self.customers.put(new, customer)
            for token in customer.tokens:
                self.methods.get(token).customer_id = new
        customer.said |= said
        customer.updated_at = self._world.now()
        default = params.get("default_payment_method_token")
        if default in customer.tokens:
            customer.default = default
        return customer

    def delete_customer(self, key: str) -> list[str]:
        """With all methods; their tokens."""
        customer = self.customers.remove(key)
        for token in customer.tokens:
            self.methods.remove(token)
        return customer.tokens

    # Payment methods

    def create_method(self, params: Mapping[str, Value]) -> PaymentMethod:
        """Raises ``Refused``, ``VerificationFailed``."""
        key = params.get("customer_id")
        if not key:
            raise Refused("91704", VAULT)
        customer = self.customers.find(key)
        if customer is None:
            raise Refused("91705", VAULT)
        name = str(params.get("payment_method_nonce") or "")
        options = inside(params, "options")
        if options.get("fail_on_duplicate_payment_method") and self._twin(self._nonces.for_vault(name).instrument):
            raise Refused("81724", VAULT)
        method = self._prepare(name, params, customer.id)
        self._save(customer, method, bool(options.get("make_default")))
        self._nonces.use(name)
        return method

    def own_token(self, params: Mapping[str, Value]) -> str:
        """The token that is wanted, or a new one. Raises ``Refused``."""
        return own_id(params.get("token"), ("91718", "91720", "91719"), VAULT, self.methods, self._world)

    def save(self, customer: Customer, nonce: Nonce, token: str) -> PaymentMethod:
        """Store the instrument of a sale."""
        now = self._world.now()
        method = PaymentMethod(token, customer.id, nonce.instrument, now, now)
        self._save(customer, method, make_default=False)
        return method

    def update_method(self, token: str, params: Mapping[str, Value]) -> PaymentMethod:
        """Make it the default, give it another token or another nonce's instrument."""
        method = self.methods.get(token)
        customer = self.customers.get(method.customer_id)
        name = params.get("payment_method_nonce")
        if name:
            method.instrument = self._nonces.for_vault(str(name)).instrument
            self._nonces.use(str(name))
        new = params.get("token")
        if new and new != token:
            method.token = self.own_token(params)
            self.methods.remove(token)
            self.methods.put(method.token, method)
            customer.tokens[customer.tokens.index(token)] = method.token
            customer.default = method.token if customer.default == token else customer.default
        if inside(params, "options").get("make_default"):
            customer.default = method.token
        method.said |= _method_said(params)
        method.updated_at = self._world.now()
        return method

    def delete_method(self, token: str) -> None:
        method = self.methods.remove(token)
        customer = self.customers.get(method.customer_id)
        customer.tokens.remove(token)
        if customer.default == token:
            customer.default = customer.tokens[0] if customer.tokens else None

    def verify(self, nonce: Nonce, options: Mapping[str, Value]) -> Verification:
        instrument = nonce.instrument
        amount = amount_of(options.get("verification_amount") or "0.01", "USD")
        outcome = instrument.outcome or authorization(amount, instrument.kind)
        return Verification(self._world.new_id(), outcome, instrument, self._world.now(), nonce.three_d_secure)

    # Views

    def method_view(self, method: PaymentMethod, subscriptions: list[Value] | None = None) -> dict[str, Value]:
        customer = self.customers.get(method.customer_id)
        return {
            "token": method.token,
            "customer_id": method.customer_id,
            "global_id": f"pm-{method.token}",
            "default": customer.default == method.token,
            "created_at": method.created_at,
            "updated_at": method.updated_at,
            **method.instrument.fields,
            **method.said,
            "subscriptions": Array("subscription", subscriptions or []),
            "verifications": Array("verification", [each.view() for each in method.verifications]),
        }

    def customer_view(self, customer: Customer) -> dict[str, Value]:
        lists: dict[str, list[Value]] = {kind.in_customer: [] for kind in KINDS.values() if kind.in_customer}
        for token in customer.tokens:
            method = self.methods.get(token)
            name = method.instrument.names.in_customer
            if name:
                lists[name].append(self.method_view(method))
        return {
            **{name: customer.said.get(name) for name in PERSON},
            "id": customer.id,
            "global_id": f"customer-{customer.id}",
            "created_at": customer.created_at,
            "updated_at": customer.updated_at,
            "custom_fields": customer.said.get("custom_fields") or "",
            **{name: Array(name.removesuffix("s"), items) for name, items in lists.items()},
            "addresses": Array("address"),
        }

    # Parts

    def _prepare(self, name: str, params: Mapping[str, Value], customer_id: str) -> PaymentMethod:
        """The method that will be saved, verified when that was asked for."""
        nonce = self._nonces.for_vault(name)
        token = self.own_token(params)
        now = self._world.now()
        method = PaymentMethod(token, customer_id, nonce.instrument, now, now, _method_said(params))
        options = inside(params, "options")
        if options.get("verify_card"):
            verification = self.verify(nonce, options)
            if not verification.passed:
                raise VerificationFailed(verification)
            method.verifications.append(verification)
        return method

    def _save(self, customer: Customer, method: PaymentMethod, make_default: bool) -> None:
        self.methods.put(method.token, method)
        customer.tokens.append(method.token)
        if make_default or customer.default is None:
            customer.default = method.token

    def _twin(self, instrument: Instrument) -> bool:
        return any(each.instrument.number == instrument.number for each in self.methods)


def _person(params: Mapping[str, Value]) -> dict[str, Value]:
    """Raises ``Refused``."""
    email = params.get("email")
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+", str(email)):
        raise Refused("81604", CUSTOMER)
    return {name: params[name] for name in (*PERSON, "custom_fields") if name in params and name != "id"}


def _method_said(params: Mapping[str, Value]) -> dict[str, Value]:
    said = {name: params[name] for name in ("cardholder_name",) if params.get(name)}
    address = params.get("billing_address")
    if isinstance(address, Mapping):
        said["billing_address"] = {name: address.get(name) for name in ADDRESS}
    return said
