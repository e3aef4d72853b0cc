"""Rules of addresses, names, passwords, targets and rates."""

from __future__ import annotations

from email.headerregistry import Address as HeaderAddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.core.accounts import (
    MAX_ADDRESS,
    MAX_USERNAME,
    RATES,
    USUAL_TARGET,
    BadAddress,
    BadUsername,
    check_username,
    network,
    normalised,
    parse_address,
    password_refusal,
    safe_target,
    same_digits,
    username_from,
    username_norm,
)

# Addresses


@pytest.mark.parametrize(
    ("text", "typed", "norm"),
    [
        ("ada@example.org", "ada@example.org", "ada@example.org"),
        ("  Ada.Lovelace+x@Example.ORG\n", "Ada.Lovelace+x@Example.ORG", "ada.lovelace+x@example.org"),
        ("o'hara!#$%&*/=?^_`{|}~-@a.co", "o'hara!#$%&*/=?^_`{|}~-@a.co", "o'hara!#$%&*/=?^_`{|}~-@a.co"),
        ("a@пример.рф", "a@xn--e1afmkfd.xn--p1ai", "a@xn--e1afmkfd.xn--p1ai"),
        ("a@MÜNCHEN.de", "a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de"),
        ("a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de"),
        ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah", "a@xn--r8jz45g.xn--zckzah"),
    ],
)
def test_an_address_keeps_what_was_typed_and_is_compared_in_small_letters(text: str, typed: str, norm: str) -> None:
    address = parse_address(text)
    assert (address.typed, address.norm) == (typed, norm)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "ada", "@", "a@", "@b.org", "a@b@c.org", "a@b", "a@localhost", "a@.org", "a@b..org", "a@b.org."),
        *("a b@c.org", "a@b c.org", "a@b.org\r\nBcc: d@e.org", "a\0@b.org", "a\u200b@b.org", "a@b\ud800.org"),
        *(".a@b.org", "a.@b.org", "a..b@c.org", '"a b"@c.org', "a(b)@c.org", "a,b@c.org", "<a@b.org>", "ä@b.org"),
        *("a@-b.org", "a@b-.org", "a@b_c.org", "a@[127.0.0.1]", "a@127.0.0.1", "a@b.123", "a@straße.de", "a@ς.gr"),
        *(f"{'a' * 65}@b.org", f"a@{'b' * 64}.org", f"a@{'b.' * 130}org", f"a@{'é' * 70}.org", "a@℀.org", "a@b.org,c@d.org"),
    ],
)  # fmt: skip
def test_what_no_letter_can_go_to_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_address(text)
    assert str(refused.value).endswith(".")


@given(st.text() | st.from_regex(r"[a-z.@\"+éß ]{1,12}@[a-z0-9.-]{1,12}\.[a-zо]{2,4}"))
def test_an_address_that_is_taken_is_one_for_a_letter(text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress:
        return
    assert HeaderAddress(addr_spec=address.typed).addr_spec == address.typed
    assert address.typed.isascii() and len(address.typed) <= MAX_ADDRESS
    assert parse_address(address.typed) == address
    assert parse_address(address.norm).norm == address.norm


# Names


@pytest.mark.parametrize("name", ["ada", "Ada.Lovelace", "a1", "ада_л", "太郎", "x-2", "Ａda", "عدنان"])
def test_a_name_has_letters_and_digits_of_any_alphabet(name: str) -> None:
    assert check_username(f" {name} ") == {"Ａda": "Ada"}.get(name, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "x" * 33,
        "a b",
        "a@b",
        "-ada",
        "ada.",
        "<b>",
        "a\0b",
        "ada\u200b",
        "pаypal",
        "a\u0301\u0301",
        "\ud800ab",
        "☃☃",
    ],
)
def test_other_names_are_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(BadUsername) as refused:
        check_username(name)
    assert str(refused.value).endswith(".")


def test_names_in_capitals_or_width_are_the_same_name() -> None:
    assert username_norm("Ａda") == username_norm("ADA") == "ada"
    assert username_norm("Straße") == username_norm("STRASSE")


