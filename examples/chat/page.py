"""The page of the chat: plain files, served by the application itself. The client (rt.js) is the one that rtserver brings."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rtserver import App, HTTPError, Response

FOLDER = Path(__file__).parent / "page"
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def read() -> dict[str, Response]:
    """File names to answers, read once."""
    contents = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    contents["rt.js"] = (files("rtserver.web.pages") / "rt.js").read_bytes()
    return {
        name: Response(content, TYPES[name.rpartition(".")[2]], headers=HEADERS) for name, content in contents.items()
    }


def add_page(app: App) -> None:
    pages = read()

    @app.get("/", hidden=True)
    async def index() -> Response:
        return pages["index.html"]

    @app.get("/page/{name}", hidden=True)
    async def file(name: str) -> Response:
        if name not in pages:
            raise HTTPError(404, "Not Found")
        return pages[name]
