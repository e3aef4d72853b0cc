from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtserver.core.deadlines import Deadlines


def test_keys_come_due_in_the_order_of_their_deadlines() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for key, at in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        deadlines.set(key, at)
    assert deadlines.due(2.0, 10) == ["a", "b"]
    assert deadlines.due(2.0, 10) == [] and len(deadlines) == 1


def test_a_deadline_can_be_moved_both_ways() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("later", 1)
    deadlines.set("later", 5)
    deadlines.set("earlier", 9)
    deadlines.set("earlier", 2)
    assert deadlines.due(2, 10) == ["earlier"]
    assert deadlines.due(5, 10) == ["later"]


def test_a_dropped_key_does_not_come_due() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("a", 1)
    deadlines.drop("a")
    deadlines.drop("never set")
    assert deadlines.due(9, 10) == [] and len(deadlines) == 0


def test_a_call_looks_at_a_bounded_number_of_entries() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key in range(10):
        deadlines.set(key, key)
    assert deadlines.due(100, 4) == [0, 1, 2, 3]
    assert deadlines.due(100, 100) == [4, 5, 6, 7, 8, 9]


def test_the_memory_is_bounded_by_the_number_of_keys() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for number in range(100_000):
        deadlines.set(number % 10, 1000.0 - number * 0.001)
    assert len(deadlines._heap) < 2000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.sampled_from(["set", "drop", "due"])), max_size=60))
def test_it_agrees_with_a_plain_dictionary(steps: list[tuple[int, int, str]]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, float] = {}
    now = 0.0
    for key, time, step in steps:
        if step == "set":
            deadlines.set(key, now + time)
            model[key] = now + time
        elif step == "drop":
            deadlines.drop(key)
            model.pop(key, None)
        else:
            now += time
            due = deadlines.due(now, 1000)
            assert sorted(due) == sorted(key for key, at in model.items() if at <= now)
            for key in due:
                del model[key]
    assert len(deadlines) == len(model)
