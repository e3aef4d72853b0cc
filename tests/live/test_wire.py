"""What is on the wire, seen without SDK: encodings, order, pings, codes that SDKs keep to themselves."""

import json

import pytest

from tests.live.raw import RawClient
from tests.live.tokens import channel_token, token

both = pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])


@both
def test_connect_and_subscribe_in_one_frame_are_answered_in_order(server, channel, protobuf):
    with RawClient(server, protobuf=protobuf) as client:
        client.send({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": channel()}}, {"id": 3, "rpc": {}})
        replies = [client.receive() for _ in range(3)]
    assert [reply["id"] for reply in replies] == [1, 2, 3]
    assert replies[0]["connect"].keys() == {"client", "version", "ping", "pong"}
    assert (replies[0]["connect"]["ping"], replies[0]["connect"]["pong"]) == (25, True)
    assert replies[1] == {"id": 2, "subscribe": {}}
    assert (replies[2]["error"]["code"], replies[2]["error"]["message"]) == (108, "not available")


@pytest.mark.parametrize(
    ("query", "offered", "answered", "kind"),
    [
        ("", None, None, str),
        ("", ["centrifuge-json"], "centrifuge-json", str),
        ("", ["centrifuge-protobuf"], "centrifuge-protobuf", bytes),
        ("", ["other", "centrifuge-protobuf"], "centrifuge-protobuf", bytes),
        ("", ["other"], None, str),
        ("?format=protobuf", None, None, bytes),
        ("?cf_protocol=protobuf", None, None, bytes),
        ("?format=protobuf", ["centrifuge-protobuf"], "centrifuge-protobuf", bytes),
        ("?cf_protocol_version=v2", None, None, str),
    ],
)
def test_the_encoding_follows_sub_protocol_and_query(server, query, offered, answered, kind):
    with RawClient(server, protobuf=kind is bytes, query=query, subprotocols=offered) as client:
        assert client.socket.subprotocol == answered
        client.send({"id": 1, "connect": {}})
        assert isinstance(client.socket.recv(5), kind)


def test_the_type_of_an_incoming_frame_does_not_matter(server):
    with RawClient(server) as client:
        client.socket.send(b'{"id":1,"connect":{}}\n')
        assert client.receive()["connect"]["client"]


@both
def test_an_empty_result_is_present(server, channel, protobuf):
    with RawClient(server, protobuf=protobuf) as client:
        client.connect()
        assert client.call(2, subscribe={"channel": channel()}) == {"id": 2, "subscribe": {}}
        data = "e30=" if protobuf else {}
        assert client.call(3, publish={"channel": channel(), "data": data}) == {"id": 3, "publish": {}}
        assert client.call(4, unsubscribe={"channel": channel()}) == {"id": 4, "unsubscribe": {}}
        assert client.call(5, unsubscribe={"channel": channel()}) == {"id": 5, "unsubscribe": {}}


def test_a_publication_leaves_out_what_is_zero(server, channel):
    with RawClient(server) as client:
        client.connect()
        client.call(2, subscribe={"channel": channel()})
        server.publish(channel(), {"n": 0})
        assert client.receive() == {"push": {"channel": channel(), "pub": {"data": {"n": 0}}}}


def test_results_that_sdks_index_are_there_even_when_empty(server, channel):
    with RawClient(server) as client:
        client.connect()
        empty = client.call(2, history={"channel": channel("full"), "limit": 10})["history"]
        assert (empty["publications"], empty["offset"], len(empty["epoch"])) == ([], 0, 8)
        assert client.call(3, presence={"channel": channel("full")})["presence"] == {"presence": {}}
        assert client.call(4, presence_stats={"channel": channel("full")})["presence_stats"] == {
            "num_clients": 0,
            "num_users": 0,
        }


def test_data_passes_through_untouched_but_for_line_ends(server, channel):
    """Not parsed and written anew: number forms, key order, escapes and doubled keys stay."""
    text = '{ "b" : 1.50 , "a":1e2,"a":"\\u00e9\\/" ,\n"big":12345678901234567890123 }'
    with RawClient(server) as client:
        client.connect()
        client.call(2, subscribe={"channel": channel()})
        body = f'{{"channel":"{channel()}","data":{text}}}'.encode()
        assert server.post("/api/publish", body, {"X-API-Key": server.settings["http_api"]["key"]})[0] == 200
        frame = client.socket.recv(5)
    assert text.replace("\n", "") in frame


def test_errors_of_commands_do_not_end_the_connection(server, channel):
    with RawClient(server) as client:
        client.connect()
        assert client.call(2, subscribe={"channel": channel()})["subscribe"] == {}
        assert client.call(3, subscribe={"channel": channel()})["error"]["code"] == 105
        assert client.call(4, subscribe={"channel": channel("nowhere")})["error"]["code"] == 102
        assert client.call(5, subscribe={"channel": channel("tags"), "tf": {"cmp": "eq"}})["error"]["code"] == 107
        assert (
            client.call(6, subscribe={"channel": channel("full"), "tf": {"key": "a", "cmp": "ex"}})["error"]["code"]
            == 107
        )
        assert client.call(7, subscribe={"channel": channel("full", "m"), "type": 1})["error"]["code"] == 108
        assert client.call(8, publish={"channel": channel(), "data": {}, "type": 1, "key": "k"})["error"]["code"] == 108
        assert client.call(9, history={"channel": channel("full")})["history"]["offset"] == 0


@pytest.mark.parametrize(
    "commands",
    [
        [{"id": 1, "subscribe": {"channel": "a"}}],
        [{"id": 1, "connect": {}}, {"id": 2, "connect": {}}],
        [{"id": 1, "connect": {}}, {"id": 2}],
        [{"id": 1, "connect": {}}, {"id": 2, "ping": {}}],
        [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {}}],
        [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "a", "delta": "zip"}}],
        [{"id": 1, "connect": {}}, {"id": 2, "publish": {"data": {}}}],
        [{"id": 1, "connect": {}}, {"id": 2, "presence": {}}],
        [{"id": 1, "connect": {}}, {"id": 2, "history": {}}],
        [{"id": 1, "connect": {}}, {"id": 2, "unsubscribe": {}}],
        [{"id": 1, "connect": {}}, {"id": 2, "refresh": {}}],
    ],
    ids=str,
)
def test_what_the_protocol_forbids_ends_with_3501(server, commands):
    with RawClient(server) as client:
        client.send(*commands)
        assert client.end() == (3501, "bad request")


