"""The sections of proxies, and those that send questions to them."""

import json

import pytest

from rtserver.config import ConfigError, ignored_variables, load
from rtserver.services.proxy_options import RpcOptions, StatusTransform, TransformDisconnect, TransformError

URL = "http://backend.example/x"
NAMED = f'[[proxies]]\nname = "orders"\nendpoint = "{URL}"\n'


def problems(text, environ=None):
    with pytest.raises(ConfigError) as caught:
        load(text, environ or {})
    return {problem.path: problem.message for problem in caught.value.problems}


def chat(options):
    return f'[[channel.namespaces]]\nname = "chat"\n{options}\n'


def test_a_proxy_is_read_with_everything_in_it():
    config = load(
        f"""
        [client.proxy.connect]
        enabled = true
        endpoint = "{URL}"
        timeout = "2s"
        http_headers = ["Cookie"]
        emulated_headers = ["Authorization"]
        include_connection_meta = true
        binary_encoding = true
        [client.proxy.connect.http]
        static_headers = {{"X-Key" = "sesame"}}
        status_to_code_transforms = [
            {{status_code = 404, to_error = {{code = 404, message = "not found", temporary = true}}}},
            {{status_code = 403, to_disconnect = {{code = 4504, reason = "blocked"}}}},
        ]
        """,
        {},
    )
    connect = config.proxy.connect
    assert (connect.enabled, connect.endpoint, connect.timeout) == (True, URL, 2)
    assert (connect.http_headers, connect.emulated_headers) == (("Cookie",), ("Authorization",))
    assert connect.include_connection_meta and connect.binary_encoding
    assert connect.http.static_headers == {"X-Key": "sesame"}
    assert connect.http.status_to_code_transforms == (
        StatusTransform(404, TransformError(404, "not found", True)),
        StatusTransform(403, to_disconnect=TransformDisconnect(4504, "blocked")),
    )
    assert "sesame" not in repr(config)


def test_named_proxies_and_namespaces_of_methods_are_lists_of_tables():
    text = NAMED + '[[rpc.namespaces]]\nname = "orders"\nproxy_enabled = true\nproxy_name = "orders"'
    config = load(text, {})
    assert config.proxy.named["orders"].endpoint == URL
    assert config.proxy.rpc.namespaces == {"orders": RpcOptions(True, "orders")}
    assert config.proxy.rpc.in_use


def test_the_defaults_ask_nobody():
    settings = load("", {}).proxy
    assert not settings.connect.enabled and not settings.refresh.enabled and not settings.rpc.in_use
    assert settings.connect.timeout == 1


def test_proxies_come_from_the_environment():
    transforms = [{"status_code": 404, "to_error": {"code": 404, "message": "not found"}}]
    config = load(
        "",
        {
            "RTSERVER_PROXIES": "orders",
            "RTSERVER_PROXIES_ORDERS_ENDPOINT": URL,
            "RTSERVER_PROXIES_ORDERS_HTTP_HEADERS": "cookie x-real-ip",
            "RTSERVER_PROXIES_ORDERS_HTTP_STATIC_HEADERS": '{"X-Key": "k"}',
            "RTSERVER_RPC_NAMESPACES": '[{"name": "orders", "proxy_enabled": true}]',
            "RTSERVER_RPC_NAMESPACES_ORDERS_PROXY_NAME": "orders",
            "RTSERVER_CLIENT_PROXY_CONNECT_ENABLED": "true",
            "RTSERVER_CLIENT_PROXY_CONNECT_ENDPOINT": URL,
            "RTSERVER_CLIENT_PROXY_CONNECT_HTTP_STATUS_TO_CODE_TRANSFORMS": json.dumps(transforms),
        },
    )
    orders = config.proxy.named["orders"]
    assert (orders.endpoint, orders.http_headers, orders.http.static_headers) == (
        URL,
        ("cookie", "x-real-ip"),
        {"X-Key": "k"},
    )
    assert config.rpc.namespaces == {"orders": RpcOptions(True, "orders")}
    assert config.proxy.connect.enabled
    assert config.proxy.connect.http.status_to_code_transforms[0].to_error.code == 404


def test_a_nested_key_of_a_named_proxy_of_the_file_is_changed_by_the_environment():
    text = NAMED + '[proxies.http]\nstatic_headers = {"A" = "1"}\n'
    config = load(text, {"RTSERVER_PROXIES_ORDERS_HTTP_STATUS_TO_CODE_TRANSFORMS": "[]"})
    assert config.proxies["orders"].http.static_headers == {"A": "1"}


def test_environment_files_of_centrifugo_are_understood():
    environ = {
        "CENTRIFUGO_CLIENT_PROXY_CONNECT_ENABLED": "true",
        "CENTRIFUGO_CLIENT_PROXY_CONNECT_ENDPOINT": URL,
        "CENTRIFUGO_CLIENT_PROXY_CONNECT_GRPC_METADATA": "x",
    }
    config = load("", environ)
    assert config.proxy.connect.endpoint == URL
    assert ignored_variables(environ, config) == ["CENTRIFUGO_CLIENT_PROXY_CONNECT_GRPC_METADATA"]


