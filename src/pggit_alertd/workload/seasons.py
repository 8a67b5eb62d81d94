"""What time of day and week do to an operation, with nothing being wrong.

A season multiplies durations and rates of calls; its factors hold for a slot of ten minutes, which is finer than any
window of the detectors and coarse enough to cost nothing. Wandering is the slow come and go of load that has no
calendar: it is the trap for a test that takes hours for independent.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

SLOT_SECONDS = 600
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Season:
    """How durations and rates follow the clock. All zeros and ones: they do not.

    `daily` is the swing of ln(duration) around its mean, highest at `peak_hour`; `busy` the same for the rate of calls.
    `weekend` multiplies durations on Saturday and Sunday. A batch runs each night from `batch_hour` for
    `batch_minutes` and multiplies durations by `batch_factor`. `wander` is the standard deviation of ln(duration) from
    hour to hour, and each hour keeps the share `memory` of the one before.
    """

    daily: float = 0.0
    peak_hour: float = 14.0
    weekend: float = 1.0
    batch_hour: int = 2
    batch_minutes: int = 0
    batch_factor: float = 1.0
    wander: float = 0.0
    memory: float = 0.8
    busy: float = 0.0

    def slots(self, start: datetime, count: int, source: Random) -> Iterator[tuple[float, float]]:
        """Yield (factor of durations, factor of the rate) for `count` slots from `start` on."""
        first = start.hour * 3600 + start.minute * 60 + start.second
        weekday = start.weekday()
        wandered = source.gauss(0.0, self.wander) if self.wander else 0.0
        fresh = self.wander * math.sqrt(1 - self.memory**2)
        hour = None
        for number in range(count):
            days, second = divmod(first + number * SLOT_SECONDS, 86400)
            if self.wander and second // 3600 != hour:
                wandered = wandered if hour is None else self.memory * wandered + source.gauss(0.0, fresh)
                hour = second // 3600
            wave = math.cos((second / 3600 - self.peak_hour) * math.pi / 12)
            factor = math.exp(self.daily * wave + wandered)
            if (weekday + days) % 7 >= SATURDAY:
                factor *= self.weekend
            if 0 <= second - self.batch_hour * 3600 < self.batch_minutes * 60:
                factor *= self.batch_factor
            yield factor, 1 + self.busy * wave


STEADY = Season()
