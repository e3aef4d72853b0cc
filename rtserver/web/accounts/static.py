"""Styles, scripts and pictures of the pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Protocol

from rtserver.app.endpoint import Description, Endpoint, Response
from rtserver.app.parameters import Header

HEADERS = (
    ("cache-control", "no-cache"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
)
"""Browsers keep the files and ask each time (see the ETag), so that a new server never meets an old script."""


class Files(Protocol):
    def static(self, name: str) -> tuple[bytes, str]: ...


class StaticFile(Endpoint):
    headers = HEADERS


def static_endpoints(files: Files, names: tuple[str, ...]) -> list[Endpoint]:
    """Below /auth/static/."""
    return [
        StaticFile("GET", f"/auth/static/{name}", _file(*files.static(name)), description=Description(hidden=True))
        for name in names
    ]


def _file(content: bytes, kind: str) -> Callable[..., Coroutine[Any, Any, Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'

    async def file(if_none_match: Annotated[str, Header()] = "") -> Response:
        if tag in (each.strip().removeprefix("W/") for each in if_none_match.split(",")):
            return Response(status=304, headers={"etag": tag})
        return Response(content, kind, headers={"etag": tag})

    return file
