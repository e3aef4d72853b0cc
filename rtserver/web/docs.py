"""Documentation pages: the two documents, viewers for them, and a console for the realtime side. Nothing comes from another
host: the viewers are files of the package (see ``scripts/fetch-assets``) and the browser is told to load no others."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import Any
from urllib.parse import urlsplit

import msgspec
from twisted.web.http import CACHED
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from rtserver.app.application import App
from rtserver.app.asyncapi import OwnChannel, asyncapi, at_host, names_host
from rtserver.app.endpoint import Endpoint
from rtserver.app.openapi import Proofs, openapi
from rtserver.web.pages import TYPES, Page

ASSETS = "/docs/assets/"

OWN = (
    *("bar.css", "missing.css", "swagger-page.css", "swagger-page.js", "redoc-page.css", "redoc-page.js"),
    *("asyncapi-page.css", "asyncapi-page.js", "asyncapi-document.js", "asyncapi-strict.js"),
    *("console.css", "console.js", "frames.js", "frames.css", "samples.js"),
)
SHARED = ("demo.css", "rt.js", "favicon.svg")
"""Files of the demonstration page."""

KINDS = {**TYPES, "json": b"application/json", "txt": b"text/plain; charset=utf-8"}

HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
HOSTS = 16
"""Names of this server for which the AsyncAPI document is kept ready."""

VIEWED = "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
"""Viewers write styles into the page as they go, and carry small pictures with them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A page: its file, the way from it to the root, what more it may do, and the files of others that it cannot do
    without."""

    file: str
    root: str = ""
    policy: str = ""
    needs: tuple[str, ...] = ()


PLACES = {
    "/docs": Place("swagger.html", "", VIEWED, ("swagger-ui.js", "swagger-ui.css")),
    "/redoc": Place("redoc.html", "", f"{VIEWED}; worker-src 'self' blob:", ("redoc.js",)),
    "/asyncapi": Place("asyncapi.html", "", VIEWED, ("asyncapi.js", "asyncapi.css")),
    "/docs/console": Place("console.html", "../", "connect-src 'self' ws: wss:"),
}


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents and the title above the pages."""

    title: str
    openapi: Mapping[str, Any]
    asyncapi: Mapping[str, Any]


def documents(
    apps: Sequence[App],
    *,
    title: str,
    version: str,
    url: str,
    servers: Sequence[str] = (),
    endpoints: Sequence[Endpoint] = (),
    proofs: Proofs | None = None,
    channels: Sequence[OwnChannel] = (),
) -> Documents:
    """See ``app.openapi`` and ``app.asyncapi``; ``url`` may be the path of the WebSocket alone."""
    return Documents(
        title,
        openapi(apps, title=title, version=version, servers=servers, endpoints=endpoints, proofs=proofs),
        asyncapi(apps, title=title, version=version, url=url, channels=channels),
    )


def docs_paths(found: Documents, vendor: Traversable | None = None) -> dict[str, IResource]:
    """Paths to resources, everything read and made once. ``vendor``: where ``scripts/fetch-assets`` put its files."""
    here = files("rtserver.web.pages")
    packed = dict(_packed(vendor or here / "vendor"))
    paths: dict[str, IResource] = {
        "/openapi.json": Packed(_compressed(msgspec.json.encode(found.openapi)), KINDS["json"]),
        "/asyncapi.json": AsyncDocument(found.asyncapi),
    }
    for path, place in PLACES.items():
        is_complete = all(name in packed for name in place.needs)
        text = _filled(here / "docs", place.file if is_complete else "missing.html", path, place.root, found.title)
        paths[path] = DocsPage(text.encode(), TYPES["html"], _policy(place.policy, found.openapi))
    for name in OWN:
        paths[ASSETS + name] = Page((here / "docs" / name).read_bytes(), _kind(name))
    for name in SHARED:
        paths[ASSETS + name] = Page((here / name).read_bytes(), _kind(name))
    return paths | {ASSETS + name: Packed(body, _kind(name)) for name, body in packed.items()}


