"""Writes ``fastapi_answers.json``: what FastAPI answers to the requests of ``contract.py``.

Run by hand, in an environment of its own, when FastAPI or the contract changed::

    python3 -m venv fastapi && fastapi/bin/pip install fastapi
    fastapi/bin/python -m tests.app.make_fastapi_answers
"""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fastapi
import pydantic

from tests.app.contract import REQUESTS, Asked, Kit, declare

ANSWERS = Path(__file__).with_name("fastapi_answers.json")

KIT = Kit(
    fastapi.Path,
    fastapi.Query,
    fastapi.Header,
    fastapi.Cookie,
    fastapi.Body,
    fastapi.Depends,
    fastapi.HTTPException,
)


async def ask(app: Any, asked: Asked) -> dict[str, Any]:
    """One request by the ASGI protocol, with the path decoded as servers do it."""
    path, _, query = asked.path.partition("?")
    body = (asked.body or "").encode()
    headers = [(name.lower().encode(), value.encode()) for name, value in asked.headers]
    if asked.body is not None and asked.type:
        headers.append((b"content-type", asked.type.encode()))
    if body:
        headers.append((b"content-length", b"%d" % len(body)))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 50000),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with contextlib.suppress(ValueError):  # it answers 500 and raises when it cannot write its own error (NaN)
        await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    kind = found.get("content-type", "")
    return {
        "status": sent[0]["status"],
        "headers": {name: found[name] for name in ("allow", "content-type", "x-pot") if name in found},
        "body": json.loads(content) if kind == "application/json" else content.decode(),
    }


def main() -> None:
    app = fastapi.FastAPI()
    declare(app, KIT)
    answers = {asked.name: asyncio.run(ask(app, asked)) for asked in REQUESTS}
    assert len(answers) == len(REQUESTS), "two requests are the same"
    versions = {"fastapi": fastapi.__version__, "pydantic": pydantic.VERSION}
    text = json.dumps({"versions": versions, "answers": answers}, indent=1, ensure_ascii=False)
    ANSWERS.write_text(text + "\n", "utf-8")
    print(f"{len(answers)} answers of FastAPI {fastapi.__version__}")


if __name__ == "__main__":
    main()
