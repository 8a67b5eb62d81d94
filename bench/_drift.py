"""A slow drift: how many hours before the first threshold alert it is found.

The threshold is the documented one, a single metric beyond twice the p99 of the week before the drift began, and the
baseline stays what it was: one that follows the drift would warn later still. Detectors are asked every three hours,
from the moment on when calls take 1.1 times as long. Who cries wolf is early too, so false alarms stand beside it.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import psycopg

from _arena import Arena
from _degradation import DETECTORS
from pggit_alertd.workload import Event, Kind, Operation, Workload, store, trials

START = datetime(2026, 1, 5)  # noqa: DTZ001 - as pgGit's columns: without zone
BEGAN = START + timedelta(days=7)
DAYS = 8
DOUBLING = (2, 4, 8)
SLOW = (4, 8)
"""Drifts that double latency in so many days leave a day's time to find them, and are what is asked for."""
SHAPES = ("log-normal 0.3", "gamma", "cache", "weibull", "daily", "wandering")
VOLUME = 600
EVERY = timedelta(hours=3)
FROM = 1.1
FALSE = "false alarms on the day before, of 144 questions"
THRESHOLD = """
    WITH baseline AS (
        SELECT
            operation_type,
            2 * percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_microseconds) AS threshold
        FROM pggit.performance_metrics
        WHERE recorded_at < %(began)s
        GROUP BY operation_type
    )
    SELECT m.operation_type, min(m.recorded_at)
    FROM pggit.performance_metrics AS m
    INNER JOIN baseline AS b ON m.operation_type = b.operation_type
    WHERE m.recorded_at >= %(began)s AND m.duration_microseconds > b.threshold
    GROUP BY m.operation_type
"""


def lead(arena: Arena, seeds: Sequence[int]) -> dict[str, Any]:
    """Return, for each detector and speed, how many hours ahead of the threshold each drift was found."""
    workload = _workload(seeds[0])

    def fill(connection: psycopg.Connection) -> tuple[datetime, datetime]:
        store(connection, workload)
        return workload.start, workload.end

    connection = arena.database(f"drift_{seeds[0]}", fill)
    crossed: dict[str, datetime] = dict(connection.execute(THRESHOLD, {"began": BEGAN}).fetchall())
    result: dict[str, Any] = {}
    for detector, statement in DETECTORS.items():
        found = _found(connection, statement, workload)
        result[detector] = {FALSE: _false(connection, statement, workload)} | {
            f"doubles in {days} days": {
                shape: _ahead(found.get(name), crossed.get(name, workload.end))
                for shape, name in ((shape, _name(shape, days)) for shape in SHAPES)
            }
            for days in DOUBLING
        }
    return result


def _name(shape: str, days: int) -> str:
    return f"{shape}, doubles in {days} days"


def _workload(seed: int) -> Workload:
    """Return operations that get slower from the eighth day on, evenly on a logarithmic scale."""
    end = BEGAN + timedelta(days=DAYS)
    operations = [
        Operation(
            _name(shape, days), family, 20_000, VOLUME, season, (Event(Kind.DRIFT, BEGAN, end, 2 ** (DAYS / days)),)
        )
        for (shape, (family, season)), days in product(((each, trials.SHAPES[each]) for each in SHAPES), DOUBLING)
    ]
    return Workload(seed, START, 7 + DAYS, tuple(operations))


def _found(connection: psycopg.Connection, statement: str, workload: Workload) -> dict[str, datetime]:
    """Return when each drift was found first; before it is worth `FROM`, whatever is said is chance."""
    found: dict[str, datetime] = {}
    worth = {_name(shape, days): timedelta(days=days * math.log2(FROM)) for shape, days in product(SHAPES, DOUBLING)}
    as_of = BEGAN
    while (as_of := as_of + EVERY) <= workload.end:
        names = [name for name, after in worth.items() if name not in found and as_of >= BEGAN + after]
        answers = connection.execute(statement, {"operations": names, "as_of": as_of}).fetchall()
        found.update({name: as_of for name, said in answers if said})
    return found


def _false(connection: psycopg.Connection, statement: str, workload: Workload) -> int:
    """Return how often something was said in the last day before any drift began, when nothing was wrong."""
    names = [each.name for each in workload.operations]
    moments = [BEGAN - number * EVERY for number in range(int(timedelta(days=1) / EVERY))]
    answers = [connection.execute(statement, {"operations": names, "as_of": each}).fetchall() for each in moments]
    return sum(bool(said) for moment in answers for _, said in moment)


def _ahead(found: datetime | None, crossed: datetime) -> float | None:
    """Return the hours from finding to the threshold; None if it was not found at all."""
    return None if found is None else round((crossed - found) / timedelta(hours=1), 1)


def _median(leads: Mapping[str, float | None]) -> float | None:
    """Return the median, what was never found being worst; None if that is the median."""
    middle = statistics.median_low([-math.inf if each is None else each for each in leads.values()])
    return None if math.isinf(middle) else middle


def show(result: Mapping[str, Any]) -> None:
    """Print hours ahead of the threshold alert."""
    print("\nDrift: hours from finding it to the first threshold alert (negative: later; -: not found)")
    for detector, speeds in result.items():
        print(f"{detector:<10}{FALSE}: {speeds[FALSE]}")
        for speed, leads in ((speed, leads) for speed, leads in speeds.items() if speed != FALSE):
            cells = ", ".join(f"{shape} {'-' if each is None else each}" for shape, each in leads.items())
            print(f"{detector:<10}{speed:<20}median {_median(leads)}: {cells}", flush=True)


def aims(result: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return what is asked of us, and whether it is reached."""
    medians = [_median(result["ours"][f"doubles in {days} days"]) for days in SLOW]
    return [
        ("drift doubling in 4 or 8 days: found 24 h before the threshold (R-072)", min(m or 0 for m in medians) >= 24)
    ]
