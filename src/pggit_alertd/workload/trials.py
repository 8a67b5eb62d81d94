"""Operations on trial: each with one thing, or nothing, wrong with it in the last day of eight.

A trial is a question with a known answer: has this operation become at least 1.3 times slower on average? Five
of twelve are traps: steps too small to matter, spikes, operations that got faster, days that come and go, load that
wanders. Bottlenecks ask which operations became slower *together*, among others that did so alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, product
from random import Random

from pggit_alertd.workload.families import CacheMiss, Family, Gamma, HeavyTail, LogNormal, Weibull, exponential
from pggit_alertd.workload.model import CLEAR_INTERVAL, Event, Kind, Operation, Workload
from pggit_alertd.workload.seasons import STEADY, Season

DAYS = 8
VOLUMES = (48, 240, 1200)
DAY = Season(daily=0.4, busy=0.5)
SAME_DAY = 0.8
SHAPES: dict[str, tuple[Family, Season]] = {
    "log-normal 0.3": (LogNormal(0.3), STEADY),
    "log-normal 1": (LogNormal(1.0), STEADY),
    "gamma": (Gamma(2), STEADY),
    "exponential": (exponential(), STEADY),
    "weibull": (Weibull(0.7), STEADY),
    "cache": (CacheMiss(0.10), STEADY),
    "heavy tail": (HeavyTail(), STEADY),
    "daily": (LogNormal(0.3), DAY),
    "wandering": (LogNormal(0.3), Season(wander=0.15)),
}
STEPS = (1.1, 1.3, 1.5, 2.0, 3.0)
OPERATIONS = 12
GROUPS = (3, 2, 4, 0, 3, 4)
"""How many operations share a bottleneck, scenario by scenario."""
COINCIDENCE = timedelta(hours=2)
"""Operations that changed within this time of each other, and for no common reason, are not held against anybody."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One operation and the question asked about it at the workload's end."""

    operation: Operation
    shape: str
    ailment: str
    volume: int

    @property
    def degraded(self) -> bool:
        """Whether it is at least 1.3 times slower than before."""
        return any(
            each.ratio >= CLEAR_INTERVAL for each in self.operation.events if each.kind not in (Kind.SPIKE, Kind.FASTER)
        )


def degradations(
    seed: int, start: datetime, prefix: str = "", shapes: tuple[str, ...] = tuple(SHAPES)
) -> tuple[Workload, tuple[Trial, ...]]:
    """Return a workload of eight days with 12 trials of each shape and volume, and the trials."""
    end = start + timedelta(days=DAYS)
    trials = []
    for shape, volume in product(shapes, VOLUMES):
        source = Random(f"{seed}/{shape}/{volume}")  # noqa: S311 - sample data, to be repeated
        family, season = SHAPES[shape]
        for ailment, events in _ailments(end, source):
            name = f"{prefix}{shape}, {volume} a day, {ailment}"
            scale = 10 ** source.uniform(3, 5)
            operation = Operation(name, family, scale, volume, season, events, group=shape)
            trials.append(Trial(operation, shape, ailment, volume))
    return Workload(seed, start, DAYS, tuple(each.operation for each in trials)), tuple(trials)


def _ailments(end: datetime, source: Random) -> Iterator[tuple[str, tuple[Event, ...]]]:
    """Yield what can be wrong with an operation at `end`, and nothing as well."""

    def since(low: float, high: float) -> datetime:
        return end - timedelta(hours=source.uniform(low, high))

    yield "nothing", ()
    yield "nothing again", ()
    yield "spikes", (Event(Kind.SPIKE, end - timedelta(days=1), end, 3.0, 20.0, 0.01),)
    yield "faster", (Event(Kind.FASTER, since(3, 12), end, 0.6),)
    for factor in STEPS:
        yield f"step {factor}", (Event(Kind.LEVEL, since(3, 12), end, factor),)
    yield "drift", (Event(Kind.DRIFT, since(12, 20), end, source.uniform(1.6, 2.5)),)
    yield "tail", (Event(Kind.TAIL, since(3, 12), end, source.uniform(5, 8), share=0.1),)
    yield "mix", (Event(Kind.MIX, since(3, 12), end, source.uniform(2.5, 4), share=0.35),)


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A workload of twelve operations, the pairs that became slower together, and those nobody is asked about."""

    workload: Workload
    together: frozenset[tuple[str, str]]
    unasked: frozenset[tuple[str, str]]

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """All pairs that are asked about, the lesser name first."""
        names = sorted(each.name for each in self.workload.operations)
        return set(combinations(names, 2)) - self.unasked


def bottleneck(seed: int, start: datetime, number: int) -> Bottleneck:
    """Return scenario `number`: a group that a bottleneck slows at one time, and others that do so alone."""
    source = Random(f"{seed}/bottleneck {number}")  # noqa: S311 - sample data, to be repeated
    end = start + timedelta(days=DAYS)
    names = [f"operation_{index:02d}" for index in range(OPERATIONS)]
    order = source.sample(names, OPERATIONS)
    members, alone = order[: GROUPS[number % len(GROUPS)]], order[-6:]
    began = end - timedelta(hours=source.uniform(4, 14))
    events: dict[str, Event] = {}
    for name in members:
        events[name] = Event(Kind.LEVEL, began, end, source.uniform(2.0, 4.0))
    for name in alone[:4]:
        begin = end - timedelta(hours=source.uniform(3, 20))
        events[name] = Event(Kind.LEVEL, begin, end, source.uniform(1.8, 4.0))
    events[alone[4]] = Event(Kind.SPIKE, end - timedelta(days=1), end, 3.0, 20.0, 0.01)
    events[alone[5]] = Event(Kind.FASTER, end - timedelta(hours=source.uniform(3, 12)), end, 0.6)
    operations = tuple(_bystander(each, source).with_events(*filter(None, [events.get(each)])) for each in names)
    pairs = list(combinations(names, 2))
    together = frozenset(pair for pair in pairs if set(pair) <= set(members))
    return Bottleneck(
        Workload(seed * 1000 + number, start, DAYS, operations),
        together,
        frozenset(pair for pair in pairs if pair not in together and _coincide(*(events.get(each) for each in pair))),
    )


def _bystander(name: str, source: Random) -> Operation:
    """Return a healthy operation; most of them follow the same day, which is no bottleneck."""
    family, season = SHAPES[source.choice(tuple(SHAPES))]
    day = DAY if season is STEADY and source.random() < SAME_DAY else season
    return Operation(name, family, 10 ** source.uniform(3, 5), source.choice((480, 960)), day)


def _coincide(one: Event | None, other: Event | None) -> bool:
    return one is not None and other is not None and abs(one.start - other.start) < COINCIDENCE
