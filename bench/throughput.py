"""20,000 queued Slack notifications delivered by one worker, 50 in flight, beside a bare loop posting the same bytes.

    .venv/bin/python bench/throughput.py [--messages 20000] [--in-flight 50] [--rounds 3]

The bare loop uses the same client (httpx over aiohttp, uvloop) with as many tasks as there are slots and does nothing
else; the worker claims, renders, posts, acknowledges and logs each one, coalescing off. Rounds alternate, because
machines drift; the ratio of the medians is what counts.
"""

import argparse
import asyncio
import json
import statistics
import time

import httpx
import psycopg
import uvloop
from httpx_aiohttp import AiohttpTransport

from _rig import Rig

QUEUE = """
INSERT INTO pggit.alert_notification_queue (
    alert_id, channel, recipient, message, setting_id, urgency, destination_key, alert, give_up_at
)
SELECT
    g, 'slack', s.recipient, 'ALERT: commit exceeded baseline by 5.0x (250ms vs baseline 50ms)', s.setting_id, 1,
    s.destination_key,
    jsonb_build_object(
        'alert_id', g, 'operation_type', 'commit', 'alert_type', 'THRESHOLD_EXCEEDED', 'severity', 'WARNING',
        'duration_us', 250000, 'baseline_p99_us', 50000, 'factor', 5.0, 'user_name', 'bench', 'metric_id', g
    ),
    now() + interval '1 hour'
FROM generate_series(1, %s) AS g, pggit.alert_notification_settings AS s
WHERE s.notification_channel = 'slack'
"""


def worker(rig: Rig, messages: int, in_flight: int) -> float:
    """Return messages per second, from the first arrival to the last."""
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE pggit.alert_notification_queue, pggit.alert_notification_log")
        connection.execute(QUEUE, (messages,))
        connection.execute("VACUUM ANALYZE pggit.alert_notification_queue")
        before = rig.received()
        with rig.daemon(PGGIT_ALERTD_CONCURRENCY=str(in_flight), PGGIT_ALERTD_COALESCE="false"):
            first = rig.arrival(before + 1)
            last = rig.arrival(before + messages, within=300)
            while connection.execute(
                "SELECT EXISTS (SELECT FROM pggit.alert_notification_queue WHERE status = 'pending')"
            ).fetchone() == (True,):
                time.sleep(0.05)
        logged = connection.execute(
            "SELECT count(*) FROM pggit.alert_notification_log WHERE status = 'sent'"
        ).fetchone()
        assert logged == (messages,), logged
    return messages / (last - first)


async def bare(rig: Rig, messages: int, in_flight: int, body: bytes) -> float:
    """Return messages per second of a loop that only posts."""
    before = rig.received()
    left = iter(range(messages))

    async def slot(client: httpx.AsyncClient) -> None:
        for _ in left:
            reply = await client.post(rig.webhook, content=body, headers={"Content-Type": "application/json"})
            assert reply.status_code == httpx.codes.OK

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(transport=AiohttpTransport(limits=limits)) as client, asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(slot(client))
    return messages / (rig.arrival(before + messages) - rig.arrival(before + 1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    daemon_rates, bare_rates = [], []
    with Rig() as rig:
        for round_number in range(arguments.rounds):
            daemon_rates.append(worker(rig, arguments.messages, arguments.in_flight))
            body = rig.last_body()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                bare_rates.append(runner.run(bare(rig, arguments.messages, arguments.in_flight, body)))
            print(f"round {round_number + 1}: worker {daemon_rates[-1]:.0f}/s, bare loop {bare_rates[-1]:.0f}/s")
    ratio = statistics.median(daemon_rates) / statistics.median(bare_rates)
    print(f"{arguments.messages} messages, {arguments.in_flight} in flight: ratio worker / bare loop {ratio:.2f}")
    print(
        json.dumps(
            {
                "worker_per_second": [round(rate) for rate in daemon_rates],
                "bare_per_second": [round(rate) for rate in bare_rates],
                "ratio": round(ratio, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
