"""What a replay reads of a busy table: the slow calls of a day by index, never the day."""

from collections.abc import Iterator
from typing import Any

import pytest

from pggit_alertd.database import queries
from support.plans import MODES, Database, explain, filled

FILL = """
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start, recorded_at)
SELECT 'operation ' || n % 100, us, us / 1000.0, at - interval '1 s', at, 'app', date_trunc('day', at), at
FROM (
    SELECT n, 5000 + n % 977 AS us, timestamp '2025-03-03' + n * interval '3 s' AS at
    FROM generate_series(1, 50000) AS n
) AS made
"""


@pytest.fixture(scope="module")
def busy(server: Any) -> Iterator[Database]:
    """Yield a connection to a database with 50,000 metrics of a hundred operations in two days."""
    with filled(server, FILL) as connection:
        yield connection


@pytest.mark.parametrize("mode", MODES)
def test_only_slow_calls_are_read(busy: Database, mode: str) -> None:
    """Each operation and day costs index probes: no scan reads rows that are faster than the cut."""
    parameters = {
        "operations": [f"operation {n}" for n in range(5)],
        "days": ["2025-03-04"] * 5,
        "p99s": [5900] * 5,
        "cuts": [5960] * 5,
        "from": "2025-03-04",
        "to": "2025-03-05",
    }
    plan = list(explain(busy, mode, queries.load("backtest_thresholds"), parameters))
    assert {node["Index Name"] for node in plan if "Index Name" in node} == {"idx_performance_metrics_composite"}
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    scans = [node for node in plan if node.get("Relation Name") == "performance_metrics"]
    assert 0 < sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) < 200
