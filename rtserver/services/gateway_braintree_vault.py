"""Merchant accounts, customers, saved payment methods, subscriptions and disputes. All of this runs in threads.

Customers, tokens and subscriptions have ids of ours: the gateway refuses to make one twice, and then the one that is there is
taken, so that what was asked for and answered by silence can be asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

from braintree.dispute import Dispute
from braintree.dispute_gateway import DisputeGateway
from braintree.dispute_search import DisputeSearch
from braintree.exceptions import NotFoundError

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import (
    AttemptState,
    GatewayDispute,
    GatewaySubscription,
    MerchantAccount,
    Outcome,
    SavedMethod,
)
from rtserver.services import gateway_braintree_shapes as shapes
from rtserver.services import gateway_braintree_words as words
from rtserver.services.gateway_braintree_config import Link
from rtserver.services.gateway_braintree_errors import answer_by, outcome_by
from rtserver.services.gateway_braintree_money import MOST, PAGES
from rtserver.services.gateway_braintree_results import APPROVED, done, field_errors, outcome, taken

CUSTOMER_TAKEN, TOKEN_TAKEN, SUBSCRIPTION_TAKEN = "91609", "91719", "81902"
NONCE_USED = "91731"
LONGEST_NAME = 255
MOST_CURRENCIES = 1000
MOST_ACCOUNTS = 1000

Given = TypeVar("Given")


def codes(result: Any) -> set[str]:
    return set() if result is None or result.is_success else {each.code for each in field_errors(result)}


class VaultCalls:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._sdk = link.sdk
        self._currencies: dict[str, str] = {}
        """Merchant account -> its currency."""

    def _ask(self, step: Callable[[], Given], most: int = MOST) -> Given:
        return answer_by(self._link.door, step, most)

    def client_token(self, customer_id: str, merchant_account: str) -> str:
        account = merchant_account or self._link.options.merchant_account
        asked = {"customer_id": customer_id, "merchant_account_id": account}

        def generate() -> str:
            try:
                made = self._sdk.client_token.generate({name: value for name, value in asked.items() if value})
            except ValueError:
                # The SDK's own word for a validation error; it does not tell which.
                raise GatewayRefused(
                    "client_token", "The payment service does not know this customer, or not this account of the shop."
                ) from None
            if not isinstance(made, str) or not made:
                raise shapes.BadShape("no client token")
            return made

        return self._ask(generate)

    def merchant_accounts(self) -> Sequence[MerchantAccount]:
        def find() -> list[MerchantAccount]:
            found = self._sdk.merchant_account.all().merchant_accounts.items
            return [shapes.merchant_account(each) for each in islice(found, MOST_ACCOUNTS)]

        return self._ask(find, PAGES)

    # Customers and their methods

    def make_customer(self, id: str, email: str, name: str) -> None:
        first, _, last = name.strip().rpartition(" ")
        asked = {"email": email, "first_name": first[:LONGEST_NAME], "last_name": last[:LONGEST_NAME]}

        def create() -> None:
            made = self._sdk.customer.create({"id": id, **{key: value for key, value in asked.items() if value}})
            if CUSTOMER_TAKEN not in codes(made):
                taken(made, "customer")

        self._ask(create)

    def save_method(self, customer_id: str, nonce: str, token: str, is_default: bool) -> SavedMethod:
        def create() -> SavedMethod:
            options = {"verify_card": True, "make_default": is_default}
            asked = {"customer_id": customer_id, "payment_method_nonce": nonce, "token": token, "options": options}
            made = self._sdk.payment_method.create(asked)
            # An earlier request of ours may have come through, and used up the nonce.
            if codes(made) & {TOKEN_TAKEN, NONCE_USED}:
                saved = self._method(token)
                if saved is not None and shapes.text(saved, "customer_id") == customer_id:
                    return shapes.method(saved)
            return shapes.method(taken(made, "payment_method"))

        return self._ask(create)

    def _method(self, token: str) -> Any:
        try:
            return self._sdk.payment_method.find(token)
        except NotFoundError:
            return None

    def methods(self, customer_id: str) -> Sequence[SavedMethod]:
        def find() -> list[SavedMethod]:
            try:
                customer = self._sdk.customer.find(customer_id)
            except NotFoundError:
                return []
            return [shapes.method(each) for each in shapes.items(customer, "payment_methods")]

        return self._ask(find)

    def choose_method(self, token: str) -> None:
        self._ask(
            lambda: taken(self._sdk.payment_method.update(token, {"options": {"make_default": True}}), "payment_method")
        )

    def delete_method(self, token: str) -> None:
        """Nothing happens when it is gone already."""

        def delete() -> None:
            try:
                done(self._sdk.payment_method.delete(token))
            except NotFoundError:
                return

        self._ask(delete)

    # Subscriptions

    def subscribe(self, id: str, plan: str, method: str, price: Money, merchant_account: str) -> Outcome:
        account = merchant_account or self._link.options.merchant_account
        asked = {"id": id, "plan_id": plan, "payment_method_token": method, "price": price.text}

        def create() -> Outcome:
            made = self._sdk.subscription.create({**asked, **({"merchant_account_id": account} if account else {})})
            if SUBSCRIPTION_TAKEN in codes(made):
                return outcome_by(self._link.door, lambda: self._made_before(id, plan, price), MOST, is_repeat=True)
            if made is not None and made.is_success:
                return self._begun(shapes.subscription(taken(made, "subscription"), price.currency), plan)
            return outcome(made, price.currency)

        return outcome_by(self._link.door, create, MOST)

    def _made_before(self, id: str, plan: str, price: Money) -> Outcome:
        return self._begun(shapes.subscription(self._sdk.subscription.find(id), price.currency), plan)

    def _begun(self, made: GatewaySubscription, plan: str) -> Outcome:
        if made.plan != plan:
            return Outcome(AttemptState.INVALID, SUBSCRIPTION_TAKEN, words.INVALID_OTHERWISE)
        charge = made.transactions[0] if made.transactions else None
        return Outcome(AttemptState.APPROVED, APPROVED, "", transaction=charge)

    def change_subscription(self, id: str, plan: str, method: str, price: Money | None) -> GatewaySubscription:
        asked = {"plan_id": plan, "payment_method_token": method, "price": price.text if price else ""}

        def update() -> GatewaySubscription:
            made = self._sdk.subscription.update(id, {name: value for name, value in asked.items() if value})
            return self._subscription(taken(made, "subscription"))

        return self._ask(update)

    def cancel_subscription(self, id: str) -> GatewaySubscription:
        return self._ask(lambda: self._subscription(taken(self._sdk.subscription.cancel(id), "subscription")))

    def subscription(self, id: str) -> GatewaySubscription | None:
        def find() -> GatewaySubscription | None:
            try:
                found = self._sdk.subscription.find(id)
            except NotFoundError:
                return None
            return self._subscription(found)

        return self._ask(find)

    def _subscription(self, found: Any) -> GatewaySubscription:
        """A new one in its trial has no charge that tells the currency: then the merchant account does."""
        currency = shapes.currency_of(found) or self._currency(shapes.needed(found, "merchant_account_id"))
        return shapes.subscription(found, currency)

    def _currency(self, account: str) -> str:
        if account not in self._currencies:
            found = shapes.needed(self._sdk.merchant_account.find(account), "currency_iso_code")
            if len(self._currencies) >= MOST_CURRENCIES:
                self._currencies.clear()
            self._currencies[account] = found
        return self._currencies[account]

    # Disputes

    def disputes(self, is_open: bool) -> Sequence[GatewayDispute]:
        def search() -> list[GatewayDispute]:
            wanted = [Dispute.Status.Open] if is_open else list(STATUSES)
            # The SDK keeps the question in the object that asks: one for each search, as others ask at the same time.
            found = DisputeGateway(self._sdk).search([DisputeSearch.status.in_list(wanted)])
            return [shapes.dispute(each) for each in found.disputes.items]

        return self._ask(search, PAGES)

    def dispute(self, id: str) -> GatewayDispute | None:
        def find() -> GatewayDispute | None:
            try:
                return shapes.dispute(self._sdk.dispute.find(id))
            except NotFoundError:
                return None

        return self._ask(find)

    def accept_dispute(self, id: str) -> None:
        self._ask(lambda: done(self._sdk.dispute.accept(id)))

    def add_evidence(self, id: str, text: str) -> None:
        if not text.strip():
            raise GatewayRefused("blank", "Write something that the bank can read.")
        self._ask(lambda: taken(self._sdk.dispute.add_text_evidence(id, text), "evidence"))

    def finalize_dispute(self, id: str) -> None:
        self._ask(lambda: done(self._sdk.dispute.finalize(id)))


STATUSES = tuple(value for name, value in vars(Dispute.Status).items() if not name.startswith("_"))
