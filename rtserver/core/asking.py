"""Asking the hooks on behalf of a session: who calls, and the refreshes that the server asks for by itself (section 5.4)."""

from __future__ import annotations

from rtserver.core import errors
from rtserver.core.errors import CommandError, Disconnected
from rtserver.core.flow import Subscription
from rtserver.core.hooks import GRACE, Caller, RefreshAsked, Refreshed, RefreshHook
from rtserver.core.messages import ClientInfo
from rtserver.core.session import Session, State


def caller(session: Session) -> Caller:
    return Caller(
        client=session.id,
        user=session.user,
        transport=session.handshake.transport,
        protocol=session.wire.codec.name,
        remote=session.handshake.remote,
        name=session.name,
        version=session.version,
        headers=session.handshake.headers,
        emulated_headers=session.emulated_headers,
        info=session.info,
        meta=session.meta,
    )


async def refresh_connection(session: Session, hook: RefreshHook) -> None:
    """The time of a connection is over: ask whether it goes on. A backend that cannot be asked prolongs it a little."""
    answer = await _ask(session, hook, RefreshAsked(caller(session)), "refresh")
    if session.state is State.CLOSED or answer is None:
        return
    env = session.host.env
    if answer.expired or 0 < answer.expire_at <= env.unix():
        session.close(errors.CONNECTION_EXPIRED)
        return
    if answer.info is not None:
        session.info = answer.info
    if answer.meta is not None:
        session.meta = answer.meta
    session.expires_at = env.clock() + answer.expire_at - env.unix() if answer.expire_at else 0.0
    session.replan()


async def refresh_subscription(session: Session, sub: Subscription, hook: RefreshHook) -> None:
    """The same for one subscription."""
    answer = await _ask(session, hook, RefreshAsked(caller(session), sub.channel), "sub_refresh")
    if answer is None or session.subs.get(sub.channel) is not sub:
        return
    env = session.host.env
    if answer.expired or 0 < answer.expire_at <= env.unix():
        session.drop(sub, errors.UNSUBSCRIBED_EXPIRED)
        return
    if answer.info is not None:
        sub.info = ClientInfo(session.user, session.id, session.info, answer.info)
    sub.expire_at = env.clock() + answer.expire_at - env.unix() if answer.expire_at else 0.0
    session.plan_sub_expiry()
    session.replan()


async def _ask(session: Session, hook: RefreshHook, asked: RefreshAsked, what: str) -> Refreshed | None:
    """None: the session was ended by the answer."""
    env = session.host.env
    try:
        return await hook(asked)
    except Disconnected as end:
        session.close(end.reason, end.detail)
        return None
    except CommandError as refusal:
        session.host.report(session, what, refusal)
    except Exception as failure:
        session.host.report(session, what, failure)
    return Refreshed(expire_at=int(env.unix() + GRACE))
