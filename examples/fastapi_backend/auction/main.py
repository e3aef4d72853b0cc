"""The backend itself: pages, sign-in, an API. Without the router for rtserver it would be one of a million."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.sessions import SessionMiddleware

from auction import realtime
from auction.lots import Auction, Refused
from auction.publishing import publish_lot, publish_time

PAGES = Path(__file__).parent / "pages"
SESSION_KEY = os.environ.get("SESSION_KEY") or secrets.token_hex(32)
Amount = Annotated[int, Body(embed=True, gt=0, le=1_000_000)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.auction = Auction(time.time())
    clock = asyncio.create_task(keep_time(app.state.auction))
    yield
    clock.cancel()


async def keep_time(auction: Auction) -> None:
    while True:
        now = time.time()
        for lot in auction.pass_time(now):
            await publish_lot(lot)
        await publish_time({lot.id: max(0, round(lot.ends_at - now)) for lot in auction.lots.values()})
        await asyncio.sleep(1)


app = FastAPI(title="Auction", lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key=SESSION_KEY, session_cookie="auction", same_site="lax")
app.include_router(realtime.router)
app.mount("/static", StaticFiles(directory=PAGES), name="static")


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(PAGES / "index.html")


@app.get("/rt.js", include_in_schema=False)
async def client() -> FileResponse:
    """The small client that comes with rtserver."""
    return FileResponse(os.environ["RT_JS"], media_type="text/javascript")


@app.get("/api/me")
async def me(request: Request) -> dict[str, Any]:
    """Who is signed in, and on which port rtserver is."""
    return {"name": request.session.get("name", ""), "port": int(os.environ.get("PORT", "8000"))}


@app.post("/api/sign-in")
async def sign_in(
    request: Request, name: Annotated[str, Body(embed=True, min_length=1, max_length=24)]
) -> dict[str, str]:
    """Any name will do here."""
    request.session["name"] = name.strip()
    return {"name": name.strip()}


@app.get("/api/lots")
async def lots(request: Request) -> list[dict[str, Any]]:
    auction: Auction = request.app.state.auction
    return [asdict(lot) for lot in auction.lots.values()]


@app.post("/api/lots/{id}/bids", status_code=201)
async def bid(request: Request, id: int, amount: Amount) -> dict[str, Any]:
    """A bid by HTTP, for programs without WebSocket: browsers see it all the same."""
    name = request.session.get("name")
    if not name:
        raise HTTPException(401, "sign in to bid")
    auction: Auction = request.app.state.auction
    try:
        lot = auction.bid(id, name, amount, time.time())
    except Refused as refusal:
        raise HTTPException(409, str(refusal)) from None
    await publish_lot(lot)
    return asdict(lot)
