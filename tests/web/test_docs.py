"""The documentation pages as they go over the wire, without a browser, a socket or the viewers."""

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from rtserver.app import App
from rtserver.web.api_http import ApiAccess, Calls, api_endpoints
from rtserver.web.docs import HOSTS, OWN, PLACES, SHARED, docs_paths, documents, takes_gzip
from rtserver.web.pages import PAGES
from rtserver.web.payments.templates import DROPIN
from rtserver.web.site import NotFound, Paths, RtSite, SiteLimits
from tests.app import shop

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "rtserver/web/pages/docs"
SCRIPT = ROOT / "scripts/fetch-assets"
VENDORED = sorted({name for place in PLACES.values() for name in place.needs})
SCRIPTS = [name for name in OWN if name.endswith(".js")]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    """Stands for what ``scripts/fetch-assets`` fetches."""
    place = tmp_path_factory.mktemp("vendor")
    for name in VENDORED:
        (place / f"{name}.gz").write_bytes(gzip.compress(f"/* {name} */ {'x' * 1000}".encode()))
    (place / "redoc.LICENSE.txt").write_text("MIT")
    (place / "versions.json").write_text("{}")
    return place


def described(**more):
    return documents([shop.app], title="A <Shop> & more", version="1", url="/connection/websocket", **more)


@pytest.fixture(scope="module")
def paths(vendor):
    return docs_paths(described(), vendor)


@pytest.fixture
def ask(paths):
    return lambda path, *arguments, **headers: asked(paths, path, *arguments, **headers)


def asked(paths, path, method="GET", **headers):
    """One request to a site of these paths: status, headers and body."""
    site = RtSite(Paths(paths, NotFound()), Clock(), SiteLimits())
    channel = site.buildProtocol(None)
    transport = StringTransport()
    channel.makeConnection(transport)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": "a", **headers}.items()]
    channel.dataReceived("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode())
    head, _, body = transport.value().partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {key.lower(): value for key, value in (each.split(": ", 1) for each in rest)}, body


# The documents


def test_the_documents_are_served_as_json(ask):
    for name, key in (("openapi", "openapi"), ("asyncapi", "asyncapi")):
        status, headers, body = ask(f"/{name}.json")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)[key].startswith("3.1")


def test_the_api_of_the_server_itself_makes_a_valid_document():
    own = api_endpoints(Calls(None, ApiAccess("key"), None))
    made = described(endpoints=own).openapi
    validate(json.loads(json.dumps(made)))
    assert made["paths"]["/api/publish"]["post"]["security"] == [{"apiKey": []}]
    assert "/shop/items" in made["paths"]


def server_at(paths, **headers):
    return json.loads(asked(paths, "/asyncapi.json", **headers)[2])["servers"]["websocket"]


@pytest.mark.parametrize("host", ["rt.example.com", "127.0.0.1:9001", "[::1]:8000"])
def test_the_realtime_server_is_where_the_document_was_fetched_from(paths, host):
    found = server_at(paths, Host=host)
    assert (found["protocol"], found["host"], found["pathname"]) == ("ws", host, "/connection/websocket")
    assert "variables" not in found
    assert server_at(paths, Host=host, X_Forwarded_Proto="https")["protocol"] == "wss"


@pytest.mark.parametrize("host", ["", "a b", "a/b", '"', "a:b", "x" * 300])
def test_a_host_that_is_none_is_not_repeated(paths, host):
    found = server_at(paths, Host=host)
    assert (found["host"], found["variables"]["host"]["default"]) == ("{host}", "127.0.0.1:8000")


def test_a_known_address_of_the_realtime_server_stays(vendor):
    made = documents([], title="x", version="1", url="wss://rt.example.com/connection/websocket")
    found = server_at(docs_paths(made, vendor), Host="other.example.com")
    assert (found["protocol"], found["host"]) == ("wss", "rt.example.com")


