"""bench/document: the design document's SQL runs beside ours, so that a bench measures what it says it measures."""

import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.backtests import day, record

BENCH = Path(__file__).parents[2] / "bench"
ANSWERS = {
    "SELECT * FROM document.recalculate_all_baselines_rolling(36500)": 1,
    "SELECT * FROM document.recalculate_all_baselines_rolling(36500, 10, FALSE)": 0,
    "SELECT * FROM document.detect_all_anomalies(24, 3.0, '2025-03-04')": 1,
    "SELECT * FROM document.detect_anomalies_statistical('commit', 24, 3.0, '2025-03-04')": 1,
    "SELECT * FROM document.degradation_scan(24, 20.0, '2025-03-04') WHERE severity = 'DEGRADATION_DETECTED'": 1,
    "SELECT * FROM document.detect_correlated_degradation(24, 0.7, '2025-03-04')": 0,
    "SELECT * FROM document.v_merge_bottleneck_analysis": 0,
    "SELECT * FROM document.v_merge_success_tracking": 0,
    "SELECT * FROM document.v_merge_phase_timeline": 0,
    "SELECT * FROM document.v_merge_conflict_analysis": 0,
}


async def test_the_documents_sql_runs(
    database: str, connection: psycopg.AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each function and view of the document answers on nothing and on data, and leaves pgGit's baselines alone."""
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.delitem(sys.modules, "_document", raising=False)
    import _document

    with psycopg.connect(database, autocommit=True) as plain:
        _document.install(plain)
    for statement in ANSWERS:
        await connection.execute(statement.encode())
    await record(connection, "commit", 10_000, start=day(0), end=day(1))
    await record(connection, "commit", 3_000_000, start=day(0.9), end=day(0.901), every="1 hour")
    for statement, rows in ANSWERS.items():
        assert len(await (await connection.execute(statement.encode())).fetchall()) == rows, statement
    untouched = await connection.execute("SELECT count(*) FROM pggit.performance_baselines")
    assert await untouched.fetchone() == (0,)
