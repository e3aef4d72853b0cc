"""The command-line tool ``rtserver``: check a configuration, sign a token, publish, migrate the database, reconcile payments.
The server itself is ``twistd rtserver``.

Every command answers on standard output and ends with 0, or says one sentence on standard error and ends with 1 (2 for a
command line that cannot be understood).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import jwt

from rtserver import __version__
from rtserver.config import Config, ConfigError, load
from rtserver.config.bounds import open_files, worst_case
from rtserver.config.durations import parse_duration
from rtserver.config.secrets import known
from rtserver.core.errors import RtError
from rtserver.core.options import TokenOptions
from rtserver.services.migrations import migrate

ANSWER_LIMIT = 10 * 1024 * 1024
"""Bytes of an answer of the server that are read."""
ANSWER_TIMEOUT = 10.0
"""Seconds to wait for the server."""
REPORT_TIMEOUT = 600.0
"""Seconds to wait for a report of payments: the gateway is asked about every day of it."""


class CommandFailed(RtError):
    """A command could not be done; the message is the sentence for the person."""


def send(request: urllib.request.Request, seconds: float = ANSWER_TIMEOUT) -> tuple[int, bytes]:
    """Send an HTTP request, never by way of a proxy: status and body. Raises ``OSError`` when there is no answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as response:
            return response.status, response.read(ANSWER_LIMIT)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(ANSWER_LIMIT)


