"""Where the gateway is and how it is reached: what is refused at the start, and what every request keeps to."""

import gzip
import io
from dataclasses import replace

import pytest
import requests
from braintree.environment import Environment
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from rtserver.core.errors import CannotStart
from rtserver.payments.options import PaymentsOptions
from rtserver.services import gateway_braintree_wire
from rtserver.services.gateway_braintree_config import link_of
from rtserver.services.gateway_braintree_wire import Wire

SIMULATOR = PaymentsOptions(enabled=True)
SANDBOX = replace(SIMULATOR, mode="sandbox", merchant_id="m", public_key="p", private_key="k")


def base(options):
    return link_of(options).sdk.config.base_url()


# Where


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:3999", "http://127.0.0.1:3999"),
        ("http://127.9.9.9:1/", "http://127.9.9.9:1"),
        ("http://localhost:3999", "http://localhost:3999"),
        ("http://[::1]:3999", "http://[::1]:3999"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
    ],
)
def test_the_simulator_is_on_this_machine(url, address):
    assert base(replace(SIMULATOR, simulator_url=url)) == address


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:3999",
        "http://127.0.0.1:443",
        "http://192.168.1.2:3999",
        "http://0.0.0.0:3999",
        "http://example.com:3999",
        "http://127.0.0.1.example.com:3999",
        "http://127.0.0.1:99999",
        "http://user:pass@127.0.0.1:3999",
        "http://127.0.0.1:3999/path",
        "http://127.0.0.1:3999/?a=b",
        "ftp://127.0.0.1",
        "127.0.0.1:3999",
        "",
    ],
)
def test_the_simulator_is_nowhere_else(url):
    with pytest.raises(CannotStart, match=r"payments\.simulator_url"):
        link_of(replace(SIMULATOR, simulator_url=url))


@pytest.mark.parametrize(
    ("mode", "address"),
    [
        ("sandbox", "https://api.sandbox.braintreegateway.com:443"),
        ("production", "https://api.braintreegateway.com:443"),
    ],
)
def test_braintree_is_reached_by_https_with_its_certificates(mode, address):
    link = link_of(replace(SANDBOX, mode=mode))
    assert link.sdk.config.base_url() == address
    assert link.sdk.config.environment.ssl_certificate.endswith("api_braintreegateway_com.ca.crt")


class Tls(Environment):
    protocol = "https://"


@pytest.mark.parametrize("certificate", [None, False, "", "/nowhere/ca.crt"])
def test_https_without_certificates_to_check_by_is_refused(certificate):
    where = Tls("x", "127.0.0.1", "8443", "", True, certificate)
    with pytest.raises(CannotStart, match="certificates"):
        link_of(SIMULATOR, environment=where)
    link_of(SIMULATOR, environment=Tls("x", "127.0.0.1", "8443", "", True, True))


# Who


@pytest.mark.parametrize("name", ["merchant_id", "public_key", "private_key"])
@pytest.mark.parametrize("mode", ["sandbox", "production", "simulator"])
def test_a_missing_key_is_named(name, mode):
    with pytest.raises(CannotStart, match=rf"set payments\.{name}:"):
        link_of(replace(SANDBOX, mode=mode, **{name: ""}))


@pytest.mark.parametrize("value", ["with space", "ümlaut", "line\n"])
def test_keys_that_were_copied_badly_are_refused_without_being_shown(value):
    with pytest.raises(CannotStart) as caught:
        link_of(replace(SANDBOX, private_key=value))
    assert value not in str(caught.value)


def test_the_simulator_has_keys_of_its_own_when_none_are_given():
    config = link_of(SIMULATOR).sdk.config
    assert (config.merchant_id, config.public_key) == ("simulator_merchant", "simulator_public")
    config = link_of(replace(SANDBOX, mode="simulator")).sdk.config
    assert (config.merchant_id, config.public_key, config.private_key) == ("m", "p", "k")


def test_every_call_has_two_time_limits_and_wrapped_errors():
    config = link_of(replace(SIMULATOR, connect_timeout=2, timeout=9)).sdk.config
    assert config.timeout == (2.0, 9.0)
    assert config.wrap_http_exceptions is True
    assert config.max_connection_idle_seconds < 60


# The wire


class Adapter(BaseAdapter):
    """A server that is none."""

    def __init__(self, body=b"<a/>", status=200, headers=None, chunk=None):
        super().__init__()
        self._answer = body, status, headers or {}
        self._chunk = chunk
        self.asked = []

    def send(self, request, **settings):
        self.asked.append((request, settings))
        body, status, headers = self._answer
        response = requests.Response()
        response.status_code = status
        response.url = request.url
        response.request = request
        response.connection = self
        response.headers.update(headers)
        stream = self._chunk(body) if self._chunk else io.BytesIO(body)
        response.raw = HTTPResponse(stream, headers=headers, status=status, preload_content=False)
        return response

    def close(self):
        pass


