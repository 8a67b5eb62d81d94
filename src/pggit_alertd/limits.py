"""How much may be in flight, and how fast: counters and token buckets, as pure state."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

L = TypeVar("L", bound=Hashable)


class Slots(Generic[L]):
    """Slots of each lane; lanes come and go with the work. A full lane takes nothing from another.

    `capacity` tells how many deliveries a lane may have in flight.
    """

    def __init__(self, capacity: Callable[[L], int]) -> None:
        self._capacity = capacity
        self._taken: Counter[L] = Counter()

    def capacity(self, lane: L) -> int:
        """Return how many deliveries the lane may have in flight."""
        return self._capacity(lane)

    def free(self, lane: L) -> int:
        """Return how many more deliveries the lane can take."""
        return self._capacity(lane) - self._taken[lane]

    def busy(self) -> dict[L, int]:
        """Return how many deliveries are in flight in each lane that has any."""
        return dict(self._taken)

    def take(self, lane: L, count: int = 1) -> None:
        """Use slots, even if none is left: what was claimed is delivered, and the lane gets nothing more meanwhile."""
        self._taken[lane] += count

    def give(self, lane: L) -> None:
        """Return a slot."""
        if lane not in self._taken:
            raise ValueError(f"lane {lane} is empty")
        self._taken[lane] -= 1
        if not self._taken[lane]:
            del self._taken[lane]

    def in_flight(self) -> int:
        """Return how many deliveries are in flight in all lanes."""
        return self._taken.total()


class TokenBucket:
    """`rate` tokens a second, at most `burst` kept. `now` is any monotonic time in seconds, given by the caller."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def available(self, now: float) -> int:
        """Return how many tokens there are; negative if more were taken than there were."""
        self._tokens = min(float(self._burst), self._tokens + max(now - self._at, 0.0) * self._rate)
        self._at = now
        return int(self._tokens // 1)

    def take(self, now: float, count: int = 1) -> None:
        """Use tokens, on credit if there are none."""
        self.available(now)
        self._tokens -= count

    def wait(self, now: float) -> float:
        """Return seconds until there is a whole token."""
        return 0.0 if self.available(now) >= 1 else (1 - self._tokens) / self._rate

    def full(self, now: float) -> bool:
        """Return whether nothing would be lost by forgetting this bucket."""
        self.available(now)
        return self._tokens >= self._burst


class Complaint:
    """Says which of the same complaints to write down: the first, and while it lasts one every `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = float("-inf")

    def due(self, now: float) -> bool:
        """Return whether to write down the complaint that is made now."""
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def over(self) -> None:
        """Let the next complaint be a first one."""
        self._next = float("-inf")
