"""The console over a real database, served over real HTTP, with everything in it that a page can show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from pggit_alertd.database.pool import Database
from pggit_alertd.metrics import Metrics
from pggit_alertd.web import Console, Reader, bind, create_app, serve
from support.alerts import Alerts
from web.program import HandClock, Program

PAGES = ("/", "/alerts", "/latency", "/latency?operation=commit", "/deliveries", "/dead-letters", "/baselines",
         "/baselines?operation=commit", "/schedule")  # fmt: skip

# One of everything: an operation with two days of measurements, alerts of each kind, destinations in every state, a log
# with every outcome, dead letters, baselines with a held one, runs that went well and that did not.
CONTENT = """
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start, recorded_at)
SELECT 'commit', us, us / 1000.0, localtimestamp - interval '1 s', localtimestamp, 'app', current_date,
    localtimestamp - make_interval(secs => n * 60)
FROM (SELECT n, 4000 + n * 37 % 2500 AS us FROM generate_series(1, 2000) AS n) AS made;

INSERT INTO pggit.performance_baselines (operation_type, baseline_date, calculation_timestamp, sample_count,
    min_microseconds, max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds,
    p99_microseconds, mean_microseconds, is_active)
SELECT 'commit', current_date - n, localtimestamp - make_interval(days => n), 1200, 1, 90000, 5000, 5500, 6000,
    6300 + n * 10, 6500 + n * 100, 5100, n = 0
FROM generate_series(9, 0, -1) AS n;

INSERT INTO pggit.performance_baseline_history (operation_type, old_p99_microseconds, new_p99_microseconds,
    percent_change, sample_count, status)
VALUES ('commit', 6500, 20500, 215.38, 80, 'held');

INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, user_name,
    actual_duration_microseconds, baseline_p99_microseconds, violation_multiplier, created_at, is_acknowledged,
    acknowledged_by, acknowledged_at)
SELECT n, CASE WHEN n % 4 = 0 THEN 'merge_branches' ELSE 'commit' END,
    (ARRAY['THRESHOLD_EXCEEDED', 'ANOMALY', 'DEGRADATION'])[1 + n % 3],
    (ARRAY['WARNING', 'CRITICAL', 'INFO'])[1 + n % 3], 'app', 20000 + n * 300,
    CASE WHEN n % 3 = 0 THEN 6500 END, CASE WHEN n % 3 = 0 THEN 3.1 + n / 10.0 END,
    localtimestamp - make_interval(mins => 2 * (150 - n)), n % 10 = 0, CASE WHEN n % 10 = 0 THEN 'ada' END,
    CASE WHEN n % 10 = 0 THEN localtimestamp END
FROM generate_series(1, 150) AS n;
DELETE FROM pggit.alert_outbox;

INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, status, attempt, setting_id,
    destination_key, alert, processed_at, next_attempt_at, error_message)
SELECT n, (ARRAY['slack', 'email', 'pagerduty'])[1 + n % 3],
    (ARRAY['#ops', 'o***@example.com', 'service a74c3c'])[1 + n % 3],
    'ALERT: commit', CASE WHEN n % 50 = 0 THEN 'failed' WHEN n > 145 THEN 'pending' ELSE 'sent' END, 2, 1, 'k' || n % 3,
    jsonb_build_object('alert_id', n, 'operation_type', 'commit', 'severity', 'WARNING'),
    CASE WHEN n <= 145 OR n % 50 = 0 THEN now() - make_interval(mins => 2 * (150 - n)) END,
    now() - interval '40 s', CASE WHEN n % 50 = 0 THEN 'HTTP 404: no_service' END
FROM generate_series(1, 150) AS n;

INSERT INTO pggit.alert_notification_log (alert_id, queue_id, channel, recipient, status, attempt, event, reason,
    error_message, response_code, delivery_time_ms, dwell_time_ms, worker, sent_at, claim_no)
SELECT q.alert_id, q.queue_id, q.channel, q.recipient, tried.status, tried.attempt, 'triggered',
    CASE WHEN tried.status <> 'sent' THEN 'server_error' END,
    CASE WHEN tried.status <> 'sent' THEN 'HTTP 503: upstream down' END,
    CASE WHEN tried.status = 'sent' THEN 200 ELSE 503 END, 19, 22, 'w1',
    now() - make_interval(mins => 2 * (150 - q.alert_id)::integer, secs => 10 - tried.attempt), tried.attempt
