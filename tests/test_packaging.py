"""What the package says about its dependencies, in its three places."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE_ROW = re.compile(r"^\| ([\w.-]+)(?:\[\w+\])? \| (\S+(?: \(exactly\))?) \| (\S+) \|", re.MULTILINE)


def lists():
    """The lists of requirements in setup.py, read without running it."""
    found = {}
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            texts = [each.value for each in node.value.elts if isinstance(each, ast.Constant)]
            found[node.targets[0].id] = dict(split(text) for text in texts)
    return found


def split(requirement):
    name, _, bound = re.sub("==", ">=", requirement).partition(">=")
    return name.split("[")[0].lower(), f"{bound} (exactly)" if "==" in requirement else bound


def constraints():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {name.lower(): version for name, version in (line.split("==") for line in lines)}


REQUIRED = {name: bound for each in lists().values() for name, bound in each.items()}


@pytest.mark.parametrize("name", REQUIRED)
def test_every_requirement_has_a_tested_version(name):
    assert name in constraints()


@pytest.mark.parametrize("name", REQUIRED)
def test_the_page_of_the_dependencies_has_the_bound_and_the_tested_version(name):
    rows = {row[0]: row[1:] for row in TABLE_ROW.findall((ROOT / "docs/dependencies.md").read_text())}
    assert rows[name] == (REQUIRED[name] or "-", constraints()[name])


def test_every_runtime_requirement_has_a_lower_bound():
    assert all(lists()["RUNTIME"].values())
