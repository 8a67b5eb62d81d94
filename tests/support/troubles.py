"""What goes wrong with the alerting itself, for tests: what brings each condition about, what mends it, and time."""

from datetime import datetime
from typing import Any

from pggit_alertd.conditions import Kind
from support.alerts import Alerts

QUEUE = """
INSERT INTO pggit.alert_notification_queue (channel, recipient, message, next_attempt_at, destination_key)
SELECT 'slack', '#ops', 'm', now() + %s::interval, 'slack:one' FROM generate_series(1, %s)
"""
LOG = """
INSERT INTO pggit.alert_notification_log (channel, recipient, status, reason, sent_at)
SELECT 'slack', '#ops', %s, %s, now() - %s::interval FROM generate_series(1, %s)
"""
RUN = """
INSERT INTO pggit.scheduled_job_run (job, slot, status, attempt, finished_at, error_message, next_attempt_at)
VALUES (%s, now() - %s::interval, %s, %s, now() - %s::interval, 'disk full', %s)
"""
BROKEN = """
INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, open_reason)
SELECT s.destination_key, 'slack', '#ops', now() - interval '3 min', now() + interval '1 min', '404 no_service'
FROM pggit.alert_notification_settings AS s WHERE s.setting_id = %s
"""
HELD = """
INSERT INTO pggit.performance_baseline_history
    (operation_type, status, reason, old_p99_microseconds, new_p99_microseconds)
VALUES ('commit', 'held', 'scheduled', 5000, 500000)
"""
WORKER = """
INSERT INTO pggit.alertd_worker (worker, hostname, version, started_at, last_beat_at, stopped_at)
VALUES (%s, %s, '1', now() - %s::interval, now() - %s::interval, now() - %s::interval)
"""
OUTBOX = "INSERT INTO pggit.alert_outbox (alert_id, occurred_at) VALUES (1, now() - interval '6 min')"


async def check(alerts: Alerts, **limits: object) -> list[tuple[str, str]]:
    """Run the self-check and return what it told: stage and kind."""
    named = ", ".join(f"p_{name} => %s" for name in limits)
    rows = await alerts.rows(f"SELECT stage, kind FROM pggit.self_check({named})", *limits.values())  # noqa: S608
    return [(stage, kind) for stage, kind in rows]


async def later(alerts: Alerts, by: str) -> None:
    """Let time pass for what is known of conditions, as if checks had gone on until a moment ago."""
    await alerts.rows(
        """
        UPDATE pggit.alertd_condition SET
            since = since - %(by)s::interval, first_seen_at = first_seen_at - %(by)s::interval,
            notified_at = notified_at - %(by)s::interval, unheard_at = unheard_at - %(by)s::interval,
            last_seen_at = last_seen_at - least(%(by)s::interval, '4 min')
        """.replace("%(by)s", "%s"),
        *[by] * 5,
    )


async def told(alerts: Alerts) -> list[tuple[str, str]]:
    """Return the notifications about the daemon so far: event and message."""
    return [
        (event, message) for event, message in await alerts.queue("event, message", "alert ->> 'alert_type' = 'SYSTEM'")
    ]


Statement = tuple[Any, ...]
EMPTY_QUEUE = "DELETE FROM pggit.alert_notification_queue WHERE alert = '{}'"
SUCCEED = "UPDATE pggit.scheduled_job_run SET status = 'succeeded'"
# What brings each condition about, and what mends it.
TROUBLES: dict[Kind, tuple[list[Statement], str]] = {
    Kind.QUEUE_DEPTH: ([(QUEUE, "1 hour", 501)], EMPTY_QUEUE),
    Kind.QUEUE_AGE: ([(QUEUE, "-6 min", 1)], EMPTY_QUEUE),
    Kind.OUTBOX: ([(OUTBOX,)], "DELETE FROM pggit.alert_outbox"),
    Kind.DELIVERY_SUCCESS: (
        [(LOG, "sent", None, "1 min", 18), (LOG, "failed", "destination_gone", "1 min", 2)],
        "UPDATE pggit.alert_notification_log SET status = 'sent', reason = NULL",
    ),
    Kind.DESTINATION_OPEN: (
        [
            (
                """INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until)
                VALUES ('slack:two', 'slack', '#two', now() - interval '3 min', now() + interval '1 min')""",
            )
        ],
        "UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL",
    ),
    Kind.DESTINATION_PAUSED: (
        [
            (
                """INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_since, paused_until)
                VALUES ('slack:two', 'slack', '#two', now() - interval '3 min', now() + interval '2 days')""",
            )
        ],
        "UPDATE pggit.alert_destination SET paused_until = NULL",
    ),
    Kind.RECALCULATION: ([(RUN, "baselines", "1 hour", "failed", 3, "50 min", None)], SUCCEED),
    Kind.JOB_FAILING: (
        [
            (RUN, "partitions", "2 hours", "failed", 2, "2 hours", None),
            (RUN, "partitions", "1 hour", "failed", 1, "50 min", None),
        ],
        SUCCEED,
    ),
    Kind.JOB_OVERDUE: (
        [("UPDATE pggit.scheduled_job SET updated_at = now() - interval '1 day'",)],
        "UPDATE pggit.scheduled_job SET enabled = FALSE",
    ),
    Kind.WORKER_SILENT: (
        [(WORKER, "one:1", "one", "1 day", "4 min", None)],
        "UPDATE pggit.alertd_worker SET last_beat_at = now()",
    ),
    Kind.BASELINE_HELD: (
        [(HELD,)],
        "UPDATE pggit.performance_baseline_history SET decided_at = now(), decided_by = 'dba'",
    ),
}


async def trouble(alerts: Alerts, kind: Kind) -> str:
    """Bring a condition about, and return the statement that mends it."""
    causes, mend = TROUBLES[kind]
    for cause in causes:
        await alerts.rows(*cause)
    return mend


async def limits(alerts: Alerts, kind: Kind) -> dict[str, Any]:
    """Return what the daemon would pass for this kind beside the defaults."""
    if kind is not Kind.JOB_OVERDUE:
        return {}
    slot: datetime = await alerts.value("SELECT now() - interval '3 hours'")
    return {"jobs": ["retention"], "slots": [slot]}
