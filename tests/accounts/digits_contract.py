"""What digits of letters do, and how the browser that began goes on, on every database."""

from __future__ import annotations

from rtserver.accounts.errors import RateLimited
from rtserver.core.accounts import DIGITS
from tests.accounts.house import (
    ELSEWHERE,
    HERE,
    HOUR,
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


def wrong(digits: str) -> str:
    return f"{(int(digits) + 1) % 1_000_000:06}"


# By the digits


async def check_digits_confirm_in_the_browser_that_began(house: House) -> None:
    proof = await house.sign_up()
    digits = (await house.letter()).digits
    done = await house.confirming.by_digits(proof.id, f" {digits[:3]}-{digits[3:]} ", asker(HERE))
    assert done.account == await house.account() and done.is_own_browser


async def check_digits_are_of_no_use_in_another_browser(house: House) -> None:
    proof = await house.sign_up()
    digits = (await house.letter()).digits
    for browser in (ELSEWHERE, ""):
        error = await refusal_of(house.confirming.by_digits(proof.id, digits, asker(browser)))
        assert (error.code, error.status) == ("unknown_proof", 404)
    for odd in ("", "\0", "nothing", "x" * 10_000):
        assert (await refusal_of(house.confirming.by_digits(odd, digits, asker(HERE)))).code == "unknown_proof"
    assert (await house.proof(proof.id)).tries == 0 and await house.rows("rt_users") == []


async def check_after_five_tries_only_the_link_is_good(house: House) -> None:
    proof = await house.sign_up()
    letter = await house.letter()
    for _ in range(5):
        error = await refusal_of(house.confirming.by_digits(proof.id, wrong(letter.digits), asker(HERE)))
        assert (error.code, error.field) == ("wrong_digits", "digits")
    error = await refusal_of(house.confirming.by_digits(proof.id, letter.digits, asker(HERE)))
    assert (error.code, error.status) == ("use_the_link", 429)
    await house.confirming.resend(proof.id, HERE, REMOTE)
    assert (await refusal_of(house.confirming.by_digits(proof.id, letter.digits, asker(HERE)))).code == "use_the_link"
    await house.confirming.confirm(letter.signed, asker())


async def check_tries_at_once_are_no_more_tries(house: House) -> None:
    proof = await house.sign_up()
    digits = (await house.letter()).digits
    works = [house.confirming.by_digits(proof.id, wrong(digits), asker(HERE)) for _ in range(12)]
    assert sorted(await outcomes(works)) == ["use_the_link"] * 7 + ["wrong_digits"] * 5


async def check_tries_for_one_address_are_bounded_whatever_the_letter(house: House) -> None:
    codes = []
    for _ in range(4):
        proof = await house.forgotten("nobody@example.org")
        for _ in range(5):
            codes.append((await refusal_of(house.confirming.by_digits(proof.id, "000000", asker(HERE)))).code)
    assert codes == ["wrong_digits"] * DIGITS.n + ["use_the_link"] * (20 - DIGITS.n)


async def check_digits_for_a_new_password_lead_to_the_form_of_the_link(house: House) -> None:
    ada = await house.person()
    proof = await house.forgotten()
    letter = await house.letter()
    done = await house.confirming.by_digits(proof.id, letter.digits, asker(HERE))
    assert (done.link, done.account, done.proof.used_at) == (letter.signed, None, 0)
    assert await house.hash_of(ada) == f"hash:{PASSWORD}" and house.notices.told == []
    done = await house.confirming.by_digits(proof.id, letter.digits, asker(HERE), NEW_PASSWORD)
    assert done.link == "" and await house.hash_of(ada) == f"hash:{NEW_PASSWORD}"


# Again


async def check_a_letter_that_is_sent_again_is_the_same_letter(house: House) -> None:
    proof = await house.sign_up()
    first = await house.letter()
    later(house, 3 * HOUR)
    again = await house.confirming.resend(proof.id, HERE, REMOTE)
    second = await house.letter()
    assert (second.kind, second.to, second.signed, second.digits) == (first.kind, first.to, first.signed, first.digits)
    assert second.values["minutes"] == first.values["minutes"] - 180
    assert (again.sends, again.sent_at, again.expires_at) == (2, proof.sent_at + 3 * HOUR * 1000, proof.expires_at)
    assert len(await house.letters()) == 2 and len(await house.rows("rt_proofs")) == 1
    await house.confirming.confirm(first.signed, asker())


async def check_the_same_letter_goes_out_after_the_key_was_rotated(house: House) -> None:
    proof = await house.sign_up()
    first = await house.letter()
    house.configure(changed(secret_key="another key that is long enough", old_secret_keys=(KEY,)))
    await house.confirming.resend(proof.id, HERE)
    second = await house.letter()
    assert second.digits == first.digits and second.signed.partition(".")[0] == first.signed.partition(".")[0]
    await house.confirming.confirm(second.signed, asker())
    house.configure(changed(secret_key="another key that is long enough"))
    proof = await house.sign_up("bob@example.org", "bob")
    house.configure(changed(secret_key="a third key that is long enough"))
    assert (await refusal_of(house.confirming.resend(proof.id, HERE))).code == "link_expired"


async def check_letters_of_every_kind_are_sent_again_as_they_were(house: House) -> None:
    ada = await house.person()
    made = [
        await house.sign_up("Ada@Example.org", ""),
        await house.forgotten("Ada@Example.org"),
        await house.passwords.change_address(ada, "new@example.org", PASSWORD, HERE),
        await house.claim("eve@example.org"),
    ]
    before = await house.letters()
    for proof in made:
        await house.confirming.resend(proof.id, HERE)
    assert (await house.letters())[4:] == before
    assert [each.kind for each in before] == ["already_registered", "reset", "confirm_address", "confirm_provider"]


async def check_a_letter_is_sent_again_now_and_then_only(house: House) -> None:
    proof = await house.sign_up()
    await house.confirming.resend(proof.id, HERE, REMOTE)
    error = await refusal_of(house.confirming.resend(proof.id, HERE, REMOTE))
    assert isinstance(error, RateLimited) and error.retry_after <= 30
    for _ in range(3):
        later(house, 30)
        await house.confirming.resend(proof.id, HERE, REMOTE)
    later(house, 30)
    assert isinstance(await refusal_of(house.confirming.resend(proof.id, HERE, REMOTE)), RateLimited)
    assert len(await house.letters()) == 5


async def check_only_the_browser_that_began_has_a_letter_sent_again(house: House) -> None:
    proof = await house.sign_up()
    for browser in (ELSEWHERE, ""):
        assert (await refusal_of(house.confirming.resend(proof.id, browser))).code == "unknown_proof"
        assert (await refusal_of(house.confirming.waiting(proof.id, browser))).code == "unknown_proof"
    assert await house.confirming.waiting(proof.id, HERE) == proof
    await house.confirming.confirm((await house.letter()).signed, asker())
    assert (await refusal_of(house.confirming.resend(proof.id, HERE))).code == "link_used"


# How the browser goes on


async def check_the_browser_that_began_goes_on_exactly_once(house: House) -> None:
    proof = await house.sign_up()
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "not_confirmed"
    await house.confirming.confirm((await house.letter()).signed, asker(ELSEWHERE))
    for browser in (ELSEWHERE, ""):
        assert (await refusal_of(house.confirming.redeem(proof.id, browser))).code == "unknown_proof"
    found = await outcomes([house.confirming.redeem(proof.id, HERE) for _ in range(5)])
    account = await house.account()
    assert found.count(account) == 1 and found.count("sign_in_needed") == 4
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "sign_in_needed"
    # Somebody who is signed in by it already has only been late.
    assert await house.confirming.redeem(proof.id, HERE, account.id) == account
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE, "another"))).code == "sign_in_needed"


