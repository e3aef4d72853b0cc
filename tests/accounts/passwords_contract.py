"""What accounts with passwords do, on every database."""

from __future__ import annotations

from rtserver.accounts.errors import RateLimited
from rtserver.accounts.records import ProofState, Purpose
from rtserver.accounts.rows import hashed
from rtserver.core.accounts import LETTER, LETTER_REMOTE, SIGN_IN
from tests.accounts.house import (
    DAY,
    HERE,
    HOUR,
    NEW_PASSWORD,
    PASSWORD,
    REMOTE,
    House,
    asker,
    changed,
    checks_of,
    later,
    leave_while_it_is_stored,
    refusal_of,
)

# Sign-up


async def check_a_sign_up_makes_a_letter_and_no_account(house: House) -> None:
    proof = await house.sign_up(" Ada@Example.org ")
    assert (proof.purpose, proof.email, proof.target) == (Purpose.SIGN_UP, "Ada@Example.org", "/chat")
    assert proof.browser_hash == hashed(HERE)
    assert (
        proof.state(proof.expires_at - 1) is ProofState.WAITING and proof.state(proof.expires_at) is ProofState.EXPIRED
    )
    assert proof.expires_at - proof.created_at == DAY * 1000
    assert await house.rows("rt_users") == []
    (letter,) = await house.letters()
    assert (letter.kind, letter.to) == ("confirm_sign_up", "Ada@Example.org")
    assert len(letter.digits) == 6 and letter.digits.isdigit() and letter.values["minutes"] == 1440


async def check_of_code_digits_and_password_only_hashes_are_stored(house: House) -> None:
    await house.sign_up()
    letter = await house.letter()
    stored = repr(await house.rows("rt_proofs"))
    assert house.parts.signer.read(letter.signed) is not None
    assert (house.parts.signer.read(letter.signed) or "") not in stored
    assert f"'{letter.digits}'" not in stored and hashed(letter.digits) not in stored
    assert f"hash:{PASSWORD}" in stored and stored.count(PASSWORD) == 1


async def check_for_an_address_with_an_account_only_the_letter_is_another(house: House) -> None:
    await house.person()
    proof = await house.sign_up("Ada@example.org", username="somebody")
    assert proof.purpose is Purpose.NONE
    (letter,) = await house.letters()
    assert (letter.kind, letter.to) == ("already_registered", "ADA@example.org")
    assert letter.values == {"username": "ada", "link": "https://example.org/auth/sign-in"}
    # What the window shows of it is the same.
    assert (proof.email, proof.target, proof.sends, proof.user_id) == ("Ada@example.org", "/chat", 1, "")


async def check_nobody_can_tell_by_the_work_whether_an_address_has_an_account(house: House) -> None:
    await house.person("ada")
    await house.person("eve", password=None)
    attempts = {
        "sign_up": lambda name: house.passwords.sign_up(f"{name}@example.org", "", PASSWORD, "/", HERE, name),
        "sign_in by address": lambda name: refusal_of(
            house.passwords.sign_in(f"{name}@example.org", "wrong word", name)
        ),
        "sign_in by name": lambda name: refusal_of(house.passwords.sign_in(name, "wrong word", name)),
        "forgotten": lambda name: house.passwords.forgotten(f"{name}@example.org", HERE, "/", name),
    }
    for what, attempt in attempts.items():
        seen = []
        for name in ("ada", "eve", "nobody"):
            house.hasher.work = house.post.written = 0
            house.database.statements.clear()
            await attempt(name)
            seen.append((house.hasher.work, house.post.written, len(house.database.statements)))
        assert seen[0] == seen[1] == seen[2], what


async def check_a_sign_up_says_what_is_wrong_with_it(house: House) -> None:
    await house.person("bob")
    cases = [
        ("bad_address", "email", ("ada@localhost", "ada", PASSWORD)),
        ("bad_username", "username", ("ada@example.org", "a b", PASSWORD)),
        ("username_taken", "username", ("ada@example.org", "BOB", PASSWORD)),
        ("bad_password", "password", ("ada@example.org", "ada", "short")),
    ]
    for code, field, (email, username, password) in cases:
        error = await refusal_of(house.passwords.sign_up(email, username, password, "/", HERE, REMOTE))
        assert (error.code, error.field) == (code, field)
        assert await house.letters() == [] and await house.rows("rt_proofs") == []


