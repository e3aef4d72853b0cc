"""Where Redis is and how to talk to it.

Forms of an address (parts in brackets may be left out, user and password are percent-encoded):

* ``redis://[[user]:password@]host[:port][/db]``, ``rediss://...`` the same over TLS;
* ``unix://[[user]:password@]/path/to/socket[?db=n]``;
* ``redis+sentinel://[[user]:password@]host[:port],host[:port].../master[/db]`` (or ``rediss+sentinel://``): the Sentinels
  and the name that they know the master by. User and password are those of the Redis servers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from rtserver.services.host_port import host_port

REDIS_PORT = 6379
SENTINEL_PORT = 26379

_TLS = {
    "redis": False,
    "rediss": True,
    "unix": False,
    "redis+sentinel": False,
    "rediss+sentinel": True,
}


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis. Exactly one of ``host``, ``path`` and ``sentinels`` is set. ``label`` is safe to log."""

    label: str
    host: str = ""
    port: int = REDIS_PORT
    path: str = ""
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """The section ``redis`` of the configuration. Times in seconds.

    ``address``: several addresses share the channels by consistent hashing. ``prefix`` begins the name of every key,
    function and internal pub/sub channel. ``publish_prefix`` begins the names that other programs publish to: plain
    ``PUBLISH <publish_prefix><channel> <data>`` and the durable inbox, a stream ``<publish_prefix>in``; "" closes both.
    ``tls_ca`` is a PEM file of trusted roots (else the system's), ``tls_cert`` and ``tls_key`` a PEM client certificate;
    ``tls_insecure`` checks no certificate at all.
    """

    address: tuple[str, ...] = field(default=("redis://127.0.0.1:6379/0",), repr=False)
    prefix: str = "rtserver"
    publish_prefix: str = "rt:"
    connect_timeout: float = 1.0
    io_timeout: float = 4.0
    presence_ttl: float = 60.0
    max_waiting: int = 10_000
    """Commands that may wait for an answer (or for a connection), each at most ``io_timeout``."""
    max_waiting_bytes: int = 64 * 1024 * 1024
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_insecure: bool = False
    sentinel_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.address:
            raise ValueError("redis.address is empty: give at least one address such as redis://127.0.0.1:6379/0")
        if not self.prefix:
            raise ValueError('redis.prefix is empty: give a word such as "rtserver" that begins the names of all keys')
        if self.publish_prefix and f"{self.prefix}.".startswith(self.publish_prefix):
            raise ValueError(
                "redis.publish_prefix is the beginning of redis.prefix, so the server would take its own messages for "
                'those of other programs: choose another, such as "rt:"'
            )
        if self.publish_prefix.startswith(f"{self.prefix}."):
            raise ValueError(
                "redis.publish_prefix begins with redis.prefix and a dot, where the server keeps its own names: "
                'choose another, such as "rt:"'
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("redis.tls_cert and redis.tls_key belong together: give both or neither")

    def addresses(self) -> list[Address]:
        """Raises ``ValueError`` with a sentence that never holds a password."""
        return [parse_address(url) for url in self.address]


def parse_address(url: str) -> Address:
    """Raises ``ValueError``: what is wrong with the address, and what it should look like."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _TLS:
        raise ValueError(f"a Redis address begins with one of {', '.join(s + '://' for s in _TLS)}")
    credentials, _, place = rest.rpartition("@")
    username, colon, password = credentials.partition(":")
    if credentials and not colon:
        raise ValueError("the part of a Redis address before @ is user:password, or :password for the default user")
    known = {"username": unquote(username), "password": unquote(password), "tls": _TLS[scheme]}
    if scheme == "unix":
        return _unix(place, known)
    hosts, _, path = place.partition("/")
    if scheme.endswith("sentinel"):
        return _sentinel(hosts, path, known)
    if "," in hosts:
        raise ValueError("an address redis:// has one host; several Redis servers are several addresses")
    host, port = host_port(hosts, REDIS_PORT, "Redis")
    return Address(label=f"{host}:{port}", host=host, port=port, db=_database(path), **known)  # type: ignore[arg-type]


def _unix(place: str, known: dict[str, object]) -> Address:
    path, _, query = place.partition("?")
    if not path.startswith("/"):
        raise ValueError("a Redis address unix:// holds an absolute path, such as unix:///run/redis/redis.sock")
    db = parse_qs(query).get("db", ["0"])[0]
    return Address(label=path, path=unquote(path), db=_database(db), **known)  # type: ignore[arg-type]


def _sentinel(hosts: str, path: str, known: dict[str, object]) -> Address:
    master, _, db = path.partition("/")
    if not master:
        raise ValueError("a Sentinel address ends with the name of the master: redis+sentinel://host:26379/mymaster")
    sentinels = tuple(host_port(host, SENTINEL_PORT, "Redis") for host in hosts.split(","))
    label = f"{unquote(master)} by Sentinel"
    return Address(label=label, sentinels=sentinels, master=unquote(master), db=_database(db), **known)  # type: ignore[arg-type]


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("the database at the end of a Redis address is a number, such as /0")
    return int(text) if text else 0
