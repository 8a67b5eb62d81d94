"""The views that people and the console read: health in one row, deliveries by day, and why a notification failed."""

import time

import pytest

from support.alerts import Alerts

pytestmark = pytest.mark.servers

LOG = """
INSERT INTO pggit.alert_notification_log
    (queue_id, claim_no, channel, recipient, status, reason, error_message, response_code, delivery_time_ms,
    dwell_time_ms, sent_at)
VALUES (%s, %s, %s, '#ops', %s, %s, %s, %s, %s, %s, %s)
"""
ROWS = 100_000
# On an idle machine the slowest of the views takes 0.1 s; this bound only tells a scan from a nested loop.
LONGEST_SECONDS = 5.0


async def test_an_empty_system_is_one_healthy_row(alerts: Alerts) -> None:
    """Without any work there are zeros, and no success rate rather than a wrong one; the other views are empty."""
    rows = await alerts.rows("""
        SELECT queue_depth, oldest_due = interval '0', outbox_depth, deliveries_last_hour, success_percent_last_hour,
            dead_letters, destinations_open, workers_alive, open_conditions,
            (SELECT count(*) FROM jsonb_object_keys(jobs)) = (SELECT count(*) FROM pggit.scheduled_job)
        FROM pggit.v_system_health
    """)
    assert rows == [(0, True, 0, 0, None, 0, 0, 0, [], True)]
    assert await alerts.rows("SELECT * FROM pggit.v_notification_delivery") == []
    assert await alerts.rows("SELECT * FROM pggit.v_notification_failures") == []


async def test_health_counts_what_is_there(alerts: Alerts) -> None:
    """Each figure counts its own: due, held, dead, unrouted, delivered, broken, alive, open."""
    await alerts.rows("""
        INSERT INTO pggit.alert_notification_queue (channel, recipient, message, status, next_attempt_at) VALUES
        ('slack', '#ops', 'm', 'pending', now() - interval '10 min'), ('slack', '#ops', 'm', 'pending', 'infinity'),
        ('slack', '#ops', 'm', 'failed', now())
    """)
    await alerts.rows("INSERT INTO pggit.alert_outbox (alert_id) VALUES (1), (2)")
    await alerts.rows("""
        INSERT INTO pggit.alert_notification_log (channel, recipient, status, sent_at)
        SELECT 'slack', '#ops', CASE WHEN n = 1 THEN 'failed' ELSE 'sent' END, now() FROM generate_series(1, 8) AS n
    """)
    await alerts.rows("""
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until)
        VALUES ('slack:1', 'slack', '#ops', now(), now()), ('slack:2', 'slack', '#ops', NULL, NULL)
    """)
    await alerts.rows("""
        INSERT INTO pggit.alertd_worker (worker, hostname, version, last_beat_at, stopped_at)
        VALUES ('a', 'a', '1', now(), NULL), ('b', 'b', '1', now(), now()),
            ('c', 'c', '1', now() - interval '1 h', NULL)
    """)
    await alerts.rows("""
        INSERT INTO pggit.alertd_condition (kind, subject, severity, detail, resolved_at)
        VALUES ('outbox', '', 'CRITICAL', 'm', NULL), ('worker_silent', 'c', 'WARNING', 'm', NULL),
            ('queue_age', '', 'CRITICAL', 'm', now())
    """)
    rows = await alerts.rows("""
        SELECT queue_depth, queue_held, oldest_due >= interval '10 min', dead_letters, outbox_depth,
            success_percent_last_hour, destinations_open, workers_alive, cardinality(open_conditions)
        FROM pggit.v_system_health
    """)
    assert rows == [(1, 1, True, 1, 2, 87.50, 1, 1, 2)]