async def check_what_is_switched_off_is_refused(house: House) -> None:
    ada = await house.person()
    session = await house.session(ada)
    house.configure(changed(sign_up=False))
    assert (await refusal_of(house.sign_up())).code == "sign_up_closed"
    assert (await house.passwords.sign_in("ada", PASSWORD)).account == ada
    house.configure(changed(passwords=False))
    for work in (
        house.sign_up(),
        house.passwords.sign_in("ada", PASSWORD),
        house.forgotten(),
        house.passwords.change(ada, PASSWORD, NEW_PASSWORD, session),
        house.passwords.set_first(ada, NEW_PASSWORD, session),
    ):
        assert (await refusal_of(work)).code == "passwords_off"


async def check_a_letter_that_cannot_be_stored_leaves_no_proof(house: House) -> None:
    house.post.broken = True
    assert (await refusal_of(house.sign_up())).code == "post_broken"
    assert await house.rows("rt_proofs") == [] and await house.letters() == []


async def check_letters_to_one_address_are_few(house: House) -> None:
    for _ in range(LETTER.n):
        await house.sign_up("Ada@example.org", username="")
    error = await refusal_of(house.forgotten("ada@EXAMPLE.org"))
    assert isinstance(error, RateLimited) and 0 < error.retry_after <= HOUR
    await house.sign_up("bob@example.org", username="")
    later(house, HOUR)
    await house.forgotten()
    assert len(await house.letters()) == LETTER.n + 1


async def check_letters_of_one_asker_are_bounded(house: House) -> None:
    for number in range(LETTER_REMOTE.n):
        await house.passwords.forgotten(f"a{number}@example.org", HERE, "", REMOTE)
    assert isinstance(await refusal_of(house.sign_up()), RateLimited)
    await house.passwords.forgotten("ada@example.org", HERE, "", "192.0.2.2")


# Sign-in


async def check_a_sign_in_takes_the_name_or_the_address(house: House) -> None:
    ada = await house.person()
    for name in ("ada", " ADA ", "ada@example.org", "Ada@EXAMPLE.ORG"):
        assert (await house.passwords.sign_in(name, PASSWORD, REMOTE)).account == ada


async def check_a_password_is_the_same_from_any_keyboard(house: House) -> None:
    ada = await house.person("ada", password="café 123")
    assert (await house.passwords.sign_in("ada", "cafe\u0301 １２３", REMOTE)).account == ada


async def check_a_sign_in_does_not_say_what_was_wrong(house: House) -> None:
    await house.person()
    await house.person("eve", password=None)
    errors = [
        await refusal_of(house.passwords.sign_in(name, password, str(number)))
        for number, (name, password) in enumerate(
            [
                *(("ada", "wrong word"), ("nobody", PASSWORD), ("nobody@example.org", PASSWORD), ("eve", "")),
                *(("", ""), ("\0", PASSWORD), ("\ud800", PASSWORD), ("a@b", PASSWORD), ("a" * 10_000, PASSWORD)),
                *(("ada", "x" * 100_000), ("ada", "\ud800"), ("ada", PASSWORD.upper()), ("ada", f"{PASSWORD} ")),
            ]
        )
    ]
    assert {(error.code, error.field, error.status, error.sentence) for error in errors} == {
        ("wrong_password", "", 401, errors[0].sentence)
    }


async def check_somebody_who_is_not_active_cannot_sign_in(house: House) -> None:
    ada = await house.person()
    await house.database.run("update rt_users set is_active = 0 where id = ?", (ada.id,))
    assert (await refusal_of(house.passwords.sign_in("ada", PASSWORD))).code == "wrong_password"
    proof = await house.forgotten()
    assert proof.purpose is Purpose.NONE and await house.letters() == []


