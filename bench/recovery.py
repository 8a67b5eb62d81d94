"""How soon after a fault the next alert is delivered, how fast a backlog drains, how much memory an outage costs.

    .venv/bin/python bench/recovery.py [--rounds 5] [--backlog 100000] [--waiting 1000000]

Recovery is measured from the moment PostgreSQL takes connections again (after a crash and restart, or as the promoted
standby) to the first request at the sink for an alert that is raised right then. The outage of an hour runs by a clock
of its own: for each minute of it every time that the daemon waits for is set back by a minute (the breaker's next
probe, and the retries), and the probe that is due then has to be made and refused before the next minute begins. Memory
is looked at all the while, and /healthz is asked once a minute.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

import psycopg

from _rig import DaemonProcess, Rig
from latency import raise_alert
from pggit_alertd.database.embedded import EmbeddedServer

QUEUE = """
INSERT INTO pggit.alert_notification_queue (
    alert_id, channel, recipient, message, setting_id, urgency, group_key, destination_key, alert, give_up_at,
    created_at, occurred_at
)
SELECT
    g, 'slack', s.recipient, 'ALERT: operation exceeded its baseline by 5.0x', s.setting_id, 1,
    'operation ' || g || '/THRESHOLD_EXCEEDED', s.destination_key,
    jsonb_build_object(
        'alert_id', g, 'operation_type', 'operation ' || g, 'alert_type', 'THRESHOLD_EXCEEDED', 'severity', 'WARNING',
        'duration_us', 250000, 'baseline_p99_us', 50000, 'factor', 5.0, 'user_name', 'bench', 'metric_id', g
    ),
    now() + interval '3 hours', now() - interval '1 hour', now() - interval '1 hour'
FROM generate_series(1, %s) AS g, pggit.alert_notification_settings AS s
WHERE s.notification_channel = 'slack'
"""
"""Every row is of a group of its own, so that each becomes a message."""
A_MINUTE_LATER = (
    """
    UPDATE pggit.alert_destination
    SET opened_at = opened_at - interval '1 min', open_until = open_until - interval '1 min',
        paused_until = paused_until - interval '1 min'
    """,
    """
    UPDATE pggit.alert_notification_queue SET next_attempt_at = next_attempt_at - interval '1 min'
    WHERE queue_id = ANY(ARRAY(
        SELECT queue_id FROM pggit.alert_notification_queue
        WHERE status = 'pending' AND claimed_by IS NULL AND next_attempt_at > now() FOR UPDATE SKIP LOCKED
    ))
    """,
    "NOTIFY pggit_alert",
)
ATTEMPTS = "SELECT count(*) FROM pggit.alert_notification_log WHERE status = 'retry'"
PROBE_SECONDS = 30.0
PENDING = "SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'pending'"


def deliver_one(rig: Rig, dsn: str, number: int) -> float:
    """Raise an alert and return the seconds to its arrival."""
    before = rig.received()
    begun = time.time()
    with psycopg.connect(dsn, autocommit=True) as connection:
        raise_alert(connection, number)
    return rig.arrival(before + 1, within=60) - begun


def after_restarts(rig: Rig, rounds: int) -> list[float]:
    """Return seconds from the end of each restart to the next delivery, under one daemon."""
    found = []
    with rig.daemon():
        for number in range(rounds):
            deliver_one(rig, rig.dsn, 10_000 + number)
            rig.server.halt(signal.SIGQUIT)
            rig.server.resume()
            found.append(deliver_one(rig, rig.dsn, 20_000 + number))
    return found


def standby_of(primary: EmbeddedServer) -> EmbeddedServer:
    """Start a standby that the primary waits for at each synchronous commit."""
    standby = EmbeddedServer(directory=Path(tempfile.mkdtemp(prefix="pggit-alertd-")))
    standby._prepare()  # noqa: SLF001 - a server whose data come from pg_basebackup and not from initdb
    primary._run(  # noqa: SLF001 - as above
        "pg_basebackup", "-D", str(standby.data), "-h", str(primary.socket), "-U", "postgres", "-R", "-c", "fast"
    )
    standby.resume()
    with psycopg.connect(primary.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
    return standby


def after_promotion() -> float:
    """Return seconds from the promotion of a standby to the next delivery."""
    with Rig() as rig:
        standby = standby_of(rig.server)
        hosts = f"{rig.server.socket},{standby.socket}"
        both = f"postgresql://postgres@/bench?host={hosts}&target_session_attrs=read-write"
        try:
            with rig.daemon(PGGIT_ALERTD_DATABASE_URL=both, PGGIT_ALERTD_LISTEN_DATABASE_URL=both):
                deliver_one(rig, rig.dsn, 1)
                rig.server.halt(signal.SIGQUIT)
                with psycopg.connect(standby.dsn(), autocommit=True) as connection:
                    connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
                    connection.execute("SELECT pg_promote()")
                return deliver_one(rig, standby.dsn("bench"), 2)
        finally:
            standby.stop()


def drained(rig: Rig, backlog: int) -> tuple[float, float]:
    """Return seconds to empty a backlog, from the daemon's first request, and its resident memory in MB then."""
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE pggit.alert_notification_queue, pggit.alert_notification_log")
        connection.execute(QUEUE, (backlog,))
        connection.execute("VACUUM ANALYZE pggit.alert_notification_queue")
        before = rig.received()
        with rig.daemon() as daemon:
            first = rig.arrival(before + 1)
            while connection.execute(PENDING).fetchone() != (0,):
                time.sleep(0.2)  # rarely enough to take no CPU from what is measured
            return time.time() - first, daemon.resident_mb()