FROM pggit.alert_notification_queue AS q
CROSS JOIN LATERAL (
    VALUES (1, CASE WHEN q.alert_id % 7 = 0 THEN 'retry' ELSE 'sent' END),
    (2, CASE WHEN q.alert_id % 50 = 0 THEN 'failed' WHEN q.alert_id % 7 = 0 THEN 'sent' ELSE 'suppressed' END)
) AS tried (attempt, status);

INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_until, last_success_at,
    last_failure_at, consecutive_failures, last_error, opened_at, open_until, open_reason)
VALUES
('k0', 'slack', '#ops', NULL, now() - interval '20 s', NULL, 0, NULL, NULL, NULL, NULL),
('k1', 'email', 'o***@example.com', NULL, now() - interval '1 h', now() - interval '9 s', 6, 'HTTP 503: upstream down',
    now() - interval '50 s', now() + interval '70 s', 'six failures in a row'),
('k2', 'pagerduty', 'service a74c3c', now() + interval '30 s', NULL, now() - interval '4 s', 1, 'HTTP 429', NULL, NULL,
    NULL);

INSERT INTO pggit.alertd_worker (worker, hostname, version, last_beat_at)
VALUES ('w1', 'host', '0.1.0', now()), ('w0', 'host', '0.1.0', now() - interval '1 h');

INSERT INTO pggit.scheduled_job_run (job, slot, status, attempt, claimed_by, started_at, finished_at, duration_ms,
    result, error_message, next_attempt_at)
SELECT job, date_trunc('hour', now()) - make_interval(hours => n),
    CASE WHEN n = 3 THEN 'failed' ELSE 'succeeded' END, 1,
    'w1', now() - make_interval(hours => n), now() - make_interval(hours => n), 120, '{"replaced": 3}',
    CASE WHEN n = 3 THEN 'two operations failed' END, NULL
FROM pggit.scheduled_job CROSS JOIN generate_series(1, 5) AS n;
"""


class CountingDatabase(Database):
    """A pool that counts how often the console read, and how many readings ran at once."""

    readings = 0
    running = 0
    most = 0

    async def read(self, *arguments: Any, **named: Any) -> list[list[dict[str, Any]]]:
        """Count, and read."""
        self.readings += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super().read(*arguments, **named)
        finally:
            self.running -= 1


@dataclass
class Replica:
    """The process's own state, as the test says."""

    reasons: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        """Return what the daemon would say of itself."""
        return {
            "version": "0.1.0",
            "worker": "w1",
            "uptime_seconds": 75.0,
            "listener": {"mode": "listening", "reason": ""},
            "dry_run": False,
            "in_flight": 0,
            "unacknowledged": 0,
        }

    def troubles(self) -> tuple[str, ...]:
        """Return what the test says."""
        return self.reasons


@dataclass
class Stage:
    """A served console."""

    url: str
    client: httpx.AsyncClient
    database: CountingDatabase
    clock: HandClock
    replica: Replica = field(default_factory=Replica)

    async def page(self, path: str, status: int = 200) -> str:
        """Return a page's text, after making sure that what it shows is fresh and how it was answered."""
        self.clock.at += 10
        reply = await self.client.get(path)
        assert reply.status_code == status, reply.text
        return reply.text


@asynccontextmanager
async def console(dsn: str) -> AsyncIterator[Stage]:
    """Serve the console of a database on a free port."""
    database, clock, replica = CountingDatabase(dsn), HandClock(), Replica()
    await database.open()
    listener, stop, started = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    reader = Reader(database, clock)
    made = Console(reader, replica, clock)
    try:
        async with asyncio.TaskGroup() as tasks:
            app = create_app(Program(), Metrics(), console=made)
            tasks.create_task(serve(app, listener, stop=stop, started=started.set))
            await started.wait()
            async with httpx.AsyncClient(base_url=listener.url, trust_env=False, timeout=20) as client:
                yield Stage(listener.url, client, database, clock, replica)
            stop.set()
    finally:
        await reader.aclose()
        await database.close()


async def fill(dsn: str) -> None:
    """Put one of everything into a migrated database."""
    alerts = await Alerts.connect(dsn)
    await alerts.setting("slack")
    await alerts.connection.execute(CONTENT.encode())
    await alerts.close()