def test_a_document_for_every_name_is_not_kept(paths):
    for number in range(100):
        assert server_at(paths, Host=f"host-{number}")["host"] == f"host-{number}"
    assert len(paths["/asyncapi.json"]._at) <= HOSTS


def test_the_document_of_another_host_is_another_file(paths):
    etag = asked(paths, "/asyncapi.json", Host="one")[1]["etag"]
    assert asked(paths, "/asyncapi.json", Host="one", If_None_Match=etag)[0] == 304
    assert asked(paths, "/asyncapi.json", Host="two", If_None_Match=etag)[0] == 200


# Every file


@pytest.mark.parametrize("path", PLACES)
def test_a_page_has_the_title_as_text(ask, path):
    status, headers, body = ask(path)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>A &lt;Shop&gt; &amp; more" in body
    assert b"<Shop>" not in body


@pytest.mark.parametrize("path", PLACES)
def test_everything_that_a_page_asks_for_is_served(ask, paths, path):
    page = ask(path)[2].decode()
    folder = path.rpartition("/")[0] + "/"
    wanted = [os.path.normpath(folder + link) for link in re.findall(r'(?:src|href)="([^"]+)"', page)]
    assert len(wanted) > 8
    assert set(wanted) <= set(paths)


@pytest.mark.parametrize("name", SCRIPTS)
def test_everything_that_a_script_imports_is_served(ask, name):
    for other in re.findall(r'from "\./([^"]+)"', (DOCS / name).read_text()):
        assert ask(f"/docs/assets/{other}")[0] == 200


def test_every_file_of_the_pages_is_served():
    shared = {"bar.html", "missing.html", *(place.file for place in PLACES.values())}
    assert {each.name for each in DOCS.iterdir()} - shared == set(OWN)


def test_a_page_says_which_one_it_is(ask):
    for path in PLACES:
        marked = re.findall(r'<a href="([^"]+)" aria-current="page">', ask(path)[2].decode())
        assert [each.removeprefix("../") for each in marked] == [path[1:]]


