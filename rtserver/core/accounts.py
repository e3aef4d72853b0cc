"""Decisions about accounts that need no storage: addresses, names, passwords, where a sign-in may lead, how often what may
be tried."""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from rtserver.core.errors import RtError

# Addresses


class BadAddress(RtError):
    """No address that a letter can go to; the sentence says what to change."""


@dataclass(frozen=True, slots=True)
class Address:
    """``typed`` is where letters go: what was typed, with the domain in ASCII. ``norm`` is for comparing only."""

    typed: str
    norm: str


MAX_ADDRESS = 254
"""RFC 5321 section 4.5.3.1.3: a path has at most 256 octets, two of them are ``<`` and ``>``."""

_MAX_LOCAL = 64
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
"""The dot-atom of RFC 5322 section 3.2.3. Quoted local parts, which nobody has, are not taken."""
_DOMAIN = re.compile(
    r"(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+(?!\d+\Z)[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?", re.I | re.ASCII
)
_AMBIGUOUS = frozenset("ßς\u200c\u200d")
"""Two versions of IDNA make different domains of these (UTS 46 section 7), so the letter could go to a stranger."""


def parse_address(text: str) -> Address:
    """Raises ``BadAddress``."""
    text = text.strip()
    local, at, domain = text.rpartition("@")
    if not text:
        raise BadAddress("Type your address, as in name@example.com.")
    if not at or "@" in local:
        raise BadAddress("An address has one @ in it, as in name@example.com.")
    if any(each.isspace() or not each.isprintable() for each in text):
        raise BadAddress("An address has no spaces and no invisible characters: type it again.")
    if not local.isascii():
        raise BadAddress("Letters cannot go to addresses with such characters before the @: use another address.")
    if not _LOCAL.fullmatch(local) or len(local) > _MAX_LOCAL:
        raise BadAddress("The part before the @ is not right: look for missing or doubled dots and for odd characters.")
    typed = f"{local}@{_ascii_domain(domain)}"
    if len(typed) > MAX_ADDRESS:
        raise BadAddress(f"An address has at most {MAX_ADDRESS} characters: use another one.")
    return Address(typed, typed.lower())


def _ascii_domain(domain: str) -> str:
    if not domain.isascii():
        domain = _encoded(domain)
    if not _DOMAIN.fullmatch(domain):
        raise BadAddress("The part after the @ is no domain: it looks like example.com.")
    return domain


def _encoded(domain: str) -> str:
    if not _AMBIGUOUS.isdisjoint(domain):
        raise BadAddress("This domain can be read in two ways: type it in its form that begins with xn--.")
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise BadAddress("The part after the @ is no domain: it looks like example.com.") from error


# Names


class BadUsername(RtError):
    """The sentence says what to change."""


MIN_USERNAME = 2
MAX_USERNAME = 32
_ROOM_FOR_SUFFIX = 4
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
"""Alphabets with letters that look alike. A name keeps to one of them, or "pаypal" could be written in two."""


def check_username(text: str) -> str:
    """The name as it is stored. Raises ``BadUsername``."""
    name = unicodedata.normalize("NFKC", text).strip()
    if not MIN_USERNAME <= len(name) <= MAX_USERNAME:
        raise BadUsername(f"A name has {MIN_USERNAME} to {MAX_USERNAME} characters.")
    if not all(_is_of_name(each) for each in name) or not (name[0].isalnum() and name[-1].isalnum()):
        raise BadUsername("A name has letters and digits, and dots, hyphens and underscores between them.")
    if len(_scripts(name)) > 1:
        raise BadUsername(
            "A name is written in one alphabet: do not mix Latin letters with others that look like them."
        )
    return name


