"""From the text of a file, the environment and options to a ``Config``."""

import pytest

from rtserver.config import Config, ConfigError, Problem, load
from rtserver.config.keys import all_keys, keys_of, sections_of
from rtserver.config.options import ClientSection
from rtserver.core.options import ChannelOptions, ClientOptions, TokenOptions


def problems(text="", environ=None, overrides=None):
    with pytest.raises(ConfigError) as caught:
        load(text, environ or {}, overrides or {})
    return {problem.path: problem.message for problem in caught.value.problems}


def test_an_empty_file_gives_the_defaults():
    assert load("", {}) == Config()


def test_the_defaults_are_safe_for_a_public_port():
    config = load("", {})
    assert not config.client.allow_anonymous_connect_without_token
    assert not config.client.insecure
    assert config.client.allowed_origins == ()
    assert not config.http_api.insecure
    assert not config.prometheus.enabled
    assert not config.demo.enabled
    assert config.environment == "production"


def test_without_a_file_the_embedded_configuration_counts():
    config = load(None, {})
    assert config.demo.enabled
    assert config.engine.type == "memory"
    assert config.client.allow_anonymous_connect_without_token
    assert all("interface=127.0.0.1" in each for each in config.listen)
    demo = config.channel.namespaces["demo"]
    assert (demo.history_size, demo.history_ttl, demo.force_recovery) == (300, 300, True)
    assert demo.presence and demo.join_leave and demo.force_push_join_leave
    assert demo.allow_subscribe_for_anonymous and demo.allow_publish_for_subscriber


def test_the_sections_are_the_classes_of_the_core():
    config = load("", {})
    assert isinstance(config.client, ClientOptions)
    assert type(config.channel.without_namespace) is ChannelOptions
    assert type(config.token) is TokenOptions


def test_sections_and_keys_of_the_file_arrive():
    config = load(
        """
        listen = ["tcp:9000", "tcp:9001"]
        [client]
        ping_interval = "1m"
        allowed_origins = ["https://example.com"]
        [client.token]
        hmac_secret_key = "s"
        [client.subscribe_to_user_personal_channel]
        enabled = true
        [channel.without_namespace]
        presence = true
        [[channel.namespaces]]
        name = "chat"
        history_size = 10
        history_ttl = "1h30m"
        [engine]
        type = "redis"
        [engine.redis]
        io_timeout = "500ms"
        """,
        {},
    )
    assert config.listen == ("tcp:9000", "tcp:9001")
    assert config.client.ping_interval == 60
    assert config.client.allowed_origins == ("https://example.com",)
    assert config.token.hmac_secret_key == "s"
    assert config.client.subscribe_to_user_personal_channel.enabled
    assert config.channel.without_namespace.presence
    assert config.channel.namespaces == {"chat": ChannelOptions(history_size=10, history_ttl=5400)}
    assert config.engine.type == "redis"
    assert config.engine.redis.io_timeout == 0.5


def test_subscription_tokens_have_options_of_their_own_only_when_enabled():
    text = '[client.subscription_token]\nhmac_secret_key = "own"\n'
    assert load(text, {}).subscription_token is None
    assert load(text + "enabled = true", {}).subscription_token.hmac_secret_key == "own"


def test_an_option_comes_before_the_environment_before_the_file_before_the_default():
    text, environ = '[log]\nlevel = "warn"', {"RTSERVER_LOG_LEVEL": "error"}
    assert load("", {}).log.level == "info"
    assert load(text, {}).log.level == "warn"
    assert load(text, environ).log.level == "error"
    assert load(text, environ, {"log.level": "debug"}).log.level == "debug"


def test_an_option_that_was_not_given_changes_nothing():
    assert load('[log]\nlevel = "warn"', {}, {"log.level": None}).log.level == "warn"


def test_an_option_may_be_a_text_as_in_the_environment_or_a_value():
    assert load("", {}, {"listen": "tcp:1 tcp:2"}).listen == ("tcp:1", "tcp:2")
    assert load("", {}, {"listen": ["tcp:1"]}).listen == ("tcp:1",)
    assert load("", {}, {"demo.enabled": "yes", "client.ping_interval": "30s"}).client.ping_interval == 30


def test_an_unknown_option_is_an_error_with_the_nearest_name():
    assert problems(overrides={"engine.typ": "redis"}) == {
        "engine.typ": 'this option stands for no key; did you mean "engine.type"?'
    }


def test_the_state_directory_of_the_service_manager_is_only_a_default():
    assert load("", {}).state_dir == "var"
    assert load("", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}).state_dir == "/var/lib/a"
    assert load('state_dir = "/srv"', {"STATE_DIRECTORY": "/var/lib/a"}).state_dir == "/srv"


def test_unknown_keys_are_errors_with_the_nearest_name_at_any_depth():
    found = problems(
        """
        lissten = []
        [client]
        ping_intervall = "1s"
        [client.token]
        hmac_secret = "x"
        [engine.redis]
        adress = []
        [[channel.namespaces]]
        name = "chat"
        presense = true
        """
    )
    assert found == {
        "lissten": 'unknown key; did you mean "listen"?',
        "client.ping_intervall": 'unknown key; did you mean "ping_interval"?',
        "client.token.hmac_secret": 'unknown key; did you mean "hmac_secret_key"?',
        "engine.redis.adress": 'unknown key; did you mean "address"?',
        "channel.namespaces.chat.presense": 'unknown key; did you mean "presence"?',
    }


