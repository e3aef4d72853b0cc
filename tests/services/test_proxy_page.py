"""The examples of the page about proxies."""

import json
import re
from pathlib import Path

import pytest

from rtserver.config import load
from rtserver.services.proxy_wire import result_of

PAGE = (Path(__file__).parents[2] / "docs/proxies.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_piece_of_configuration_is_one(text):
    load(text, {})


@pytest.mark.parametrize("text", blocks("python"))
def test_every_program_compiles(text):
    compile(text, "proxies.md", "exec")


def test_every_answer_is_understood():
    answers = [json.loads(text) for text in blocks("json")]
    assert [list(each)[0] for each in answers] == ["result", "error", "disconnect"]
    assert json.loads(bytes(result_of(json.dumps(answers[0]).encode()))) == {}
