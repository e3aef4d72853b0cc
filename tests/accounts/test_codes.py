"""Codes and digits of letters: the same whenever they are made, and of no use without the key."""

from __future__ import annotations

from collections import Counter

from rtserver.accounts.codes import make_codes, same_codes

KEY, OTHER = "a key of links that is long enough", "another key that is long enough"


def test_the_same_proof_has_the_same_code_and_digits() -> None:
    made = make_codes(KEY, "p1", "nonce")
    assert made == make_codes(KEY, "p1", "nonce")
    assert len(made.code) == 22 and made.code.replace("-", "").replace("_", "").isalnum()
    assert len(made.digits) == 6 and made.digits.isdigit()


def test_every_part_of_it_counts() -> None:
    made = [make_codes(*each) for each in ((KEY, "p1", "n"), (KEY, "p2", "n"), (KEY, "p1", "m"), (OTHER, "p1", "n"))]
    assert len({each.code for each in made}) == len({each.digits_seal for each in made}) == 4
    assert len({each.key for each in made}) == 2


def test_they_are_made_again_by_whichever_key_made_them() -> None:
    made = make_codes(OTHER, "p1", "nonce")
    assert same_codes((KEY, OTHER), "p1", "nonce", made.key) == made
    assert same_codes((KEY,), "p1", "nonce", made.key) is None


def test_digits_are_spread_and_keep_their_zeros() -> None:
    digits = [make_codes(KEY, f"p{number}", "").digits for number in range(3000)]
    assert all(len(each) == 6 for each in digits)
    assert all(200 < count < 400 for count in Counter(each[0] for each in digits).values())


def test_what_is_shown_of_them_holds_no_secret() -> None:
    made = make_codes(KEY, "p1", "nonce")
    assert made.code not in repr(made) and made.digits not in repr(made)
