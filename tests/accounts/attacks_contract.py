"""What strangers who were in for a moment, or who read a letter that was not theirs, do not get; on every database."""

from __future__ import annotations

from dataclasses import replace

from rtserver.accounts.ending import end_one, end_session, end_sessions
from rtserver.accounts.errors import NeedsSignIn, RateLimited
from rtserver.accounts.joining import Claim, Joining
from rtserver.accounts.lasting import to_its_end
from rtserver.accounts.parts import Asker
from rtserver.accounts.records import Account, Proof
from rtserver.accounts.rows import hashed
from rtserver.core.accounts import SIGN_IN
from tests.accounts.house import (
    ELSEWHERE,
    HERE,
    NEW_PASSWORD,
    PASSWORD,
    House,
    asker,
    checks_of,
    later,
    refusal_of,
)

# An address that was mistyped


async def check_the_reader_of_a_mistyped_address_cannot_take_the_account_after_it_was_typed_again(house: House) -> None:
    ada = await house.person()
    await house.passwords.change_address(ada, "ada@exmaple.org", PASSWORD, HERE)
    to_a_stranger = await house.letter()
    await house.passwords.change_address(ada, "ada@new.org", PASSWORD, HERE)
    right = await house.letter()
    assert (await refusal_of(house.confirming.confirm(to_a_stranger.signed, asker()))).code == "link_expired"
    await house.confirming.confirm(right.signed, asker(HERE))
    assert (await refusal_of(house.confirming.confirm(to_a_stranger.signed, asker()))).code == "link_expired"
    assert (await house.account("ada@new.org")).id == ada.id


