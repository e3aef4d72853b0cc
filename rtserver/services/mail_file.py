"""Letters that leave no machine: as files in a folder, for development and tests, or as a line in the log."""

from __future__ import annotations

import os
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, NamedTuple

from twisted.logger import Logger

from rtserver.accounts.mailer import Mail, MailDelayed
from rtserver.accounts.options import MailOptions

_log = Logger()

KEPT = 1000
"""Files that are kept; the oldest go first."""
MAX_FILE = 1024 * 1024
"""Bytes of a file that is read."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class FileMailer:
    """Writes each letter into ``mail.directory`` as ``<id>.eml``, readable for the owner only."""

    deadline = 10.0

    def __init__(self, options: MailOptions, state_dir: Path, reactor: Any) -> None:
        self.directory = state_dir / options.directory

    async def send(self, mail: Mail) -> int:
        if not _ID.fullmatch(mail.id):
            raise ValueError("the id of a letter cannot be the name of a file")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(mail)
            for old in _files(self.directory)[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "unknown"
            raise MailDelayed(f"mail.directory cannot be written ({why}): make it writable for the server") from error
        return 0

    def _write(self, mail: Mail) -> None:
        """At once under its name, or not at all: a reader never sees half a letter."""
        half = self.directory / f".{mail.id}.half"
        half.unlink(missing_ok=True)
        with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(mail.raw)
        half.replace(self.directory / f"{mail.id}.eml")


class ConsoleMailer:
    """Says in the log that there was a letter, and drops it: its link is not for the log."""

    deadline = 10.0

    def __init__(self, options: MailOptions, state_dir: Path, reactor: Any) -> None:
        pass

    async def send(self, mail: Mail) -> int:
        _log.info("letter {id}: not sent, since mail.transport is console", id=mail.id)
        return 0


class Line(NamedTuple):
    """A letter in a list. ``date`` as written in the letter, ``sent_at`` when its file was made, in ms since 1970."""

    id: str
    to: str
    subject: str
    date: str
    sent_at: int


class Content(NamedTuple):
    """A letter that is read: its head and both of its parts, decoded; "" for one that it has not."""

    head: Line
    text: str
    html: str


def recent(directory: Path, limit: int = 50) -> list[Line]:
    """The newest letters of a folder of ``FileMailer``, newest first."""
    try:
        files = _files(directory)[: max(0, limit)]
    except FileNotFoundError:
        return []
    return [each.head for path in files if (each := read(directory, path.stem)) is not None]


def read(directory: Path, letter_id: str) -> Content | None:
    """One letter, None when it is not there."""
    path = directory / f"{letter_id}.eml"
    try:
        return _content(path) if _ID.fullmatch(letter_id) else None
    except FileNotFoundError:
        return None


def _files(directory: Path) -> list[Path]:
    """Newest first. Raises ``FileNotFoundError`` when there is no folder."""
    with os.scandir(directory) as entries:
        found = [(entry.stat().st_mtime_ns, entry.name) for entry in entries if entry.name.endswith(".eml")]
    return [directory / name for _, name in sorted(found, reverse=True)]


def _content(path: Path) -> Content:
    with path.open("rb") as file:
        message = message_from_bytes(file.read(MAX_FILE), policy=default)
        sent_at = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
    return Content(_head(path, message, sent_at), _part(message, "plain"), _part(message, "html"))


def _head(path: Path, message: EmailMessage, sent_at: int) -> Line:
    to, subject, date = (str(message[name] or "") for name in ("To", "Subject", "Date"))
    return Line(path.stem, to, subject, date, sent_at)


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return "" if part is None else str(part.get_content())
