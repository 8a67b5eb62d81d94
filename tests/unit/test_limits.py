"""Slots of each lane: counted exactly, apart from each other, and loud when misused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.limits import Complaint, Slots, TokenBucket


def test_lanes_are_independent() -> None:
    """A full lane leaves the others as they are, and is free again as soon as one slot is given back."""
    slots: Slots[str] = Slots({"a": 2, "b": 1}.__getitem__)
    slots.take("a")
    slots.take("a")
    assert (slots.free("a"), slots.free("b"), slots.busy(), slots.in_flight()) == (0, 1, {"a": 2}, 2)
    slots.give("a")
    assert (slots.free("a"), slots.in_flight(), slots.capacity("a"), slots.busy()) == (1, 1, 2, {"a": 1})


def test_an_overfull_lane_counts_on() -> None:
    """More than there is room for is carried, and has to be given back before there is room again."""
    slots: Slots[str] = Slots(lambda _: 1)
    slots.take("a")
    slots.take("a")
    assert (slots.free("a"), slots.in_flight()) == (-1, 2)
    slots.give("a")
    assert slots.free("a") == 0


def test_misuse_is_an_error() -> None:
    """Giving to an empty lane and naming an unknown one are faults of the program."""
    slots: Slots[str] = Slots({"a": 1}.__getitem__)
    with pytest.raises(ValueError, match="lane a is empty"):
        slots.give("a")
    with pytest.raises(KeyError):
        slots.free("b")


def test_lanes_that_are_empty_are_forgotten() -> None:
    """However many lanes come and go, only those with something in flight are kept."""
    slots: Slots[int] = Slots(lambda _: 1)
    for lane in range(100):
        slots.take(lane)
        slots.give(lane)
    assert slots.busy() == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200))
def test_free_and_taken_always_add_up(steps: list[tuple[str, bool]]) -> None:
    """Whatever is taken and given, free + taken is the capacity, and neither is ever negative."""
    slots: Slots[str] = Slots({"a": 1, "b": 3, "c": 0}.__getitem__)
    for lane, take in steps:
        if take and slots.free(lane):
            slots.take(lane)
        elif not take and slots.busy().get(lane):
            slots.give(lane)
        assert slots.free(lane) + slots.busy().get(lane, 0) == slots.capacity(lane)
        assert slots.free(lane) >= 0
    assert slots.in_flight() == sum(slots.busy().values())


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    """Three at once, then one each half second; what is taken on credit is waited for."""
    bucket = TokenBucket(rate=2.0, burst=3, now=100.0)
    assert bucket.available(100.0) == 3
    for _ in range(3):
        bucket.take(100.0)
    assert (bucket.available(100.0), bucket.wait(100.0), bucket.full(100.0)) == (0, 0.5, False)
    bucket.take(100.0)
    assert (bucket.available(100.0), bucket.wait(100.0)) == (-1, 1.0)
    assert bucket.available(101.0) == 1
    assert not bucket.full(101.5)
    assert bucket.full(102.0)
    assert bucket.available(1e9) == 3, "what is not used does not add up"


@given(st.floats(0.1, 50), st.integers(1, 20), st.lists(st.floats(0, 2), max_size=60))
def test_no_more_than_burst_and_rate_in_any_time(rate: float, burst: int, pauses: list[float]) -> None:
    """Taking whatever is there, at any moments, never gets more than burst + rate x time."""
    now, taken = 0.0, 0
    bucket = TokenBucket(rate, burst, now)
    for pause in pauses:
        now += pause
        for _ in range(bucket.available(now)):
            bucket.take(now)
            taken += 1
        assert taken <= burst + rate * now + 1e-6


def test_a_complaint_is_written_once_and_then_once_a_minute() -> None:
    """Of one a second for five minutes five are written; when it was over, the next is a first one again."""
    complaint = Complaint(60.0)
    assert sum(complaint.due(float(second)) for second in range(300)) == 5
    assert not complaint.due(299.5)
    complaint.over()
    assert complaint.due(299.5)
    assert not complaint.due(300.0)
