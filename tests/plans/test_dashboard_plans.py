"""What the dashboards touch: each merge's header once, the sums, and of the merges only those that are younger."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.merges import DASHBOARDS
from support.plans import Database, Node, blocks, filled, nodes, scans

pytestmark = pytest.mark.servers

MERGES = 20_000
FILL = """
INSERT INTO pggit.branches (branch_name, created_by) SELECT 'branch ' || n, 'ann' FROM generate_series(1, 20) AS n;
INSERT INTO pggit.merge_performance_metrics (
    source_branch_id, target_branch_id, merge_base_calculation_us, conflict_detection_us, auto_resolution_us,
    conflict_count, total_merge_us, merge_status, user_name, started_at, completed_at
)
SELECT 1 + n % 20, 1 + n % 3, n % 911, n % 577, n % 733, n % 9, 5000 + n % 9973, 'SUCCESS', 'ann',
    LOCALTIMESTAMP - n * interval '2 minutes', LOCALTIMESTAMP - n * interval '2 minutes'
FROM generate_series(1, 20000) AS n;
-- A hundred thousand metrics, and a history of baselines.
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start)
SELECT (ARRAY['commit', 'merge', 'rollback'])[1 + n % 3], 5000, 5, at - interval '1 s', at, 'app', at,
    date_trunc('day', at)
FROM generate_series(1, 100000) AS n, LATERAL (SELECT LOCALTIMESTAMP - n * interval '6 s') AS t (at);
INSERT INTO pggit.performance_baseline_history (operation_type, status, old_p99_microseconds, new_p99_microseconds)
SELECT (ARRAY['commit', 'merge', 'rollback'])[1 + n % 3], 'applied', 5000, 6000 FROM generate_series(1, 10000) AS n;
"""


@pytest.fixture(scope="module")
def large(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 20,000 merges, all summed up, and 100,000 metrics."""
    with filled(server, FILL, "VACUUM ANALYZE", "SELECT pggit.refresh_merge_rollup(TRUE)") as connection:
        yield connection


def explain(connection: Database, statement: str) -> list[Node]:
    """Run a statement twice, the second time with its plan, and return the executed nodes."""
    connection.execute(statement.encode())
    cursor = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode())
    plan = cursor.fetchall()[0][0][0]["Plan"]
    return [node for node in nodes(plan) if node["Actual Loops"] > 0]


def heap(connection: Database) -> int:
    """Return how many blocks the merges are."""
    row = connection.execute(
        "SELECT pg_relation_size('pggit.merge_performance_metrics') / current_setting('block_size')::bigint"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("view", DASHBOARDS)
def test_a_dashboard_reads_headers_and_sums(large: Database, view: str) -> None:
    """One pass over the merges for their headers and no second one, whatever the dashboard adds up."""
    statement = f"SELECT * FROM pggit.{view}"  # noqa: S608 - names of ours
    plan = explain(large, statement)
    assert scans(plan, "merge_performance_metrics") == {"Seq Scan": MERGES}
    assert blocks(plan) < heap(large) + 60
    assert plan[0]["Total Cost"] < MERGES  # 100,000 merges stay below jit_above_cost


@pytest.mark.parametrize("view", DASHBOARDS)
def test_younger_merges_are_fetched_one_by_one(large: Database, view: str) -> None:
    """What is not summed up yet is read where it is, so a dashboard does not grow slower between two runs."""
    with large.transaction(force_rollback=True):
        large.execute(
            "INSERT INTO pggit.merge_performance_metrics (source_branch_id, target_branch_id, total_merge_us,"
            " merge_status, user_name, started_at)"
            " SELECT 1, 2, 5000, 'FAILED', 'ann', LOCALTIMESTAMP - interval '1 minute' FROM generate_series(1, 50)"
        )
        plan = explain(large, f"SELECT * FROM pggit.{view}")  # noqa: S608 - names of ours
    assert scans(plan, "merge_performance_metrics") == {"Seq Scan": MERGES + 50, "Tid Scan": 50}
    assert blocks(plan) < heap(large) + 200


@pytest.mark.parametrize(
    ("question", "most"),
    [
        ("SELECT * FROM pggit.v_baseline_health WHERE operation_type = 'commit'", 60),
        ("SELECT * FROM pggit.v_baseline_health", 1_000),
    ],
)
def test_a_row_or_a_list_costs_what_it_shows(large: Database, question: str, most: int) -> None:
    """At 100,000 rows nothing is read in proportion to the table."""
    plan = explain(large, question)
    assert plan[0]["Actual Rows"] > 0
    assert blocks(plan) < most
    assert not [node for node in plan if "Seq Scan" in node["Node Type"] and node["Actual Rows"] > 1_000]
