"""What sessions do, on every database."""

from __future__ import annotations

from twisted.internet.defer import gatherResults

from rtserver.accounts import users
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.rows import hashed
from rtserver.accounts.sessions import LONGEST_ITEM, MOST_ITEMS, MOST_OF_USER
from tests.accounts.tables import DAY, Tables, checks_of
from tests.store_contract import begin


async def check_a_session_of_nobody_is_found_by_its_cookie(tables: Tables) -> None:
    session, cookie = await tables.sessions.begin("Firefox", "192.0.2.1")
    assert session.user_id == ""
    assert await tables.sessions.find(cookie) == session
    for other in ("", "x", "\0", "\ud800", session.sid_hash, session.id):
        assert await tables.sessions.find(other) is None


async def check_the_cookie_is_not_stored(tables: Tables) -> None:
    ada = await tables.person()
    begun, first = await tables.sessions.begin("", "")
    _, second = await tables.sessions.sign_in(begun, ada.id, "", "")
    await tables.sessions.find(second)
    stored = await tables.everything()
    assert hashed(second) in stored
    assert first not in stored and second not in stored


async def check_what_a_browser_says_of_itself_is_cut_and_cleaned(tables: Tables) -> None:
    session, cookie = await tables.sessions.begin("Fire\0fox\r\n\ud800" + "x" * 1000, "2001:db8::1" + "y" * 1000)
    assert session.agent.startswith("Firefoxxx")
    assert (len(session.agent), len(session.remote)) == (300, 64)
    assert await tables.sessions.find(cookie) == session


async def check_signing_in_changes_the_cookie_and_drops_what_was_carried(tables: Tables) -> None:
    ada = await tables.person()
    begun, old = await tables.sessions.begin("", "")
    await tables.sessions.set_item(begun.sid_hash, "a", "1")
    session, cookie = await tables.sessions.sign_in(begun, ada.id, "Firefox", "192.0.2.1")
    assert cookie != old and session.csrf != begun.csrf and session.id != begun.id
    assert await tables.sessions.find(old) is None
    assert await tables.sessions.find(cookie) == session
    assert session.user_id == ada.id
    assert await tables.sessions.items(session.sid_hash) == {}
    assert await tables.rows("rt_session_items") == []


async def check_a_session_of_nobody_lives_half_an_hour_unused(tables: Tables) -> None:
    _, cookie = await tables.sessions.begin("", "")
    for _ in range(3):
        tables.unix += 1799
        assert await tables.sessions.find(cookie) is not None
    tables.unix += 1800
    assert await tables.sessions.find(cookie) is None


async def check_a_session_of_somebody_lives_as_long_as_is_configured(tables: Tables) -> None:
    ada = await tables.person()
    _, cookie = await tables.sessions.sign_in(None, ada.id, "", "")
    for _ in range(6):
        tables.unix += 14 * DAY - 1
        assert await tables.sessions.find(cookie) is not None
    tables.unix += 14 * DAY
    assert await tables.sessions.find(cookie) is None


async def check_no_use_keeps_a_session_alive_for_ever(tables: Tables) -> None:
    ada = await tables.person()
    _, cookie = await tables.sessions.sign_in(None, ada.id, "", "")
    for _ in range(89):
        tables.unix += DAY
        assert await tables.sessions.find(cookie) is not None
    tables.unix += DAY
    assert await tables.sessions.find(cookie) is None


async def check_use_is_noted_once_a_minute(tables: Tables) -> None:
    session, cookie = await tables.sessions.begin("", "")
    tables.unix += 59
    assert await tables.sessions.find(cookie) == session
    tables.unix += 1
    found = await tables.sessions.find(cookie)
    assert found is not None
    assert (found.seen_at, found.expires_at) == (session.seen_at + 60_000, session.expires_at + 60_000)
    tables.unix += 59
    assert await tables.sessions.find(cookie) == found


async def check_who_is_not_active_has_no_session(tables: Tables) -> None:
    ada = await tables.person()
    _, cookie = await tables.sessions.sign_in(None, ada.id, "", "")
    await users.set_active(tables.database, ada.id, False)
    assert await tables.sessions.find(cookie) is None


async def check_an_ended_session_is_over(tables: Tables) -> None:
    session, cookie = await tables.sessions.begin("", "")
    await tables.sessions.end(session)
    await tables.sessions.end(session)
    assert await tables.sessions.find(cookie) is None
    assert not await tables.sessions.was_replaced(cookie)


