"""The tables ``rt_sessions`` and ``rt_session_items``: the browsers that come back, and what they carry.

A cookie holds a random value of which only the SHA-256 is stored. Each item is a row, so that two tabs that write at the same
time lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rtserver.accounts import proofs, sweeping
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.records import Session
from rtserver.accounts.rows import hashed, printable
from rtserver.core.ports import Database, Row
from rtserver.core.rows import Runs, is_id, ms

ANONYMOUS_TTL = 1800
"""Seconds that the session of somebody who is not signed in lives unused."""
TOUCH_INTERVAL = 60_000
"""Milliseconds between two notes that a session is in use."""
REPLACED_STAYS = 60_000
"""Milliseconds that it is known of a cookie that another one has taken its place: longer than requests are under way."""
MOST_OF_USER = 50
"""Sessions of one person. The next one ends the one that was not seen for the longest time."""
MOST_ITEMS = 64
"""Items of a session. The next one drops the oldest."""
LONGEST_ITEM = 64 * 1024
"""Characters of the value of an item."""
LONGEST_AGENT = 300
LONGEST_REMOTE = 64

_COLUMNS = "sid_hash, id, coalesce(user_id, ''), csrf, agent, remote, created_at, seen_at, expires_at"
_FIND = f"""
    select {_COLUMNS} from rt_sessions
    where sid_hash = ? and expires_at > ?
        and (user_id is null or exists (select 1 from rt_users where id = rt_sessions.user_id and is_active = 1))
