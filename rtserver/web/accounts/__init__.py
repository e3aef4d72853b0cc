"""The pages and endpoints of accounts, all below /auth.

``Desk`` holds what they are made of; ``account_endpoints`` are to be served, ``account_givers`` belong to the givers of all
endpoints, so that those of applications may ask for a ``Member`` or a ``Visit`` too.
"""

from __future__ import annotations

from rtserver.accounts.errors import AccountRefused
from rtserver.app.endpoint import Endpoint, HTTPError
from rtserver.app.parameters import Given
from rtserver.web.accounts.desk import Desk, Flows
from rtserver.web.accounts.news import account_channels
from rtserver.web.accounts.pages import Pages
from rtserver.web.accounts.proofs import Proofs
from rtserver.web.accounts.providers import SignInsElsewhere
from rtserver.web.accounts.sessions import OwnSessions
from rtserver.web.accounts.signing import Signing
from rtserver.web.accounts.static import static_endpoints
from rtserver.web.accounts.templates import STATIC
from rtserver.web.accounts.tokens import Tokens
from rtserver.web.accounts.visit import Manners, Member, Visit
from rtserver.web.endpoints import Giver, TwistedIncoming

__all__ = ["Desk", "Flows", "Member", "Visit", "account_channels", "account_endpoints", "account_givers"]

NOUNS = (Signing, Proofs, SignInsElsewhere, OwnSessions, Tokens, Pages)
"""In the order of the documentation."""


def account_endpoints(desk: Desk) -> list[Endpoint]:
    found = [endpoint for noun in NOUNS for endpoint in noun(desk).endpoints()]
    return [*found, *static_endpoints(desk.pages, tuple(STATIC))]


def account_givers(desk: Desk) -> dict[type[Given], Giver]:
    """For endpoints of applications: what is sent there with the cookie of a session is guarded as here, JSON by
    ``X-CSRF-Token``. Without one it is nobody's, and may come from anywhere."""

    async def visit(incoming: TwistedIncoming) -> Visit:
        manners = Manners(is_guarded=incoming.cookie(desk.cookies.session) is not None)
        try:
            return await Visit(desk, incoming, manners).open()
        except AccountRefused as error:
            raise HTTPError(error.status, error.sentence) from error

    async def member(incoming: TwistedIncoming) -> Member | None:
        found = await visit(incoming)
        return Member.of(found) if found.account is not None else None

    return {Visit: visit, Member: member}
