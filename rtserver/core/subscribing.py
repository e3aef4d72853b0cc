"""How a client gets into a channel: what it may, the gate, the position, the reply (protocol sections 5.6 and 6.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from msgspec import Raw

from rtserver.core import errors, recovery
from rtserver.core.asking import caller
from rtserver.core.channels import may, may_subscribe
from rtserver.core.errors import CommandError, Disconnected, ExpiredToken, InvalidToken, NotJSON
from rtserver.core.flow import GATE_LIMIT, Delivery, Flow, Group, Subscription, as_sent
from rtserver.core.hooks import SubscribeAsked
from rtserver.core.messages import EMPTY, ClientInfo, Publication, SubscribeRequest, SubscribeResult
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import HistorySlice, SubscriptionOverride
from rtserver.core.recovery import Recovery, RecoveryLimits
from rtserver.core.session import Answer, Session, command
from rtserver.core.tags import compile_filter


def _nothing() -> Raw:
    return EMPTY


@dataclass(frozen=True, slots=True)
class Grant:
    """The permission to enter a channel. ``expire_at`` in Unix seconds, 0: for as long as the connection lasts."""

    options: ChannelOptions
    info: Raw = field(default_factory=_nothing)
    data: Raw = field(default_factory=_nothing)
    expire_at: int = 0
    server_side: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A subscription whose reply is ready but not written. ``open`` must be called right after writing it."""

    sub: Subscription
    result: SubscribeResult
    open: Callable[[], None]


@command("subscribe")
async def subscribe(session: Session, request: SubscribeRequest) -> Answer:
    if not request.channel or request.delta not in ("", "fossil"):
        raise Disconnected(errors.BAD_FRAME, "subscribe without a channel or with an unknown delta type")
    if request.type:
        raise CommandError(errors.NOT_AVAILABLE)
    options = session.host.env.channels.options(request.channel)
    session.host.env.channels.check_name(request.channel, options)
    if request.channel in session.subs:
        raise CommandError(errors.ALREADY_SUBSCRIBED)
    if len(session.subs) >= session.host.env.client.channel_limit:
        raise CommandError(errors.LIMIT_EXCEEDED)
    grant = await authorize(session, request, options)
    session.check_open()
    entry = await enter(session, request, grant)
    return Answer(entry.result, entry.open)


async def authorize(session: Session, request: SubscribeRequest, options: ChannelOptions) -> Grant:
    """Whether the client may subscribe by itself; the order of the questions is that of section 5.6."""
    env = session.host.env
    if env.channels.is_private(request.channel) and not request.token:
        raise CommandError(errors.PERMISSION_DENIED)
    if request.token:
        return await _by_token(session, request, options)
    if env.channels.allowed_users(request.channel, options) is None:
        hook = env.hooks.subscribe(request.channel, options)
        if hook is not None:
            answer = await hook(SubscribeAsked(caller(session), request.channel, request.data, request.token))
            if 0 < answer.expire_at <= env.unix():
                raise CommandError(errors.EXPIRED)
            given = overridden(options, answer.override)
            return Grant(given, answer.info, answer.data, answer.expire_at)
    if not may_unasked(session, request.channel, options):
        raise CommandError(errors.PERMISSION_DENIED)
    return Grant(options)


def may_unasked(session: Session, channel: str, options: ChannelOptions) -> bool:
    """Whether the configuration alone lets this client in."""
    env = session.host.env
    if env.channels.is_private(channel):
        return False
    users = env.channels.allowed_users(channel, options)
    if users is not None:
        return session.user in users and session.user != ""
    return may_subscribe(options, session.user) or env.client.insecure


async def _by_token(session: Session, request: SubscribeRequest, options: ChannelOptions) -> Grant:
    env = session.host.env
    try:
        claims = await env.subscription_tokens.verify_subscription(request.token)
    except ExpiredToken:
        raise CommandError(errors.TOKEN_EXPIRED) from None
    except InvalidToken as error:
        session.host.report(session, "subscription token", error)
        raise CommandError(errors.PERMISSION_DENIED) from None
    if claims.channel != request.channel or claims.user != session.user or claims.client not in ("", session.id):
        raise Disconnected(errors.INVALID_TOKEN, "a subscription token of another channel, user or client")
    if claims.expire_at and claims.expire_at <= env.unix():
        raise CommandError(errors.EXPIRED)
    return Grant(overridden(options, claims.override), claims.info, claims.data, claims.expire_at)


def overridden(options: ChannelOptions, override: SubscriptionOverride) -> ChannelOptions:
    changed = {name: value for name in SubscriptionOverride.__slots__ if (value := getattr(override, name)) is not None}
    return replace(options, **changed) if changed else options


async def enter(session: Session, request: SubscribeRequest, grant: Grant) -> Entry:
    """Go through the gate of a channel. On any failure everything is as before."""
    sub = _subscription(session, request, grant)
    session.subs[sub.channel] = sub
    try:
        await session.host.attach(sub)
        _check_wanted(session, sub)
        if sub.presence:
            await session.host.add_presence(sub)
            _check_wanted(session, sub)
        outcome = await _recover(session, request, grant, sub)
        _check_wanted(session, sub)
        result = _result(session, request, grant, sub, outcome)
    except BaseException:
        _undo(session, sub)
        raise
    if sub.expire_at:
        session.plan_sub_expiry()
        session.replan()

    def open_gate() -> None:
        _open(session, sub, outcome)

    return Entry(sub, result, open_gate)


