"""The retry schedule: growing, capped, spread, and never sooner than the receiver asked."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.model import Reason, Transient


class Dice(random.Random):
    """A source of chance that gives one number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        """Return the number."""
        return self.value


@given(
    attempt=st.integers(-5, 10_000),
    base=st.floats(0.001, 60),
    cap=st.floats(1, 86_400),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_lies_in_the_upper_half_of_the_capped_exponential(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    """Whatever the attempt, the delay is between half and all of min(cap, base * 2^(n-1)), and finite."""
    full = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 62))
    delay = RetrySchedule(base=base, cap=cap, source=Dice(chance)).delay(attempt)
    assert full / 2 <= delay <= full


def test_the_first_delays_are_as_documented() -> None:
    """2, 4, 8 … 512, 900, 900 seconds at most, and half of that at least."""
    longest = RetrySchedule(source=Dice(1.0))
    shortest = RetrySchedule(source=Dice(0.0))
    expected = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 900.0, 900.0]
    assert [longest.delay(n) for n in range(1, 12)] == expected
    assert [shortest.delay(n) for n in range(1, 12)] == [delay / 2 for delay in expected]


def test_replicas_are_spread() -> None:
    """A thousand rows that failed together come back over the whole upper half, not in one instant."""
    schedule = RetrySchedule(source=random.Random(7))  # noqa: S311 - not a secret
    delays = [schedule.delay(5) for _ in range(1000)]
    assert min(delays) < 17
    assert max(delays) > 31
    assert len(set(delays)) == 1000


@given(asked=st.floats(1, 100_000), attempt=st.integers(1, 50))
def test_what_the_receiver_asked_for_wins(asked: float, attempt: int) -> None:
    """Retry-After replaces the formula."""
    receipt = Transient(Reason.RATE_LIMITED, "slow down", retry_after=asked)
    assert RetrySchedule().after(attempt, receipt) == asked


@pytest.mark.parametrize("asked", [0.0, -5.0, 0.99])
def test_a_wait_of_nothing_is_no_wish(asked: float) -> None:
    """A receiver that asks for mercy and for no wait is not hammered: the formula decides."""
    receipt = Transient(Reason.RATE_LIMITED, "slow down", retry_after=asked)
    schedule = RetrySchedule(source=Dice(0.5))
    assert schedule.after(3, receipt) == schedule.delay(3) == 6.0


def test_without_a_wish_the_formula_decides() -> None:
    """A failure that says nothing about time waits as long as the attempt number says."""
    schedule = RetrySchedule(source=Dice(0.5))
    assert schedule.after(3, Transient(Reason.TIMEOUT, "")) == schedule.delay(3) == 6.0
