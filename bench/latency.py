"""Commit → request at the sink, idle: 400 alerts, one at a time, through the real daemon.

    .venv/bin/python bench/latency.py [--alerts 400]

Beside it, in the same run, the floor: NOTIFY → LISTEN on a psycopg connection, then one POST with the same client.
The sink is a process of its own, as in reference figures; PostgreSQL is the embedded 18 with fsync on. Prints
milliseconds (p50, p95, p99), the ratio to the floor, the daemon's resident memory and its CPU when idle.
"""

import argparse
import asyncio
import json
import random
import time

import httpx
import psycopg
from httpx_aiohttp import AiohttpTransport

from _rig import Rig, quantiles, show


def raise_alert(connection: psycopg.Connection, number: int) -> float:
    """Insert one alert, each of its own operation so that none escalates; return the Unix time after the commit."""
    connection.execute(
        "INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity,"
        " baseline_p99_microseconds, actual_duration_microseconds, violation_multiplier, user_name)"
        " VALUES (1, 'bench ' || %s, 'THRESHOLD_EXCEEDED', 'WARNING', 1000, 5000, 5, 'bench')",
        (number,),
    )
    return time.time()


def through_daemon(rig: Rig, alerts: int) -> list[float]:
    """Return milliseconds from commit to arrival for each alert."""
    latencies = []
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        for number in range(alerts):
            committed = raise_alert(connection, number)
            latencies.append((rig.arrival(number + 1) - committed) * 1000)
            # Apart enough for the ack of the one before to be done, and not in step with it.
            time.sleep(random.uniform(0.03, 0.08))  # noqa: S311 - a pause
    return latencies


async def floor(rig: Rig, rounds: int) -> list[float]:
    """Return milliseconds from a committed NOTIFY to a POST's arrival, with nothing in between."""
    latencies = []
    before = rig.received()
    transport = AiohttpTransport()
    async with (
        await psycopg.AsyncConnection.connect(rig.dsn, autocommit=True) as listener,
        await psycopg.AsyncConnection.connect(rig.dsn, autocommit=True) as sender,
        httpx.AsyncClient(transport=transport) as client,
    ):
        await listener.execute("LISTEN bench_floor")
        heard = asyncio.Event()

        def read() -> None:
            listener.pgconn.consume_input()
            while listener.pgconn.notifies():
                heard.set()

        asyncio.get_running_loop().add_reader(listener.fileno(), read)
        for number in range(rounds):
            heard.clear()
            await sender.execute("NOTIFY bench_floor")
            committed = time.time()
            await heard.wait()
            await client.post(rig.webhook, content=b'{"text":"floor"}', headers={"Content-Type": "application/json"})
            latencies.append((rig.arrival(before + number + 1) - committed) * 1000)
        asyncio.get_running_loop().remove_reader(listener.fileno())
    return latencies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=400)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of silence for the idle figures")
    arguments = parser.parse_args()
    with Rig() as rig:
        with rig.daemon() as daemon:
            through = through_daemon(rig, arguments.alerts)
            cpu = daemon.cpu_seconds()
            time.sleep(arguments.idle)  # what it uses while nothing happens is the measurement
            idle = (daemon.cpu_seconds() - cpu) * 60 / arguments.idle
            resident = daemon.resident_mb()
        bare = asyncio.run(floor(rig, arguments.alerts))
    show("daemon: commit → request at the sink, ms", through)
    show("floor:  NOTIFY → LISTEN → POST, ms", bare)
    result = {
        "daemon_ms": quantiles(through),
        "floor_ms": quantiles(bare),
        "ratio_p50": round(quantiles(through)["p50"] / quantiles(bare)["p50"], 2),
        "resident_mb": resident,
        "idle_cpu_seconds_per_minute": round(idle, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