def _check_wanted(session: Session, sub: Subscription) -> None:
    """After an await: the client may have left, or a backend may have unsubscribed it from the channel meanwhile."""
    session.check_open()
    if not sub.live:
        raise CommandError(errors.PERMISSION_DENIED)


def _undo(session: Session, sub: Subscription) -> None:
    if session.subs.get(sub.channel) is sub:
        del session.subs[sub.channel]
        session.host.detach(sub)
        session.host.env.spawn(session.host.farewell(sub))


def _subscription(session: Session, request: SubscribeRequest, grant: Grant) -> Subscription:
    env, options = session.host.env, grant.options
    reads_history = may("history", options, user=session.user, subscribed=True)
    recoverable = options.has_history and (
        options.force_recovery or (request.recoverable and (options.allow_recovery or reads_history))
    )
    positioned = recoverable or (
        options.has_history
        and (options.force_positioning or (request.positioned and (options.allow_positioning or reads_history)))
    )
    hears_joins = options.join_leave and (
        options.force_push_join_leave
        or (request.join_leave and may("presence", options, user=session.user, subscribed=True))
    )
    if request.tf is not None and not options.allow_tags_filter:
        raise CommandError(errors.BAD_REQUEST)
    tags = compile_filter(request.tf) if request.tf is not None else None
    delta = request.delta in options.allowed_delta_types and options.has_history and tags is None
    sub = Subscription(session, request.channel, Flow(session.wire, positioned, hears_joins, delta, tags))
    sub.recoverable = recoverable
    sub.server_side = grant.server_side
    sub.info = ClientInfo(session.user, session.id, session.info, grant.info)
    sub.presence = options.presence
    sub.join_leave = options.join_leave
    if grant.expire_at:
        sub.client_refresh = env.hooks.sub_refresh(request.channel, options) is None
        grace = env.client.expired_sub_close_delay if sub.client_refresh else 0.0
        sub.expire_at = env.clock() + (grant.expire_at - env.unix()) + grace
    return sub


async def _recover(session: Session, request: SubscribeRequest, grant: Grant, sub: Subscription) -> Recovery | None:
    """The position of a positioned subscription and what it recovers; None for one without position."""
    if not sub.flow.positioned:
        if sub.gate is not None and len(sub.gate) > GATE_LIMIT:
            raise Disconnected(errors.INSUFFICIENT_STATE, "too many publications arrived during a subscribe")
        return None
    client = session.host.env.client
    limits = RecoveryLimits(client.recovery_max_publication_limit, client.queue_max_size // 2)
    attempted = recovery.is_attempted(request, grant.options, sub.recoverable)
    wanted = recovery.wanted(request, grant.options, attempted, limits)
    read: HistorySlice = await session.host.history(sub.channel, grant.options, wanted)
    return recovery.decide(request, grant.options, read, sub.gate or [], limits if attempted else None)


def _result(
    session: Session, request: SubscribeRequest, grant: Grant, sub: Subscription, outcome: Recovery | None
) -> SubscribeResult:
    result = SubscribeResult(data=grant.data, delta=sub.flow.delta)
    if grant.expire_at and sub.client_refresh and not grant.server_side:
        result.expires = True
        result.ttl = max(1, int(grant.expire_at - session.host.env.unix()))
    if outcome is None:
        return result
    result.positioned = True
    result.recoverable = sub.recoverable
    result.epoch = outcome.position.epoch
    result.offset = outcome.offset
    result.was_recovering = outcome.attempted
    result.recovered = outcome.recovered
    if outcome.publications:
        kept = [item for item in outcome.publications if sub.flow.tags is None or sub.flow.tags.matches(item.tags)]
        try:
            result.publications = (
                recovery.as_deltas(session.wire.codec, kept) if sub.flow.delta else recovery.as_plain(kept)
            )
        except NotJSON as error:
            raise Disconnected(errors.INAPPROPRIATE_PROTOCOL, str(error)) from None
    return result


def _open(session: Session, sub: Subscription, outcome: Recovery | None) -> None:
    """The reply is written: what raced in and is not covered by the position follows, then the flow. Writing the reply can
    end the connection (a full queue, a payload that it cannot carry), and the subscription with it."""
    if not sub.live:
        return
    gate = sub.gate or []
    session.host.hub.open(sub, outcome.position if outcome is not None else None)
    late = [item for item in gate if outcome is None or item[0].offset == 0 or _after(item, outcome)]
    if late:
        _write_late(session, sub, [publication for publication, _ in late])
    if sub.join_leave:
        sub.joined = True
        session.host.env.spawn(session.host.announce(sub))


def _after(item: tuple[Publication, str], outcome: Recovery) -> bool:
    return item[0].offset > outcome.position.offset


def _write_late(session: Session, sub: Subscription, publications: list[Publication]) -> None:
    deliveries = [Delivery(0, as_sent(sub.channel, publication)) for publication in publications]
    try:
        session.write(b"".join(Group().encode(sub.flow, deliveries)))
    except NotJSON as error:
        session.close(errors.INAPPROPRIATE_PROTOCOL, str(error))
