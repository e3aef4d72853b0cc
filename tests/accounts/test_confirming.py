"""Answers to letters, on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accounts.digits_contract import DIGITS_CHECKS
from tests.accounts.house import Check
from tests.accounts.links_contract import LINKS_CHECKS
from tests.accounts.purposes_contract import PURPOSES_CHECKS
from tests.accounts.sqlite_house import house_in
from tests.deadline import deadline


@pytest.mark.parametrize("check", LINKS_CHECKS + DIGITS_CHECKS + PURPOSES_CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_confirming_on_sqlite(tmp_path: Path, check: Check) -> None:
    async with house_in(tmp_path) as house:
        await check(house)
