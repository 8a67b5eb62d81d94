"""v_baseline_health: one row for each tracked operation, which says what is wrong with its baseline first."""

from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.servers

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
TRACKED = """
UPDATE pggit.performance_operation_types SET is_tracked = operation_type IN ('commit', 'merge', 'rollback')
"""
BASELINE = """
INSERT INTO pggit.performance_baselines (
    operation_type, branch_id, baseline_date, calculation_timestamp, sample_count, min_microseconds, max_microseconds,
    p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds, mean_microseconds
) VALUES (%s, NULL, CURRENT_DATE, LOCALTIMESTAMP - %s::interval, 500, 1, 9000, 1, 2, 3, 4, 5000, 3)
RETURNING baseline_id
"""
METRIC = """
INSERT INTO pggit.performance_metrics (
    operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
)
SELECT %s, 5000, 5, at - interval '1 s', at, 'app', at, date_trunc('day', at)
FROM (SELECT LOCALTIMESTAMP - %s::interval) AS t (at)
"""
RUN = """
INSERT INTO pggit.scheduled_job_run (job, slot, status, finished_at, next_attempt_at)
VALUES ('baselines', now() - %s::interval, %s, now() - %s::interval, NULL)
"""


async def health(connection: Connection) -> dict[str, str]:
    """Return the verdict of each operation, in the view's order."""
    rows = await (await connection.execute("SELECT operation_type, health FROM pggit.v_baseline_health")).fetchall()
    return dict(rows)


async def baseline(connection: Connection, operation: str, age: str = "1 hour", measured: str = "1 hour") -> int:
    """Make a baseline that old, of an operation that was last measured that long ago."""
    await connection.execute(METRIC.encode(), (operation, measured))
    row = await (await connection.execute(BASELINE.encode(), (operation, age))).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
async def tracked(connection: Connection) -> Connection:
    """Return a connection to a database that tracks three operations."""
    await connection.execute(TRACKED)
    return connection


async def test_without_baselines_each_tracked_operation_misses_one(tracked: Connection) -> None:
    """Nothing measured and nothing calculated is `missing`; untracked operations are not listed."""
    assert await health(tracked) == {"commit": "missing", "merge": "missing", "rollback": "missing"}
    await tracked.execute("UPDATE pggit.performance_operation_types SET is_tracked = NULL")
    assert await health(tracked) == {}


async def test_a_baseline_in_use_is_shown_with_its_figures(tracked: Connection) -> None:
    """The newest active one of all branches, its age, samples, p99, threshold, and what it was made from."""
    await baseline(tracked, "commit", "30 hours")
    newest = await baseline(tracked, "commit", "3 hours")
    row = await (
        await tracked.execute("""
            SELECT health, baseline_id, sample_count, window_days, p99_ms::float8, threshold_ms::float8,
                age BETWEEN interval '3 hours' AND interval '4 hours', last_measured_on IS NOT NULL, last_failure
            FROM pggit.v_baseline_health WHERE operation_type = 'commit'
        """)
    ).fetchone()
    assert row == ("fresh", newest, 500, 7, 5.0, 10.0, True, True, None)


@pytest.mark.parametrize(
    ("age", "run", "measured", "verdict"),
    [
        ("40 days", "1 hour", "1 hour", "fresh"),
        ("40 days", "3 days", "1 hour", "stale"),
        ("40 days", None, "1 hour", "stale"),
        ("1 hour", None, "1 hour", "fresh"),
        ("1 hour", "3 days", "1 hour", "fresh"),
        ("1 hour", "1 hour", "9 days", "stale"),
    ],
)
async def test_stale_is_what_no_run_confirms_and_nobody_measures(
    tracked: Connection, age: str, run: str | None, measured: str, verdict: str
) -> None:
    """An old baseline that last night's run left in use is fresh; without runs or metrics for days it is stale."""
    await baseline(tracked, "commit", age, measured)
    if run is not None:
        await tracked.execute(RUN.encode(), (run, "succeeded", run))
    await tracked.execute(RUN.encode(), ("30 minutes", "failed", "30 minutes"))
    assert (await health(tracked))["commit"] == verdict


async def test_what_waits_and_what_failed_comes_first(tracked: Connection) -> None:
    """A held candidate and a failure after the last success are verdicts of their own, and stand at the top."""
    for operation in ("commit", "merge", "rollback"):
        await baseline(tracked, operation)
    await tracked.execute("""
        INSERT INTO pggit.performance_baseline_history (operation_type, status, new_p99_microseconds, error_message)
        VALUES ('merge', 'held', 44000, NULL), ('rollback', 'failed', NULL, 'percentiles are not in order')
    """)
    assert list((await health(tracked)).items()) == [("rollback", "failed"), ("merge", "held"), ("commit", "fresh")]
    row = await (
        await tracked.execute("""
            SELECT held_p99_ms::float8, held_since IS NOT NULL, last_failure FROM pggit.v_baseline_health
            WHERE operation_type IN ('merge', 'rollback')
        """)
    ).fetchall()
    assert row == [(None, False, "percentiles are not in order"), (44.0, True, None)]
    await tracked.execute(RUN.encode(), ("0", "succeeded", "-1 minute"))
    assert (await health(tracked))["rollback"] == "fresh"
