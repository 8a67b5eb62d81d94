"""What the SQL costs: recalculation, detectors, dashboards and lists, beside the design document's SQL in the same run.

    .venv/bin/python bench/sql.py [--size 100k|1m|7m|all]        make bench-sql [SIZE=100k]

Metrics in 7 days: 100K, 1M, 7M, of 33 operations with unequal volumes; 1M of 100 operations; 1M in 365 days; merges:
10K and 100K; 100,000 rows of everything that is listed. Each statement is run once to warm up, then up to nine times;
figures are medians of the wall time, and of the CPU of the server's process. Parallel query and JIT are off, for ours
and for theirs. Prints a table, in which a missed aim is marked, and writes build/bench-sql.json: a list of {"what",
"size", "ms", "document_ms", ...}. The document's SQL, made to run, is in bench/document/.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

import _document
import dashboards
import writer
from _contest import Figure, beside, measure, show, store
from _rig import Rig
from _sql_data import fill_metrics, fill_rows
from pggit_alertd.database import queries

REPORT = Path(__file__).resolve().parent.parent / "build" / "bench-sql.json"
SIZES = {"100k": 100_000, "1m": 1_000_000, "7m": 7_000_000}
MERGES = {"10k": 10_000, "100k": 100_000}
SESSION = "SET max_parallel_workers_per_gather = 0; SET jit = off"

REFRESH = "refresh of the histograms"
PROFILES = "refresh of the latency profiles"
SCORES = "refresh of the hours' scores"
RECALCULATION = "recalculation of all operations, all replaced"
SCAN = "anomalies of 24 h, all operations"
INCREMENT = "incremental scan for anomalies"
ONE = "anomalies of 24 h, the busiest operation"
DEGRADATION = "degradation of 24 h, all operations"
CORRELATION = "correlated degradation, all pairs"

HISTOGRAMS = "SELECT pggit.refresh_performance_histograms()"
CONTEST: dict[str, tuple[str, str | None]] = {
    REFRESH: (HISTOGRAMS, None),
    PROFILES: ("SELECT pggit.refresh_latency_profiles()", None),
    SCORES: ("SELECT pggit.refresh_hour_scores()", None),
    RECALCULATION: (
        "SELECT * FROM pggit.recalculate_all_baselines_rolling(7, 10, TRUE)",
        "SELECT * FROM document.recalculate_all_baselines_rolling(7, 10, TRUE)",
    ),
    SCAN: (
        "SELECT * FROM pggit.detect_all_anomalies(24)",
        "SELECT * FROM document.detect_all_anomalies()",
    ),
    ONE: (
        "SELECT * FROM pggit.detect_anomalies_statistical('commit')",
        "SELECT * FROM document.detect_anomalies_statistical('commit')",
    ),
    INCREMENT: ("SELECT * FROM pggit.scan_anomalies()", None),
    DEGRADATION: (
        "SELECT * FROM pggit.degradation_scan()",
        "SELECT * FROM document.degradation_scan()",
    ),
    CORRELATION: (
        "SELECT * FROM pggit.detect_correlated_degradation()",
        "SELECT * FROM document.detect_correlated_degradation()",
    ),
}
"""What is timed on metrics: ours, and the document's for the same."""

AIMS: dict[str, dict[str, float]] = {
    RECALCULATION: {"100k": 60, "1m": 60, "7m": 60, "100 operations": 1000, "365 days": 1000},
    SCAN: {"100k": 10, "1m": 20, "7m": 50, "100 operations": 1000, "365 days": 1000},
    INCREMENT: {"100k": 20, "1m": 20, "7m": 20},
    DEGRADATION: {"100k": 15, "1m": 15, "7m": 15, "100 operations": 1000, "365 days": 1000},
    CORRELATION: {"100k": 15, "1m": 15, "7m": 15, "100 operations": 1000, "365 days": 1000},
    ONE: {"100k": 5, "365 days": 1000},
}
"""R-021, R-022, R-061, R-069, R-091, R-092, R-187 and R-188, in milliseconds."""

PERCENTILE_ERROR = """
    SELECT max(abs(percentile.ours::float8 / percentile.exact - 1))
    FROM (
        SELECT
            ARRAY[b.p50_microseconds, b.p75_microseconds, b.p90_microseconds, b.p95_microseconds, b.p99_microseconds]
                AS ours,
            percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY m.duration_microseconds) AS exact
        FROM pggit.performance_baselines AS b
        INNER JOIN pggit.performance_metrics AS m USING (operation_type)
        WHERE b.is_active AND b.branch_id IS NULL
            AND m.recorded_at >= LOCALTIMESTAMP - make_interval(days => b.calculated_from_days)
        GROUP BY b.baseline_id
    ) AS baseline
    CROSS JOIN LATERAL unnest(baseline.ours, baseline.exact) AS percentile (ours, exact)
"""

