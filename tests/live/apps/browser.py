"""Serves a page that has nothing but the JavaScript SDK, as npm has it, to browsers of live tests."""

from pathlib import Path

from rtserver import App, HTTPError, Response

DIST = Path(__file__).parents[1] / "js/node_modules/centrifuge/dist"
SCRIPTS = ("centrifuge.js", "centrifuge.protobuf.js")

app = App("browser", prefix="/browser")


@app.get("/page/{script}")
async def page(script: str) -> Response:
    text = f'<!doctype html><meta charset="utf-8"><title>SDK</title><script src="/browser/script/{script}"></script>'
    return Response(text.encode(), "text/html; charset=utf-8")


@app.get("/script/{script}")
async def javascript(script: str) -> Response:
    if script not in SCRIPTS:
        raise HTTPError(404, "no such script")
    return Response((DIST / script).read_bytes(), "text/javascript; charset=utf-8")


@app.rpc("double")
async def double(n: int) -> int:
    return 2 * n