"""
_LIVES = "select 1 from rt_sessions where id = ? and user_id = ? and expires_at > ?"
_INSERT = """
    insert into rt_sessions (sid_hash, id, user_id, csrf, agent, remote, created_at, seen_at, expires_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_ONCE = f"{_INSERT} on conflict (sid_hash) do nothing"
_INSERT_BY_PASSWORD = """
    insert into rt_sessions (sid_hash, id, user_id, csrf, agent, remote, created_at, seen_at, expires_at)
    select ?, ?, ?, ?, ?, ?, ?, ?, ? where exists (select 1 from rt_users where id = ? and password_hash = ?)
    returning id
"""
_TRIM = f"""
    delete from rt_sessions where sid_hash in
        (select sid_hash from rt_sessions where user_id = ? order by seen_at desc, id limit 1000 offset {MOST_OF_USER})
"""
_SET_ITEM = """
    insert into rt_session_items (sid_hash, name, value, set_at)
    select sid_hash, ?, ?, ? from rt_sessions where sid_hash = ?
    on conflict (sid_hash, name) do update set value = excluded.value, set_at = excluded.set_at returning name
"""
_TRIM_ITEMS = f"""
    delete from rt_session_items where sid_hash = ? and name in
        (select name from rt_session_items where sid_hash = ? order by set_at desc, name limit 1000 offset {MOST_ITEMS})
"""


class Sessions:
    """``unix`` gives seconds since 1970, ``token`` a random text that is safe in addresses, of so many bytes."""

    def __init__(
        self, database: Database, options: AccountsOptions, unix: Callable[[], float], token: Callable[[int], str]
    ) -> None:
        self._database = database
        self._options = options
        self._unix = unix
        self._token = token

    async def find(self, cookie: str) -> Session | None:
        """None when it has ended, or when its account is not active. It lives on from now; that is noted once a minute."""
        now = ms(self._unix())
        rows = await self._database.run(_FIND, (hashed(cookie), now))
        if not rows:
            return None
        session = Session(*rows[0])
        return session if now - session.seen_at < TOUCH_INTERVAL else await self._touched(session, now)

    async def lives(self, id: str, user_id: str, runs: Runs | None = None) -> bool:
        """Whether this person has such a session still. It lives on no longer by this."""
        return bool(await (runs or self._database).run(_LIVES, (id, user_id, ms(self._unix()))))

    async def begin(self, agent: str, remote: str) -> tuple[Session, str]:
        """A session of nobody yet, and its cookie."""
        session, cookie = self._made("", agent, remote)
        await self._database.run(_INSERT, _values(session))
        return session, cookie

    async def sign_in(
        self, old: Session | None, user_id: str, agent: str, remote: str, password_hash: str | None = None
    ) -> tuple[Session, str]:
        """A session of this person in the place of ``old``, whose cookie and items are of no use any more. Raises
        ``AccountRefused`` when ``password_hash``, by which a password was right, is not the person's any more: whoever has
        changed it was to be alone."""
        session, cookie = self._made(user_id, agent, remote)
        # Statements by themselves, not a transaction: those of people who sign in at the same time would collide. In this
        # order a failure in between leaves nobody signed in who should not be: nobody has the new cookie yet.
        if password_hash is None:
            await self._database.run(_INSERT, _values(session))
        elif not await self._database.run(_INSERT_BY_PASSWORD, (*_values(session), user_id, password_hash)):
            raise AccountRefused(
                "wrong_password", "The password was changed at this moment: sign in with the new one.", "", 401
            )
        if old is not None:
            await self._remember(old)
            await self.end(old)
        await self._database.run(_TRIM, (user_id,))
        return session, cookie

    async def was_replaced(self, cookie: str) -> bool:
        """Whether this was the cookie of a session in whose place another one came just now. It is good for nothing any more;
        but the browser has a better one, or will have it in a moment."""
        sql = "select 1 from rt_sessions where sid_hash = ? and expires_at > ?"
        return bool(await self._database.run(sql, (_replaced(hashed(cookie)), ms(self._unix()))))

    async def _remember(self, old: Session) -> None:
        """That ``old`` is replaced. The row that says so is no session: no cookie has such a hash."""
        now = ms(self._unix())
        mark = Session(_replaced(old.sid_hash), self._token(9), "", "", "", "", now, now, now + REPLACED_STAYS)
        await self._database.run(_INSERT_ONCE, _values(mark))

    async def end(self, session: Session) -> None:
        await self._database.run("delete from rt_sessions where sid_hash = ?", (session.sid_hash,))

    async def end_all(self, user_id: str, but: str = "", runs: Runs | None = None) -> int:
        """End those of a person, except the one with the hash ``but``: how many it were. What could become one without a
        password, or another way in, ends with them. With ``runs`` as a part of that transaction."""
        runs, now = runs or self._database, ms(self._unix())
        await proofs.drop_redemptions(runs, user_id, now)
        await proofs.drop_address_changes(runs, user_id, now)
        sql = "delete from rt_sessions where user_id = ? and sid_hash <> ? returning id"
        return len(await runs.run(sql, (user_id, but)))

    async def end_one(self, user_id: str, id: str) -> bool:
        """False when this person has no such session."""
        if not is_id(id):
            return False
        sql = "delete from rt_sessions where user_id = ? and id = ? returning id"
        return bool(await self._database.run(sql, (user_id, id)))

    async def of_user(self, user_id: str) -> list[Session]:
        """Those that go on, the one in use last first."""
        sql = f"select {_COLUMNS} from rt_sessions where user_id = ? and expires_at > ? order by seen_at desc, id"
        return [Session(*row) for row in await self._database.run(sql, (user_id, ms(self._unix())))]

    # Items

    async def get_item(self, sid_hash: str, name: str) -> str | None:
        sql = "select value from rt_session_items where sid_hash = ? and name = ?"
        return _value(await self._database.run(sql, (sid_hash, name)))

    async def set_item(self, sid_hash: str, name: str, value: str) -> bool:
        """``value`` is JSON. False when the session has ended meanwhile. Raises ``AccountRefused`` when it is longer than
        ``LONGEST_ITEM``."""
        if len(value) > LONGEST_ITEM:
            raise AccountRefused("session_full", "This is more than we can keep for you: start over with less.")
        is_set = await self._database.run(_SET_ITEM, (name, value, ms(self._unix()), sid_hash))
        await self._database.run(_TRIM_ITEMS, (sid_hash, sid_hash))
        return bool(is_set)

    async def pop_item(self, sid_hash: str, name: str) -> str | None:
        """Of all who ask, one gets the value."""
        sql = "delete from rt_session_items where sid_hash = ? and name = ? returning value"
        return _value(await self._database.run(sql, (sid_hash, name)))

    async def pop_items(self, sid_hash: str, prefix: str) -> dict[str, str]:
        """All whose names begin with ``prefix``."""
        sql = "delete from rt_session_items where sid_hash = ? and substr(name, 1, ?) = ? returning name, value"
        return dict(await self._database.run(sql, (sid_hash, len(prefix), prefix)))

    async def items(self, sid_hash: str) -> dict[str, str]:
        return dict(
            await self._database.run("select name, value from rt_session_items where sid_hash = ?", (sid_hash,))
        )

    async def sweep(self) -> list[str]:
        """Drop what is over, in this and the other tables of accounts: the people of whom a session ended by that."""
        return await sweeping.sweep(self._database, ms(self._unix()))

    def _made(self, user_id: str, agent: str, remote: str) -> tuple[Session, str]:
        now = ms(self._unix())
        cookie = self._token(32)
        session = Session(
            sid_hash=hashed(cookie),
            id=self._token(9),
            user_id=user_id,
            csrf=self._token(24),
            agent=printable(agent, LONGEST_AGENT),
            remote=printable(remote, LONGEST_REMOTE),
            created_at=now,
            seen_at=now,
            expires_at=self._end(user_id, now, now),
        )
        return session, cookie

    def _end(self, user_id: str, created_at: int, now: int) -> int:
        ttl = self._options.session_ttl if user_id else min(ANONYMOUS_TTL, self._options.session_ttl)
        return min(now + ms(ttl), created_at + ms(self._options.session_max))

    async def _touched(self, session: Session, now: int) -> Session:
        touched = replace(session, seen_at=now, expires_at=self._end(session.user_id, session.created_at, now))
        await self._database.run(
            "update rt_sessions set seen_at = ?, expires_at = ? where sid_hash = ? and seen_at = ?",
            (touched.seen_at, touched.expires_at, session.sid_hash, session.seen_at),
        )
        return touched


def _values(session: Session) -> Row:
    who = (session.sid_hash, session.id, session.user_id or None, session.csrf, session.agent, session.remote)
    return (*who, session.created_at, session.seen_at, session.expires_at)


def _replaced(sid_hash: str) -> str:
    return f"replaced:{sid_hash}"


def _value(rows: list[Row]) -> str | None:
    return rows[0][0] if rows else None
