"""The tables of accounts on SQLite, and what needs no database."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet import reactor

from rtserver.accounts.rows import hashed, printable
from rtserver.core.rows import as_json, is_id, ms, of_json
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.accounts.proofs_contract import PROOFS_CHECKS
from tests.accounts.sessions_contract import SESSIONS_CHECKS
from tests.accounts.sign_ins_contract import SIGN_INS_CHECKS
from tests.accounts.tables import Check, Tables
from tests.accounts.users_contract import USERS_CHECKS
from tests.deadline import deadline

CHECKS = USERS_CHECKS + SESSIONS_CHECKS + PROOFS_CHECKS + SIGN_INS_CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_the_tables_on_sqlite(tmp_path: Path, check: Check) -> None:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{tmp_path}/accounts.db"), reactor)
    await store.start()
    try:
        await check(Tables(store))
    finally:
        await store.stop()


def test_times_are_whole_milliseconds() -> None:
    assert ms(1_800_000_000.9999) == 1_800_000_000_999


def test_any_text_has_a_hash() -> None:
    assert hashed("\ud800\0") != hashed("\ud801\0")
    assert hashed("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("text", ["", "\0", "\n", "é", "\ud800", "x" * 65])
def test_what_an_address_may_hold_is_not_always_an_id(text: str) -> None:
    assert not is_id(text)
    assert is_id("0b8f6a1e-_Z")


def test_what_somebody_says_is_cleaned_before_it_is_cut() -> None:
    assert printable("\0\r\nFire\x1bfox\ud800 1", 9) == "Firefox 1"


def test_any_json_can_be_stored_and_comes_back() -> None:
    value = {"a": "\0\ud800ключ", "b": [1, None, {"c": 1.5}]}
    assert as_json(value).isprintable() and as_json(value).isascii()
    assert of_json(as_json(value)) == value