async def check_an_old_hash_is_made_anew_by_a_good_sign_in_only(house: House) -> None:
    ada = await house.person()
    await house.database.run("update rt_users set password_hash = ? where id = ?", (f"old:{PASSWORD}", ada.id))
    await refusal_of(house.passwords.sign_in("ada", "wrong word"))
    assert await house.hash_of(ada) == f"old:{PASSWORD}"
    await house.passwords.sign_in("ada", PASSWORD)
    assert await house.hash_of(ada) == f"hash:{PASSWORD}"


async def check_a_password_that_was_changed_meanwhile_is_not_made_anew(house: House) -> None:
    ada = await house.person()
    await house.database.run("update rt_users set password_hash = ? where id = ?", (f"old:{PASSWORD}", ada.id))
    hash = house.hasher.hash

    async def slow(text: str) -> str:
        await house.database.run("update rt_users set password_hash = 'hash:other' where id = ?", (ada.id,))
        return await hash(text)

    house.hasher.hash = slow  # type: ignore[method-assign]
    await house.passwords.sign_in("ada", PASSWORD)
    assert await house.hash_of(ada) == "hash:other"


async def check_sign_ins_are_bounded_for_a_name_from_one_place(house: House) -> None:
    await house.person()
    for _ in range(SIGN_IN.n):
        assert (await refusal_of(house.passwords.sign_in("ada", "wrong word", REMOTE))).code == "wrong_password"
    house.hasher.work = 0
    error = await refusal_of(house.passwords.sign_in("ADA", PASSWORD, REMOTE))
    assert isinstance(error, RateLimited) and house.hasher.work == 0
    await house.passwords.sign_in("ada", PASSWORD, "192.0.2.2")
    later(house, SIGN_IN.seconds)
    await house.passwords.sign_in("ada", PASSWORD, REMOTE)


# Forgotten


async def check_a_forgotten_password_makes_a_letter_to_the_proven_address(house: House) -> None:
    ada = await house.person()
    proof = await house.forgotten("Ada@Example.org")
    assert (proof.purpose, proof.user_id, proof.email) == (Purpose.RESET, ada.id, "Ada@Example.org")
    letter = await house.letter()
    assert (letter.kind, letter.to, letter.values["username"]) == ("reset", "ADA@example.org", "ada")


async def check_a_forgotten_password_of_nobody_makes_no_letter(house: House) -> None:
    proof = await house.forgotten()
    assert proof.purpose is Purpose.NONE
    assert (await house.proof(proof.id)).sends == 0
    assert await house.letters() == []


# With an account


