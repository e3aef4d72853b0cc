"""What links in letters do, on every database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rtserver.accounts.proving import codes_of
from rtserver.accounts.records import ProofState, Purpose
from rtserver.accounts.staff import appoint
from tests.accounts.house import (
    DAY,
    ELSEWHERE,
    HERE,
    KEY,
    NEW_PASSWORD,
    PASSWORD,
    REMOTE,
    House,
    asker,
    changed,
    checks_of,
    later,
    outcomes,
    refusal_of,
)

# By the link


async def check_to_look_at_a_link_changes_nothing(house: House) -> None:
    proof = await house.sign_up()
    signed = (await house.letter()).signed
    before = await house.rows("rt_proofs")
    for _ in range(3):
        look = await house.confirming.look(signed, asker())
    assert (look.proof, look.state, look.existing, look.username) == (proof, ProofState.WAITING, None, "ada")
    assert (look.needs_sign_in, look.needs_password, look.is_own_browser) == (False, False, False)
    assert (await house.confirming.look(signed, asker(HERE))).is_own_browser
    assert await house.rows("rt_proofs") == before and house.notices.told == []


async def check_a_link_confirmed_anywhere_makes_the_account_and_signs_nobody_in_there(house: House) -> None:
    proof = await house.sign_up("Ada@Example.org", "Ada")
    done = await house.confirming.confirm((await house.letter()).signed, asker(ELSEWHERE))
    account = await house.account()
    assert (done.account, done.is_own_browser, done.link) == (None, False, "")
    assert (account.username, account.email, account.is_staff) == ("Ada", "Ada@Example.org", False)
    assert (done.proof.state(int(house.unix * 1000)), done.proof.outcome_user) == (ProofState.CONFIRMED, account.id)
    assert house.notices.told == [("confirmed", proof.id)] and house.notices.outcomes == [account.id]
    assert (await house.passwords.sign_in("ada", PASSWORD)).account.id == account.id


async def check_the_browser_that_began_is_signed_in_by_the_link(house: House) -> None:
    proof = await house.sign_up()
    done = await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    assert done.is_own_browser and done.account == await house.account()
    assert (await house.proof(proof.id)).state(0) is ProofState.REDEEMED


async def check_a_link_is_good_after_a_restart_and_without_any_session(house: House) -> None:
    await house.sign_up()
    signed = (await house.letter()).signed
    await house.database.run("delete from rt_sessions")
    house.configure(changed(base_url="https://example.org"))
    await house.confirming.confirm(signed, asker())
    assert (await house.account()).username == "ada"


async def check_a_link_is_good_after_the_key_was_rotated_until_the_old_one_is_dropped(house: House) -> None:
    await house.sign_up()
    letter = await house.letter()
    house.configure(changed(secret_key="another key that is long enough"))
    assert (await refusal_of(house.confirming.look(letter.signed, asker()))).code == "bad_link"
    house.configure(changed(secret_key="another key that is long enough", old_secret_keys=(KEY,)))
    assert (await house.confirming.look(letter.signed, asker())).username == "ada"
    await house.confirming.confirm(letter.signed, asker())


async def check_an_altered_link_never_reaches_the_database(house: House) -> None:
    await house.sign_up()
    signed = (await house.letter()).signed
    code, _, signature = signed.partition(".")
    altered = [
        signed[:-1],
        f"{signed}=",
        f"{signed}A",
        code,
        f"{code}.",
        f".{signature}",
        f"{code}x.{signature}",
        "",
        ".",
    ]
    altered += [
        f"{code[:-1]}{'A' if code[-1] != 'A' else 'B'}.{signature}",
        signed.upper(),
        "x" * 100_000,
        "\0",
        "é",
        "\ud800",
    ]
    altered += [f"{signed[:-1]}{each}" for each in "ABCDEFGHQgw_-" if each != signed[-1]]
    house.database.statements.clear()
    for each in altered:
        for attempt in (
            house.confirming.look(each, asker()),
            house.confirming.confirm(each, asker()),
            house.confirming.redeem_by_code(each),
        ):
            assert (await refusal_of(attempt)).code == "bad_link"
    assert house.database.statements == []


async def check_a_signed_code_that_nobody_stored_is_refused(house: House) -> None:
    signed = house.parts.signer.sign("AAAAAAAAAAAAAAAAAAAAAA")
    assert (await refusal_of(house.confirming.confirm(signed, asker()))).code == "bad_link"


async def check_a_link_is_used_once(house: House) -> None:
    await house.sign_up()
    signed = (await house.letter()).signed
    await house.confirming.confirm(signed, asker())
    error = await refusal_of(house.confirming.confirm(signed, asker()))
    assert (error.code, error.status) == ("link_used", 409)
    look = await house.confirming.look(signed, asker())
    assert look.state is ProofState.CONFIRMED and look.existing == await house.account()
    assert len(await house.rows("rt_users")) == 1 and len(house.notices.told) == 1


async def check_a_link_ends(house: House) -> None:
    proof = await house.sign_up()
    letter = await house.letter()
    later(house, DAY)
    assert (await house.confirming.look(letter.signed, asker())).state is ProofState.EXPIRED
    for attempt in (
        house.confirming.confirm(letter.signed, asker()),
        house.confirming.by_digits(proof.id, letter.digits, asker(HERE)),
        house.confirming.resend(proof.id, HERE),
        house.confirming.redeem(proof.id, HERE),
    ):
        error = await refusal_of(attempt)
        assert (error.code, error.status) == ("link_expired", 410)
    assert await house.rows("rt_users") == []


async def check_of_many_who_confirm_at_once_one_makes_one_account(house: House) -> None:
    proof = await house.sign_up()
    letter = await house.letter()
    works: list[Any] = [house.confirming.confirm(letter.signed, asker(ELSEWHERE)) for _ in range(6)]
    works += [house.confirming.by_digits(proof.id, letter.digits, asker(HERE)) for _ in range(4)]
    found = await outcomes(works)
    assert sorted(each for each in found if isinstance(each, str)) == ["link_used"] * 9
    assert len(await house.rows("rt_users")) == 1
    assert house.notices.told == [("confirmed", proof.id)]


async def check_of_two_letters_to_one_address_the_first_answer_counts(house: House) -> None:
    await house.sign_up(browser=HERE, username="ada")
    first = await house.letter()
    second_proof = await house.passwords.sign_up("ADA@example.org", "eve", NEW_PASSWORD, "/", ELSEWHERE)
    second = await house.letter()
    assert first.signed != second.signed and second.kind == "confirm_sign_up"
    await house.confirming.confirm(first.signed, asker())
    error = await refusal_of(house.confirming.confirm(second.signed, asker(ELSEWHERE)))
    assert (error.code, error.field, error.status) == ("address_taken", "email", 409)
    assert (await house.proof(second_proof.id)).used_at == 0
    assert (await house.account()).username == "ada" and len(await house.rows("rt_users")) == 1
    assert (await house.passwords.sign_in("ada", PASSWORD)).account.username == "ada"
    assert (await refusal_of(house.passwords.sign_in("ada", NEW_PASSWORD))).code == "wrong_password"


async def check_of_many_letters_to_one_address_answered_at_once_one_makes_the_account(house: House) -> None:
    signed = []
    for number in range(5):
        await house.passwords.sign_up("ada@example.org", f"ada-{number}", PASSWORD, "/", HERE)
        signed.append((await house.letter()).signed)
    found = await outcomes([house.confirming.confirm(each, asker()) for each in signed])
    assert sorted(each for each in found if isinstance(each, str)) == ["address_taken"] * 4
    assert len(await house.rows("rt_users")) == 1


async def check_a_name_that_was_taken_meanwhile_gets_a_number(house: House) -> None:
    await house.sign_up()
    signed = (await house.letter()).signed
    bob = await house.person("bob")
    await house.database.run("update rt_users set username = 'ADA', username_norm = 'ada' where id = ?", (bob.id,))
    await house.confirming.confirm(signed, asker())
    assert (await house.account()).username == "ada-2"


async def check_without_a_name_one_is_made_of_the_address(house: House) -> None:
    await house.sign_up("Ada.L+news@example.org", username=" ")
    await house.confirming.confirm((await house.letter()).signed, asker())
    assert (await house.account("ada.l+news@example.org")).username == "Ada.L-news"


async def check_who_stands_in_the_options_becomes_staff(house: House) -> None:
    await house.sign_up("root@EXAMPLE.org", username="root")
    done = await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    assert done.account is not None and done.account.is_staff
    assert (await house.account("root@example.org")).is_staff


async def check_who_is_put_on_the_options_becomes_staff_and_who_is_taken_off_is_none_any_more(house: House) -> None:
    await house.sign_up("root@example.org", username="root")
    await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    root, ada = await house.account("root@example.org"), await house.person()
    now = replace(house.parts.options, staff=(ada.email.upper(),))
    assert await appoint(house.database, now) == [root.id]
    assert not (await house.account("root@example.org")).is_staff
    assert (await house.account()).is_staff
    assert await appoint(house.database, now) == []
    assert await appoint(house.database, replace(now, staff=())) == [ada.id]


async def check_a_failure_leaves_the_proof_as_good_as_before(house: House) -> None:
    ada = await house.person()
    session = await house.session(ada)
    proof = await house.forgotten()
    signed = (await house.letter()).signed
    house.post.broken = True
    await refusal_of(house.confirming.confirm(signed, asker(), NEW_PASSWORD))
    assert (await house.proof(proof.id)).used_at == 0 and await house.hash_of(ada) == f"hash:{PASSWORD}"
    assert [each.id for each in await house.parts.sessions.of_user(ada.id)] == [session.id]
    assert house.notices.told == []
    house.post.broken = False
    await house.confirming.confirm(signed, asker(), NEW_PASSWORD)
    assert await house.hash_of(ada) == f"hash:{NEW_PASSWORD}"


async def check_what_was_answered_for_nobody_can_never_be_confirmed(house: House) -> None:
    await house.person()
    for proof in (await house.sign_up(username=""), await house.forgotten("nobody@example.org")):
        assert proof.purpose is Purpose.NONE
        for digits in ("000000", "123456", ""):
            error = await refusal_of(house.confirming.by_digits(proof.id, digits, asker(HERE)))
            assert (error.code, error.field) == ("wrong_digits", "digits")
        assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "not_confirmed"
        codes = codes_of(house.parts, proof)
        assert codes is not None
        signed = house.parts.signer.sign(codes.code)
        assert (await refusal_of(house.confirming.look(signed, asker(HERE)))).code == "bad_link"
        assert (await refusal_of(house.confirming.confirm(signed, asker(HERE), NEW_PASSWORD))).code == "bad_link"
        assert (
            await refusal_of(house.confirming.by_digits(proof.id, codes.digits, asker(HERE)))
        ).code == "wrong_digits"
    assert len(await house.rows("rt_users")) == 1


async def check_nobody_can_tell_by_the_answers_whether_a_letter_is_one_for_nobody(house: House) -> None:
    await house.person()
    seen = []
    for email in ("ada@example.org", "nobody@example.org"):
        proof = await house.forgotten(email)
        house.database.statements.clear()
        codes = [(await refusal_of(house.confirming.by_digits(proof.id, "", asker(HERE)))).code for _ in range(7)]
        codes.append((await refusal_of(house.confirming.redeem(proof.id, HERE))).code)
        again = await house.confirming.resend(proof.id, HERE, REMOTE)
        assert again.email == email and again.state(int(house.unix * 1000)) is ProofState.WAITING
        seen.append((codes, len(house.database.statements)))
    later(house, DAY)
    assert seen[0] == seen[1]


LINKS_CHECKS = checks_of(globals())
