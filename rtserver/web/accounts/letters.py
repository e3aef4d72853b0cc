"""For development: the letters that the server writes into files instead of sending them, to be read in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from rtserver.accounts.errors import AccountRefused
from rtserver.app.endpoint import Endpoint, Response
from rtserver.web.accounts.answers import HTML
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import AccountEndpoint, Door
from rtserver.web.accounts.visit import Manners, Visit

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""What proxies say of themselves."""

_PORT = re.compile(r":\d+\Z")


class Shelf(Protocol):
    """Where the letters are. Each has ``id``, ``to``, ``subject`` and ``sent_at`` (milliseconds since 1970)."""

    async def recent(self) -> list[Any]:
        """The newest first."""

    async def read(self, id: str) -> tuple[Any, str] | None:
        """A letter and its text; None when it is not there."""


class Letters:
    """Letters hold links that sign people in, so only browsers on this machine get to see them, and only those that ask
    without a proxy."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        self._desk = desk
        self._shelf = shelf

    def endpoints(self) -> list[Endpoint]:
        page = Manners(shows_page=True)
        doors: dict[Callable[..., Any], Door] = {
            self.letters_page: Door("GET", "/auth/letters", page, others=(404,)),
            self.letter_page: Door("GET", "/auth/letters/{id}", page, others=(404,)),
        }
        return [AccountEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def letters_page(self, visit: Visit) -> Response:
        """Page: the letters of this server (for development, on this machine only)"""
        _check_near(visit)
        return Response(self._desk.pages.render("letters", letters=await self._shelf.recent()), HTML)

    async def letter_page(self, visit: Visit, id: str) -> Response:
        """Page: one letter (for development, on this machine only)"""
        _check_near(visit)
        found = await self._shelf.read(id)
        if found is None:
            raise _nothing()
        line, text = found
        letter = {"to": line.to, "subject": line.subject, "sent_at": line.sent_at, "text": text}
        return Response(self._desk.pages.render("letter", letter=letter), HTML)


def _check_near(visit: Visit) -> None:
    """A proxy is near whoever stands behind it, and a page elsewhere can give its own name this machine's address (DNS
    rebinding): so the browser must have asked here, by a name of this machine."""
    is_direct = not any(visit.header(name) for name in FORWARDED)
    if not (is_direct and _is_near(visit.remote) and all(map(_names_this_machine, visit.header("host")))):
        raise _nothing()


def _names_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if _PORT.search(host) else host
    name = name.strip("[]").lower()
    return name == "localhost" or name.endswith(".localhost") or _is_near(name)


def _is_near(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _nothing() -> AccountRefused:
    return AccountRefused("not_found", "There is nothing here.", status=404)
