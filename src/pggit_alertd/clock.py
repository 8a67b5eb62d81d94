"""Wall and monotonic time behind one protocol, so that tests own the time."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the program gets its time from."""

    def now(self) -> datetime:
        """Return the wall time in UTC. Never used to measure a duration: it may jump."""

    def monotonic(self) -> float:
        """Return seconds on a clock that only moves forward. Only differences mean anything."""


class SystemClock:
    """The operating system's clocks."""

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()
