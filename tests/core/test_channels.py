"""Channel names and what a client may do with a channel (protocol sections 5.5, 5.6, 12.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import Raw

from rtserver.core.channels import Channels, data_refusal, may, may_subscribe
from rtserver.core.errors import CommandError
from rtserver.core.options import ChannelOptions, ChannelRules

NEWS = ChannelOptions(history_size=5, history_ttl=60, history_meta_ttl=100)
DIGITS = ChannelOptions(channel_regex=r"^\d+$")
RULES = ChannelRules(namespaces={"news": NEWS, "digits": DIGITS, "a.b-c_d": ChannelOptions()})


def channels(**changes):
    return Channels(replace(RULES, **changes))


@pytest.mark.parametrize(
    ("channel", "namespace"),
    [
        ("news:a", "news"),
        ("news:a:b", "news"),
        ("$news:a", "news"),
        ("$$news:a", "$news"),
        ("news", ""),
        ("$news", ""),
        (":a", ""),
        ("", ""),
        ("a.b-c_d:x", "a.b-c_d"),
        ("#42", ""),
        ("news:#42", "news"),
    ],
)
def test_the_namespace_stands_before_the_first_boundary(channel, namespace):
    assert channels().namespace(channel) == namespace


def test_prefix_and_boundary_can_be_changed_or_switched_off():
    assert channels(namespace_boundary="/").namespace("news/a:b") == "news"
    assert channels(namespace_boundary="::").namespace("news::a:b") == "news"
    assert channels(private_prefix="").namespace("$news:a") == "$news"
    assert channels(namespace_boundary="").namespace("news:a") == ""


def test_an_unknown_namespace_is_102_and_never_the_nameless_one():
    with pytest.raises(CommandError) as refused:
        channels().options("nowhere:a")
    assert refused.value.error.code == 102 and channels().find("nowhere:a") is None
    assert channels().options("news:a") is NEWS and channels().options("anything") is RULES.without_namespace


def check(channel, **changes):
    known = channels(**changes)
    known.check_name(channel, known.options(channel))


@pytest.mark.parametrize(
    "channel", ["a", "x" * 255, "news:a b", "a#1,2", "$private", "digits:123", "~!@%^&*()_+[]{}|;'<>?/."]
)
def test_good_names(channel):
    check(channel)


@pytest.mark.parametrize(
    "channel",
    ["x" * 256, "é", "news:日", "a\x00b", "a\nb", "a\x7f", "\u2028", "digits:12a", "digits:", "digits:\uff11\n"],
)
def test_bad_names_are_107(channel):
    with pytest.raises(CommandError) as refused:
        check(channel)
    assert refused.value.error.code == 107


def test_the_length_is_counted_in_bytes():
    free = {"namespaces": {"any": ChannelOptions(channel_regex=".")}}
    check("any:" + "é" * 125, **free)
    with pytest.raises(CommandError):
        check("any:" + "é" * 126, **free)


def test_a_regex_is_searched_in_the_part_after_the_namespace():
    check("any:xxfooxx", namespaces={"any": ChannelOptions(channel_regex="foo")})
    with pytest.raises(CommandError):
        check("foo:bar", namespaces={"foo": ChannelOptions(channel_regex="foo")})
    check("whole", without_namespace=ChannelOptions(channel_regex="^whole$"))
    check("$news:12", namespaces={"news": DIGITS})


def test_private_channels_begin_with_the_prefix():
    assert channels().is_private("$a") and not channels().is_private("a$")
    assert not channels(private_prefix="").is_private("$a")


LIMITED = ChannelOptions(allow_user_limited_channels=True)


@pytest.mark.parametrize(
    ("channel", "users"),
    [
        ("dialog#1,2", ["1", "2"]),
        ("a#b#3", ["3"]),
        ("#42", ["42"]),
        ("a#", [""]),
        ("a#1,,2", ["1", "", "2"]),
        ("a", None),
    ],
)
def test_the_users_of_a_limited_channel_stand_after_the_last_boundary(channel, users):
    assert channels().allowed_users(channel, LIMITED) == users
    assert channels().allowed_users(channel, ChannelOptions()) is None


def test_personal_channels():
    assert channels().personal("42", "") == "#42" and channels().personal("42", "news") == "news:#42"


def test_how_publications_are_stored():
    known = channels()
    stored = known.publish_options(NEWS)
    assert (stored.history_size, stored.history_ttl, stored.meta_ttl) == (5, 60, 100)
    assert not known.publish_options(NEWS, skip_history=True).has_history
    assert known.publish_options(ChannelOptions()).meta_ttl == RULES.history_meta_ttl
    half = ChannelOptions(history_size=5)
    assert not known.publish_options(half).has_history and not half.has_history


ACTIONS = ("publish", "presence", "history")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("granted", "user", "subscribed", "allowed"),
    [
        ((), "42", True, False),
        (("client",), "42", False, True),
        (("client",), "", False, False),
        (("client", "anonymous"), "", False, True),
        (("anonymous",), "", True, False),
        (("subscriber",), "42", False, False),
        (("subscriber",), "42", True, True),
        (("subscriber",), "", True, False),
        (("subscriber", "anonymous"), "", True, True),
        (("subscriber", "anonymous"), "", False, False),
    ],
)
def test_who_may_do_what(action, granted, user, subscribed, allowed):
    options = ChannelOptions(**{f"allow_{action}_for_{whom}": True for whom in granted})
    assert bool(may(action, options, user=user, subscribed=subscribed)) is allowed
    others = [other for other in ACTIONS if other != action]
    assert not any(may(other, options, user=user, subscribed=subscribed) for other in others)


@pytest.mark.parametrize(
    ("client", "anonymous", "user", "allowed"),
    [(False, False, "42", False), (True, False, "42", True), (True, False, "", False), (True, True, "", True)]
    + [(False, True, "", False)],
)
def test_who_may_subscribe(client, anonymous, user, allowed):
    options = ChannelOptions(allow_subscribe_for_client=client, allow_subscribe_for_anonymous=anonymous)
    assert may_subscribe(options, user) is allowed


@pytest.mark.parametrize(
    ("format", "data", "admitted"),
    [
        ("", b"anything", True),
        ("", b"", False),
        ("json", b'"x"', True),
        ("json", b"{", False),
        ("json", b"1 2", False),
        ("json", b'"\xff"', False),
        ("json", b"[" * 600 + b"]" * 600, False),
        ("json", b"", False),
        ("json_object", b'{"a":1}', True),
        ("json_object", b"[1]", False),
        ("json_object", b" {}\n", True),
        ("binary", b"", True),
        ("binary", b"\x00", True),
    ],
)
def test_formats_of_data(format, data, admitted):
    options = ChannelOptions(publication_data_format=format)
    refusal = data_refusal(options, data)
    assert (refusal is None) is admitted
    assert data_refusal(options, Raw(data)) == refusal
    assert refusal is None or len(refusal.split()) > 4
