"""The retry schedule: a pure function from what happened to when to try again.

The figures and their reasons: docs/design/delivery.md.
"""

import random
from dataclasses import dataclass, field

from pggit_alertd.model import Transient

SHORTEST_TOLD = 1.0


def told_wait(receipt: Transient) -> float | None:
    """Return the seconds that the receiver asked us to wait, or None if that is no wait.

    "Retry-After: 0", or a date that our clock has passed, would have us hammer a receiver that asks for mercy.
    """
    if receipt.retry_after is None or receipt.retry_after < SHORTEST_TOLD:
        return None
    return receipt.retry_after


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Capped exponential with equal jitter: `min(cap, base * 2^(n-1))`, of which half is fixed and half random.

    Seconds throughout. The fixed half keeps a broken destination from being hammered; the random half keeps many
    rows, or many replicas, from coming back at the same instant.
    """

    base: float = 2.0
    cap: float = 900.0
    source: random.Random = field(default_factory=random.SystemRandom, compare=False)

    def delay(self, attempt: int) -> float:
        """Return seconds to wait after the attempt with this number (the first is 1)."""
        exponent = min(max(attempt, 1) - 1, 62)
        full = min(self.cap, self.base * 2.0**exponent)
        return full * (0.5 + 0.5 * self.source.random())

    def after(self, attempt: int, receipt: Transient) -> float:
        """Return seconds to wait: what the receiver asked for, if it asked for a wait at all."""
        told = told_wait(receipt)
        return self.delay(attempt) if told is None else told