async def check_somebody_ends_all_sessions_or_all_others(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    kept, cookie = await tables.sessions.sign_in(None, ada.id, "", "")
    for _ in range(2):
        await tables.sessions.sign_in(None, ada.id, "", "")
    _, foreign = await tables.sessions.sign_in(None, bob.id, "", "")
    assert await tables.sessions.end_all(ada.id, but=kept.sid_hash) == 2
    assert await tables.sessions.find(cookie) is not None
    assert await tables.sessions.end_all(ada.id) == 1
    assert await tables.sessions.find(cookie) is None
    assert await tables.sessions.find(foreign) is not None


async def check_somebody_ends_one_of_the_own_sessions(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    session, cookie = await tables.sessions.sign_in(None, ada.id, "", "")
    assert not await tables.sessions.end_one(bob.id, session.id)
    assert not await tables.sessions.end_one(ada.id, "\0")
    assert await tables.sessions.find(cookie) is not None
    assert await tables.sessions.end_one(ada.id, session.id)
    assert not await tables.sessions.end_one(ada.id, session.id)
    assert await tables.sessions.find(cookie) is None


async def check_a_session_lives_until_its_end_and_for_its_person_only(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    session, _ = await tables.sessions.sign_in(None, ada.id, "", "")
    assert await tables.sessions.lives(session.id, ada.id)
    assert not await tables.sessions.lives(session.id, bob.id)
    tables.unix += 14 * DAY
    assert not await tables.sessions.lives(session.id, ada.id)


async def check_the_sessions_of_a_person_are_listed_the_last_used_first(tables: Tables) -> None:
    ada = await tables.person()
    first, cookie = await tables.sessions.sign_in(None, ada.id, "one", "")
    tables.unix += 13 * DAY
    await tables.sessions.sign_in(None, ada.id, "two", "")
    assert [each.agent for each in await tables.sessions.of_user(ada.id)] == ["two", "one"]
    tables.unix += 60
    await tables.sessions.find(cookie)
    assert [each.agent for each in await tables.sessions.of_user(ada.id)] == ["one", "two"]
    tables.unix += 14 * DAY - 60
    assert [each.agent for each in await tables.sessions.of_user(ada.id)] == ["one"]
    assert first.id == (await tables.sessions.of_user(ada.id))[0].id


async def check_too_many_sessions_of_a_person_end_the_oldest(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    _, foreign = await tables.sessions.sign_in(None, bob.id, "", "")
    cookies = []
    for _ in range(MOST_OF_USER + 1):
        tables.unix += 1
        cookies.append((await tables.sessions.sign_in(None, ada.id, "", ""))[1])
    assert [await tables.sessions.find(each) is None for each in cookies] == [True] + [False] * MOST_OF_USER
    assert await tables.sessions.find(foreign) is not None


async def check_people_who_sign_in_at_once_all_do(tables: Tables) -> None:
    people = [await tables.person(f"p{n}") for n in range(8)]
    begun = [await tables.sessions.begin("", "") for _ in people]
    signing = [tables.sessions.sign_in(old, each.id, "", "") for (old, _), each in zip(begun, people, strict=True)]
    made = await gatherResults([begin(each) for each in signing])
    found = [await tables.sessions.find(cookie) for _, cookie in made]
    assert [each.user_id for each in found if each] == [each.id for each in people]
    assert [await tables.sessions.find(cookie) for _, cookie in begun] == [None] * 8


async def check_a_replaced_cookie_is_known_for_a_minute_and_good_for_nothing(tables: Tables) -> None:
    ada = await tables.person()
    begun, first = await tables.sessions.begin("Firefox", "192.0.2.1")
    assert not await tables.sessions.was_replaced(first)
    signed, second = await tables.sessions.sign_in(begun, ada.id, "", "")
    assert await tables.sessions.was_replaced(first) and not await tables.sessions.was_replaced(second)
    _, third = await tables.sessions.sign_in(signed, ada.id, "", "")
    for cookie in (first, second):
        assert await tables.sessions.was_replaced(cookie)
        assert await tables.sessions.find(cookie) is None
    assert not await tables.sessions.set_item(begun.sid_hash, "a", "1")
    assert len(await tables.sessions.of_user(ada.id)) == 1
    for other in ("", "x", "\0", "\ud800", third):
        assert not await tables.sessions.was_replaced(other)
    tables.unix += 59
    assert await tables.sessions.was_replaced(first)
    tables.unix += 1
    assert not await tables.sessions.was_replaced(first)
    await tables.sessions.sweep()
    assert len(await tables.rows("rt_sessions")) == 1


async def check_what_is_kept_of_a_replaced_session_opens_none(tables: Tables) -> None:
    """Whoever reads the table cannot make a cookie of it, nor can a browser say the words of the row."""
    ada = await tables.person()
    begun, first = await tables.sessions.begin("", "")
    await tables.sessions.sign_in(begun, ada.id, "", "")
    stored = [row[0] for row in await tables.rows("rt_sessions")]
    for cookie in (*stored, f"replaced:{first}", f"replaced:{hashed(first)}"):
        assert await tables.sessions.find(cookie) is None
        assert not await tables.sessions.was_replaced(cookie)
    assert first not in await tables.everything()


async def check_two_who_sign_in_by_one_session_at_once_both_do(tables: Tables) -> None:
    ada = await tables.person()
    begun, first = await tables.sessions.begin("", "")
    signing = [tables.sessions.sign_in(begun, ada.id, "", "") for _ in range(4)]
    made = await gatherResults([begin(each) for each in signing])
    assert all([await tables.sessions.find(cookie) is not None for _, cookie in made])
    assert await tables.sessions.find(first) is None and await tables.sessions.was_replaced(first)


# Items


async def check_items_are_kept_by_name(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    other, _ = await tables.sessions.begin("", "")
    assert await tables.sessions.set_item(session.sid_hash, "a", '{"n":1}')
    assert await tables.sessions.set_item(session.sid_hash, "a", '{"n":2}')
    assert await tables.sessions.set_item(session.sid_hash, "b", "null")
    assert await tables.sessions.get_item(session.sid_hash, "a") == '{"n":2}'
    assert await tables.sessions.get_item(session.sid_hash, "c") is None
    assert await tables.sessions.items(session.sid_hash) == {"a": '{"n":2}', "b": "null"}
    assert await tables.sessions.items(other.sid_hash) == {}


async def check_two_tabs_that_write_at_once_lose_nothing(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    await gatherResults([begin(tables.sessions.set_item(session.sid_hash, f"tab{n}", f"{n}")) for n in range(20)])
    assert await tables.sessions.items(session.sid_hash) == {f"tab{n}": f"{n}" for n in range(20)}


async def check_an_item_is_popped_once(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    await tables.sessions.set_item(session.sid_hash, "a", "1")
    popped = await gatherResults([begin(tables.sessions.pop_item(session.sid_hash, "a")) for _ in range(6)])
    assert sorted(popped, key=str) == ["1", None, None, None, None, None]
    assert await tables.sessions.get_item(session.sid_hash, "a") is None


async def check_items_are_popped_by_the_beginning_of_their_names(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    for name in ("partial_pipeline_token", "partial_pipeline", "partial", "partialXpipeline"):
        await tables.sessions.set_item(session.sid_hash, name, "1")
    popped = await tables.sessions.pop_items(session.sid_hash, "partial_pipeline")
    assert popped == {"partial_pipeline_token": "1", "partial_pipeline": "1"}
    assert sorted(await tables.sessions.items(session.sid_hash)) == ["partial", "partialXpipeline"]


async def check_an_item_of_an_ended_session_is_let_go(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    await tables.sessions.end(session)
    assert not await tables.sessions.set_item(session.sid_hash, "a", "1")
    assert await tables.rows("rt_session_items") == []


async def check_items_are_bounded_and_the_oldest_goes(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    for n in range(MOST_ITEMS + 1):
        tables.unix += 0.01
        await tables.sessions.set_item(session.sid_hash, f"item{n}", "1")
    kept = await tables.sessions.items(session.sid_hash)
    assert len(kept) == MOST_ITEMS
    assert "item0" not in kept and "item1" in kept


async def check_an_item_that_is_too_long_is_refused(tables: Tables) -> None:
    session, _ = await tables.sessions.begin("", "")
    assert await tables.sessions.set_item(session.sid_hash, "a", "1" * LONGEST_ITEM)
    try:
        await tables.sessions.set_item(session.sid_hash, "b", "1" * (LONGEST_ITEM + 1))
    except AccountRefused as error:
        assert error.code == "session_full"
    else:
        raise AssertionError("the item was not refused")


SESSIONS_CHECKS = checks_of(globals())
