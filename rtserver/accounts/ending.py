"""The end of a person's sessions and connections. To be called by ``to_its_end``: whoever signs out leaves at that moment."""

from __future__ import annotations

from rtserver.accounts.parts import Parts
from rtserver.accounts.records import Session


async def end_session(parts: Parts, session: Session) -> None:
    await parts.sessions.end(session)
    if session.user_id:
        await parts.notices.signed_out(session.user_id, everywhere=False)


async def end_one(parts: Parts, user_id: str, id: str) -> bool:
    """False when this person has no such session."""
    is_ended = await parts.sessions.end_one(user_id, id)
    if is_ended:
        await parts.notices.signed_out(user_id, everywhere=False)
    return is_ended


async def end_sessions(parts: Parts, user_id: str, but: str = "", *, everywhere: bool) -> None:
    """End them, except the one with the hash ``but``, and tell the connections (see ``ports.Notices.signed_out``).

    Also after a transaction that has ended them: on PostgreSQL it did not see those that began while it ran.
    """
    try:
        await parts.sessions.end_all(user_id, but)
    finally:
        await parts.notices.signed_out(user_id, everywhere=everywhere)
