"""Messages of RFC 5322: what every mail server takes, and what nobody can break out of."""

from __future__ import annotations

from email import message_from_string
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime

import pytest

from rtserver.accounts.letters import Letter, LetterWriter
from rtserver.accounts.options import MailOptions
from rtserver.accounts.ports import LETTERS
from rtserver.services.mail_message import MAX_MESSAGE, Composer, MessageError

LINK = "https://example.org/auth/c/abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzA"
OPTIONS = MailOptions(sender="post@example.org", sender_name="Läufer & Söhne, Inc.")
UNIX = 1_700_000_000.5


def letter(**fields: str) -> Letter:
    content = {
        "kind": "reset",
        "to": "noe@example.net",
        "subject": "Hello",
        "text": f"Ключ:\n\n{LINK}\n",
        "html": f"<p>Ключ: {LINK}</p>\n",
    }
    return Letter(**{**content, **fields})


def composed(given: Letter) -> str:
    return Composer(OPTIONS).compose(given, "letter-1", UNIX)


def parsed(raw: str) -> EmailMessage:
    message = message_from_string(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, subtype: str) -> str:
    body = message.get_body((subtype,))
    assert body is not None
    return str(body.get_content())


def test_a_message_has_the_headers_of_a_letter_that_nobody_typed() -> None:
    message = parsed(composed(letter(subject="Grüße aus Łódź " * 8)))
    assert str(message["From"]) == '"Läufer & Söhne, Inc." <post@example.org>'
    assert str(message["To"]) == "noe@example.net"
    assert str(message["Subject"]) == ("Grüße aus Łódź " * 8).strip()
    assert parsedate_to_datetime(str(message["Date"])).timestamp() == int(UNIX)
    assert str(message["Message-ID"]) == "<letter-1@example.org>"
    assert str(message["Auto-Submitted"]) == "auto-generated"


def test_long_names_and_subjects_keep_their_spaces_over_the_lines() -> None:
    name = 'Łódź, "Straße" und 名前 ' * 5
    raw = Composer(MailOptions(sender="post@example.org", sender_name=name.strip())).compose(letter(), "1", UNIX)
    # The new parser of Python 3.11 puts spaces between encoded words, against RFC 2047 section 6.2; the old one does not.
    assert str(make_header(decode_header(message_from_string(raw)["From"]))) == f"{name.strip()} <post@example.org>"
    assert max(map(len, raw.split("\n"))) <= 78


def test_a_message_has_a_text_and_then_html() -> None:
    message = parsed(composed(letter()))
    assert message.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in message.iter_parts()] == ["text/plain", "text/html"]
    assert part(message, "plain") == f"Ключ:\n\n{LINK}\n"
    assert part(message, "html") == f"<p>Ключ: {LINK}</p>\n"


@pytest.mark.parametrize("kind", LETTERS)
def test_lines_end_with_a_bare_line_feed_are_ascii_and_short(kind: str) -> None:
    values = {"link": LINK, "digits": "123456", "minutes": 60, "handle": "Ключ", "username": "名前"}
    raw = composed(LetterWriter("Café").write(kind, "noe@example.net", values))
    assert "\r" not in raw and raw.isascii() and raw.endswith("\n")
    assert max(map(len, raw.split("\n"))) <= 78
    assert LINK in part(parsed(raw), "plain")
    assert LINK in part(parsed(raw), "html")


ADDRESSES = [
    "a@b.c, d@e.f",
    "a@b.c\r\nBcc: d@e.f",
    "a@b.c\nx",
    "a@b.c\0",
    "a b@c.d",
    "Noe <a@b.c>",
    "<a@b.c>",
    "a@b.c>",
    '"a@b"@c.d',
    "a@b@c.d",
    "a.b.c",
    "@b.c",
    "a@",
    "",
    "noë@example.org",
    "noe@exämple.org",
    f"{'a' * 250}@b.cd",
    "(comment)a@b.c (more)",
]


@pytest.mark.parametrize("to", ADDRESSES)
def test_what_is_not_one_plain_address_is_refused_without_repeating_it(to: str) -> None:
    with pytest.raises(MessageError) as raised:
        composed(letter(to=to))
    assert not to or to not in str(raised.value)
    assert "address" in str(raised.value)


@pytest.mark.parametrize(
    "to", ["a@b.c", "first.last+tag@sub.example.org", "O'Brien@example.org", "a@xn--exmple-cua.org"]
)
def test_plain_addresses_are_kept_as_they_were_typed(to: str) -> None:
    assert str(parsed(composed(letter(to=to)))["To"]) == to


def test_a_subject_cannot_add_headers() -> None:
    message = parsed(composed(letter(subject="Hello\r\nBcc: everybody@example.org")))
    assert message["Bcc"] is None
    assert str(message["Subject"]) == "Hello Bcc: everybody@example.org"


def test_a_text_cannot_end_the_message_or_its_part() -> None:
    text = ".\n.\r\nQUIT\n--=====\n..\n" + "." * 200 + "\n"
    raw = composed(letter(text=text))
    assert "\r" not in raw
    assert part(parsed(raw), "plain") == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "options",
    [
        MailOptions(sender="a@b.c, d@e.f"),
        MailOptions(sender="nobody"),
        MailOptions(sender="a@b.c", sender_name="x\r\nBcc: d@e.f"),
    ],
    ids=["two", "none", "lines"],
)
def test_a_sender_that_is_none_is_told_with_its_key(options: MailOptions) -> None:
    with pytest.raises(MessageError, match="mail.sender"):
        Composer(options)


def test_a_letter_that_is_too_large_is_refused() -> None:
    with pytest.raises(MessageError, match="shorten its templates"):
        composed(letter(html="x" * (MAX_MESSAGE + 1)))
