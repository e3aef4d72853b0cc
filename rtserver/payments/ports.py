"""What the flows of payments need from outside: the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rtserver.core.payments import Money
from rtserver.payments.records import (
    Attempt,
    GatewayDispute,
    GatewaySubscription,
    GatewayTransaction,
    MerchantAccount,
    Notification,
    Outcome,
    Sale,
    SavedMethod,
)


class Gateway(Protocol):
    """A payment gateway. Calls that move money return an ``Outcome`` whatever happens, and come to their end even when nobody
    waits any more: a caller that is cancelled never cancels the call. The others raise ``GatewayAway`` when nothing can be
    learned now, ``GatewayRefused`` with a sentence when it says no. All raise ``errors.GatewayBusy`` instead of queueing
    without end: nothing was sent then."""

    async def client_token(self, customer_id: str, merchant_account: str) -> str: ...

    async def merchant_accounts(self) -> Sequence[MerchantAccount]: ...

    # Money

    async def sale(self, sale: Sale) -> Outcome: ...

    async def settle(self, attempt: Attempt, is_part: bool) -> Outcome:
        """The amount of the attempt, of the transaction ``attempt.target``. ``is_part``: more parts may follow."""

    async def void(self, attempt: Attempt) -> Outcome: ...

    async def refund(self, attempt: Attempt) -> Outcome: ...

    async def retry_charge(self, attempt: Attempt) -> Outcome:
        """Charge the subscription ``attempt.target``."""

    async def transaction(self, id: str) -> GatewayTransaction | None: ...

    async def transactions_of(self, attempt_id: str) -> Sequence[GatewayTransaction]:
        """Search by order id. What was done a moment ago may not be found yet."""

    async def transactions_between(self, start: int, end: int) -> Sequence[GatewayTransaction]:
        """Made in this span of time, milliseconds since 1970."""

    # The vault

    async def make_customer(self, id: str, email: str, name: str) -> None:
        """Nothing happens when there is one with this id."""

    async def save_method(self, customer_id: str, nonce: str, token: str, is_default: bool) -> SavedMethod: ...

    async def methods(self, customer_id: str) -> Sequence[SavedMethod]: ...

    async def choose_method(self, token: str) -> None: ...

    async def delete_method(self, token: str) -> None: ...

    # Subscriptions

    async def subscribe(self, id: str, plan: str, method: str, price: Money, merchant_account: str) -> Outcome:
        """With an id of ours: when the answer is lost, ``subscription(id)`` tells what became of it."""

    async def change_subscription(
        self, id: str, plan: str, method: str, price: Money | None
    ) -> GatewaySubscription: ...

    async def cancel_subscription(self, id: str) -> GatewaySubscription: ...

    async def subscription(self, id: str) -> GatewaySubscription | None: ...

    # Disputes

    async def disputes(self, is_open: bool) -> Sequence[GatewayDispute]: ...

    async def dispute(self, id: str) -> GatewayDispute | None: ...

    async def accept_dispute(self, id: str) -> None: ...

    async def add_evidence(self, id: str, text: str) -> None: ...

    async def finalize_dispute(self, id: str) -> None: ...

    # Webhooks: no network

    def answer_challenge(self, challenge: str) -> str:
        """Raises ``GatewayRefused`` for what is none."""

    def read_webhook(self, signature: str, payload: str) -> Notification:
        """Raises ``GatewayRefused`` when the signature is not the gateway's, or the payload is nothing that it sends."""
