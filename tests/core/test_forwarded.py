"""Whose word counts for the address of a client."""

from __future__ import annotations

import pytest

from rtserver.core.forwarded import MAX_HOPS, TrustedProxies, check_proxy

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "1.1.1.1,198.51.100.1 , 10.1.2.3", "198.51.100.1"),
        ("127.0.0.1", "10.9.9.9, 198.51.100.1, 10.1.2.3", "198.51.100.1"),
        ("127.0.0.1", "10.0.0.2, 10.0.0.1", "10.0.0.2"),
        ("127.0.0.1", "198.51.100.1:50000", "198.51.100.1"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("127.0.0.1", "2001:0db8:0000::0007", "2001:db8::7"),
        ("2001:db8:1::5", "198.51.100.1, 2001:db8:1::6", "198.51.100.1"),
        ("::ffff:127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::1", "198.51.100.1", "::1"),
    ],
)
def test_the_client_is_the_last_one_that_is_no_trusted_proxy(peer, forwarded, client):
    assert PROXIES.client(peer, forwarded) == client


@pytest.mark.parametrize(
    "nonsense", ["unknown", "_hidden", "", "1.2.3", "1.2.3.4.5", "1.2.3.4:x", "[", "fe80::1%a\nb", "1.1.1.1 2.2.2.2"]
)
def test_what_is_no_address_ends_the_way_at_the_proxy_that_wrote_it(nonsense):
    assert PROXIES.client("127.0.0.1", f"198.51.100.1, {nonsense}, 10.0.0.1") == "10.0.0.1"
    assert PROXIES.client("127.0.0.1", nonsense) == "127.0.0.1"


def test_nobody_is_trusted_when_nobody_is_named():
    assert not TrustedProxies() and TrustedProxies().client("127.0.0.1", "198.51.100.1") == "127.0.0.1"
    assert TrustedProxies().client("", "198.51.100.1") == ""


def test_a_unix_socket_is_trusted_when_it_is_named():
    assert PROXIES and PROXIES.client("", "198.51.100.1") == ""
    with_socket = TrustedProxies(["unix:", "10.0.0.1"])
    assert with_socket.client("", "1.1.1.1, 198.51.100.1, 10.0.0.1") == "198.51.100.1"
    assert with_socket.client("", "") == "" and with_socket.client("127.0.0.1", "1.1.1.1") == "127.0.0.1"


def test_a_header_without_end_is_not_walked_to_its_end():
    hops = ", ".join(["10.0.0.1"] * MAX_HOPS)
    assert PROXIES.client("127.0.0.1", f"198.51.100.1, {hops}") == "10.0.0.1"


@pytest.mark.parametrize("good", ["127.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "unix:"])
def test_addresses_networks_and_unix_sockets_may_be_named(good):
    check_proxy(good)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [("10.0.0.1/8", "host bits"), ("localhost", "no address"), ("0.0.0.0/0", "everybody"), ("::/0", "everybody")],
)
def test_a_wrong_name_is_told_with_what_to_change(wrong, word):
    with pytest.raises(ValueError, match=word):
        check_proxy(wrong)