@pytest.mark.parametrize("path", PLACES)
def test_the_browser_may_load_nothing_from_elsewhere_and_run_nothing_in_the_page(ask, path):
    policy = dict(each.strip().split(" ", 1) for each in ask(path)[1]["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "script-src" not in policy
    assert "http" not in " ".join(policy.values())
    assert ("ws:" in policy["connect-src"]) == (path == "/docs/console")


def test_the_page_may_call_the_servers_that_the_document_names(vendor):
    made = docs_paths(described(servers=["https://api.example.org/v1", "/v2"]), vendor)
    policy = asked(made, "/docs")[1]["content-security-policy"]
    assert "connect-src 'self' https://api.example.org;" in policy


@pytest.mark.parametrize("path", PLACES)
def test_no_script_and_no_style_stands_in_a_page(ask, path):
    page = ask(path)[2].decode()
    assert re.findall(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", page) == []


@pytest.mark.parametrize("name", [each.name for each in DOCS.iterdir()])
def test_no_file_names_an_address_elsewhere(name):
    found = re.findall(r"(?:https?|wss?)://[\w.:-]+", (DOCS / name).read_text())
    assert [each for each in found if not each.endswith("example.org")] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_or_code_from_text(name):
    text = (DOCS / name).read_text()
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function\b", text) == []


def test_the_client_is_that_of_the_demonstration_page(ask):
    for name in SHARED:
        assert f"/demo/{name}" in PAGES
        assert ask(f"/docs/assets/{name}")[2] == (ROOT / "rtserver/web/pages" / name).read_bytes()


# Compressed files


@pytest.mark.parametrize("path", ["/openapi.json", "/docs/assets/redoc.js", "/docs/assets/redoc.LICENSE.txt"])
def test_who_can_unpack_gets_it_packed(ask, path):
    _, plain, unpacked = ask(path)
    status, headers, packed = ask(path, Accept_Encoding="br, gzip")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "accept-encoding")
    assert gzip.decompress(packed) == unpacked
    assert (int(plain["content-length"]), int(headers["content-length"])) == (len(unpacked), len(packed))
    assert "content-encoding" not in plain
    assert plain["vary"] == "accept-encoding"


@pytest.mark.parametrize("encodings", ["", "gzip"])
@pytest.mark.parametrize("path", ["/asyncapi.json", "/docs", "/docs/assets/asyncapi.js"])
def test_a_head_request_gets_the_head_of_a_get_and_no_body(ask, path, encodings):
    status, headers, body = ask(path, "HEAD", Accept_Encoding=encodings)
    wanted_status, wanted, _ = ask(path, Accept_Encoding=encodings)
    assert (status, body) == (wanted_status, b"")
    assert {**headers, "date": ""} == {**wanted, "date": ""}


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/assets/swagger-ui.js", "/docs/assets/console.js"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_the_browser_has_is_not_sent_again(ask, path, method):
    _, headers, _ = ask(path, Accept_Encoding="gzip")
    assert headers["cache-control"] == "no-cache"
    status, _, body = ask(path, method, If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/assets/redoc.js"])
def test_nothing_can_be_posted(ask, path):
    status, headers, _ = ask(path, "POST", Content_Length="0")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "accepted, taken",
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzipped", False),
    ],
)
def test_what_clients_say_that_they_can_unpack(accepted, taken):
    assert takes_gzip(accepted) is taken


# Without the viewers


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/asyncapi"])
def test_a_page_without_its_viewer_says_how_to_get_it_and_where_the_documents_are(tmp_path, path):
    paths = docs_paths(described(), tmp_path / "nothing")
    status, _, body = asked(paths, path)
    assert status == 200
    assert b"scripts/fetch-assets" in body
    assert b'href="openapi.json"' in body and b'href="asyncapi.json"' in body


def test_the_console_needs_no_viewer(tmp_path):
    body = asked(docs_paths(described(), tmp_path), "/docs/console")[2]
    assert b"assets/console.js" in body


def test_a_server_without_applications_has_pages_too(vendor):
    paths = docs_paths(documents([], title="rtserver", version="1", url="/connection/websocket"), vendor)
    assert json.loads(asked(paths, "/openapi.json")[2])["paths"] == {}
    assert documents([App()], title="x", version="1", url="/").asyncapi["operations"] == {}


# Fetching them


def fetching():
    """The script as a module; it runs only when it is the main one."""
    loader = SourceFileLoader("fetch_assets", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return fetching()


def test_what_the_pages_need_is_what_is_fetched(script):
    fetched = {name for files in script.FILES.values() for name in files.values()}
    assert set(VENDORED) <= fetched
    assert {name for name in fetched if not name.endswith(".txt")} == {*VENDORED, *DROPIN}


def test_every_package_comes_with_its_licence(script):
    for files in script.FILES.values():
        assert "LICENSE" in files


def test_versions_are_pinned_with_checksums(script):
    wanted = json.loads((ROOT / "rtserver/web/assets/package.json").read_text())["dependencies"]
    assert set(wanted) == set(script.FILES)
    for package, version in wanted.items():
        lock = script.locked(package)
        assert lock["version"] == version
        assert lock["integrity"].startswith("sha512-")


def test_without_node_the_script_says_so_and_ends_well(tmp_path):
    for name in ("scripts/fetch-assets", "rtserver/web/assets/package-lock.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    outcome = subprocess.run(
        [sys.executable, str(tmp_path / "scripts/fetch-assets")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "install Node 20 or newer" in outcome.stdout


def test_a_file_that_is_not_the_locked_one_is_not_used(script, tmp_path):
    """Here ``npm`` is a program that leaves another file than the one that was asked for."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho other > redoc-2.5.4.tgz\n")
    npm.chmod(0o755)
    with pytest.raises(SystemExit, match="is not the file of package-lock.json"):
        script.download(str(npm), "redoc", tmp_path)


def test_a_registry_that_does_not_answer_is_told(script, tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no route >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(SystemExit, match="check the connection to the npm registry"):
        script.download(str(npm), "redoc", tmp_path)
