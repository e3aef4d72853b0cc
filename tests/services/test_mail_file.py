"""Letters as files."""

from __future__ import annotations

import os
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

import rtserver.services.mail_file
from rtserver.accounts.letters import LetterWriter
from rtserver.accounts.mailer import Mail, MailDelayed
from rtserver.accounts.options import MailOptions
from rtserver.services.mail_file import ConsoleMailer, FileMailer, read, recent
from rtserver.services.mail_message import Composer

OPTIONS = MailOptions()
LINK = "https://example.org/auth/c/abc"


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def mail(letter_id: str, to: str = "noe@example.org") -> Mail:
    letter = LetterWriter("Café").write("reset", to, {"link": LINK, "digits": "123456"})
    return Mail(letter_id, to, Composer(OPTIONS).compose(letter, letter_id, 1_700_000_000).encode())


def put(mailer: FileMailer, letter_id: str, at: int) -> None:
    assert done(mailer.send(mail(letter_id))) == 0
    os.utime(mailer.directory / f"{letter_id}.eml", (at, at))


def test_a_letter_is_a_file_for_its_owner_only(tmp_path: Path) -> None:
    mailer = FileMailer(OPTIONS, tmp_path, Clock())
    done(mailer.send(mail("one")))
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["one.eml"]
    assert stat.S_IMODE((tmp_path / "mail" / "one.eml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "mail").stat().st_mode) == 0o700
    assert b"\r" not in (tmp_path / "mail" / "one.eml").read_bytes()


def test_a_folder_may_be_absolute(tmp_path: Path) -> None:
    assert FileMailer(MailOptions(directory="/var/mail/x"), tmp_path, Clock()).directory == Path("/var/mail/x")


def test_a_letter_that_is_sent_again_is_there_once(tmp_path: Path) -> None:
    mailer = FileMailer(OPTIONS, tmp_path, Clock())
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / ".one.half").write_text("left behind")
    for _ in range(2):
        done(mailer.send(mail("one")))
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["one.eml"]


def test_the_oldest_letters_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtserver.services.mail_file, "KEPT", 3)
    mailer = FileMailer(OPTIONS, tmp_path, Clock())
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "notes.txt").write_text("mine")
    for number in range(5):
        put(mailer, f"l{number}", 1000 + number)
    assert sorted(path.name for path in (tmp_path / "mail").iterdir()) == ["l2.eml", "l3.eml", "l4.eml", "notes.txt"]


def test_the_newest_letters_are_listed_first(tmp_path: Path) -> None:
    mailer = FileMailer(OPTIONS, tmp_path, Clock())
    for number in range(4):
        put(mailer, f"l{number}", 1000 + number)
    listed = recent(mailer.directory, 2)
    assert [line.id for line in listed] == ["l3", "l2"]
    assert listed[0][1:] == (
        "noe@example.org",
        "Choose a new password for Café",
        "Tue, 14 Nov 2023 22:13:20 +0000",
        1_003_000,
    )


def test_a_letter_is_read_with_both_parts_decoded(tmp_path: Path) -> None:
    mailer = FileMailer(OPTIONS, tmp_path, Clock())
    done(mailer.send(mail("one")))
    content = read(mailer.directory, "one")
    assert content is not None
    assert content.head.subject == "Choose a new password for Café"
    assert LINK in content.text.splitlines()
    assert f'href="{LINK}"' in content.html


def test_where_nothing_is_nothing_is_read(tmp_path: Path) -> None:
    assert recent(tmp_path / "none", 10) == []
    assert recent(tmp_path, -1) == []
    assert read(tmp_path, "one") is None


@pytest.mark.parametrize("letter_id", ["../secret", "..", "", "a/b", "a\0b", "x" * 200, "one.eml", "../mail/one"])
def test_an_id_never_leads_out_of_the_folder(tmp_path: Path, letter_id: str) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "secret.eml").write_text("Subject: secret\n\nsecret")
    assert read(tmp_path / "mail", letter_id) is None


def test_a_letter_that_is_no_message_of_ours_can_still_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "odd.eml").write_bytes(b"\xff\xfe nonsense")
    assert [line.id for line in recent(tmp_path)] == ["odd"]
    assert read(tmp_path, "odd") is not None


def test_a_folder_that_cannot_be_written_delays_letters(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file")
    with pytest.raises(MailDelayed, match=r"mail\.directory cannot be written"):
        done(FileMailer(OPTIONS, tmp_path, Clock()).send(mail("one")))


def test_the_console_says_that_there_is_a_letter_and_nothing_of_it(tmp_path: Path) -> None:
    events: list[Any] = []
    publisher: Any = globalLogPublisher
    publisher.addObserver(events.append)
    try:
        done(ConsoleMailer(OPTIONS, tmp_path, Clock()).send(mail("one")))
    finally:
        publisher.removeObserver(events.append)
    said = [str(event["log_format"]).format(**event) for event in events if "mail_file" in event["log_namespace"]]
    assert said == ["letter one: not sent, since mail.transport is console"]
    assert list(tmp_path.iterdir()) == []
