"""Where the database is and how long it may take.

Forms of an address (user and password are percent-encoded):

* ``sqlite:PATH``: a file; a relative path is in the state directory;
* ``postgresql://[user[:password]@][host[:port]][,host[:port]...][/database][?name=value&...]`` (or ``postgres://``): the
  names after ``?`` are those of libpq (https://www.postgresql.org/docs/current/libpq-connect.html, section 34.1.2). A Unix
  socket is ``postgresql:///database?host=/run/postgresql``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from rtserver.services.host_port import host_port

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
POSTGRESQL_PORT = 5432

_POSTGRES_SCHEMES = ("postgresql", "postgres")
_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")

LIBPQ = frozenset(
    """application_name channel_binding gssencmode host hostaddr keepalives keepalives_count keepalives_idle
    keepalives_interval krbsrvname options passfile password port require_auth service ssl_max_protocol_version
    ssl_min_protocol_version sslcert sslcompression sslcrl sslkey sslmode sslpassword sslrootcert sslsni
    target_session_attrs tcp_user_timeout user""".split()
)
"""The parameters of libpq that an address may have. Times of connecting and statements have keys of their own here."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """One database. ``label`` is safe to log. ``path`` is set for SQLite, ``parameters`` (of libpq) for PostgreSQL."""

    kind: str
    label: str
    path: str = ""
    parameters: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """The section ``database`` of the configuration. Times in seconds.

    ``pool_size``: connections to PostgreSQL for statements; one more reads the outbox. ``connect_timeout``: for one
    connection to be made. ``wait_timeout``: how long a statement may wait for its turn. ``statement_timeout`` and
    ``transaction_timeout``: how long one may take. ``queue_limit``: how many may wait for their turn. ``outbox``: whether
    this server publishes what other programs put into the outbox.
    """

    url: str = field(default="sqlite:rtserver.db", repr=False)
    pool_size: int = 8
    connect_timeout: float = 5.0
    wait_timeout: float = 5.0
    statement_timeout: float = 5.0
    transaction_timeout: float = 15.0
    queue_limit: int = 1_000
    outbox: bool = True

    def address(self) -> StoreAddress:
        """Raises ``ValueError`` with a sentence that never holds a password."""
        return parse_address(self.url)

    def placed(self, state_dir: str) -> DatabaseOptions:
        """The same with the path of a SQLite file made absolute."""
        address = self.address()
        if address.kind != SQLITE:
            return self
        return replace(self, url=f"{SQLITE}:{Path(state_dir).absolute() / address.path}")


def parse_address(url: str) -> StoreAddress:
    """Raises ``ValueError``: what is wrong with the address, and what it should look like."""
    scheme, found, rest = url.partition(":")
    if not found or scheme not in (SQLITE, *_POSTGRES_SCHEMES):
        raise ValueError("the address of a database begins with sqlite: or postgresql://")
    if scheme == SQLITE:
        return _sqlite(rest)
    if not rest.startswith("//"):
        raise ValueError("an address of PostgreSQL is written postgresql://user:password@host:5432/database")
    return _postgres(rest[2:])


def _sqlite(path: str) -> StoreAddress:
    if path.startswith("//"):
        raise ValueError("an address of SQLite is sqlite: and a path, for example sqlite:/var/lib/rtserver/rtserver.db")
    if not path or path.endswith("/") or path.startswith((":memory:", "file:")):
        raise ValueError("an address of SQLite names a file, for example sqlite:rtserver.db")
    return StoreAddress(SQLITE, path, path=path)


def _postgres(text: str) -> StoreAddress:
    if _PERCENT.search(text):
        raise ValueError(
            "a % in an address of PostgreSQL begins a code of two digits: write %25 for the character itself"
        )
    before, _, query = text.partition("?")
    authority, _, database = before.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    found = {"user": unquote(user), "password": unquote(password), "dbname": unquote(database)}
    found |= _hosts(hosts) | _query(query)
    parameters = {name: value for name, value in found.items() if value}
    place = hosts or parameters.get("host", "the local socket")
    return StoreAddress(POSTGRESQL, f"{place}/{found['dbname']}".removesuffix("/"), parameters=parameters)


def _hosts(text: str) -> dict[str, str]:
    """``host``, ``host:port``, ``[::1]:port``, and several of them with commas between."""
    pairs = [host_port(each, POSTGRESQL_PORT, "PostgreSQL") for each in text.split(",")] if text else []
    if not pairs:
        return {}
    return {"host": ",".join(unquote(host) for host, _ in pairs), "port": ",".join(str(port) for _, port in pairs)}


def _query(text: str) -> dict[str, str]:
    found = dict(parse_qsl(text, keep_blank_values=True))
    unknown = sorted(found.keys() - LIBPQ)
    if unknown:
        raise ValueError(f"an address of PostgreSQL cannot have {', '.join(unknown)}: it may have {_some(LIBPQ)}")
    return found


def _some(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
