from __future__ import annotations

from msgspec import Raw

from rtserver.core.messages import ClientInfo
from rtserver.core.presence import Presence, count


def info(user: str, client: str = "c") -> ClientInfo:
    return ClientInfo(user, client)


def test_anonymous_clients_are_one_user() -> None:
    assert count([info(""), info(""), info("a"), info("a"), info("b")]) == (5, 3)
    assert count([]) == (0, 0)


def test_an_entry_lasts_for_its_ttl() -> None:
    presence = Presence(ttl=60)
    presence.add("room", "c1", info("a"), 0)
    assert list(presence.get("room", 59.9)) == ["c1"]
    assert presence.get("room", 60) == {} and presence.stats("room", 60) == (0, 0)


def test_a_refresh_lengthens_the_life_and_replaces_the_info() -> None:
    presence = Presence(ttl=60)
    presence.add("room", "c1", info("a"), 0)
    presence.add("room", "c1", ClientInfo("a", "c1", Raw(b"new")), 50)
    assert bytes(presence.get("room", 100)["c1"].conn_info) == b"new"
    assert presence.get("room", 110) == {}


def test_removing_is_harmless_when_nothing_is_there() -> None:
    presence = Presence()
    presence.remove("room", "c1")
    presence.add("room", "c1", info("a"), 0)
    presence.remove("room", "other")
    presence.remove("room", "c1")
    presence.remove("room", "c1")
    assert presence.get("room", 0) == {}


def test_channels_do_not_mix() -> None:
    presence = Presence()
    presence.add("one", "c1", info("a"), 0)
    presence.add("two", "c1", info("b"), 0)
    presence.remove("one", "c1")
    assert presence.get("two", 0)["c1"].user == "b"


def test_the_sweep_drops_what_expired_and_keeps_what_was_refreshed() -> None:
    presence = Presence(ttl=60)
    for number in range(5):
        presence.add("room", f"c{number}", info("a"), 0)
    presence.add("room", "c3", info("a"), 30)
    presence.add("gone", "c1", info("a"), 0)
    presence.sweep(60)
    assert list(presence._channels) == ["room"] and list(presence._channels["room"]) == ["c3"]
    presence.sweep(90)
    assert presence._channels == {} and len(presence._deadlines) == 0


def test_one_sweep_looks_at_a_bounded_number_of_channels() -> None:
    presence = Presence(ttl=60)
    for number in range(10):
        presence.add(f"room{number}", "c", info("a"), 0)
    presence.sweep(100, limit=4)
    assert len(presence._channels) == 6


def test_coming_and_going_leaves_no_memory_behind() -> None:
    presence = Presence(ttl=60)
    for number in range(10_000):
        presence.add("room", "c", info("a"), number * 0.001)
        presence.remove("room", "c")
    assert len(presence._deadlines) == 0
    assert len(presence._deadlines._heap) < 3000
