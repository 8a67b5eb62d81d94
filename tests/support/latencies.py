"""Latencies of operations as hourly histograms, made without a single metric: exact, deterministic and quick."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import psycopg

WIDTH = math.log(1.01 / 0.99)
HOUR = timedelta(hours=1)
ORDINARY: Sequence[float] = tuple(
    math.exp(0.3 * z) for z in (-1.6, -1.1, -0.8, -0.5, -0.3, -0.1, 0.1, 0.3, 0.5, 0.8, 1.1, 2)
)
"""Twelve calls, as multiples of their median: the quantiles of a log-normal distribution."""

INSERT = """
INSERT INTO pggit.performance_metric_histogram (
    operation_type, hour_start, sample_count, min_microseconds, max_microseconds, sum_microseconds, sum_squares,
    buckets, counts
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

Hourly = Callable[[datetime], Iterable[float]]
"""The durations of an hour's calls, in microseconds."""


def bucket(microseconds: float) -> int:
    """Return the number of the bucket that a duration falls into."""
    return math.ceil(math.log(microseconds) / WIDTH)


def ordinary(
    median: float = 20_000, *, since: datetime | None = None, factor: float = 1, calls: Sequence[float] = ORDINARY
) -> Hourly:
    """Return calls around `median`, `factor` times as long from `since` on."""

    def hourly(hour: datetime) -> Iterable[float]:
        level = median * (factor if since is not None and hour >= since else 1)
        return [level * each for each in calls]

    return hourly


def store(connection: psycopg.Connection, operation: str, begin: datetime, end: datetime, hourly: Hourly) -> None:
    """Store the histograms of an operation's hours from `begin` to before `end`; hours without calls have none."""
    rows = []
    hour = begin
    while hour < end:
        durations = [round(each) for each in hourly(hour)]
        if durations:
            counted = sorted(Counter(map(bucket, durations)).items())
            rows.append(
                (
                    operation,
                    hour,
                    len(durations),
                    min(durations),
                    max(durations),
                    float(sum(durations)),
                    float(sum(each * each for each in durations)),
                    [number for number, _ in counted],
                    [count for _, count in counted],
                )
            )
        hour += HOUR
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, rows)
