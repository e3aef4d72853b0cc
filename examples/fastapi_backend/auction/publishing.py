"""What goes out to browsers: through Redis, with the two calls that any Redis client has."""

import json
import logging
import os
from dataclasses import asdict
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from auction.lots import Lot

log = logging.getLogger("uvicorn.error")
redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6390/0"))


async def publish_lot(lot: Lot) -> None:
    """Must not be missed: stored in the channel's history, and once only, should it be tried again. The bid itself counts
    already, so a Redis that is away is no reason to refuse it."""
    try:
        await redis.fcall("rt_publish", 1, f"lots:{lot.id}", json.dumps(asdict(lot)), f"{lot.id}-{lot.version}")
    except RedisError as error:
        log.warning("lot %d was not published: %s", lot.id, error)


async def publish_time(left: dict[int, int]) -> None:
    """Comes every second, so a lost one does no harm: fire and forget."""
    await send("ticker:all", left)


async def send(channel: str, data: Any) -> None:
    try:
        await redis.publish(f"rt:{channel}", json.dumps(data))
    except RedisError as error:
        log.warning("%s was not published: %s", channel, error)
