"""The environment as a layer over the file."""

import pytest

from rtserver.config import ConfigError, ignored_variables, load
from rtserver.config.environment import variable
from rtserver.config.keys import all_keys
from rtserver.core.options import ChannelOptions

CHAT = '[[channel.namespaces]]\nname = "chat"\npresence = true\n'


def problems(environ, text=""):
    with pytest.raises(ConfigError) as caught:
        load(text, environ)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_no_two_keys_have_the_same_variable():
    names = [variable(path) for path in all_keys()]
    assert len(set(names)) == len(names)


def test_a_variable_is_the_path_in_capitals():
    assert variable(("client", "token", "hmac_secret_key")) == "CLIENT_TOKEN_HMAC_SECRET_KEY"
    assert variable(("channel", "namespaces", "my-chat", "presence")) == "CHANNEL_NAMESPACES_MY_CHAT_PRESENCE"


def test_values_of_every_type_are_read():
    config = load(
        "",
        {
            "RTSERVER_CLIENT_TOKEN_HMAC_SECRET_KEY": "s e,c",
            "RTSERVER_CLIENT_PING_INTERVAL": "20s",
            "RTSERVER_CLIENT_CHANNEL_LIMIT": "64",
            "RTSERVER_CLIENT_INSECURE": "True",
            "RTSERVER_ENGINE_TYPE": "redis",
            "RTSERVER_ENGINE_REDIS_IO_TIMEOUT": "500ms",
            "RTSERVER_CHANNEL_WITHOUT_NAMESPACE_PRESENCE": "1",
            "PATH": "/bin",
        },
    )
    assert config.token.hmac_secret_key == "s e,c"
    assert config.client.ping_interval == 20
    assert config.client.channel_limit == 64
    assert config.client.insecure
    assert (config.engine.type, config.engine.redis.io_timeout) == ("redis", 0.5)
    assert config.channel.without_namespace.presence


@pytest.mark.parametrize("text", ["https://a https://b", "https://a,https://b", ' ["https://a", "https://b"]'])
def test_a_list_is_json_or_words(text):
    assert load("", {"RTSERVER_CLIENT_ALLOWED_ORIGINS": text}).client.allowed_origins == ("https://a", "https://b")


def test_an_empty_text_is_an_empty_list():
    text = '[client]\nallowed_origins = ["*"]'
    assert load(text, {"RTSERVER_CLIENT_ALLOWED_ORIGINS": ""}).client.allowed_origins == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("RTSERVER_CLIENT_INSECURE", "maybe", "write true or false"),
        ("RTSERVER_CLIENT_CHANNEL_LIMIT", "-1", "write a whole number"),
        ("RTSERVER_CLIENT_ALLOWED_ORIGINS", "[x", "write a JSON array, or words separated by spaces"),
        ("RTSERVER_CHANNEL_NAMESPACES", "[x", "write a JSON array, or words separated by spaces"),
    ],
)
def test_a_variable_that_cannot_be_read_is_told_by_its_name(name, text, message):
    assert problems({name: text}) == {name: message}


def test_a_value_that_is_not_valid_is_told_with_its_variable():
    found = problems({"RTSERVER_CLIENT_PING_INTERVAL": "5"})
    assert found["client.ping_interval"].endswith("(set by RTSERVER_CLIENT_PING_INTERVAL)")


def test_an_unknown_variable_is_an_error_with_the_nearest_name():
    assert problems({"RTSERVER_CLIENT_PING_INTERVALL": "5s"}) == {
        "RTSERVER_CLIENT_PING_INTERVALL": (
            'this environment variable stands for no key; did you mean "RTSERVER_CLIENT_PING_INTERVAL"?'
        )
    }


