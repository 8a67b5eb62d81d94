"""What must not be lost or misread of the detectors' settings and verdicts."""

from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

pytestmark = pytest.mark.servers

Connection = AsyncConnection[tuple[Any, ...]]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM pggit.anomaly_detection_settings",
        "UPDATE pggit.anomaly_detection_settings SET operation_type = 'commit' WHERE operation_type = '*'",
    ],
)
async def test_the_row_of_defaults_stays(connection: Connection, statement: str) -> None:
    """Without it nothing would be looked for; whoever removes it is told how to switch detection off instead."""
    with pytest.raises(psycopg.errors.RestrictViolation, match="must stay") as refused:
        await connection.execute(statement.encode())
    assert "SET enabled = FALSE" in (refused.value.diag.message_hint or "")
    await connection.execute("UPDATE pggit.anomaly_detection_settings SET enabled = FALSE WHERE operation_type = '*'")


async def test_what_can_t_be_judged_has_no_figures(connection: Connection) -> None:
    """An unknown operation, and every one of an empty database, is INSUFFICIENT_DATA with NULL instead of a number."""
    found = await connection.execute(
        "SELECT severity, percent_change, zscore FROM pggit.degradation_scan('nope')"
        " UNION SELECT severity, percent_change, zscore FROM pggit.degradation_scan()"
    )
    assert await found.fetchall() == [("INSUFFICIENT_DATA", None, None)]


async def test_an_operation_that_is_not_tracked_is_said_not_to_be_scanned(connection: Connection) -> None:
    """However much is known of it, the scan passes it over, and the status says so."""
    await connection.execute("""
        INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time, end_time,
            user_name, recorded_at, period_start)
        SELECT 'commit', 5000, 5, at, at + interval '1 s', 'app', at, date_trunc('day', at)
        FROM generate_series(1, 1000) AS n
        CROSS JOIN LATERAL (SELECT localtimestamp - n * interval '7 minutes') AS moment (at)
    """)
    await connection.execute("SELECT pggit.refresh_performance_histograms()")
    await connection.execute("SELECT pggit.refresh_latency_profiles()")
    status = "SELECT status FROM pggit.anomaly_detection_status('commit')"
    assert await (await connection.execute(status)).fetchone() == ("watched",)
    await connection.execute(
        "UPDATE pggit.performance_operation_types SET is_tracked = FALSE WHERE operation_type = 'commit'"
    )
    assert await (await connection.execute(status)).fetchone() == ("untracked",)


@pytest.mark.parametrize("moment", ["'infinity'", "localtimestamp + interval '61 minutes'", "'4000-01-01'"])
async def test_profiles_of_no_time_are_refused(connection: Connection, moment: str) -> None:
    """An endless moment, and one to come, is an error that names the argument, and nothing is stored."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="p_as_of"):
        await connection.execute(f"SELECT pggit.refresh_latency_profiles(({moment})::timestamp)".encode())
    profiled = await connection.execute("SELECT profiled_to FROM pggit.anomaly_scan_state")
    assert await profiled.fetchone() == (None,)
    await connection.execute("SELECT pggit.refresh_latency_profiles(localtimestamp::timestamp)")
