"""Workloads ready for use: an everyday fleet, one that is merely healthy, and operations in trouble.

`everyday` is what point detectors are scored on. Its 22 operations are chosen for what has fooled detectors: heavy
tails, caches whose misses look like outliers, days, weeks and nights, durations of four microseconds that come in whole
steps, and operations with ten calls a day.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from pggit_alertd.workload.families import CacheMiss, Gamma, HeavyTail, LogNormal, Weibull, exponential
from pggit_alertd.workload.model import Event, Kind, Operation, Workload
from pggit_alertd.workload.seasons import Season

DAY = Season(daily=0.5, busy=0.6)
WEEK = Season(daily=0.35, weekend=0.6, busy=0.5)
NIGHTLY = Season(batch_hour=2, batch_minutes=40, batch_factor=4.0)
SPIKE_SHARE = 0.001
INCIDENTS_PER_OPERATION = 0.15  # in a week
BUSY = 200
"""Calls a day from which on an operation has bursts; fewer calls would leave them empty."""

FLEET = (
    Operation("lognormal_005", LogNormal(0.05), 5_000, 1200, group="log-normal"),
    Operation("lognormal_02", LogNormal(0.2), 12_000, 3000, group="log-normal"),
    Operation("lognormal_05", LogNormal(0.5), 40_000, 6000, group="log-normal"),
    Operation("lognormal_1", LogNormal(1.0), 25_000, 600, group="log-normal"),
    Operation("gamma_2", Gamma(2), 8_000, 1500, group="gamma"),
    Operation("gamma_5", Gamma(5), 3_000, 500, group="gamma"),
    Operation("exponential", exponential(), 20_000, 1000, group="exponential"),
    Operation("weibull_07", Weibull(0.7), 15_000, 800, group="weibull"),
    Operation("weibull_15", Weibull(1.5), 60_000, 400, group="weibull"),
    Operation("cache_90", CacheMiss(0.10), 2_000, 2000, group="cache"),
    Operation("cache_97", CacheMiss(0.03), 2_000, 3000, group="cache"),
    Operation("cache_994", CacheMiss(0.006), 2_000, 4000, group="cache"),
    Operation("heavy_tail", HeavyTail(), 10_000, 1500, group="heavy tail"),
    Operation("heavier_tail", HeavyTail(share=0.02, alpha=1.8), 30_000, 500, group="heavy tail"),
    Operation("daily", LogNormal(0.3), 30_000, 1500, DAY, group="seasons"),
    Operation("daily_skewed", Gamma(2), 30_000, 700, DAY, group="seasons"),
    Operation("weekly", LogNormal(0.4), 50_000, 900, WEEK, group="seasons"),
    Operation("nightly_batch", LogNormal(0.3), 20_000, 1000, NIGHTLY, group="nightly batch"),
    Operation("sub_millisecond", LogNormal(0.15), 190, 2500, group="fast"),
    Operation("few_microseconds", LogNormal(0.08), 4.5, 1500, group="fast"),
    Operation("ten_a_day", LogNormal(0.3), 80_000, 10, group="sparse"),
    Operation("thirty_a_day", LogNormal(0.5), 150_000, 30, group="sparse"),
)


def healthy(seed: int, start: datetime, days: float = 14, prefix: str = "") -> Workload:
    """Return the fleet with nothing wrong at all: every finding in it is false."""
    return _fleet(seed, start, days, prefix, {})


def everyday(seed: int, start: datetime, days: float = 14, prefix: str = "") -> Workload:
    """Return the fleet with one call in a thousand 2 to 20 times slower, and bursts of 10 to 45 minutes.

    `prefix` stands before each operation's name, so that several seeds fit into one database.
    """
    source = Random(f"{seed}/incidents")  # noqa: S311 - sample data, to be repeated
    end = start + timedelta(days=days)
    spikes = Event(Kind.SPIKE, start, end, 2.0, 20.0, SPIKE_SHARE)
    events = {each.name: (spikes, *_bursts(each, start, days, source)) for each in FLEET}
    return _fleet(seed, start, days, prefix, events)


def _fleet(seed: int, start: datetime, days: float, prefix: str, events: dict[str, tuple[Event, ...]]) -> Workload:
    operations = [each.with_events(*events.get(each.name, ())).named(prefix + each.name) for each in FLEET]
    return Workload(seed, start, days, tuple(operations))


def _bursts(operation: Operation, start: datetime, days: float, source: Random) -> Iterator[Event]:
    """Yield the operation's bursts: intervals in which calls are 2.5 to 8 times slower."""
    if operation.per_day < BUSY:
        return
    day = 0.0
    while (day := day + source.expovariate(INCIDENTS_PER_OPERATION / 7)) < days:
        begin = start + timedelta(days=day)
        factor = source.choice((2.5, 4.0, 8.0))
        yield Event(Kind.BURST, begin, begin + timedelta(minutes=source.uniform(10, 45)), factor)
