"""Shared by the live tests: one node process, one asyncio thread, one server with every kind of channel."""

import itertools

import pytest

from tests.live.certificate import write_certificate
from tests.live.rtserver_process import RtServer
from tests.live.sdk_js import JSClient, Node
from tests.live.sdk_python import Loop, PythonClient

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
RECOVERY = {"allow_recovery": True, "allow_positioning": True}

NAMESPACES = [
    {"name": "full", **OPEN, **HISTORY, **PRESENCE, **RECOVERY, "join_leave": True},
    {"name": "recover", **OPEN, **HISTORY, "force_recovery": True},
    {"name": "short", **OPEN, **HISTORY, "history_size": 3, "force_recovery": True},
    {
        "name": "cache",
        **OPEN,
        **HISTORY,
        "history_size": 1,
        "force_recovery": True,
        "force_recovery_mode": "cache",
        "auto_cache_recover": True,
    },
    {
        "name": "delta",
        **OPEN,
        **HISTORY,
        "force_recovery": True,
        "allowed_delta_types": ["fossil"],
        "delta_publish": True,
    },
    {"name": "tags", **OPEN, **HISTORY, "allow_tags_filter": True},
    {"name": "joins", **OPEN, **PRESENCE, "join_leave": True, "force_push_join_leave": True},
    {"name": "closed", **HISTORY, **PRESENCE},
    {"name": "limited", "allow_user_limited_channels": True, "allow_publish_for_subscriber": True},
    {"name": "personal", **PRESENCE, **HISTORY, "force_recovery": True},
    {"name": "object", **OPEN, "publication_data_format": "json_object", "channel_regex": "^[a-z0-9_]+$"},
    {"name": "binary", **OPEN, **HISTORY, "publication_data_format": "binary"},
]
SETTINGS = {
    "client": {
        "allow_anonymous_connect_without_token": True,
        "expired_close_delay": "1s",
        "expired_sub_close_delay": "1s",
        "subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "personal"},
    },
    "channel": {"without_namespace": OPEN, "namespaces": NAMESPACES},
}
"""One server that most tests share. Their channels are their own, so they do not meet."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate of 127.0.0.1 and localhost: ``cert.pem`` and ``key.pem`` in this folder."""
    place = tmp_path_factory.mktemp("certificate")
    write_certificate(place)
    return place


@pytest.fixture(scope="session")
def node(certificate):
    process = Node(certificate / "cert.pem")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def loop():
    thread = Loop()
    yield thread
    thread.stop()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    server = RtServer(tmp_path_factory.mktemp("shared"), SETTINGS).start()
    yield server
    server.stop()


@pytest.fixture
def server(shared_server):
    """The shared server; its log must be as clean after a test as it was before."""
    yield shared_server
    shared_server.check_log()


@pytest.fixture
def start_server(tmp_path_factory):
    """Start a server of one's own: ``start_server(settings)``. It is stopped and judged at the end of the test."""
    started = []

    def start(settings=None, wait=True, **keywords):
        server = RtServer(tmp_path_factory.mktemp("server"), settings, **keywords)
        started.append(server)
        return server.start(wait)

    yield start
    _stop_all(started)


def _stop_all(servers):
    """Every server gets its end, also when an earlier one fails at its."""
    try:
        for server in servers:
            server.stop()
    finally:
        for server in servers:
            server.kill()


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

JSON_SDKS = [name for name, (_, protobuf) in SDKS.items() if not protobuf]
PROTOBUF_SDKS = [name for name, (_, protobuf) in SDKS.items() if protobuf]

_numbers = itertools.count(1)


@pytest.fixture
def make_client(request, server):
    """Make a client of an SDK by its name in ``SDKS``: ``make_client(sdk, token=..., to=server)``. Closed at the end."""
    made = []

    def make(sdk, to=None, **options):
        transport, protobuf = SDKS[sdk]
        name = f"{sdk}-{next(_numbers)}"
        if transport is None:
            client = PythonClient(request.getfixturevalue("loop"), name, to or server, protobuf, **options)
        else:
            client = JSClient(request.getfixturevalue("node"), name, to or server, transport, protobuf, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def channel(request):
    """Names of channels that no other test uses: ``channel("full")`` is ``full:<something of its own>``."""
    own = f"t{next(_numbers)}"

    def name(namespace="", more=""):
        return (f"{namespace}:" if namespace else "") + own + more

    return name