def wired(adapter, environment=None, clock=lambda: 0.0):
    where = environment or Environment("x", "127.0.0.1", "3999", "", False, None)

    class Local(Wire):
        def _get_session(self):
            session = requests.Session()
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            return session

    config = link_of(replace(SIMULATOR, connect_timeout=2, timeout=9)).sdk.config
    return Local(config, where, total=9, clock=clock)


PROXY = "http://proxy.example:3128"


@pytest.fixture
def proxy(monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, PROXY)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_loopback_is_never_reached_by_way_of_a_proxy(proxy, host):
    adapter = Adapter()
    wired(adapter).http_do("GET", f"http://{host}:3999/merchants/m/x", {}, "")
    assert not adapter.asked[0][1]["proxies"]


def test_braintree_is_reached_by_way_of_the_proxy_that_there_is(proxy):
    adapter = Adapter()
    wired(adapter, Environment.Sandbox).http_do(
        "GET", "https://api.sandbox.braintreegateway.com:443/merchants/m/x", {}, ""
    )
    [(request, settings)] = adapter.asked
    assert settings["proxies"]["https"] == PROXY
    assert settings["verify"] == Environment.Sandbox.ssl_certificate


def test_a_request_has_its_time_limits_and_is_sent_as_it_is():
    adapter = Adapter(b"<a>\xc3\xa9</a>")
    headers = {"Content-type": "application/xml"}
    assert wired(adapter).http_do("POST", "http://127.0.0.1:3999/m", headers, "<x/>") == [200, "<a>é</a>"]
    [(request, settings)] = adapter.asked
    assert (request.method, request.url, request.body) == ("POST", "http://127.0.0.1:3999/m", "<x/>")
    assert settings["timeout"] == (2.0, 9.0)
    assert settings["verify"] is True


def test_a_redirect_is_not_followed():
    adapter = Adapter(b"", 307, {"Location": "http://elsewhere.example/"})
    assert wired(adapter).http_do("POST", "http://127.0.0.1:3999/m", {}, "<x/>")[0] == 307
    assert len(adapter.asked) == 1


def test_an_answer_that_is_too_long_is_left(monkeypatch):
    monkeypatch.setattr(gateway_braintree_wire, "LARGEST", 200_000)
    with pytest.raises(requests.exceptions.RequestException, match="too long"):
        wired(Adapter(b"x" * 300_000)).http_do("GET", "http://127.0.0.1:3999/m", {}, "")
    packed = Adapter(gzip.compress(b"x" * 50_000_000), headers={"content-encoding": "gzip"})
    with pytest.raises(requests.exceptions.RequestException, match="too long"):
        wired(packed).http_do("GET", "http://127.0.0.1:3999/m", {}, "")


def test_an_answer_that_trickles_is_left():
    seconds = iter(range(1000))

    class Trickle(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(1)

    wire = wired(Adapter(b"x" * 500, chunk=Trickle), clock=lambda: float(next(seconds)))
    with pytest.raises(requests.exceptions.ReadTimeout):
        wire.http_do("GET", "http://127.0.0.1:3999/m", {}, "")


@pytest.mark.parametrize(
    ("trouble", "raised"),
    [
        (TimeoutError("slow"), requests.exceptions.ReadTimeout),
        (ConnectionResetError("reset"), requests.exceptions.ConnectionError),
    ],
)
def test_an_answer_that_breaks_off_is_an_error_of_the_connection(trouble, raised):
    class Broken(io.BytesIO):
        def read1(self, size=-1):
            raise trouble

    with pytest.raises(raised):
        wired(Adapter(b"x", chunk=Broken)).http_do("GET", "http://127.0.0.1:3999/m", {}, "")


def test_a_packed_answer_is_unpacked():
    packed = Adapter(gzip.compress(b"<a>" + b"x" * 100_000 + b"</a>"), headers={"content-encoding": "gzip"})
    [_, body] = wired(packed).http_do("GET", "http://127.0.0.1:3999/m", {}, "")
    assert len(body) == 100_007


def test_an_answer_that_is_no_text_is_an_error():
    with pytest.raises(UnicodeDecodeError):
        wired(Adapter(b"\xff\xfe")).http_do("GET", "http://127.0.0.1:3999/m", {}, "")
