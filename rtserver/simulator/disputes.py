"""Disputes of transactions, the evidence against them, and the documents that evidence may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from rtserver.simulator.money import amount_of, exact
from rtserver.simulator.refusals import Full, NotFound, Refused
from rtserver.simulator.shelf import Shelf, World
from rtserver.simulator.transactions import Transaction
from rtserver.simulator.xml_wire import Array, Value

PLACE = ("dispute",)
UPLOAD = ("document_upload",)
MAX_DISPUTES = 1_000
MAX_DOCUMENTS = 100
MAX_EVIDENCE = 100
MAX_COMMENT = 4_000
MAX_HISTORY = 50
REPLY_DAYS = 10

SIGNATURES: Mapping[bytes, str] = {b"%PDF-": "application/pdf", b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""First bytes of the files that are taken."""


class State(StrEnum):
    """Status, as on the wire."""

    OPEN = "open"
    ACCEPTED = "accepted"
    AUTO_ACCEPTED = "auto_accepted"
    DISPUTED = "disputed"
    EXPIRED = "expired"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


NEXT: Mapping[State, frozenset[State]] = {
    State.OPEN: frozenset({State.ACCEPTED, State.AUTO_ACCEPTED, State.DISPUTED, State.EXPIRED, State.UNDER_REVIEW}),
    State.DISPUTED: frozenset({State.UNDER_REVIEW, State.WON, State.LOST}),
    State.UNDER_REVIEW: frozenset({State.DISPUTED, State.WON, State.LOST}),
    State.EXPIRED: frozenset({State.LOST}),
}
"""What may follow."""


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    kind: str
    name: str
    content_type: str
    size: int

    def view(self) -> dict[str, Value]:
        about = {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "content_type": self.content_type,
            "size": self.size,
        }
        return {**about, "expires_at": None}


@dataclass(frozen=True, slots=True)
class Evidence:
    id: str
    created_at: datetime
    comment: str | None = None
    category: str | None = None
    sequence_number: int | None = None
    document: str | None = None

    def view(self) -> dict[str, Value]:
        return {
            "id": self.id,
            "created_at": self.created_at,
            "comment": self.comment,
            "category": self.category,
            "sequence_number": self.sequence_number,
            "url": f"https://simulator.invalid/evidence/{self.document}" if self.document else None,
            "sent_to_processor_at": None,
        }


@dataclass(slots=True)
class Dispute:
    """``amount`` is what is disputed."""

    id: str
    transaction: Transaction
    amount: Decimal
    kind: str
    reason: str
    created_at: datetime
    received: date
    status: State = State.OPEN
    won: Decimal = Decimal(0)
    updated_at: datetime | None = None
    evidence: list[Evidence] = field(default_factory=list)
    history: list[dict[str, Value]] = field(default_factory=list)

    def enter(self, status: State, at: datetime) -> None:
        self.status = status
        self.updated_at = at
        event = {"status": status, "timestamp": at, "effective_date": at.date(), "disbursement_date": None}
        self.history = [event, *self.history][:MAX_HISTORY]

    def view(self) -> dict[str, Value]:
        paid = self.transaction
        return {
            "id": self.id,
            "status": self.status,
            "kind": self.kind,
            "reason": self.reason,
            "reason_code": "83",
            "reason_description": self.reason.replace("_", " ").capitalize(),
            "amount": self.amount,
            "amount_disputed": self.amount,
            "amount_won": exact(self.won, paid.currency),
            "currency_iso_code": paid.currency,
            "case_number": f"CASE-{self.id}",
            "reference_number": f"REF-{self.id}",
            "merchant_account_id": paid.merchant_account_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "date_opened": self.received,
            "received_date": self.received,
            "reply_by_date": self.received + timedelta(days=REPLY_DAYS),
            "original_dispute_id": None,
            "processor_comments": None,
            "transaction": {
                "id": paid.id,
                "amount": paid.amount,
                "created_at": paid.created_at,
                "order_id": paid.said.get("order_id"),
                "purchase_order_number": paid.said.get("purchase_order_number"),
                "payment_instrument_subtype": paid.instrument.fields.get("card_type"),
            },
            "evidence": Array("evidence", [each.view() for each in self.evidence]),
            "status_history": Array("status_history", self.history),
        }


class Disputes:
    """``news`` hears of what the gateway would send a webhook for."""

    def __init__(self, world: World, news: Callable[[str, Dispute], None]) -> None:
        self._world = world
        self._news = news
        self.shelf: Shelf[Dispute] = Shelf("disputes", MAX_DISPUTES)
        self.documents: Shelf[Document] = Shelf("documents", MAX_DOCUMENTS)

    def open(self, transaction: Transaction, said: Mapping[str, Value]) -> Dispute:
        """``said``: ``amount`` (all of it without), ``reason``, ``kind``."""
        now = self._world.now()
        amount = amount_of(said.get("amount") or transaction.amount, transaction.currency)
        kind, reason = str(said.get("kind") or "chargeback"), str(said.get("reason") or "fraud")
        made = Dispute(self._world.new_id(), transaction, amount, kind, reason, now, now.date())
        self.shelf.put(made.id, made)
        transaction.disputes.append(made)
        made.enter(State.OPEN, now)
        self._news("dispute_opened", made)
        return made

    def accept(self, key: str) -> None:
        self._move(self.shelf.get(key), State.ACCEPTED, "95704")

    def finalize(self, key: str) -> None:
        self._move(self.shelf.get(key), State.DISPUTED, "95705")

    def decide(self, key: str, status: State) -> Dispute:
        """What a bank or time does. Raises ``Refused``."""
        found = self.shelf.get(key)
        if status is State.WON:
            found.won = found.amount
        self._move(found, status, "95704")
        return found

    def _move(self, found: Dispute, status: State, code: str) -> None:
        if status not in NEXT.get(found.status, ()):
            raise Refused(code, PLACE)
        found.enter(status, self._world.now())
        self._news(f"dispute_{status}", found)

    def add_evidence(self, key: str, said: Mapping[str, Value]) -> Evidence:
        found = self.shelf.get(key)
        if found.status is not State.OPEN:
            raise Refused("95701", PLACE)
        if len(found.evidence) >= MAX_EVIDENCE:
            raise Full(f"{MAX_EVIDENCE} pieces of evidence are kept for a dispute at most")
        comment, document = said.get("comments") or None, said.get("document_upload_id") or None
        if document and document not in self.documents:
            raise Refused("95703", PLACE)
        if len(str(comment or "")) > MAX_COMMENT:
            raise Refused("95708", PLACE)
        number = said.get("sequence_number")
        made = Evidence(
            self._world.new_id(),
            self._world.now(),
            comment,
            said.get("category") or None,
            number if isinstance(number, int) else None,
            document,
        )
        found.evidence.append(made)
        return made

    def remove_evidence(self, key: str, evidence: str) -> None:
        found = self.shelf.get(key)
        if found.status is not State.OPEN:
            raise Refused("95702", PLACE)
        left = [each for each in found.evidence if each.id != evidence]
        if len(left) == len(found.evidence):
            raise NotFound(evidence)
        found.evidence = left

    def upload(self, kind: str, name: str, content: bytes) -> Document:
        """The content is looked at and thrown away."""
        if kind != "evidence_document":
            raise Refused("84901", UPLOAD)
        if not content:
            raise Refused("84906", UPLOAD)
        content_type = next((each for first, each in SIGNATURES.items() if content.startswith(first)), None)
        if content_type is None:
            raise Refused("84903", UPLOAD)
        made = Document(self._world.new_id(), kind, name, content_type, len(content))
        return self.documents.put(made.id, made)