def username_norm(name: str) -> str:
    """For comparing only: names that look alike in capitals or width are one name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def username_from(text: str) -> str:
    """A name of what is known of a person (a name elsewhere, the part of an address before the @), with room left for a
    number; "user" when nothing of it can be used."""
    plain = unicodedata.normalize("NFKC", text)
    name = re.sub(r"[._-]{2,}", "-", "".join(each if _is_of_name(each) else "-" for each in plain))
    name = name.strip("._-")[: MAX_USERNAME - _ROOM_FOR_SUFFIX].strip("._-")
    try:
        return check_username(name)
    except BadUsername:
        return "user"


def _is_of_name(character: str) -> bool:
    return character in "._-" or unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo", "Lm", "Nd")


def _scripts(name: str) -> set[str]:
    found = {unicodedata.name(each, "").partition(" ")[0] for each in name}
    return found.intersection(_SCRIPTS)


# Passwords and digits

MIN_PASSWORD = 8
MAX_PASSWORD_BYTES = 1024


def normalised(password: str) -> str:
    """The same password from any keyboard: NFKC (NIST SP 800-63B section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def password_refusal(password: str) -> str | None:
    """Why this cannot be a password, as a sentence; None when it can."""
    text = normalised(password)
    if not fits(text):
        return f"A password has at most {MAX_PASSWORD_BYTES} bytes of text: take a shorter one."
    if len(text) < MIN_PASSWORD:
        return f"A password has at least {MIN_PASSWORD} characters: take a longer one."
    return None


def fits(text: str) -> bool:
    """Whether a text is worth the work of hashing: it is text, and not too long."""
    try:
        return len(text.encode()) <= MAX_PASSWORD_BYTES
    except UnicodeEncodeError:
        return False


def same_digits(given: str, expected: str) -> bool:
    """Whether a person typed the digits of a letter, with spaces and hyphens or without. In constant time."""
    plain = "".join(each for each in unicodedata.normalize("NFKC", given) if not each.isspace() and each != "-")
    return hmac.compare_digest(plain.encode("utf-8", "replace"), expected.encode())


# Where a sign-in may lead

USUAL_TARGET = "/auth/profile"
MAX_TARGET = 2048
_PORTS = {"http": ":80", "https": ":443"}


def safe_target(text: str, origin: str, allowed: Collection[str] = ()) -> str:
    """``text`` when it is a path of ours ("/...") or an address at our ``origin`` or an ``allowed`` one, else
    ``USUAL_TARGET``. Origins are as in ``https://example.com:8443``.

    Browsers take a backslash for a slash and skip tabs and line ends (https://url.spec.whatwg.org, "basic URL parser"), so
    a text with any of these is none of ours.
    """
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text or len(text) > MAX_TARGET:
        return USUAL_TARGET
    if text.startswith("/"):
        return USUAL_TARGET if text.startswith("//") else text
    ours = {_origin(each) for each in (origin, *allowed)} - {""}
    return text if _origin(text) in ours else USUAL_TARGET


def _origin(text: str) -> str:
    """Scheme, host and port in their shortest form; "" for what is no address of the web."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    scheme, place = parts.scheme, parts.netloc.lower()
    if scheme not in _PORTS or not place:
        return ""
    return f"{scheme}://{place.removesuffix(_PORTS[scheme])}"


# How often


def network(remote: str) -> str:
    """What is counted of a client's address: an IPv6 network of 64 bits is one customer, who has all of its addresses (RFC
    6177), an IPv4 address is counted as it is."""
    try:
        address = ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))


@dataclass(frozen=True, slots=True)
class Rate:
    """``n`` times in ``seconds``. ``name`` says what is counted: it begins the names of the counters."""

    name: str
    n: int
    seconds: int


_HOUR = 3_600
_DAY = 86_400

SIGN_IN = Rate("sign_in", 10, 600)
"""One name from one address of the network."""
SIGN_IN_NAME = Rate("sign_in_name", 100, _HOUR)
"""One name from anywhere. High, for whoever spends it keeps the person out."""
SIGN_IN_REMOTE = Rate("sign_in_remote", 300, 600)
"""All names from one address of the network, which may be that of a whole company."""
PASSWORD = Rate("password", 10, 600)
"""The present password, asked again of a person who is signed in."""
LETTER = Rate("letter", 5, _HOUR)
"""Letters to one address."""
LETTER_DAY = Rate("letter_day", 15, _DAY)
LETTER_REMOTE = Rate("letter_remote", 60, _HOUR)
"""Letters that one address of the network asks for."""
RESEND = Rate("resend", 1, 30)
"""The same letter again."""
DIGITS = Rate("digits", 15, _DAY)
"""Digits typed for one address, whatever the letter: of a million, so nobody guesses them in years."""

SESSION_REMOTE = Rate("session_remote", 600, 600)
"""Sessions of nobody yet that one address of the network begins: each is a row for half an hour."""

RATES: Mapping[str, Rate] = {
    rate.name: rate
    for rate in (
        *(SIGN_IN, SIGN_IN_NAME, SIGN_IN_REMOTE, PASSWORD),
        *(LETTER, LETTER_DAY, LETTER_REMOTE, RESEND, DIGITS),
        SESSION_REMOTE,
    )
}

DIGIT_TRIES = 5
"""Times that digits may be typed for one letter; then only its link is good."""
REDEEM_TIME = 3_600
"""Seconds after a confirmation in which the browser that began may go on with it."""
