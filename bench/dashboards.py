"""How long the four merge dashboards take, beside the design document's own views.

    .venv/bin/python bench/dashboards.py [--merges 10000 100000] [--rounds 9] [--postgres /usr/lib/postgresql/15/bin]

Stores merges of 40 branches over 60 days in an embedded PostgreSQL and runs each dashboard in turns with the document's
view of the same name, so that a busy machine hurts both alike:

- summed up: as it is between two runs of the job, with 50 merges that it has not summed up yet
- not summed up: after an old merge was changed, until the job's next run

Prints the median in milliseconds, wall time and CPU of the server process. `measure` returns the same as rows for
build/bench-sql.json; there `ms` and `document_ms` are wall time.
"""

import argparse
import asyncio
import statistics
import time
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer

DOCUMENT = Path(__file__).parent / "document" / "merge_views.sql"
DASHBOARDS: tuple[LiteralString, ...] = (
    "v_merge_bottleneck_analysis",
    "v_merge_success_tracking",
    "v_merge_phase_timeline",
    "v_merge_conflict_analysis",
)
BRANCHES: LiteralString = """
    INSERT INTO pggit.branches (branch_name, created_by)
    SELECT 'branch-' || n, 'bench' FROM generate_series(1, 40) AS n
    ON CONFLICT DO NOTHING
"""
FILL: LiteralString = """
    INSERT INTO pggit.merge_performance_metrics (
        source_branch_id, target_branch_id, merge_base_commit_hash, merge_base_calculation_us, conflict_detection_us,
        conflict_count, auto_resolution_us, auto_resolution_success_count, auto_resolution_failure_count,
        total_merge_us, merge_status, merge_outcome_details, user_name, session_id, started_at, completed_at
    )
    SELECT
        branch.first + floor(40 * random() ^ 2)::integer,
        branch.first + floor(5 * random() ^ 2)::integer,
        md5(n::text) || md5(n::text),
        (200 + exp(7 + random() * 2))::bigint,
        (500 + exp(8 + random() * 2))::bigint,
        conflict.count,
        CASE WHEN conflict.count > 0 THEN (300 + exp(6 + random() * 3))::bigint END,
        conflict.count - conflict.count / 3,
        conflict.count / 3,
        (5000 + exp(9 + random() * 2))::bigint,
        (ARRAY['SUCCESS', 'SUCCESS', 'SUCCESS', 'PARTIAL_SUCCESS', 'FAILED', 'ABANDONED'])[1 + n %% 6],
        '{"strategy": "recursive", "files": 12}',
        'bench',
        'session-' || n %% 100,
        began.at,
        began.at + interval '1 second'
    FROM generate_series(1, %(merges)s::integer) AS n
    CROSS JOIN (SELECT min(branch_id) AS first FROM pggit.branches) AS branch
    CROSS JOIN LATERAL (SELECT greatest(n * 7919 %% 20 - 11, 0) AS count) AS conflict
    CROSS JOIN LATERAL (
        SELECT LOCALTIMESTAMP - (%(merges)s::integer - n) * %(days)s * interval '1 day' / %(merges)s::integer AS at
    ) AS began
"""
CHANGE: LiteralString = "UPDATE pggit.merge_performance_metrics SET session_id = 'x' WHERE merge_metric_id = (SELECT min(merge_metric_id) FROM pggit.merge_performance_metrics)"  # noqa: E501 - one statement


