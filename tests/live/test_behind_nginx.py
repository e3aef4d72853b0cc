"""The SDKs through a real nginx with the shipped configuration: TLS, upgrades, streams without buffering, what is open."""

import re
import shutil
import ssl
import subprocess

import pytest

from tests.live.raw import RawClient
from tests.live.redis_server import free_port
from tests.live.rtserver_process import API_KEY, ROOT, RtServer
from tests.live.settings import SDKS, SETTINGS

MAIN = """
daemon off;
user root;
pid {place}/nginx.pid;
error_log {place}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/rtserver.conf;
}}
"""


class Nginx:
    """nginx with the shipped configuration, its ports, certificate and server replaced by those of the test."""

    def __init__(self, place, server, certificate):
        self.port, plain = free_port(), free_port()
        text = (ROOT / "etc/nginx/rtserver.conf").read_text()
        text = re.sub(r"listen \[::\].*\n", "", text)
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl").replace(
            "listen 80", f"listen 127.0.0.1:{plain}"
        )
        text = text.replace("/etc/ssl/rtserver/fullchain.pem", f"{certificate}/cert.pem")
        text = text.replace("/etc/ssl/rtserver/privkey.pem", f"{certificate}/key.pem")
        text = text.replace("server 127.0.0.1:8000", f"server 127.0.0.1:{server.port}").replace(
            "rt.example.com", "localhost"
        )
        (place / "rtserver.conf").write_text(text)
        (place / "nginx.conf").write_text(MAIN.format(place=place))
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        command = [program, "-e", str(place / "error.log"), "-c", str(place / "nginx.conf")]
        self.process = subprocess.Popen(command)
        self.base = f"127.0.0.1:{self.port}"

    def url(self, path, scheme="https"):
        return f"{scheme}://{self.base}{path}"

    def curl(self, path, *options, body=""):
        """Status of a request; ``body`` is what curl reads from its input."""
        return int(self._curl(path, "-o", "/dev/null", "-w", "%{http_code}", *options, body=body))

    def read(self, path, *options):
        """The body of an answer."""
        return self._curl(path, *options)

    def _curl(self, path, *options, body=""):
        command = ["curl", "-sk", *options, self.url(path)]
        return subprocess.run(command, input=body, capture_output=True, text=True, timeout=10).stdout

    def stop(self):
        self.process.terminate()
        assert self.process.wait(10) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {
        **SETTINGS,
        "apps": [{"module": "tests.live.apps.doorbell:app"}],
        "http_server": {"trusted_proxies": ["127.0.0.1"]},
    }
    server = RtServer(tmp_path_factory.mktemp("behind"), settings).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def nginx(server, tmp_path_factory, certificate):
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server, certificate)
    server.wait_for("nginx", lambda: nginx.curl("/health") == 200)
    yield nginx
    nginx.stop()


@pytest.mark.parametrize("sdk", SDKS)
def test_every_sdk_works_through_nginx(sdk, server, nginx, make_client, certificate, channel):
    scheme = "wss" if "websocket" in sdk or sdk.startswith("python") else "https"
    more = {}
    if sdk.startswith("python"):
        more["ssl_context"] = ssl.create_default_context(cafile=certificate / "cert.pem")
    client = make_client(sdk, server, scheme=scheme, base=nginx.base, **more)
    client.open()
    client.enter(channel("full"))
    client.publish(channel("full"), {"n": 0})
    server.publish(channel("full"), {"n": 1, "pad": "x" * 200_000})
    server.publish(channel("full"), {"n": 2})
    assert [client.data(channel("full"))["n"] for _ in range(3)] == [0, 1, 2]
    client.unsubscribe(channel("full"))
    client.disconnect()
    client.wait("disconnected")
    stats = server.api("presence_stats", channel=channel("full"))["result"]
    server.wait_for("the client to be gone", lambda: server.metric("rtserver_clients") == 0)
    assert stats["num_clients"] == 0


def test_close_codes_come_through(server, nginx, certificate):
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    with RawClient(nginx, ssl=context) as client:
        client.send({"id": 1, "connect": {"token": "bad"}})
        assert client.end() == (3500, "invalid token")


def test_the_api_is_open_to_this_machine_and_the_metrics_to_nobody(nginx):
    key = ("-H", f"X-API-Key: {API_KEY}", "--data-binary", "@-")
    assert nginx.curl("/api/info", *key, body="{}") == 200
    assert nginx.curl("/metrics") == 403
    assert nginx.curl("/readyz") == 200
    assert nginx.curl("/api/publish", *key, body="x" * 1_200_000) == 413


STRANGER = "127.0.0.2"
"""Another address of the loopback: a client that is not at the place of the proxy."""


@pytest.mark.parametrize("forged", [(), ("-H", "X-Forwarded-For: 198.51.100.1")], ids=["honest", "forged"])
def test_the_client_s_address_is_the_one_that_nginx_saw(nginx, forged):
    assert nginx.read("/who", "--interface", STRANGER, *forged) == f'"{STRANGER}"'


@pytest.mark.parametrize("sdk", ["js-websocket", "js-sse", "js-http_stream"])
def test_realtime_functions_know_the_client_s_address_too(sdk, server, nginx, make_client):
    """The tests run where nginx does, so that the client is a trusted address as well."""
    scheme = "wss" if "websocket" in sdk else "https"
    client = make_client(sdk, server, scheme=scheme, base=nginx.base)
    client.open()
    assert client.rpc("who", {}) == "127.0.0.1"


def test_a_client_that_goes_past_nginx_cannot_say_who_it_is(server, nginx):
    header = ("-H", "X-Forwarded-For: 198.51.100.1")
    command = ["curl", "-s", "--interface", STRANGER, *header, server.url("/who")]
    assert subprocess.run(command, capture_output=True, text=True, timeout=10).stdout == f'"{STRANGER}"'


def test_realtime_connections_cannot_say_so_either(server, nginx, certificate):
    """Over WebSocket through nginx, with a header of the client's own and from another address."""
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    headers = {"X-Forwarded-For": "198.51.100.1"}
    with RawClient(nginx, ssl=context, additional_headers=headers, source_address=(STRANGER, 0)) as client:
        client.connect()
        assert client.call(2, rpc={"method": "who"})["rpc"] == {"data": STRANGER}
