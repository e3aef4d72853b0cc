"""Signatures of links: only what was signed is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from rtserver.services.links_signed import SALT, LinkSigner

CODE = "gA8x-_2fQp0ZkLmN4vWc1A"
OLD, NEW = "an old key of links", "a new key of links"


def test_what_was_signed_is_read():
    signed = LinkSigner([NEW]).sign(CODE)
    assert LinkSigner([NEW]).read(signed) == CODE


def test_a_link_is_short_and_fit_for_an_address():
    signed = LinkSigner([NEW]).sign(CODE)
    assert len(signed) == 45 and signed.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert len(f"https://www.example.com/auth/c/{signed}") <= 76


def test_the_first_key_signs_and_all_are_read():
    signer = LinkSigner([NEW, OLD])
    assert signer.sign(CODE) == LinkSigner([NEW]).sign(CODE) != LinkSigner([OLD]).sign(CODE)
    assert signer.read(LinkSigner([OLD]).sign(CODE)) == CODE
    assert LinkSigner([OLD]).read(signer.sign(CODE)) is None


def test_a_signature_for_another_use_of_the_key_is_none():
    assert SALT not in ("", "itsdangerous.Signer")
    for other in (Signer(NEW), Signer(NEW, salt="cookies"), Signer(NEW, SALT)):
        assert LinkSigner([NEW]).read(other.sign(CODE).decode()) is None


def test_every_change_of_a_character_is_seen():
    signer = LinkSigner([NEW])
    signed = signer.sign(CODE)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    for place in range(len(signed)):
        for each in alphabet.replace(signed[place], ""):
            assert signer.read(f"{signed[:place]}{each}{signed[place + 1 :]}") is None
        assert signer.read(signed[:place] + signed[place + 1 :]) is None


def test_nothing_else_is_read():
    signer = LinkSigner([NEW])
    signed = signer.sign(CODE)
    for text in (
        "",
        ".",
        CODE,
        f"{CODE}.",
        f".{CODE}",
        f"{signed}=",
        f" {signed}",
        f"{signed}\n",
        "é.é",
        "\ud800.x",
        "x" * 10**6,
    ):
        assert signer.read(text) is None
    assert signer.read(signer.sign("")) is None


@given(st.text())
def test_no_text_is_read_by_chance(text):
    assert LinkSigner([NEW, OLD]).read(text) is None