@pytest.mark.parametrize(
    ("text", "name"),
    [("ada", "ada"), ("Ada Lovelace", "Ada-Lovelace"), ("a+b!!c", "a-b-c"), ("...", "user"), ("", "user"), ("x", "user"),
     ("<script>", "script"), ("pаypal", "user"), ("ada@example.org", "ada-example.org")],
)  # fmt: skip
def test_a_name_is_made_of_what_is_known(text: str, name: str) -> None:
    assert username_from(text) == name


@given(st.text(max_size=100))
def test_a_name_that_was_made_is_a_name_with_room_for_a_number(text: str) -> None:
    name = username_from(text)
    assert check_username(name) == name
    assert len(f"{name}-999") <= MAX_USERNAME


# Passwords and digits


@pytest.mark.parametrize("password", ["12345678", "пароль пароль", "🙂" * 8, "x" * 1024, "ﷺ"])
def test_a_password_has_eight_characters_of_anything(password: str) -> None:
    assert password_refusal(password) is None


@pytest.mark.parametrize(
    ("password", "what"),
    [("", "at least 8"), ("1234567", "at least 8"), ("a\u0301" * 7, "at least 8"), ("x" * 1025, "at most 1024"),
     ("é" * 513, "at most 1024"), ("\ud800" * 8, "text")],
)  # fmt: skip
def test_other_passwords_are_refused(password: str, what: str) -> None:
    assert what in (password_refusal(password) or "")


def test_a_password_is_the_same_from_any_keyboard() -> None:
    assert normalised("caf\u00e9 １２") == normalised("cafe\u0301 12")
    assert normalised("A") != normalised("a")


@pytest.mark.parametrize("given", ["012345", " 012 345\n", "012-345", "０１２３４５"])
def test_digits_may_be_typed_in_groups(given: str) -> None:
    assert same_digits(given, "012345")


@pytest.mark.parametrize("given", ["", "12345", "012346", "0123450", "٠١٢٣٤٥", "\ud800", "012345\0"])
def test_other_digits_are_others(given: str) -> None:
    assert not same_digits(given, "012345")


# Targets

ORIGIN = "https://example.org"
ALLOWED = ("https://app.example.com:8443", "http://localhost:3000")


@pytest.mark.parametrize(
    "target",
    ["/", "/chat?a=b#c", "/a//b", "/%2f%2fevil.com", "https://example.org", "https://example.org/x", "https://EXAMPLE.org:443/x",
     "https://app.example.com:8443/x?y", "http://localhost:3000/"],
)  # fmt: skip
def test_a_sign_in_leads_to_our_paths_and_to_allowed_origins(target: str) -> None:
    assert safe_target(target, ORIGIN, ALLOWED) == target


@pytest.mark.parametrize(
    "target",
    [
        *("", "chat", "?a", "//evil.com", "///evil.com", "/\\evil.com", "\\\\evil.com", "/\t/evil.com", "/\n/evil.com", " /x"),
        *("https://evil.com", "https://example.org@evil.com", "https://example.org.evil.com", "https://example.org:444/"),
        *("http://example.org/", "https://a@example.org/", "https:example.org", "https:/example.org", "https:///example.org"),
        *("javascript:alert(1)", "data:text/html,x", "https://[", "//example.org", "https://app.example.com/", "/é"),
        *("https://example.org\\@evil.com", "HTTPS://evil.com", "https://", "ftp://example.org/", "/a\0b", "/" + "x" * 2048),
    ],
)  # fmt: skip
def test_everything_else_leads_to_the_usual_place(target: str) -> None:
    assert safe_target(target, ORIGIN, ALLOWED) == USUAL_TARGET


def test_without_an_origin_only_paths_are_ours() -> None:
    assert safe_target("/x", "") == "/x"
    assert safe_target("https://", "") == safe_target("https://example.org", "") == USUAL_TARGET


def test_every_rate_is_known_by_its_name_and_has_a_bound() -> None:
    assert all(rate.name == name and rate.n > 0 and 0 < rate.seconds <= 86_400 for name, rate in RATES.items())


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_an_ipv6_customer_counts_as_one(remote, counted):
    assert network(remote) == counted
