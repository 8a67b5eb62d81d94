"""A detector that knows the truth: what ours would find if a week of history were enough to know the distribution.

It applies our rule (sql/functions/anomalies/anomaly_limits.sql) to each operation's true survival function and true
season instead of estimates. The distance between the two is what estimating costs; what both miss, the rule gives up.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil
from random import Random

import psycopg

from pggit_alertd.workload import Operation, Workload
from pggit_alertd.workload.families import HeavyTail
from pggit_alertd.workload.seasons import SLOT_SECONDS

BUDGET = 0.3
FEWEST = 6000
"""Fewer calls a day count as so many."""
MATTERS = 1.4
"""Times the true p99.9."""
POWER_LAW = 6

SLOW = """
    SELECT operation_type, recorded_at, duration_microseconds
    FROM pggit.performance_metrics
    WHERE operation_type = %s AND recorded_at > %s AND recorded_at <= %s AND duration_microseconds > %s
"""


def find(connection: psycopg.Connection, workload: Workload, begin: datetime) -> set[tuple[str, datetime]]:
    """Return the operation and time of each metric after `begin` that is unusual by the truth."""
    return {each for operation in workload.operations for each in _of(connection, workload, operation, begin)}


def _of(
    connection: psycopg.Connection, workload: Workload, operation: Operation, begin: datetime
) -> Iterator[tuple[str, datetime]]:
    slots = ceil(workload.days * 86400 / SLOT_SECONDS)
    # Without wandering, which no fleet has, the source is not asked.
    factors = [factor for factor, _ in operation.season.slots(workload.start, slots, Random(0))]  # noqa: S311
    cut = operation.scale * multiple(operation)
    rows = connection.execute(SLOW, (operation.name, begin, workload.end, int(cut * min(factors))))
    for name, at, microseconds in rows:
        slot = (at - workload.start) // timedelta(seconds=SLOT_SECONDS)
        if microseconds > cut * factors[min(slot, slots - 1)]:
            yield name, at


def multiple(operation: Operation) -> float:
    """Return how many times its scale a metric of the operation must take, before any season."""
    share = BUDGET / max(operation.per_day, FEWEST)
    if isinstance(operation.family, HeavyTail):
        share /= POWER_LAW
    return max(operation.family.quantile(1 - share), MATTERS * operation.family.quantile(0.999))
