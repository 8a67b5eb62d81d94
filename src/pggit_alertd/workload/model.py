"""What a workload is made of: operations, the events that befall them, and the truth about each."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from pggit_alertd.workload.families import Family
from pggit_alertd.workload.seasons import STEADY, Season

CLEAR_METRIC = 1.5
"""A slow metric is clear from this multiple of its family's true p99.9 on."""
CLEAR_INTERVAL = 1.3
"""An interval is clear if calls took this much longer on average."""


class Kind(StrEnum):
    """What can happen to an operation.

    Spikes and bursts happen to single metrics, the others to an interval.
    """

    SPIKE = "spike"
    """Some calls, here and there, are many times slower."""
    BURST = "burst"
    """Every call of some minutes is slower: a lock, a checkpoint, a noisy neighbor."""
    LEVEL = "level"
    """From one moment on every call is slower."""
    DRIFT = "drift"
    """Calls get slower little by little; the factor is reached at the end."""
    TAIL = "tail"
    """A small share of calls becomes much slower, the others stay."""
    MIX = "mix"
    """More calls take a slow path than before, such as misses of a cache."""
    FASTER = "faster"
    """From one moment on every call is faster; no detector of slowness may say anything."""


SINGLE = frozenset({Kind.SPIKE, Kind.BURST})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to an operation from `start` until `end`.

    A share `share` of the calls takes `factor` times as long, or where `factor_high` is greater, a factor drawn
    between the two, evenly on a logarithmic scale.
    """

    kind: Kind
    start: datetime
    end: datetime
    factor: float
    factor_high: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what can't happen."""
        if not self.start < self.end:
            raise ValueError(f"An event of kind {self.kind} ends at {self.end}, before it starts at {self.start}.")
        if self.factor <= 0 or not 0 < self.share <= 1:
            raise ValueError(f"An event needs a factor > 0 and a share in (0, 1], not {self.factor} and {self.share}.")

    @property
    def ratio(self) -> float:
        """How many times longer calls take on average once the event has its full strength."""
        high = max(self.factor_high, self.factor)
        # The mean of a factor that is even on a logarithmic scale.
        factor = (high - self.factor) / math.log(high / self.factor) if high > self.factor else self.factor
        return 1 + self.share * (factor - 1)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation type and how it behaves.

    `scale` is in microseconds, what the family's multiples are multiples of. `resolution` is the step, in
    microseconds, that durations come in. `group` is the name that reports put it under.
    """

    name: str
    family: Family
    scale: float
    per_day: float
    season: Season = STEADY
    events: tuple[Event, ...] = ()
    group: str = ""
    resolution: int = 1

    def __post_init__(self) -> None:
        """Refuse what can't be generated."""
        if not self.name.strip():
            raise ValueError("An operation needs a name.")
        if self.scale <= 0 or self.per_day <= 0 or self.resolution < 1:
            raise ValueError(f"Operation {self.name} needs a scale, a rate and a resolution above zero.")

    @property
    def extreme(self) -> float:
        """The family's true p99.9 in microseconds, before any season."""
        return self.scale * self.family.quantile(0.999)

    def with_events(self, *events: Event) -> Self:
        """Return the same operation with these events in place of its own."""
        return replace(self, events=events)

    def named(self, name: str) -> Self:
        """Return the same operation under another name, which also draws other numbers."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True)
class Workload:
    """Operations over a span of time; the same seed always gives the same rows.

    Each operation draws from a source of its own, made from the seed and its name, so that adding an operation
    changes no other.
    """

    seed: int
    start: datetime
    days: float
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        """Refuse what can't be generated."""
        if self.start.tzinfo is not None:
            raise ValueError("A workload starts at a time without zone, as pgGit's own columns have it.")
        if self.days <= 0:
            raise ValueError(f"A workload lasts some days, not {self.days}.")
        names = [each.name for each in self.operations]
        if len(set(names)) < len(names):
            raise ValueError("Two operations of a workload have the same name.")

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.start + timedelta(days=self.days)


class Row(NamedTuple):
    """One metric, and the truth about it: what made it slow, and whether a detector is held to seeing it."""

    operation_type: str
    recorded_at: datetime
    duration_microseconds: int
    cause: Kind | None = None
    clear: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """One true event: a single metric, `start` and `end` being the same, or an interval of an operation.

    `factor` is how many times longer the metric took than it would have, or calls took on average. `clear` says
    whether a detector is held to finding it; what is not clear counts neither for it nor against it.
    """

    operation_type: str
    kind: str
    start: datetime
    end: datetime
    factor: float | None = None
    clear: bool = True
    duration_microseconds: int | None = None

    @property
    def single(self) -> bool:
        """Whether it speaks of one metric."""
        return self.start == self.end
