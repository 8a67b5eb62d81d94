"""What a scan for anomalies reads of 100,000 metrics: what was just recorded, or what is slow, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.plans import Database, filled

pytestmark = pytest.mark.servers

FILL = """
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start)
SELECT operation, us, us / 1000.0, at - interval '1 us', at, 'tester', at, date_trunc('day', at)
FROM generate_series(1, 100000) AS n
CROSS JOIN LATERAL (
    SELECT
        (ARRAY['commit', 'merge', 'get_history', 'rollback'])[1 + n % 4] AS operation,
        5000 + 37 * (n * 7919 % 50) AS us,
        localtimestamp - n * interval '7 s' AS at
) AS metric
"""
REFRESH = ("SELECT pggit.refresh_performance_histograms()", "SELECT pggit.refresh_latency_profiles()")


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 100,000 metrics of eight days, folded and described."""
    with filled(server, FILL, "VACUUM ANALYZE pggit.performance_metrics", *REFRESH) as connection:
        yield connection


def rows_read(connection: Database, statement: bytes) -> dict[str, int]:
    """Run a statement once for its plans and once more, and return what the second run read of the metrics."""
    counters = """
        SELECT i.indexrelname, pg_stat_get_xact_tuples_returned(i.indexrelid)
        FROM pg_stat_all_indexes AS i WHERE i.relname = 'performance_metrics'
        UNION ALL
        SELECT 'sequential', pg_stat_get_xact_tuples_returned('pggit.performance_metrics'::regclass)
    """
    with connection.transaction(force_rollback=True):
        connection.execute(statement)
        before: dict[str, int] = dict(connection.execute(counters.encode()).fetchall())
        connection.execute(statement)
        after: dict[str, int] = dict(connection.execute(counters.encode()).fetchall())
    return {name: after[name] - before[name] for name in after if after[name] > before[name]}


def test_a_day_of_all_operations_is_probed(large: Database) -> None:
    """24 hours of four operations are some probes of the composite index, not 12,000 rows."""
    read = rows_read(large, b"SELECT * FROM pggit.detect_all_anomalies(24)")
    # The planner itself looks up where recorded_at ends.
    assert "idx_performance_metrics_composite" in read
    assert set(read) <= {"idx_performance_metrics_composite", "idx_performance_metrics_recorded_at"}, read
    assert sum(read.values()) < 100


def test_one_operation_is_probed(large: Database) -> None:
    """The detector for one operation reads its slow metrics only, and no history but histograms."""
    read = rows_read(large, b"SELECT * FROM pggit.detect_anomalies_statistical('commit')")
    assert "idx_performance_metrics_composite" in read
    assert set(read) <= {"idx_performance_metrics_composite", "idx_performance_metrics_recorded_at"}, read
    assert sum(read.values()) < 100


def test_the_scan_of_every_minute_reads_some_minutes(large: Database) -> None:
    """A scan after a scan reads what the overlap of five minutes holds, by the index on recorded_at."""
    read = rows_read(large, b"SELECT * FROM pggit.scan_anomalies()")
    assert set(read) == {"idx_performance_metrics_recorded_at"}, read
    assert read["idx_performance_metrics_recorded_at"] < 100


def test_the_hourly_refresh_reads_some_hours(large: Database) -> None:
    """A refresh without news reads the two hours that it makes afresh, and a probe for each operation."""
    read = rows_read(large, b"SELECT pggit.refresh_performance_histograms()")
    assert "sequential" not in read, read
    assert sum(read.values()) < 2 * 3600 / 7 + 200


def test_a_poor_profile_costs_a_probe(large: Database) -> None:
    """Whether there are more metrics than a profile was made of is known from fifty rows of the composite index."""
    span = b"localtimestamp::timestamp - interval '7 days', localtimestamp::timestamp"
    with large.transaction(force_rollback=True):
        large.execute("DELETE FROM pggit.performance_latency_profile")
        read = rows_read(large, b"SELECT pggit.outgrown_profiles(NULL, " + span + b")")
    assert set(read) <= {"idx_performance_metrics_composite", "idx_performance_metrics_recorded_at"}, read
    assert sum(read.values()) <= 4 * 50 + 10


def test_a_small_window_is_read_by_itself(large: Database) -> None:
    """An operation of 500 metrics beside large ones is read exactly, and of the large ones only what is not folded."""
    with large.transaction(force_rollback=True):
        large.execute(
            "UPDATE pggit.performance_metrics SET operation_type = 'branch_create'"
            " WHERE metric_id IN (SELECT metric_id FROM pggit.performance_metrics ORDER BY metric_id LIMIT 80000)"
            " AND metric_id % 160 = 0"
        )
        large.execute("SELECT pggit.refresh_performance_histograms('2000-01-01', localtimestamp::timestamp)")
        large.execute("ANALYZE pggit.performance_metrics")
        found = large.execute("SELECT operation_type, method FROM pggit.baseline_candidates(7, 1)")
        methods: dict[str, str] = dict(found.fetchall())
        read = rows_read(large, b"SELECT * FROM pggit.baseline_candidates(7, 1)")
    assert methods["branch_create"] == "exact"
    assert set(methods.values()) == {"exact", "histogram"}
    assert "sequential" not in read, read
    assert sum(read.values()) < 2 * 500 + 4 * 3600 / 7
