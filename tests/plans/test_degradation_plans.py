"""What the degradation detectors read beside 100,000 hours of histograms: a bounded part."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.plans import Database, filled

pytestmark = pytest.mark.servers

NOW = datetime(2026, 3, 10, 12)  # noqa: DTZ001 - as performance_metrics has it: without zone

# 33 operations for 126 days: most of it lies before what any detector looks at.
FILL = """
INSERT INTO pggit.performance_metric_histogram (operation_type, hour_start, sample_count, min_microseconds,
    max_microseconds, sum_microseconds, sum_squares, buckets, counts)
SELECT t.operation_type, hour, 40, 8000, 40000, 40 * 20000.0, 40 * 4e8,
    ARRAY[460, 470, 480, 490, 495, 500, 510, 530 + (extract(HOUR FROM hour)::integer * 7 + t.operation_type_id) %% 11],
    ARRAY[2, 4, 7, 9, 8, 5, 3, 2]
FROM pggit.performance_operation_types AS t
CROSS JOIN generate_series(
    %(now)s::timestamp - interval '126 days', %(now)s::timestamp - interval '1 hour', interval '1 hour'
) AS hour;
"""
SLOWER = """
UPDATE pggit.performance_metric_histogram AS h
SET buckets = ARRAY(SELECT b + 40 FROM unnest(h.buckets) AS b)
WHERE h.hour_start >= %(now)s::timestamp - interval '8 hours'
    AND h.operation_type IN (SELECT operation_type FROM pggit.performance_operation_types WHERE operation_type_id <= 8)
"""


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 100,000 histograms; what a test does is rolled back."""
    with filled(
        server, FILL, SLOWER, "SELECT pggit.refresh_hour_scores(%(now)s)", parameters={"now": NOW}
    ) as connection:
        yield connection


def cost(connection: Database, statement: str, *parameters: object) -> tuple[int, float]:
    """Run a statement three times, rolled back; return the blocks that the last touched and the least milliseconds."""
    touched, least = 0, float("inf")
    for _ in range(3):
        with connection.transaction(force_rollback=True):
            rows = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode(), parameters)
            answer = rows.fetchall()[0][0][0]
        touched = int(answer["Plan"]["Shared Hit Blocks"] + answer["Plan"]["Shared Read Blocks"])
        least = min(least, float(answer["Execution Time"]))
    return touched, least


@pytest.mark.parametrize(
    ("statement", "blocks", "milliseconds"),
    [
        ("SELECT * FROM pggit.degradation_scan(p_as_of => %s)", 300, 1000),
        ("SELECT * FROM pggit.detect_correlated_degradation(p_as_of => %s)", 500, 1000),
        ("SELECT * FROM pggit.detect_performance_degradation('commit', p_as_of => %s)", 500, 1000),
        ("SELECT pggit.refresh_hour_scores(%s)", 600, 1000),
    ],
)
def test_a_look_reads_what_it_judges(large: Database, statement: str, blocks: int, milliseconds: float) -> None:
    """Older hours cost nothing; the bound on the time is loose, because test machines are shared."""
    touched, least = cost(large, statement, NOW)
    assert touched < blocks
    assert least < milliseconds


def test_a_typical_metric_is_a_probe(large: Database) -> None:
    """Among 100,000 metrics of one day, that of median duration is found by the composite index."""
    with large.transaction(force_rollback=True):
        large.execute(
            "INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time,"
            " end_time, user_name, recorded_at, period_start)"
            " SELECT 'commit', 5000 + n, (5000 + n) / 1000.0, at, at + interval '1 s', 'app', at, date_trunc('day', at)"
            " FROM generate_series(1, 100000) AS n"
            " CROSS JOIN LATERAL (SELECT %s::timestamp - n * interval '0.2 s') AS moment (at)",
            (NOW,),
        )
        touched, _ = cost(large, "SELECT * FROM pggit.typical_metric('commit', %s, %s)", NOW - timedelta(hours=6), NOW)
    assert touched < 1000
