"""Public keys from a JWKS address (RFC 7517), fetched with treq and kept.

A set of keys is fresh for an hour. A stale one is fetched again when a token needs it, and goes on being used while its
address does not answer. A key id that is not in the set makes for another fetch too, for keys change; but not more often than
every ten seconds, so that made-up ids cannot turn this server against the address. Who asks during a fetch waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool

from rtserver.core.errors import RtError
from rtserver.core.tokens import fill_endpoint
from rtserver.services.http_body import CollectedBody, Response
from rtserver.services.jwt_keys import Key, KeySet, parse_key_set

# zope's interfaces say nothing to a type checker: an IReactorTime.
Clock = Any


class KeysUnavailable(RtError):
    """The address of the keys did not answer with a key set."""


@dataclass(frozen=True, slots=True)
class JWKSLimits:
    """Times in seconds, sizes in bytes."""

    fresh: float = 3600
    stale: float = 24 * 3600
    """How long keys are used when they cannot be fetched again."""
    pause: float = 10
    """Between two fetches."""
    timeout: float = 5
    max_size: int = 256 * 1024
    max_keys: int = 200
    max_sets: int = 100


class Getter(Protocol):
    """The part of treq's ``HTTPClient`` that is used here."""

    def get(self, url: str, **arguments: Any) -> Deferred[Response]: ...


def http_client(reactor: Any, limits: JWKSLimits = JWKSLimits()) -> Getter:
    """A client for ``JWKS``. It keeps no connections: fetches are an hour apart."""
    pool = HTTPConnectionPool(reactor, persistent=False)
    client: Getter = HTTPClient(Agent(reactor, connectTimeout=limits.timeout, pool=pool))
    return client


class JWKS:
    """A ``KeySource`` at an http or https address, which may have placeholders (``{{name}}``). ``clock`` is the reactor."""

    def __init__(self, endpoint: str, http: Getter, clock: Clock, limits: JWKSLimits = JWKSLimits()) -> None:
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise ValueError("jwks_public_endpoint must begin with http:// or https://.")
        self._endpoint = endpoint
        self._http = http
        self._clock = clock
        self._limits = limits
        self._sets: dict[str, _Kept] = {}

    async def keys(self, kid: str, values: Mapping[str, str]) -> Mapping[str, Key]:
        """See ``KeySource``."""
        return await self._set(fill_endpoint(self._endpoint, dict(values))).keys(kid)

    def _set(self, url: str) -> _Kept:
        known = self._sets.get(url)
        if known is None:
            if len(self._sets) >= self._limits.max_sets:
                del self._sets[next(iter(self._sets))]
            known = self._sets[url] = _Kept(url, self._http, self._clock, self._limits)
        return known


class _Kept:
    """The keys of one address."""

    _log = Logger()

    def __init__(self, url: str, http: Getter, clock: Clock, limits: JWKSLimits) -> None:
        self._source = _Source(url, http, clock, limits)
        self._clock = clock
        self._limits = limits
        self._keys: KeySet = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._waiting: list[Deferred[None]] | None = None
        """Who waits for the fetch under way; None when there is none."""

    async def keys(self, kid: str) -> Mapping[str, Key]:
        if not (kid in self._keys and self._younger(self._fetched, self._limits.fresh)):
            await self._refresh()
        return self._keys.get(kid, {}) if self._younger(self._fetched, self._limits.stale) else {}

    def _younger(self, since: float | None, seconds: float) -> bool:
        return since is not None and self._clock.seconds() - since < seconds

    async def _refresh(self) -> None:
        """Fetch, or wait for the fetch under way; nothing when the last one began a moment ago."""
        if self._waiting is None:
            if self._younger(self._tried, self._limits.pause):
                return
            self._tried = self._clock.seconds()
            self._waiting = []
            fetching = self._source.fetch()
            turn = self._turn()
            fetching.addCallbacks(self._store, self._report).addBoth(self._release)
        else:
            turn = self._turn()
        await turn

    def _turn(self) -> Deferred[None]:
        assert self._waiting is not None
        turn: Deferred[None] = Deferred(self._leave)
        self._waiting.append(turn)
        return turn

    def _leave(self, turn: Deferred[None]) -> None:
        """A client that is gone waits no longer; the fetch goes on for the others."""
        if self._waiting is not None and turn in self._waiting:
            self._waiting.remove(turn)

    def _store(self, keys: KeySet) -> None:
        self._keys = keys
        self._fetched = self._clock.seconds()
        self._log.info("Fetched {count} keys for tokens from {place}.", count=len(keys), place=self._source.place)

    def _report(self, failure: Failure) -> None:
        self._log.warn(
            "Keys for tokens cannot be fetched from {place}: {why}",
            place=self._source.place,
            why=failure.getErrorMessage() or repr(failure.value),
        )

    def _release(self, result: object) -> object:
        waiting, self._waiting = self._waiting or [], None
        for turn in waiting:
            if not turn.called:
                turn.callback(None)
        return result


class _Source(NamedTuple):
    """An address and the way to it."""

    url: str
    http: Getter
    clock: Clock
    limits: JWKSLimits

    @property
    def place(self) -> str:
        """The address for the log: without user, password and query."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"

    def fetch(self) -> Deferred[KeySet]:
        """The keys of the address, within the time limit."""
        return Deferred.fromCoroutine(self._get()).addTimeout(self.limits.timeout, self.clock)

    async def _get(self) -> KeySet:
        response = await self.http.get(self.url, headers={"Accept": "application/json"}, allow_redirects=False)
        body = await CollectedBody(self.limits.max_size).read(response)
        if response.code != 200:
            raise KeysUnavailable(f"The answer has status {response.code}: the address must answer 200 with a key set.")
        try:
            return parse_key_set(body, self.limits.max_keys)
        except ValueError as error:
            raise KeysUnavailable(str(error)) from None
