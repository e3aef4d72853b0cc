"""Work that goes on although whoever asked for it has left."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.lasting import to_its_end


class Work:
    """Waits for ``go``, and keeps that it came to its end."""

    def __init__(self) -> None:
        self.go: Deferred[str] = Deferred()
        self.ended: list[str] = []

    async def run(self) -> str:
        result = await self.go
        self.ended.append(result)
        return result


def outcome_of(deferred: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


def test_the_result_and_the_error_come_to_whoever_waits() -> None:
    work = Work()
    found = outcome_of(to_its_end(work.run()))
    work.go.callback("done")
    assert found == ["done"]
    work = Work()
    found = outcome_of(to_its_end(work.run()))
    work.go.errback(AccountRefused("no", "No."))
    assert found[0].check(AccountRefused)


@pytest.mark.parametrize("expected", [True, False])
def test_the_work_comes_to_its_end_although_nobody_waits(expected: bool, logged_failures: list[Any]) -> None:
    work, failing = Work(), Work()
    for each in (work, failing):
        waiting = to_its_end(each.run())
        found = outcome_of(waiting)
        waiting.cancel()
        assert found[0].check(CancelledError)
    work.go.callback("done")
    assert work.ended == ["done"]
    failing.go.errback(AccountRefused("no", "No.") if expected else ValueError("no"))
    assert len(logged_failures) == (0 if expected else 1)
    logged_failures.clear()
