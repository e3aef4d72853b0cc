"""The pages and endpoints of accounts on a fresh database, and browsers that keep cookies and ask for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from rtserver.accounts.confirming import Confirming
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.providers import Providers
from rtserver.accounts.proving import Wanted, ask
from rtserver.accounts.records import Account, Proof, Purpose
from rtserver.accounts.social import AwaitsProof, NeedsAddress, Offer, Outcome, SignedIn, Visit
from rtserver.accounts.tokens import ConnectionTokens
from rtserver.app.routes import Routes
from rtserver.core.accounts import parse_address
from rtserver.web.accounts import Desk, Flows, account_endpoints, account_givers
from rtserver.web.endpoints import EndpointsResource, Surroundings
from tests.accounts.house import OPTIONS, PASSWORD, House
from tests.accounts.sqlite_house import house_in
from tests.api_house import no_threads
from tests.fakes import FakeLog
from tests.line import Answer, Port, parse

OWN = "https://example.org"
FRIEND = "https://friend.example"
"""An origin that may send things."""
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


class FakePages:
    """``shown`` has every page that was made, with its values."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def render(self, name: str, **values: Any) -> bytes:
        self.shown.append((name, values))
        return f"<{name}>".encode()

    def static(self, name: str) -> tuple[bytes, str]:
        return f"/* {name} */".encode(), "text/css; charset=utf-8"


class FakeSocial:
    """A provider that says what ``answers`` has for the ``code`` in the address: an outcome or an error."""

    offers = (Offer("example", "Example ID"), Offer("other", "Other"))

    def __init__(self) -> None:
        self.answers: dict[str, Outcome | Exception] = {}
        self.asked: list[tuple[str, str, Visit]] = []

    async def begin(self, name: str, visit: Visit) -> str:
        self.asked.append(("begin", name, visit))
        if name not in dict(self.offers):
            raise AccountRefused("backend_missing", "Nobody signs in this way here.", status=404)
        return f"https://id.example/authorize?state=s1&client_id={name}"

    async def complete(self, name: str, visit: Visit) -> Outcome:
        self.asked.append(("complete", name, visit))
        return self._answer(visit.values["code"], visit)

    async def with_address(self, token: str, visit: Visit) -> Outcome:
        self.asked.append(("with_address", token, visit))
        return self._answer(token, visit)

    async def resume(self, proof: Proof, visit: Visit) -> Outcome:
        raise AssertionError("letters of providers are resumed by the house")

    def _answer(self, code: str, visit: Visit) -> Outcome:
        answer = self.answers.get(code) or AccountRefused("nonce_mismatch", "That was not begun here.", status=403)
        if isinstance(answer, Exception):
            raise answer
        return SignedIn(answer.account, visit.target) if isinstance(answer, SignedIn) else answer


