"""The guide for application developers: every example runs, and answers what stands below it."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from rtserver.app import App
from tests.app_house import AppHouse, answer
from tests.fakes import EVERYTHING

PAGE = Path(__file__).parents[2] / "docs/apps.md"
BLOCKS = re.findall(r"^```(python|http|realtime)\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.S | re.M)


def examples() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each program with the exchanges below it."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for language, text in BLOCKS:
        if language == "python":
            found.append((text, []))
        else:
            found[-1][1].append((language, text))
    return found


EXAMPLES = examples()


def load(text: str) -> App:
    """The application of a program, as a module of its own: annotations are looked up there."""
    module = types.ModuleType(f"example_{abs(hash(text))}")
    sys.modules[module.__name__] = module
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    app: App = module.app
    return app


def exchanges(text: str) -> list[list[str]]:
    """Paragraphs: a question and its answer, if it has one."""
    return [paragraph.split("\n", 1) for paragraph in text.strip().split("\n\n")]


def over_http(house: AppHouse, text: str) -> None:
    for question, expected in exchanges(text):
        method, path, *rest = question.split(" ", 2)
        line = house.begin(method, path, json.loads(rest[0]) if rest else None)
        for _ in range(5):
            house.clock.advance(0.25)
        got = answer(line)
        status, _, body = expected.partition(" ")
        assert (question, got.status, got.json) == (question, int(status), json.loads(body))


class Realtime:
    """One client that does what the lines say."""

    def __init__(self, house: AppHouse) -> None:
        self.house = house
        self.client = house.world.client()
        self.heard: dict[str, Any] = {}

    def run(self, text: str) -> None:
        for question, *expected in exchanges(text):
            verb, _, rest = question.partition(" ")
            words = [rest] if verb == "connect" and rest else rest.split(" ", 1) if rest else []
            got = getattr(self, verb)(*words)
            if expected:
                wanted = expected[0]
                assert (question, got) == (question, wanted if wanted.startswith("error") else json.loads(wanted))

    def connect(self, data: str = "null") -> Any:
        return self._ask("connect", {"data": json.loads(data)}, "data")

    def subscribe(self, channel: str, data: str = "null") -> Any:
        return self._ask("subscribe", {"channel": channel, "data": json.loads(data)}, "data")

    def rpc(self, method: str, data: str = "null") -> Any:
        return self._ask("rpc", {"method": method, "data": json.loads(data)}, "data")

    def publish(self, channel: str, data: str) -> Any:
        """What subscribers got."""
        refused = self._ask("publish", {"channel": channel, "data": json.loads(data)}, "data")
        return refused if refused else self.hears(channel)

    def hears(self, channel: str) -> Any:
        self.house.world.turn()
        self.house.world.turn()
        self._listen()
        return self.heard.pop(channel, "nothing")

    def _ask(self, command: str, request: dict[str, Any], key: str) -> Any:
        self.client.send(id=9, **{command: request})
        (reply,) = [each for each in self._listen() if each.get("id") == 9]
        if "error" in reply:
            return f"error {reply['error']['code']} {reply['error']['message']}"
        return reply[command].get(key)

    def _listen(self) -> list[dict[str, Any]]:
        messages = self.client.take()
        for each in messages:
            if "pub" in each.get("push", {}):
                self.heard[each["push"]["channel"]] = each["push"]["pub"]["data"]
        return messages


@pytest.mark.parametrize(
    "number", range(len(EXAMPLES)), ids=lambda number: EXAMPLES[number][0].split('App("')[1].split('"')[0]
)
def test_an_example_runs_and_answers_what_stands_below_it(number):
    program, below = EXAMPLES[number]
    house = AppHouse(load(program), namespaces={"chat": EVERYTHING, "price": EVERYTHING})
    for language, text in below:
        if language == "http":
            over_http(house, text)
        else:
            Realtime(house).run(text)
    house.world.spawn(house.applications.stop())
    house.log.check()


def test_the_page_has_examples_of_both_kinds():
    assert len(EXAMPLES) >= 8 and {language for language, _ in BLOCKS} == {"python", "http", "realtime"}


def test_what_providers_live_through_is_what_the_page_says():
    program, below = next(each for each in EXAMPLES if 'App("Bank")' in each[0])
    app = load(program)
    over_http(AppHouse(app), below[0][1])
    log = sys.modules[app.endpoints[0].function.__module__].log
    assert log == ["begin", "commit", "begin", "undo", "begin", "undo"]