async def test_deliveries_are_counted_by_channel_and_day(alerts: Alerts) -> None:
    """Retries are no deliveries; failures and retries are told by reason; percentiles are of sent ones; days UTC."""
    await alerts.rows("SET timezone = 'Asia/Tokyo'")
    first, second = "2026-03-01 23:59:59+00", "2026-03-02 00:00:01+00"
    for number in range(1, 21):
        await alerts.rows(LOG, number, 1, "slack", "sent", None, None, 200, number, number * 10, first)
    await alerts.rows(LOG, 21, 1, "slack", "retry", "timeout", "slow", None, 20_000, None, first)
    await alerts.rows(LOG, 21, 2, "slack", "failed", "expired", "too late", None, None, None, second)
    await alerts.rows(LOG, 22, 1, "email", "failed", None, "?", 550, 5, None, first)
    rows = await alerts.rows("""
        SELECT day::text, channel, deliveries, sent, failed, success_percent, retries, latency_p50_ms, latency_p95_ms,
            dwell_p50_ms, dwell_p95_ms, failures_by_reason, retries_by_reason
        FROM pggit.v_notification_delivery ORDER BY day, channel
    """)
    assert rows == [
        ("2026-03-01", "email", 1, 0, 1, 0, 0, None, None, None, None, {"unknown": 1}, {}),
        ("2026-03-01", "slack", 20, 20, 0, 100, 1, 10, 19, 100, 190, {}, {"timeout": 1}),
        ("2026-03-02", "slack", 1, 0, 1, 0, 0, None, None, None, None, {"expired": 1}, {}),
    ]


async def test_one_row_says_why_a_notification_failed(alerts: Alerts) -> None:
    """Attempts, last code, reason and error of what was given up; one never tried shows its setting's fault."""
    await alerts.setting("slack", {})
    tried = await alerts.value("""
        INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, status, alert, processed_at)
        VALUES (77, 'slack', '#ops', 'm', 'failed', '{"alert_type": "ANOMALY", "severity": "CRITICAL"}', now())
        RETURNING queue_id
    """)
    await alerts.rows(LOG, tried, 1, "slack", "retry", "server_error", "oops", 500, 5, 1, "2026-03-01 10:00:00+00")
    await alerts.rows(LOG, tried, 2, "slack", "released", "shutdown", "", None, 5, 1, "2026-03-01 10:00:01+00")
    await alerts.rows(LOG, tried, 3, "slack", "failed", "destination_gone", "gone", 404, 5, 1, "2026-03-01 10:00:02+00")
    refused = await alerts.routed_alert()
    rows = await alerts.rows("""
        SELECT alert_id, alert_type, attempts, last_code, reason, error_message
        FROM pggit.v_notification_failures ORDER BY queue_id
    """)
    assert rows[0] == (77, "ANOMALY", 2, 404, "destination_gone", "gone")
    assert rows[1][:5] == (refused, "THRESHOLD_EXCEEDED", 0, None, "invalid_setting")
    assert "webhook" in rows[1][5]


@pytest.mark.parametrize(
    "question",
    ["v_system_health", "v_notification_delivery", "v_notification_failures", "current_conditions()"],
)
async def test_a_month_with_a_hundred_thousand_rows_is_read_in_no_time(alerts: Alerts, question: str) -> None:
    """Nothing takes time in proportion to failures times log rows."""
    await alerts.rows("SELECT * FROM pggit.maintain_log_partitions(0)")
    await alerts.rows(
        """
        INSERT INTO pggit.alert_notification_log (queue_id, claim_no, channel, recipient, status, reason,
            delivery_time_ms, dwell_time_ms, sent_at)
        SELECT n, 1, (ARRAY['email', 'slack'])[1 + n %% 2], '#ops', CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'sent' END,
            CASE WHEN n %% 50 = 0 THEN 'timeout' END, n %% 900, n %% 7000,
            date_trunc('month', now()) + n * (now() - date_trunc('month', now())) / %s
        FROM generate_series(1, %s) AS n
        """,
        ROWS,
        ROWS,
    )
    await alerts.rows("""
        INSERT INTO pggit.alert_notification_queue (queue_id, channel, recipient, message, status, processed_at)
        SELECT n, 'slack', '#ops', 'm', CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'sent' END, now()
        FROM generate_series(1, 100000) AS n
    """)
    await alerts.rows("ANALYZE")
    began = time.perf_counter()
    rows = await alerts.rows(f"SELECT * FROM pggit.{question}")  # noqa: S608
    assert time.perf_counter() - began < LONGEST_SECONDS
    assert len(rows) == 2000 or question != "v_notification_failures"
