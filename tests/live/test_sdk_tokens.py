"""Connection and subscription tokens: good, forged, expired, refreshed."""

import jwt
import pytest

from tests.live.rtserver_process import HMAC_KEY
from tests.live.settings import JS_SDKS, SDKS
from tests.live.tokens import channel_token, token

every_sdk = pytest.mark.parametrize("sdk", SDKS)


@every_sdk
def test_a_token_gives_the_user_and_its_info(sdk, make_client, server, channel):
    client = make_client(sdk, server, token=token("42", 60, info={"name": "Ada"}))
    me = client.open()["client"]
    client.enter(channel("joins"))
    assert client.presence(channel("joins"))[me] == {"user": "42", "client": me, "conn_info": {"name": "Ada"}}


@every_sdk
def test_a_forged_token_is_terminal(sdk, make_client, server):
    client = make_client(sdk, server, token=token("42", 60, key="another-key-of-more-than-32-bytes-for-hs256"))
    client.connect()
    ended = client.wait("disconnected")
    assert (ended["code"], ended["reason"]) == (3500, "invalid token")


@every_sdk
@pytest.mark.parametrize(
    "bad", ["nonsense", "a.b.c", jwt.encode({"sub": 42}, HMAC_KEY), channel_token("x", "42")], ids=range(4)
)
def test_what_is_no_connection_token_is_terminal(sdk, bad, make_client, server):
    client = make_client(sdk, server, token=bad)
    client.connect()
    assert client.wait("disconnected")["code"] == 3500


@every_sdk
def test_an_expired_token_makes_the_sdk_fetch_a_new_one(sdk, make_client, server):
    client = make_client(sdk, server, token=token("42", -5), get_token=[token("42", 60)])
    client.open()
    assert client.wait("get_token")["count"] == 1


@every_sdk
def test_an_expired_token_without_a_new_one_is_terminal(sdk, make_client, server):
    client = make_client(sdk, server, token=token("42", -5))
    client.connect()
    assert client.wait("disconnected")["code"] == 1


@every_sdk
def test_a_private_channel_opens_with_its_token(sdk, make_client, server, channel):
    name = "$" + channel("joins")
    client = make_client(sdk, server, token=token("42"))
    me = client.open()["client"]
    entered = client.enter(name, token=channel_token(name, "42", info={"seat": 7}, data={"welcome": True}))
    assert entered["data"] == {"welcome": True}
    joined = client.wait("join", name)["info"]
    assert joined == {"user": "42", "client": me, "chan_info": {"seat": 7}}
    server.publish(name, {"n": 1})
    assert client.data(name) == {"n": 1}


@every_sdk
def test_an_anonymous_client_enters_with_a_token_without_user(sdk, make_client, server, channel):
    name = "$" + channel("closed")
    client = make_client(sdk, server)
    client.open()
    client.enter(name, token=channel_token(name))


@every_sdk
def test_a_token_opens_a_channel_that_is_closed_to_all(sdk, make_client, server, channel):
    client = make_client(sdk, server, token=token("42"))
    client.open()
    client.enter(channel("closed"), get_token=[channel_token(channel("closed"), "42", 60)])
    assert client.wait("get_token", channel("closed"))["count"] == 1


@every_sdk
def test_an_expired_subscription_token_is_replaced(sdk, make_client, server, channel):
    name = "$" + channel()
    client = make_client(sdk, server, token=token("42"))
    client.open()
    tokens = [channel_token(name, "42", -5), channel_token(name, "42", 60)]
    client.enter(name, get_token=tokens)
    client.wait("error", name)
    assert client.events.count("get_token", name) == 2


@every_sdk
def test_a_forged_subscription_token_is_refused(sdk, make_client, server, channel):
    name = "$" + channel()
    client = make_client(sdk, server, token=token("42"))
    client.open()
    client.subscribe(name, token=channel_token(name, "42", key="another-key-of-more-than-32-bytes-for-hs256"))
    assert client.wait("unsubscribed", name)["code"] == 103


@every_sdk
@pytest.mark.parametrize("claims", [{"user": "43"}, {"channel": "$other"}, {"user": None}], ids=str)
def test_a_subscription_token_of_somebody_else_ends_the_connection(sdk, claims, make_client, server, channel):
    name = "$" + channel()
    client = make_client(sdk, server, token=token("42"))
    client.open()
    client.subscribe(name, token=channel_token(**{"channel": name, "user": "42", **claims}))
    assert client.wait("disconnected")["code"] == 3500


@pytest.mark.parametrize("sdk", JS_SDKS)
def test_the_api_ends_a_connection_with_refresh(sdk, make_client, server):
    client = make_client(sdk, server, get_token=[token(f"r{sdk}", 3600)])
    client.open()
    assert server.api("refresh", user=f"r{sdk}", expired=True) == {"result": {}}
    client.wait("connecting")
    assert client.wait("connecting")["code"] == 3005
    client.wait("connected")
