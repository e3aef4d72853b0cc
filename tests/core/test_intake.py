"""What brokers must know of the rules to take publications of other programs."""

from __future__ import annotations

from rtserver.core.channels import Channels
from rtserver.core.intake import ChannelIntake
from rtserver.core.options import ChannelOptions, ChannelRules

KEPT = ChannelOptions(history_size=10, history_ttl=60)


def intake(**rules):
    namespaces = {
        "kept": KEPT,
        "plain": ChannelOptions(),
        "json": ChannelOptions(publication_data_format="json"),
        "bytes": ChannelOptions(publication_data_format="binary"),
    }
    return ChannelIntake(Channels(ChannelRules(namespaces=namespaces, **rules)))


def test_publications_are_stored_as_their_namespace_says():
    stored = intake().publish_options("kept:a")
    assert (stored.history_size, stored.history_ttl, stored.meta_ttl) == (10, 60, 720 * 3600)
    assert not intake().publish_options("plain:a").has_history
    assert intake().publish_options("nowhere:a") is None


def test_a_namespace_that_is_not_configured_is_refused_with_what_to_do():
    assert "[[channel.namespaces]]" in intake().refusal("nowhere:a", b"1")


def test_data_is_refused_as_from_anyone_else():
    assert intake().refusal("plain:a", b"not json") is None
    assert "empty" in intake().refusal("plain:a", b"")
    assert "not JSON" in intake().refusal("json:a", b"not json")
    assert intake().refusal("json:a", b"[1]") is None and intake().refusal("bytes:a", b"") is None


def test_the_beginnings_of_channels_with_history():
    assert intake().history_prefixes() == ["kept:", "$kept:"]
    assert intake(without_namespace=KEPT).history_prefixes() == ["kept:", "$kept:", ""]
    assert intake(private_prefix="").history_prefixes() == ["kept:"]
    assert intake(namespace_boundary="/").history_prefixes() == ["kept/", "$kept/"]


def test_all_namespaces_are_told_the_nameless_one_too():
    assert sorted(intake().namespaces()) == ["", "bytes", "json", "kept", "plain"]
