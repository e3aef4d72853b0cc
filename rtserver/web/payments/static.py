"""Scripts and styles of the page."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from rtserver.app.endpoint import Description, Endpoint, Response
from rtserver.app.parameters import Header
from rtserver.web.accounts.static import StaticFile
from rtserver.web.docs import takes_gzip
from rtserver.web.payments.templates import PaymentPages

File = Callable[..., Coroutine[Any, Any, Response]]


def static_endpoints(pages: PaymentPages) -> list[Endpoint]:
    """Below /payment/static/."""
    packed = {name: (gzip.compress(content, 9, mtime=0), kind) for name, (content, kind) in pages.static.items()}
    return [
        StaticFile("GET", f"/payment/static/{name}", _file(*found), description=Description(hidden=True))
        for name, found in {**packed, **pages.packed}.items()
    ]


def _file(packed: bytes, kind: str) -> File:
    """A client that cannot unpack it gets it unpacked."""
    tag = f'W/"{hashlib.sha256(packed).hexdigest()[:16]}"'
    headers = {"etag": tag, "vary": "accept-encoding"}

    async def file(
        if_none_match: Annotated[str, Header()] = "", accept_encoding: Annotated[str, Header()] = ""
    ) -> Response:
        if tag in (each.strip() for each in if_none_match.split(",")):
            return Response(status=304, headers=headers)
        if not takes_gzip(accept_encoding):
            return Response(gzip.decompress(packed), kind, headers=headers)
        return Response(packed, kind, headers={**headers, "content-encoding": "gzip"})

    return file