def outage(rig: Rig, waiting: int, minutes: int) -> dict[str, float]:
    """Return resident memory in MB at start and at most, and how /healthz did, while rows wait and all is refused."""
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE pggit.alert_notification_queue, pggit.alert_notification_log")
        connection.execute(
            "UPDATE pggit.alert_notification_settings"
            " SET config = jsonb_build_object('webhook', 'http://127.0.0.1:9/services/T00000000/B00000000/refused')"
        )
        connection.execute(QUEUE, (waiting,))
        connection.execute("VACUUM ANALYZE pggit.alert_notification_queue")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with rig.daemon(PGGIT_ALERTD_HTTP_PORT=str(port)) as daemon:
            start = daemon.resident_mb()
            minutes_seen = [_minute(connection, daemon, port) for _ in range(minutes)]
        left = connection.execute(PENDING).fetchone()
        attempts = connection.execute(ATTEMPTS).fetchone()
    assert left == (waiting,), left
    assert attempts is not None
    answers = [answer for _, answer in minutes_seen]
    return {
        "rows": waiting,
        "minutes": minutes,
        "attempts": int(attempts[0]),
        "at_start_mb": start,
        "most_mb": max(memory for memory, _ in minutes_seen),
        "healthz_median_ms": round(statistics.median(answers)),
        "healthz_most_ms": round(max(answers)),
    }


def _minute(connection: psycopg.Connection, daemon: DaemonProcess, port: int) -> tuple[float, float]:
    """Let a minute of the simulated hour pass; return the most memory seen and the milliseconds of a health page.

    Raises TimeoutError if the probe that is due is not made.
    """
    before = connection.execute(ATTEMPTS).fetchone()
    for statement in A_MINUTE_LATER:
        connection.execute(statement.encode())
    most = daemon.resident_mb()
    deadline = time.monotonic() + PROBE_SECONDS
    while connection.execute(ATTEMPTS).fetchone() == before:
        if time.monotonic() > deadline:
            raise TimeoutError("the destination was not probed")
        time.sleep(0.05)  # between two looks at its memory
        most = max(most, daemon.resident_mb())
    asked = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as reply:
        detail = json.load(reply)["detail"]
    answered = (time.monotonic() - asked) * 1000
    assert any(each["count"] for each in detail["queue"]), detail
    return max(most, daemon.resident_mb()), answered


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=int, default=60)
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    promotions = [after_promotion() for _ in range(arguments.rounds)]
    with Rig() as rig:
        restarts = after_restarts(rig, arguments.rounds)
        seconds, resident = drained(rig, arguments.backlog)
        memory = outage(rig, arguments.waiting, arguments.minutes)
    result = {
        "restart_seconds": {"median": round(statistics.median(restarts), 2), "most": round(max(restarts), 2)},
        "promotion_seconds": {"median": round(statistics.median(promotions), 2), "most": round(max(promotions), 2)},
        "backlog": {
            "rows": arguments.backlog,
            "seconds": round(seconds, 1),
            "per_second": round(arguments.backlog / seconds),
            "resident_mb": resident,
        },
        "outage": memory,
        "load": [round(load, 1) for load in (load_before, os.getloadavg()[0])],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
