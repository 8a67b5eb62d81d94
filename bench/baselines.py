"""How long the nightly recalculation takes, beside the plain loop over operations, however many metrics there are.

    .venv/bin/python bench/baselines.py [--metrics 100000 1000000 7000000] [--rounds 9]
        [--postgres /usr/lib/postgresql/15/bin]

Stores metrics of 33 operations over 7 days in an embedded PostgreSQL, log-normal durations, volumes unequal by a factor
of about 12, folds them into histograms as the hourly job does, then measures in turns, so that a busy machine hurts all
of them alike:

- keep: recalculate_all_baselines_rolling() on unchanged metrics, what most nights are
- replace: the same, forced: 33 baselines replaced, with history
- refresh: what the hourly job pays to bring histograms up to date; a recalculation pays it only after a missed hour
- exact: the figures from the metrics themselves, what small windows get
- histogram: the figures from histograms, what others get
- week 2: pgGit's way, calculate_performance_baseline for one operation after the other
- row by row: each operation's percentiles, comparison, UPDATE and INSERT one after the other, as one would write it
- group by: only the figures, by one GROUP BY with percentile_cont

Prints the median in milliseconds, wall time and CPU of the server process, the ratio of row by row to replace, and how
much more the largest size costs than the smallest. Those that read all metrics run once where there are millions.
"""

import argparse
import asyncio
import statistics
import time
from pathlib import Path
from typing import LiteralString

import psycopg

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer

FILL: LiteralString = """
    WITH drawn AS MATERIALIZED (
        SELECT
            1 + floor(33 * random() ^ 2)::integer AS operation_type_id,
            1 + (8000 * exp(0.5 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())))::bigint AS duration,
            LOCALTIMESTAMP - random() * interval '6 days 23 hours' AS at
        FROM generate_series(1, %s)
    )
    INSERT INTO pggit.performance_metrics (
        operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
    )
    SELECT operation_type, duration, duration::numeric / 1000, at - interval '1 second', at, 'bench', at,
        date_trunc('day', at)
    FROM drawn INNER JOIN pggit.performance_operation_types USING (operation_type_id)
    ORDER BY at
"""

ROW_BY_ROW: LiteralString = """
DO $$
DECLARE
    v_type text;
    v_new pggit.performance_baselines;
    v_old pggit.performance_baselines;
BEGIN
    FOR v_type IN SELECT operation_type FROM pggit.performance_operation_types WHERE is_tracked LOOP
        SELECT count(*), min(d), max(d), avg(d), stddev(d),
            percentile_cont(0.5) WITHIN GROUP (ORDER BY d), percentile_cont(0.75) WITHIN GROUP (ORDER BY d),
            percentile_cont(0.9) WITHIN GROUP (ORDER BY d), percentile_cont(0.95) WITHIN GROUP (ORDER BY d),
            percentile_cont(0.99) WITHIN GROUP (ORDER BY d)
        INTO v_new.sample_count, v_new.min_microseconds, v_new.max_microseconds, v_new.mean_microseconds,
            v_new.stddev_microseconds, v_new.p50_microseconds, v_new.p75_microseconds, v_new.p90_microseconds,
            v_new.p95_microseconds, v_new.p99_microseconds
        FROM pggit.performance_metrics CROSS JOIN LATERAL (VALUES (duration_microseconds)) AS v (d)
        WHERE operation_type = v_type AND recorded_at >= LOCALTIMESTAMP - interval '7 days';
        CONTINUE WHEN v_new.sample_count < 10;
        SELECT * INTO v_old FROM pggit.performance_baselines
        WHERE operation_type = v_type AND branch_id IS NULL AND is_active;
        UPDATE pggit.performance_baselines SET is_active = FALSE WHERE baseline_id = v_old.baseline_id;
        INSERT INTO pggit.performance_baselines (
            operation_type, baseline_date, sample_count, min_microseconds, max_microseconds, p50_microseconds,
            p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds, mean_microseconds,
            stddev_microseconds
        ) VALUES (
            v_type, CURRENT_DATE, v_new.sample_count, v_new.min_microseconds, v_new.max_microseconds,
            v_new.p50_microseconds, v_new.p75_microseconds, v_new.p90_microseconds, v_new.p95_microseconds,
            v_new.p99_microseconds, v_new.mean_microseconds, v_new.stddev_microseconds
        );
    END LOOP;
END $$
"""

