"""A letter as a message of RFC 5322: two parts, ASCII all through, ready for any mail server."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

from rtserver.accounts.letters import Letter
from rtserver.accounts.options import MailOptions
from rtserver.core.errors import RtError


class Policy(EmailPolicy):
    """Encodes words outside of ASCII (RFC 2047) by ``email.header``: the folding of ``EmailPolicy`` loses the space between
    two of them when a line ends there (Python 3.11)."""

    def fold(self, name: str, value: Any) -> str:
        if str(value).isascii():
            return str(super().fold(name, value))
        if name == "From":
            sender = value.addresses[0]
            return f"From: {_encoded(name, sender.display_name)}\n <{sender.addr_spec}>\n"
        return f"{name}: {_encoded(name, str(value))}\n"

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii")


def _encoded(name: str, text: str) -> str:
    return Header(text, "utf-8", maxlinelen=76, header_name=name).encode()


# Lines end with "\n": Twisted's sender makes "\r\n" of every "\n", so that "\r\n" would arrive as "\r\r\n". 7 bit, since its
# sender asks for no 8BITMIME.
POLICY = Policy(linesep="\n", cte_type="7bit", max_line_length=76)

MAX_ADDRESS = 254
"""RFC 5321 section 4.5.3.1.3, without the brackets."""
MAX_MESSAGE = 256 * 1024
"""Bytes of a whole message."""


class MessageError(RtError):
    """No message can be made; the sentence never holds the address."""


def address(text: str, name: str = "") -> Address:
    """One address, as typed. Raises ``MessageError`` for more than one, and for what could break out of a header."""
    if not (text.isascii() and text.isprintable()) or " " in text or len(text) > MAX_ADDRESS or set(text) & set('<>"'):
        raise MessageError(
            f"an address for letters must be ASCII without spaces and quotes, at most {MAX_ADDRESS} characters: "
            "encode the domain (IDNA) and refuse the rest at the form"
        )
    try:
        parsed = Address(display_name=name, addr_spec=text)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise MessageError("an address for letters must be one address like name@example.org: correct it") from error
    if not parsed.username or not parsed.domain:
        raise MessageError("an address for letters must be one address like name@example.org: correct it")
    return parsed


class Composer:
    """Makes messages from ``mail.sender`` with the name ``mail.sender_name``. Raises ``MessageError`` when that is none."""

    def __init__(self, options: MailOptions) -> None:
        try:
            self._sender = address(options.sender, options.sender_name)
        except (MessageError, ValueError) as error:
            raise MessageError(
                "mail.sender must be one address, and mail.sender_name one line: correct them"
            ) from error

    def compose(self, letter: Letter, letter_id: str, unix: float) -> str:
        """The whole message. ``unix`` is when it is written, in seconds. Raises ``MessageError``."""
        message = EmailMessage(policy=POLICY)
        message["From"] = self._sender
        message["To"] = address(letter.to)
        message["Subject"] = " ".join(letter.subject.split())
        message["Date"] = format_datetime(datetime.fromtimestamp(int(unix), UTC))
        message["Message-ID"] = f"<{letter_id}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text, cte="quoted-printable")
        message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
        raw = message.as_bytes().decode("ascii")
        if len(raw) > MAX_MESSAGE:
            raise MessageError(f"a letter {letter.kind!r} has more than {MAX_MESSAGE:,} bytes: shorten its templates")
        return raw
