"""Rows out of a workload, in order of time, with the truth beside each.

Calls arrive as a Poisson process whose rate and durations follow the season, ten minutes at a time: gaps are
exponential, and because those have no memory, starting anew at each slot changes nothing. Durations, arrivals, season
and events of an operation draw from four sources, so an event changes the rows it touches and no other: a workload
with and without its events can be compared row by row.

About 2.5 µs a row on one core; only one slot of rows is in memory.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from random import Random

from pggit_alertd.workload.model import (
    CLEAR_INTERVAL,
    CLEAR_METRIC,
    SINGLE,
    Event,
    Kind,
    Label,
    Operation,
    Row,
    Workload,
)
from pggit_alertd.workload.seasons import SLOT_SECONDS

_SLOT = timedelta(seconds=SLOT_SECONDS)
_by_time = itemgetter(1)


def rows(workload: Workload) -> Iterator[Row]:
    """Yield every metric of the workload in order of time."""
    courses = [_Course(workload, operation) for operation in workload.operations]
    begin = workload.start
    while begin < workload.end:
        end = min(begin + _SLOT, workload.end)
        slot: list[Row] = []
        for course in courses:
            course.add(slot, begin, end)
        slot.sort(key=_by_time)
        yield from slot
        begin = end


def labels(workload: Workload) -> Iterator[Label]:
    """Yield the truth about the workload: its intervals, then each metric that a spike or a burst made slow.

    The metrics are generated again for it. Who stores rows anyway takes `interval_labels` and `metric_label`.
    """
    yield from interval_labels(workload)
    yield from filter(None, map(metric_label, rows(workload)))


def interval_labels(workload: Workload) -> Iterator[Label]:
    """Yield the events that befall an interval as a whole."""
    for operation in workload.operations:
        for event in operation.events:
            if event.kind not in SINGLE:
                yield Label(
                    operation_type=operation.name,
                    kind=event.kind,
                    start=event.start,
                    end=event.end,
                    factor=round(event.ratio, 4),
                    clear=event.ratio >= CLEAR_INTERVAL,
                )


def metric_label(row: Row) -> Label | None:
    """Return the label of a metric that a spike or a burst made slow; None for any other."""
    if row.cause not in SINGLE or row.cause is None:
        return None
    return Label(
        operation_type=row.operation_type,
        kind=row.cause,
        start=row.recorded_at,
        end=row.recorded_at,
        clear=row.clear,
        duration_microseconds=row.duration_microseconds,
    )


class _Course:
    """One operation on its way through time."""

    def __init__(self, workload: Workload, operation: Operation) -> None:
        def source(purpose: str) -> Random:
            return Random(f"{workload.seed}/{operation.name}/{purpose}")  # noqa: S311 - sample data, to be repeated

        slots = math.ceil(workload.days * 86400 / SLOT_SECONDS)
        self._operation = operation
        self._draw: Callable[[], float] = operation.family.sampler(source("durations"))
        self._gap = source("arrivals").expovariate
        self._seasons = operation.season.slots(workload.start, slots, source("season"))
        self._chance = source("events")
        self._extreme = CLEAR_METRIC * operation.extreme

    def add(self, slot: list[Row], begin: datetime, end: datetime) -> None:
        """Append the operation's rows between `begin` and `end`."""
        factor, busy = next(self._seasons)
        rate = self._operation.per_day * busy / 86400
        if rate <= 0:
            return
        active = [each for each in self._operation.events if each.start < end and each.end > begin]
        name, draw, gap = self._operation.name, self._draw, self._gap
        scale, step = self._operation.scale * factor, self._operation.resolution
        span = (end - begin).total_seconds()
        second = gap(rate)
        while second < span:
            at = begin + timedelta(0, second)
            microseconds = draw() * scale
            if active:
                slot.append(self._touched(at, microseconds, factor, active))
            else:
                slot.append(Row(name, at, max(step, round(microseconds / step) * step)))
            second += gap(rate)

    def _touched(self, at: datetime, microseconds: float, factor: float, active: Sequence[Event]) -> Row:
        """Return the row of a call during which something may be wrong."""
        cause: Kind | None = None
        for event in active:
            if event.start <= at < event.end and (multiple := self._multiple(event, at)) is not None:
                microseconds *= multiple
                if cause not in SINGLE:
                    cause = event.kind
        step = self._operation.resolution
        duration = max(step, round(microseconds / step) * step)
        return Row(self._operation.name, at, duration, cause, cause in SINGLE and duration >= self._extreme * factor)

    def _multiple(self, event: Event, at: datetime) -> float | None:
        """Return how many times slower the event makes a call; None if it spares this one."""
        if event.share < 1 and self._chance.random() >= event.share:
            return None
        if event.kind is Kind.DRIFT:
            return float(event.factor ** ((at - event.start) / (event.end - event.start)))
        if event.factor_high > event.factor:
            return math.exp(self._chance.uniform(math.log(event.factor), math.log(event.factor_high)))
        return event.factor
