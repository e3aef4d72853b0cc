"""Signing in with providers, and what a person has linked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from rtserver.accounts.social import AwaitsProof, NeedsAddress, Outcome, SignedIn
from rtserver.app.endpoint import Endpoint, Response
from rtserver.core.accounts import USUAL_TARGET
from rtserver.web.accounts import bodies
from rtserver.web.accounts.answers import go_on, json
from rtserver.web.accounts.bodies import Done, Identities, IdentityFacts, Location, MissingAddress, Onward, Person
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import AccountEndpoint, Door
from rtserver.web.accounts.posted import fields_again, without_mark
from rtserver.web.accounts.views import Views, can_unlink, mail_place
from rtserver.web.accounts.visit import Manners, Member, Visit

AWRY = (303, 400, 403, 404, 409, 410, 429, 502)
"""What may become of a way back: browsers are always led on."""
LINKED = f"{USUAL_TARGET}?notice=linked"
BACK = Manners(shows_page=True, is_guarded=False)
"""The provider sends the browser here: the state that it brings along guards it (RFC 6749, section 10.12)."""


class SignInsElsewhere:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._providers = desk.flows.providers
        self._views = Views(desk)

    def endpoints(self) -> list[Endpoint]:
        back, profile = "/auth/complete/{provider}", self._views.profile
        doors: dict[Callable[..., Any], Door] = {
            self.login: Door("POST", "/auth/login/{provider}", again=self._views.sign_in, others=(404, 409, 429, 502)),
            self.link_provider: Door("POST", "/auth/link/{provider}", again=profile, others=(404, 429, 502)),
            self.complete: Door("GET", back, BACK, again=self._trouble, others=AWRY),
            self.complete_by_form: Door("POST", back, BACK, again=self._trouble, others=AWRY),
            self.address: Door(
                "POST", "/auth/address", again=self._views.address, status=202, others=(404, 410, 429, 502)
            ),
            self.identities: Door("GET", "/auth/identities"),
            self.remove_identity: Door("POST", "/auth/identities/{id}/remove", again=profile, others=(404, 409)),
        }
        return [AccountEndpoint(self._desk, door, function) for function, door in doors.items()]

    # Signing in

    async def login(self, visit: Visit, provider: str, body: Onward = Onward()) -> Location | Response:  # noqa: B008
        """Begin to sign in with a provider

        The browser goes to `location`, where the provider asks the person, and comes back to `/auth/complete`."""
        await visit.begin()
        url = await self._providers.begin(provider, visit.asker, self._desk.target(body.next))
        return _to_provider(visit, url)

    async def link_provider(
        self,
        member: Member,
        provider: str,
        body: Onward = Onward(),  # noqa: B008
    ) -> Location | Response:
        """Begin to link a provider to the account one is signed in to"""
        visit = member.visit
        target = self._desk.target(body.next)
        target = LINKED if target == USUAL_TARGET else target
        return _to_provider(visit, await self._providers.begin(provider, visit.asker, target, link=True))

    async def complete(self, visit: Visit, provider: str) -> bodies.Onwards | Response:
        """Come back from a provider

        The parameters are the provider's. The browser is led on: signed in, to the page that asks for the address that the
        provider did not give, to the page that waits for the answer to a letter, or to the page that says what went wrong."""
        return await self._complete(visit, provider)

    async def complete_by_form(self, visit: Visit, provider: str) -> bodies.Onwards | Response:
        """Come back from a provider that sends a form

        Browsers send no cookies with a form of another site: such a one gets a page that sends it once more from here."""
        bare = visit.wants_page and visit.cookie is None and provider in self._desk.titles
        fields = fields_again(visit.all_values) if bare else None
        if fields is not None:
            return await self._views.onward(visit, provider, fields)
        return await self._complete(visit, provider)

    async def _complete(self, visit: Visit, provider: str) -> Response:
        if visit.method == "HEAD":
            return Response(status=405, headers={"allow": "GET, POST"})
        # Forms of other sites come without our cookies: by an answer to one the browser would lose the key that it has.
        if visit.session is not None:
            visit.know()
        outcome = await self._providers.complete(provider, without_mark(visit.all_values), visit.asker)
        return await self._led_on(visit, outcome)

    async def _led_on(self, visit: Visit, outcome: Outcome) -> Response:
        account = outcome.account if isinstance(outcome, SignedIn) else None
        if account is not None and (visit.account is None or visit.account.id != account.id):
            await visit.sign_in(account)
        place = _place(outcome, self._desk.target)
        if visit.wants_page:
            return go_on(place)
        user = Person.of(account) if account is not None else None
        return json(bodies.Onwards(user=user, csrf=visit.csrf, next=place))

    async def _trouble(self, visit: Visit, path: Mapping[str, str]) -> Response:
        """What the provider put into the address is not kept."""
        return go_on(f"/auth/error?code={quote(visit.code, safe='')}")

    async def address(self, visit: Visit, body: MissingAddress) -> bodies.LetterSent | Response:
        """Give the address that the provider did not give

        A letter goes there, and the sign-in goes on when it was answered. `token` is the one in `next` of `/auth/complete`."""
        visit.know()
        outcome = await self._providers.give_address(body.token, body.email, visit.asker)
        if isinstance(outcome, AwaitsProof) and not visit.wants_page:
            return json(bodies.LetterSent(proof=outcome.proof.id, email=outcome.proof.email), 202)
        return await self._led_on(visit, outcome)

    # What is linked

    async def identities(self, member: Member) -> Identities | Response:
        """The providers by which one can sign in"""
        account = member.account
        linked = await self._providers.identities(account)
        names = {each.provider for each in linked}
        facts = [
            IdentityFacts(
                id=each.id,
                provider=each.provider,
                title=self._desk.titles.get(each.provider, each.provider),
                handle=each.handle,
                created_at=each.created_at,
            )
            for each in linked
        ]
        return json(
            Identities(
                identities=facts,
                linkable=[name for name in self._desk.titles if name not in names],
                can_remove=can_unlink(self._desk, account, linked),
            )
        )

    async def remove_identity(self, member: Member, id: str, body: Onward = Onward()) -> Done | Response:  # noqa: B008
        """Remove a provider from one's account

        Refused for the last way to sign in."""
        await self._providers.unlink(member.account, id)
        if member.visit.wants_page:
            return go_on(self._desk.target(body.next) if body.next else "/auth/profile?notice=unlinked")
        return json(Done())


def _to_provider(visit: Visit, url: str) -> Response:
    return go_on(url) if visit.wants_page else json(Location(location=url))


def _place(outcome: Outcome, target: Callable[[str], str]) -> str:
    match outcome:
        case NeedsAddress(token):
            return f"/auth/address?token={quote(token, safe='')}"
        case AwaitsProof(proof):
            return mail_place(proof)
        case SignedIn():
            return target(outcome.target)
