"""For every test: nothing may fail without being seen, and what could not run says so at the end."""

import pytest
from twisted.logger import LogLevel, globalLogPublisher

NOT_RUN = pytest.StashKey[list[str]]()


def pytest_configure(config):
    config.stash[NOT_RUN] = []


@pytest.fixture(scope="session")
def not_run(request):
    """Say that something was not run and why; the summary of the run repeats it."""
    return request.config.stash[NOT_RUN].append


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[NOT_RUN]:
        terminalreporter.section("not run", yellow=True)
        for what in config.stash[NOT_RUN]:
            terminalreporter.line(what)


@pytest.fixture(autouse=True)
def logged_failures():
    """What Twisted logs as a failure or critically, such as an unhandled error of a Deferred, is a failure of the test.

    A test that expects one takes it away: ``logged_failures.clear()``."""
    events = []

    def observe(event):
        if "log_failure" in event or event["log_level"] is LogLevel.critical:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)
    assert not events, [str(event.get("log_failure") or event) for event in events]
