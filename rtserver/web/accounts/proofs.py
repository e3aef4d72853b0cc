"""Letters: the link, the digits, and how the window that asked for one goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from rtserver.accounts import confirming
from rtserver.accounts.records import Account, Proof, ProofState, Purpose
from rtserver.app.endpoint import Endpoint, Response
from rtserver.core.accounts import USUAL_TARGET
from rtserver.web.accounts.answers import go_on, json
from rtserver.web.accounts.bodies import (
    Confirm,
    Confirmed,
    Digits,
    LetterSent,
    LinkFacts,
    Onward,
    Onwards,
    Person,
    ProofFacts,
)
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import MEANINGS, AccountEndpoint, Door
from rtserver.web.accounts.views import Views, link_place, mail_place
from rtserver.web.accounts.visit import Manners, Visit


class Proofs:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._confirming = desk.flows.confirming
        self._views = Views(desk)

    def endpoints(self) -> list[Endpoint]:
        mail, link = self._views.mail, self._views.link
        own, by_link = "/auth/proofs/{id}", "/auth/c/{signed}"
        theirs = {403: f"{MEANINGS[403]}, or it is for an account that one is not signed in to"}
        spent = {429: f"{MEANINGS[429]}, or use the link when there are none: the digits were tried too often"}
        early = {409: "It was used before, or is not answered yet"}
        doors: dict[Callable[..., Any], Door] = {
            self.proof: Door("GET", own, others=(404,)),
            self.resend: Door("POST", f"{own}/resend", again=mail, status=202, others=(404, 409, 410, 429)),
            self.code: Door("POST", f"{own}/code", again=mail, others=(404, 409, 410, 429), meanings=theirs | spent),
            self.go_on: Door("POST", f"{own}/continue", again=mail, others=(404, 409, 410), meanings=early),
            self.link: Door("GET", by_link, Manners(shows_page=True), others=(404, 409, 410)),
            self.confirm: Door("POST", by_link, again=link, others=(404, 409, 410), meanings=theirs),
            self.go_on_by_link: Door("POST", f"{by_link}/continue", again=link, others=(404, 409, 410), meanings=early),
        }
        return [AccountEndpoint(self._desk, door, function) for function, door in doors.items()]

    # In the browser that asked

    async def proof(self, visit: Visit, id: str) -> ProofFacts | Response:
        """How it stands with a letter

        For the browser that asked for it (its cookie `rt_browser`)."""
        proof = await self._confirming.waiting(id, visit.browser)
        state = proof.state(self._desk.now())
        is_told = state in (ProofState.CONFIRMED, ProofState.REDEEMED)
        return json(ProofFacts(id=id, state=state, email=proof.email, purpose=proof.purpose if is_told else None))

    async def resend(self, visit: Visit, id: str, body: Onward = Onward()) -> LetterSent | Response:  # noqa: B008
        """Send a letter again

        With the same link and digits, so that all of them are good."""
        proof = await self._confirming.resend(id, visit.browser, visit.remote)
        if visit.wants_page:
            return go_on(f"{mail_place(proof)}&notice=letter_sent")
        return json(LetterSent(proof=proof.id, email=proof.email), 202)

    async def code(self, visit: Visit, id: str, body: Digits) -> Confirmed | Response:
        """Answer a letter with its digits

        In the browser that asked for it, a few times for each letter. Where the letter is for a new password and none is sent,
        nothing is confirmed yet: `next` is where to type it."""
        done = await self._confirming.by_digits(id, body.digits, visit.asker, body.password)
        if not done.link:
            return await self._confirmed(visit, done, "")
        if visit.wants_page:
            return go_on(link_place(done.link))
        return json(Confirmed(confirmed=False, signed_in=False, csrf=visit.csrf, next=link_place(done.link)))

    async def go_on(self, visit: Visit, id: str, body: Onward = Onward()) -> Onwards | Response:  # noqa: B008
        """Go on in the browser that asked, after the letter was answered anywhere

        It is signed in by that, once. After a new password or another address there is nobody to be signed in: `next` is where
        to go."""
        proof = await self._confirming.waiting(id, visit.browser)
        if proof.purpose not in confirming.SIGNS_IN and proof.used_at:
            return self._onwards(visit, None, _after(proof))
        user_id = visit.account.id if visit.account is not None else ""
        account = await self._confirming.redeem(id, visit.browser, user_id)
        await self._enter(visit, account)
        return self._onwards(visit, account, self._desk.target(proof.target))

    # By the link

    async def link(self, visit: Visit, signed: str) -> LinkFacts | Response:
        """What a link in a letter would do

        It changes nothing, however often it is opened and by whom. A page with a button, or JSON for
        `Accept: application/json`."""
        if visit.wants_page:
            return await self._views.link(visit, {"signed": signed})
        look = await self._confirming.look(signed, visit.asker)
        return json(
            LinkFacts(
                purpose=look.proof.purpose,
                state=look.state,
                email=look.proof.email,
                username=look.username,
                existing=look.existing.username if look.existing is not None else None,
                provider=look.provider,
                handle=look.handle,
                needs_sign_in=look.needs_sign_in,
            )
        )

    async def confirm(self, visit: Visit, signed: str, body: Confirm = Confirm()) -> Confirmed | Response:  # noqa: B008
        """Answer a letter by its link

        Once, in any browser. The one that asked for it is signed in by this; another one is not."""
        done = await self._confirming.confirm(signed, visit.asker, body.password)
        return await self._confirmed(visit, done, signed)

    async def go_on_by_link(self, visit: Visit, signed: str, body: Onward = Onward()) -> Onwards | Response:  # noqa: B008
        """Sign in here by a link that was answered before

        Once, and soon after: for people whose first window is gone."""
        look = await self._confirming.look(signed, visit.asker)
        account = await self._confirming.redeem_by_code(signed)
        await self._enter(visit, account)
        return self._onwards(visit, account, self._desk.target(look.proof.target))

    # Parts of these

    async def _confirmed(self, visit: Visit, done: confirming.Confirmed, signed: str) -> Response:
        if done.account is not None:
            await self._enter(visit, done.account)
        signs_in = done.proof.purpose in confirming.SIGNS_IN
        target = self._desk.target(done.proof.target) if signs_in else _after(done.proof)
        if not visit.wants_page:
            return json(Confirmed(signed_in=done.account is not None, csrf=visit.csrf, next=target))
        if done.account is not None or done.proof.purpose is Purpose.RESET or _is_theirs(visit, done.proof):
            return go_on(target)
        action = f"{link_place(signed)}/continue" if signs_in and signed else ""
        return await self._views.confirmed(visit, done.proof, action)

    async def _enter(self, visit: Visit, account: Account) -> None:
        """Another tab may have been faster."""
        if visit.account is None or visit.account.id != account.id:
            await visit.sign_in(account)

    def _onwards(self, visit: Visit, account: Account | None, target: str) -> Response:
        if visit.wants_page:
            return go_on(target)
        user = Person.of(account) if account is not None else None
        return json(Onwards(user=user, csrf=visit.csrf, next=target))


def _is_theirs(visit: Visit, proof: Proof) -> bool:
    """Whether this browser is signed in as the person whose address was changed."""
    return proof.purpose is Purpose.ADDRESS and visit.account is not None and visit.account.id == proof.user_id


def _after(proof: Proof) -> str:
    """Where to go when a letter was answered that signs nobody in."""
    if proof.purpose is Purpose.ADDRESS:
        return "/auth/profile?notice=address_changed"
    onward = f"&next={quote(proof.target, safe='/')}" if proof.target not in ("", USUAL_TARGET) else ""
    return f"/auth/sign-in?notice=password_changed{onward}"