def test_namespaces_are_listed_by_name_and_then_given_options():
    config = load(
        "",
        {
            "RTSERVER_CHANNEL_NAMESPACES": "chat my-news",
            "RTSERVER_CHANNEL_NAMESPACES_CHAT_HISTORY_SIZE": "10",
            "RTSERVER_CHANNEL_NAMESPACES_CHAT_HISTORY_TTL": "60s",
            "RTSERVER_CHANNEL_NAMESPACES_MY_NEWS_PRESENCE": "true",
        },
    )
    assert config.channel.namespaces == {
        "chat": ChannelOptions(history_size=10, history_ttl=60),
        "my-news": ChannelOptions(presence=True),
    }


def test_namespaces_are_a_json_array():
    config = load("", {"RTSERVER_CHANNEL_NAMESPACES": '[{"name": "chat", "history_size": 1, "history_ttl": "60s"}]'})
    assert config.channel.namespaces == {"chat": ChannelOptions(history_size=1, history_ttl=60)}


def test_a_namespace_of_the_file_takes_options_of_the_environment():
    config = load(CHAT, {"RTSERVER_CHANNEL_NAMESPACES_CHAT_JOIN_LEAVE": "true"})
    assert config.channel.namespaces == {"chat": ChannelOptions(presence=True, join_leave=True)}


def test_a_listed_namespace_that_the_file_has_keeps_the_options_of_the_file():
    config = load(CHAT + '[[channel.namespaces]]\nname = "gone"', {"RTSERVER_CHANNEL_NAMESPACES": "chat news"})
    assert config.channel.namespaces == {"chat": ChannelOptions(presence=True), "news": ChannelOptions()}


def test_an_option_of_a_namespace_that_is_not_there_is_an_error():
    found = problems({"RTSERVER_CHANNEL_NAMESPACES_XY_OPTION": "1"})
    assert "name it in RTSERVER_CHANNEL_NAMESPACES first" in found["RTSERVER_CHANNEL_NAMESPACES_XY_OPTION"]


def test_an_option_of_a_namespace_that_is_misspelt_is_told_the_nearest_name():
    name = "RTSERVER_CHANNEL_NAMESPACES_CHAT_PRESENCES"
    assert problems({name: "1"}, CHAT)[name].endswith('did you mean "RTSERVER_CHANNEL_NAMESPACES_CHAT_PRESENCE"?')


def test_a_mistake_of_a_namespace_in_the_environment_is_told_with_its_variable():
    name = "RTSERVER_CHANNEL_NAMESPACES_CHAT_HISTORY_TTL"
    assert name in problems({name: "60"}, CHAT)["channel.namespaces.chat.history_ttl"]
    name = "RTSERVER_CHANNEL_NAMESPACES_CHAT_PRESENCE"
    assert problems({name: "perhaps"}, CHAT) == {name: "write true or false"}


def test_a_broken_list_of_namespaces_does_not_blame_their_options():
    environ = {"RTSERVER_CHANNEL_NAMESPACES": "[x", "RTSERVER_CHANNEL_NAMESPACES_CHAT_PRESENCE": "true"}
    assert set(problems(environ)) == {"RTSERVER_CHANNEL_NAMESPACES"}


def test_the_alias_prefix_is_taken_for_keys_that_exist_and_ignored_for_others():
    environ = {
        "CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY": "alias",
        "CENTRIFUGO_HTTP_API_KEY": "alias",
        "RTSERVER_HTTP_API_KEY": "own",
        "CENTRIFUGO_CHANNEL_NAMESPACES": "chat",
        "CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_PRESENCE": "true",
        "CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_SUBSCRIBE_STREAM_PROXY_ENABLED": "true",
        "CENTRIFUGO_HTTP_SERVER_PORT": "8000",
    }
    config = load("", environ)
    assert config.token.hmac_secret_key == "alias"
    assert config.http_api.key == "own"
    assert config.channel.namespaces == {"chat": ChannelOptions(presence=True)}
    assert ignored_variables(environ, config) == [
        "CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_SUBSCRIBE_STREAM_PROXY_ENABLED",
        "CENTRIFUGO_HTTP_SERVER_PORT",
    ]


def test_the_environment_comes_before_the_file_for_the_alias_too():
    assert load('[log]\nlevel = "warn"', {"CENTRIFUGO_LOG_LEVEL": "error"}).log.level == "error"
