"""From options to the SDK's gateway: where it is, how it is reached, how long it may take.

The SDK checks certificates only when it is given some, and takes https only on port 443 of its environments (read in
``braintree.environment`` 4.48.0); both are seen to here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import braintree
from braintree.environment import Environment

from rtserver.core.errors import CannotStart
from rtserver.payments.options import PaymentsOptions
from rtserver.services.gateway_braintree_wire import Door, Wire, is_loopback
from rtserver.services.gateway_braintree_xml import read_tidily

IDLE = 20
"""Seconds after which a connection is not used again: one that the far side closed meanwhile costs an answer."""

SIMULATOR = ("simulator_merchant", "simulator_public", "simulator_private")
"""What the simulator knows when nothing else is said: merchant, public key, private key."""

_NAMES = ("merchant_id", "public_key", "private_key")


@dataclass(frozen=True, slots=True)
class Link:
    """``sdk`` is a ``braintree.BraintreeGateway``, ``door`` what it speaks HTTP by."""

    sdk: Any
    door: Door
    options: PaymentsOptions


def link_of(
    options: PaymentsOptions, environment: Any = None, strategy: Callable[[Any, Any], Any] | None = None
) -> Link:
    """``environment`` and ``strategy`` (``(config, environment)`` -> something with ``http_do`` and ``handle_exception``) are
    the SDK's own; without them they follow from the options. Raises ``CannotStart``."""
    where = environment or ENVIRONMENTS[options.mode](options)
    _check_certificates(where)
    read_tidily()
    wire = strategy or partial(Wire, total=options.timeout, clock=time.monotonic)
    merchant, public, private = _keys(options)
    doors: list[Door] = []

    def door_of(config: Any, environment: Any) -> Door:
        doors.append(Door(wire(config, environment)))
        return doors[-1]

    config = braintree.Configuration(
        where,
        merchant_id=merchant,
        public_key=public,
        private_key=private,
        timeout=(float(options.connect_timeout), float(options.timeout)),
        wrap_http_exceptions=True,
        http_strategy=door_of,
        max_connection_idle_seconds=IDLE,
    )
    return Link(braintree.BraintreeGateway(config=config), doors[0], options)


def _keys(options: PaymentsOptions) -> tuple[str, str, str]:
    given = (options.merchant_id, options.public_key, options.private_key)
    if options.mode == "simulator" and not any(given):
        return SIMULATOR
    missing = [name for name, value in zip(_NAMES, given, strict=True) if not value]
    if missing:
        raise CannotStart(
            f"set {', '.join(f'payments.{name}' for name in missing)}: Braintree's control panel shows them"
        )
    if not all(value.isascii() and value.isprintable() and " " not in value for value in given):
        raise CannotStart(
            "payments.merchant_id, public_key and private_key are plain ASCII without spaces: copy them again"
        )
    return given


def _simulator(options: PaymentsOptions) -> Any:
    parts = urlsplit(options.simulator_url)
    host, port = parts.hostname or "", _port(parts)
    if parts.scheme != "http" or not is_loopback(host) or port in (None, 443):
        raise CannotStart(
            "payments.simulator_url must be http:// on this machine (127.0.0.1, [::1], localhost), not on port 443: the"
            " simulator speaks no https, and no payment of mode simulator leaves this machine"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise CannotStart("payments.simulator_url has a host and a port only: write http://127.0.0.1:3999")
    server = f"[{host}]" if ":" in host else host
    # Port as a text, else the SDK fails. TLS is out of the question: it would take it on port 443 only.
    return Environment("simulator", server, str(port), "", False, None, server, str(port))


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or 80
    except ValueError:
        return None


def _check_certificates(environment: Any) -> None:
    """https without certificates to check by would be taken by the SDK, and would check none."""
    trusted = environment.ssl_certificate
    if not environment.base_url.startswith("https://") or trusted is True:
        return
    if not trusted or not Path(trusted).is_file():
        raise CannotStart(
            "the certificates by which Braintree is known are missing: install the package braintree again (it brings"
            " braintree/ssl/api_braintreegateway_com.ca.crt)"
        )


ENVIRONMENTS: Mapping[str, Callable[[PaymentsOptions], Any]] = {
    "simulator": _simulator,
    "sandbox": lambda _options: Environment.Sandbox,
    "production": lambda _options: Environment.Production,
}
"""payments.mode -> where the gateway is."""