async def check_letters_of_others_about_addresses_stay_good(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob")
    await house.passwords.change_address(bob, "bob@new.org", PASSWORD, HERE)
    of_bob = await house.letter()
    await house.passwords.change_address(ada, "ada@new.org", PASSWORD, HERE)
    await house.confirming.confirm(of_bob.signed, asker(HERE))
    assert (await house.account("bob@new.org")).id == bob.id


async def check_the_reader_of_a_mistyped_address_cannot_take_the_account_at_all(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob")
    proof = await house.passwords.change_address(ada, "ada@exmaple.org", PASSWORD, HERE)
    signed = (await house.letter()).signed
    for stranger in (asker(), asker(ELSEWHERE), asker(ELSEWHERE, bob)):
        assert (await house.confirming.look(signed, stranger)).needs_sign_in
        error = await refusal_of(house.confirming.confirm(signed, stranger))
        assert isinstance(error, NeedsSignIn) and error.username == "ada"
    assert (await house.proof(proof.id)).used_at == 0
    for owner in (asker(HERE), asker(ELSEWHERE, ada)):
        assert not (await house.confirming.look(signed, owner)).needs_sign_in
    await house.confirming.confirm(signed, asker(ELSEWHERE, ada))
    assert (await house.account("ada@exmaple.org")).id == ada.id


async def check_who_presses_the_button_twice_is_told_that_it_is_done_and_not_to_sign_in(house: House) -> None:
    proof = await house.claim()
    signed = (await house.letter()).signed

    async def meanwhile(waiting: Proof, asker: Asker) -> Account:
        """The other press makes the account and uses the letter up."""
        await house.database.run("update rt_proofs set used_at = ? where id = ?", (int(house.unix * 1000), proof.id))
        raise NeedsSignIn("ada")

    house.confirming._resume = meanwhile
    assert (await refusal_of(house.confirming.confirm(signed, asker()))).code == "link_used"


# Whoever is thrown out stays out


async def check_a_stranger_who_asked_for_another_address_is_rid_of_it_by_a_sign_out_everywhere(house: House) -> None:
    eve = await house.person("eve", password=None)
    proof = await house.passwords.change_address(eve, "mallory@example.org", "", ELSEWHERE)
    letter = await house.letter()
    await end_sessions(house.parts, eve.id, everywhere=True)
    error = await refusal_of(house.confirming.by_digits(proof.id, letter.digits, asker(ELSEWHERE)))
    assert error.code == "link_expired"
    assert (await house.account("eve@example.org")).id == eve.id


async def confirmed(house: House) -> Account:
    """A stranger has signed up with somebody's address, who was careless and pressed the button."""
    await house.sign_up(browser=ELSEWHERE)
    await house.confirming.confirm((await house.letter()).signed, asker())
    return await house.account()


async def check_a_window_that_held_back_does_not_go_on_after_a_new_password(house: House) -> None:
    ada = await confirmed(house)
    (stranger,) = [row[0] for row in await house.rows("rt_proofs")]
    signed = (await house.letter()).signed
    await house.forgotten()
    await house.confirming.confirm((await house.letter()).signed, asker(HERE), NEW_PASSWORD)
    for attempt in (
        house.confirming.redeem(stranger, ELSEWHERE),
        house.confirming.redeem_by_code(signed),
    ):
        assert (await refusal_of(attempt)).code == "sign_in_needed"
    assert await house.parts.sessions.of_user(ada.id) == []


async def check_a_window_that_held_back_does_not_go_on_after_a_sign_out_everywhere(house: House) -> None:
    ada = await confirmed(house)
    (stranger,) = [row[0] for row in await house.rows("rt_proofs")]
    await end_sessions(house.parts, ada.id, everywhere=True)
    assert (await refusal_of(house.confirming.redeem(stranger, ELSEWHERE))).code == "sign_in_needed"


async def check_no_tab_of_the_confirming_browser_goes_on_after_a_sign_out_everywhere(house: House) -> None:
    proof = await house.sign_up()
    done = await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    assert done.account is not None
    later(house, 1)
    assert await house.confirming.redeem(proof.id, HERE) == done.account
    await end_sessions(house.parts, done.account.id, everywhere=True)
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "sign_in_needed"


async def check_windows_of_others_go_on(house: House) -> None:
    await confirmed(house)
    bob = await house.person("bob")
    (proof,) = [row[0] for row in await house.rows("rt_proofs")]
    await end_sessions(house.parts, bob.id, everywhere=True)
    assert (await house.confirming.redeem(proof, ELSEWHERE)).username == "ada"


async def check_a_password_that_was_right_a_moment_ago_opens_no_session_after_it_was_changed(house: House) -> None:
    ada = await house.person()
    owner = await house.session(ada)
    thief = await house.passwords.sign_in("ada", PASSWORD)
    await house.passwords.change(ada, PASSWORD, NEW_PASSWORD, owner)
    old, cookie = await house.parts.sessions.begin("", "")
    error = await refusal_of(house.parts.sessions.sign_in(old, thief.account.id, "", "", thief.hash))
    assert (error.code, error.status) == ("wrong_password", 401)
    assert [each.id for each in await house.parts.sessions.of_user(ada.id)] == [owner.id]
    assert await house.parts.sessions.find(cookie) == old
    right = await house.passwords.sign_in("ada", NEW_PASSWORD)
    session, cookie = await house.parts.sessions.sign_in(old, right.account.id, "agent", "", right.hash)
    assert await house.parts.sessions.find(cookie) == session and session.sid_hash == hashed(cookie)


async def check_who_was_signed_out_while_the_provider_took_its_time_links_nothing(house: House) -> None:
    ada = await house.person()
    session = await house.session(ada)
    asker_then = Asker(session, ada.id, HERE)
    claim = Claim("example", "", "uid-1", "mallory", "mallory", asker_then, link_to=ada.id)
    await end_sessions(house.parts, ada.id, everywhere=True)
    assert (await refusal_of(Joining(house.parts).open(claim))).code == "not_signed_in"
    assert await house.rows("rt_identities") == []
    now = replace(claim, asker=Asker(await house.session(ada), ada.id, HERE))
    assert (await Joining(house.parts).open(now)).account == ada


async def check_one_customers_ipv6_addresses_are_counted_together(house: House) -> None:
    for number in range(SIGN_IN.n):
        await refusal_of(house.passwords.sign_in("ada", "wrong word", f"2001:db8:1:2:{number:x}::1"))
    error = await refusal_of(house.passwords.sign_in("ada", "wrong word", "2001:db8:1:2:ffff::1"))
    assert isinstance(error, RateLimited)
    error = await refusal_of(house.passwords.sign_in("ada", "wrong word", "2001:db8:1:3::1"))
    assert error.code == "wrong_password"


async def check_a_session_begins_by_a_hash_that_was_made_anew(house: House) -> None:
    ada = await house.person()
    await house.database.run("update rt_users set password_hash = ? where id = ?", (f"old:{PASSWORD}", ada.id))
    found = await house.passwords.sign_in("ada", PASSWORD)
    session, _ = await house.parts.sessions.sign_in(None, ada.id, "", "", found.hash)
    assert await house.parts.sessions.lives(session.id, ada.id)


async def check_connections_end_although_whoever_signed_out_has_closed_the_page(house: House) -> None:
    ada = await house.person()
    first, second = await house.session(ada), await house.session(ada)
    for number, work in enumerate(
        (
            end_session(house.parts, first),
            end_one(house.parts, ada.id, second.id),
            end_sessions(house.parts, ada.id, everywhere=True),
        ),
        1,
    ):
        told = house.notices.until(number)
        asked = to_its_end(work)
        asked.addErrback(lambda _: None)
        asked.cancel()
        await told
    assert house.notices.told == [("signed_out", ada.id, False)] * 2 + [("signed_out", ada.id, True)]
    assert await house.parts.sessions.of_user(ada.id) == []


ATTACKS_CHECKS = checks_of(globals())
