"""What an application's hooks decide, and what happens when they fail (protocol sections 5.4, 5.6 and 10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.errors import CommandError, Disconnected
from rtserver.core.hooks import Admitted, Allowed, ChainedHooks, Identity, NoHooks, Refreshed
from rtserver.core.messages import Error
from rtserver.core.options import ChannelOptions, ClientOptions
from rtserver.core.ports import ConnectionClaims, ServerSubscription, SubscriptionOverride
from tests.fakes import EVERYTHING, UNIX, World

CLOSED = ChannelOptions(presence=True)
"""A namespace in which nobody may do anything without being told so."""


@pytest.fixture
def world():
    return World(ClientOptions(), closed=CLOSED)


def test_the_connect_hook_says_who_it_is_and_gives_data_and_channels(world):
    subs = {"a": ServerSubscription(data=Raw(b"1"))}
    world.hooks.answers["connect"] = Identity("42", info=Raw(b'{"n":1}'), data=Raw(b'"hi"'), subs=subs)
    client = world.client(headers={"cookie": "x"})
    client.send(id=1, connect={"name": "js", "version": "2", "data": {"a": 1}, "headers": {"X-A": "b"}})
    reply = client.replies[0]["connect"]
    assert (reply["data"], reply["subs"]) == ("hi", {"a": {"data": 1}})
    asked = world.hooks.asked[0]
    assert bytes(asked.data) == b'{"a":1}' and not asked.token
    assert (asked.caller.headers, asked.caller.emulated_headers) == ({"cookie": "x"}, {"x-a": "b"})
    assert (asked.caller.name, asked.caller.version, client.session.user) == ("js", "2", "42")


@pytest.mark.parametrize("asked", [True, False])
def test_a_hook_may_give_the_latest_publication_of_a_channel_in_cache_mode(asked):
    cache = ChannelOptions(history_size=1, history_ttl=60, force_recovery=True, force_recovery_mode="cache")
    world = World(ClientOptions(), cache=cache)
    for n in (1, 2):
        world.publish("cache:a", n)
    override = SubscriptionOverride(auto_cache_recover=asked or None)
    world.hooks.answers["connect"] = Identity("42", subs={"cache:a": ServerSubscription(override=override)})
    client = world.client()
    client.send(id=1, connect={})
    given = client.replies[0]["connect"]["subs"]["cache:a"]
    assert [each["data"] for each in given.get("publications", [])] == ([2] if asked else [])
    assert given.get("recovered", False) is given.get("was_recovering", False) is asked


def test_a_hook_without_an_opinion_leaves_it_to_the_rules(world):
    world.hooks.answers["connect"] = None
    client = world.client()
    client.send(id=1, connect={})
    assert client.closed == errors.BAD_FRAME


def test_a_hook_adds_to_what_a_token_says(world):
    world.tokens.connections["t"] = ConnectionClaims("42", info=Raw(b"1"), subs={"a": ServerSubscription()})
    world.hooks.answers["connect"] = Identity(data=Raw(b"2"), subs={"b": ServerSubscription()})
    client = world.client()
    client.send(id=1, connect={"token": "t"})
    assert client.session.user == "42" and set(client.session.subs) == {"a", "b"}
    assert world.hooks.asked[0].token and world.hooks.asked[0].caller.user == "42"


@pytest.mark.parametrize(("failure", "code"), [(CommandError(Error(1234, "no")), 1234), (RuntimeError("broken"), 100)])
def test_a_refusing_or_broken_connect_hook_is_an_error_reply(world, failure, code):
    world.hooks.answers["connect"] = failure
    client = world.client()
    client.send(id=1, connect={})
    assert client.replies[0]["error"]["code"] == code and client.finished
    assert "broken" not in str(client.replies)


def test_a_hook_can_end_the_connection_with_a_code_of_its_own(world):
    reason = errors.DisconnectReason(4501, "not today")
    world.hooks.answers["connect"] = Disconnected(reason)
    client = world.client()
    client.send(id=1, connect={})
    assert client.closed == reason


def connected(world):
    world.hooks.answers["connect"] = Identity("42")
    return world.connected()


def test_the_subscribe_hook_decides_in_place_of_the_permissions(world):
    client = connected(world)
    assert client.subscribe("closed:a")["error"]["code"] == 103
    world.hooks.answers["subscribe"] = Allowed(info=Raw(b'"i"'), data=Raw(b'"d"'))
    assert client.subscribe("closed:a", data={"x": 1})["subscribe"] == {"data": "d"}
    assert bytes(world.hooks.asked[-1].data) == b'{"x":1}'
    assert world.run(world.node.presence("closed:a"))[client.session.id].chan_info == Raw(b'"i"')


def test_a_permission_that_is_over_already_is_error_110(world):
    world.hooks.answers["subscribe"] = Allowed(expire_at=int(UNIX) - 1)
    assert connected(world).subscribe("closed:a")["error"]["code"] == 110


def test_private_channels_need_their_token_whatever_the_hook_says(world):
    world.hooks.answers["subscribe"] = Allowed()
    assert connected(world).subscribe("$closed:a")["error"]["code"] == 103


def test_the_publish_hook_replaces_data_and_adds_tags(world):
    world = World(ClientOptions(), closed=replace(EVERYTHING, allow_publish_for_client=False))
    client = connected(world)
    client.subscribe("closed:a")
    client.send(id=2, publish={"channel": "closed:a", "data": "bad"})
    world.hooks.answers["publish"] = Admitted(Raw(b'"good"'), tags={"k": "v"})
    client.send(id=3, publish={"channel": "closed:a", "data": "bad"})
    world.turn()
    replies = client.take()
    assert replies[0]["error"]["code"] == 103
    assert replies[-1]["push"]["pub"]["data"] == "good" and replies[-1]["push"]["pub"]["tags"] == {"k": "v"}


def test_rpc_is_answered_by_its_hook_and_108_without_one(world):
    client = connected(world)
    client.send(id=2, rpc={"method": "x"})
    world.hooks.answers["rpc"] = Raw(b'{"sum":3}')
    client.send(id=3, rpc={"method": "x", "data": [1, 2]})
    replies = client.take()
    assert replies[0]["error"]["code"] == 108 and replies[1] == {"id": 3, "rpc": {"data": {"sum": 3}}}


def test_with_a_refresh_hook_the_server_asks_and_the_client_may_not_bring_tokens(world):
    world.hooks.answers["connect"] = Identity("42", expire_at=int(UNIX) + 5)
    world.hooks.answers["refresh"] = Refreshed(expire_at=int(UNIX) + 15)
    client = world.client()
    client.send(id=1, connect={})
    assert "expires" not in client.take()[0]["connect"]
    world.pass_time(7)
    assert client.closed is None and len(world.hooks.asked) == 2
    world.hooks.answers["refresh"] = Refreshed(expired=True)
    world.pass_time(10)
    assert client.closed == errors.CONNECTION_EXPIRED
    other = world.client()
    world.hooks.answers["connect"] = Identity("43")
    other.send_frame({"id": 1, "connect": {}}, {"id": 2, "refresh": {"token": "t"}})
    assert other.closed == errors.BAD_FRAME


def test_a_refresh_hook_that_cannot_be_asked_prolongs_a_little(world):
    world.hooks.answers["connect"] = Identity("42", expire_at=int(UNIX) + 5)
    world.hooks.answers["refresh"] = RuntimeError("gone")
    client = world.client()
    client.send(id=1, connect={})
    world.pass_time(6)
    assert client.closed is None and client.session.expires_at > world.clock.seconds() + 50


def test_a_subscription_is_refreshed_by_its_hook(world):
    client = connected(world)
    world.hooks.answers["subscribe"] = Allowed(expire_at=int(UNIX) + 5)
    world.hooks.answers["sub_refresh"] = Refreshed(expire_at=int(UNIX) + 12)
    assert client.subscribe("closed:a")["subscribe"] == {}
    world.pass_time(6)
    assert world.hooks.asked[-1].channel == "closed:a" and "closed:a" in client.session.subs
    world.hooks.answers["sub_refresh"] = Refreshed(expired=True)
    world.pass_time(7)
    assert client.pushes("unsubscribe") == [{"code": 2501, "reason": "subscription expired"}]


def test_a_disconnect_is_told_once_and_only_of_those_who_were_connected(world):
    client = connected(world)
    world.hooks.answers["disconnect"] = None
    client.session.lost()
    world.client().session.lost()
    told = [each for each in world.hooks.asked if isinstance(each, tuple)]
    assert [(caller.user, code) for caller, code, _ in told] == [("42", 3000)]


def test_a_chain_asks_the_first_that_answers():
    class Answers(NoHooks):
        def rpc(self, method):
            if method != "known":
                raise CommandError(errors.METHOD_NOT_FOUND)
            return "hook"

    chain = ChainedHooks(NoHooks(), Answers(), NoHooks())
    assert chain.rpc("known") == "hook"
    with pytest.raises(CommandError):
        chain.rpc("unknown")
    assert chain.connect(False) is None and chain.disconnect() is None


class Leaving(NoHooks):
    """Hears of what ends, and fails if it shall."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.heard: list[object] = []
        self.failure = failure

    def disconnect(self):
        async def gone(caller, code, reason):
            self.heard.append((code, reason))
            if self.failure is not None:
                raise self.failure

        return gone

    def left(self, client):
        self.heard.append(client)


def test_every_part_of_a_chain_hears_of_a_disconnect_also_when_others_fail(world):
    parts = [Leaving(LookupError("a")), Leaving(), Leaving(LookupError("b"))]
    hook = ChainedHooks(*parts).disconnect()
    with pytest.raises(ExceptionGroup) as caught:
        world.run(hook(None, 3000, "bye"))
    assert [str(each) for each in caught.value.exceptions] == ["a", "b"]
    assert all(each.heard == [(3000, "bye")] for each in parts)
    with pytest.raises(LookupError):
        world.run(ChainedHooks(*parts[:2]).disconnect()(None, 3000, "bye"))


def test_every_part_of_a_chain_hears_that_a_client_has_left():
    parts = [Leaving(), Leaving()]
    ChainedHooks(*parts).left("c1")
    assert [each.heard for each in parts] == [["c1"], ["c1"]]
