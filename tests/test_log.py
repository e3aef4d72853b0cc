"""Log lines: levels, fields, and one JSON object a line."""

from __future__ import annotations

import io
import json

import pytest
from twisted.logger import Logger, LogLevel, globalLogPublisher

from rtserver.log import LEVELS, JSONLines, ServerLog


@pytest.fixture
def events():
    found = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def lines(events):
    out = io.StringIO()
    write = JSONLines(out)
    for event in events:
        write(event)
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("level", LEVELS)
def test_lines_of_the_level_and_above_are_written(events, level, logged_failures):
    log = ServerLog(level)
    for each in LEVELS:
        log(each, f"a line of {each}")
    wanted = list(LEVELS)[list(LEVELS).index(level) :]
    assert [event["text"] for event in events] == [f"a line of {each}" for each in wanted]
    assert [event["log_level"] for event in events] == [LEVELS[each] for each in wanted]
    logged_failures.clear()


def test_fields_stand_behind_the_text_and_in_keys_of_their_own(events):
    ServerLog()("info", "connection closed", client="id-1", code=3001)
    assert events[0]["text"] + events[0]["tail"] == "connection closed client='id-1' code=3001"
    (line,) = lines(events)
    assert (line["level"], line["ns"], line["msg"]) == ("info", "rtserver", "connection closed")
    assert (line["client"], line["code"]) == ("id-1", 3001) and line["ts"] > 1_700_000_000


@pytest.mark.parametrize("text", ["{", "{x}", "a {client} b", "%s", "{0}", "line\nbreak", "\u2028", '"quoted"'])
def test_text_from_outside_is_never_a_format(events, text):
    ServerLog()("warn", text, channel=text)
    (line,) = lines(events)
    assert line["msg"] == line["channel"] == text


def test_a_json_line_is_one_line_whatever_is_in_it(events):
    ServerLog()("info", "a\nb\r\nc", field="d\ne")
    out = io.StringIO()
    JSONLines(out)(events[0])
    assert out.getvalue().count("\n") == 1


def test_a_field_cannot_take_the_place_of_the_line_s_own_keys(events):
    ServerLog()("error", "text", level="info", msg="forged", ts=0, ns="forged")
    (line,) = lines(events)
    assert (line["level"], line["msg"], line["ns"]) == ("error", "text", "rtserver") and line["ts"] > 0


def test_a_failure_comes_with_its_traceback(events, logged_failures):
    try:
        raise ValueError("why")
    except ValueError as failure:
        ServerLog()("error", "it failed", failure)
    (line,) = lines(events)
    logged_failures.clear()
    assert "ValueError" in line["exc"] and "why" in line["exc"] and "test_log" in line["exc"]


def test_a_value_that_is_no_json_is_shown_as_python_shows_it(events):
    ServerLog()("info", "text", value=b"\xff", other={1, 2})
    assert lines(events)[0]["value"] == "b'\\xff'"


def test_lines_of_twisted_and_of_libraries_are_formatted(events):
    Logger(namespace="twisted.web").warn("{peer} is {state}", peer="1.2.3.4", state="slow")
    (line,) = lines(events)
    assert (line["ns"], line["level"], line["msg"]) == ("twisted.web", "warn", "1.2.3.4 is slow")


def test_an_event_with_nothing_in_it_is_a_line():
    (line,) = lines([{}])
    assert (line["level"], line["msg"]) == ("info", "")


def test_an_event_of_another_program_with_a_key_called_text_is_a_line():
    (line,) = lines([{"text": "theirs", "log_level": LogLevel.info, "log_format": "{text}!"}])
    assert line["msg"].startswith("theirs")