def cpu_seconds(pid: int) -> float:
    """Return the CPU time the server process has used, from the kernel's scheduler."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def prepare(connection: psycopg.Connection, merges: int) -> None:
    """Put so many merges into an emptied table, sum them up, and add a few that are not."""
    connection.execute("TRUNCATE pggit.merge_performance_metrics")
    connection.execute(BRANCHES)
    connection.execute(FILL, {"merges": merges, "days": 60})
    connection.execute("VACUUM (ANALYZE) pggit.merge_performance_metrics")
    connection.execute("SELECT pggit.refresh_merge_rollup(TRUE)")
    connection.execute(FILL, {"merges": 50, "days": 0})
    connection.execute("VACUUM (ANALYZE) pggit.merge_pair_rollup, pggit.merge_hour_rollup, pggit.merge_rollup")
    connection.execute(DOCUMENT.read_bytes())


def timed(connection: psycopg.Connection, statements: dict[str, LiteralString], rounds: int) -> dict[str, list[float]]:
    """Return the median wall and CPU milliseconds of each statement; the first round only warms up."""
    pid = connection.info.backend_pid
    walls: dict[str, list[float]] = {name: [] for name in statements}
    loads: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds + 1):
        for name, statement in statements.items():
            cpu, wall = cpu_seconds(pid), time.perf_counter()
            connection.execute(statement).fetchall()
            walls[name].append(1000 * (time.perf_counter() - wall))
            loads[name].append(1000 * (cpu_seconds(pid) - cpu))
    return {name: [statistics.median(walls[name][1:]), statistics.median(loads[name][1:])] for name in statements}


def measure(connection: psycopg.Connection, merges: int, rounds: int = 9) -> list[dict[str, Any]]:
    """Return a row for each dashboard, for all four together, and for the job; sizes are numbers of merges.

    `connection` is in autocommit, on a database of its own that has our schema.
    """
    prepare(connection, merges)
    ours: dict[str, LiteralString] = {view: "SELECT * FROM pggit." + view for view in DASHBOARDS}  # noqa: S608 - names of ours
    theirs: dict[str, LiteralString] = {"document " + view: "SELECT * FROM document." + view for view in DASHBOARDS}  # noqa: S608
    summed_up = timed(connection, {**ours, **theirs}, rounds)
    idle = timed(connection, {"job": "SELECT pggit.refresh_merge_rollup()"}, rounds)["job"]
    connection.execute(CHANGE)
    single = timed(connection, ours, rounds)
    job = timed(connection, {"job": "SELECT pggit.refresh_merge_rollup(TRUE)"}, 3)["job"]

    def row(what: str, ours_ms: list[float], document: list[float] | None) -> dict[str, Any]:
        return {
            "what": what,
            "size": merges,
            "ms": round(ours_ms[0], 2),
            "document_ms": None if document is None else round(document[0], 2),
            "cpu_ms": round(ours_ms[1], 2),
            "document_cpu_ms": None if document is None else round(document[1], 2),
        }

    def together(figures: dict[str, list[float]], prefix: str = "") -> list[float]:
        return [sum(figures[prefix + view][part] for view in DASHBOARDS) for part in (0, 1)]

    document = together(summed_up, "document ")
    return [
        *(row(view, summed_up[view], summed_up["document " + view]) for view in DASHBOARDS),
        row("four merge dashboards", together(summed_up), document),
        row("four merge dashboards, not summed up", together(single), document),
        row("merge_rollup job, nothing to do", idle, None),
        row("merge_rollup job, summing up", job, None),
    ]


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--merges", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--postgres", type=Path, help="folder with initdb and postgres; the embedded one unless given")
    arguments = parser.parse_args()
    with EmbeddedServer(binaries=arguments.postgres, options={"shared_buffers": "128MB"}) as server:
        asyncio.run(migrate.up(server.dsn()))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for merges in arguments.merges:
                print(f"PostgreSQL {connection.info.server_version // 10000}, {merges} merges, ms: wall (CPU)")
                for row in measure(connection, merges, arguments.rounds):
                    document = (
                        ""
                        if row["document_ms"] is None
                        else f"{row['document_ms']:9.1f} ({row['document_cpu_ms']:.1f})"
                    )
                    print(f"{row['what']:<38}{row['ms']:8.1f} ({row['cpu_ms']:.1f})".ljust(58) + document)


if __name__ == "__main__":
    main()
