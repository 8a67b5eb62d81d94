"""What alerting costs the writer: record_performance_metric with 1 % alerts, with our trigger and index and without.

    .venv/bin/python bench/writer.py [--rounds 15] [--calls 4000]

Rounds alternate inside one server session; figures are the server's CPU, from /proc, because wall time on a shared
machine says little. Prints microseconds a call, the ratio, and what one alert costs beside that.
"""

import argparse
import json
import os
import statistics
from pathlib import Path

import psycopg

from _rig import Rig

WORK = """
DO $$
BEGIN
    FOR i IN 1..%d LOOP
        PERFORM pggit.record_performance_metric('commit', CASE WHEN i %% %d = 0 THEN 900000 ELSE 4000 + i %% 100 END);
    END LOOP;
END
$$
"""
OURS = (
    "ALTER TABLE pggit.performance_alerts ENABLE TRIGGER publish_alerts",
    (
        "CREATE INDEX IF NOT EXISTS alertd_performance_alerts_escalation ON pggit.performance_alerts"
        " (operation_type, alert_type, created_at, alert_id)"
    ),
)
THEIRS = (
    "ALTER TABLE pggit.performance_alerts DISABLE TRIGGER publish_alerts",
    "DROP INDEX IF EXISTS pggit.alertd_performance_alerts_escalation",
)
EMPTY = "TRUNCATE pggit.performance_alerts, pggit.performance_metrics, pggit.alert_outbox CASCADE"


def cpu(pid: int) -> float:
    """Return the CPU seconds that a server process has used, as finely as the kernel tells."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(connection: psycopg.Connection, setup: tuple[str, ...], calls: int, every: int) -> float:
    """Return microseconds of server CPU a call."""
    connection.execute(EMPTY)
    for statement in setup:
        connection.execute(statement.encode())
    connection.execute((WORK % (200, every)).encode())
    before = cpu(connection.info.backend_pid)
    connection.execute((WORK % (calls, every)).encode())
    return (cpu(connection.info.backend_pid) - before) / calls * 1e6


def warm(connection: psycopg.Connection) -> None:
    """Give the operation a baseline to be compared with."""
    for number in range(200):
        connection.execute("SELECT pggit.record_performance_metric('commit', %s)", (4000 + number % 100,))
    connection.execute("SELECT pggit.calculate_performance_baseline('commit')")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=4000)
    arguments = parser.parse_args()
    results: dict[str, list[float]] = {"with": [], "without": [], "alerts with": [], "alerts without": []}
    with Rig() as rig, psycopg.connect(rig.dsn, autocommit=True) as connection:
        warm(connection)
        for _ in range(arguments.rounds):
            results["without"].append(measure(connection, THEIRS, arguments.calls, 100))
            results["with"].append(measure(connection, OURS, arguments.calls, 100))
            results["alerts without"].append(measure(connection, THEIRS, arguments.calls // 4, 1))
            results["alerts with"].append(measure(connection, OURS, arguments.calls // 4, 1))
    median = {name: statistics.median(values) for name, values in results.items()}
    print(
        json.dumps(
            {
                "cpus": os.cpu_count(),
                "record_us_without": round(median["without"], 1),
                "record_us_with": round(median["with"], 1),
                "slowdown_percent": round((median["with"] / median["without"] - 1) * 100, 2),
                "one_alert_us_more": round(median["alerts with"] - median["alerts without"], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