GROUP_BY: LiteralString = """
    SELECT operation_type, count(*), min(duration_microseconds), max(duration_microseconds),
        avg(duration_microseconds), stddev(duration_microseconds),
        percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_microseconds)
    FROM pggit.performance_metrics INNER JOIN pggit.performance_operation_types USING (operation_type)
    WHERE is_tracked AND recorded_at >= LOCALTIMESTAMP - interval '7 days'
    GROUP BY operation_type
"""

CONTENDERS: dict[str, LiteralString] = {
    "keep": "SELECT pggit.recalculate_all_baselines_rolling()",
    "replace": "SELECT pggit.recalculate_all_baselines_rolling(7, 10, TRUE)",
    "refresh": "SELECT pggit.refresh_performance_histograms()",
    "histogram": "SELECT pggit.histogram_latency_figures(LOCALTIMESTAMP - interval '7 days')",
    "exact": "SELECT pggit.exact_latency_figures(LOCALTIMESTAMP - interval '7 days')",
    "week 2": "SELECT pggit.calculate_performance_baseline(operation_type) FROM pggit.performance_operation_types",
    "row by row": ROW_BY_ROW,
    "group by": GROUP_BY,
}
READ_ALL = frozenset({"exact", "week 2", "row by row", "group by"})
"""Those whose time grows with the metrics."""
MILLIONS = 2_000_000


def cpu_seconds(pid: int) -> float:
    """Return the CPU time the server process has used, from the kernel's scheduler."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(connection: psycopg.Connection, metrics: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median wall and CPU milliseconds of each contender; the first round only warms up."""
    pid = connection.info.backend_pid
    walls: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    loads: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds + 1):
        for name, statement in CONTENDERS.items():
            if name in READ_ALL and metrics >= MILLIONS and number != 1:
                continue
            cpu, wall = cpu_seconds(pid), time.perf_counter()
            connection.execute(statement)
            if number:
                walls[name].append(1000 * (time.perf_counter() - wall))
                loads[name].append(1000 * (cpu_seconds(pid) - cpu))
    return {name: (statistics.median(walls[name]), statistics.median(loads[name])) for name in CONTENDERS}


def check(connection: psycopg.Connection) -> float:
    """See that what was measured was right: one baseline for each operation; return the largest error of a p99."""
    connection.execute("SELECT pggit.recalculate_all_baselines_rolling(7, 10, TRUE)")
    errors = connection.execute(
        "SELECT operation_type, count(DISTINCT b.baseline_id), max(b.p99_microseconds)"
        " / percentile_cont(0.99) WITHIN GROUP (ORDER BY m.duration_microseconds) - 1"
        " FROM pggit.performance_metrics AS m"
        " LEFT JOIN pggit.performance_baselines AS b USING (operation_type) WHERE b.is_active IS NOT FALSE"
        " GROUP BY operation_type"
    ).fetchall()
    wrong = [row for row in errors if row[1] != 1 or abs(row[2]) > 0.0101]
    assert len(errors) == 33, f"only {len(errors)} operations"
    assert not wrong, f"wrong baselines: {wrong}"
    return max(abs(float(row[2])) for row in errors)


def bench(binaries: Path | None, metrics: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Fill a server of its own, measure, check, print, and return the medians."""
    with EmbeddedServer(binaries=binaries) as server:
        asyncio.run(migrate.up(server.dsn()))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(FILL, (metrics,))
            connection.execute("SELECT pggit.refresh_performance_histograms()")
            connection.execute("SELECT pggit.recalculate_all_baselines_rolling()")
            connection.execute("VACUUM (ANALYZE)")
            medians = measure(connection, metrics, rounds)
            error = check(connection)
            version = connection.info.server_version // 10000
    print(f"PostgreSQL {version}, {metrics} metrics, 33 operations, medians of {rounds}")
    for name, (wall, cpu) in medians.items():
        print(f"{name:<12}{wall:9.1f} ms   cpu {cpu:8.1f} ms")
    print(f"row by row / replace: {medians['row by row'][1] / medians['replace'][1]:.2f} (CPU)")
    print(f"largest error of a p99: {100 * error:.2f} %\n", flush=True)
    return medians


def main() -> None:
    """Measure each size, smallest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=int, nargs="+", default=[100_000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--postgres", type=Path, help="folder with initdb and postgres; the embedded one unless given")
    arguments = parser.parse_args()
    sizes = sorted(arguments.metrics)
    measured = [bench(arguments.postgres, size, arguments.rounds) for size in sizes]
    if len(sizes) > 1:
        for name in ("keep", "replace"):
            print(f"{name}: {sizes[-1]} / {sizes[0]} metrics: {measured[-1][name][1] / measured[0][name][1]:.2f} (CPU)")


if __name__ == "__main__":
    main()
