"""What the tables of people and of their identities do, on every database."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import gatherResults

from rtserver.accounts import identities, users
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.records import Identity, NewAccount
from rtserver.accounts.users import Norms
from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from tests.accounts.tables import Tables, checks_of
from tests.store_contract import begin, failure_of


def named(tables: Tables, name: str, email: str) -> Any:
    new = NewAccount(tables.token(8), name, email)
    return users.create(tables.database, new, Norms(name.casefold(), email), tables.now)


def identity(user_id: str, **changes: Any) -> Identity:
    plain = {"id": "i1", "provider": "oidc", "id_key": "", "uid": "42", "handle": "ada", "extra": {}, "created_at": 5}
    return Identity(user_id=user_id, **{**plain, **changes})


# People


async def check_a_person_is_found_by_id_address_and_name(tables: Tables) -> None:
    new = NewAccount("u1", "Ada", "Ada@Example.org", "argon")
    made = await users.create(tables.database, new, Norms("ada", "ada@example.org"), 7)
    assert (made.username, made.email, made.has_password, made.is_active, made.is_staff, made.created_at) == (
        "Ada", "Ada@Example.org", True, True, False, 7,
    )  # fmt: skip
    assert await users.find(tables.database, "u1") == made
    assert await users.by_address(tables.database, "ada@example.org") == made
    assert await users.by_username(tables.database, "ada") == made
    assert await users.password_of(tables.database, "u1") == "argon"


async def check_nobody_is_found_by_what_no_database_takes(tables: Tables) -> None:
    for odd in ("", "\0", "a\0b", "\ud800", "x" * 1000):
        assert await users.find(tables.database, odd) is None
        assert await users.by_address(tables.database, odd) is None
        assert await users.by_username(tables.database, odd) is None


async def check_a_name_that_is_taken_gets_a_number(tables: Tables) -> None:
    made = [await named(tables, name, f"{n}@example.org") for n, name in enumerate(["Ada", "ada", "ADA", "bob"])]
    assert [account.username for account in made] == ["Ada", "ada-2", "ADA-3", "bob"]
    assert await users.by_username(tables.database, "ada-3") == made[2]


async def check_a_numbered_name_is_no_longer_than_names_may_be(tables: Tables) -> None:
    long = "x" * 29 + ".yz"
    await named(tables, long, "1@example.org")
    assert (await named(tables, long, "2@example.org")).username == "x" * 29 + "-2"


async def check_numbers_are_found_for_names_that_many_have(tables: Tables) -> None:
    values = ", ".join(f"('o{n}', 'info', 'info-{n}', '', 'o{n}', 0)" for n in range(1, 121))
    await tables.database.run(
        f"insert into rt_users (id, username, username_norm, email, email_norm, created_at) values {values}"
    )
    assert await users.free_username(tables.database, "info") == "info"
    assert (await named(tables, "info", "1@example.org")).username == "info"
    assert await users.free_username(tables.database, "info") == "info-1000"


async def check_a_name_whose_numbers_are_all_taken_is_refused(tables: Tables) -> None:
    numbers = [number for numbers in users.NUMBERS for number in numbers]
    names = ["info", *(f"info-{number}" for number in numbers)]
    values = ", ".join(f"('{name}', '', '{name}', '', '{name}', 0)" for name in names)
    await tables.database.run(
        f"insert into rt_users (id, username, username_norm, email, email_norm, created_at) values {values}"
    )
    try:
        await named(tables, "info", "1@example.org")
    except AccountRefused as error:
        assert (error.code, error.field) == ("username_taken", "username")
    else:
        raise AssertionError("the name was not refused")


async def check_an_address_that_has_an_account_is_a_conflict(tables: Tables) -> None:
    await tables.person("ada")
    for name in ("bob", "ada"):
        error = await failure_of(named(tables, name, "ada@example.org"))
        assert isinstance(error, Conflict)
        assert error.constraint == "rt_users.email_norm"
    assert len(await tables.rows("rt_users")) == 1


async def check_people_who_come_at_once_get_names_of_their_own(tables: Tables) -> None:
    def work(n: int) -> Any:
        async def run(transaction: Transaction) -> str:
            new = NewAccount(f"u{n}", "ada", f"{n}@example.org")
            return (await users.create(transaction, new, Norms("ada", new.email), 0)).username

        return run

    made = await gatherResults([begin(tables.database.transact(work(n))) for n in range(6)])
    assert sorted(made) == ["ada", "ada-2", "ada-3", "ada-4", "ada-5", "ada-6"]


async def check_of_those_who_open_an_account_for_one_address_at_once_one_does(tables: Tables) -> None:
    async def attempt(n: int) -> str:
        async def work(transaction: Transaction) -> str:
            new = NewAccount(f"u{n}", f"name{n}", "ada@example.org")
            return (await users.create(transaction, new, Norms(new.username, new.email), 0)).id

        try:
            return await tables.database.transact(work)
        except Conflict as error:
            return error.constraint

    made = await gatherResults([begin(attempt(n)) for n in range(6)])
    assert sorted(made)[:-1] == ["rt_users.email_norm"] * 5


async def check_what_is_set_is_found(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    await users.set_password(tables.database, ada.id, "new")
    await users.set_address(tables.database, ada.id, "A@example.net", "a@example.net")
    await users.set_staff(tables.database, ada.id, True)
    await users.set_active(tables.database, ada.id, False)
    found = await users.by_address(tables.database, "a@example.net")
    assert found is not None
    assert (found.id, found.email, found.is_staff, found.is_active) == (ada.id, "A@example.net", True, False)
    assert await users.password_of(tables.database, ada.id) == "new"
    assert await users.find(tables.database, bob.id) == bob


async def check_an_address_of_somebody_else_cannot_be_set(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    error = await failure_of(users.set_address(tables.database, ada.id, bob.email, bob.email))
    assert isinstance(error, Conflict)
    assert error.constraint == "rt_users.email_norm"


async def check_somebody_without_a_password_has_none(tables: Tables) -> None:
    made = await named(tables, "ada", "ada@example.org")
    assert not made.has_password
    assert await users.password_of(tables.database, made.id) is None
    assert await users.password_of(tables.database, "nobody") is None


# Identities


async def check_an_identity_is_found_by_what_the_provider_says(tables: Tables) -> None:
    ada = await tables.person()
    given = identity(ada.id, id_key="https://issuer", extra={"name": "Ада \0 \ud800", "n": [1, None]})
    await identities.create(tables.database, given)
    assert await identities.find(tables.database, "oidc", "https://issuer", "42") == given
    assert await identities.find(tables.database, "oidc", None, "42") == given
    assert await identities.find(tables.database, "oidc", "", "42") is None
    assert await identities.find(tables.database, "other", None, "42") is None


async def check_without_a_key_an_identity_that_could_be_two_is_none(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    await identities.create(tables.database, identity(ada.id, id_key="a"))
    await identities.create(tables.database, identity(bob.id, id="i2", id_key="b"))
    assert await identities.find(tables.database, "oidc", None, "42") is None
    found = await identities.find(tables.database, "oidc", "b", "42")
    assert found is not None and found.user_id == bob.id


async def check_an_identity_belongs_to_one_person(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    await identities.create(tables.database, identity(ada.id))
    error = await failure_of(identities.create(tables.database, identity(bob.id, id="i2")))
    assert isinstance(error, Conflict)
    assert error.constraint == "rt_identities.provider,id_key,uid"


async def check_identities_of_a_person_are_listed_and_removed_by_this_person_only(tables: Tables) -> None:
    ada, bob = await tables.person("ada"), await tables.person("bob")
    await identities.create(tables.database, identity(ada.id, id="i2", uid="2", created_at=2))
    await identities.create(tables.database, identity(ada.id, id="i1", uid="1", created_at=1))
    assert [each.id for each in await identities.of_user(tables.database, ada.id)] == ["i1", "i2"]
    assert not await identities.remove(tables.database, bob.id, "i1")
    assert not await identities.remove(tables.database, ada.id, "\0")
    assert await identities.count(tables.database, ada.id) == 2
    assert await identities.remove(tables.database, ada.id, "i1")
    assert not await identities.remove(tables.database, ada.id, "i1")
    assert await identities.count(tables.database, ada.id) == 1


async def check_what_a_provider_says_later_replaces_what_it_said(tables: Tables) -> None:
    ada = await tables.person()
    await identities.create(tables.database, identity(ada.id, extra={"a": 1}))
    await identities.set_extra(tables.database, "i1", {"b": 2}, "Ada\nL.", 9)
    found = await identities.find(tables.database, "oidc", "", "42")
    assert found is not None
    assert (found.extra, found.handle) == ({"b": 2}, "AdaL.")


async def check_an_identity_may_get_another_key(tables: Tables) -> None:
    ada = await tables.person()
    await identities.create(tables.database, identity(ada.id))
    await identities.create(tables.database, identity(ada.id, id="i2", id_key="k", uid="7"))
    assert await identities.move(tables.database, "i1", "k", "43", 9)
    assert not await identities.move(tables.database, "nothing", "k", "44", 9)
    found = await identities.find(tables.database, "oidc", "k", "43")
    assert found is not None and found.id == "i1"
    assert isinstance(await failure_of(identities.move(tables.database, "i1", "k", "7", 9)), Conflict)


async def check_what_belongs_to_a_person_goes_with_the_person(tables: Tables) -> None:
    ada = await tables.person()
    await identities.create(tables.database, identity(ada.id))
    session, _ = await tables.sessions.sign_in(None, ada.id, "", "")
    await tables.sessions.set_item(session.sid_hash, "a", "1")
    await tables.letter(user_id=ada.id)
    await tables.database.run("delete from rt_users where id = ?", (ada.id,))
    for table in ("rt_identities", "rt_sessions", "rt_session_items", "rt_proofs"):
        assert await tables.rows(table) == []


USERS_CHECKS = checks_of(globals())
