"""The retry schedule: a pure function from what happened to when to try again.

Full description and the reason for each figure: docs/design/retry.md.
"""

import random
from dataclasses import dataclass, field

from pggit_alertd.model import Transient


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
        """Return seconds to wait, never less than what the receiver asked for."""
        if receipt.retry_after is None:
            return self.delay(attempt)
        return max(receipt.retry_after, 0.0)
