"""The demonstration page as it goes over the wire, without a browser and without a socket."""

import re

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from rtserver.web.pages import PAGES, demo_pages
from rtserver.web.site import Paths, RtSite, SiteLimits


def ask(path, method="GET", **headers):
    """One request to a site with only the page: status, headers and body."""
    site = RtSite(Paths(demo_pages()), Clock(), SiteLimits())
    channel = site.buildProtocol(None)
    transport = StringTransport()
    channel.makeConnection(transport)
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: a",
        *(f"{name.replace('_', '-')}: {headers[name]}" for name in headers),
    ]
    channel.dataReceived("\r\n".join([*lines, "", ""]).encode())
    head, _, body = transport.value().partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {key.lower(): value for key, value in (each.split(": ", 1) for each in rest)}, body


def text(path):
    return ask(path)[2].decode()


def page():
    return text("/")


@pytest.mark.parametrize(
    "path, kind",
    [
        ("/", "text/html; charset=utf-8"),
        ("/demo/demo.css", "text/css; charset=utf-8"),
        ("/demo/rt.js", "text/javascript; charset=utf-8"),
        ("/demo/favicon.svg", "image/svg+xml"),
    ],
)
def test_a_file_has_its_type_and_its_length(path, kind):
    status, headers, body = ask(path)
    assert (status, headers["content-type"], int(headers["content-length"])) == (200, kind, len(body))


@pytest.mark.parametrize("path", PAGES)
def test_the_browser_may_load_nothing_from_elsewhere_and_run_nothing_in_the_page(path):
    _, headers, _ = ask(path)
    policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws: wss:"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES)
def test_a_head_request_gets_the_head_of_a_get_and_no_body(path):
    status, headers, body = ask(path, "HEAD")
    wanted_status, wanted, _ = ask(path)
    assert (status, body) == (wanted_status, b"")
    assert {**headers, "date": ""} == {**wanted, "date": ""}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_the_browser_has_is_not_sent_again(method):
    _, headers, _ = ask("/demo/demo.js")
    assert headers["cache-control"] == "no-cache"
    status, _, body = ask("/demo/demo.js", method, If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")


def test_an_old_tag_gets_the_new_file():
    status, _, body = ask("/", If_None_Match='"0123456789abcdef"')
    assert (status, body) == (200, ask("/")[2])


def test_the_page_takes_no_posts():
    status, headers, body = ask("/", "POST", Content_Length="0")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert b"use GET" in body


def test_every_file_that_the_page_asks_for_is_served():
    wanted = set(re.findall(r'(?:src|href)="(demo/[^"]+)"', page()))
    for script in [path for path in PAGES if path.endswith(".js")]:
        wanted |= {f"demo/{name}" for name in re.findall(r'from "\./([^"]+)"', text(script))}
    assert {f"/{path}" for path in wanted} | {"/"} == set(PAGES)


def test_no_script_and_no_style_stands_in_the_page():
    assert re.findall(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", page()) == []


@pytest.mark.parametrize("path", PAGES)
def test_no_file_names_an_address_elsewhere(path):
    own = ("http://127.0.0.1:8000", "http://www.w3.org/2000/svg", "wss://example.org")
    found = re.findall(r"(?:https?|wss?)://[\w.:-]+(?:/[\w./-]*)?", text(path))
    assert [each for each in found if not each.startswith(own)] == []


@pytest.mark.parametrize("path", [each for each in PAGES if each.endswith(".js")])
def test_no_script_makes_markup_or_code_from_text(path):
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text(path)) == []


def test_everything_together_is_small():
    assert sum(len(ask(path)[2]) for path in PAGES) < 64 * 1024
