"""What a session owes at certain times: pings, presence, and the ends of all that does not last for ever.

A duty is an attribute of the session that holds the time (of the host's clock, 0: none) and a function that is due then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rtserver.core import errors
from rtserver.core.errors import BrokerError
from rtserver.core.flow import Subscription

if TYPE_CHECKING:
    from rtserver.core.session import Session


def stale(session: Session, now: float) -> None:
    """Nobody has connected in time."""
    if not session.is_connected:
        session.close(errors.STALE)


def ping(session: Session, now: float) -> None:
    session.write(session.wire.ping())
    session.ping_at = now + session.host.env.client.ping_interval
    if not session.wire.unidirectional:
        session.pong_by = now + session.host.env.client.pong_timeout


def no_pong(session: Session, now: float) -> None:
    session.close(errors.NO_PONG)


def refresh_presence(session: Session, now: float) -> None:
    session.presence_at = now + session.host.env.client.presence_update_interval
    for sub in session.subs.values():
        if sub.presence and sub.gate is None:
            session.host.env.spawn(_keep_presence(session, sub))


async def _keep_presence(session: Session, sub: Subscription) -> None:
    try:
        await session.host.add_presence(sub)
    except BrokerError as failure:
        session.host.report(session, "presence refresh", failure)


def expire(session: Session, now: float) -> None:
    if session.client_refresh:
        session.close(errors.CONNECTION_EXPIRED)
    else:
        session.host.refresh(session)


def expire_subs(session: Session, now: float) -> None:
    for sub in [sub for sub in session.subs.values() if sub.expire_at and sub.expire_at <= now]:
        if sub.client_refresh:
            session.drop(sub, errors.UNSUBSCRIBED_EXPIRED)
        else:
            sub.expire_at = 0.0
            session.host.refresh_subscription(session, sub)
    session.plan_sub_expiry()


DUTIES: tuple[tuple[str, Callable[[Session, float], None]], ...] = (
    ("stale_by", stale),
    ("pong_by", no_pong),
    ("expires_at", expire),
    ("sub_expires_at", expire_subs),
    ("ping_at", ping),
    ("presence_at", refresh_presence),
)
