"""An application that refuses with codes that the server itself seldom or never sends, and whose threads can all be held."""

import threading

from rtserver import App, Refuse

app = App("refusals", prefix="/refusals")
refused: set[str] = set()
gate = threading.Event()

TEXTS = {101: "unauthorized", 111: "too many requests", 113: "concurrent pagination"}
TEMPORARY = (111, 113)


def refuse_once(code: int, key: str) -> None:
    """For each key once; with the key "" always."""
    if code and key not in refused:
        refused.update({key} - {""})
        raise Refuse(code, TEXTS[code], temporary=code in TEMPORARY)


@app.on_connect
async def connect(code: int = 0, key: str = "") -> None:
    refuse_once(code, key)


@app.on_subscribe("room:*")
async def enter(code: int = 0, key: str = "") -> None:
    refuse_once(code, key)


@app.rpc("refused")
async def call(code: int) -> None:
    refuse_once(code, "")


@app.rpc("held", seconds=60)
def held() -> bool:
    return gate.wait(50)


@app.get("/held")
def held_request() -> bool:
    return gate.wait(50)


@app.post("/open")
async def release() -> None:
    gate.set()


@app.post("/close")
async def hold() -> None:
    gate.clear()
