"""How much may be in flight: counters per lane, as pure state."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

L = TypeVar("L", bound=Hashable)


class Slots(Generic[L]):
    """Slots of each lane. A full lane takes nothing from another.

    `capacity` is how many deliveries each lane may have in flight.
    """

    def __init__(self, capacity: Mapping[L, int]) -> None:
        self._capacity = dict(capacity)
        self._taken = dict.fromkeys(self._capacity, 0)

    def free(self, lane: L) -> int:
        """Return how many more deliveries the lane can take."""
        return self._capacity[lane] - self._taken[lane]

    def taken(self, lane: L) -> int:
        """Return how many deliveries of the lane are in flight."""
        return self._taken[lane]

    def capacity(self, lane: L) -> int:
        """Return how many deliveries the lane may have in flight."""
        return self._capacity[lane]

    def take(self, lane: L) -> None:
        """Use a slot. More than `free` were claimed if none is left, which is a fault of the program."""
        if self._taken[lane] >= self._capacity[lane]:
            raise ValueError(f"lane {lane} is full")
        self._taken[lane] += 1

    def give(self, lane: L) -> None:
        """Return a slot."""
        if self._taken[lane] == 0:
            raise ValueError(f"lane {lane} is empty")
        self._taken[lane] -= 1

    def lanes(self) -> list[L]:
        """Return every lane, in the order they were given."""
        return list(self._capacity)

    def in_flight(self) -> int:
        """Return how many deliveries are in flight in all lanes."""
        return sum(self._taken.values())
