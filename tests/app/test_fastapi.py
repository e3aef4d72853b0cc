"""The same requests as to FastAPI have the same answers, status and body; where they differ on purpose, this says how.

``fastapi_answers.json`` holds what FastAPI answered, see ``make_fastapi_answers.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rtserver.app import App, Body, Cookie, Depends, Header, HTTPError, Query
from rtserver.app import Path as PathParameter
from tests.app.contract import REQUESTS, Asked, Kit, declare
from tests.app_house import AppHouse, answer

RECORDED = json.loads(Path(__file__).with_name("fastapi_answers.json").read_text("utf-8"))
ANSWERS = RECORDED["answers"]


@pytest.fixture(scope="module")
def house():
    app = App("contract")
    declare(app, Kit(PathParameter, Query, Header, Cookie, Body, Depends, HTTPError))
    house = AppHouse(app)
    yield house
    house.log.check()


def ask(house: AppHouse, asked: Asked) -> Any:
    line = house.port.connect()
    headers = [*asked.headers]
    if asked.body is not None:
        headers += [("Content-Type", asked.type)] if asked.type else []
        headers.append(("Content-Length", str(len(asked.body.encode()))))
    lines = [f"{asked.method} {asked.path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers)]
    line.send("\r\n".join([*lines, "", asked.body or ""]).encode())
    house.clock.advance(0)
    return answer(line)


# Differences. Each takes what FastAPI answered and gives what this server answers instead, or None where it has no say.


def not_json(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """400 with a sentence, not 422 with one mistake, for a body that is no JSON."""
    if status == 422 and body["detail"][0]["type"] == "json_invalid":
        return 400, "The body is not JSON"
    return None


def another_type(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """415 for a body of another type or without one, which FastAPI takes as a text."""
    if asked.body and asked.type in ("", "text/plain", "application/x-www-form-urlencoded"):
        return 415, "send the body as application/json"
    return None


def words_of_json(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """JSON has objects and arrays where Python has dictionaries and lists; FastAPI speaks of the latter."""
    if status != 422:
        return None
    mistakes = [dict(each) for each in body["detail"]]
    for each in mistakes:
        if each["type"] == "model_attributes_type":
            each |= DISCRIMINATED if asked.path == "/pets" else MODELS[tuple(each["loc"])]
        elif each["type"] in WORDS:
            each["msg"] = WORDS[each["type"]]
    return (status, {"detail": mistakes}) if mistakes != body["detail"] else None


WORDS = {
    "list_type": "Input should be a valid array",
    "dict_type": "Input should be an object",
    "dataclass_type": "Input should be an object",
}
OBJECT = {"type": "model_type", "msg": "Input should be an object"}
MODELS: dict[tuple[str, ...], dict[str, Any]] = {
    ("body",): {**OBJECT, "ctx": {"class_name": "Item"}},
    ("body", "item"): {**OBJECT, "ctx": {"class_name": "Strict"}},
    ("body", "maker"): {**OBJECT, "ctx": {"class_name": "Maker"}},
}
DISCRIMINATED = {"type": "dict_type", "msg": "Input should be an object"}


def no_object(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """Where keys are wanted and there is no object, that is said once; FastAPI misses every key, also those with defaults."""
    if asked.path == "/two" and asked.body in ("[]", "null"):
        text = "Input should be an object with the keys item, maker, note"
        return 422, {"detail": [{"type": "model_type", "loc": ["body"], "msg": text, "input": None}]}
    return None


def reasons(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """The sentence of a ValueError stands in ``ctx`` too; in FastAPI's it is lost."""
    if status != 422 or body["detail"][0]["type"] != "value_error":
        return None
    mistake = body["detail"][0]
    return 422, {"detail": [{**mistake, "ctx": {"error": mistake["msg"].removeprefix("Value error, ")}}]}


def said_once(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """A provider that is wanted twice tells its mistakes once."""
    if status != 422:
        return None
    mistakes = [each for number, each in enumerate(body["detail"]) if each not in body["detail"][:number]]
    return (422, {"detail": mistakes}) if mistakes != body["detail"] else None


def nan(asked: Asked, status: int, body: Any) -> tuple[int, Any] | None:
    """FastAPI fails over its own answer."""
    return (
        (422, {"detail": [{**OBJECT, "loc": ["body"], "input": None, "ctx": {"class_name": "Item"}}]})
        if (asked.body == "NaN")
        else None
    )


DIFFERENCES = (not_json, another_type, no_object, words_of_json, reasons, said_once, nan)


@pytest.mark.parametrize("asked", REQUESTS, ids=lambda asked: asked.name[:80])
def test_an_endpoint_answers_as_fastapi_does(house, asked):
    recorded = ANSWERS[asked.name]
    expected = (recorded["status"], recorded["body"])
    for difference in DIFFERENCES:
        found = difference(asked, *expected)
        if found is not None:
            expected = found
            break
    got = ask(house, asked)
    assert got.status == expected[0]
    if isinstance(expected[1], str) and got.status in (400, 415):
        assert got.json["detail"].startswith(expected[1])
    else:
        assert got.json == expected[1]


def test_every_recorded_answer_is_asked_for():
    assert {asked.name for asked in REQUESTS} == set(ANSWERS)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.__name__)
def test_every_difference_is_one(difference):
    """So that the list does not outlive its reasons."""
    recorded = [(asked, ANSWERS[asked.name]) for asked in REQUESTS]
    assert any(difference(asked, each["status"], each["body"]) is not None for asked, each in recorded)


# What the recorded bodies do not show


def test_the_headers_of_a_refusal_are_there(house):
    got = ask(house, Asked("GET", "/result/refused"))
    assert got.header("x-pot") == ANSWERS["GET /result/refused"]["headers"]["x-pot"]


def test_405_names_every_method_of_the_path_where_fastapi_names_those_of_one_function(house):
    got = ask(house, Asked("PUT", "/users/me", "{}"))
    assert ANSWERS["PUT /users/me {}"]["headers"]["allow"] == "GET"
    assert got.header("allow") == "GET, HEAD, DELETE, OPTIONS"


def test_a_slash_at_the_end_is_another_path_which_fastapi_redirects_from(house):
    assert ask(house, Asked("GET", "/items/7/")).status == 404


def test_a_slash_inside_of_a_part_is_one_that_was_encoded(house):
    """For FastAPI the server has decoded the path before it is looked at."""
    assert ask(house, Asked("GET", "/users/a%2Fb")).json == "a/b"
