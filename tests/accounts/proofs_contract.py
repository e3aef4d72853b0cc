"""What proofs of addresses do, on every database."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import gatherResults

from rtserver.accounts import proofs
from rtserver.accounts.records import ProofState, Purpose
from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from tests.accounts.tables import DAY, HOUR, Tables, checks_of
from tests.store_contract import begin, failure_of


async def confirmed(tables: Tables, **changes: Any) -> str:
    """The id of a person whom a letter has confirmed."""
    ada = await tables.person()
    await tables.letter(**changes)
    assert await proofs.use(tables.database, "p1", tables.now)
    await proofs.set_outcome(tables.database, "p1", ada.id)
    return ada.id


async def check_a_proof_is_found_by_id_and_by_code(tables: Tables) -> None:
    ada = await tables.person()
    made = await tables.letter(user_id=ada.id, data={"username": "Ада"}, target="/x")
    assert (made.purpose, made.email, made.user_id, made.data, made.browser_hash, made.target) == (
        Purpose.SIGN_UP, "Ada@example.org", ada.id, {"username": "Ада"}, "browser", "/x",
    )  # fmt: skip
    assert (made.created_at, made.expires_at, made.sent_at) == (tables.now, tables.now + DAY * 1000, tables.now)
    assert (made.tries, made.sends, made.used_at, made.outcome_user, made.redeemed_at) == (0, 1, 0, "", 0)
    assert await proofs.find(tables.database, "p1") == made
    assert await proofs.by_code(tables.database, "code-p1") == made


async def check_no_proof_is_found_by_what_no_database_takes(tables: Tables) -> None:
    await tables.letter()
    for odd in ("", "\0", "\ud800", "p2", "x" * 100_000):
        assert await proofs.find(tables.database, odd) is None
        assert await proofs.by_code(tables.database, odd) is None
        assert await proofs.redeem(tables.database, odd, "browser", tables.now) == ""


async def check_code_and_digits_are_not_stored(tables: Tables) -> None:
    await tables.letter(code="the-very-code", digits="918273")
    stored = await tables.everything()
    assert "the-very-code" not in stored and "918273" not in stored


async def check_a_code_is_used_once_ever(tables: Tables) -> None:
    await tables.letter()
    error = await failure_of(tables.letter(id="p2", code="code-p1"))
    assert isinstance(error, Conflict)
    assert error.constraint == "rt_proofs.code_hash"


async def check_a_proof_is_used_once(tables: Tables) -> None:
    await tables.letter()
    assert await proofs.use(tables.database, "p1", tables.now)
    assert not await proofs.use(tables.database, "p1", tables.now)
    found = await proofs.find(tables.database, "p1")
    assert found is not None and found.state(tables.now) is ProofState.CONFIRMED


async def check_of_many_who_confirm_at_once_one_does(tables: Tables) -> None:
    await tables.letter()

    async def work(transaction: Transaction) -> bool:
        if not await proofs.use(transaction, "p1", tables.now):
            return False
        ada = await tables_person(tables, transaction)
        await proofs.set_outcome(transaction, "p1", ada)
        return True

    outcomes = await gatherResults([begin(tables.database.transact(work)) for _ in range(8)])
    assert sorted(outcomes) == [False] * 7 + [True]
    assert len(await tables.rows("rt_users")) == 1


async def tables_person(tables: Tables, transaction: Transaction) -> str:
    id = tables.token(8)
    await transaction.run(
        "insert into rt_users (id, username, username_norm, email, email_norm, created_at) values (?, ?, ?, ?, ?, 0)",
        (id, id, id, id, id),
    )
    return id


async def check_of_many_single_uses_at_once_one_succeeds(tables: Tables) -> None:
    await tables.letter()
    outcomes = await gatherResults([begin(proofs.use(tables.database, "p1", tables.now)) for _ in range(8)])
    assert sorted(outcomes) == [False] * 7 + [True]


async def check_a_confirmation_that_fails_leaves_the_proof_waiting(tables: Tables) -> None:
    await tables.letter()

    async def work(transaction: Transaction) -> None:
        assert await proofs.use(transaction, "p1", tables.now)
        raise LookupError("the account could not be made")

    try:
        await tables.database.transact(work)
    except LookupError:
        assert await proofs.use(tables.database, "p1", tables.now)
    else:
        raise AssertionError("the transaction did not fail")


async def check_an_expired_proof_cannot_be_used(tables: Tables) -> None:
    await tables.letter()
    tables.unix += DAY
    assert not await proofs.use(tables.database, "p1", tables.now)
    found = await proofs.find(tables.database, "p1")
    assert found is not None and found.state(tables.now) is ProofState.EXPIRED
    assert await proofs.use(tables.database, "p1", tables.now - 1)


async def check_a_proof_of_nothing_can_never_be_used(tables: Tables) -> None:
    await tables.letter(purpose=Purpose.NONE)
    assert not await proofs.use(tables.database, "p1", tables.now)


async def check_the_browser_that_began_goes_on_once(tables: Tables) -> None:
    ada = await confirmed(tables)
    assert await proofs.redeem(tables.database, "p1", "another", tables.now) == ""
    assert await proofs.redeem(tables.database, "p1", "", tables.now) == ""
    redeeming = [begin(proofs.redeem(tables.database, "p1", "browser", tables.now)) for _ in range(6)]
    assert sorted(await gatherResults(redeeming)) == [""] * 5 + [ada]
    found = await proofs.find(tables.database, "p1")
    assert found is not None and found.state(tables.now) is ProofState.REDEEMED
    assert await proofs.redeem_by_code(tables.database, "code-p1", tables.now) == ""


async def check_the_letter_goes_on_once_in_any_browser(tables: Tables) -> None:
    ada = await confirmed(tables)
    assert await proofs.redeem_by_code(tables.database, "code-p2", tables.now) == ""
    assert await proofs.redeem_by_code(tables.database, "code-p1", tables.now) == ada
    assert await proofs.redeem_by_code(tables.database, "code-p1", tables.now) == ""
    assert await proofs.redeem(tables.database, "p1", "browser", tables.now) == ""


async def check_going_on_is_possible_for_an_hour(tables: Tables) -> None:
    ada = await confirmed(tables)
    tables.unix += HOUR
    assert await proofs.redeem(tables.database, "p1", "browser", tables.now) == ""
    assert await proofs.redeem(tables.database, "p1", "browser", tables.now - 1) == ada


async def check_nobody_goes_on_with_what_is_not_confirmed(tables: Tables) -> None:
    await tables.letter()
    assert await proofs.redeem(tables.database, "p1", "browser", tables.now) == ""
    assert await proofs.redeem_by_code(tables.database, "code-p1", tables.now) == ""


async def check_nobody_goes_on_without_a_browser_or_with_a_forgotten_password(tables: Tables) -> None:
    await confirmed(tables, purpose=Purpose.RESET)
    await tables.letter(id="p2", browser_hash="")
    assert await proofs.redeem(tables.database, "p1", "browser", tables.now) == ""
    assert await proofs.redeem_by_code(tables.database, "code-p1", tables.now) == ""
    assert await proofs.redeem(tables.database, "p2", "", tables.now) == ""


async def check_tries_are_counted(tables: Tables) -> None:
    await tables.letter()
    counted = await gatherResults([begin(proofs.count_try(tables.database, "p1")) for _ in range(6)])
    assert sorted(counted) == [1, 2, 3, 4, 5, 6]
    assert await proofs.count_try(tables.database, "p2") == 0


async def check_digits_are_those_of_their_letter(tables: Tables) -> None:
    await tables.letter()
    await tables.letter(id="p2", digits="654321")
    assert await proofs.has_digits(tables.database, "p1", "123456")
    for id, digits in (("p1", "654321"), ("p2", "123456"), ("p1", ""), ("p1", "\0\ud800"), ("p3", "123456")):
        assert not await proofs.has_digits(tables.database, id, digits)


async def check_a_letter_that_goes_out_again_is_the_same_letter(tables: Tables) -> None:
    await tables.letter()
    tables.unix += 60
    assert await proofs.resend(tables.database, "p1", tables.now) == 2
    found = await proofs.by_code(tables.database, "code-p1")
    assert found is not None
    assert (found.sends, found.sent_at, found.created_at) == (2, tables.now, tables.now - 60_000)


async def check_no_letter_goes_out_again_for_what_is_over(tables: Tables) -> None:
    await tables.letter()
    await tables.letter(id="p2")
    assert await proofs.use(tables.database, "p1", tables.now)
    assert await proofs.resend(tables.database, "p1", tables.now) == 0
    tables.unix += DAY
    assert await proofs.resend(tables.database, "p2", tables.now) == 0


PROOFS_CHECKS = checks_of(globals())
