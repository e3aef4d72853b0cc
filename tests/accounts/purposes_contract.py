"""What letters for new passwords, new addresses and providers' identities do, on every database."""

from __future__ import annotations

from rtserver.accounts.errors import NeedsSignIn
from tests.accounts.house import (
    ELSEWHERE,
    HERE,
    NEW_PASSWORD,
    PASSWORD,
    House,
    asker,
    checks_of,
    leave_while_it_is_stored,
    refusal_of,
)

# A forgotten password


async def check_a_new_password_ends_every_session_and_signs_nobody_in(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob")
    await house.session(ada)
    await house.session(bob)
    proof = await house.forgotten()
    signed = (await house.letter()).signed
    look = await house.confirming.look(signed, asker())
    assert look.needs_password and (look.username, look.existing) == ("ada", ada)
    done = await house.confirming.confirm(signed, asker(HERE), f"{NEW_PASSWORD} １")
    assert (done.account, done.is_own_browser) == (None, True)
    assert await house.hash_of(ada) == f"hash:{NEW_PASSWORD} 1"
    assert await house.parts.sessions.of_user(ada.id) == [] and len(await house.parts.sessions.of_user(bob.id)) == 1
    assert house.notices.told == [("signed_out", ada.id, True), ("confirmed", proof.id)]
    assert ((await house.letter()).kind, (await house.letter()).to) == ("password_changed", "ADA@example.org")
    for attempt in (house.confirming.redeem(proof.id, HERE), house.confirming.redeem_by_code(signed)):
        assert (await refusal_of(attempt)).code == "sign_in_needed"


async def check_every_connection_ends_although_whoever_asked_has_left(house: House) -> None:
    ada = await house.person()
    proof = await house.forgotten()
    await leave_while_it_is_stored(
        house, house.confirming.confirm((await house.letter()).signed, asker(), NEW_PASSWORD), 2
    )
    assert house.notices.told == [("signed_out", ada.id, True), ("confirmed", proof.id)]
    assert await house.hash_of(ada) == f"hash:{NEW_PASSWORD}"


async def check_a_password_that_is_no_good_leaves_the_link(house: House) -> None:
    await house.person()
    await house.forgotten()
    signed = (await house.letter()).signed
    for password in ("", "short", "x" * 2000):
        error = await refusal_of(house.confirming.confirm(signed, asker(), password))
        assert (error.code, error.field) == ("bad_password", "password")
    await house.confirming.confirm(signed, asker(), NEW_PASSWORD)


async def check_a_letter_from_before_a_change_of_the_password_is_void(house: House) -> None:
    ada = await house.person()
    session = await house.session(ada)
    await house.forgotten()
    reset = (await house.letter()).signed
    await house.passwords.change_address(ada, "mallory@example.org", PASSWORD, HERE)
    address = (await house.letter()).signed
    await house.passwords.change(ada, PASSWORD, NEW_PASSWORD, session)
    assert (await refusal_of(house.confirming.confirm(reset, asker(), "another word"))).code == "link_used"
    assert (await refusal_of(house.confirming.confirm(address, asker()))).code == "link_expired"
    assert await house.hash_of(ada) == f"hash:{NEW_PASSWORD}" and (await house.account()).id == ada.id


async def check_a_first_password_is_set_by_a_letter_too(house: House) -> None:
    eve = await house.person("eve", password=None)
    await house.forgotten("eve@example.org")
    await house.confirming.confirm((await house.letter()).signed, asker(), NEW_PASSWORD)
    assert await house.hash_of(eve) == f"hash:{NEW_PASSWORD}"


# Another address


async def check_a_new_address_counts_when_it_is_confirmed_and_the_old_one_hears_of_it(house: House) -> None:
    ada = await house.person()
    proof = await house.passwords.change_address(ada, "Ada@New.org", PASSWORD, HERE)
    done = await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    assert done.account is None and done.proof.outcome_user == ada.id
    assert ((await house.account("ada@new.org")).id, (await house.account("ada@new.org")).email) == (
        ada.id,
        "Ada@New.org",
    )
    letter = await house.letter()
    assert (letter.kind, letter.to, letter.values) == ("address_changed", "ADA@example.org", {"username": "ada"})
    assert house.notices.told == [("confirmed", proof.id)]
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "sign_in_needed"


async def check_a_new_address_that_was_taken_meanwhile_is_refused(house: House) -> None:
    ada = await house.person()
    proof = await house.passwords.change_address(ada, "bob@example.org", PASSWORD, HERE)
    signed = (await house.letter()).signed
    await house.person("bob")
    assert (await refusal_of(house.confirming.confirm(signed, asker(HERE)))).code == "address_taken"
    assert (await house.account()).id == ada.id and (await house.proof(proof.id)).used_at == 0


async def check_a_letter_to_an_address_that_was_given_up_sets_no_password(house: House) -> None:
    ada = await house.person()
    await house.forgotten()
    reset = (await house.letter()).signed
    await house.passwords.change_address(ada, "ada@new.org", PASSWORD, HERE)
    await house.confirming.confirm((await house.letter()).signed, asker(ELSEWHERE, ada))
    assert (await refusal_of(house.confirming.confirm(reset, asker(), NEW_PASSWORD))).code == "link_used"
    assert await house.hash_of(ada) == f"hash:{PASSWORD}"


# A provider's identity for an address that has an account


async def check_a_strangers_identity_does_not_open_an_account_by_its_owners_click(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob")
    proof = await house.claim()
    letter = await house.letter()
    assert (letter.values["provider"], letter.values["handle"]) == ("Example ID", "mallory")
    for elsewhere in (asker(), asker(ELSEWHERE), asker(ELSEWHERE, bob)):
        look = await house.confirming.look(letter.signed, elsewhere)
        assert look.needs_sign_in and (look.existing, look.provider, look.handle) == (ada, "Example ID", "mallory")
        error = await refusal_of(house.confirming.confirm(letter.signed, elsewhere))
        assert isinstance(error, NeedsSignIn) and (error.code, error.username) == ("needs_sign_in", "ada")
    assert (await house.proof(proof.id)).used_at == 0 and house.notices.told == [] and house.resumed == []


async def check_it_does_when_the_owner_is_signed_in_and_agrees(house: House) -> None:
    ada = await house.person()
    proof = await house.claim()
    signed = (await house.letter()).signed
    assert not (await house.confirming.look(signed, asker(ELSEWHERE, ada))).needs_sign_in
    done = await house.confirming.confirm(signed, asker(ELSEWHERE, ada))
    assert done.account is None and done.proof.outcome_user == ada.id
    assert house.notices.told == [("confirmed", proof.id)]
    assert await house.confirming.redeem(proof.id, HERE) == ada


async def check_it_does_in_the_browser_that_began(house: House) -> None:
    ada = await house.person()
    await house.claim()
    done = await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    assert done.account == ada


async def check_an_account_that_was_made_meanwhile_is_guarded_too(house: House) -> None:
    proof = await house.claim()
    signed = (await house.letter()).signed
    assert not (await house.confirming.look(signed, asker())).needs_sign_in
    await house.person()
    assert isinstance(await refusal_of(house.confirming.confirm(signed, asker())), NeedsSignIn)
    done = await house.confirming.by_digits(proof.id, (await house.letter()).digits, asker(HERE))
    assert done.account == await house.account()


PURPOSES_CHECKS = checks_of(globals())
