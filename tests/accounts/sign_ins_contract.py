"""What sign-ins with providers store, rates, and what is swept away, on every database."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import gatherResults

from rtserver.accounts import associations, nonces, partials, proofs, users
from rtserver.accounts.associations import Association
from rtserver.accounts.errors import AccountRefused, RateLimited
from rtserver.accounts.partials import LARGEST, Partial
from rtserver.accounts.sweeping import BATCH
from rtserver.core.accounts import Rate
from tests.accounts.tables import DAY, HOUR, Tables, checks_of
from tests.store_contract import begin

THRICE = Rate("sign_in", 3, 60)

ASSOCIATION = Association("a1", "https://op.example", "handle", "c2VjcmV0", 1_800_000_000, 1800, "HMAC-SHA1")


def partial(tables: Tables) -> Partial:
    return Partial("oidc", 4, '{"kwargs":{}}', "v1", tables.now + HOUR * 1000)


async def too_often(tables: Tables, rate: Rate, *names: str) -> int:
    """The seconds to wait, 0 when it was not too often."""
    try:
        await tables.rates.spend(rate, *names)
    except RateLimited as error:
        return error.retry_after
    return 0


# Partials


async def check_a_partial_is_loaded_by_its_token(tables: Tables) -> None:
    await partials.save(tables.database, "token-1", partial(tables), tables.now)
    assert await partials.load(tables.database, "token-1", "v1", tables.now) == partial(tables)
    assert await partials.load(tables.database, "token-2", "v1", tables.now) is None
    assert "token-1" not in await tables.everything()


async def check_a_partial_of_another_pipeline_is_not_loaded(tables: Tables) -> None:
    await partials.save(tables.database, "token", partial(tables), tables.now)
    assert await partials.load(tables.database, "token", "v2", tables.now) is None


async def check_a_partial_that_is_too_old_is_not_loaded(tables: Tables) -> None:
    await partials.save(tables.database, "token", partial(tables), tables.now)
    tables.unix += HOUR
    assert await partials.load(tables.database, "token", "v1", tables.now) is None


async def check_a_partial_is_saved_again_as_what_became_of_it(tables: Tables) -> None:
    await partials.save(tables.database, "token", partial(tables), tables.now)
    later = replace(partial(tables), next_step=6, data="{}")
    await partials.save(tables.database, "token", later, tables.now)
    assert await partials.load(tables.database, "token", "v1", tables.now) == later


async def check_a_partial_is_removed_once(tables: Tables) -> None:
    await partials.save(tables.database, "token", partial(tables), tables.now)
    removed = await gatherResults([begin(partials.remove(tables.database, "token")) for _ in range(4)])
    assert sorted(removed) == [False, False, False, True]
    assert await partials.load(tables.database, "token", "v1", tables.now) is None


async def check_a_partial_that_is_too_large_is_refused(tables: Tables) -> None:
    await partials.save(tables.database, "token", replace(partial(tables), data="x" * LARGEST), tables.now)
    try:
        await partials.save(tables.database, "token", replace(partial(tables), data="x" * (LARGEST + 1)), tables.now)
    except AccountRefused as error:
        assert error.code == "provider_answer_too_large"
    else:
        raise AssertionError("the partial was not refused")


# Nonces and associations


async def check_a_nonce_is_used_once(tables: Tables) -> None:
    used = await gatherResults([begin(nonces.use(tables.database, "op", 1, "salt", tables.now)) for _ in range(4)])
    assert sorted(used) == [False, False, False, True]
    assert await nonces.use(tables.database, "op", 2, "salt", tables.now)
    assert await nonces.use(tables.database, "other", 1, "salt", tables.now)


async def check_a_nonce_is_consumed_once_and_by_all_of_its_parts(tables: Tables) -> None:
    await nonces.use(tables.database, "op", 1, "salt", tables.now)
    for scope, stamp, salt in (("other", 1, "salt"), ("op", 2, "salt"), ("op", 1, "pepper")):
        assert not await nonces.consume(tables.database, scope, stamp, salt)
    consumed = await gatherResults([begin(nonces.consume(tables.database, "op", 1, "salt")) for _ in range(4)])
    assert sorted(consumed) == [False, False, False, True]


async def check_associations_keep_all_that_was_agreed(tables: Tables) -> None:
    other = replace(ASSOCIATION, id="a2", handle="newer", issued=1_800_000_001)
    foreign = replace(ASSOCIATION, id="a3", server_url="https://other.example", issued=1)
    for each in (ASSOCIATION, other, foreign):
        await associations.store(tables.database, each)
    assert await associations.get(tables.database, "https://op.example") == [other, ASSOCIATION]
    assert await associations.get(tables.database, handle="handle") == [ASSOCIATION, foreign]
    assert await associations.get(tables.database, "https://op.example", "handle") == [ASSOCIATION]
    assert await associations.get(tables.database) == [other, ASSOCIATION, foreign]
    assert await associations.get(tables.database, "nowhere") == []


async def check_an_association_is_stored_again_under_its_id(tables: Tables) -> None:
    await associations.store(tables.database, ASSOCIATION)
    again = replace(ASSOCIATION, id="a2", secret="bmV3", issued=1_800_000_001, lifetime=5, assoc_type="HMAC-SHA256")
    await associations.store(tables.database, again)
    assert await associations.get(tables.database) == [replace(again, id="a1")]


async def check_associations_are_removed_by_their_ids(tables: Tables) -> None:
    for n in range(3):
        await associations.store(tables.database, replace(ASSOCIATION, id=f"a{n}", handle=f"{n}"))
    await associations.remove(tables.database, [])
    await associations.remove(tables.database, ["a0", "a2", "nothing"])
    assert [each.id for each in await associations.get(tables.database)] == ["a1"]


# Rates


async def check_what_is_done_too_often_has_to_wait_for_the_end_of_the_window(tables: Tables) -> None:
    tables.unix += 9.5
    assert [await too_often(tables, THRICE, "ada") for _ in range(5)] == [0, 0, 0, 51, 51]
    tables.unix += 50
    assert await too_often(tables, THRICE, "ada") == 1
    tables.unix += 0.5
    assert [await too_often(tables, THRICE, "ada") for _ in range(4)] == [0, 0, 0, 60]


async def check_counters_are_of_their_rule_and_all_of_their_names(tables: Tables) -> None:
    for names in ((), ("ada",), ("ada", "192.0.2.1"), ("ada192.0.2.1",), ("", "ada"), ("\0\ud800",)):
        assert [await too_often(tables, THRICE, *names) for _ in range(4)] == [0, 0, 0, 60]
    assert await too_often(tables, replace(THRICE, name="letter"), "ada") == 0


async def check_those_who_come_at_once_are_all_counted(tables: Tables) -> None:
    waits = await gatherResults([begin(too_often(tables, THRICE, "ada")) for _ in range(12)])
    assert sorted(waits) == [0] * 3 + [60] * 9


async def check_counters_do_not_tell_whom_they_count(tables: Tables) -> None:
    await tables.rates.spend(THRICE, "ada@example.org", "192.0.2.1")
    stored = await tables.everything()
    assert "sign_in" in stored
    assert "ada" not in stored and "192.0" not in stored


async def check_who_is_refused_is_told_how_long_to_wait(tables: Tables) -> None:
    slow = Rate("letter", 0, 3600)
    try:
        await tables.rates.spend(slow, "ada")
    except RateLimited as error:
        assert (error.code, error.status, error.retry_after) == ("too_many_attempts", 429, 3600)
        assert "60 minutes" in error.sentence
    else:
        raise AssertionError("it was not refused")


# Sweeping


async def check_what_is_over_is_swept_away_and_the_rest_stays(tables: Tables) -> None:
    await everything_at(tables, "old")
    tables.unix += 31 * DAY
    await everything_at(tables, "new")
    await tables.sessions.sweep()
    counts = {
        table: len(await tables.rows(table))
        for table in (
            "rt_proofs", "rt_auth_partials", "rt_auth_nonces", "rt_auth_associations", "rt_attempts", "rt_sessions",
            "rt_letters",
        )
    }  # fmt: skip
    assert counts == {**dict.fromkeys(counts, 1), "rt_letters": 2}
    assert "old" not in repr(await tables.rows("rt_proofs"))


async def everything_at(tables: Tables, name: str) -> None:
    await tables.letter(id=name)
    await partials.save(tables.database, name, partial(tables), tables.now)
    await nonces.use(tables.database, name, 1, name, tables.now)
    await associations.store(tables.database, replace(ASSOCIATION, id=name, handle=name, issued=int(tables.unix)))
    await tables.rates.spend(THRICE, name)
    await tables.sessions.begin(name, "")
    for state, ended_at in (("sent", tables.now), ("new", None)) if name == "old" else (("sent", tables.now),):
        await tables.database.run(
            "insert into rt_letters (id, kind, rcpt, raw, state, next_at, created_at, ended_at) "
            "values (?, 'reset', 'ada@example.org', '', ?, 0, ?, ?)",
            (f"{name}-{state}", state, tables.now, ended_at),
        )


async def check_sweeping_tells_whose_sessions_ended(tables: Tables) -> None:
    ada, bob, eve = [await tables.person(name) for name in ("ada", "bob", "eve")]
    for each in (ada, ada, bob):
        await tables.sessions.sign_in(None, each.id, "", "")
    await tables.sessions.begin("", "")
    assert await tables.sessions.sweep() == []
    tables.unix += 14 * DAY
    _, cookie = await tables.sessions.sign_in(None, bob.id, "", "")
    await tables.sessions.sign_in(None, eve.id, "", "")
    await users.set_active(tables.database, eve.id, False)
    assert await tables.sessions.sweep() == sorted([ada.id, bob.id, eve.id])
    assert await tables.sessions.sweep() == []
    assert await tables.sessions.find(cookie) is not None


async def check_an_expired_letter_is_known_for_a_day(tables: Tables) -> None:
    await tables.letter()
    tables.unix += 2 * DAY - 1
    await tables.sessions.sweep()
    assert await proofs.by_code(tables.database, "code-p1") is not None
    tables.unix += 1
    await tables.sessions.sweep()
    assert await proofs.by_code(tables.database, "code-p1") is None


async def check_more_than_a_batch_is_swept_in_one_go(tables: Tables) -> None:
    await tables.database.run(
        "insert into rt_auth_nonces (scope, stamp, salt, created_at) "
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?) "
        "select 'op', i, 'salt', 0 from n",
        (2 * BATCH + 1,),
    )
    await tables.sessions.sweep()
    assert await tables.rows("rt_auth_nonces") == []


SIGN_INS_CHECKS = checks_of(globals())