BROKEN = [
    ("[client.proxy.connect]\nenabled = true", "client.proxy.connect.endpoint", "write the address of your backend"),
    ("[client.proxy.refresh]\nenabled = true", "client.proxy.refresh.endpoint", "write the address of your backend"),
    ('[client.proxy.connect]\nendpoint = "grpc://h:1"', "client.proxy.connect.endpoint", "not GRPC"),
    ('[channel.proxy.publish]\nendpoint = "ftp://h"', "channel.proxy.publish.endpoint", "write an http://"),
    ('[rpc.proxy]\nhttp_headers = ["a", "Content-Length"]', "rpc.proxy.http_headers[1]", "writes this header itself"),
    ('[rpc.proxy]\nemulated_headers = ["host"]', "rpc.proxy.emulated_headers[0]", "names the backend"),
    ('[rpc.proxy]\ntimeout = "0s"', "rpc.proxy.timeout", "or more"),
    ("[rpc.proxy]\ntimeout = 1", "rpc.proxy.timeout", "add a unit"),
    ('[rpc.proxy]\nhttp.static_headers = {"a b" = "x"}', "rpc.proxy.http.static_headers", "name of an HTTP header"),
    ('[rpc.proxy]\nhttp.static_headers = {"a" = 5}', "rpc.proxy.http.static_headers.a", "write a text in quotes"),
    ('[rpc.proxy]\nhttp.static_headers = "x"', "rpc.proxy.http.static_headers", "write a table of texts"),
    (
        '[rpc.proxy]\nemulated_headers = ["X-Key"]\nhttp.static_headers = {"x-key" = "k"}',
        "rpc.proxy.emulated_headers",
        "clients could write it",
    ),
    (
        "[rpc.proxy.http]\nstatus_to_code_transforms = [{status_code = 404}]",
        "rpc.proxy.http.status_to_code_transforms[0]",
        "either to_error or to_disconnect",
    ),
    (
        "[rpc.proxy.http]\nstatus_to_code_transforms = [{status_code = 404, to_eror = {code = 5}}]",
        "rpc.proxy.http.status_to_code_transforms[0].to_eror",
        'did you mean "to_error"?',
    ),
    (
        "[rpc.proxy.http]\nstatus_to_code_transforms = [5]",
        "rpc.proxy.http.status_to_code_transforms[0]",
        "this is a section",
    ),
    ("[rpc]\nnamespace_boundary = ''", "rpc.namespace_boundary", "cannot be empty"),
    ('[[rpc.namespaces]]\nname = "a b"', "rpc.namespaces.a b.name", "two or more letters"),
    ('[[proxies]]\nname = "orders"', "proxies.orders.endpoint", "write the address of your backend"),
    (NAMED + "http.static = 1", "proxies.orders.http.static", 'did you mean "static_headers"?'),
    (NAMED + NAMED, "proxies.orders", "one of this name is there already"),
    (f'[[proxies]]\nname = "default"\nendpoint = "{URL}"', "proxies.default.name", "write another"),
    (chat("subscribe_proxy_enabled = true"), "channel.proxy.subscribe.endpoint", "chat.subscribe_proxy_enabled needs"),
    (chat("sub_refresh_proxy_enabled = true"), "channel.proxy.sub_refresh.endpoint", "sub_refresh_proxy_enabled needs"),
    (
        "[channel.without_namespace]\npublish_proxy_enabled = true",
        "channel.proxy.publish.endpoint",
        "channel.without_namespace.publish_proxy_enabled needs it",
    ),
    (
        "[rpc.without_namespace]\nproxy_enabled = true",
        "rpc.proxy.endpoint",
        "rpc.without_namespace.proxy_enabled needs",
    ),
    (
        chat('publish_proxy_enabled = true\npublish_proxy_name = "order"') + NAMED,
        "channel.namespaces.chat.publish_proxy_name",
        'no proxy has this name: add it to [[proxies]]; did you mean "orders"?',
    ),
    (
        '[[rpc.namespaces]]\nname = "xy"\nproxy_enabled = true\nproxy_name = "defaul"',
        "rpc.namespaces.xy.proxy_name",
        'did you mean "default"?',
    ),
    (
        f'[client.proxy.connect]\nenabled = true\nendpoint = "{URL}"\ntimeout = "10s"',
        "client.proxy.connect.timeout",
        "write less than client.stale_close_delay",
    ),
]


@pytest.mark.parametrize(("text", "path", "sentence"), BROKEN, ids=[f"{n}-{each[1]}" for n, each in enumerate(BROKEN)])
def test_a_mistake_is_told_with_its_key(text, path, sentence):
    found = problems(text)
    assert list(found) == [path]
    assert sentence in found[path]


def test_a_switch_that_is_off_needs_no_proxy():
    load(chat('subscribe_proxy_name = "nobody"'), {})


def test_no_mistake_repeats_a_secret():
    found = problems(
        '[rpc.proxy]\nendpoint = "http://u:sesame@h/"\nhttp.static_headers = {"a" = "sesame\\n"}',
        {"RTSERVER_CLIENT_PROXY_CONNECT_HTTP_STATIC_HEADERS": "{sesame"},
    )
    assert len(found) == 3
    assert "sesame" not in str(found)
