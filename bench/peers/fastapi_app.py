"""The application of the FastAPI contender. Runs in the peers' environment, not in rtserver's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from redis.asyncio import Redis

subscribers: set[WebSocket] = set()


async def broadcast() -> None:
    """Passes every message of the Redis channel on to every subscriber."""
    async with Redis.from_url(os.environ["BENCH_REDIS"]) as redis, redis.pubsub() as channel:
        await channel.subscribe("bench")
        async for message in channel.listen():
            if message["type"] != "message":
                continue
            text = message["data"].decode()
            for subscriber in list(subscribers):
                try:
                    await subscriber.send_text(text)
                except (WebSocketDisconnect, RuntimeError):
                    subscribers.discard(subscriber)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(broadcast())
    yield
    task.cancel()


async def subscribe(websocket: WebSocket) -> None:
    await websocket.accept()
    subscribers.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        subscribers.discard(websocket)


def create_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.add_api_websocket_route("/ws", subscribe)
    return app
