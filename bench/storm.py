"""A storm: 100,000 alerts in a minute. What writers pay, what is sent, what it costs, and how soon a page gets through.

    .venv/bin/python bench/storm.py [--alerts 100000] [--seconds 60] [--interval 10]

Two connections insert alerts of 33 operations, a hundred a statement, evenly over the time; first with no daemon, then
with one, so that the medians can be compared. Slack has one setting with a min_interval; every other second a
CRITICAL alert of an operation of its own goes to a second webhook, and its way is timed. At the end each alert must have
been routed, sent (by itself or in a digest) and logged.
"""

import argparse
import json
import statistics
import threading
import time

import psycopg

from _rig import DaemonProcess, Rig, quantiles

BATCH = 100
WRITERS = 2
METRIC = "SELECT metric_id FROM pggit.performance_metrics LIMIT 1"
ALERTS = """
INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, actual_duration_microseconds,
    baseline_p99_microseconds)
SELECT %(metric)s, 'operation ' || g %% 33, 'ANOMALY', 'WARNING', 50000 + g, 10000
FROM generate_series(1, %(batch)s) AS g
"""
PAGE = """
INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, actual_duration_microseconds,
    baseline_p99_microseconds)
VALUES (%s, %s, 'THRESHOLD_EXCEEDED', 'CRITICAL', 90000, 10000)
"""
UNSETTLED = """
SELECT (SELECT count(*) FROM pggit.alert_outbox)
    + (SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'pending')
"""


class Weather:
    """What a storm was like: milliseconds of each statement, of each page's way, and the daemon's memory in MB."""

    def __init__(self) -> None:
        self.statements: list[float] = []
        self.pages: list[float] = []
        self.resident: list[float] = []
        self.lag = 0.0


def blow(rig: Rig, alerts: int, seconds: float, weather: Weather) -> None:
    """Insert a writer's share of the alerts at an even pace."""
    statements = alerts // BATCH // WRITERS
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        metric = connection.execute(METRIC).fetchone()
        assert metric is not None
        begun = time.monotonic()
        for number in range(statements):
            ahead = begun + seconds * number / statements - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            weather.lag = max(weather.lag, -ahead)
            started = time.perf_counter()
            connection.execute(ALERTS, {"metric": metric[0], "batch": BATCH})
            weather.statements.append((time.perf_counter() - started) * 1000)


def storm(rig: Rig, alerts: int, seconds: float, daemon: DaemonProcess | None) -> Weather:
    """Let a storm pass; with a daemon, page in between and wait until everything is settled."""
    weather = Weather()
    writers = [threading.Thread(target=blow, args=(rig, alerts, seconds, weather)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        metric = connection.execute(METRIC).fetchone()
        assert metric is not None
        number = 0
        while any(writer.is_alive() for writer in writers):
            time.sleep(2)
            if daemon is not None:
                number += 1
                begun = time.time()
                connection.execute(PAGE, (metric[0], f"page {number}"))
                weather.pages.append((rig.marked_arrival(number) - begun) * 1000)
                weather.resident.append(daemon.resident_mb())
        for writer in writers:
            writer.join()
        while daemon is not None and connection.execute(UNSETTLED).fetchone() != (0,):
            weather.resident.append(daemon.resident_mb())
            time.sleep(0.5)
    return weather


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=10.0)
    arguments = parser.parse_args()
    with Rig() as rig, psycopg.connect(rig.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE pggit.alert_notification_settings SET operation_pattern = 'operation*', min_interval = %s",
            (f"{arguments.interval} s",),
        )
        connection.execute(
            "INSERT INTO pggit.alert_notification_settings"
            " (alert_type, severity, notification_channel, config, operation_pattern)"
            " VALUES ('*', 'CRITICAL', 'slack', jsonb_build_object('webhook', %s::text), 'page*')",
            (rig.marked_webhook,),
        )
        calm = storm(rig, arguments.alerts, arguments.seconds, None)
        connection.execute("TRUNCATE pggit.alert_outbox")
        connection.execute("VACUUM ANALYZE pggit.performance_alerts")
        before, begun = rig.received(), time.monotonic()
        with rig.daemon() as daemon:
            wild = storm(rig, arguments.alerts, arguments.seconds, daemon)
            settled_after = time.monotonic() - begun - arguments.seconds
        counts = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE status = 'sent') FROM pggit.alert_notification_queue"
        ).fetchone()
        assert counts is not None
        logged = connection.execute(
            "SELECT count(DISTINCT queue_id) FROM pggit.alert_notification_log WHERE status = 'sent'"
        ).fetchone()
        assert logged == (counts[0],), (logged, counts)
        result = {
            "alerts": arguments.alerts,
            "queued": counts[0],
            "sent": counts[1],
            "messages": rig.received() - before,
            "settled_seconds_after_the_last": round(settled_after, 1),
            "statement_ms_alone": quantiles(calm.statements),
            "statement_ms_beside": quantiles(wild.statements),
            "writer_ratio": round(statistics.median(wild.statements) / statistics.median(calm.statements), 2),
            "page_ms": quantiles(wild.pages),
            "resident_mb": [min(wild.resident), max(wild.resident)],
        }
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