async def check_a_new_password_ends_the_other_sessions(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob")
    here, _, of_bob = await house.session(ada), await house.session(ada), await house.session(bob)
    await house.passwords.change(ada, PASSWORD, f"{NEW_PASSWORD} １", here)
    assert await house.hash_of(ada) == f"hash:{NEW_PASSWORD} 1"
    assert [each.id for each in await house.parts.sessions.of_user(ada.id)] == [here.id]
    assert [each.id for each in await house.parts.sessions.of_user(bob.id)] == [of_bob.id]
    assert house.notices.told == [("signed_out", ada.id, False)]
    letter = await house.letter()
    assert (letter.kind, letter.to, letter.values) == ("password_changed", "ADA@example.org", {"username": "ada"})


async def check_a_new_password_needs_the_present_one(house: House) -> None:
    ada = await house.person()
    session = await house.session(ada)
    cases = [
        ("wrong_password", "current", "wrong word", NEW_PASSWORD),
        ("wrong_password", "current", "\ud800", NEW_PASSWORD),
        ("bad_password", "new", PASSWORD, "short"),
    ]
    for code, field, current, new in cases:
        error = await refusal_of(house.passwords.change(ada, current, new, session))
        assert (error.code, error.field) == (code, field)
    assert await house.hash_of(ada) == f"hash:{PASSWORD}" and house.notices.told == []


async def check_the_present_password_cannot_be_guessed_by_a_session(house: House) -> None:
    ada = await house.person()
    session = await house.session(ada)
    codes = []
    for _ in range(12):
        codes.append((await refusal_of(house.passwords.change(ada, "wrong word", NEW_PASSWORD, session))).code)
    assert codes == ["wrong_password"] * 10 + ["too_many_attempts"] * 2


async def check_a_letter_that_fails_leaves_the_old_password(house: House) -> None:
    ada = await house.person()
    session, _ = await house.session(ada), await house.session(ada)
    house.post.broken = True
    await refusal_of(house.passwords.change(ada, PASSWORD, NEW_PASSWORD, session))
    assert await house.hash_of(ada) == f"hash:{PASSWORD}"
    assert len(await house.parts.sessions.of_user(ada.id)) == 2 and house.notices.told == []


async def check_the_connections_of_other_sessions_end_although_whoever_asked_has_left(house: House) -> None:
    ada = await house.person()
    session, _ = await house.session(ada), await house.session(ada)
    await leave_while_it_is_stored(house, house.passwords.change(ada, PASSWORD, NEW_PASSWORD, session), 1)
    assert house.notices.told == [("signed_out", ada.id, False)]
    assert await house.hash_of(ada) == f"hash:{NEW_PASSWORD}"


async def check_who_signed_in_with_a_provider_sets_a_first_password_once(house: House) -> None:
    eve = await house.person("eve", password=None)
    session = await house.session(eve)
    assert (await refusal_of(house.passwords.change(eve, "", NEW_PASSWORD, session))).code == "no_password"
    await house.passwords.set_first(eve, PASSWORD, session)
    assert await house.hash_of(eve) == f"hash:{PASSWORD}"
    assert (await house.letter()).kind == "password_changed"
    assert (await refusal_of(house.passwords.set_first(eve, NEW_PASSWORD, session))).code == "has_password"
    assert await house.hash_of(eve) == f"hash:{PASSWORD}"


async def check_a_new_address_is_asked_for_at_the_new_address(house: House) -> None:
    ada = await house.person()
    proof = await house.passwords.change_address(ada, "Ada@New.org", PASSWORD, HERE, "/", REMOTE)
    assert (proof.purpose, proof.user_id, proof.email) == (Purpose.ADDRESS, ada.id, "Ada@New.org")
    letter = await house.letter()
    assert (letter.kind, letter.to, letter.values["username"]) == ("confirm_address", "Ada@New.org", "ada")
    assert (await house.account()).email == "ADA@example.org"


async def check_a_new_address_of_somebody_else_is_told_to_that_person_only(house: House) -> None:
    ada = await house.person()
    await house.person("bob")
    proof = await house.passwords.change_address(ada, "bob@example.org", PASSWORD, HERE, "/", REMOTE)
    assert proof.purpose is Purpose.NONE
    letter = await house.letter()
    assert (letter.kind, letter.to, letter.values["username"]) == ("already_registered", "BOB@example.org", "bob")


async def check_a_new_address_needs_the_password_of_who_has_one(house: House) -> None:
    ada, eve = await house.person(), await house.person("eve", password=None)
    error = await refusal_of(house.passwords.change_address(ada, "a@new.org", "wrong word", HERE))
    assert (error.code, error.field) == ("wrong_password", "password")
    error = await refusal_of(house.passwords.change_address(ada, "ADA@example.org", PASSWORD, HERE))
    assert (error.code, error.field) == ("same_address", "email")
    assert (await house.passwords.change_address(eve, "eve@new.org", "", HERE)).purpose is Purpose.ADDRESS


async def check_names_and_addresses_of_people_are_not_in_what_is_raised(house: House) -> None:
    await house.person()
    errors = [
        await refusal_of(house.passwords.sign_in("ada@example.org", "secret word", REMOTE)),
        await refusal_of(house.passwords.sign_up("ada@nowhere", "ada", "secret word", "/", HERE)),
        await refusal_of(house.confirming.confirm("secret.word", asker())),
    ]
    for error in errors:
        assert "ada@" not in str(error) and "secret" not in str(error)


PASSWORDS_CHECKS = checks_of(globals())
