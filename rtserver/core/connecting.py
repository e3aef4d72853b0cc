"""The first command: who the client is, and the channels that the server puts it into (sections 2.6, 5.1, 5.5)."""

from __future__ import annotations

from rtserver.core import errors
from rtserver.core.errors import CommandError, Disconnected, ExpiredToken, InvalidToken
from rtserver.core.messages import ConnectRequest, ConnectResult, Push, SubscribeRequest
from rtserver.core.ports import ConnectionClaims, ServerSubscription
from rtserver.core.session import Answer, Session, State, command
from rtserver.core.subscribing import Entry, Grant, enter, may_unasked, overridden


@command("connect")
async def connect(session: Session, request: ConnectRequest) -> Answer:
    session.state = State.CONNECTING
    claims = await authenticate(session, request)
    session.check_open()
    _take(session, request, claims)
    session.host.admit(session)
    wanted = _wanted(session, request, claims)
    entries = [
        await _enter(session, request, channel, item, channel in claims.subs) for channel, item in wanted.items()
    ]
    await _be_the_only_one(session)
    session.check_open()
    result = _result(session, claims, entries)
    session.state = State.CONNECTED
    session.stale_by = 0.0
    session.begin_pings(session.host.env.clock())
    session.replan()

    def open_gates() -> None:
        if session.wire.unidirectional:
            session.push(Push(connect=result))
        for entry in entries:
            entry.open()

    return Answer(None if session.wire.unidirectional else result, open_gates)


async def authenticate(session: Session, request: ConnectRequest) -> ConnectionClaims:
    """Who is there. Raises ``CommandError`` 109 or 110 for something expired, else ``Disconnected``."""
    env = session.host.env
    if request.token:
        return await _by_token(session, request.token)
    if env.client.user_id_http_header:
        user = session.handshake.headers.get(env.client.user_id_http_header.lower(), "")
        if user:
            return ConnectionClaims(user=user)
    if env.client.allow_anonymous_connect_without_token or env.client.insecure:
        return ConnectionClaims()
    raise Disconnected(errors.BAD_FRAME, "connect without a token, and anonymous connections are off")


async def _by_token(session: Session, token: str) -> ConnectionClaims:
    env = session.host.env
    try:
        claims = await env.tokens.verify_connection(token)
    except ExpiredToken:
        raise CommandError(errors.TOKEN_EXPIRED) from None
    except InvalidToken as error:
        raise Disconnected(errors.INVALID_TOKEN, str(error)) from None
    if not claims.user and env.client.disallow_anonymous_connection_tokens:
        raise Disconnected(errors.CONNECT_DENIED, "a token without a user, and those are not allowed")
    if claims.expire_at and claims.expire_at <= env.unix() and not env.client.insecure:
        raise CommandError(errors.EXPIRED)
    return claims


def _take(session: Session, request: ConnectRequest, claims: ConnectionClaims) -> None:
    session.user = claims.user
    session.info = claims.info
    session.meta = claims.meta
    session.name = request.name[:64]
    if session.handshake.emulation or session.wire.unidirectional:
        session.secret = session.host.env.new_id()
    plan_expiry(session, claims.expire_at)


def plan_expiry(session: Session, expire_at: int) -> None:
    """``expire_at`` in Unix seconds; the client has ``expired_close_delay`` on top to bring a new token."""
    env = session.host.env
    if not expire_at or env.client.insecure:
        session.expires_at = 0.0
        return
    grace = 0.0 if session.wire.unidirectional else env.client.expired_close_delay
    session.expires_at = env.clock() + (expire_at - env.unix()) + grace


def time_to_live(session: Session, expire_at: int) -> int:
    """Whole seconds until ``expire_at``, at least 1; 0 when the connection does not expire."""
    if not expire_at or session.host.env.client.insecure:
        return 0
    return max(1, int(expire_at - session.host.env.unix()))


def _wanted(session: Session, request: ConnectRequest, claims: ConnectionClaims) -> dict[str, ServerSubscription]:
    """The server-side subscriptions: the token's, the personal channel, and those the client asks for and may have."""
    env = session.host.env
    wanted = dict(claims.subs)
    personal = env.client.subscribe_to_user_personal_channel
    if personal.enabled and session.user:
        wanted.setdefault(
            env.channels.personal(session.user, personal.personal_channel_namespace), ServerSubscription()
        )
    for channel in request.subs:
        options = env.channels.find(channel)
        if options is None:
            raise Disconnected(errors.BAD_FRAME, "connect asks for a channel of an unknown namespace")
        if channel not in wanted and may_unasked(session, channel, options):
            env.channels.check_name(channel, options)
            wanted[channel] = ServerSubscription()
    if len(wanted) > env.client.channel_limit:
        raise Disconnected(errors.CHANNEL_LIMIT)
    return wanted


async def _enter(
    session: Session, request: ConnectRequest, channel: str, item: ServerSubscription, by_token: bool
) -> Entry:
    options = session.host.env.channels.options(channel)
    asked = request.subs.get(channel) or SubscribeRequest()
    asked.channel = channel
    if asked.delta not in ("", "fossil"):
        raise Disconnected(errors.BAD_FRAME, "an unknown delta type")
    grant = Grant(overridden(options, item.override), item.info, item.data, item.expire_at, server_side=True)
    entry = await enter(session, asked, grant)
    entry.sub.by_token = by_token
    return entry


async def _be_the_only_one(session: Session) -> None:
    personal = session.host.env.client.subscribe_to_user_personal_channel
    if personal.enabled and personal.single_connection and session.user:
        channel = session.host.env.channels.personal(session.user, personal.personal_channel_namespace)
        await session.host.replace_others(session, channel)


def _result(session: Session, claims: ConnectionClaims, entries: list[Entry]) -> ConnectResult:
    env = session.host.env
    ttl = time_to_live(session, claims.expire_at)
    result = ConnectResult(
        client=session.id,
        version=env.version,
        expires=ttl > 0,
        ttl=ttl,
        subs={entry.sub.channel: entry.result for entry in entries},
        session=session.secret,
        node=env.node_id if session.handshake.emulation else "",
    )
    if session.handshake.app_ping:
        result.ping = int(env.client.ping_interval)
        result.pong = not session.wire.unidirectional
    if env.client.connect_include_server_time:
        result.time = int(env.unix() * 1000)
    return result
