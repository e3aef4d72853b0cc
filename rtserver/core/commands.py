"""What a connected client can ask for besides subscribing (protocol sections 2.8, 5.4 and 5.6)."""

from __future__ import annotations

from dataclasses import replace

from rtserver.core import connecting, errors, recovery
from rtserver.core.asking import caller
from rtserver.core.channels import Action, data_refusal, may
from rtserver.core.errors import CommandError, Disconnected, ExpiredToken, InvalidToken
from rtserver.core.hooks import Admitted, PublishAsked, RpcAsked
from rtserver.core.messages import (
    ClientInfo,
    HistoryRequest,
    HistoryResult,
    PresenceRequest,
    PresenceResult,
    PresenceStatsRequest,
    PresenceStatsResult,
    Publication,
    PublishRequest,
    PublishResult,
    RefreshRequest,
    RefreshResult,
    RPCRequest,
    RPCResult,
    SendRequest,
    SubRefreshRequest,
    SubRefreshResult,
    UnsubscribeRequest,
    UnsubscribeResult,
)
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import HistoryFilter, SubscriptionClaims
from rtserver.core.session import Answer, Session, command


def _options(session: Session, channel: str) -> ChannelOptions:
    if not channel:
        raise Disconnected(errors.BAD_FRAME, "a command without a channel")
    return session.host.env.channels.options(channel)


def _check(session: Session, action: Action, channel: str, options: ChannelOptions) -> None:
    subscribed = channel in session.subs
    if not may(action, options, user=session.user, subscribed=subscribed) and not session.host.env.client.insecure:
        raise CommandError(errors.PERMISSION_DENIED)


@command("unsubscribe")
async def unsubscribe(session: Session, request: UnsubscribeRequest) -> Answer:
    """Always a success, also for a channel the client is not in: an error would make SDKs reconnect (13.26)."""
    if not request.channel:
        raise Disconnected(errors.BAD_FRAME, "unsubscribe without a channel")
    sub = session.subs.get(request.channel)
    if sub is not None:
        session.drop(sub, None)
    return Answer(UnsubscribeResult())


@command("publish")
async def publish(session: Session, request: PublishRequest) -> Answer:
    options = _options(session, request.channel)
    if request.type:
        raise CommandError(errors.NOT_AVAILABLE)
    if data_refusal(options, request.data) is not None:
        raise CommandError(errors.BAD_REQUEST)
    admitted = await _admit(session, request, options)
    data = request.data if admitted.data is None else admitted.data
    if data_refusal(options, data) is not None:
        raise CommandError(errors.BAD_REQUEST)
    sub = session.subs.get(request.channel)
    info = sub.info if sub is not None and sub.info else ClientInfo(session.user, session.id, session.info)
    delta = options.delta_publish if admitted.delta is None else admitted.delta
    stored = replace(
        session.host.env.channels.publish_options(options, skip_history=admitted.skip_history),
        idempotency_key=admitted.idempotency_key,
        version=admitted.version,
        version_epoch=admitted.version_epoch,
    )
    publication = Publication(data, info, tags=dict(admitted.tags) or None, delta=delta)
    await session.host.publish(request.channel, publication, stored)
    return Answer(PublishResult())


async def _admit(session: Session, request: PublishRequest, options: ChannelOptions) -> Admitted:
    """A hook decides in place of the permissions of the namespace."""
    hook = session.host.env.hooks.publish(request.channel, options)
    if hook is None:
        _check(session, "publish", request.channel, options)
        return Admitted()
    admitted = await hook(PublishAsked(caller(session), request.channel, request.data))
    session.check_open()
    return admitted


@command("presence")
async def presence(session: Session, request: PresenceRequest) -> Answer:
    options = _options(session, request.channel)
    if not options.presence:
        raise CommandError(errors.NOT_AVAILABLE)
    _check(session, "presence", request.channel, options)
    return Answer(PresenceResult(await session.host.presence(request.channel)))


@command("presence_stats")
async def presence_stats(session: Session, request: PresenceStatsRequest) -> Answer:
    options = _options(session, request.channel)
    if not options.presence:
        raise CommandError(errors.NOT_AVAILABLE)
    _check(session, "presence", request.channel, options)
    clients, users = await session.host.presence_stats(request.channel)
    return Answer(PresenceStatsResult(clients, users))


