"""What strangers try against the accounts of a real server, and what goes wrong for people who did nothing wrong."""

from __future__ import annotations

import pytest

from tests.live.raw import RawClient
from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer, merged
from tests.live.test_accounts_http import PASSWORD, Browser, settings, signed_up

APP = {"apps": [{"module": "tests.live.apps.whoami:app"}]}


@pytest.fixture(scope="module")
def rt(tmp_path_factory):
    port = free_port()
    server = RtServer(tmp_path_factory.mktemp("attacks"), merged(settings(port), APP), port).start()
    yield server
    server.stop()


def signed_in(server, name):
    browser = Browser(server)
    assert browser.post("/auth/sign-in", {"name": name, "password": PASSWORD})[0] == 200
    return browser


def test_a_stolen_token_opens_nothing_after_a_sign_out_everywhere(rt):
    owner = signed_up(rt, "ada")
    token = signed_in(rt, "ada").read("/auth/token")[1]["token"]
    thief = Browser(rt)
    bearer = {"Authorization": f"Bearer {token}"}
    assert thief.ask("GET", "/whoami", **bearer)[0].status == 200
    with RawClient(rt) as open_before:
        assert open_before.connect(token=token)["client"]
        assert owner.post("/auth/sign-out-everywhere")[0] == 200
        assert open_before.end() == (4501, "signed out")
    assert thief.ask("GET", "/whoami", **bearer)[0].status == 401
    with RawClient(rt) as late:
        assert late.call(1, connect={"token": token})["error"]["code"] == 109


def test_a_connection_is_not_prolonged_with_the_token_of_a_session_that_ended(rt):
    here = signed_up(rt, "bob")
    there = signed_in(rt, "bob")
    mine, ended = (browser.read("/auth/token")[1]["token"] for browser in (here, there))
    assert there.post("/auth/sign-out")[0] == 200
    with RawClient(rt) as connection:
        connection.connect(token=mine)
        connection.send({"id": 2, "refresh": {"token": ended}})
        assert connection.end()[0] == 3005
