"""Weeks 1 and 2 as we make them in an empty database: every function on data, on empty tables, and on NULL."""

from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, errors

EXTREME = 9_000_000_000_000_000
"""Microseconds: 285 years, far beyond pgGit's own columns and still a timestamp."""


async def one(connection: AsyncConnection[Any], statement: str, *parameters: object) -> Any:
    """Return the first column of the first row, None without a row."""
    row = await (await connection.execute(statement.encode(), parameters)).fetchone()
    return None if row is None else row[0]


async def record(connection: AsyncConnection[Any], operation: str, *durations: int, branch: int | None = None) -> None:
    """Record metrics of an operation, durations in microseconds."""
    await connection.execute(
        "SELECT pggit.record_performance_metric(%s, d, p_branch_id => %s) FROM unnest(%s::bigint[]) AS d",
        (operation, branch, list(durations)),
    )


async def branches(connection: AsyncConnection[Any], *names: str) -> list[int]:
    """Create branches and return their ids."""
    return [
        await one(
            connection,
            "INSERT INTO pggit.branches (branch_name, created_by) VALUES (%s, 'ann') RETURNING branch_id",
            name,
        )
        for name in names
    ]


async def test_the_operation_types_are_all_there(connection: AsyncConnection[Any]) -> None:
    """All 33 operation types are tracked and have a category and a typical duration."""
    rows = await (
        await connection.execute(
            "SELECT category, count(*) FROM pggit.performance_operation_types"
            " WHERE is_tracked AND typical_duration_ms > 0 GROUP BY 1"
        )
    ).fetchall()
    assert dict(rows) == {"basics": 7, "history": 6, "merging": 10, "rollback": 6, "data": 4}


async def test_a_metric_holds_its_times(connection: AsyncConnection[Any]) -> None:
    """A metric ends now, starts its duration earlier, and belongs to the day it was recorded on."""
    metric = await one(connection, "SELECT pggit.record_performance_metric('commit', 1500, 'c1', NULL, 'ann', 's1', 3)")
    row = await (
        await connection.execute(
            "SELECT duration_ms::float, end_time - start_time = interval '1.5 ms', period_start = end_time::date,"
            " user_name, rows_affected FROM pggit.performance_metrics WHERE metric_id = %s",
            (metric,),
        )
    ).fetchone()
    assert row == (1.5, True, True, "ann", 3)


@pytest.mark.parametrize("duration", [1, 10_000_000_000_000, EXTREME])
async def test_extreme_durations_are_recorded(connection: AsyncConnection[Any], duration: int) -> None:
    """A microsecond and centuries fit; in pgGit anything from 2.8 hours on is lost."""
    await record(connection, "commit", duration)
    assert await one(connection, "SELECT duration_microseconds FROM pggit.performance_metrics") == duration


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ("'commit', 0", errors.CheckViolation),
        ("'commit', -5", errors.CheckViolation),
        ("'commit', NULL", errors.NotNullViolation),
        ("NULL, 5", errors.NotNullViolation),
        ("' ', 5", errors.CheckViolation),
        ("'commit', 5, p_user_name => NULL", errors.NotNullViolation),
        ("'commit', 5, p_branch_id => 4711", errors.ForeignKeyViolation),
    ],
)
async def test_impossible_metrics_are_refused(
    connection: AsyncConnection[Any], arguments: str, kind: type[psycopg.Error]
) -> None:
    """A metric that says nothing, or whose branch is unknown, is an error and leaves no row."""
    with pytest.raises(kind):
        await connection.execute(f"SELECT pggit.record_performance_metric({arguments})".encode())
    assert await one(connection, "SELECT count(*) FROM pggit.performance_metrics") == 0


