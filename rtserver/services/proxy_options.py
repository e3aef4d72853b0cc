"""The options of HTTP proxies, and what can be wrong with them. Names as in Centrifugo 6 (its page "Proxy events to the
backend"); ``emulated_headers`` as in its release 6.9.

The checks raise ``ValueError`` with a sentence that does not repeat the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rtserver.core.options import Seconds

DEFAULT = "default"
"""The name by which a namespace asks for the proxy of the section instead of a named one."""

ERROR_CODES = range(100, 2000)
"""Codes of error replies that a backend may choose; below 100 are those that SDKs make themselves."""

DISCONNECT_CODES = range(3000, 5000)
"""Close codes that a server may send (RFC 6455 section 7.4.2). 4000-4499 let clients come back, 4500-4999 do not."""

REASON_SIZE = 123
"""Bytes that a close frame has for its reason (RFC 6455 section 5.5)."""

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OWN_HEADERS = frozenset(
    "connection content-encoding content-length content-type expect keep-alive proxy-connection te trailer "
    "transfer-encoding upgrade accept-encoding".split()
)
"""Headers of the request to the backend that this server writes itself: a foreign value would break its framing."""


@dataclass(frozen=True, slots=True)
class TransformError:
    """An error reply. ``code`` 0: none."""

    code: int = 0
    message: str = ""
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class TransformDisconnect:
    """The end of the connection. ``code`` 0: none."""

    code: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StatusTransform:
    """What an HTTP status other than 200 means to the client: one of the two."""

    status_code: int = 0
    to_error: TransformError = TransformError()
    to_disconnect: TransformDisconnect = TransformDisconnect()


@dataclass(frozen=True, slots=True)
class ProxyHTTPOptions:
    """``static_headers`` go with every request; they may hold a secret."""

    static_headers: dict[str, str] = field(default_factory=dict, repr=False)
    status_to_code_transforms: tuple[StatusTransform, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """One endpoint of a backend. ``timeout`` bounds the whole exchange.

    ``http_headers`` are forwarded from the handshake, ``emulated_headers`` from the connect command, where any client can
    write what it likes.
    """

    endpoint: str = ""
    timeout: Seconds = Seconds(1)
    http_headers: tuple[str, ...] = ()
    emulated_headers: tuple[str, ...] = ()
    include_connection_meta: bool = False
    binary_encoding: bool = False
    http: ProxyHTTPOptions = field(default_factory=ProxyHTTPOptions)


@dataclass(frozen=True, slots=True)
class ClientProxyOptions(ProxyOptions):
    """The proxy of connect or of refresh: on for every client, or off."""

    enabled: bool = False


@dataclass(frozen=True, slots=True)
class RpcOptions:
    """Whether calls of one namespace of methods go to a proxy, and to which."""

    proxy_enabled: bool = False
    proxy_name: str = DEFAULT


@dataclass(frozen=True, slots=True)
class RpcRules:
    """Which methods go where. ``namespaces`` maps the part of a method before the boundary to its options."""

    namespace_boundary: str = ":"
    without_namespace: RpcOptions = field(default_factory=RpcOptions)
    namespaces: dict[str, RpcOptions] = field(default_factory=dict)

    @property
    def in_use(self) -> bool:
        return self.without_namespace.proxy_enabled or any(each.proxy_enabled for each in self.namespaces.values())


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Everything that ``ProxyHooks`` are made of. ``defaults`` maps "subscribe", "publish", "sub_refresh" and "rpc" to the
    proxy that namespaces use unless they name another, ``named`` holds those others."""

    connect: ClientProxyOptions = field(default_factory=ClientProxyOptions)
    refresh: ClientProxyOptions = field(default_factory=ClientProxyOptions)
    defaults: Mapping[str, ProxyOptions] = field(default_factory=dict)
    named: Mapping[str, ProxyOptions] = field(default_factory=dict)
    rpc: RpcRules = field(default_factory=RpcRules)


def check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good, parts = False, urlsplit("")
    if parts.scheme.startswith("grpc"):
        raise ValueError("proxies speak HTTP here, not GRPC: write the http:// or https:// address of your backend")
    if not good or any(each.isspace() for each in endpoint):
        raise ValueError("write an http:// or https:// address with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not hold a password: send it with http.static_headers")
    if parts.fragment:
        raise ValueError("take the part after # away: it is never sent")


def check_own_header(name: str) -> None:
    """A header that the operator sets."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError("write the name of an HTTP header: letters, digits and -")
    if name.lower() in OWN_HEADERS:
        raise ValueError("the server writes this header itself: take it out")


def check_forwarded_header(name: str) -> None:
    """A header that comes from a client."""
    check_own_header(name)
    if name.lower() == "host":
        raise ValueError("this header names the backend and not what the client asked for: take it out")


def check_static_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        check_own_header(name)
        if not value.isprintable():
            raise ValueError("values of headers are one line of printable characters")


def check_error_code(code: int) -> None:
    if code not in ERROR_CODES:
        raise ValueError(f"codes of errors are {ERROR_CODES[0]} to {ERROR_CODES[-1]}, your own from 400 on")


def check_disconnect(code: int, reason: str) -> None:
    if code not in DISCONNECT_CODES:
        raise ValueError("codes of disconnects are 4000 to 4499 (clients come back) and 4500 to 4999 (they do not)")
    if len(reason.encode("utf-8", "replace")) > REASON_SIZE:
        raise ValueError(f"the reason of a disconnect has at most {REASON_SIZE} bytes")
    if _is_json(reason):
        raise ValueError("the reason of a disconnect must be a sentence: SDKs read a JSON value as something else")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def check_transform(transform: StatusTransform) -> None:
    if transform.status_code not in range(100, 600) or transform.status_code == 200:
        raise ValueError("status_code is an HTTP status other than 200")
    if bool(transform.to_error.code) == bool(transform.to_disconnect.code):
        raise ValueError("give the code of either to_error or to_disconnect")
    if transform.to_error.code:
        check_error_code(transform.to_error.code)
    else:
        check_disconnect(transform.to_disconnect.code, transform.to_disconnect.reason)


def forgeable(options: ProxyOptions) -> bool:
    """Whether a client could write a header that is meant to be the operator's."""
    static = {name.lower() for name in options.http.static_headers}
    return any(name.lower() in static for name in options.emulated_headers)
