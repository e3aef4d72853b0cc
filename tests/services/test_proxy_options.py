"""What can be wrong with the options of proxies."""

import pytest

from rtserver.services import proxy_options
from rtserver.services.proxy_options import (
    ProxyHTTPOptions,
    ProxyOptions,
    StatusTransform,
    TransformDisconnect,
    TransformError,
    forgeable,
)


@pytest.mark.parametrize("endpoint", ["http://localhost:3000/connect", "https://b.example/x?y=1", "http://[::1]:80/"])
def test_an_http_address_is_good(endpoint):
    proxy_options.check_endpoint(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("grpc://localhost:3000", "proxies speak HTTP here, not GRPC"),
        ("grpcs://localhost:3000", "not GRPC"),
        ("localhost:3000", "write an http:// or https:// address"),
        ("http://", "write an http://"),
        ("http://h:port/", "write an http://"),
        ("http://h:0/", "write an http://"),
        ("http://[::1/", "write an http://"),
        ("http://h/a b", "write an http://"),
        ("http://user:sesame@h/", "must not hold a password"),
        ("http://user@h/", "must not hold a password"),
        ("http://h/#part", "take the part after # away"),
    ],
)
def test_another_address_is_told_what_to_write(endpoint, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        proxy_options.check_endpoint(endpoint)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Connection", "content-type", "a b", "", "é", "a:"]
)
def test_a_header_that_is_the_servers_own_or_no_name_is_refused(name):
    for check in (proxy_options.check_own_header, proxy_options.check_forwarded_header):
        with pytest.raises(ValueError, match="."):
            check(name)


def test_the_host_of_the_client_is_not_forwarded_but_may_be_set():
    proxy_options.check_own_header("Host")
    with pytest.raises(ValueError, match="names the backend"):
        proxy_options.check_forwarded_header("Host")


def test_values_of_static_headers_are_one_line():
    proxy_options.check_static_headers({"X-Key": "a b é"})
    with pytest.raises(ValueError, match="one line") as caught:
        proxy_options.check_static_headers({"X-Key": "sesame\r\nX: y"})
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "transform",
    [
        StatusTransform(404, TransformError(404, "not found")),
        StatusTransform(403, to_disconnect=TransformDisconnect(4504, "blocked")),
        StatusTransform(503, TransformError(100)),
        StatusTransform(204, TransformError(1999)),
    ],
)
def test_a_transform_names_a_status_and_an_outcome(transform):
    proxy_options.check_transform(transform)


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        (StatusTransform(0, TransformError(404)), "status_code"),
        (StatusTransform(200, TransformError(404)), "other than 200"),
        (StatusTransform(600, TransformError(404)), "status_code"),
        (StatusTransform(404), "either to_error or to_disconnect"),
        (StatusTransform(404, TransformError(404), TransformDisconnect(4500, "x")), "either to_error or to_disconnect"),
        (StatusTransform(404, TransformError(99)), "100 to 1999"),
        (StatusTransform(404, to_disconnect=TransformDisconnect(5000, "x")), "codes of disconnects"),
        (StatusTransform(404, to_disconnect=TransformDisconnect(4500, "true")), "must be a sentence"),
        (StatusTransform(404, to_disconnect=TransformDisconnect(4500, "x" * 124)), "123 bytes"),
    ],
)
def test_a_transform_that_cannot_be_followed_is_told_why(transform, sentence):
    with pytest.raises(ValueError, match=sentence):
        proxy_options.check_transform(transform)


def test_a_static_header_that_clients_could_write_is_forgeable():
    http = ProxyHTTPOptions(static_headers={"X-Key": "k"})
    assert forgeable(ProxyOptions(emulated_headers=("x-key",), http=http))
    assert not forgeable(ProxyOptions(emulated_headers=("x-other",), http_headers=("x-key",), http=http))
