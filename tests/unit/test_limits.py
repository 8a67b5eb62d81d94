"""Slots of each lane: counted exactly, apart from each other, and loud when misused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.limits import Slots


def test_lanes_are_independent() -> None:
    """A full lane leaves the others as they are, and is free again as soon as one slot is given back."""
    slots = Slots({"a": 2, "b": 1})
    slots.take("a")
    slots.take("a")
    assert (slots.free("a"), slots.free("b"), slots.taken("a"), slots.in_flight()) == (0, 1, 2, 2)
    slots.give("a")
    assert (slots.free("a"), slots.in_flight(), slots.capacity("a"), slots.lanes()) == (1, 1, 2, ["a", "b"])


def test_misuse_is_an_error() -> None:
    """Taking from a full lane, giving to an empty one and naming an unknown one are faults of the program."""
    slots = Slots({"a": 1})
    with pytest.raises(ValueError, match="lane a is empty"):
        slots.give("a")
    slots.take("a")
    with pytest.raises(ValueError, match="lane a is full"):
        slots.take("a")
    with pytest.raises(KeyError):
        slots.free("b")


def test_the_given_capacities_are_copied() -> None:
    """Changing the mapping afterwards changes nothing."""
    capacity = {"a": 1}
    slots = Slots(capacity)
    capacity["a"] = 9
    assert slots.free("a") == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200))
def test_free_and_taken_always_add_up(steps: list[tuple[str, bool]]) -> None:
    """Whatever is taken and given, free + taken is the capacity, and neither is ever negative."""
    slots = Slots({"a": 1, "b": 3, "c": 0})
    for lane, take in steps:
        if take and slots.free(lane):
            slots.take(lane)
        elif not take and slots.taken(lane):
            slots.give(lane)
        assert slots.free(lane) + slots.taken(lane) == slots.capacity(lane)
        assert slots.free(lane) >= 0
    assert slots.in_flight() == sum(slots.taken(lane) for lane in "abc")
