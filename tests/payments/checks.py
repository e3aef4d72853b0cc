"""What payments do, on every database."""

from __future__ import annotations

from typing import Any

from tests.payments.changes_contract import CHANGES_CHECKS
from tests.payments.fates_contract import FATES_CHECKS
from tests.payments.news_contract import NEWS_CHECKS
from tests.payments.outages_contract import OUTAGES_CHECKS
from tests.payments.paying_contract import PAYING_CHECKS
from tests.payments.shop import Check
from tests.payments.unknown_contract import UNKNOWN_CHECKS

CHECKS = PAYING_CHECKS + UNKNOWN_CHECKS + CHANGES_CHECKS + NEWS_CHECKS + OUTAGES_CHECKS + FATES_CHECKS


def take_expected(check: Check, logged_failures: list[Any]) -> None:
    """Applications of these checks fail on purpose, which is logged."""
    if check in NEWS_CHECKS:
        logged_failures[:] = [each for each in logged_failures if "application's function" not in each["log_format"]]
