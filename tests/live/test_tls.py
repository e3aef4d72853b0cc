"""TLS: clients that offer ALPN get in, and bytes stay whole and in order however slowly they are read."""

import base64
import json
import random
import socket
import ssl
import subprocess

import pytest

from tests.live.raw import RawClient
from tests.live.rtserver_process import LOOPBACK, RtServer
from tests.live.settings import OPEN

FRAMES = 2000


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory, certificate):
    """Serves plain TCP and TLS; its connections may have much waiting."""
    files = f"privateKey={certificate}/key.pem:certKey={certificate}/cert.pem"
    settings = {
        "listen": [LOOPBACK.format(port=0), f"ssl:0:interface=127.0.0.1:{files}"],
        "client": {"allow_anonymous_connect_without_token": True, "queue_max_size": 64 * 1024 * 1024},
        "websocket": {"write_timeout": "20s"},
        "channel": {"without_namespace": OPEN},
    }
    server = RtServer(tmp_path_factory.mktemp("tls"), settings).start()
    server.tls_port = server.ports[1]
    yield server
    server.stop()


def context(certificate, *protocols):
    made = ssl.create_default_context(cafile=certificate / "cert.pem")
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


class TlsAddress:
    """The TLS port of a server, for ``RawClient``."""

    def __init__(self, server):
        self._port = server.tls_port

    def url(self, path, scheme):
        return f"{scheme}://127.0.0.1:{self._port}{path}"


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h2", "http/1.1")], ids=str)
def test_a_wss_client_connects_whatever_it_offers(tls_server, certificate, protocols):
    with RawClient(TlsAddress(tls_server), ssl=context(certificate, *protocols)) as client:
        assert client.socket.socket.selected_alpn_protocol() == ("http/1.1" if protocols else None)
        assert client.connect()["client"]


def test_openssl_negotiates_http_1_1_and_modern_tls_only(tls_server):
    def ask(*options):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{tls_server.tls_port}", *options]
        return subprocess.run(command, input="", capture_output=True, text=True, timeout=20).stdout

    offered = ask("-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in offered
    assert "TLSv1.3" in offered
    assert "Cipher is (NONE)" in ask("-tls1_1")


def test_curl_gets_http_over_tls(tls_server, certificate):
    command = [
        "curl",
        "-sS",
        "--cacert",
        str(certificate / "cert.pem"),
        f"https://127.0.0.1:{tls_server.tls_port}/readyz",
    ]
    assert json.loads(subprocess.run(command, capture_output=True, timeout=20).stdout) == {"ready": True}


@pytest.mark.parametrize("sdk", ["js-websocket", "js-websocket-protobuf", "js-sse", "js-http_stream"])
def test_the_javascript_sdk_connects_over_tls(tls_server, make_client, sdk):
    scheme = "wss" if "websocket" in sdk else "https"
    client = make_client(sdk, tls_server, scheme=scheme, base=f"127.0.0.1:{tls_server.tls_port}")
    client.open()
    client.enter(f"tls-{sdk}")
    client.publish(f"tls-{sdk}", {"over": "TLS"})
    assert client.data(f"tls-{sdk}") == {"over": "TLS"}


@pytest.mark.parametrize("sdk", ["python", "python-protobuf"])
def test_the_python_sdk_connects_over_tls(tls_server, make_client, certificate, sdk):
    client = make_client(
        sdk,
        tls_server,
        scheme="wss",
        base=f"127.0.0.1:{tls_server.tls_port}",
        ssl_context=context(certificate, "h2", "http/1.1"),
    )
    client.open()
    client.enter(f"tls-{sdk}")
    client.publish(f"tls-{sdk}", {"over": "TLS"})
    assert client.data(f"tls-{sdk}") == {"over": "TLS"}


def slow_socket(port):
    """A connection whose receive buffer holds a few kilobytes."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.settimeout(20)
    made.connect(("127.0.0.1", port))
    return made


@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_frames_of_all_sizes_stay_whole_and_in_order_through_tiny_buffers(tls_server, certificate, tls, protobuf):
    """The server's socket is full most of the time: eager writes, partial writes and the transport's own buffer alternate."""
    channel = f"slow-{tls}-{protobuf}"
    chance = random.Random(7)
    sizes = [chance.choice((0, 1, 60, 200, 1500, 9000, 30_000)) for _ in range(FRAMES)]
    payloads = [{"n": n, "pad": "x" * size} for n, size in enumerate(sizes)]
    server = TlsAddress(tls_server) if tls else tls_server
    more = {"ssl": context(certificate, "http/1.1"), "server_hostname": "127.0.0.1"} if tls else {}
    link = slow_socket(tls_server.tls_port if tls else tls_server.port)
    with RawClient(server, protobuf=protobuf, sock=link, max_queue=1, **more) as client:
        client.connect()
        client.call(2, subscribe={"channel": channel})
        for start in range(0, FRAMES, 50):
            commands = [{"publish": {"channel": channel, "data": each}} for each in payloads[start : start + 50]]
            tls_server.api("batch", commands=commands)
        assert tls_server.metric("rtserver_slow_connections") == 1
        got = [client.receive()["push"]["pub"]["data"] for _ in range(FRAMES)]
    assert [json.loads(base64.b64decode(each)) if protobuf else each for each in got] == payloads
