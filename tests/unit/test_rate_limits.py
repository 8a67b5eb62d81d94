"""Pauses after a 429 that tells no time: pure, per key, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.channels.rate_limits import KEYS, LONGEST, SHORTEST, Pause, RateLimits, lengthen


def test_each_refusal_after_a_pause_doubles_the_next_up_to_the_longest() -> None:
    """30, 60, 120, 240, 480, and 480 ever after."""
    pause, now, lengths = None, 0.0, []
    for _ in range(8):
        pause = lengthen(pause, began=now, now=now)
        lengths.append(pause.until - now)
        now = pause.until
    assert lengths == [30.0, 60.0, 120.0, 240.0, 480.0, 480.0, 480.0, 480.0]


def test_refusals_of_requests_that_were_under_way_are_one() -> None:
    """What was sent before the pause ended says nothing new when it is refused."""
    first = lengthen(None, began=0.0, now=1.0)
    assert lengthen(first, began=0.5, now=2.0) == first
    assert lengthen(first, began=first.until - 0.001, now=40.0) == first
    assert lengthen(first, began=first.until, now=40.0) == Pause(2, 100.0)


def test_a_success_ends_the_series_only_if_it_began_after_the_pause() -> None:
    """A request that slipped through before the limit is no sign that the limit is over."""
    limits = RateLimits()
    assert limits.limited("key", began=0.0, now=1.0) == SHORTEST
    limits.passed("key", began=0.5)
    assert limits.limited("key", began=31.0, now=31.0) == 2 * SHORTEST
    limits.passed("key", began=91.0)
    assert limits.limited("key", began=92.0, now=92.0) == SHORTEST
    assert limits.limited("other", began=92.0, now=92.0) == SHORTEST


def test_no_more_keys_are_remembered_than_the_bound() -> None:
    """The oldest is forgotten, and no key is kept as it stands."""
    limits = RateLimits()
    for number in range(KEYS + 5):
        limits.limited(f"key{number}", began=0.0, now=0.0)
    assert limits.limited("key0", began=30.0, now=30.0) == SHORTEST
    assert limits.limited(f"key{KEYS + 4}", began=30.0, now=30.0) == 2 * SHORTEST
    assert "key7" not in repr(vars(limits))


@given(st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 100), st.booleans()), max_size=40))
def test_every_wait_is_told_time_within_bounds(events: list[tuple[float, float, bool]]) -> None:
    """Whatever order refusals and successes come in, a wait is at least a second and at most the longest."""
    limits = RateLimits()
    for began, took, refused in sorted(events):
        if refused:
            assert 1.0 <= limits.limited("key", began, began + took) <= LONGEST
        else:
            limits.passed("key", began)
