"""The gateway's API: verb and path to what is done. A path that is not here is answered 501, not 404."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import timedelta

from rtserver.simulator.gateway import Call, Gateway, Route, answer
from rtserver.simulator.instruments import INDICATORS
from rtserver.simulator.nonces import Nonce
from rtserver.simulator.refusals import NotFound, NotOffered, Refused
from rtserver.simulator.request_keys import Answer
from rtserver.simulator.searching import CUSTOMER, DISPUTE, PAGE_SIZE, SUBSCRIPTION, TRANSACTION, search
from rtserver.simulator.subscriptions import Plan, Subscription
from rtserver.simulator.transactions import Transaction
from rtserver.simulator.vault import Customer, PaymentMethod
from rtserver.simulator.xml_wire import Array, Collection, Value

ID = r"([A-Za-z0-9_-]+)"
ANY_KIND = "(?:any|credit_card|paypal_account)"
Handler = Callable[..., Answer]
TABLE: list[tuple[str, re.Pattern[str], Handler]] = []


def route(verb: str, path: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        TABLE.append((verb, re.compile(path), handler))
        return handler

    return add


def find_route(call: Call) -> Route:
    """Raises ``NotOffered``."""
    for verb, pattern, handler in TABLE:
        found = pattern.fullmatch(call.path) if verb == call.verb else None
        if found is not None:
            ids = found.groups()
            return lambda gateway, call: handler(gateway, call, *ids)
    raise NotOffered(f"the simulator does not offer {call.verb} {call.path}")


# Client tokens


@route("POST", "/client_token")
def client_token(gateway: Gateway, call: Call) -> Answer:
    params = call.of("client_token")
    if params.get("customer_id") and params["customer_id"] not in gateway.vault.customers:
        raise Refused("92804", ("client_token",))
    gateway.accounts.choose(params.get("merchant_account_id"), "92807", ("client_token",))
    merchant = gateway.setup.keys.merchant_id
    token = {
        "version": params.get("version") or 2,
        "authorizationFingerprint": f"simulator-{gateway.world.new_id()}|customer_id={params.get('customer_id') or ''}",
        "configUrl": f"https://simulator.invalid/merchants/{merchant}/client_api/v1/configuration",
        "environment": "simulator",
        "merchantId": merchant,
    }
    text = json.dumps(token)
    value = text if token["version"] == 1 else b64encode(text.encode()).decode()
    return answer(201, "client_token", {"value": value})


# Transactions


def _transaction(status: int, made: Transaction) -> Answer:
    return answer(status, "transaction", made.view())


@route("POST", "/transactions")
def sale(gateway: Gateway, call: Call) -> Answer:
    params = call.of("transaction")
    if params.get("subscription_id"):
        return _transaction(201, gateway.subscriptions.retry(params))
    return _transaction(201, gateway.sales.make(params))


@route("POST", "/transactions/advanced_search_ids")
def search_transaction_ids(gateway: Gateway, call: Call) -> Answer:
    return _ids(search(_findable(gateway), TRANSACTION, call.of("search")))


@route("POST", "/transactions/advanced_search")
def search_transactions(gateway: Gateway, call: Call) -> Answer:
    found = search(_findable(gateway), TRANSACTION, call.of("search"))
    return _page("credit_card_transactions", "transaction", (each.view() for each in found))


def _findable(gateway: Gateway) -> Iterable[Transaction]:
    newest = gateway.world.now() - timedelta(seconds=gateway.settings.search_lag_seconds)
    return (each for each in gateway.transactions.shelf if each.created_at <= newest)


@route("GET", f"/transactions/{ID}")
def find_transaction(gateway: Gateway, _call: Call, key: str) -> Answer:
    return _transaction(200, gateway.transactions.find(key))


@route("PUT", f"/transactions/{ID}/submit_for_settlement")
def submit(gateway: Gateway, call: Call, key: str) -> Answer:
    return _transaction(200, gateway.transactions.submit(key, call.of("transaction")))


@route("POST", f"/transactions/{ID}/submit_for_partial_settlement")
def submit_part(gateway: Gateway, call: Call, key: str) -> Answer:
    return _transaction(201, gateway.transactions.submit_part(key, call.of("transaction")))


@route("PUT", f"/transactions/{ID}/void")
def void(gateway: Gateway, call: Call, key: str) -> Answer:
    return _transaction(200, gateway.transactions.void(key, call.of("transaction")))


@route("POST", f"/transactions/{ID}/refund")
def refund(gateway: Gateway, call: Call, key: str) -> Answer:
    return _transaction(201, gateway.transactions.refund(key, call.of("transaction")))


@route("POST", f"/transactions/{ID}/reverse")
def reverse(gateway: Gateway, call: Call, key: str) -> Answer:
    return _transaction(200, gateway.transactions.reverse(key, call.of("transaction")))


@route("PUT", f"/transactions/{ID}/(settle|settlement_confirm|settlement_decline|settlement_pending)")
def force(gateway: Gateway, _call: Call, key: str, action: str) -> Answer:
    return _transaction(200, gateway.transactions.force(key, action))


# Customers


def _customer(gateway: Gateway, status: int, customer: Customer) -> Answer:
    return answer(status, "customer", gateway.vault.customer_view(customer))


@route("POST", "/customers")
def create_customer(gateway: Gateway, call: Call) -> Answer:
    return _customer(gateway, 201, gateway.vault.create_customer(call.of("customer")))


@route("POST", "/customers/advanced_search_ids")
def search_customer_ids(gateway: Gateway, call: Call) -> Answer:
    return _ids(search(gateway.vault.customers, CUSTOMER, call.of("search")))


@route("POST", "/customers/advanced_search")
def search_customers(gateway: Gateway, call: Call) -> Answer:
    found = search(gateway.vault.customers, CUSTOMER, call.of("search"))
    return _page("customers", "customer", (gateway.vault.customer_view(each) for each in found))


@route("GET", f"/customers/{ID}")
def find_customer(gateway: Gateway, _call: Call, key: str) -> Answer:
    return _customer(gateway, 200, gateway.vault.customers.get(key))


@route("PUT", f"/customers/{ID}")
def update_customer(gateway: Gateway, call: Call, key: str) -> Answer:
    return _customer(gateway, 200, gateway.vault.update_customer(key, call.of("customer")))


@route("DELETE", f"/customers/{ID}")
def delete_customer(gateway: Gateway, _call: Call, key: str) -> Answer:
    gateway.cancel_of(gateway.vault.delete_customer(key))
    return Answer(200)


# Payment methods and nonces


def _method(gateway: Gateway, status: int, method: PaymentMethod) -> Answer:
    paid = [
        each.view(gateway.subscriptions.today) for each in gateway.subscriptions.shelf if each.token == method.token
    ]
    return answer(status, method.instrument.names.in_vault, gateway.vault.method_view(method, paid))


@route("POST", "/payment_methods")
def create_method(gateway: Gateway, call: Call) -> Answer:
    return _method(gateway, 201, gateway.vault.create_method(call.of("payment_method", "credit_card")))


@route("GET", f"/payment_methods/{ANY_KIND}/{ID}")
def find_method(gateway: Gateway, _call: Call, token: str) -> Answer:
    return _method(gateway, 200, gateway.vault.methods.get(token))


@route("PUT", f"/payment_methods/{ANY_KIND}/{ID}")
def update_method(gateway: Gateway, call: Call, token: str) -> Answer:
    return _method(
        gateway, 200, gateway.vault.update_method(token, call.of("payment_method", "credit_card", "paypal_account"))
    )


@route("DELETE", f"/payment_methods/{ANY_KIND}/{ID}")
def delete_method(gateway: Gateway, _call: Call, token: str) -> Answer:
    gateway.vault.delete_method(token)
    gateway.cancel_of([token])
    return Answer(200)


@route("POST", f"/payment_methods/{ID}/nonces")
def create_nonce(gateway: Gateway, _call: Call, token: str) -> Answer:
    made = Nonce(gateway.vault.methods.get(token).instrument, token=token)
    return answer(201, "payment_method_nonce", _nonce(gateway.nonces.make(made), made))


@route("GET", f"/payment_method_nonces/{ID}")
def find_nonce(gateway: Gateway, _call: Call, name: str) -> Answer:
    found = gateway.nonces.look(name)
    if found is None:
        raise NotFound(name)
    return answer(200, "payment_method_nonce", _nonce(name, found))


def _nonce(name: str, nonce: Nonce) -> dict[str, Value]:
    fields = nonce.instrument.fields
    is_card = nonce.instrument.kind == "credit_card"
    shown = ("bin", "card_type", "cardholder_name", "username", "venmo_user_id", "expiration_month", "expiration_year")
    last = str(fields.get("last_4") or "")
    return {
        "nonce": name,
        "type": nonce.instrument.kind.title().replace("_", ""),
        "consumed": bool(nonce.sale == "91564"),
        "default": False,
        "is_locked": False,
        "security_questions": Array("question"),
        "details": {
            **{each: fields.get(each) for each in shown},
            "last_four": last or None,
            "last_two": last[-2:] or None,
        },
        "bin_data": {each: fields[each] for each in (*INDICATORS, "country_of_issuance", "issuing_bank")}
        if is_card
        else None,
        "three_d_secure_info": nonce.three_d_secure and nonce.three_d_secure.view(),
    }


# Subscriptions and plans


def _subscription(gateway: Gateway, status: int, made: Subscription) -> Answer:
    return answer(status, "subscription", made.view(gateway.subscriptions.today))


@route("POST", "/subscriptions")
def create_subscription(gateway: Gateway, call: Call) -> Answer:
    return _subscription(gateway, 201, gateway.subscriptions.create(call.of("subscription")))


@route("POST", "/subscriptions/advanced_search_ids")
def search_subscription_ids(gateway: Gateway, call: Call) -> Answer:
    return _ids(search(gateway.subscriptions.shelf, SUBSCRIPTION, call.of("search")))


@route("POST", "/subscriptions/advanced_search")
def search_subscriptions(gateway: Gateway, call: Call) -> Answer:
    found = search(gateway.subscriptions.shelf, SUBSCRIPTION, call.of("search"))
    return _page("subscriptions", "subscription", (each.view(gateway.subscriptions.today) for each in found))


@route("GET", f"/subscriptions/{ID}")
def find_subscription(gateway: Gateway, _call: Call, key: str) -> Answer:
    return _subscription(gateway, 200, gateway.subscriptions.shelf.get(key))


@route("PUT", f"/subscriptions/{ID}")
def update_subscription(gateway: Gateway, call: Call, key: str) -> Answer:
    return _subscription(gateway, 200, gateway.subscriptions.update(key, call.of("subscription")))


@route("PUT", f"/subscriptions/{ID}/cancel")
def cancel_subscription(gateway: Gateway, _call: Call, key: str) -> Answer:
    return _subscription(gateway, 200, gateway.subscriptions.cancel(key))


@route("PUT", f"/subscriptions/{ID}/make_past_due")
def make_past_due(gateway: Gateway, call: Call, key: str) -> Answer:
    days = call.query.get("days_past_due", "1")
    gateway.subscriptions.make_past_due(key, int(days) if days.isdigit() and len(days) < 5 else 1)
    return Answer(200)


@route("GET", "/plans/?")
def all_plans(gateway: Gateway, _call: Call) -> Answer:
    return answer(200, "plans", Array("plan", [each.view() for each in gateway.subscriptions.plans]))


@route("GET", f"/plans/{ID}")
def find_plan(gateway: Gateway, _call: Call, key: str) -> Answer:
    plan: Plan = gateway.subscriptions.plans.get(key)
    return answer(200, "plan", plan.view())


# Disputes


@route("POST", "/disputes/advanced_search")
def search_disputes(gateway: Gateway, call: Call) -> Answer:
    found = search(gateway.disputes.shelf, DISPUTE, call.of("search"))
    text = call.query.get("page", "1")
    page = int(text) if text.isdigit() and len(text) < 6 else 1
    shown = found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    head = {"current_page_number": page, "page_size": PAGE_SIZE, "total_items": len(found)}
    return answer(200, "disputes", Collection("dispute", [each.view() for each in shown], head))


@route("GET", f"/disputes/{ID}")
def find_dispute(gateway: Gateway, _call: Call, key: str) -> Answer:
    return answer(200, "dispute", gateway.disputes.shelf.get(key).view())


@route("PUT", f"/disputes/{ID}/accept")
def accept_dispute(gateway: Gateway, _call: Call, key: str) -> Answer:
    gateway.disputes.accept(key)
    return Answer(200)


@route("PUT", f"/disputes/{ID}/finalize")
def finalize_dispute(gateway: Gateway, _call: Call, key: str) -> Answer:
    gateway.disputes.finalize(key)
    return Answer(200)


@route("POST", f"/disputes/{ID}/evidence")
def add_evidence(gateway: Gateway, call: Call, key: str) -> Answer:
    return answer(201, "evidence", gateway.disputes.add_evidence(key, call.of("evidence")).view())


@route("DELETE", f"/disputes/{ID}/evidence/{ID}")
def remove_evidence(gateway: Gateway, _call: Call, key: str, evidence: str) -> Answer:
    gateway.disputes.remove_evidence(key, evidence)
    return Answer(200)


@route("POST", "/document_uploads")
def upload(gateway: Gateway, call: Call) -> Answer:
    if call.upload is None:
        raise NotOffered("POST /document_uploads takes a form with a file")
    file = call.upload
    return answer(201, "document_upload", gateway.disputes.upload(file.kind, file.name, file.content).view())


# Merchant accounts


@route("GET", "/merchant_accounts/?")
def all_accounts(gateway: Gateway, _call: Call) -> Answer:
    found = [each.view() for each in gateway.accounts.shelf]
    head = {"current_page_number": 1, "page_size": max(len(found), PAGE_SIZE), "total_items": len(found)}
    return answer(200, "merchant_accounts", Collection("merchant_account", found, head))


@route("GET", f"/merchant_accounts/{ID}")
def find_account(gateway: Gateway, _call: Call, key: str) -> Answer:
    return answer(200, "merchant_account", gateway.accounts.shelf.get(key).view())


# Searches


def _ids(found: Iterable[Value]) -> Answer:
    return answer(200, "search_results", {"page_size": PAGE_SIZE, "ids": [each.id for each in found]})


def _page(tag: str, item: str, views: Iterable[dict[str, Value]]) -> Answer:
    return answer(200, tag, Collection(item, list(views)))