class WebHouse:
    """``pages``: the templates, or a fake of them."""

    def __init__(self, house: House, pages: Any = None) -> None:
        self.house = house
        self.pages = pages or FakePages()
        self.social = FakeSocial()
        self.clock = Clock()
        self.log = FakeLog()
        self.build()

    def build(self) -> None:
        house = self.house
        sign = lambda claims: json.dumps(claims)  # noqa: E731
        tokens = ConnectionTokens(house.parts.options, sign, lambda: house.unix)
        providers = Providers(house.parts, self.social)
        confirming = Confirming(house.parts, house.resume)
        flows = Flows(house.passwords, confirming, providers, tokens)
        self.desk = Desk(house.parts, flows, self.pages, self.log, allows=lambda origin: origin == FRIEND)
        self.givers = account_givers(self.desk)
        around = Surroundings(self.clock, self.log, no_threads, lambda origin: False, self.givers)
        self.endpoints = account_endpoints(self.desk)
        self.resource = EndpointsResource(Routes(self.endpoints), around)
        self.port = Port(self.clock, {"/*": self.resource})

    def configure(self, options: AccountsOptions) -> None:
        self.house.configure(options)
        self.build()

    def browser(self, **headers: str) -> Browser:
        return Browser(self, headers)

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, Any]) -> Answer:
        line = self.port.begin(method, path, body, dict(headers))
        while self.resource.waiting:
            await deferLater(reactor, 0)  # type: ignore[arg-type]  # the database answers in a later turn
        return parse(line.take())

    def page(self) -> tuple[str, dict[str, Any]]:
        """The page that was made last."""
        return self.pages.shown[-1]

    async def person(self, name: str = "ada", password: str | None = PASSWORD) -> Account:
        return await self.house.person(name, password)

    async def claim(self, browser: str, email: str = "ada@example.org") -> Proof:
        """A letter that an identity of a provider waits for, asked for by the browser with this key."""
        data = {"partial": "token", "backend": "example", "title": "Example ID", "handle": "mallory"}
        values = {"provider": "Example ID", "handle": "mallory"}
        address = parse_address(email)
        wanted = Wanted(Purpose.PROVIDER, address, "confirm_provider", browser, "/chat", data=data, values=values)
        return await self.house.parts.database.transact(lambda tx: ask(self.house.parts, tx, wanted))

    async def signed(self) -> str:
        """The signed code of the newest letter."""
        return (await self.house.letter()).signed


class Browser:
    """``headers`` go with every request. ``jar`` are its cookies, by name."""

    def __init__(self, web: WebHouse, headers: Mapping[str, str]) -> None:
        self._web = web
        self._headers = headers
        self.jar: dict[str, str] = {}
        self.csrf = ""
        """What pages of this browser know. See ``know``."""

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """As a person does: HTML is welcome."""
        return await self._ask(method, path, b"", {"Accept": HTML, **headers})

    async def read(self, path: str, **headers: str) -> Answer:
        """As a program does."""
        return await self._ask("GET", path, b"", {"Accept": "application/json", **headers})

    async def form(self, path: str, /, fields: Mapping[str, str] | None = None, **headers: str) -> Answer:
        """A form of a page of this browser."""
        values = {"csrf": self.csrf, **(fields or {})}
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": HTML, "Origin": OWN}
        return await self._ask("POST", path, urlencode(values).encode(), {**kind, **headers})

    async def post(self, path: str, /, body: Any = None, **headers: str) -> Answer:
        kind = {"Content-Type": "application/json", **({"X-CSRF-Token": self.csrf} if self.csrf else {})}
        return await self._ask("POST", path, json.dumps(body or {}).encode(), {**kind, **headers})

    async def know(self) -> Browser:
        """Ask for the session and its token."""
        self.csrf = (await self.read("/auth/session")).json["csrf"]
        return self

    async def sign_in(self, name: str = "ada", password: str = PASSWORD) -> Browser:
        if self.jar:
            await self.know()
        answer = await self.post("/auth/sign-in", {"name": name, "password": password})
        assert answer.status == 200, answer
        self.csrf = answer.json["csrf"]
        return self

    async def user(self) -> str:
        """The name of who is signed in."""
        user = (await self.read("/auth/session")).json["user"]
        return user["username"] if user else ""

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}
        answer = await self._web.ask(method, path, body, {**cookies, **self._headers, **headers})
        for line in answer.headers.getRawHeaders("set-cookie") or []:
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            self.jar.pop(name, None) if "Max-Age=0" in line else self.jar.update({name: value})
        return answer


@asynccontextmanager
async def web_house(folder: Path, pages: Any = None, options: AccountsOptions = OPTIONS) -> AsyncIterator[WebHouse]:
    async with house_in(folder) as house:
        house.configure(options)
        web = WebHouse(house, pages)
        yield web
        web.log.check()


__all__ = ["FRIEND", "OWN", "AwaitsProof", "Browser", "FakePages", "NeedsAddress", "WebHouse", "web_house"]
