"""What strangers do not get, on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accounts.attacks_contract import ATTACKS_CHECKS
from tests.accounts.house import Check
from tests.accounts.sqlite_house import house_in
from tests.deadline import deadline


@pytest.mark.parametrize("check", ATTACKS_CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_attacks_on_sqlite(tmp_path: Path, check: Check) -> None:
    async with house_in(tmp_path) as house:
        await check(house)
