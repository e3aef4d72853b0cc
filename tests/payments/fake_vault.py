"""The fake gateway with a vault, subscriptions, disputes and signed webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayAway, GatewayBusy, GatewayRefused
from rtserver.payments.records import (
    Attempt,
    AttemptState,
    GatewayDispute,
    GatewaySubscription,
    GatewayTransaction,
    Notification,
    Op,
    Outcome,
    SavedMethod,
)
from tests.payments.fake_gateway import UNKNOWN, FakeGateway

T = TypeVar("T")

KEY = b"the key of the gateway"


class FakeVault(FakeGateway):
    """``will_do`` says what the next calls of a name come to: "lost" (done, but the answer does not come), "dropped", "busy", a
    Deferred to wait for, or an exception or outcome. ``called`` are the names of all calls."""

    def __init__(self, unix: Callable[[], float]) -> None:
        super().__init__(unix)
        self._turns: dict[str, deque[Any]] = defaultdict(deque)
        self.called: list[str] = []
        self.people: dict[str, tuple[str, str]] = {}
        self.saved: dict[str, tuple[str, SavedMethod]] = {}
        self.used: set[str] = set()
        self.subscriptions: dict[str, GatewaySubscription] = {}
        self.quarrels: dict[str, GatewayDispute] = {}
        self.evidence: list[tuple[str, str]] = []

    def will_do(self, name: str, *turns: Any) -> None:
        self._turns[name].extend(turns)

    async def _call(self, name: str, work: Callable[[], T]) -> T:
        self.called.append(name)
        turn = self._turns[name].popleft() if self._turns[name] else None
        if turn == "busy":
            raise GatewayBusy("too many calls wait")
        if turn == "dropped" or self.is_away:
            raise GatewayAway("the gateway cannot be reached")
        if isinstance(turn, Exception):
            raise turn
        if isinstance(turn, Deferred):
            await turn
        done = work()
        if turn == "lost":
            raise GatewayAway("no answer")
        return done

    # The vault

    async def client_token(self, customer_id: str, merchant_account: str) -> str:
        def work() -> str:
            if (customer_id and customer_id not in self.people) or merchant_account == "no account":
                raise GatewayRefused("client_token", "There is no such customer, or no such account.")
            return f"token of {customer_id or 'nobody'}"

        return await self._call("client_token", work)

    async def make_customer(self, id: str, email: str, name: str) -> None:
        await self._call("make_customer", lambda: self.people.setdefault(id, (email, name)))

    async def save_method(self, customer_id: str, nonce: str, token: str, is_default: bool) -> SavedMethod:
        return await self._call("save_method", lambda: self._save(customer_id, nonce, token, is_default))

    def _save(self, customer_id: str, nonce: str, token: str, is_default: bool) -> SavedMethod:
        if customer_id not in self.people:
            raise GatewayRefused("91705", "There is no such customer.")
        if nonce in self.used:
            raise GatewayRefused("91731", "This card was used: fill the form again.")
        if nonce == "bad":
            raise GatewayRefused("81715", "The card number is wrong.")
        self.used.add(nonce)
        is_first = not any(owner == customer_id for owner, _ in self.saved.values())
        method = SavedMethod(token, "credit_card", "Visa", nonce[-4:], "12/2030", False)
        self.saved[token] = (customer_id, method)
        if is_first or is_default:
            self._choose(token)
        return self.saved[token][1]

    def _choose(self, chosen: str) -> None:
        customer_id = self.saved[chosen][0]
        for token, (owner, method) in self.saved.items():
            if owner == customer_id:
                self.saved[token] = (owner, replace(method, is_default=token == chosen))

    async def methods(self, customer_id: str) -> Sequence[SavedMethod]:
        def work() -> list[SavedMethod]:
            return [method for owner, method in self.saved.values() if owner == customer_id]

        return await self._call("methods", work)

    async def choose_method(self, token: str) -> None:
        await self._call("choose_method", lambda: self._choose(token))

    async def delete_method(self, token: str) -> None:
        def work() -> None:
            if self.saved.pop(token, None) is None:
                raise GatewayRefused("not_found", "There is no such payment method.")

        await self._call("delete_method", work)

    # Subscriptions

    async def subscribe(self, id: str, plan: str, method: str, price: Money, merchant_account: str) -> Outcome:
        try:
            return await self._call("subscribe", lambda: self._subscribe(id, plan, method, price))
        except GatewayBusy:
            raise
        except GatewayAway:
            return UNKNOWN
        except Said as error:
            return error.outcome

    def _subscribe(self, id: str, plan: str, method: str, price: Money) -> Outcome:
        if id in self.subscriptions:
            return Outcome(AttemptState.INVALID, "81906", "This id is taken.")
        if method not in self.saved:
            return Outcome(AttemptState.INVALID, "91903", "There is no such payment method.")
        self.subscriptions[id] = GatewaySubscription(id, plan, method, "Active", price, "2027-02-14")
        charged = self.charge(id)
        return Outcome(AttemptState.APPROVED, "approved", "Approved", transaction=charged)

    def charge(self, id: str, status: str = "submitted_for_settlement") -> GatewayTransaction:
        """As the gateway does it by itself."""
        found = self.subscriptions[id]
        number = f"bt-{id}-{len(found.transactions)}"
        made = GatewayTransaction(number, "sale", status, found.price, "", int(self._unix() * 1000), subscription_id=id)
        self.transactions[made.id] = made
        self.subscriptions[id] = replace(found, transactions=(made, *found.transactions))
        return made

    def becomes(self, id: str, status: str, **changes: Any) -> None:
        self.subscriptions[id] = replace(self.subscriptions[id], status=status, **changes)

    async def change_subscription(self, id: str, plan: str, method: str, price: Money | None) -> GatewaySubscription:
        def work() -> GatewaySubscription:
            before = self.subscriptions[id]
            self.becomes(id, before.status, plan=plan, method=method, price=price or before.price)
            return self.subscriptions[id]

        return await self._call("change_subscription", work)

    async def cancel_subscription(self, id: str) -> GatewaySubscription:
        def work() -> GatewaySubscription:
            if self.subscriptions[id].status == "Canceled":
                raise GatewayRefused("81905", "This subscription was cancelled before.")
            self.becomes(id, "Canceled")
            return self.subscriptions[id]

        return await self._call("cancel_subscription", work)

    async def subscription(self, id: str) -> GatewaySubscription | None:
        return await self._call("subscription", lambda: self.subscriptions.get(id))

    async def retry_charge(self, attempt: Attempt) -> Outcome:
        def work() -> GatewayTransaction:
            assert self.subscriptions[attempt.target].status == "Past Due"
            self.becomes(attempt.target, "Active")
            return self.charge(attempt.target)

        return await self._do(Op.RETRY, attempt, work)

    # Disputes

    def quarrel(self, transaction_id: str, id: str = "dispute1", status: str = "open") -> GatewayDispute:
        amount = self.transactions[transaction_id].amount
        self.quarrels[id] = GatewayDispute(id, transaction_id, status, amount, "fraud", "2027-03-01")
        return self.quarrels[id]

    def decide(self, id: str, status: str) -> None:
        self.quarrels[id] = replace(self.quarrels[id], status=status)

    async def disputes(self, is_open: bool) -> Sequence[GatewayDispute]:
        return await self._call("disputes", lambda: list(self.quarrels.values()))

    async def dispute(self, id: str) -> GatewayDispute | None:
        return await self._call("dispute", lambda: self.quarrels.get(id))

    async def accept_dispute(self, id: str) -> None:
        await self._call("accept_dispute", lambda: self._answer_dispute(id, "accepted"))

    async def add_evidence(self, id: str, text: str) -> None:
        await self._call("add_evidence", lambda: self.evidence.append((id, text)))

    async def finalize_dispute(self, id: str) -> None:
        await self._call("finalize_dispute", lambda: self._answer_dispute(id, "disputed"))

    def _answer_dispute(self, id: str, status: str) -> None:
        if self.quarrels[id].status != "open":
            raise GatewayRefused("95704", "This dispute is not open any more.")
        self.decide(id, status)

    # Reading

    async def transactions_between(self, start: int, end: int) -> Sequence[GatewayTransaction]:
        def work() -> list[GatewayTransaction]:
            return [each for each in self.transactions.values() if start <= each.created_at < end]

        return await self._call("transactions_between", work)

    # Webhooks

    def answer_challenge(self, challenge: str) -> str:
        return f"verified {challenge}"

    def webhook(self, kind: str, id: str, at: int = 0, key: bytes = KEY) -> tuple[str, str]:
        """Signature and payload."""
        subject = kind.partition("_")[0]
        payload = json.dumps({"kind": kind, "at": at, "id": id, "subject": subject, "card": "4012888888881881"}) + "\n"
        return hmac.new(key, payload.encode(), hashlib.sha1).hexdigest(), payload

    def read_webhook(self, signature: str, payload: str) -> Notification:
        if not hmac.compare_digest(hmac.new(KEY, payload.encode(), hashlib.sha1).hexdigest(), signature):
            raise GatewayRefused("bad_signature", "This was not signed by the gateway.")
        told = json.loads(payload)
        subject = told["subject"] if told["subject"] in ("transaction", "subscription", "dispute") else "other"
        return Notification(told["kind"], told["at"], subject, told["id"])


class Said(Exception):
    """A turn of ``subscribe``: this outcome."""

    def __init__(self, state: AttemptState, code: str) -> None:
        self.outcome = Outcome(state, code, "No.")
        super().__init__(code)
