"""The first command: who the client is, and the channels that the server puts it into (sections 2.6, 5.1, 5.5)."""

from __future__ import annotations

from rtserver.core import errors
from rtserver.core.asking import caller
from rtserver.core.errors import CommandError, Disconnected, ExpiredToken, InvalidToken
from rtserver.core.hooks import ConnectAsked, ConnectHook, Identity
from rtserver.core.messages import ConnectRequest, ConnectResult, Push, SubscribeRequest
from rtserver.core.ports import ServerSubscription
from rtserver.core.session import Answer, Session, State, command
from rtserver.core.subscribing import Entry, Grant, enter, may_unasked, overridden


@command("connect")
async def connect(session: Session, request: ConnectRequest) -> Answer:
    session.state = State.CONNECTING
    session.name, session.version = request.name[:64], request.version[:64]
    session.emulated_headers = {name.lower(): value for name, value in request.headers.items()}
    claims = await authenticate(session, request)
    session.check_open()
    _take(session, claims)
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


async def authenticate(session: Session, request: ConnectRequest) -> Identity:
    """Who is there: the token, then the hook, then the rules for clients without credentials. Raises ``CommandError`` for
    something expired or refused, else ``Disconnected``."""
    identity = await _by_token(session, request.token) if request.token else None
    hook = session.host.env.hooks.connect(identity is not None)
    if hook is not None:
        identity = await _by_hook(session, request, identity, hook) or identity
    if identity is None:
        identity = _without_credentials(session)
    env = session.host.env
    if identity.expire_at and identity.expire_at <= env.unix() and not env.client.insecure:
        raise CommandError(errors.EXPIRED)
    return identity


async def _by_hook(
    session: Session, request: ConnectRequest, known: Identity | None, hook: ConnectHook
) -> Identity | None:
    """The hook's answer on top of what a token said: it adds, and what it leaves out stays."""
    if known is not None:
        session.user, session.info, session.meta = known.user, known.info, known.meta
    answer = await hook(ConnectAsked(caller(session), request.data, tuple(request.subs), known is not None))
    session.check_open()
    if answer is None or known is None:
        return answer
    return Identity(
        answer.user or known.user,
        answer.expire_at or known.expire_at,
        answer.info if len(answer.info) else known.info,
        answer.data,
        {**known.subs, **answer.subs},
        answer.meta if len(answer.meta) else known.meta,
    )


def _without_credentials(session: Session) -> Identity:
    client = session.host.env.client
    if client.user_id_http_header:
        user = session.handshake.headers.get(client.user_id_http_header.lower(), "")
        if user:
            return Identity(user=user)
    if client.allow_anonymous_connect_without_token or client.insecure:
        return Identity()
    raise Disconnected(errors.BAD_FRAME, "connect without a token, and anonymous connections are off")


async def _by_token(session: Session, token: str) -> Identity:
    env = session.host.env
    try:
        claims = await env.tokens.verify_connection(token)
    except ExpiredToken:
        raise CommandError(errors.TOKEN_EXPIRED) from None
    except InvalidToken as error:
        raise Disconnected(errors.INVALID_TOKEN, str(error)) from None
    session.check_open()
    if not claims.user and env.client.disallow_anonymous_connection_tokens:
        raise Disconnected(errors.CONNECT_DENIED, "a token without a user, and those are not allowed")
    return Identity(claims.user, claims.expire_at, claims.info, subs=claims.subs, meta=claims.meta)


def _take(session: Session, identity: Identity) -> None:
    session.user = identity.user
    session.info = identity.info
    session.meta = identity.meta
    session.client_refresh = session.host.env.hooks.refresh() is None
    if session.handshake.emulation or session.wire.unidirectional:
        session.secret = session.host.env.new_id()
    plan_expiry(session, identity.expire_at)


def plan_expiry(session: Session, expire_at: int) -> None:
    """``expire_at`` in Unix seconds; the client has ``expired_close_delay`` on top to bring a new token."""
    env = session.host.env
    if not expire_at or env.client.insecure:
        session.expires_at = 0.0
        return
    brings_tokens = session.client_refresh and not session.wire.unidirectional
    grace = env.client.expired_close_delay if brings_tokens else 0.0
    session.expires_at = env.clock() + (expire_at - env.unix()) + grace


def time_to_live(session: Session, expire_at: int) -> int:
    """Whole seconds until ``expire_at``, at least 1; 0 when the connection does not expire."""
    if not expire_at or session.host.env.client.insecure:
        return 0
    return max(1, int(expire_at - session.host.env.unix()))


def _wanted(session: Session, request: ConnectRequest, claims: Identity) -> dict[str, ServerSubscription]:
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


def _result(session: Session, claims: Identity, entries: list[Entry]) -> ConnectResult:
    env = session.host.env
    ttl = time_to_live(session, claims.expire_at) if session.client_refresh else 0
    result = ConnectResult(
        client=session.id,
        version=env.version,
        expires=ttl > 0,
        ttl=ttl,
        data=claims.data,
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
