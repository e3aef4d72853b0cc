"""The documentation against the code: links, codes, configuration keys, metrics, log lines, examples."""

import ast
import json
import re
import subprocess
from collections import Counter
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtserver.config import load
from rtserver.config.environment import variable
from rtserver.config.keys import all_keys, sections_of, table_keys, tables
from rtserver.config.options import Config
from rtserver.core import errors
from rtserver.core.errors import DisconnectReason, Unsubscribed
from rtserver.core.options import ChannelOptions, Seconds
from rtserver.core.ports import BrokerStats
from rtserver.services.identity_backends import load_providers
from rtserver.tap import gauges
from rtserver.web.api import METHODS
from rtserver.web.ops import NodeCollector

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

README_LINES = 190

ROOMS_OF_A_SERVER = {"etc", "opt", "run", "var", "usr", "bin", "dev", "proc", "tmp", "path"}
"""First parts of file names that every Linux machine has (and of the example of a Unix socket)."""
HTTP_PATHS = {"api", "connection", "emulation", "health", "livez", "readyz", "metrics", "rt", "demo", "auth", "payment"}
EXAMPLE_PATHS = {"items", "books", "accounts", "reports", "votes"}

FILE_SUFFIXES = {"py", "toml", "md", "js", "lua", "sql", "service", "conf", "pem", "key", "txt", "proto", "html"}

WARNINGS = {"warn", "error", "critical"}


def name_of(path):
    return str(path.relative_to(ROOT))


def text_of(name):
    return (ROOT / name).read_text("utf-8")


def prose(page):
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.S | re.M)


def blocks(page, language):
    """The code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), flags=re.S | re.M)


def code_words(page):
    """What stands in backquotes in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def rows(page, columns):
    """The cells of every table row with so many columns, without the heads and rules."""
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if len(cells) == columns and not set(cells[0]) <= {"-", ":"}:
            yield cells


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


# Links and paths


