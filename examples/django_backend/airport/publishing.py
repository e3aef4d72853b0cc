"""What goes out to browsers: through Redis, with the two calls that any Redis client has."""

import json
import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from redis import Redis
from redis.exceptions import RedisError

from airport.models import Flight

log = logging.getLogger("django.server")


@cache
def redis() -> Redis:
    """One pool of connections for the process; it is safe for threads."""
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2)


def store(channel: str, data: Any) -> None:
    """Must not be missed: stored in the channel's history and delivered, as one step."""
    try:
        redis().fcall("rt_publish", 1, channel, json.dumps(data))
    except RedisError as error:
        log.warning("%s was not published: %s", channel, error)


def send(channel: str, data: Any) -> None:
    """Fire and forget: for what comes again in a second."""
    try:
        redis().publish(f"rt:{channel}", json.dumps(data))
    except RedisError as error:
        log.warning("%s was not published: %s", channel, error)


def follow_models() -> None:
    """Every change of a flight is published once it is in the database: by the admin, by a view, by any command."""
    post_save.connect(_saved, Flight, dispatch_uid="published")
    post_delete.connect(_deleted, Flight, dispatch_uid="published")


def _saved(instance: Flight, **_: Any) -> None:
    shown = instance.as_shown()
    transaction.on_commit(lambda: store("board:departures", shown))


def _deleted(instance: Flight, **_: Any) -> None:
    gone = {"id": instance.pk, "gone": True}
    transaction.on_commit(lambda: store("board:departures", gone))
