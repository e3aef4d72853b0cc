"""Payloads in the answers of the HTTP API: clients and other programs may have published any bytes, answers are JSON."""

from __future__ import annotations

import base64

from msgspec import Raw

from rtserver.core.messages import EMPTY, ClientInfo, Publication, is_json


def json_value(payload: Raw) -> Raw:
    """The payload as it is when it is JSON, else its base64 as a JSON string: nothing in it can close what it stands in."""
    data = bytes(payload)
    if not data:
        return EMPTY
    return payload if is_json(data) else Raw(b'"%b"' % base64.b64encode(data))


def readable_info(info: ClientInfo) -> ClientInfo:
    return ClientInfo(info.user, info.client, json_value(info.conn_info), json_value(info.chan_info))


def readable(item: Publication) -> Publication:
    """Without the publisher's wish for deltas, which is no field of the wire."""
    info = readable_info(item.info) if item.info is not None else None
    return Publication(json_value(item.data), info, item.offset, item.tags)
