"""Where a person is signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.accounts.ending import end_one
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.lasting import to_its_end
from rtserver.accounts.records import Session
from rtserver.app.endpoint import Endpoint, Response
from rtserver.web.accounts.answers import go_on, json
from rtserver.web.accounts.bodies import Done, Onward, SessionList, SessionOfPerson
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import AccountEndpoint, Door
from rtserver.web.accounts.views import Views
from rtserver.web.accounts.visit import Member


class OwnSessions:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        doors: dict[Callable[..., Any], Door] = {
            self.sessions: Door("GET", "/auth/sessions"),
            self.end_session: Door("POST", "/auth/sessions/{id}/end", again=Views(self._desk).profile, others=(404,)),
        }
        return [AccountEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def sessions(self, member: Member) -> SessionList | Response:
        """The browsers in which one is signed in

        The one in use last comes first."""
        found = await self._desk.parts.sessions.of_user(member.account.id)
        return json(SessionList(sessions=[_facts(each, member.session) for each in found]))

    async def end_session(self, member: Member, id: str, body: Onward = Onward()) -> Done | Response:  # noqa: B008
        """Sign out in one of one's browsers

        Its realtime connections are closed."""
        visit, account = member.visit, member.account
        if not await to_its_end(end_one(self._desk.parts, account.id, id)):
            raise AccountRefused("not_found", "You have no such session: it ended already.", status=404)
        if id == member.session.id:
            visit.leave()
        if visit.wants_page:
            return go_on(self._desk.target(body.next) if body.next else "/auth/profile?notice=session_ended")
        return json(Done())


def _facts(session: Session, current: Session) -> SessionOfPerson:
    return SessionOfPerson(
        id=session.id,
        agent=session.agent,
        remote=session.remote,
        created_at=session.created_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        is_current=session.id == current.id,
    )
