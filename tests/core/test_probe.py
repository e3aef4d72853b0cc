"""Whether a node still hears: the age of the last probe that came back from every shard."""

from __future__ import annotations

import pytest
from msgspec import Raw

from rtserver.core.messages import Publication, Push, Reply
from rtserver.core.probe import Hearing, Probe, ProbeOptions

OPTIONS = ProbeOptions(interval=1, late=5, dead=20)


@pytest.mark.parametrize(
    ("age", "hearing"),
    [
        (0, Hearing.GOOD),
        (4.9, Hearing.GOOD),
        (5, Hearing.LATE),
        (19.9, Hearing.LATE),
        (20, Hearing.DEAF),
        (99, Hearing.DEAF),
    ],
)
def test_the_age_of_the_last_probe_decides(age, hearing):
    probe = Probe(OPTIONS, 1, 100)
    probe.judge(100 + age)
    assert probe.hearing is hearing


def test_only_a_change_is_told():
    probe = Probe(OPTIONS, 1, 0)
    assert [probe.judge(now) for now in (1, 5, 6, 20, 21)] == [False, True, False, True, False]
    probe.send("t", 22)
    probe.heard(b"t:0\n", 23)
    assert probe.judge(23) and probe.hearing is Hearing.GOOD and probe.round_trip == 1


def test_a_probe_counts_when_every_shard_gave_it_back():
    probe = Probe(OPTIONS, 3, 0)
    probe.send("t", 10)
    probe.heard(b"t:0\nt:1\n", 11)
    assert probe.heard_at == 0
    probe.heard(b"t:1\n", 12)
    assert probe.heard_at == 0
    probe.heard(b"t:2\n", 13)
    assert (probe.heard_at, probe.round_trip) == (13, 3)


def test_one_silent_shard_makes_the_node_late():
    probe = Probe(OPTIONS, 2, 0)
    for now in range(1, 7):
        probe.send(f"n/{now}", now)
        probe.heard(b"n/%d:0\n" % now, now)
    assert probe.judge(6) and probe.hearing is Hearing.LATE


def test_tokens_of_others_and_old_ones_are_passed_over():
    probe = Probe(OPTIONS, 1, 0)
    probe.heard(b"stranger:0\nno colon\n:\n", 50)
    assert probe.heard_at == 0


def test_a_token_may_hold_colons():
    probe = Probe(OPTIONS, 1, 0)
    probe.send("a:b/1", 1)
    probe.heard(b"a:b/1:0", 2)
    assert probe.heard_at == 2


def test_what_never_came_back_is_forgotten_in_time():
    probe = Probe(OPTIONS, 2, 0)
    for now in range(100):
        probe.send(str(now), now)
        probe.heard(b"%d:0" % now, now)
    assert len(probe._sent) <= OPTIONS.dead + 1 and len(probe._seen) <= OPTIONS.dead + 1


def test_the_probe_is_its_own_wire():
    probe = Probe(OPTIONS, 1, 0)
    assert probe.push(Push(pub=Publication(Raw(b"t:0")))) == b"t:0\n"
    assert probe.push(Push()) == probe.reply(Reply()) == b""