def test_a_command_after_a_refused_connect_ends_with_3501(server):
    with RawClient(server) as client:
        client.send({"id": 1, "connect": {"token": token("42", -5)}}, {"id": 2, "subscribe": {"channel": "a"}})
        assert client.receive() == {"id": 1, "error": {"code": 109, "message": "token expired"}}
        client.send({"id": 3, "subscribe": {"channel": "a"}})
        assert client.end() == (3501, "bad request")


def test_a_connection_that_expired_before_it_began_is_answered_110(server):
    with RawClient(server) as client:
        client.send({"id": 1, "connect": {"token": token("42", 60, expire_at=1)}})
        assert client.receive() == {"id": 1, "error": {"code": 110, "message": "expired"}}


def test_tokens_without_user_can_be_refused(start_server):
    server = start_server({"client": {"disallow_anonymous_connection_tokens": True}})
    with RawClient(server) as client:
        client.send({"id": 1, "connect": {"token": token()}})
        assert client.end() == (3507, "permission denied")


def test_without_token_nobody_is_let_in_unless_the_configuration_says_so(start_server):
    server = start_server()
    with RawClient(server) as client:
        client.send({"id": 1, "connect": {}})
        assert client.end() == (3501, "bad request")


def test_close_reasons_do_not_parse_as_json(server):
    with RawClient(server) as client:
        client.send({"id": 1, "connect": {"token": "bad"}})
        code, reason = client.end()
    assert code == 3500
    with pytest.raises(ValueError):
        json.loads(reason)


def test_an_expired_subscription_ends_with_2501(server, channel):
    name = "$" + channel()
    with RawClient(server) as client:
        client.connect(token=token("42"))
        entered = client.call(2, subscribe={"channel": name, "token": channel_token(name, "42", 1)})["subscribe"]
        assert entered == {"expires": True, "ttl": 1}
        push = client.receive()["push"]
        assert push == {"channel": name, "unsubscribe": {"code": 2501, "reason": "subscription expired"}}


def test_an_expired_connection_ends_with_3005(server):
    with RawClient(server) as client:
        connected = client.connect(token=token("42", 1))
        assert (connected["expires"], connected["ttl"]) == (True, 1)
        assert client.end() == (3005, "connection expired")


