"""The SDK's results -> outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import AttemptState, FieldError, GatewayTransaction, Outcome
from rtserver.services import gateway_braintree_words as words
from rtserver.services.gateway_braintree_errors import UNKNOWN_SENTENCE
from rtserver.services.gateway_braintree_shapes import BadShape, inner, text, transaction

MOST_ERRORS = 100
DEPTH = 10

APPROVED = "approved"

NO_KEYS = "915231"
"""The merchant has no request keys: nothing was done."""

UNKNOWN_CODES = {"915232", "915233", "915235"}
"""Answers about a request key that tell nothing of what the first request with it came to: another request had it, it is under
way, the gateway failed."""

FIRST_FAILED = "915234"
"""The first request with this key failed."""

STATES: Mapping[str, AttemptState] = {
    "processor_declined": AttemptState.DECLINED,
    "settlement_declined": AttemptState.DECLINED,
    "gateway_rejected": AttemptState.REJECTED,
    "failed": AttemptState.FAILED,
    "settlement_failed": AttemptState.FAILED,
    "authorization_expired": AttemptState.ERROR,
}
"""Statuses by which no money moves -> what an attempt came to whose transaction has it."""


def outcome(result: Any, currency: str) -> Outcome:
    """Of a call whose result has a transaction. Raises ``BadShape`` and what it comes from when the answer cannot be read."""
    if result is None:
        raise BadShape("neither a transaction nor an error")
    made = inner(result, "transaction")
    if made is None:
        return refused(result)
    found = transaction(made, currency)
    if found.status in STATES:
        return ended(found)
    if result.is_success:
        return Outcome(AttemptState.APPROVED, APPROVED, "", transaction=found)
    # An error, and a transaction that lives: who looks again sees what it comes to.
    return Outcome(AttemptState.UNKNOWN, "unexpected_status", UNKNOWN_SENTENCE, True, found)


def ended(found: GatewayTransaction) -> Outcome:
    """Of a transaction by which no money moves."""
    state, code = STATES[found.status], str(found.details.get("code") or found.status)
    if state is AttemptState.REJECTED:
        return Outcome(state, code, words.rejected(code), code in words.SOFT_REJECTIONS, found)
    return Outcome(
        state, code, words.declined(code), is_soft(code, str(found.details.get("processor_kind", ""))), found
    )


def is_soft(code: str, kind: str) -> bool:
    """``kind`` is the processor_response_type, "" when the answer did not tell it."""
    return kind == "soft_declined" if kind else code not in words.HARD


def refused(result: Any) -> Outcome:
    """Nothing was done, but for what a request key may have named before."""
    errors = field_errors(result)
    code = errors[0].code if errors else "invalid"
    if code in UNKNOWN_CODES:
        return Outcome(AttemptState.UNKNOWN, code, UNKNOWN_SENTENCE, True, errors=errors)
    if code == FIRST_FAILED:
        return Outcome(AttemptState.ERROR, code, words.INVALID_OTHERWISE, True, errors=errors)
    return Outcome(AttemptState.INVALID, code, words.invalid(errors), errors=errors)


def field_errors(result: Any) -> tuple[FieldError, ...]:
    """All of them, however deep."""
    data = inner(inner(inner(result, "errors"), "errors"), "data")
    found: list[FieldError] = []
    for error in _walk(data, (), DEPTH):
        found.append(error)
        if len(found) == MOST_ERRORS:
            break
    return tuple(found)


def _walk(level: Any, place: tuple[str, ...], depth: int) -> Iterator[FieldError]:
    """``{"errors": [...], "transaction": {"errors": [...], "credit_card": {...}}}``; the first name is what was asked for."""
    if not isinstance(level, Mapping) or not depth:
        return
    for each in level.get("errors") or ():
        if isinstance(each, Mapping):
            attribute = ".".join((*place[1:], str(each.get("attribute") or "base")))
            yield FieldError(attribute, str(each.get("code") or ""), str(each.get("message") or "")[:255])
    for name, inside in level.items():
        if name != "errors":
            yield from _walk(inside, (*place, str(name)), depth - 1)


def taken(result: Any, name: str) -> Any:
    """What the result has under this name. Raises ``GatewayRefused`` when it is an error."""
    if result is None:
        raise BadShape(f"neither a {name} nor an error")
    if not result.is_success:
        refuse(result)
    found = inner(result, name)
    if found is None:
        raise BadShape(f"a success without a {name}")
    return found


def done(result: Any) -> None:
    """Raises ``GatewayRefused`` when the result is an error."""
    if result is None:
        raise BadShape("neither a success nor an error")
    if not result.is_success:
        refuse(result)


def refuse(result: Any) -> NoReturn:
    """Raises ``GatewayRefused``: for errors, for a card that was looked at and not found good, or for a charge that failed."""
    errors = field_errors(result)
    if errors:
        raise GatewayRefused(errors[0].code, words.invalid(errors), errors)
    tried = inner(result, "credit_card_verification") or inner(result, "transaction")
    reason, code = text(tried, "gateway_rejection_reason"), text(tried, "processor_response_code")
    if reason:
        raise GatewayRefused(reason, words.rejected(reason))
    if code:
        raise GatewayRefused(code, words.declined(code))
    raise GatewayRefused("invalid", words.INVALID_OTHERWISE)
