"""What the tests of histograms and detectors share: metrics with a time of their own, and a look at what is stored."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from math import ceil, log

from psycopg import AsyncConnection

from database.baseline_support import scalar

WIDTH = log(1.01 / 0.99)


@asynccontextmanager
async def undone(dsn: str) -> AsyncIterator[AsyncConnection]:
    """Lend a connection inside a transaction that is rolled back, so that tests can share a database."""
    async with await AsyncConnection.connect(dsn) as connection:
        yield connection
        await connection.rollback()


async def local_hour(connection: AsyncConnection, hours_ago: int = 0) -> datetime:
    """Return the hour that the session's clock is in, or one that many hours before."""
    hour: datetime = await scalar(connection, "SELECT date_trunc('hour', localtimestamp)")
    return hour - timedelta(hours=hours_ago)


async def measure(connection: AsyncConnection, operation: str, metrics: Iterable[tuple[datetime, int]]) -> list[int]:
    """Record metrics as (recorded at, microseconds), each on its own day; return their ids."""
    given = list(metrics)
    cursor = await connection.execute(
        "INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time,"
        " end_time, user_name, recorded_at, period_start)"
        " SELECT %s, us, us::numeric / 1000, at - interval '1 us', at, 'tester', at, date_trunc('day', at)"
        " FROM unnest(%s::timestamp[], %s::bigint[]) WITH ORDINALITY AS m (at, us, position) ORDER BY position"
        " RETURNING metric_id",
        (operation, [at for at, _ in given], [us for _, us in given]),
    )
    return [int(row[0]) for row in await cursor.fetchall()]


def bucket(microseconds: int) -> int:
    """Compute a duration's bucket by its definition."""
    return ceil(log(microseconds) / WIDTH)


async def histogram(connection: AsyncConnection, operation: str) -> dict[datetime, dict[int, int]]:
    """Return an operation's stored hours, as counts by bucket."""
    cursor = await connection.execute(
        "SELECT hour_start, buckets, counts FROM pggit.performance_metric_histogram WHERE operation_type = %s",
        (operation,),
    )
    return {hour: dict(zip(buckets, counts, strict=True)) for hour, buckets, counts in await cursor.fetchall()}
