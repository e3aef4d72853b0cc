"""The files that people read: the commented configuration and its page."""

import re
import tomllib
from pathlib import Path

import pytest

from rtserver.config import Config, load
from rtserver.config.keys import all_keys, item_table, sections_of, table_keys, tables
from rtserver.config.models import read_duration
from rtserver.core.options import Seconds

ROOT = Path(__file__).parents[2]
COMMENTED = (ROOT / "etc/rtserver.toml").read_text()
UNCOMMENTED = re.sub(r"(?m)^#(?=[a-z0-9_]+ = |\[)", "", COMMENTED)


def value_at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def test_the_commented_file_as_it_is_changes_no_default():
    assert load(COMMENTED, {}) == Config()


def test_the_file_without_comment_signs_is_a_configuration():
    load(UNCOMMENTED, {})


@pytest.mark.parametrize("path", all_keys(), ids=".".join)
def test_the_file_names_every_key_with_its_default(path):
    key = all_keys()[path]
    written = value_at(tomllib.loads(UNCOMMENTED), path)
    if key.hint in (Seconds, float):
        assert read_duration(written) == key.default
    elif item_table(key.hint) is not None and written:
        assert key.default == () and len(written) == 1, "a list of tables is shown by an example of one"
    else:
        assert (tuple(written) if isinstance(written, list) else written) == key.default


def test_the_file_names_no_other_keys():
    def leaves(tree, path=()):
        for name, value in tree.items():
            if isinstance(value, dict) and (*path, name) not in all_keys():
                yield from leaves(value, (*path, name))
            elif (*path, name) not in tables():
                yield (*path, name)

    assert set(leaves(tomllib.loads(UNCOMMENTED))) == set(all_keys())


@pytest.mark.parametrize("path", tables(), ids=".".join)
def test_the_example_of_a_named_table_uses_known_options(path):
    (example,) = value_at(tomllib.loads(UNCOMMENTED), path)
    assert set(example) <= {"name", *(key[0] for key in table_keys(path))}


def test_the_page_of_the_configuration_names_every_section():
    page = (ROOT / "docs/configuration.md").read_text()
    missing = [".".join(path) for path in sections_of(Config()) if f"`[{'.'.join(path)}]`" not in page]
    assert missing == []
    assert [".".join(path) for path in tables() if f"`[[{'.'.join(path)}]]`" not in page] == []


def test_the_page_of_the_configuration_names_the_keys_of_the_top_level():
    page = (ROOT / "docs/configuration.md").read_text()
    assert [path[0] for path in all_keys() if len(path) == 1 and f"`{path[0]}`" not in page] == []