def test_a_key_in_the_wrong_section_is_told_its_home():
    found = problems("[channel]\nhistory_size = 5")
    assert found == {"channel.history_size": "unknown key; a key of this name belongs to [channel.without_namespace]"}


def test_an_unknown_key_that_is_near_to_nothing_is_just_unknown():
    assert problems("zzz = 1") == {"zzz": "unknown key"}


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[client]\nping_interval = 25", "client.ping_interval", "add a unit"),
        ("[client]\nping_interval = 2.5", "client.ping_interval", "add a unit"),
        ("[client]\nping_interval = true", "client.ping_interval", "write a length of time"),
        ("[client]\ninsecure = 1", "client.insecure", "write true or false"),
        ('[client]\ninsecure = "yes"', "client.insecure", "write true or false"),
        ("[client]\nchannel_limit = true", "client.channel_limit", "write a whole number"),
        ("[client]\nchannel_limit = 1.5", "client.channel_limit", "write a whole number"),
        ('[client]\nchannel_limit = "1"', "client.channel_limit", "write a whole number"),
        ("[client]\nchannel_limit = -1", "client.channel_limit", "write 0 or more"),
        ("[client]\nallowed_origins = '*'", "client.allowed_origins", "write a list"),
        ("[client]\nallowed_origins = [5]", "client.allowed_origins[0]", "write a text"),
        ("[node]\nname = 5", "node.name", "write a text"),
        ("client = 5", "client", "this is a section"),
        ('[engine]\ntype = "nats"', "engine.type", "write one of 'memory' or 'redis'"),
        ("[[channel.namespaces]]\npresence = true", "channel.namespaces[0].name", "give it a name"),
        ("[channel]\nnamespaces = 5", "channel.namespaces", "write a list of tables"),
        ("[channel]\nnamespaces = ['chat']", "channel.namespaces[0]", "this is a section"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_what_to_write(text, path, message):
    assert problems(text)[path].startswith(message)


def test_every_mistake_is_told_at_once():
    found = problems(
        """
        listen = ["bogus:1"]
        surprise = 1
        [client]
        ping_interval = 5
        [[channel.namespaces]]
        name = "chat"
        history_size = 1
        presence = "yes"
        [engine.probe]
        late = "1s"
        """,
        {"RTSERVER_CHANNEL_MAX_LENGTH": "long", "RTSERVER_NOTHING": "1"},
        {"log.levels": "info"},
    )
    assert set(found) == {
        "listen[0]",
        "surprise",
        "client.ping_interval",
        "channel.namespaces.chat.history_size",
        "channel.namespaces.chat.presence",
        "engine.probe.late",
        "RTSERVER_CHANNEL_MAX_LENGTH",
        "RTSERVER_NOTHING",
        "log.levels",
    }


def test_a_key_that_is_wrong_by_itself_is_not_blamed_twice():
    assert set(problems('[client]\nping_interval = "5"\npong_timeout = "30s"')) == {"client.ping_interval"}


def test_a_section_that_refuses_its_values_is_told_with_its_path():
    found = problems('[engine.redis]\ntls_cert = "/c"\n[client]\nping_interval = 3')
    assert "tls_cert and" in found["engine.redis"]
    assert "client.ping_interval" in found


def test_two_namespaces_of_one_name_are_an_error():
    text = '[[channel.namespaces]]\nname = "chat"\n' * 2
    assert "one of this name is there already" in problems(text)["channel.namespaces.chat"]


def test_a_file_that_is_no_toml_is_told_with_the_line():
    assert "line 2" in problems("a = 1\nb = = 2")[""]


def test_no_mistake_repeats_a_value_that_may_be_secret():
    text = """
        [http_api]
        key = ["sesame"]
        [client.token]
        hmac_secret_key = ["sesame"]
        rsa_public_key = "sesame"
        [engine.redis]
        address = ["redis://user:sesame@host:port/0", "mysql://u:sesame@h"]
    """
    with pytest.raises(ConfigError) as caught:
        load(text, {"RTSERVER_CLIENT_TOKEN_HMAC_PREVIOUS_SECRET_KEY_VALID_UNTIL": "sesame"})
    assert len(caught.value.problems) == 6
    assert "sesame" not in str(caught.value)


def test_the_representation_of_a_configuration_holds_no_secret():
    text = '[http_api]\nkey = "sesame"\n[client.token]\nhmac_secret_key = "sesame"\n'
    text += '[engine.redis]\naddress = ["redis://:sesame@h/0"]\nsentinel_password = "sesame"'
    assert "sesame" not in repr(load(text, {}))


def test_a_problem_reads_as_one_line():
    assert str(Problem("a.b", "write more")) == "a.b: write more"
    assert str(Problem("", "no TOML")) == "no TOML"


def test_every_section_can_be_written_as_an_empty_table():
    text = "".join(f"[{'.'.join(path)}]\n" for path in sections_of(Config()))
    assert load(text, {}) == Config()


def test_the_client_section_has_the_keys_of_the_core_and_its_tokens():
    core = {key.path for key in keys_of(ClientOptions())}
    assert {key.path for key in keys_of(ClientSection())} >= core
    assert ("client", "token", "hmac_secret_key") in all_keys()
