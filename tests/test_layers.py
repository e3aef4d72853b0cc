"""The import table of the house: which room may know which, and which library."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rtserver"

STDLIB = set(sys.stdlib_module_names)
OUTER_WORLD = {
    "asyncio", "concurrent", "http", "logging", "multiprocessing", "random", "secrets", "select", "selectors", "signal",
    "socket", "socketserver", "ssl", "subprocess", "threading", "time",
}  # fmt: skip

LAYERS = {
    "core": {"rtserver.core", "msgspec"},
    "node": {"rtserver.core", "rtserver.node", "rtserver.feeds", "twisted.internet.defer", "msgspec"},
    "cluster": {"rtserver.core", "rtserver.node", "rtserver.cluster", "twisted.internet.defer", "msgspec"},
    "app": {"rtserver.app", "pydantic", "pydantic_core", "msgspec"},
    "accounts": {
        "rtserver.core", "rtserver.accounts", "rtserver.rounds", "twisted.internet", "twisted.logger", "jinja2", "msgspec",
    },
    "protocols": {
        "rtserver.core", "rtserver.node", "rtserver.cluster", "rtserver.protocols", "rtserver.eager",
        "autobahn", "twisted", "zope.interface", "google.protobuf", "msgspec",
    },
    "web": {
        "rtserver.core", "rtserver.node", "rtserver.cluster", "rtserver.app", "rtserver.web", "rtserver.eager",
        "rtserver.accounts", "rtserver.payments", "jinja2", "pydantic", "twisted.web", "twisted.internet", "twisted.logger",
        "twisted.python", "zope.interface", "msgspec", "prometheus_client",
    },
    "payments": {"rtserver.core", "rtserver.payments", "rtserver.rounds", "twisted.internet", "twisted.logger", "msgspec"},
    "simulator": {"rtserver.simulator", "twisted", "zope.interface", "defusedxml"},
    "services": {
        "rtserver.core", "rtserver.accounts", "rtserver.payments", "rtserver.services",
        "rtserver.app.waiting", "rtserver.app.calling", "rtserver.threads", "rtserver.rounds",
        "twisted", "zope.interface", "msgspec",
    },
    "config": {
        "rtserver.core", "rtserver.config", "rtserver.services.redis_options", "rtserver.services.jwt_keys",
        "rtserver.services.proxy_options", "rtserver.services.store_options", "rtserver.accounts.options",
        "rtserver.payments.options",
        "pydantic", "pydantic_core", "twisted.internet.endpoints",
    },
    "log": {"rtserver.core", "twisted", "zope.interface"},
    "publisher": {
        "rtserver.core", "rtserver.node", "rtserver.cluster", "rtserver.app", "rtserver.publisher",
        "pydantic_core", "msgspec",
    },
    "realtime": {
        "rtserver.core", "rtserver.node", "rtserver.app", "rtserver.publisher", "rtserver.realtime",
        "msgspec", "twisted.internet",
    },
    "feeding": {
        "rtserver.core", "rtserver.node", "rtserver.app", "rtserver.feeding",
        "msgspec", "twisted.internet", "twisted.python",
    },
    "threads": {"rtserver.core", "rtserver.app", "twisted.internet", "twisted.python"},
    "apps": {
        "rtserver.core", "rtserver.node", "rtserver.cluster", "rtserver.app", "rtserver.web", "rtserver.publisher",
        "rtserver.realtime", "rtserver.feeding", "rtserver.threads", "msgspec",
    },
    "rounds": {"rtserver.core", "twisted.internet", "twisted.logger"},
    "eager": {"twisted.internet"},
    "demo": {"rtserver.core", "rtserver.node", "msgspec"},
    "demo_provider": {"rtserver.core", "rtserver.app", "jwt", "cryptography", "msgspec"},
    "server": {
        "rtserver.core", "rtserver.node", "rtserver.cluster", "rtserver.protocols", "rtserver.log",
        "twisted", "zope.interface",
    },
}  # fmt: skip
"""What each room may import beside the standard library and the version of the package."""

FAMILIES = {
    "hiredis": "Redis", "txredisapi": "Redis",
    "txpostgres": "PostgreSQL", "psycopg2": "PostgreSQL",
    "jwt": "JWT", "cryptography": "JWT",
    "braintree": "Braintree", "requests": "Braintree", "urllib3": "Braintree",
    "openid": "social_core",
}  # fmt: skip
"""Libraries that are parts of one."""

OUTSIDE = {"tap", "tap_accounts", "tap_options", "tap_payments", "cli"}
"""Modules that may import everything, and that nobody imports."""


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path):
    return str(path.relative_to(ROOT))


def imports(path):
    """Every module that a file imports, at any depth of it; for ``from a import b`` both ``a`` and ``a.b`` count."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name,) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: import by the full name"
            found |= {(node.module, f"{node.module}.{alias.name}") for alias in node.names}
    return found


def is_in(module, allowed):
    return any(module == each or module.startswith(f"{each}.") for each in allowed)


def allowed(names, table):
    return any(is_in(name, table) or name == "rtserver.__version__" for name in names)


def of_stdlib(names):
    return names[0].partition(".")[0] in STDLIB


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_its_room_may(path):
    if room(path) in OUTSIDE or path == PACKAGE / "__init__.py":
        return
    table = LAYERS[table_of(room(path))]
    foreign = {names[-1] for names in imports(path) if not of_stdlib(names) and not allowed(names, table)}
    if room(path) == "services":
        foreign = {name for name in foreign if name.startswith("rtserver.")}
    assert foreign == set()


def table_of(name):
    return {"feeds": "node"}.get(name, name)


@pytest.mark.parametrize("path", [each for each in modules() if room(each) == "core"], ids=name_of)
def test_the_core_touches_no_clock_socket_thread_chance_or_log(path):
    assert {names[0] for names in imports(path) if names[0].partition(".")[0] in OUTER_WORLD} == set()


@pytest.mark.parametrize("path", [each for each in modules() if room(each) == "services"], ids=name_of)
def test_a_service_leans_on_one_vendor_library(path):
    foreign = [names for names in imports(path) if not of_stdlib(names) and not allowed(names, LAYERS["services"])]
    libraries = {names[0].partition(".")[0] for names in foreign} - {"rtserver"}
    vendors = {FAMILIES.get(each, each) for each in libraries}
    assert len(vendors) <= 1, f"{sorted(vendors)}: give each library a file of its own"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nobody_imports_the_composition_root_or_the_tools(path):
    roots = set() if room(path) == "tap" else {f"rtserver.{each}" for each in OUTSIDE}
    assert {name for names in imports(path) for name in names if name in roots} == set()


def test_every_room_stands_in_the_table():
    rooms = {table_of(room(path)) for path in modules()} - OUTSIDE - {"__init__"}
    assert rooms <= set(LAYERS)


def test_the_plugin_imports_nothing_but_the_service_maker():
    plugin = ROOT / "twisted/plugins/rtserver_plugin.py"
    assert imports(plugin) == {("twisted.application.service", "twisted.application.service.ServiceMaker")}


def test_the_folders_of_twisted_are_no_packages_of_ours():
    assert list((ROOT / "twisted").rglob("__init__.py")) == []