@command("history")
async def history(session: Session, request: HistoryRequest) -> Answer:
    """Capped by count and by what fits the connection's queue; a client pages on with ``since``."""
    options = _options(session, request.channel)
    if not options.has_history:
        raise CommandError(errors.NOT_AVAILABLE)
    _check(session, "history", request.channel, options)
    if request.reverse and request.since is not None and request.since.offset == 0:
        raise CommandError(errors.BAD_REQUEST)
    client = session.host.env.client
    cap = client.history_max_publication_limit
    limit = cap if request.limit < 0 or (cap and request.limit > cap) else request.limit
    wanted = HistoryFilter(limit or (0 if request.limit == 0 else -1), request.since, request.reverse)
    read = await session.host.history(request.channel, options, wanted)
    if request.since is not None and request.since.epoch and request.since.epoch != read.top.epoch:
        raise CommandError(errors.UNRECOVERABLE_POSITION)
    publications = recovery.as_plain(recovery.fitting(read.publications, client.queue_max_size // 2))
    return Answer(HistoryResult(publications, read.top.epoch, read.top.offset))


@command("rpc")
async def rpc(session: Session, request: RPCRequest) -> Answer:
    hook = session.host.env.hooks.rpc(request.method)
    if hook is None:
        raise CommandError(errors.NOT_AVAILABLE)
    return Answer(RPCResult(await hook(RpcAsked(caller(session), request.method, request.data))))


@command("send")
async def send(session: Session, request: SendRequest) -> Answer:
    raise Disconnected(errors.CANNOT_ANSWER, "a message that nothing on this server takes")


@command("refresh")
async def refresh(session: Session, request: RefreshRequest) -> Answer:
    """A new connection token: same user, same server-side channels, later end."""
    env = session.host.env
    if not request.token or not session.client_refresh:
        raise Disconnected(errors.BAD_FRAME, "refresh without a token")
    try:
        claims = await env.tokens.verify_connection(request.token)
    except ExpiredToken:
        raise Disconnected(errors.CONNECTION_EXPIRED) from None
    except InvalidToken as error:
        raise Disconnected(errors.INVALID_TOKEN, str(error)) from None
    if claims.user != session.user:
        raise Disconnected(errors.INVALID_TOKEN, "a refresh token of another user")
    if claims.expire_at and claims.expire_at <= env.unix() and not env.client.insecure:
        raise Disconnected(errors.CONNECTION_EXPIRED)
    if set(claims.subs) != _token_channels(session):
        raise Disconnected(errors.INSUFFICIENT_STATE, "the new token has other channels")
    session.info = claims.info
    session.meta = claims.meta
    connecting.plan_expiry(session, claims.expire_at)
    session.replan()
    ttl = connecting.time_to_live(session, claims.expire_at)
    return Answer(RefreshResult(expires=ttl > 0, ttl=ttl))


def _token_channels(session: Session) -> set[str]:
    return {sub.channel for sub in session.subs.values() if sub.by_token}


@command("sub_refresh")
async def sub_refresh(session: Session, request: SubRefreshRequest) -> Answer:
    """Old SDKs leave the channel out; it is the token's then. A token that is expired already ends the subscription."""
    if not request.token or request.type:
        raise Disconnected(errors.BAD_FRAME, "sub_refresh without a token")
    try:
        claims = await session.host.env.subscription_tokens.verify_subscription(request.token)
    except ExpiredToken:
        return _expired(session, request.channel)
    except InvalidToken as error:
        raise Disconnected(errors.INVALID_TOKEN, str(error)) from None
    return _prolong(session, request.channel or claims.channel, claims)


def _prolong(session: Session, channel: str, claims: SubscriptionClaims) -> Answer:
    env = session.host.env
    sub = session.subs.get(channel)
    if sub is None:
        raise CommandError(errors.PERMISSION_DENIED)
    if claims.channel != channel or claims.user != session.user or claims.client not in ("", session.id):
        raise Disconnected(errors.INVALID_TOKEN, "a subscription token of another channel, user or client")
    if claims.expire_at and claims.expire_at <= env.unix():
        return _expired(session, channel)
    if sub.info is not None:
        sub.info = ClientInfo(session.user, session.id, session.info, claims.info)
    left = claims.expire_at - env.unix()
    sub.expire_at = env.clock() + left + env.client.expired_sub_close_delay if claims.expire_at else 0.0
    session.plan_sub_expiry()
    session.replan()
    return Answer(SubRefreshResult(expires=claims.expire_at > 0, ttl=max(1, int(left)) if claims.expire_at else 0))


def _expired(session: Session, channel: str) -> Answer:
    sub = session.subs.get(channel)

    def end() -> None:
        if sub is not None:
            session.drop(sub, errors.UNSUBSCRIBED_EXPIRED)

    return Answer(SubRefreshResult(), end)
