from __future__ import annotations

import pytest

from rtserver.core.options import ChannelOptions, seconds
from rtserver.services.redis_doors import namespace_of, options_fields
from rtserver.services.redis_library import build_library
from rtserver.services.redis_options import Address, RedisOptions, parse_address
from rtserver.services.redis_sharding import fnv1a, jump, shard_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Address("h:6379", host="h")),
        ("redis://h:7000/5", Address("h:7000", host="h", port=7000, db=5)),
        ("redis://[::1]:7000/", Address("::1:7000", host="::1", port=7000)),
        ("redis://:p%40%3A@h", Address("h:6379", host="h", password="p@:")),
        ("redis://u:p@h", Address("h:6379", host="h", username="u", password="p")),
        ("rediss://h", Address("h:6379", host="h", tls=True)),
        ("unix:///run/redis.sock", Address("/run/redis.sock", path="/run/redis.sock")),
        ("unix://:p@/run/a%20b?db=2", Address("/run/a%20b", path="/run/a b", db=2, password="p")),
        (
            "redis+sentinel://:p@a,b:7/main/1",
            Address("main by Sentinel", sentinels=(("a", 26379), ("b", 7)), master="main", db=1, password="p"),
        ),
        (
            "rediss+sentinel://a/main",
            Address("main by Sentinel", sentinels=(("a", 26379),), master="main", tls=True),
        ),
    ],
)
def test_addresses_are_understood(url: str, expected: Address) -> None:
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:6379", "begins with one of"),
        ("http://h", "begins with one of"),
        ("redis://", "no host"),
        ("redis://secret@h", "user:password"),
        ("redis://:secret@h:x", "no number from 1 to 65535"),
        ("redis://:secret@h:0", "no number from 1 to 65535"),
        ("redis://:secret@h/x", "is a number"),
        ("redis://:secret@a,b", "several addresses"),
        ("unix://:secret@relative", "absolute path"),
        ("redis+sentinel://:secret@a", "name of the master"),
    ],
)
def test_mistakes_in_addresses_are_told_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"address": ()}, "at least one address"),
        ({"prefix": ""}, "redis.prefix is empty"),
        ({"prefix": "rt:x", "publish_prefix": "rt:"}, "its own messages"),
        ({"publish_prefix": "rtserver."}, "its own messages"),
        ({"publish_prefix": "rtserver.client."}, "keeps its own names"),
        ({"tls_cert": "a"}, "belong together"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RedisOptions(**options)  # type: ignore[arg-type]


def test_nothing_that_is_printed_holds_a_password() -> None:
    options = RedisOptions(address=("redis://u:secret@h",), sentinel_password="secret")
    assert "secret" not in repr(options) + repr(options.addresses()) + options.addresses()[0].label


def test_the_hashes_are_the_published_ones() -> None:
    assert fnv1a(b"") == 0xCBF29CE484222325
    assert fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8
    assert jump(10863919174838991, 11) == 6 and jump(256, 1024) == 520 and jump(1, 1) == 0


def test_another_server_takes_channels_only_for_itself() -> None:
    channels = [f"channel{number}" for number in range(3000)]
    moved = [name for name in channels if shard_of(name, 4) != shard_of(name, 3)]
    assert all(shard_of(name, 4) == 3 for name in moved)
    assert 500 < len(moved) < 1000
    assert {shard_of(name, 4) for name in channels} == {0, 1, 2, 3}


def test_libraries_of_two_deployments_have_nothing_in_common() -> None:
    default, dotted, underlined = (build_library(prefix) for prefix in ("rtserver", "a.b", "a_b"))
    assert default.public == "rt_publish" and default.function("publish") == "rtserver_publish"
    assert underlined.public == "rt_publish_a_b"
    assert len({default.name, dotted.name, underlined.name}) == 3
    assert len({default.public, dotted.public, underlined.public}) == 3
    for library in (default, dotted, underlined):
        assert library.source.startswith(f"#!lua name={library.name}\n") and "@" not in library.source.replace(
            "@...@", ""
        )


def test_a_prefix_with_quotes_cannot_leave_its_string() -> None:
    assert 'local PREFIX = "a\\034\\010b"' in build_library('a"\nb').source


@pytest.mark.parametrize(
    ("channel", "namespace"), [("a", ""), ("a:b", "a"), ("$a:b:c", "a"), ("$a", ""), (":a", ""), ("a$:b", "a$")]
)
def test_the_namespace_stands_before_the_first_colon(channel: str, namespace: str) -> None:
    assert namespace_of(channel) == namespace


def test_the_options_for_the_public_function_are_in_milliseconds() -> None:
    kept = ChannelOptions(history_size=5, history_ttl=seconds(1.5), history_meta_ttl=seconds(60), delta_publish=True)
    fields = options_fields({"": ChannelOptions(), "ns": kept}, 2)
    assert fields[:3] == [":shards", "2", ""]
    assert fields[3] == '{"size": 0, "ttl": 0, "meta_ttl": 2592000000, "format": "", "delta": false}'
    assert fields[4:] == ["ns", '{"size": 5, "ttl": 1500, "meta_ttl": 60000, "format": "", "delta": true}']
