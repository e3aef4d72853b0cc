"""``python -m rtserver.simulator --port 3999 --merchant m --public-key p --private-key k``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from secrets import token_hex
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure

from rtserver.simulator.control import Desk
from rtserver.simulator.faults import Faults
from rtserver.simulator.gateway import Gateway, Setup
from rtserver.simulator.merchant import Keys
from rtserver.simulator.routes import find_route
from rtserver.simulator.sender import Sender, is_loopback
from rtserver.simulator.shelf import World
from rtserver.simulator.site import make_site
from rtserver.simulator.subscriptions import Plan

ACCOUNTS = (("shop_usd", "USD"), ("shop_eur", "EUR"), ("shop_jpy", "JPY"), ("seller_usd", "USD"))
PLANS = (
    Plan("monthly", Decimal("9.99"), "USD", 1, "Monthly"),
    Plan("yearly", Decimal("99"), "USD", 12, "Yearly"),
    Plan("monthly_eur", Decimal("8.99"), "EUR", 1, "Monthly, in euro"),
    Plan("trial", Decimal("9.99"), "USD", 1, "Monthly, after 14 days free", trial_days=14),
    Plan("three_times", Decimal("30"), "USD", 1, "In three instalments", cycles=3),
)
MAX_CONNECTIONS = 1_000
ACCOUNT = re.compile(r"([A-Za-z0-9_-]{1,36})=([A-Z]{3})")


def host(text: str) -> str:
    if not is_loopback(text):
        raise argparse.ArgumentTypeError("the simulator listens on the loopback only: 127.0.0.1")
    return "127.0.0.1" if text == "localhost" else text


def port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535; 0 takes a free one")
    return int(text)


def account(text: str) -> tuple[str, str]:
    found = ACCOUNT.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("ID=CURRENCY, such as shop_usd=USD")
    return found[1], found[2]


def arguments(given: Sequence[str]) -> argparse.Namespace:
    about = "A simulator of the Braintree gateway, for development and tests. Test keys only."
    parser = argparse.ArgumentParser("python -m rtserver.simulator", description=about)
    parser.add_argument("--host", type=host, default="127.0.0.1", help="an address of the loopback (%(default)s)")
    parser.add_argument("--port", type=port, default=3999, help="TCP port; 0 takes a free one (%(default)s)")
    parser.add_argument("--merchant", default="simulator_merchant", help="merchant id (%(default)s)")
    parser.add_argument("--public-key", default="simulator_public", help="(%(default)s)")
    parser.add_argument("--private-key", default="simulator_private", help="(%(default)s)")
    parser.add_argument(
        "--merchant-account",
        type=account,
        action="append",
        metavar="ID=CURRENCY",
        help="again and again; the first is the default",
    )
    parser.add_argument("--until-input-ends", action="store_true", help="end when the standard input does")
    parser.add_argument("--quiet", action="store_true", help="log warnings only")
    return parser.parse_args(given)


class Door(WrappingFactory):
    """A bound on connections; who comes above it is turned away."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return super().buildProtocol(addr) if len(self.protocols) < MAX_CONNECTIONS else None


def build(reactor: Any, options: argparse.Namespace) -> Door:
    """Everything, put together."""
    keys = Keys(options.merchant, options.public_key, options.private_key)
    world = World(time.time, lambda: token_hex(5))
    gateway = Gateway(Setup(keys, tuple(options.merchant_account or ACCOUNTS), PLANS), world, find_route)
    door: Any = Door
    made: Door = door(make_site(Desk(gateway, Faults(), Sender(reactor, gateway)), reactor))
    made.noisy = False
    return made


class LastWord(Protocol):
    """Whoever started us has ended, or closed our standard input."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        from twisted.internet import reactor as installed

        reactor: Any = installed
        if reactor.running:
            reactor.stop()


def begin_log(quiet: bool) -> None:
    level = LogLevel.warn if quiet else LogLevel.info
    observer: Any = FilteringLogObserver(textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(level)])  # type: ignore[list-item, arg-type]
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def main(given: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT. The first line on standard output tells the port."""
    options = arguments(given)
    begin_log(options.quiet)
    from twisted.internet import reactor as installed

    reactor: Any = installed
    try:
        listening = reactor.listenTCP(options.port, build(reactor, options), interface=options.host)
    except CannotListenError as error:
        print(f"port {options.port} cannot be had ({error.socketError}): choose another with --port", file=sys.stderr)
        return 1
    if options.until_input_ends:
        StandardIO(LastWord())
    print(f"the simulator listens on {options.host}:{listening.getHost().port}", flush=True)
    reactor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