@dataclass(frozen=True, slots=True)
class World:
    """What a command needs of the world around it."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], float] = time.time
    send: Callable[[urllib.request.Request, float], tuple[int, bytes]] = send
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)


def read_file(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except OSError as error:
        raise CommandFailed(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{name} is no text in UTF-8: save it as UTF-8") from error


def read_config(name: str | None, world: World) -> Config:
    """The configuration as the server would see it, but for the secrets that it made. No file: the embedded one."""
    return load(None if name is None else read_file(name), world.environ)


def parse_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandFailed(
            f"{what} is no JSON ({error}): quote it for the shell, for example '{{\"a\": 1}}'"
        ) from None


# check-config


def check_config(arguments: argparse.Namespace, world: World) -> None:
    config = load(read_file(arguments.file), world.environ)
    if mistakes := list(mistakes_of_parts(config)):
        raise CommandFailed("\n".join(mistakes))
    print("ok", file=world.out)
    print(worst_case(config, open_files()), file=world.out)


def mistakes_of_parts(config: Config) -> Iterator[str]:
    """What would stop the start although the file is right: templates, and keys that cannot be keys. The parts are imported
    when they are switched on: they bring large libraries with them."""
    checks: list[Callable[[], object]] = []
    if config.accounts.enabled:
        from rtserver.accounts.letters import LetterWriter
        from rtserver.web.accounts.templates import AccountPages

        templates = config.accounts.templates
        checks += [lambda: AccountPages(templates), lambda: LetterWriter(config.mail.sender_name, templates)]
    if config.payments.enabled:
        from rtserver.services.gateway_braintree_config import link_of

        checks.append(lambda: link_of(config.payments))
    for check in checks:
        try:
            check()
        except RtError as error:
            yield str(error)


# token


def signing_options(config: Config, channel: str | None) -> TokenOptions:
    """The options whose key signs this kind of token."""
    own = config.subscription_token if channel is not None else None
    options = own or config.token
    section = "client.subscription_token" if own else "client.token"
    if options.jwks_public_endpoint or not options.hmac_secret_key:
        raise CommandFailed(
            f"there is no key to sign with: set {section}.hmac_secret_key (without jwks_public_endpoint) in the file given by "
            "--config, or start the server once and let state_dir name the directory where it keeps its secrets"
        )
    return options


def claims(arguments: argparse.Namespace, options: TokenOptions, now: float) -> dict[str, Any]:
    """The claims of a token that this configuration accepts."""
    ttl = duration(arguments.ttl)
    found = {
        options.user_id_claim or "sub": arguments.user,
        "iat": int(now),
        "exp": int(now + ttl) if ttl else None,
        "channel": arguments.channel,
        "info": None if arguments.info is None else parse_json(arguments.info, "--info"),
        "aud": options.audience or None,
        "iss": options.issuer or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CommandFailed(f"--ttl: {error}") from None


def token(arguments: argparse.Namespace, world: World) -> None:
    options = signing_options(known(read_config(arguments.config, world)), arguments.channel)
    print(jwt.encode(claims(arguments, options, world.now()), options.hmac_secret_key, "HS256"), file=world.out)


# publish

SCHEMES = {"tcp": "http", "tcp4": "http", "tcp6": "http", "ssl": "https", "tls": "https"}
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def base_url(config: Config) -> str:
    """Where the API of a server with this configuration is found on this machine."""
    for endpoint in config.http_server.internal or config.listen:
        kind, *parts = endpoint.replace("\\:", "\0").split(":")
        if kind in SCHEMES and parts:
            named = dict(each.partition("=")[::2] for each in parts[1:])
            host = named.get("interface", "").replace("\0", ":")
            host = EVERYWHERE.get(host, host)
            return f"{SCHEMES[kind]}://{f'[{host}]' if ':' in host else host}:{parts[0].removeprefix('port=')}"
    raise CommandFailed("the server listens on no TCP port that can be told from here: give its address by --url")


ANSWERS = {
    401: "the server does not take the API key: give the right one by --key or in the file given by --config",
    404: "there is no API at this address: check --url (the tool adds /api/publish)",
}


def publish(arguments: argparse.Namespace, world: World) -> None:
    config = read_config(arguments.config, world)
    body = {"channel": arguments.channel, "data": parse_json(arguments.json, "the message")}
    status, answer, _ = ask(arguments, world, config, "/api/publish", body)
    print(json.dumps(result(status, answer)), file=world.out)


def ask(
    arguments: argparse.Namespace,
    world: World,
    config: Config,
    path: str,
    body: Any,
    seconds: float = ANSWER_TIMEOUT,
) -> tuple[int, bytes, str]:
    """POST to the server with the API key: status, body, and where it was sent."""
    url = (arguments.url or base_url(config)).rstrip("/") + path
    headers = {"Content-Type": "application/json", "X-API-Key": arguments.key or known(config).http_api.key}
    if not url.startswith(("http://", "https://")):
        raise CommandFailed("--url must begin with http:// or https://")
    request = urllib.request.Request(url, json.dumps(body).encode(), {k: v for k, v in headers.items() if v})
    try:
        status, answer = world.send(request, seconds)
    except (OSError, ValueError) as error:
        raise CommandFailed(
            f"no answer from {url} ({getattr(error, 'reason', error)}): is the server running, and is --url right?"
        ) from error
    return status, answer, url


def result(status: int, answer: bytes) -> Any:
    """What the API returned. Raises ``CommandFailed`` for an error, in either of its error modes."""
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if isinstance(found, dict) and status == 200 and "result" in found:
        return found["result"]
    error = found.get("error", found) if isinstance(found, dict) else None
    if isinstance(error, dict) and "code" in error:
        raise CommandFailed(f"the server refused: {error.get('message', 'no reason given')} (code {error['code']})")
    raise CommandFailed(ANSWERS.get(status, f"the answer (HTTP status {status}) is none of this API: check --url"))


# migrate


def migrate_database(arguments: argparse.Namespace, world: World) -> None:
    config = read_config(arguments.config, world)
    applied = migrate(config.database.placed(config.state_dir))
    for title in applied:
        print(f"{title} applied", file=world.out)
    if not applied:
        print("nothing to do: the schema is up to date", file=world.out)


# payments


def reconcile(arguments: argparse.Namespace, world: World) -> None:
    """Ends with 1 when somebody has to look at something."""
    config = read_config(arguments.config, world)
    today = datetime.fromtimestamp(world.now(), UTC).date()
    start = day(arguments.start, "--from") if arguments.start else midnight(str(today - timedelta(days=1)))
    end = day(arguments.end, "--to") if arguments.end else int(world.now() * 1000)
    if start >= end:
        raise CommandFailed("--to must be later than --from: it is the first day that is not in the report any more")
    span = {"start": start, "end": end}
    status, answer, url = ask(arguments, world, config, "/api/payments/reconcile", span, REPORT_TIMEOUT)
    report = report_of(status, answer, url)
    text = report.pop("text")
    print(json.dumps(report) if arguments.json else text, end="\n" if arguments.json else "", file=world.out)
    if not report["is_clean"]:
        raise CommandFailed("the books differ, or outcomes are unknown: look at the report")


def day(text: str, option: str) -> int:
    try:
        return midnight(text)
    except ValueError:
        raise CommandFailed(f"{option}: write a day as in 2026-11-22") from None


def midnight(text: str) -> int:
    """The beginning of a day in UTC, milliseconds since 1970. Raises ``ValueError``."""
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)


REPORT_ANSWERS = {
    401: "the server does not take the API key: give the right one by --key or in the file given by --config",
    404: "there are no payments at this address: switch them on (payments.enabled), and check --url",
}


def report_of(status: int, answer: bytes, url: str) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if status == 200 and isinstance(found, dict) and {"text", "is_clean"} <= found.keys():
        return found
    detail = found.get("detail") if isinstance(found, dict) else None
    if isinstance(detail, list) and detail and isinstance(detail[0], dict) and "msg" in detail[0]:
        raise CommandFailed(f"the server refused: {detail[0]['msg']}")
    raise CommandFailed(REPORT_ANSWERS.get(status, f"{url} answers {status}, and no report: look at the server's log"))


# version and the command line


def version(arguments: argparse.Namespace, world: World) -> None:
    print(f"rtserver {__version__}", file=world.out)


def add_payments(commands: Any) -> None:
    payments = commands.add_parser("payments", help="payments: compare ours with those of the gateway")
    parts = payments.add_subparsers(required=True, metavar="COMMAND")
    books = parts.add_parser("reconcile", help="tell every difference, by the HTTP API; ends with 1 when there is one")
    books.add_argument("--from", dest="start", metavar="DAY", help="the first day, in UTC (default: yesterday)")
    books.add_argument("--to", dest="end", metavar="DAY", help="the first day that is left out (default: up to now)")
    books.add_argument("--json", action="store_true", help="print the report as JSON")
    books.add_argument("--config", metavar="FILE")
    books.add_argument("--url", help="address of the server (default: where the configuration listens)")
    books.add_argument("--key", help="the API key (default: that of the configuration)")
    books.set_defaults(run=reconcile)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "rtserver", description="Tools of the realtime server. Run the server by: twistd rtserver"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check-config", help="tell every mistake in a configuration file")
    check.add_argument("file", metavar="FILE")
    check.set_defaults(run=check_config)

    sign = commands.add_parser("token", help="print a signed connection token, or with --channel a subscription token")
    sign.add_argument("--user", required=True, metavar="ID", help='the user; "" for an anonymous one')
    sign.add_argument("--channel", help="make a subscription token for this channel")
    sign.add_argument("--ttl", default="1h", help="how long it is valid; 0s: for ever (default 1h)")
    sign.add_argument("--info", metavar="JSON", help="what other clients are told of this one")
    sign.add_argument("--config", metavar="FILE")
    sign.set_defaults(run=token)

    post = commands.add_parser("publish", help="publish a message by the HTTP API")
    post.add_argument("channel", metavar="CHANNEL")
    post.add_argument("json", metavar="JSON")
    post.add_argument("--config", metavar="FILE")
    post.add_argument("--url", help="address of the server, without /api (default: where the configuration listens)")
    post.add_argument("--key", help="the API key (default: that of the configuration)")
    post.set_defaults(run=publish)

    schema = commands.add_parser("migrate", help="bring the database up to date (the server does it at its start too)")
    schema.add_argument("--config", metavar="FILE")
    schema.set_defaults(run=migrate_database)

    add_payments(commands)
    commands.add_parser("version", help="print the version").set_defaults(run=version)
    return top


def main(argv: Sequence[str] | None = None, world: World | None = None) -> int:
    arguments, around = parser().parse_args(argv), world or World()
    try:
        arguments.run(arguments, around)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=around.err)
        return 1
    except RtError as error:
        print(f"rtserver: {error}", file=around.err)
        return 1
    return 0
