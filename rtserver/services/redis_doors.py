"""What the doors have in common: other programs publish through Redis, by the rules of the node."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Raw
from twisted.internet.defer import Deferred

from rtserver.core.messages import Publication
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import Intake, PublishOptions

NO_NAMESPACE = "its namespace is not configured: add it to the configuration"

_DEFAULT_META_TTL = PublishOptions().meta_ttl


@dataclass(frozen=True, slots=True)
class DoorPlan:
    """``publish`` starts a publish on whichever server the channel lives on, in the order of the calls; its Deferred fires
    with ``PublishOutcome``."""

    intake: Intake
    publish: Callable[[str, Publication, PublishOptions], Deferred[Any]]

    def publication(self, channel: str, data: bytes) -> Publication:
        """With the delta flag that the channel's namespace asks for."""
        namespaces = self.intake.namespaces()
        options = namespaces.get(namespace_of(channel)) or namespaces.get("")
        return Publication(data=Raw(data), delta=options is not None and options.delta_publish)


def namespace_of(channel: str) -> str:
    """The namespace by the usual characters: what stands before the first ":", without a leading "$"."""
    before, boundary, _ = channel.partition(":")
    return before.removeprefix("$") if boundary else ""


def options_fields(namespaces: Mapping[str, ChannelOptions], shards: int) -> list[str]:
    """The hash that the public Redis function decides by, as name, value, name, value... Times in milliseconds."""
    fields = [":shards", str(shards)]
    for name, options in namespaces.items():
        known = {
            "size": options.history_size if options.has_history else 0,
            "ttl": round(options.history_ttl * 1000),
            "meta_ttl": round((options.history_meta_ttl or _DEFAULT_META_TTL) * 1000),
            "format": options.publication_data_format,
            "delta": options.delta_publish,
        }
        fields += [name, json.dumps(known)]
    return fields
