"""Metrics of a known past for backtests, and the replay as a test calls it."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from pggit_alertd.backtest import Request, replay
from pggit_alertd.backtest.report import Report
from pggit_alertd.database.pool import Database

START = datetime.fromisoformat("2025-03-03T00:00")
"""A Monday long past: what is recorded from here on never reaches the present of a test."""


def day(number: float) -> datetime:
    """Return a moment so many days after START."""
    return START + timedelta(days=number)


async def record(
    connection: psycopg.AsyncConnection[Any],
    operation: str,
    microseconds: int,
    *,
    start: datetime,
    end: datetime,
    every: str = "5 minutes",
) -> None:
    """Record one metric each so often from start until before end, all of the same duration."""
    await connection.execute(
        """
        INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time, end_time,
            user_name, recorded_at, period_start)
        SELECT %(operation)s, %(us)s::bigint, %(us)s::bigint / 1000.0, at - interval '1 second', at, 'app', at,
            date_trunc('day', at)
        FROM generate_series(%(start)s::timestamp, %(end)s::timestamp, %(every)s::interval) AS at
        WHERE at < %(end)s::timestamp
        """,
        {"operation": operation, "us": microseconds, "start": start, "end": end, "every": every},
    )


async def refresh(connection: psycopg.AsyncConnection[Any]) -> None:
    """Bring the histograms up to the metrics, as the daemon does every hour."""
    await connection.execute("SELECT pggit.refresh_performance_histograms()")
    await connection.execute("ANALYZE pggit.performance_metrics")


async def replayed(dsn: str, request: Request) -> Report:
    """Replay on a connection of its own."""
    database = Database(dsn, size=1)
    await database.open()
    try:
        return await replay(database, request, lambda _done, _total: None)
    finally:
        await database.close()