def anchors(page):
    """The names by which the headings of a page are linked."""
    heads = re.findall(r"^#+ (.*)$", prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@every_page
def test_every_link_and_image_leads_somewhere(page):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        if not linked.is_file() or (anchor and anchor not in anchors(linked)):
            wrong.append(target)
    assert wrong == []


@every_page
def test_no_path_of_a_development_machine_is_written_down(page):
    first_parts = re.findall(r"(?<![\w/.:<>$}*\-\])])/([a-z]+)/[\w.]", page.read_text("utf-8"))
    assert set(first_parts) <= ROOMS_OF_A_SERVER | HTTP_PATHS | EXAMPLE_PATHS


def test_the_readme_stays_short():
    assert len(text_of("README.md").splitlines()) <= README_LINES


# Codes


def table_of_codes(heading):
    """Code to text, out of the table below a heading of the protocol page."""
    part = text_of("docs/protocol.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {int(code): text.strip() for code, text in re.findall(r"^\| (\d+) \| ([^|]+) \|", part, flags=re.M)}


def values_of(kind):
    return {each.code: each.reason for each in vars(errors).values() if isinstance(each, kind)}


def test_every_error_code_stands_in_the_table_with_its_text():
    assert table_of_codes("Errors") == {code: error.message for code, error in errors.ERRORS.items()}


def test_temporary_errors_are_marked():
    part = text_of("docs/protocol.md").split("\n## Errors\n")[1].split("\n## ")[0]
    marked = {int(code) for code in re.findall(r"^\| (\d+) \| [^|]+ \| yes \|", part, flags=re.M)}
    assert marked == {code for code, error in errors.ERRORS.items() if error.temporary}


def test_every_disconnect_code_stands_in_the_table_with_its_text():
    assert table_of_codes("Disconnect codes") == values_of(DisconnectReason)


def test_the_table_tells_after_which_codes_clients_come_back():
    part = text_of("docs/protocol.md").split("\n## Disconnect codes\n")[1].split("\n## ")[0]
    told = {int(code): answer == "yes" for code, answer in re.findall(r"^\| (\d+) \| [^|]+ \| (yes|no) \|", part, re.M)}
    assert told == {code: DisconnectReason(code, "").reconnect for code in values_of(DisconnectReason)}


def test_every_unsubscribe_code_stands_in_the_table_with_its_text():
    assert table_of_codes("Unsubscribe codes") == values_of(Unsubscribed)


# Configuration


TABLES = {".".join(path): path for path in tables()}
SECTIONS = {".".join(path) for path in sections_of(Config())} | TABLES.keys()
KEYS = {".".join(path) for path in all_keys()}
TOP = {each.split(".")[0] for each in SECTIONS}


@every_page
def test_every_configuration_key_that_is_named_exists(page):
    known = KEYS | SECTIONS
    unknown = set()
    for word in code_words(page):
        named = re.match(r"\[{0,2}([a-z_]+(?:\.[a-z_]+)+)\]{0,2}(?= = |$)", word)
        if named is None or named[1].split(".")[0] not in TOP or named[1].split(".")[-1] in FILE_SUFFIXES:
            continue
        if named[1] not in known:
            unknown.add(named[1])
    assert unknown == set()


@every_page
def test_every_environment_variable_that_is_named_exists(page):
    known = {f"RTSERVER_{variable(tuple(key.split('.')))}" for key in KEYS | TABLES.keys()}
    named = set(re.findall(r"\bRTSERVER_[A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert {each for each in named - known if not is_of_a_table(each)} == set()


def is_of_a_table(name):
    """Whether a variable is a list's name, the name of a table in it, and a key of such tables."""
    return any(
        re.fullmatch(f"RTSERVER_{variable(path)}_[A-Z0-9_]+_{variable(key)}", name)
        for path in tables()
        for key in table_keys(path)
    )


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=f"{name_of(page)}-{n}") for page in PAGES for n, text in enumerate(blocks(page, "toml"))],
)
def test_every_toml_example_is_a_valid_configuration(text):
    load_providers(load(text, {}).accounts)


def test_the_documented_providers_are_those_that_people_use():
    named = [
        each.name
        for text in blocks(ROOT / "docs/accounts.md", "toml")
        for each in load_providers(load(text, {}).accounts).values()
    ]
    assert named == ["google", "github", "facebook", "x", "apple", "company", "steam", "forum"]


def test_every_option_of_a_namespace_is_explained():
    explained = {row[0].strip("`") for columns in (2, 3) for row in rows(ROOT / "docs/channels.md", columns)}
    assert {each.name for each in fields(ChannelOptions)} - explained == set()


def written(key):
    """A default as the documentation writes it."""
    return f"{key.default:g}s" if key.hint in (Seconds, float) else str(key.default)


def test_the_limits_are_told_with_their_true_defaults():
    defaults = {".".join(path): written(key) for path, key in all_keys().items()}
    told = {row[0].strip("`"): row[1] for row in rows(ROOT / "docs/operations.md", 3) if row[0].strip("`") in defaults}
    assert len(told) > 20
    assert told == {key: defaults[key] for key in told}


# Metrics, API, log


def metric_names():
    """Every metric that is served, under the name that Prometheus sees."""
    node = SimpleNamespace(
        broker=SimpleNamespace(stats=BrokerStats()),
        hub=SimpleNamespace(deliveries=0),
        gaps=0,
        refused_raw=0,
        closed=Counter(),
    )
    silent = {name: (text, lambda: 0.0) for name, (text, _) in gauges(None, None, None, None, None).items()}
    return {
        family.name + ("_total" if family.type == "counter" else "") for family in NodeCollector(node, silent).collect()
    }


def test_every_metric_is_explained_and_no_other():
    explained = {row[0].strip("`") for row in rows(ROOT / "docs/operations.md", 4) if row[0].startswith("`rtserver_")}
    assert explained == metric_names()


def test_every_method_of_the_http_api_has_a_chapter():
    chapters = re.findall(r"^## (.*)$", text_of("docs/http-api.md"), flags=re.M)
    named = {name for chapter in chapters for name in chapter.split(", ")}
    assert {*METHODS, "batch"} - named == set()


def literal(node):
    """The longest piece of a text that does not change: of a plain text with ``{fields}``, or of an f-string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        pieces = re.split(r"\{[^}]*\}", node.value)
    elif isinstance(node, ast.JoinedStr):
        pieces = [part.value for part in node.values if isinstance(part, ast.Constant)]
    else:
        return ""
    return max((piece.strip(" :;()'\"") for piece in pieces), key=len, default="")


def warnings_of(path):
    """What a module writes to the log as warning or worse: the fixed piece of each line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name) or not node.args:
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        levels = {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)}
        if called in ("log", "_log") and len(node.args) > 1 and levels & WARNINGS:
            yield literal(node.args[1])
        elif called in (*WARNINGS, "failure", "_report") and isinstance(node.func, ast.Attribute):
            yield literal(node.args[0])
        elif called in ("_warn", "log_seldom"):
            yield literal(node.args[0])


def test_every_warning_in_the_log_is_explained():
    explained = " ".join(text_of("docs/troubleshooting.md").split())
    lines = {line for path in sorted((ROOT / "rtserver").rglob("*.py")) for line in warnings_of(path) if len(line) > 8}
    assert len(lines) > 20
    assert {line for line in lines if " ".join(line.split()) not in explained} == set()


# Examples


@every_page
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z][\w-]*):", text_of("Makefile"), flags=re.M))
    shell = "\n".join(blocks(page, "sh"))
    named = {word.split()[1] for word in code_words(page) if re.fullmatch(r"make [a-z][\w-]*( .*)?", word)}
    assert named | set(re.findall(r"^make ([\w-]+)", shell, flags=re.M)) <= targets


@every_page
def test_every_shell_example_can_be_parsed(page):
    text = "\n".join(blocks(page, "sh"))
    outcome = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=10)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@every_page
def test_every_json_example_is_json(page):
    for block in blocks(page, "json"):
        json.loads(block)
