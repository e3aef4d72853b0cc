"""Letters by SMTP, to a real mail server and to servers that do everything wrong."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import fields, replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as running
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from rtserver.accounts.letters import LetterWriter
from rtserver.accounts.mailer import Mail, MailDelayed, MailRefused, Undelivered
from rtserver.accounts.options import MailOptions
from rtserver.core.options import Seconds
from rtserver.services.mail_message import Composer
from rtserver.services.mail_smtp import SmtpMailer
from tests.deadline import deadline
from tests.live.certificate import write_certificate
from tests.live.redis_server import free_port
from tests.live.smtp_peer import Speaking
from tests.live.smtp_server import SmtpServer

reactor: Any = running
LOGIN = ("post", "mellon-9f2c")
LINK = "https://example.org/auth/c/abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzA"
PLAIN = MailOptions(host="127.0.0.1", sender="post@example.org", security="none", timeout=Seconds(10))


@pytest.fixture(scope="module")
def secured(certificate: Path) -> Iterator[SmtpServer]:
    """STARTTLS and AUTH."""
    with SmtpServer(certificate, "starttls", LOGIN) as server:
        yield server


@pytest.fixture(scope="module")
def plain(certificate: Path) -> Iterator[SmtpServer]:
    with SmtpServer(certificate, "none") as server:
        yield server


@pytest.fixture
def log() -> Iterator[list[Any]]:
    events: list[Any] = []
    publisher: Any = globalLogPublisher
    publisher.addObserver(events.append)
    yield events
    publisher.removeObserver(events.append)


def vars_of(options: MailOptions) -> dict[str, Any]:
    return {each.name: getattr(options, each.name) for each in fields(options)}


def secure_options(server: SmtpServer, certificate: Path, **options: Any) -> MailOptions:
    known = {"username": LOGIN[0], "password": LOGIN[1], "ca_file": str(certificate / "cert.pem"), **options}
    return MailOptions(**{**vars_of(PLAIN), "host": "localhost", "port": server.port, "security": "starttls", **known})


def letter(to: str = "noe@example.net", **parts: str) -> Mail:
    written = LetterWriter("Café").write("confirm_sign_up", to, {"link": LINK, "digits": "482913", "minutes": 60})
    written = replace(written, **parts)
    return Mail("l1", to, Composer(PLAIN).compose(written, "l1", 1_700_000_000).encode())


async def send(options: MailOptions, mail: Mail | None = None) -> int:
    return await SmtpMailer(options, Path(), reactor).send(mail or letter())


async def failure(options: MailOptions, mail: Mail | None = None) -> Undelivered:
    """The error that a letter ends with. Neither it nor its traceback repeats what the server said."""
    try:
        await send(options, mail)
    except Undelivered as error:
        for secret in (LOGIN[1], "bWVsbG9u", "example.net", "because of password", LINK):
            assert secret not in "".join(traceback.format_exception(error))
        return error
    raise AssertionError("the letter was sent")


def body(message: dict[str, Any], subtype: str) -> str:
    parsed: Any = message_from_bytes(message["content"].encode("latin-1"), policy=default)
    return str(parsed.get_body((subtype,)).get_content())


# What works


@deadline(30)
async def test_a_letter_goes_by_starttls_with_a_login(secured: SmtpServer, certificate: Path) -> None:
    assert await send(secure_options(secured, certificate)) == 250
    message = secured.message()
    assert (message["from"], message["to"]) == ("post@example.org", ["noe@example.net"])
    assert (message["tls"], message["user"]) == (True, "post")
    assert LINK in body(message, "plain").splitlines()
    assert f'href="{LINK}"' in body(message, "html")


@deadline(30)
async def test_a_letter_goes_by_tls_from_the_first_byte(certificate: Path) -> None:
    with SmtpServer(certificate, "tls", LOGIN) as server:
        assert await send(secure_options(server, certificate, security="tls")) == 250
        assert server.message()["user"] == "post"


@deadline(30)
async def test_a_letter_goes_without_tls_when_that_is_asked_for(plain: SmtpServer) -> None:
    assert await send(replace(PLAIN, port=plain.port)) == 250
    message = plain.message()
    assert (message["tls"], message["user"]) == (False, "")


@deadline(30)
async def test_lines_arrive_with_one_carriage_return(plain: SmtpServer) -> None:
    await send(replace(PLAIN, port=plain.port))
    content = plain.message()["content"]
    assert "\r\r" not in content
    assert content.count("\r\n") == content.count("\n") == content.count("\r")


@deadline(30)
async def test_dots_at_the_beginning_of_lines_arrive_wherever_they_stand(plain: SmtpServer) -> None:
    text = "".join(f".{'x' * (number % 40)}\n..\n.\n" for number in range(3000))
    await send(replace(PLAIN, port=plain.port), letter(text=text))
    message = plain.message()
    assert body(message, "plain").replace("\r\n", "\n") == text
    assert len(message["content"]) > 4 * 2**14
    assert plain.is_empty()


@deadline(30)
async def test_a_name_that_tries_to_break_out_of_the_dialogue_arrives_as_text(plain: SmtpServer) -> None:
    hostile = "\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
    await send(replace(PLAIN, port=plain.port), letter(text=hostile, subject=hostile))
    message = plain.message()
    assert message["to"] == ["noe@example.net"]
    assert "RCPT TO:<victim@example.org>" in body(message, "plain")
    assert plain.is_empty()


# What is refused


@pytest.mark.parametrize("to", ["550@example.net", "553@example.net", "data-554@example.net"])
@deadline(30)
async def test_a_letter_that_is_refused_is_given_up(plain: SmtpServer, to: str) -> None:
    error = await failure(replace(PLAIN, port=plain.port), letter(to))
    assert isinstance(error, MailRefused)
    assert error.code == int(to.partition("@")[0].removeprefix("data-"))


@pytest.mark.parametrize("to", ["451@example.net", "421@example.net", "data-452@example.net"])
@deadline(30)
async def test_a_letter_that_is_asked_to_come_later_waits(plain: SmtpServer, to: str) -> None:
    error = await failure(replace(PLAIN, port=plain.port), letter(to))
    assert isinstance(error, MailDelayed)
    assert error.code == int(to.partition("@")[0].removeprefix("data-"))


@deadline(30)
async def test_a_wrong_password_delays_letters_and_is_told_without_it(secured: SmtpServer, certificate: Path) -> None:
    error = await failure(secure_options(secured, certificate, password=f"{LOGIN[1]}-wrong"))
    assert isinstance(error, MailDelayed)
    assert (error.code, error.reason) == (
        535,
        "the mail server refused the login: correct mail.username and mail.password",
    )
    assert secured.is_empty()


@deadline(30)
async def test_a_login_that_is_missing_delays_letters(secured: SmtpServer, certificate: Path) -> None:
    error = await failure(secure_options(secured, certificate, username="", password=""))
    assert isinstance(error, MailDelayed)
    assert (error.code, "mail.username" in error.reason) == (530, True)


@deadline(30)
async def test_a_server_without_logins_gets_no_letter_when_one_is_configured(plain: SmtpServer) -> None:
    error = await failure(replace(PLAIN, port=plain.port, username="post", password=LOGIN[1]))
    assert isinstance(error, MailDelayed)
    assert "offers no login" in error.reason
    assert plain.is_empty()


@deadline(30)
async def test_without_starttls_nothing_is_sent(plain: SmtpServer, certificate: Path) -> None:
    error = await failure(secure_options(plain, certificate))
    assert isinstance(error, MailDelayed)
    assert "offers no STARTTLS" in error.reason
    assert plain.is_empty()


@pytest.mark.parametrize("security", ["starttls", "tls"])
@deadline(30)
async def test_a_certificate_that_cannot_be_verified_ends_the_attempt(
    certificate: Path, tmp_path: Path, security: str
) -> None:
    write_certificate(tmp_path)
    with SmtpServer(certificate, security, LOGIN) as server:
        for authorities in ("", str(tmp_path / "cert.pem")):
            options = secure_options(server, certificate, security=security, ca_file=authorities)
            error = await failure(options)
            assert isinstance(error, MailDelayed)
            assert "certificate of the mail server cannot be verified" in error.reason
        assert server.is_empty()


@deadline(30)
async def test_a_certificate_of_another_name_ends_the_attempt(secured: SmtpServer, certificate: Path) -> None:
    mailer = SmtpMailer(secure_options(secured, certificate, host="mail.example.org"), Path(), Elsewhere("127.0.0.1"))
    with pytest.raises(MailDelayed, match="certificate of the mail server cannot be verified"):
        await mailer.send(letter())
    assert secured.is_empty()


class Elsewhere:
    """A reactor that takes every name for ``address``."""

    def __init__(self, address: str) -> None:
        self._address = address

    def connectTCP(self, host: str, *rest: Any, **more: Any) -> Any:
        return reactor.connectTCP(self._address, *rest, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


# What goes wrong on the way


@deadline(30)
async def test_a_port_where_nobody_listens_delays_the_letter() -> None:
    error = await failure(replace(PLAIN, port=free_port()))
    assert isinstance(error, MailDelayed)
    assert (error.code, "cannot be reached" in error.reason) == (0, True)


@deadline(30)
async def test_a_host_that_is_not_known_delays_the_letter() -> None:
    error = await failure(replace(PLAIN, host="no-such-host.invalid", port=25))
    assert isinstance(error, MailDelayed)
    assert "mail.host" in error.reason


@deadline(30)
async def test_a_server_that_falls_silent_is_left_after_the_time_limit(plain: SmtpServer) -> None:
    error = await failure(replace(PLAIN, port=plain.port, timeout=Seconds(0.3)), letter("hang@example.net"))
    assert isinstance(error, MailDelayed)
    assert "too slow" in error.reason


@deadline(30)
async def test_a_connection_that_is_lost_delays_the_letter(plain: SmtpServer) -> None:
    error = await failure(replace(PLAIN, port=plain.port), letter("drop@example.net"))
    assert isinstance(error, MailDelayed)
    assert "closed the connection early" in error.reason


@deadline(30)
async def test_a_letter_that_was_taken_is_sent_whatever_comes_after(plain: SmtpServer, log: list[Any]) -> None:
    options = replace(PLAIN, port=plain.port, timeout=Seconds(0.3))
    assert await send(options, letter("last@example.net")) == 250
    assert plain.message()["to"] == ["last@example.net"]
    await deferLater(reactor, 0.8)  # The time limit of the goodbye passes.
    assert [event for event in log if "log_failure" in event] == []


@pytest.mark.parametrize("at", range(6), ids=["accept", "greeting", "ehlo", "from", "to", "data"])
@deadline(30)
async def test_a_server_that_drops_the_connection_gets_one_for_each_attempt(at: int) -> None:
    """Attempts are spaced by the outbox: the sender makes none of its own."""
    says = [b"220 hello\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"]
    async with Speaking(*says[:at], then_drops=True) as server:
        for attempts in (1, 2):
            error = await failure(replace(PLAIN, port=server.port))
            assert isinstance(error, MailDelayed)
            await deferLater(reactor, 0.2)  # Twisted would connect again at once.
            assert len(server.factory.connected) == attempts


@deadline(30)
async def test_a_server_that_never_greets_is_left() -> None:
    async with Speaking() as server:
        error = await failure(replace(PLAIN, port=server.port, timeout=Seconds(0.3)))
        assert "too slow" in error.reason
        await server.factory.lost


@deadline(30)
async def test_a_server_that_keeps_us_waiting_with_little_is_left_at_the_outer_deadline() -> None:
    async with Speaking(b"220 hello\r\n") as server:

        def trickle() -> None:
            for peer in server.factory.connected:
                peer.transport.write(b"250-more\r\n")
            if not server.factory.lost.called:
                reactor.callLater(0.1, trickle)

        trickle()
        error = await failure(replace(PLAIN, port=server.port, timeout=Seconds(0.4)))
        assert "too slow" in error.reason
        await server.factory.lost


@pytest.mark.parametrize(
    ("greeting", "code"),
    [(b"554 no service for example.net\r\n", 554), (b"421 busy\r\n", 421), (b"HTTP/1.1 400 Bad Request\r\n", 0)],
    ids=["554", "421", "http"],
)
@deadline(30)
async def test_a_greeting_that_is_none_delays_the_letter(greeting: bytes, code: int) -> None:
    async with Speaking(greeting) as server:
        error = await failure(replace(PLAIN, port=server.port))
        assert isinstance(error, MailDelayed)
        assert error.code == code


@deadline(30)
async def test_what_is_cancelled_drops_its_connection() -> None:
    async with Speaking(b"220 hello\r\n") as server:
        sending = Deferred.fromCoroutine(send(replace(PLAIN, port=server.port)))
        while not server.factory.heard:
            await deferLater(reactor, 0.01)
        sending.cancel()
        with pytest.raises(CancelledError):
            await sending
        await server.factory.lost


@deadline(30)
async def test_nothing_is_said_in_the_log(secured: SmtpServer, certificate: Path, log: list[Any]) -> None:
    await send(secure_options(secured, certificate))
    secured.message()
    await failure(secure_options(secured, certificate, password="wrong-mellon"))
    await failure(secure_options(secured, certificate), letter("550@example.net"))
    said = "\n".join(str(event) for event in log)
    for secret in ("mellon", "bWVsbG9u", "example.net", "482913", "Starting factory"):
        assert secret not in said


@pytest.mark.parametrize("content", [None, "no certificate", "\xff"], ids=["missing", "empty", "binary"])
def test_a_file_of_authorities_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content, "latin-1")
    with pytest.raises(ValueError, match=r"mail\.ca_file"):
        SmtpMailer(MailOptions(host="localhost", ca_file=str(tmp_path / "ca.pem")), tmp_path, reactor)
