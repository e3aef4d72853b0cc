"""Calls that move money, and searches for what they did. All of this runs in threads, and none of it raises.

A request key goes with everything that takes one, so that a repeat is answered with what the first request did. Merchants
without such keys refuse it (915231, nothing is done); from then on it is left out, and a repeat looks instead of asking again.
A call is a repeat when its attempt is unknown or was looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from braintree.exceptions import NotFoundError
from braintree.transaction_search import TransactionSearch

from rtserver.payments.records import Attempt, AttemptState, GatewayTransaction, Outcome, Sale
from rtserver.services import gateway_braintree_shapes as shapes
from rtserver.services.gateway_braintree_config import Link
from rtserver.services.gateway_braintree_errors import UNKNOWN_SENTENCE, answer_by, outcome_by
from rtserver.services.gateway_braintree_results import APPROVED, NO_KEYS, STATES, ended, outcome

MOST = 4
"""Requests that one call may take."""
PAGES = 220
"""Requests that one search may take: ten thousand transactions, fifty a page."""

SKEW = 60_000
"""Milliseconds that the gateway's clock may be behind ours."""

CAPTURED = {"submitted_for_settlement", "settlement_pending", "settlement_confirmed", "settling", "settled"}

Send = Callable[[dict[str, str]], Any]


class MoneyCalls:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._transactions = link.sdk.transaction
        self.has_keys = True
        """Whether the merchant takes request keys, as far as we know."""

    # What moves money

    def sale(self, sale: Sale) -> Outcome:
        return self._keyed(sale.attempt, lambda key: self._transactions.sale({**self._sale(sale), **key}))

    def settle(self, attempt: Attempt, is_part: bool) -> Outcome:
        amount = attempt.amount.text
        if is_part:
            # With an order id of its own it can be searched for; on the whole it would take away that of the sale.
            more = {"order_id": attempt.id}
            submit = self._transactions.submit_for_partial_settlement
            return self._keyed(attempt, lambda key: submit(attempt.target, amount, {**more, **key}))
        submit = self._transactions.submit_for_settlement
        return self._keyed(attempt, lambda key: submit(attempt.target, amount, dict(key)), CAPTURED)

    def void(self, attempt: Attempt) -> Outcome:
        return self._keyed(attempt, lambda key: self._transactions.void(attempt.target, dict(key)), {"voided"})

    def refund(self, attempt: Attempt) -> Outcome:
        asked = {"amount": attempt.amount.text, "order_id": attempt.id}
        return self._keyed(attempt, lambda key: self._transactions.refund(attempt.target, {**asked, **key}))

    def retry_charge(self, attempt: Attempt) -> Outcome:
        """The SDK sends no request key here, and no order id: a repeat looks among the charges of the subscription."""
        return outcome_by(self._link.door, lambda: self._retry(attempt), MOST, is_repeat(attempt))

    def _sale(self, sale: Sale) -> dict[str, Any]:
        options: dict[str, Any] = {"submit_for_settlement": not sale.is_held}
        if sale.saves_method:
            options["store_in_vault_on_success"] = True
        if sale.needs_3d_secure:
            options["three_d_secure"] = {"required": True}
        if sale.paypal_description:
            options["paypal"] = {"description": sale.paypal_description}
        asked = {
            "amount": sale.attempt.amount.text,
            "order_id": sale.attempt.id,
            "merchant_account_id": sale.merchant_account or self._link.options.merchant_account,
            "payment_method_nonce": sale.nonce,
            "payment_method_token": sale.method,
            "customer_id": sale.customer_id,
            "device_data": sale.device_data,
            "descriptor": self._descriptor(sale.descriptor),
            "options": options,
        }
        return {name: value for name, value in asked.items() if value}

    def _descriptor(self, given: Mapping[str, str]) -> dict[str, str]:
        options = self._link.options
        ours = {"name": options.descriptor_name, "phone": options.descriptor_phone, "url": options.descriptor_url}
        return {name: value for name, value in (given or ours).items() if value}

    # Once and again

    def _keyed(self, attempt: Attempt, send: Send, marks: set[str] | None = None) -> Outcome:
        """``marks``: statuses of the target by which one sees that it was done; then doing it again does no harm."""
        return outcome_by(self._link.door, lambda: self._once(attempt, send, marks), MOST, is_repeat(attempt))

    def _once(self, attempt: Attempt, send: Send, marks: set[str] | None) -> Outcome:
        currency = attempt.amount.currency
        if self.has_keys:
            made = outcome(send({"api_request_key": attempt.api_request_key}), currency)
            if made.code != NO_KEYS:
                return made
            self.has_keys = False
        if not is_repeat(attempt):
            return outcome(send({}), currency)
        if marks is None:
            return Outcome(AttemptState.UNKNOWN, NO_KEYS, UNKNOWN_SENTENCE, True)
        target = shapes.transaction(self._transactions.find(attempt.target), currency)
        if target.status in marks:
            return Outcome(AttemptState.APPROVED, APPROVED, "", transaction=target)
        return outcome(send({}), currency)

    def _retry(self, attempt: Attempt) -> Outcome:
        subscriptions = self._link.sdk.subscription
        if not is_repeat(attempt):
            made = subscriptions.retry_charge(attempt.target, attempt.amount.text, True)
            return outcome(made, attempt.amount.currency)
        charges = shapes.items(subscriptions.find(attempt.target), "transactions")
        known = [shapes.transaction(each, attempt.amount.currency) for each in charges]
        found = next((each for each in known if _may_be(each, attempt)), None)
        if found is None:
            return Outcome(AttemptState.UNKNOWN, "not_found", UNKNOWN_SENTENCE, True)
        if found.status in STATES:
            return ended(found)
        return Outcome(AttemptState.APPROVED, APPROVED, "", transaction=found)

    # Looking

    def transaction(self, id: str) -> GatewayTransaction | None:
        def find() -> GatewayTransaction | None:
            try:
                return shapes.transaction(self._transactions.find(id))
            except NotFoundError:
                return None

        return answer_by(self._link.door, find, MOST)

    def transactions_of(self, attempt_id: str) -> Sequence[GatewayTransaction]:
        def search() -> list[GatewayTransaction]:
            found = self._transactions.search([TransactionSearch.order_id == attempt_id])
            return [each for each in map(shapes.transaction, found.items) if each.order_id == attempt_id]

        return answer_by(self._link.door, search, MOST)

    def transactions_between(self, start: int, end: int) -> Sequence[GatewayTransaction]:
        def search() -> list[GatewayTransaction]:
            # Wider by a minute on both sides: the gateway may look at minutes only.
            minute = timedelta(minutes=1)
            span = TransactionSearch.created_at.between(_moment(start) - minute, _moment(end) + minute)
            found = self._transactions.search([span])
            return [each for each in map(shapes.transaction, found.items) if start <= each.created_at < end]

        return answer_by(self._link.door, search, PAGES)


def is_repeat(attempt: Attempt) -> bool:
    return attempt.state is AttemptState.UNKNOWN or attempt.checks > 0


def _may_be(charge: GatewayTransaction, attempt: Attempt) -> bool:
    return charge.kind == "sale" and charge.amount == attempt.amount and charge.created_at >= attempt.sent_at - SKEW


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
