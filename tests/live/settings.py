"""The configuration of the server that most live tests share, and the ways in which SDKs connect to it."""

OPEN = {
    "allow_subscribe_for_client": True,
    "allow_subscribe_for_anonymous": True,
    "allow_publish_for_client": True,
    "allow_publish_for_anonymous": True,
}
HISTORY = {
    "history_size": 100,
    "history_ttl": "60s",
    "allow_history_for_client": True,
    "allow_history_for_anonymous": True,
}
PRESENCE = {"presence": True, "allow_presence_for_client": True, "allow_presence_for_anonymous": True}
RECOVERED = {**OPEN, **HISTORY, "force_recovery": True}

NAMESPACES = [
    {"name": "full", **OPEN, **HISTORY, **PRESENCE, "allow_recovery": True, "join_leave": True},
    {"name": "recover", **RECOVERED},
    {"name": "long", **RECOVERED, "history_size": 10_000},
    {"name": "short", **RECOVERED, "history_size": 3},
    {"name": "cache", **RECOVERED, "history_size": 1, "force_recovery_mode": "cache", "auto_cache_recover": True},
    {"name": "delta", **RECOVERED, "allowed_delta_types": ["fossil"], "delta_publish": True},
    {"name": "tags", **OPEN, **HISTORY, "allow_tags_filter": True},
    {"name": "joins", **OPEN, **PRESENCE, "join_leave": True, "force_push_join_leave": True},
    {"name": "closed", **{key: HISTORY[key] for key in ("history_size", "history_ttl")}, "presence": True},
    {"name": "limited", "allow_user_limited_channels": True, "allow_publish_for_subscriber": True},
    {"name": "personal", **PRESENCE, **HISTORY, "force_recovery": True},
    {"name": "object", **OPEN, "publication_data_format": "json_object", "channel_regex": "^[a-z0-9_]+$"},
    {"name": "binary", **OPEN, **HISTORY, "publication_data_format": "binary"},
]
"""One namespace for each thing to be tested."""

SETTINGS = {
    "client": {
        "allow_anonymous_connect_without_token": True,
        "expired_close_delay": "1s",
        "expired_sub_close_delay": "1s",
        "subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "personal"},
    },
    "channel": {"without_namespace": OPEN, "namespaces": NAMESPACES},
}

SDKS = {
    "js-websocket": ("websocket", False),
    "js-websocket-protobuf": ("websocket", True),
    "js-sse": ("sse", False),
    "js-http_stream": ("http_stream", False),
    "js-http_stream-protobuf": ("http_stream", True),
    "python": (None, False),
    "python-protobuf": (None, True),
}
"""Every way in which a real SDK connects: transport (None: centrifuge-python) and whether it speaks Protobuf."""

JS_SDKS = [name for name, (transport, _) in SDKS.items() if transport]
JSON_SDKS = [name for name, (_, protobuf) in SDKS.items() if not protobuf]
PROTOBUF_SDKS = [name for name, (_, protobuf) in SDKS.items() if protobuf]

STRICT = {
    "client": {
        "allow_anonymous_connect_without_token": True,
        "ping_interval": "1s",
        "pong_timeout": "500ms",
        "stale_close_delay": "1s",
        "channel_limit": 5,
        "user_connection_limit": 2,
        "queue_max_size": 300_000,
        "allowed_origins": ["https://good.example", "https://*.good.example"],
    },
    "websocket": {"compression": True, "write_timeout": "1s"},
    "limits": {"handshake_timeout": "1s", "header_size": 8192, "idle_timeout": "3s"},
    "channel": {"without_namespace": {**OPEN, **HISTORY, **PRESENCE}},
}


"""A server that soon loses its patience."""
