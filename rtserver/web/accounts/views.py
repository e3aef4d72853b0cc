"""The pages of accounts, with what each shows of this browser's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rtserver.accounts import partials
from rtserver.accounts.confirming import SIGNS_IN
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.proving import refusal
from rtserver.accounts.records import Account, Identity, Proof, ProofState
from rtserver.app.endpoint import Response
from rtserver.web.accounts.answers import HTML, Refusal
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.visit import Member, Visit

Path = Mapping[str, str]
NOWHERE: Path = {}


class Views:
    """Each makes the page for a visit; ``path`` is what stood in the path of the request."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sign_in(self, visit: Visit, path: Path = NOWHERE) -> Response:
        ways = {"passwords": self._desk.options.passwords, "sign_up": self._desk.options.sign_up}
        return await self._page("sign_in", visit, **ways)

    async def sign_up(self, visit: Visit, path: Path = NOWHERE) -> Response:
        is_open = self._desk.options.passwords and self._desk.options.sign_up
        return await self._page("sign_up", visit, passwords=is_open)

    async def forgotten(self, visit: Visit, path: Path = NOWHERE) -> Response:
        return await self._page("forgotten", visit)

    async def address(self, visit: Visit, path: Path = NOWHERE) -> Response:
        """For who came from a provider that gave no address."""
        token = visit.field("token")
        name = await partials.backend_of(self._desk.parts.database, token, self._desk.now())
        if not name:
            raise AccountRefused("session_context_missing", "This sign-in took too long: begin again.", status=404)
        return await self._page("address", visit, token=token, provider=self._desk.titles.get(name, name))

    async def mail(self, visit: Visit, path: Path = NOWHERE) -> Response:
        """Where the browser that asked for a letter waits. The rest of the world learns nothing of it."""
        id = path.get("id") or visit.field("proof")
        proof = await self._desk.flows.confirming.waiting(id, visit.browser)
        state = proof.state(self._desk.now())
        values: dict[str, Any] = {"proof": proof, "state": state, "quiet": bool(visit.field("quiet"))}
        if state is ProofState.WAITING:
            values |= {"token": self._desk.flows.tokens.waiting(proof), "websocket": self._desk.websocket}
        return await self._page("mail", visit, **values, next=proof.target)

    async def link(self, visit: Visit, path: Path = NOWHERE) -> Response:
        """What a link in a letter leads to: it changes nothing until its button is pressed."""
        look = await self._desk.flows.confirming.look(path["signed"], visit.asker)
        action = link_place(path["signed"])
        if look.state is ProofState.CONFIRMED and look.proof.purpose in SIGNS_IN:
            return await self.confirmed(visit, look.proof, f"{action}/continue")
        if look.state is not ProofState.WAITING:
            raise refusal(look.proof, self._desk.now())
        if look.needs_password:
            return await self._page("new_password", visit, action=action, username=look.username)
        return await self._page(
            "confirm",
            visit,
            action=action,
            here=action,
            proof=look.proof,
            provider=look.provider,
            handle=look.handle,
            existing=look.existing.username if look.existing is not None else "",
            username=look.username,
            needs_sign_in=look.needs_sign_in,
        )

    async def confirmed(self, visit: Visit, proof: Proof, action: str = "") -> Response:
        """The window that asked goes on by itself; ``action`` is where the person goes on here instead."""
        return await self._page("confirmed", visit, email=proof.email, action=action)

    async def onward(self, visit: Visit, provider: str, fields: Mapping[str, str]) -> Response:
        """What a provider sent, to be sent once more from here (see ``posted``). No session is begun: the browser may have one,
        and did not say so."""
        action = f"/auth/complete/{quote(provider, safe='')}"
        page = self._render("onward", visit, provider=self._desk.titles[provider], action=action, fields=fields)
        return Response(page, HTML)

    async def profile(self, visit: Visit, path: Path = NOWHERE) -> Response:
        member = Member.of(visit)
        linked = await self._desk.flows.providers.identities(member.account)
        names = {each.provider for each in linked}
        return await self._page(
            "profile",
            visit,
            identities=linked,
            titles=self._desk.titles,
            sessions=await self._desk.parts.sessions.of_user(member.account.id),
            session=member.session.id,
            can_unlink=can_unlink(self._desk, member.account, linked),
            linkable=[each for each in self._desk.flows.providers.offers if each.name not in names],
            passwords=self._desk.options.passwords,
        )

    async def error(self, visit: Visit, refused: Refusal) -> Response:
        """There is no form on it, so it needs no session."""
        page = self._render("error", visit, code=refused.code, sentence=refused.sentence)
        return Response(page, HTML, refused.status, refused.headers)

    async def trouble(self, visit: Visit, code: str) -> Response:
        """The page of an error that was told in the address: the words are ours, whatever stands there."""
        return Response(self._render("error", visit, code=code), HTML)

    def failure(self, request_id: str) -> Response:
        page = self._desk.pages.render("error", code="failed", request_id=request_id)
        return Response(page, HTML, 500, {"x-request-id": request_id})

    async def _page(self, name: str, visit: Visit, **values: Any) -> Response:
        await visit.begin()
        return Response(self._render(name, visit, **values), HTML, visit.status)

    def _render(self, name: str, visit: Visit, **values: Any) -> bytes:
        common: dict[str, Any] = {
            "csrf": visit.csrf,
            "account": visit.account,
            "providers": self._desk.flows.providers.offers,
            "mistakes": visit.mistakes,
            "values": visit.typed,
            "next": visit.next,
            "notice": visit.field("notice") if visit.status == 200 else "",
        }
        return self._desk.pages.render(name, **{**common, **values})


def can_unlink(desk: Desk, account: Account, linked: Sequence[Identity]) -> bool:
    """Whether any of the identities can be done without."""
    has_other = len(linked) > 1 and any(each.provider in desk.titles for each in linked)
    return (account.has_password and desk.options.passwords) or has_other


def link_place(signed: str) -> str:
    return f"/auth/c/{signed}"


def mail_place(proof: Proof) -> str:
    return f"/auth/mail?proof={proof.id}"