class DocsPage(Page):
    """``policy`` is its content security policy."""

    def __init__(self, body: bytes, content_type: bytes, policy: str) -> None:
        super().__init__(body, content_type)
        self._policy = policy.encode()

    def _begin(self, request: Request) -> object:
        outcome = super()._begin(request)
        request.setHeader(b"content-security-policy", self._policy)
        return outcome


class Packed(Page):
    """Bytes that are kept compressed; a client that cannot unpack them gets them unpacked."""

    def __init__(self, packed: bytes, content_type: bytes) -> None:
        super().__init__(packed, content_type)
        self._etag = b"W/" + self._etag  # one name for both forms

    def render_GET(self, request: Request) -> bytes:
        return b"" if self._begin(request) is CACHED else self._for(request)

    def render_HEAD(self, request: Request) -> int:
        if self._begin(request) is not CACHED:
            request.setHeader(b"content-length", b"%d" % len(self._for(request)))
        request.write(b"")
        request.finish()
        return NOT_DONE_YET

    def _begin(self, request: Request) -> object:
        request.setHeader(b"vary", b"accept-encoding")
        return super()._begin(request)

    def _for(self, request: Request) -> bytes:
        if not takes_gzip(request.getHeader("accept-encoding") or ""):
            return gzip.decompress(self._body)
        request.setHeader(b"content-encoding", b"gzip")
        return self._body


class AsyncDocument(Resource):
    """The AsyncAPI document. Where it names no host, it says the one that it was asked at."""

    isLeaf = True

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__()
        self._document = document
        self._plain = self._packed(document)
        self._at: dict[tuple[str, str], Packed] = {}

    def render(self, request: Request) -> bytes | int:
        host = (request.getHeader(b"host") or b"").decode("latin-1")
        if names_host(self._document) or HOST.fullmatch(host) is None:
            return self._plain.render(request)
        return self._named(host, "wss" if _is_secure(request) else "ws").render(request)

    def _named(self, host: str, protocol: str) -> Packed:
        found = self._at.get((host, protocol))
        if found is None:
            if len(self._at) >= HOSTS:
                self._at.clear()
            found = self._at[host, protocol] = self._packed(at_host(self._document, host, protocol))
        return found

    def _packed(self, document: Mapping[str, Any]) -> Packed:
        return Packed(_compressed(msgspec.json.encode(document)), KINDS["json"])


def _is_secure(request: Request) -> bool:
    """Whoever tells a lie about it gets a document that is of no use to them; nobody else gets it."""
    return request.isSecure() or request.getHeader(b"x-forwarded-proto") == b"https"


def takes_gzip(accepted: str) -> bool:
    """RFC 9110, section 12.5.3, as far as it is of use here."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _policy(more: str, document: Mapping[str, Any]) -> str:
    """The browser may call the servers that the document names, and nobody else."""
    parts = [urlsplit(each["url"]) for each in document.get("servers", ())]
    servers = "".join(f" {each.scheme}://{each.netloc}" for each in parts if each.netloc)
    connect = "" if "connect-src" in more else f"connect-src 'self'{servers}"
    rules = ("default-src 'self'", connect, more, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
    return "; ".join(rule for rule in rules if rule)


def _filled(place: Traversable, file: str, path: str, root: str, title: str) -> str:
    words = {"root": root, "title": html.escape(title)}
    page = path.rpartition("/")[2]
    bar = Template((place / "bar.html").read_text("utf-8")).substitute(words)
    bar = bar.replace(f'data-page="{page}"', 'aria-current="page"').strip()
    return Template((place / file).read_text("utf-8")).substitute(words, bar=bar)


def _packed(vendor: Traversable) -> Iterator[tuple[str, bytes]]:
    """What was fetched, each file compressed."""
    if not vendor.is_dir():
        return
    for each in vendor.iterdir():
        if each.name.endswith(".gz"):
            yield each.name.removesuffix(".gz"), each.read_bytes()
        elif each.name.endswith(".txt"):
            yield each.name, _compressed(each.read_bytes())


def _compressed(body: bytes) -> bytes:
    return gzip.compress(body, 9, mtime=0)


def _kind(name: str) -> bytes:
    return KINDS[name.rpartition(".")[2]]