async def check_it_goes_on_within_an_hour(house: House) -> None:
    for seconds, is_good in ((HOUR - 1, True), (HOUR, False)):
        name = f"ada{seconds}"
        proof = await house.sign_up(f"{name}@example.org", name)
        await house.confirming.confirm((await house.letter()).signed, asker())
        later(house, seconds)
        if is_good:
            assert (await house.confirming.redeem(proof.id, HERE)).username == name
        else:
            assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "sign_in_needed"


async def check_a_waiting_window_goes_on_when_another_tab_of_it_has_confirmed(house: House) -> None:
    proof = await house.sign_up()
    done = await house.confirming.confirm((await house.letter()).signed, asker(HERE))
    assert done.account is not None
    assert await house.confirming.redeem(proof.id, HERE) == done.account
    later(house, 60)
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "sign_in_needed"
    assert await house.confirming.redeem(proof.id, HERE, done.account.id) == done.account


async def check_who_lost_the_window_signs_in_by_the_link_once(house: House) -> None:
    await house.sign_up()
    signed = (await house.letter()).signed
    assert (await refusal_of(house.confirming.redeem_by_code(signed))).code == "not_confirmed"
    await house.confirming.confirm(signed, asker(ELSEWHERE))
    found = await outcomes([house.confirming.redeem_by_code(signed) for _ in range(4)])
    assert found.count(await house.account()) == 1 and found.count("sign_in_needed") == 3


async def check_a_link_that_signed_its_own_browser_in_signs_nobody_else_in(house: House) -> None:
    await house.sign_up()
    signed = (await house.letter()).signed
    await house.confirming.confirm(signed, asker(HERE))
    assert (await refusal_of(house.confirming.redeem_by_code(signed))).code == "sign_in_needed"


async def check_nobody_goes_on_as_somebody_who_is_not_active(house: House) -> None:
    proof = await house.sign_up()
    await house.confirming.confirm((await house.letter()).signed, asker())
    await house.database.run("update rt_users set is_active = 0")
    assert (await refusal_of(house.confirming.redeem(proof.id, HERE))).code == "account_inactive"


DIGITS_CHECKS = checks_of(globals())
