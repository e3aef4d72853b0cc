"""Letters by SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the first byte (RFC 8314) and AUTH (RFC 4954).

One connection for each letter: letters of accounts are few, and one that fails then holds up no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.mail import smtp

from rtserver.accounts.mailer import Mail, MailDelayed, MailRefused, Undelivered
from rtserver.accounts.options import MailOptions

_CERTIFICATE_END = "-----END CERTIFICATE-----"

LOGIN_CODES = frozenset((530, 534, 535, 538))
"""RFC 4954 section 6: what is wrong is the login, not the letter, which therefore waits until it is put right."""

_LOGIN = "the mail server refused the login: correct mail.username and mail.password"
_CERTIFICATE = "the certificate of the mail server cannot be verified: correct mail.host or mail.ca_file"
_SLOW = "the mail server was too slow: see whether it is overloaded, or raise mail.timeout"
_LOST = "the mail server closed the connection early: see its log"
_CONNECTION: tuple[tuple[type[BaseException], str], ...] = (
    (DNSLookupError, "mail.host is not known to the DNS: correct it"),
    (ConnectError, "the mail server cannot be reached: see that it runs, and that mail.host and mail.port are right"),
    (SSL.Error, _CERTIFICATE),
    (ConnectionDone, _LOST),
    (ConnectionLost, _LOST),
)
_DIALOGUE: tuple[tuple[type[BaseException], str], ...] = (
    (smtp.AUTHDeclinedError, _LOGIN),
    (smtp.AUTHRequiredError, "the mail server offers no login: correct mail.security, or take out mail.username"),
    (smtp.TLSRequiredError, "the mail server offers no STARTTLS: set mail.security to what it has"),
    (smtp.TLSError, "the mail server offers STARTTLS and cannot do it: see its log"),
    (smtp.EHLORequiredError, "the mail server knows no EHLO: use one that does"),
    (smtp.SMTPTimeoutError, _SLOW),
    (TimeoutError, _SLOW),
)


class Whole:
    """A message as the file that Twisted's sender wants, given in one piece.

    In pieces of 16 KiB it would forget to double a dot that begins a line where a piece begins (RFC 5321 section 4.5.2).
    """

    def __init__(self, content: bytes) -> None:
        self._pieces = [content]

    def read(self, size: int) -> bytes:
        return self._pieces.pop() if self._pieces else b""


class Sender(smtp.ESMTPSender):
    debug = False
    """Keep no dialogue: it would be in the text of every error, with the answers of AUTH."""

    def sendError(self, exc: Exception) -> None:
        if self.factory.sendFinished:
            # Twisted would tell it to a Deferred that is not there any more.
            self.transport.abortConnection()  # type: ignore[union-attr]  # there is one as long as the timer runs
        else:
            super().sendError(exc)  # type: ignore[no-untyped-call]


class Senders(smtp.ESMTPSenderFactory):
    protocol = Sender
    noisy = False


class SmtpMailer:
    """Hands letters to ``mail.host``. Raises ``ValueError`` when ``mail.ca_file`` cannot be used."""

    def __init__(self, options: MailOptions, state_dir: Path, reactor: Any) -> None:
        self._options = options
        self._reactor = reactor
        self._tls = _tls(options)
        self.deadline = 2.0 * options.timeout
        """``mail.timeout`` is for each answer of the server, this for the whole of a letter."""

    async def send(self, mail: Mail) -> int:
        try:
            _, ((_, code, _),) = await self._begin(mail).addTimeout(self.deadline, self._reactor)
        except CancelledError:
            raise
        except Exception as error:
            raise outcome(error) from None  # Their texts hold addresses.
        return int(code)

    def _begin(self, mail: Mail) -> Deferred[Any]:
        sent: Deferred[Any] = Deferred(lambda _: _abort(factory, connector))
        factory = self._senders(mail, sent)
        options, seconds = self._options, float(self._options.timeout)
        # No endpoint: through one, a connection that is lost would never be told to the factory.
        if options.security == "tls":
            connector = self._reactor.connectSSL(options.host, options.port, factory, self._tls, timeout=seconds)
        else:
            connector = self._reactor.connectTCP(options.host, options.port, factory, timeout=seconds)
        return sent

    def _senders(self, mail: Mail, sent: Deferred[Any]) -> Senders:
        options = self._options
        return Senders(  # type: ignore[no-untyped-call]
            options.username.encode() or None,
            options.password.encode() or None,
            options.sender,
            mail.rcpt,
            Whole(mail.raw),
            sent,
            retries=0,
            timeout=float(options.timeout),
            contextFactory=self._tls,
            requireAuthentication=bool(options.username),
            requireTransportSecurity=options.security != "none",
        )


def _abort(factory: Senders, connector: Any) -> None:
    factory.sendFinished = True
    if factory.currentProtocol is None:
        connector.disconnect()
    else:
        factory.currentProtocol.transport.abortConnection()


def outcome(error: Exception) -> Undelivered:
    """What an error of Twisted's sender means for the letter, without what the server said."""
    code = getattr(error, "code", -1)
    code = code if isinstance(code, int) and 0 < code < 1000 else 0
    if isinstance(error, smtp.SMTPDeliveryError):
        return _refusal(code)
    for kind, reason in _DIALOGUE:
        if isinstance(error, kind):
            return MailDelayed(reason, code)
    for cause in _causes(error):
        if type(cause).__name__.endswith("VerificationError"):  # the name of the host; Twisted exports no class for it
            return MailDelayed(_CERTIFICATE, code)
        for kind, reason in _CONNECTION:
            if isinstance(cause, kind):
                return MailDelayed(reason, code)
    if code:
        return MailDelayed("the mail server takes no letters now: see its log", code)
    return MailDelayed("the mail server answered in a way that is not understood: see its log", code)


def _refusal(code: int) -> Undelivered:
    if code in LOGIN_CODES:
        return MailDelayed(_LOGIN, code)
    if 500 <= code < 600:
        return MailRefused("the mail server refused the letter", code)
    return MailDelayed("the mail server asks to try again later", code)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _tls(options: MailOptions) -> Any:
    """None without TLS: then nothing is encrypted by the way either."""
    if options.security == "none":
        return None
    return optionsForClientTLS(options.host, trustRoot=_trust_root(options.ca_file))


def _trust_root(path: str) -> Any:
    if not path:
        return platformTrust()
    try:
        parts = Path(path).read_text("ascii").split(_CERTIFICATE_END)[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"mail.ca_file cannot be read ({error}): name a PEM file that the server may read") from error
    if not parts:
        raise ValueError("mail.ca_file holds no PEM certificate: name a file with -----BEGIN CERTIFICATE----- in it")
    return trustRootFromCertificates([Certificate.loadPEM(f"{part}{_CERTIFICATE_END}\n".encode()) for part in parts])
