"""What the baseline tests share: metrics to measure, and a look at baselines and their history."""

import asyncio
from collections.abc import Iterable
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import dict_row

Row = dict[str, Any]

PGGIT_CALCULATION = """
CREATE OR REPLACE FUNCTION pggit.calculate_performance_baseline(
    p_operation_type text, p_branch_id integer DEFAULT NULL, p_lookback_days integer DEFAULT 7,
    p_alert_threshold_multiplier numeric DEFAULT 2.0
)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_baseline_id bigint;
BEGIN
    UPDATE pggit.performance_baselines AS b SET is_active = FALSE
    WHERE b.operation_type = p_operation_type AND b.is_active AND (p_branch_id IS NULL OR b.branch_id = p_branch_id);

    INSERT INTO pggit.performance_baselines (
        operation_type, branch_id, baseline_date, sample_count, min_microseconds, max_microseconds, p50_microseconds,
        p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds, mean_microseconds
    )
    SELECT p_operation_type, p_branch_id, CURRENT_DATE, count(*), min(d), max(d), max(d), max(d), max(d), max(d),
        max(d), avg(d)
    FROM pggit.performance_metrics AS m CROSS JOIN LATERAL (VALUES (m.duration_microseconds)) AS v (d)
    WHERE m.operation_type = p_operation_type AND (p_branch_id IS NULL OR m.branch_id = p_branch_id)
    RETURNING baseline_id INTO v_baseline_id;
    RETURN v_baseline_id;
END $$
"""
"""How pgGit v0.1.0 goes about it: no lock, and without a branch it switches off the baselines of every branch."""

SNAPSHOT: LiteralString = """
    SELECT
        (SELECT jsonb_agg(to_jsonb(b) ORDER BY baseline_id) FROM pggit.performance_baselines AS b),
        (SELECT jsonb_agg(to_jsonb(h) ORDER BY history_id) FROM pggit.performance_baseline_history AS h)
"""
"""Everything a recalculation could change."""


async def rows(connection: AsyncConnection, statement: str, *parameters: Any) -> list[Row]:
    """Return the rows of a statement as dictionaries."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()


async def scalar(connection: AsyncConnection, statement: str, *parameters: Any) -> Any:
    """Return the first column of the first row."""
    row = await (await connection.execute(statement, parameters)).fetchone()
    assert row is not None
    return row[0]


async def record(
    connection: AsyncConnection,
    operation: str,
    durations: Iterable[int],
    *,
    age: str = "1 hour",
    branch_id: int | None = None,
) -> None:
    """Store metrics of these durations (microseconds), recorded `age` ago."""
    await connection.execute(
        """
        INSERT INTO pggit.performance_metrics (
            operation_type, duration_microseconds, duration_ms, start_time, end_time, branch_id, user_name,
            recorded_at, period_start
        )
        SELECT
            %s, duration, duration::numeric / 1000, at, at + interval '1 second', %s, 'tester', at,
            date_trunc('day', at)
        FROM unnest(%s::bigint []) AS duration CROSS JOIN (SELECT LOCALTIMESTAMP - %s::interval) AS moment (at)
        """,
        (operation, branch_id, list(durations), age),
    )


async def replace_metrics(
    connection: AsyncConnection, operation: str, durations: Iterable[int], *, branch_id: int | None = None
) -> None:
    """Make these durations the only metrics of the operation."""
    await connection.execute("DELETE FROM pggit.performance_metrics WHERE operation_type = %s", (operation,))
    await record(connection, operation, durations, branch_id=branch_id)


async def recalculate(
    connection: AsyncConnection, lookback_days: int | None = 7, min_samples: int | None = 10, force: bool | None = False
) -> list[Row]:
    """Run the nightly recalculation and return what it reports."""
    return await rows(
        connection,
        "SELECT * FROM pggit.recalculate_all_baselines_rolling(%s, %s, %s)",
        lookback_days,
        min_samples,
        force,
    )


async def active(connection: AsyncConnection, operation: str, branch_id: int | None = None) -> list[Row]:
    """Return every active baseline of an operation and branch."""
    return await rows(
        connection,
        "SELECT * FROM pggit.performance_baselines"
        " WHERE operation_type = %s AND branch_id IS NOT DISTINCT FROM %s AND is_active ORDER BY baseline_id",
        operation,
        branch_id,
    )


async def history(connection: AsyncConnection, operation: str) -> list[Row]:
    """Return the history of an operation, oldest first."""
    return await rows(
        connection,
        "SELECT * FROM pggit.performance_baseline_history WHERE operation_type = %s ORDER BY history_id",
        operation,
    )


async def settle(connection: AsyncConnection, operation: str, duration: int) -> int:
    """Give the operation a baseline whose p99 is `duration`, and that very window; return the baseline's id."""
    await replace_metrics(connection, operation, [duration] * 12)
    applied = await rows(connection, "SELECT * FROM pggit.recalculate_baseline(%s, p_force_recalc => TRUE)", operation)
    return int(applied[0]["baseline_id"])


async def hold(connection: AsyncConnection, operation: str, old: int = 1000, new: int = 9000) -> int:
    """Bring the operation to a held candidate and return its history id."""
    await settle(connection, operation, old)
    await replace_metrics(connection, operation, [new] * 12)
    assert await recalculate(connection) == []
    return int(
        await scalar(connection, "SELECT history_id FROM pggit.held_baselines() WHERE operation_type = %s", operation)
    )


async def add_branch(connection: AsyncConnection, name: str) -> int:
    """Create a branch and return its id."""
    return int(
        await scalar(
            connection,
            "INSERT INTO pggit.branches (branch_name, created_by) VALUES (%s, 'tester') RETURNING branch_id",
            name,
        )
    )


async def wait_until_blocked(watcher: AsyncConnection, pid: int) -> None:
    """Return when the backend `pid` waits for a lock that somebody else holds."""
    async with asyncio.timeout(30):
        while not await scalar(watcher, "SELECT cardinality(pg_blocking_pids(%s)) > 0", pid):
            pass


def listen_to_warnings(connection: AsyncConnection) -> list[str]:
    """Return a list that grows with every message the server sends on this connection."""
    heard: list[str] = []
    connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    return heard