async def test_an_alert_is_raised_beyond_the_threshold_only(connection: AsyncConnection[Any]) -> None:
    """At p99 times the multiplier there is no alert; a microsecond more raises one WARNING with the multiple of p99."""
    await record(connection, "commit", 1000)
    await one(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    await record(connection, "commit", 2000)
    assert await one(connection, "SELECT count(*) FROM pggit.performance_alerts") == 0
    await record(connection, "commit", 2500)
    row = await (
        await connection.execute(
            "SELECT alert_type, severity, violation_multiplier::float, baseline_p99_microseconds,"
            " actual_duration_microseconds, is_acknowledged FROM pggit.performance_alerts"
        )
    ).fetchone()
    assert row == ("THRESHOLD_EXCEEDED", "WARNING", 2.5, 1000, 2500, False)


async def test_a_violation_of_ten_thousand_times_is_recorded(connection: AsyncConnection[Any]) -> None:
    """In pgGit a multiple of 10,000 overflows and the metric is lost; here both are kept."""
    await record(connection, "commit", 1)
    await one(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    await record(connection, "commit", EXTREME)
    assert await one(connection, "SELECT violation_multiplier FROM pggit.performance_alerts") == EXTREME
    assert await one(connection, "SELECT pggit.calculate_performance_baseline('commit')") is not None


async def test_a_baseline_of_zero_divides_nothing(connection: AsyncConnection[Any]) -> None:
    """A hand-made baseline with p99 0 raises the alert without a multiple."""
    await connection.execute(
        "INSERT INTO pggit.performance_baselines (operation_type, baseline_date, sample_count, min_microseconds,"
        " max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,"
        " mean_microseconds) VALUES ('commit', CURRENT_DATE, 1, 0, 0, 0, 0, 0, 0, 0, 0)"
    )
    await record(connection, "commit", 5)
    assert (
        await one(connection, "SELECT count(*) FROM pggit.performance_alerts WHERE violation_multiplier IS NULL") == 1
    )


async def test_the_newest_baseline_of_the_branch_or_of_all_decides(connection: AsyncConnection[Any]) -> None:
    """A metric is compared with the newest active baseline whose branch is its own or none, never another's."""
    main, feature = await branches(connection, "main", "feature")
    await record(connection, "commit", 1000, branch=main)
    await one(connection, "SELECT pggit.calculate_performance_baseline('commit', %s)", main)
    await record(connection, "commit", 90_000, branch=feature)
    assert await one(connection, "SELECT count(*) FROM pggit.performance_alerts") == 0
    await record(connection, "commit", 90_000, branch=main)
    assert await one(connection, "SELECT branch_id FROM pggit.performance_alerts") == main


async def test_checking_what_has_no_baseline(connection: AsyncConnection[Any]) -> None:
    """Checking gives NULL for NULL, for an unknown metric, and for an operation without a baseline."""
    assert await one(connection, "SELECT pggit.check_performance_baseline(NULL)") is None
    assert await one(connection, "SELECT pggit.check_performance_baseline(4711)") is None
    await record(connection, "commit", 1000)
    metric = await one(connection, "SELECT max(metric_id) FROM pggit.performance_metrics")
    assert await one(connection, "SELECT pggit.check_performance_baseline(%s)", metric) is None


async def test_a_baseline_is_the_percentiles_of_the_window(connection: AsyncConnection[Any]) -> None:
    """Percentiles, mean and deviation are PostgreSQL's own aggregates over the metrics of the last days."""
    await record(connection, "commit", *range(100, 1100, 10))
    await connection.execute(
        "UPDATE pggit.performance_metrics SET period_start = period_start - interval '30 days' WHERE metric_id <= 10"
    )
    baseline = await one(connection, "SELECT pggit.calculate_performance_baseline('commit', NULL, 7, 3.5)")
    row = await (
        await connection.execute(
            "SELECT sample_count, min_microseconds, max_microseconds, p50_microseconds, p99_microseconds,"
            " mean_microseconds::float, alert_threshold_multiplier::float FROM pggit.performance_baselines"
            " WHERE baseline_id = %s AND is_active",
            (baseline,),
        )
    ).fetchone()
    assert row == (90, 200, 1090, 645, 1081, 645.0, 3.5)


async def test_a_global_baseline_leaves_branch_baselines_alone(connection: AsyncConnection[Any]) -> None:
    """Recalculating without a branch replaces only the baseline without a branch."""
    main, _ = await branches(connection, "main", "feature")
    await record(connection, "commit", 1000, branch=main)
    for _ in range(2):
        await one(connection, "SELECT pggit.calculate_performance_baseline('commit', %s)", main)
        await one(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    rows = await (
        await connection.execute("SELECT branch_id FROM pggit.performance_baselines WHERE is_active ORDER BY 1")
    ).fetchall()
    assert rows == [(main,), (None,)]


@pytest.mark.parametrize("arguments", ["'commit'", "NULL", "'unknown', 4711", "'commit', NULL, NULL, NULL"])
async def test_without_metrics_there_is_no_baseline(connection: AsyncConnection[Any], arguments: str) -> None:
    """On an empty table, for NULL and for unknown ids the calculation returns NULL and keeps what was active."""
    assert await one(connection, f"SELECT pggit.calculate_performance_baseline({arguments})") is None
    assert await one(connection, "SELECT count(*) FROM pggit.performance_baselines") == 0


async def test_acknowledging_records_who_and_why(connection: AsyncConnection[Any]) -> None:
    """An acknowledged alert leaves the list of open ones; an unknown id and NULL change nothing."""
    await record(connection, "commit", 1000)
    await one(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    await record(connection, "commit", 5000)
    await record(connection, "commit", 6000)
    listed = await (await connection.execute("SELECT * FROM pggit.get_unacknowledged_alerts()")).fetchall()
    assert [(row[1], float(row[4]), float(row[5])) for row in listed] == [("commit", 1.0, 6.0), ("commit", 1.0, 5.0)]
    await connection.execute(
        "SELECT pggit.acknowledge_performance_alert(4711), pggit.acknowledge_performance_alert(NULL)"
    )
    await connection.execute("SELECT pggit.acknowledge_performance_alert(%s, 'ann', 'known')", (listed[0][0],))
    assert await one(connection, "SELECT count(*) FROM pggit.get_unacknowledged_alerts(NULL)") == 1
    row = await (
        await connection.execute(
            "SELECT acknowledged_by, resolution_notes, acknowledged_at IS NOT NULL FROM pggit.performance_alerts"
            " WHERE is_acknowledged"
        )
    ).fetchone()
    assert row == ("ann", "known", True)


async def test_the_trend_has_one_row_per_day(connection: AsyncConnection[Any]) -> None:
    """get_performance_trend sums up each day; without metrics, for NULL and for another branch it is empty."""
    assert await one(connection, "SELECT count(*) FROM pggit.get_performance_trend('commit')") == 0
    assert await one(connection, "SELECT count(*) FROM pggit.get_performance_trend(NULL, NULL, NULL)") == 0
    await record(connection, "commit", 1000, 2000, 3000)
    await connection.execute(
        "UPDATE pggit.performance_metrics SET period_start = period_start - interval '1 day' WHERE metric_id = 1"
    )
    rows = await (await connection.execute("SELECT * FROM pggit.get_performance_trend('commit')")).fetchall()
    assert [(row[1], float(row[2]), float(row[5])) for row in rows] == [(2, 2.5, 2.5), (1, 1.0, 1.0)]
    assert await one(connection, "SELECT count(*) FROM pggit.get_performance_trend('commit', 4711)") == 0


async def test_a_merge_is_recorded_with_its_phases(connection: AsyncConnection[Any]) -> None:
    """A merge starts its duration before it ends, and unknown branches, NULL totals and odd statuses are refused."""
    main, feature = await branches(connection, "main", "feature")
    merge = "SELECT pggit.record_merge_performance(%s, %s, %s, p_conflict_count => %s, p_merge_status => %s)"
    for count, status in ((0, "SUCCESS"), (None, "ABANDONED")):
        assert await one(connection, merge, feature, main, 86_400_000_000, count, status) is not None
    same = "SELECT bool_and(completed_at - started_at = interval '1 day') FROM pggit.merge_performance_metrics"
    assert await one(connection, same) is True
    for source, total, status, kind in (
        (4711, 5, "SUCCESS", errors.ForeignKeyViolation),
        (feature, None, "SUCCESS", errors.NotNullViolation),
        (feature, 5, "SOMEHOW", errors.CheckViolation),
        (None, 5, "SUCCESS", errors.NotNullViolation),
    ):
        with pytest.raises(kind):
            await one(connection, merge, source, main, total, 0, status)


async def test_a_span_is_measured_inside_one_transaction(connection: AsyncConnection[Any]) -> None:
    """A span lasts although CURRENT_TIMESTAMP stands still; unknown and NULL spans change nothing."""
    async with connection.transaction():
        span = await one(connection, "SELECT pggit.start_performance_trace(p_operation_type => 'merge')")
        await one(connection, "SELECT pggit.end_performance_trace(%s, 'FAILED', 'no luck', 'X1')", span)
    row = await (
        await connection.execute(
            "SELECT duration_microseconds > 0, span_status, error_message, trace_id IS NOT NULL"
            " FROM pggit.operation_traces"
        )
    ).fetchone()
    assert row == (True, "FAILED", "no luck", True)
    await connection.execute("SELECT pggit.end_performance_trace(NULL), pggit.end_performance_trace('unknown')")
    nothing = "SELECT pggit.start_performance_trace(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    assert await one(connection, nothing) is not None
    assert await one(connection, "SELECT pggit.start_performance_trace('t', 'given')") == "given"


async def test_deleting_a_branch_keeps_its_metrics_and_alerts(connection: AsyncConnection[Any]) -> None:
    """A branch can be deleted: metrics and alerts stay without it, its baselines and merges go."""
    main, feature = await branches(connection, "main", "feature")
    await record(connection, "commit", 1000, branch=feature)
    await one(connection, "SELECT pggit.calculate_performance_baseline('commit', %s)", feature)
    await record(connection, "commit", 9000, branch=feature)
    await one(connection, "SELECT pggit.record_merge_performance(%s, %s, 5)", feature, main)
    await connection.execute("DELETE FROM pggit.branches WHERE branch_id = %s", (feature,))
    counts = await (
        await connection.execute(
            "SELECT (SELECT count(*) FROM pggit.performance_metrics WHERE branch_id IS NULL),"
            " (SELECT count(*) FROM pggit.performance_alerts WHERE branch_id IS NULL),"
            " (SELECT count(*) FROM pggit.performance_baselines),"
            " (SELECT count(*) FROM pggit.merge_performance_metrics)"
        )
    ).fetchone()
    assert counts == (2, 1, 0, 0)


async def test_the_functions_run_with_the_callers_rights(connection: AsyncConnection[Any]) -> None:
    """As in pgGit, none of the functions of weeks 1 and 2 lends its owner's rights."""
    names = await one(
        connection,
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'pggit'::regnamespace AND NOT prosecdef AND proname IN ("
        "'record_performance_metric', 'check_performance_baseline', 'calculate_performance_baseline',"
        "'acknowledge_performance_alert', 'get_performance_trend', 'get_unacknowledged_alerts',"
        "'record_merge_performance', 'start_performance_trace', 'end_performance_trace')",
    )
    assert names == 9
