"""The demonstration page and its files, read once from the package."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from twisted.web.http import CACHED
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

PAGES = {
    "/": "index.html",
    "/demo/demo.css": "demo.css",
    "/demo/cards.css": "cards.css",
    "/demo/demo.js": "demo.js",
    "/demo/chart.js": "chart.js",
    "/demo/rt.js": "rt.js",
    "/demo/favicon.svg": "favicon.svg",
}
"""Path to file of this package."""

TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}

HEADERS = {
    b"content-security-policy": (
        b"default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-cache",
}
"""Scripts and styles only from here, none in the page. ``no-cache`` keeps the files and asks each time (see the ETag), so
that a new version of the server never meets an old script."""


class Page(Resource):
    """Bytes that do not change while the server runs."""

    isLeaf = True

    def __init__(self, body: bytes, content_type: bytes) -> None:
        super().__init__()
        self._body = body
        self._content_type = content_type
        self._etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:16].encode()

    def render(self, request: Request) -> bytes | int:
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader(b"allow", b"GET, HEAD")
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            return b"this page can be read only: use GET\n"
        return super().render(request)

    def render_GET(self, request: Request) -> bytes:
        return b"" if self._begin(request) is CACHED else self._body

    def render_HEAD(self, request: Request) -> int:
        """As GET, without the body; twisted.web would count the bytes that are returned and warn of them."""
        if self._begin(request) is not CACHED:
            request.setHeader(b"content-length", b"%d" % len(self._body))
        request.write(b"")
        request.finish()
        return NOT_DONE_YET

    def _begin(self, request: Request) -> object:
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        request.setHeader(b"content-type", self._content_type)
        return request.setETag(self._etag)


def demo_pages() -> dict[str, IResource]:
    """Paths to resources."""
    package = files(__package__)
    return {path: Page((package / name).read_bytes(), TYPES[name.rpartition(".")[2]]) for path, name in PAGES.items()}
