"""Connect, subscribe, publish, look around: what every SDK does on every transport."""

import pytest

from tests.live.conftest import SDKS
from tests.live.sdk import SdkError
from tests.live.tokens import token

pytestmark = pytest.mark.parametrize("sdk", SDKS)


def test_an_anonymous_client_connects_and_disconnects(sdk, make_client, server):
    client = make_client(sdk)
    connected = client.open()
    assert connected["client"]
    client.disconnect()
    assert client.wait("disconnected")["code"] == 0


def test_a_publication_comes_back_to_its_publisher(sdk, make_client, channel):
    client = make_client(sdk)
    client.open()
    client.enter(channel())
    client.publish(channel(), {"n": 1, "text": "größe ✓ 🎈"})
    got = client.wait("publication", channel())
    assert got["data"] == {"n": 1, "text": "größe ✓ 🎈"}
    assert got["info"]["user"] == ""