def test_an_old_sub_refresh_without_channel_takes_it_from_the_token(server, channel):
    name = "$" + channel()
    with RawClient(server) as client:
        client.connect(token=token("42"))
        client.call(2, subscribe={"channel": name, "token": channel_token(name, "42", 60)})
        reply = client.call(3, sub_refresh={"token": channel_token(name, "42", 600)})["sub_refresh"]
        assert reply["expires"] and 598 <= reply["ttl"] <= 600
        assert client.call(4, sub_refresh={"token": channel_token("$z", "42", 600)})["error"]["code"] == 103


@both
def test_recovery_is_in_the_reply_and_names_the_requested_offset(server, channel, protobuf):
    name = channel("recover")
    for n in range(5):
        server.publish(name, n)
    with RawClient(server, protobuf=protobuf) as client:
        client.connect()
        first = client.call(2, subscribe={"channel": name})["subscribe"]
        assert (int(first["offset"]), first["positioned"], first["recoverable"]) == (5, True, True)
        assert "publications" not in first and "recovered" not in first and "was_recovering" not in first
        client.call(3, unsubscribe={"channel": name})
        wanted = {"channel": name, "recover": True, "offset": 2, "epoch": first["epoch"]}
        again = client.call(4, subscribe=wanted)["subscribe"]
        assert (int(again["offset"]), again["recovered"], again["was_recovering"]) == (2, True, True)
        assert [int(each["offset"]) for each in again["publications"]] == [3, 4, 5]


@pytest.mark.parametrize("position", [{"offset": 9}, {"offset": 3, "epoch": "_"}, {"offset": 0, "epoch": "_"}])
def test_an_unrecoverable_position_gets_the_top_and_nothing_else(server, channel, position):
    name = channel("recover")
    for n in range(5):
        server.publish(name, n)
    with RawClient(server) as client:
        client.connect()
        reply = client.call(2, subscribe={"channel": name, "recover": True, **position})["subscribe"]
        assert (reply["offset"], reply["was_recovering"]) == (5, True)
        assert "recovered" not in reply and "publications" not in reply
        client.call(3, unsubscribe={"channel": name})
        strict = client.call(4, subscribe={"channel": name, "recover": True, "flag": 3, **position})
        assert strict["error"]["code"] == 112


def test_recovery_from_nothing_replays_an_untrimmed_stream(server, channel):
    name = channel("recover")
    with RawClient(server) as client:
        client.connect()
        empty = client.call(2, subscribe={"channel": name, "recover": True})["subscribe"]
        assert (empty["recovered"], empty.get("offset", 0)) == (True, 0)
        client.call(3, unsubscribe={"channel": name})
        for n in range(3):
            server.publish(name, n)
        reply = client.call(4, subscribe={"channel": name, "recover": True})["subscribe"]
        assert [each["data"] for each in reply["publications"]] == [0, 1, 2]


def test_server_side_subscriptions_recover_in_the_connect_reply(server, channel):
    name = channel("recover")
    server.publish(name, "before")
    with RawClient(server) as client:
        first = client.connect(token=token("42", channels=[name]))["subs"][name]
    server.publish(name, "missed")
    with RawClient(server) as client:
        position = {"recover": True, "offset": first["offset"], "epoch": first["epoch"]}
        again = client.connect(token=token("42", channels=[name]), subs={name: position})["subs"][name]
    assert (again["recovered"], [each["data"] for each in again["publications"]]) == (True, ["missed"])


def test_native_pings_take_the_place_of_application_pings(server):
    with RawClient(server, query="?cf_ws_frame_ping_pong=true") as client:
        connected = client.connect()
        assert "ping" not in connected and "pong" not in connected


def test_the_explicit_zeros_of_old_sdks_are_taken(server, channel):
    with RawClient(server) as client:
        client.connect(token="", data=None, subs={})
        subscribe = {"channel": channel("full"), "token": "", "recover": False, "offset": 0, "epoch": "", "data": None}
        assert "subscribe" in client.call(2, subscribe=subscribe)
        history = {"channel": channel("full"), "limit": -1, "reverse": False, "since": {"offset": 0, "epoch": ""}}
        assert client.call(3, history=history)["history"]["publications"] == []