LISTS: dict[str, tuple[str, dict[str, object]]] = {
    "one alert": ("console_alert", {"alert_id": 77_777}),
    "notifications of an alert": ("console_alert_notifications", {"alert_id": 77_777}),
    "why somebody was told of an alert": ("explain_alert", {"alert_id": 77_777}),
    "newest alerts": (
        "console_alerts",
        {"operation": None, "type": None, "severity": None, "unacknowledged": False, "before": None},
    ),
    "newest deliveries": ("console_deliveries", {"channel": None, "status": None, "before": None}),
    "newest dead letters": ("console_dead_letters", {"before": None}),
    "held baselines": ("console_baselines_held", {}),
    "newest baseline changes": ("console_baseline_history", {"operation": None}),
    "jobs and their last runs": ("console_jobs", {}),
}
TOGETHER = "four merge dashboards"
SINGLE_ROW_MS = 5.0
DASHBOARD_MS = {"10k": 20.0, "100k": 50.0}
"""R-189, for all four."""
WRITER_ROUNDS = 5
WRITER_CALLS = 2000


@contextmanager
def database(rig: Rig, name: str) -> Iterator[psycopg.Connection]:
    """Lend a connection to a database of its own that is migrated and has the document's SQL; drop it afterwards."""
    identifier = sql.Identifier(f"bench_{name}")
    with psycopg.connect(rig.server.dsn(), autocommit=True) as outside:
        outside.execute(sql.SQL("CREATE DATABASE {} TEMPLATE bench").format(identifier))
        try:
            with psycopg.connect(rig.server.dsn(f"bench_{name}"), autocommit=True) as connection:
                connection.execute(SESSION)
                _document.install(connection)
                yield connection
        finally:
            outside.execute(sql.SQL("DROP DATABASE {}").format(identifier))


def contest(connection: psycopg.Connection, size: str) -> list[Figure]:
    """Time what runs on metrics. The histograms are built first, as the daemon keeps them."""
    started = time.perf_counter()
    connection.execute(HISTOGRAMS.encode())
    once = round(1000 * (time.perf_counter() - started), 1)
    figures = [Figure("histograms of the whole period, once", size, once)]
    connection.execute(b"VACUUM (ANALYZE)")
    for what, (ours, document) in CONTEST.items():
        figures.append(beside(connection, what, size, ours, document, aim=AIMS.get(what, {}).get(size)))
        if what == RECALCULATION and (row := connection.execute(PERCENTILE_ERROR.encode()).fetchone()) is not None:
            figures[-1] = replace(figures[-1], note=f"largest error of a percentile {100 * row[0]:.2f} %")
    return figures


def lists(connection: psycopg.Connection) -> list[Figure]:
    """Time the queries that fetch one row or a page of a list, at 100,000 rows of each kind."""
    figures = []
    for what, (name, parameters) in LISTS.items():
        taken = measure(connection, queries.load(name), parameters)
        figures.append(Figure(what, "100k rows", taken.wall, cpu_ms=taken.cpu, aim=SINGLE_ROW_MS))
    return figures


def overhead(rig: Rig) -> list[Figure]:
    """Time record_performance_metric with alerting and without, in turns; 1 % of the calls raise an alert."""
    taken: dict[tuple[str, ...], list[float]] = {writer.THEIRS: [], writer.OURS: []}
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        writer.warm(connection)
        for _ in range(WRITER_ROUNDS):
            for setup, calls in taken.items():
                calls.append(writer.measure(connection, setup, WRITER_CALLS, 100))
    without, ours = (statistics.median(calls) for calls in taken.values())
    note = f"CPU; {without:.1f} us without alerting, {100 * (ours / without - 1):+.1f} %"
    return [Figure("record_performance_metric, 1 % alerts", "a call", round(ours / 1000, 4), note=note)]


def merges(connection: psycopg.Connection, size: str) -> list[Figure]:
    """Time the four merge dashboards, as bench/dashboards.py does."""
    return [
        Figure(**{**row, "size": f"{size} merges"}, aim=DASHBOARD_MS[size] if row["what"] == TOGETHER else None)
        for row in dashboards.measure(connection, MERGES[size])
    ]


def work(rig: Rig, size: str) -> Iterator[list[Figure]]:
    """Yield the figures of a size, or of all sizes and what there is besides, as they come in."""
    for name in SIZES if size == "all" else (size,):
        with database(rig, name) as connection:
            fill_metrics(connection, SIZES[name])
            yield contest(connection, name)
            if name == min(SIZES):
                fill_rows(connection)
                yield lists(connection)
    for name in MERGES if size == "all" else ("10k",):
        with database(rig, f"merges_{name}") as connection:
            yield merges(connection, name)
    if size == "all":
        with database(rig, "operations") as connection:
            fill_metrics(connection, SIZES["1m"], operations=100)
            yield contest(connection, "100 operations")
        with database(rig, "year") as connection:
            fill_metrics(connection, SIZES["1m"], days=365)
            yield contest(connection, "365 days")
    yield overhead(rig)


def main() -> None:
    """Fill, measure, print, write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=(*SIZES, "all"), default="all", type=str.lower)
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with Rig() as rig:
        for some in work(rig, arguments.size):
            show(some)
            figures += some
    store(figures, REPORT)
    missed = sum(each.missed for each in figures)
    print(f"{len(figures)} figures in {REPORT}; {missed or 'no'} aims missed")


if __name__ == "__main__":
    main()
