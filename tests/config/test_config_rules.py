"""Rules between keys and checks of single values."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rtserver.config import ConfigError, load
from rtserver.core.tokens import ClaimRules


def problems(text):
    with pytest.raises(ConfigError) as caught:
        load(text, {})
    return {problem.path: problem.message for problem in caught.value.problems}


def chat(options):
    return f'[[channel.namespaces]]\nname = "chat"\n{options}\n'


HISTORY = 'history_size = 10\nhistory_ttl = "60s"\n'

BROKEN = [
    (chat("history_size = 1"), "channel.namespaces.chat.history_size"),
    (chat('history_ttl = "60s"'), "channel.namespaces.chat.history_size"),
    ('[channel.without_namespace]\nhistory_ttl = "60s"', "channel.without_namespace.history_size"),
    (chat('history_size = 1\nhistory_ttl = "1500ms"'), "channel.namespaces.chat.history_ttl"),
    (chat(HISTORY + 'history_meta_ttl = "59s"'), "channel.namespaces.chat.history_meta_ttl"),
    (chat('history_size = 1\nhistory_ttl = "721h"'), "channel.namespaces.chat.history_ttl"),
    ('[channel]\nhistory_meta_ttl = "0s"', "channel.history_meta_ttl"),
    ('[channel]\nuser_boundary = ":"', "channel.namespace_boundary"),
    ('[channel]\nuser_separator = ""', "channel.user_separator"),
    (chat("force_recovery = true"), "channel.namespaces.chat.force_recovery"),
    (chat(HISTORY + "auto_cache_recover = true"), "channel.namespaces.chat.auto_cache_recover"),
    (chat(HISTORY + "auto_cache_recover = true\nforce_recovery = true"), "channel.namespaces.chat.auto_cache_recover"),
    (chat("delta_publish = true"), "channel.namespaces.chat.delta_publish"),
    (chat('allowed_delta_types = ["fossil"]'), "channel.namespaces.chat.allowed_delta_types"),
    (chat("force_push_join_leave = true"), "channel.namespaces.chat.force_push_join_leave"),
    (chat('channel_regex = "("'), "channel.namespaces.chat.channel_regex"),
    ('[[channel.namespaces]]\nname = "c"', "channel.namespaces.c.name"),
    ('[[channel.namespaces]]\nname = "a b"', "channel.namespaces.a b.name"),
    ('[client]\npong_timeout = "25s"', "client.pong_timeout"),
    ('[client]\nping_interval = "500ms"\npong_timeout = "100ms"', "client.ping_interval"),
    ('[client]\npresence_update_interval = "60s"', "client.presence_update_interval"),
    ('[engine]\ntype = "redis"\nredis.presence_ttl = "27s"', "client.presence_update_interval"),
    ("[client]\nqueue_max_size = 0", "client.queue_max_size"),
    (
        '[client.subscribe_to_user_personal_channel]\npersonal_channel_namespace = "me"',
        "client.subscribe_to_user_personal_channel.personal_channel_namespace",
    ),
    ('[client.token]\naudience = "a"\naudience_regex = "b"', "client.token.audience"),
    ('[client.token]\nissuer = "a"\nissuer_regex = "b"', "client.token.issuer"),
    ('[client.token]\nissuer_regex = "["', "client.token.issuer_regex"),
    ('[client.token]\nhmac_previous_secret_key = "a"', "client.token.hmac_previous_secret_key"),
    ('[client.token]\nrsa_public_key = "a"', "client.token.rsa_public_key"),
    ('[client.token]\njwks_public_endpoint = "ftp://a/b"', "client.token.jwks_public_endpoint"),
    ('[client.token]\njwks_public_endpoint = "https://"', "client.token.jwks_public_endpoint"),
    ('[client.token]\njwks_public_endpoint = "https://h:x/"', "client.token.jwks_public_endpoint"),
    ('[client.token]\njwks_public_endpoint = "https://h/{{realm}}"', "client.token.jwks_public_endpoint"),
    (
        "[client.token]\nissuer_regex = '(?P<realm>.*)'\njwks_public_endpoint = 'https://h/{{realm}}'",
        "client.token.jwks_public_endpoint",
    ),
    ("[client.subscription_token]\nenabled = true", "client.subscription_token.enabled"),
    ('[client.subscription_token]\nissuer_regex = "["', "client.subscription_token.issuer_regex"),
    ('[engine.probe]\ninterval = "5s"', "engine.probe.late"),
    ('[engine.probe]\ndead = "5s"', "engine.probe.dead"),
    ('[engine.redis]\naddress = ["localhost:6379"]', "engine.redis.address[0]"),
    ('[engine.redis]\naddress = ["redis://h/0", "redis://h:99999/0"]', "engine.redis.address[1]"),
    ('[engine.redis]\naddress = ["redis://h/0", "redis://h/0"]', "engine.redis.address"),
    ("[engine.redis]\naddress = []", "engine.redis"),
    ('[engine.redis]\naddress = ["rediss://h/0"]\ntls_ca = "/nowhere/ca.pem"', "engine.redis.tls_ca"),
    ("[engine.redis]\ntls_insecure = true", "engine.redis.address"),
    ('[engine.redis]\npublish_prefix = "rtserver.x"', "engine.redis"),
    ('[engine.redis]\nio_timeout = "0s"', "engine.redis.io_timeout"),
    ("listen = []", "listen"),
    ('listen = ["tcp:80", "tcp:80"]', "listen"),
    ('[http_server]\ntrusted_proxies = ["10.0.0.1/8"]', "http_server.trusted_proxies[0]"),
    ('[http_server]\ntrusted_proxies = ["::1", "0.0.0.0/0"]', "http_server.trusted_proxies[1]"),
    ('listen = ["tcp:http"]', "listen[0]"),
    ('listen = ["tcp:65536"]', "listen[0]"),
    ('listen = ["tcp:80:nonsense=1"]', "listen[0]"),
    ('listen = ["carrier:80"]', "listen[0]"),
    ('listen = ["ssl:443:privateKey=/nowhere/key.pem"]', "listen[0]"),
    ('listen = ["systemd:name=web"]', "listen[0]"),
    ('[http_server]\ninternal = ["tcp"]', "http_server.internal[0]"),
    ('[websocket]\nhandler_prefix = "ws"', "websocket.handler_prefix"),
    ('[websocket]\nhandler_prefix = "/"', "websocket.handler_prefix"),
    ('[websocket]\nhandler_prefix = ""', "websocket.handler_prefix"),
    ('[websocket]\nhandler_prefix = "/a?b"', "websocket.handler_prefix"),
    ('[sse]\nhandler_prefix = "/connection/sse/"', "sse.handler_prefix"),
    ('[sse]\nhandler_prefix = "/connection/http_stream"', "sse.handler_prefix"),
    ('[health]\nhandler_prefix = "/readyz"', "health.handler_prefix"),
    ('[prometheus]\nhandler_prefix = "/api/metrics"', "prometheus.handler_prefix"),
    ("[emulation]\nenabled = false", "emulation.enabled"),
    ("[websocket]\nmessage_size_limit = 1", "websocket.message_size_limit"),
    ('[shutdown]\ntimeout = "0s"', "shutdown.timeout"),
    ('state_dir = ""', "state_dir"),
]


@pytest.mark.parametrize(("text", "path"), BROKEN)
def test_a_broken_rule_is_told_once_with_the_path_of_the_key(text, path):
    assert list(problems(text)) == [path]


GOOD = [
    chat(HISTORY + 'force_recovery = true\nforce_recovery_mode = "cache"\nauto_cache_recover = true'),
    chat(HISTORY + 'history_meta_ttl = "60s"\nallowed_delta_types = ["fossil"]\ndelta_publish = true'),
    chat("allow_recovery = true"),
    '[[channel.namespaces]]\nname = "a-b_c.9"',
    chat("") + '[client.subscribe_to_user_personal_channel]\npersonal_channel_namespace = "chat"',
    '[client.token]\njwks_public_endpoint = "http://127.0.0.1:8080/certs"',
    "[client.token]\nissuer_regex = 'https://h/(?P<realm>a|b-2|c\\.d)'\njwks_public_endpoint = 'https://h/{{realm}}'",
    '[client.subscription_token]\nenabled = true\nhmac_secret_key = "s"',
    '[client]\npresence_update_interval = "100s"\n[engine]\ntype = "redis"\nredis.presence_ttl = "200s"',
    '[engine.redis]\naddress = ["redis://u:p@h:1/2", "unix:///run/redis.sock", "redis+sentinel://h:26379/master"]',
    '[engine.redis]\naddress = ["rediss://h/0"]\ntls_insecure = true',
    r'listen = ["tcp6:8000:interface=\\:\\:1", "unix:/run/web.sock", "systemd:domain=INET:name=web", "haproxy:tcp:80"]',
    "[emulation]\nenabled = false\n[sse]\nenabled = false\n[http_stream]\nenabled = false",
    '[uni_sse]\nhandler_prefix = "/connection/sse"',
]


@pytest.mark.parametrize("text", GOOD)
def test_what_keeps_the_rules_is_taken(text):
    load(text, {})


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_public_keys_must_be_of_the_kind_that_the_key_names():
    of_rsa, of_ec = pem(rsa.generate_private_key(65537, 2048)), pem(ec.generate_private_key(ec.SECP256R1()))
    text = "[client.token]\nrsa_public_key = '''{}'''\necdsa_public_key = '''{}'''"
    load(text.format(of_rsa, of_ec), {})
    assert set(problems(text.format(of_ec, of_rsa))) == {"client.token.rsa_public_key", "client.token.ecdsa_public_key"}


def test_a_public_key_is_no_secret():
    of_rsa = pem(rsa.generate_private_key(65537, 2048))
    assert set(problems(f"[client.token]\nhmac_secret_key = '''{of_rsa}'''")) == {"client.token.hmac_secret_key"}


@pytest.mark.parametrize("text", [text for text in GOOD if "jwks" in text])
def test_an_address_of_keys_that_is_taken_is_one_that_the_verifier_takes(text):
    ClaimRules(load(text, {}).token)


def test_tls_files_that_exist_are_taken(tmp_path):
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    keys = "".join(f'tls_{name} = "{tmp_path}/{name}"\n' for name in ("ca", "cert", "key"))
    load(f'[engine.redis]\naddress = ["rediss://h/0"]\n{keys}', {})
