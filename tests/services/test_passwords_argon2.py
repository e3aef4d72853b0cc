"""Hashing of passwords: what is made, what is accepted, and that the same work is done for nobody."""

from __future__ import annotations

import pytest
import pytest_twisted
from argon2 import extract_parameters
from twisted.internet import reactor

from rtserver.services.passwords_argon2 import MEMORY_COST, PARALLELISM, TIME_COST, Argon2Hasher
from rtserver.threads import Threads
from tests.deadline import deadline

CHEAP = (1, 64, 1)


class CountingThreads(Threads):
    """Keeps the hashes that were worked on."""

    def __init__(self) -> None:
        super().__init__(reactor, "tests", size=2, waiting=10)
        self.worked_on = []

    async def run(self, function, values, *, must=False):
        self.worked_on.append(values.get("hashed"))
        return await super().run(function, values, must=must)


@pytest_twisted.async_yield_fixture
async def threads():
    made = CountingThreads()
    await made.start()
    yield made
    await made.stop()


@deadline(20)
async def test_a_password_is_hashed_with_argon2id_and_the_costs_of_today(threads):
    hasher = Argon2Hasher(threads)
    hashed = await hasher.hash("correct horse")
    parameters = extract_parameters(hashed)
    assert hashed.startswith("$argon2id$")
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (
        TIME_COST,
        MEMORY_COST,
        PARALLELISM,
    )
    assert await hasher.verify(hashed, "correct horse")


@deadline(20)
async def test_only_the_same_password_is_accepted(threads):
    hasher = Argon2Hasher(threads, CHEAP)
    hashed = await hasher.hash("пароль 🙂")
    assert hashed != await hasher.hash("пароль 🙂"), "each has a salt of its own"
    assert await hasher.verify(hashed, "пароль 🙂")
    for wrong in ("", "пароль", "пароль 🙂 ", "ПАРОЛЬ 🙂"):
        assert not await hasher.verify(hashed, wrong)


@deadline(20)
async def test_for_nobody_the_same_work_is_done_and_the_answer_is_no(threads):
    hasher = Argon2Hasher(threads, CHEAP)
    assert not await hasher.verify(None, "nobody's")
    assert not await hasher.verify(None, "")
    assert len(threads.worked_on) == 2
    assert {str(extract_parameters(each)) for each in threads.worked_on} == {
        str(extract_parameters(await hasher.hash("x")))
    }


@pytest.mark.parametrize("broken", ["", "x", "$argon2id$", "$2b$12$abc", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$"])
@deadline(20)
async def test_a_hash_that_is_none_accepts_nothing(threads, broken):
    assert not await Argon2Hasher(threads, CHEAP).verify(broken, "")


@deadline(20)
async def test_a_hash_of_other_costs_is_still_good_and_is_to_be_made_anew(threads):
    old, new = Argon2Hasher(threads, CHEAP), Argon2Hasher(threads, (1, 128, 1))
    hashed = await old.hash("correct horse")
    assert await new.verify(hashed, "correct horse")
    assert new.needs_rehash(hashed) and not old.needs_rehash(hashed)
