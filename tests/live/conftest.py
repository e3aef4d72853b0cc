"""Shared by the live tests: one node process, one asyncio thread, one server with every kind of channel."""

import itertools

import pytest

from tests.live.cable import Cable
from tests.live.certificate import write_certificate
from tests.live.raw import RawClient
from tests.live.rtserver_process import RtServer
from tests.live.sdk_js import JSClient, Node
from tests.live.sdk_python import Loop, PythonClient
from tests.live.settings import SDKS, SETTINGS, STRICT
from tests.live.simulator_process import running

_numbers = itertools.count(1)


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
    """The shared server. What a test makes it write into its log is that test's failure."""
    yield shared_server
    shared_server.check_log()


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory):
    server = RtServer(tmp_path_factory.mktemp("strict"), STRICT).start()
    yield server
    server.stop()


@pytest.fixture
def strict(strict_server):
    """A strict server; after the test a well-behaved client is served and the log holds no trouble."""
    strict_server.seen = len(strict_server.log)
    yield strict_server
    with RawClient(strict_server) as client:
        assert client.connect()["client"]
        assert client.call(2, subscribe={"channel": "afterwards"})["subscribe"] == {}
        assert client.call(3, publish={"channel": "afterwards", "data": {}}) == {"id": 3, "publish": {}}
    strict_server.check_log()


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """The gateway's simulator, as the tests of one module leave it."""
    with running(tmp_path_factory.mktemp("simulator")) as started:
        yield started


@pytest.fixture
def sim(simulator):
    """The simulator, which has forgotten everything."""
    simulator.reset()
    return simulator


@pytest.fixture
def gateway(sim):
    """The SDK in front of the simulator."""
    return sim.gateway()


@pytest.fixture
def start_server(tmp_path_factory):
    """Start a server of one's own: ``start_server(settings)``. It is stopped and judged at the end of the test."""
    started = []

    def start(settings=None, wait=True, **keywords):
        server = RtServer(tmp_path_factory.mktemp("server"), settings, **keywords)
        started.append(server)
        return server.start(wait)

    yield start
    try:
        for server in started:
            server.stop()
    finally:
        for server in started:
            server.kill()


@pytest.fixture
def make_client(request):
    """Make a client of an SDK by its name in ``SDKS``: ``make_client(sdk, server, token=...)``. Closed at the end."""
    made = []

    def make(sdk, server, **options):
        transport, protobuf = SDKS[sdk]
        name = f"{sdk}-{next(_numbers)}"
        if transport is None:
            client = PythonClient(request.getfixturevalue("loop"), name, server, protobuf, **options)
        else:
            client = JSClient(request.getfixturevalue("node"), name, server, transport, protobuf, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def cable(server):
    """A cable to the shared server."""
    made = Cable(server.port)
    yield made
    made.close()


@pytest.fixture
def channel():
    """Names of channels that no other test uses: ``channel("full")`` is ``full:`` and something of its own."""
    own = f"t{next(_numbers)}"

    def name(namespace="", more=""):
        return (f"{namespace}:" if namespace else "") + own + more

    return name
