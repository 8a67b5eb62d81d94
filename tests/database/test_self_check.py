"""What the alerting notices about itself: each condition begins, is told once, again each day, and once at its end.

Time passes by moving what the rows say back, so PostgreSQL's own clock decides as it does in production.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.errors import InvalidParameterValue, UniqueViolation

from pggit_alertd.conditions import Kind
from support.alerts import Alerts

pytestmark = pytest.mark.servers

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
OTHER_HOOK = {"webhook": "https://hooks.slack.com/services/T/B/other", "channel": "#other"}


@pytest.fixture
async def alerts(database: str) -> AsyncIterator[Alerts]:
    """Yield the test's database."""
    opened = await Alerts.connect(database)
    yield opened
    await opened.close()


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
    Kind.RECIPIENT_REFUSED: (
        [
            (
                """INSERT INTO pggit.alert_notification_log (setting_id, channel, recipient, status, reason)
                SELECT setting_id, 'email', 'b***@example.com', 'sent', 'refused_recipient'
                FROM pggit.alert_notification_settings""",
            )
        ],
        "UPDATE pggit.alert_notification_log SET reason = NULL",
    ),
    Kind.ONCALL_SHIFT: (
        [
            (
                """INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config)
                SELECT setting_id, now(), 'infinity', '{}' FROM pggit.alert_notification_settings""",
            )
        ],
        "DELETE FROM pggit.oncall_shift",
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


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.BASELINE_HELD])
async def test_a_condition_is_told_when_it_begins_each_day_and_when_it_is_over(alerts: Alerts, kind: Kind) -> None:
    """Told once after its hold time, not again the next minute, again after a day, and once at its end."""
    await alerts.setting()
    mend = await trouble(alerts, kind)
    given = await limits(alerts, kind)
    await check(alerts, **given)
    await later(alerts, "31 min")
    await check(alerts, **given)
    assert len(await told(alerts)) == 1, "told once"
    await later(alerts, "11 min")
    assert await check(alerts, **given) == []
    await later(alerts, "24 hours")
    assert await check(alerts, **given) == [("still", kind)]
    await alerts.rows(mend)
    assert await check(alerts, **given) == [], "may be back in a moment"
    await later(alerts, "3 min")
    assert await check(alerts, **given) == [("over", kind)]
    assert await check(alerts, **given) == []
    first, again, over = await told(alerts)
    assert (first[0], again[0], over[0]) == ("triggered", "triggered", "resolved")
    assert kind.runbook in first[1]
    assert first[1].startswith("pggit-alertd: ")
    assert again[1].startswith("Still, after ")
    assert over[1].startswith("Over after ")


async def test_a_held_baseline_is_told_once_and_again_only_for_another_candidate(alerts: Alerts) -> None:
    """Days pass without a second message; a candidate that takes its place is told, with the calls that decide it."""
    await alerts.setting()
    await trouble(alerts, Kind.BASELINE_HELD)
    assert await check(alerts) == [("new", "baseline_held")]
    await later(alerts, "3 days")
    assert await check(alerts) == []
    await alerts.rows("UPDATE pggit.performance_baseline_history SET decided_at = now(), decided_by = 'later run'")
    await alerts.rows(HELD)
    assert await check(alerts, clear=timedelta(0)) == [("over", "baseline_held"), ("new", "baseline_held")]
    first, _, second = await told(alerts)
    for number, message in ((1, first[1]), (2, second[1])):
        assert f"SELECT pggit.approve_baseline({number}) applies it" in message
        assert "of commit waits for a decision: p99 500ms instead of 5ms" in message


async def test_a_held_baseline_says_what_it_crept_away_from(alerts: Alerts) -> None:
    """A candidate that is near the old baseline, but far from that of four weeks ago, names the latter."""
    await alerts.rows("""
        INSERT INTO pggit.performance_baseline_history (operation_type, status, branch_id, old_p99_microseconds,
            new_p99_microseconds, reference_p99_microseconds)
        VALUES ('commit', 'held', 3, 9000, 11000, 5000)
    """)
    [detail] = await alerts.column("SELECT detail FROM pggit.current_conditions()")
    assert "of commit on branch 3 waits for a decision: p99 11ms instead of 9ms, and it was 5ms before" in detail


async def test_the_end_says_how_long_it_was(alerts: Alerts) -> None:
    """The last message counts from the first sight to the last."""
    await alerts.setting()
    await trouble(alerts, Kind.BASELINE_HELD)
    await check(alerts)
    await later(alerts, "42 min")
    await check(alerts)
    await alerts.rows("UPDATE pggit.performance_baseline_history SET decided_at = now(), decided_by = 'dba'")
    assert await check(alerts, clear=timedelta(0)) == [("over", "baseline_held")]
    assert (await told(alerts))[-1] == (
        "resolved",
        (
            "Over after 42 min: the new baseline of commit waits for a decision: p99 500ms instead of 5ms; "
            "SELECT pggit.approve_baseline(1) applies it, SELECT pggit.reject_baseline(1) keeps the old one"
        ),
    )


async def test_what_ends_within_its_hold_time_is_told_to_nobody(alerts: Alerts) -> None:
    """A queue that is deep for ten minutes leaves no message, neither at its beginning nor at its end."""
    await alerts.setting()
    mend = await trouble(alerts, Kind.QUEUE_DEPTH)
    await check(alerts)
    await later(alerts, "10 min")
    await check(alerts)
    await alerts.rows(mend)
    assert await check(alerts) == [("over", "queue_depth")]
    assert await told(alerts) == []


async def test_a_gap_in_the_checks_does_not_count_as_lasting(alerts: Alerts) -> None:
    """What was seen before and after an hour without any check has not been seen to last an hour."""
    await alerts.setting()
    await trouble(alerts, Kind.QUEUE_DEPTH)
    await check(alerts)
    await alerts.rows("""
        UPDATE pggit.alertd_condition SET since = now() - interval '1 h', first_seen_at = now() - interval '1 h',
            last_seen_at = now() - interval '1 h'
    """)
    assert await check(alerts) == []


async def test_a_job_that_fails_fewer_times_or_recovered_is_no_condition(alerts: Alerts) -> None:
    """Two failures are none, and neither are five before a success; a run that goes on counts its failed attempts."""
    await alerts.rows(RUN, "retention", "9 hours", "failed", 5, "9 hours", None)
    await alerts.rows(RUN, "retention", "8 hours", "succeeded", 1, "8 hours", None)
    await alerts.rows(RUN, "retention", "1 hour", "failed", 2, "50 min", None)
    assert await alerts.rows("SELECT * FROM pggit.current_conditions()") == []
    lease = await alerts.value("SELECT now() + interval '1 min'")
    await alerts.rows(RUN, "retention", "1 min", "running", 2, "1 min", lease)
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["job_failing"]


async def test_only_finished_deliveries_of_the_last_hour_count(alerts: Alerts) -> None:
    """Retries, suppressed ones and yesterday's failures don't lower the rate; too few deliveries say nothing."""
    await alerts.rows(LOG, "failed", "expired", "61 min", 50)
    await alerts.rows(LOG, "retry", "timeout", "1 min", 50)
    await alerts.rows(LOG, "suppressed", "no_matching_setting", "1 min", 50)
    await alerts.rows(LOG, "failed", "invalid_setting", "1 min", 19)
    assert await alerts.rows("SELECT * FROM pggit.current_conditions()") == []
    await alerts.rows(LOG, "failed", "invalid_setting", "1 min", 1)
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["delivery_success"]


async def test_a_worker_that_said_goodbye_was_replaced_or_is_long_gone_is_not_silent(alerts: Alerts) -> None:
    """Only a worker that vanished, has no successor on its machine, and may still come back is reported."""
    await alerts.rows(WORKER, "stopped:1", "stopped", "1 day", "1 hour", "1 hour")
    await alerts.rows(WORKER, "host:1", "host", "1 day", "1 hour", None)
    await alerts.rows(WORKER, "host:2", "host", "30 min", "5 s", None)
    await alerts.rows(WORKER, "old:1", "old", "9 days", "25 hours", None)
    assert await alerts.rows("SELECT * FROM pggit.current_conditions()") == []
    await alerts.rows(WORKER, "lost:1", "lost", "1 day", "1 hour", None)
    assert await alerts.column("SELECT subject FROM pggit.current_conditions()") == ["lost:1"]


async def test_a_baseline_that_was_never_recalculated_is_overdue(alerts: Alerts) -> None:
    """Without a success since the slot that should be done, the recalculation is overdue; switched off, it is not."""
    await alerts.rows("UPDATE pggit.scheduled_job SET updated_at = now() - interval '1 day'")
    overdue = (
        "SELECT kind FROM pggit.current_conditions(p_jobs => '{baselines}', p_slots => ARRAY[now() - interval '3 h'])"
    )
    assert await alerts.column(overdue) == ["recalculation"]
    await alerts.rows(RUN, "baselines", "3 hours", "succeeded", 1, "170 min", None)
    assert await alerts.column(overdue) == []
    await alerts.rows("DELETE FROM pggit.scheduled_job_run")
    await alerts.rows("UPDATE pggit.scheduled_job SET enabled = FALSE WHERE job = 'baselines'")
    assert await alerts.column(overdue) == []


async def test_an_open_destination_explains_what_waits_for_it(alerts: Alerts) -> None:
    """Old notifications of a destination that is open are no second condition."""
    await alerts.rows(QUEUE, "-1 hour", 3)
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["queue_age"]
    await alerts.rows("""
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, last_error)
        VALUES ('slack:one', 'slack', '#ops', now(), now() + interval '1 min', 'no answer')
    """)
    rows = await alerts.rows("SELECT kind, detail, destination_key FROM pggit.current_conditions()")
    assert rows == [("destination_open", "nothing is sent to slack #ops: no answer", "slack:one")]


async def test_a_pause_is_told_by_its_length_in_all(alerts: Alerts) -> None:
    """It counts from its beginning to its announced end; one that is shorter, over, or behind a breaker is none."""
    kinds = "SELECT kind FROM pggit.current_conditions()"
    await alerts.rows("""
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_since, paused_until)
        VALUES ('slack:one', 'slack', '#ops', now() - interval '14 min', now() + interval '30 s')
    """)
    assert await alerts.column(kinds) == []
    assert await alerts.column(f"{kinds[:-1]}p_destination_paused => '14 min')") == ["destination_paused"]
    await alerts.rows("UPDATE pggit.alert_destination SET paused_until = now() + interval '2 min'")
    (row,) = await alerts.rows("SELECT kind, detail, destination_key FROM pggit.current_conditions()")
    assert row[::2] == ("destination_paused", "slack:one")
    assert row[1].startswith("nothing is sent to slack #ops until 2")
    assert row[1].endswith(" UTC, a pause of 16 min in all: it asked us to wait")
    await alerts.rows(
        "UPDATE pggit.alert_destination SET opened_at = now(), open_until = now() WHERE destination_key = 'slack:one'"
    )
    assert await alerts.column(kinds) == ["destination_open"]
    await alerts.rows("UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL, paused_until = now()")
    assert await alerts.column(kinds) == []
    await alerts.rows("UPDATE pggit.alert_destination SET paused_until = now() + interval '1 day', paused_since = NULL")
    assert await alerts.column(kinds) == [], "how long a pause from before the upgrade lasts is not known"


async def test_a_pause_is_not_told_through_what_is_paused(alerts: Alerts) -> None:
    """With every destination paused for long the condition is heard by nobody, and the log says so."""
    await alerts.setting()
    await alerts.rows("""
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_since, paused_until)
        SELECT s.destination_key, 'slack', '#ops', now(), now() + interval '1 day'
        FROM pggit.alert_notification_settings AS s
    """)
    assert await check(alerts, hold=timedelta(0)) == [("unheard", "destination_paused")]
    other = await alerts.setting(config={"webhook": "https://hooks.slack.com/services/T00000000/B00000000/other"})
    assert await check(alerts, hold=timedelta(0)) == [("new", "destination_paused")]
    assert await alerts.queue("setting_id") == [(other,)]


async def test_recipients_that_are_refused_are_told_until_somebody_mends_it(alerts: Alerts) -> None:
    """The setting and the receiver's words; over with a message that all get, or a changed config, or a day."""
    setting = await alerts.setting("email")
    kinds = "SELECT kind, subject, severity, detail FROM pggit.current_conditions()"
    refused = """
        INSERT INTO pggit.alert_notification_log
            (setting_id, channel, recipient, status, reason, error_message, sent_at)
        VALUES (%s, 'email', 'o***@example.com, b***@example.com', 'sent', %s, %s, now() - %s::interval)
        """
    words = "1 recipient; refused: b***@example.com: 550 no such user"
    await alerts.rows(refused, setting, "refused_recipient", words, "25 hours")
    assert await alerts.rows(kinds) == []
    await alerts.rows("UPDATE pggit.alert_notification_settings SET config = config || '{\"cc\": []}'")
    await alerts.rows(refused, setting, "refused_recipient", words, "-1 ms")
    await alerts.rows(refused, 4711, "refused_recipient", words, "1 minute")
    told = "not everybody whom setting {} names gets its messages (email o***@example.com, b***@example.com): {}"
    found = [("recipient_refused", str(setting), "WARNING", told.format(setting, words))]
    assert await alerts.rows(kinds) == found
    await alerts.rows("UPDATE pggit.alert_notification_settings SET name = 'ops', min_interval = '1 min'")
    assert await alerts.rows(kinds) == found, "who it names is as it was"
    await alerts.rows(refused, setting, None, None, "-1 s")
    assert await alerts.rows(kinds) == []
    await alerts.rows(refused, setting, "refused_recipient", None, "-2 s")
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["recipient_refused"]
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    assert await alerts.rows(kinds) == []


async def test_a_changed_config_ends_what_was_told_of_refused_recipients(alerts: Alerts) -> None:
    """Whoever takes the mailbox out of the setting need not wait for the next mail, or a day."""
    setting = await alerts.setting("email")
    await alerts.rows(
        """
        INSERT INTO pggit.alert_notification_log (setting_id, channel, recipient, status, reason, sent_at)
        VALUES (%s, 'email', 'o***@example.com', 'sent', 'refused_recipient', now())
        """,
        setting,
    )
    assert await check(alerts, hold=timedelta(0)) == [("new", "recipient_refused")]
    await alerts.rows("""UPDATE pggit.alert_notification_settings SET config = '{"to": ["ann@example.com"]}'""")
    assert await check(alerts, hold=timedelta(0), clear=timedelta(0)) == [("over", "recipient_refused")]


@pytest.mark.parametrize(
    ("own", "other", "stands_in"),
    [
        (True, False, "the setting's own config stands in: o***@example.com"),
        (True, True, "shift 2 stands in: b***@example.com"),
        (False, False, "the setting has no other config that works, so it reaches nobody"),
    ],
)
async def test_a_shift_that_can_not_be_used_is_told_with_who_is_reached_instead(
    alerts: Alerts, own: bool, other: bool, stands_in: str
) -> None:
    """Told to all who can be reached; not before it begins, nor of a disabled setting; over when it is mended."""
    pager = await alerts.setting()
    setting = await alerts.setting("email", ... if own else {}, alert_type="THRESHOLD_EXCEEDED")
    shift = """
        INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config)
        VALUES (%s, now() + %s::interval, %s::timestamptz, %s::jsonb)
        """
    await alerts.rows(shift, setting, "-1 hour", "infinity", "{}")
    if other:
        await alerts.rows(shift, setting, "-2 hours", "infinity", '{"to": ["bob@example.com"]}')
    await alerts.rows(shift, setting, "1 hour", "infinity", "{}")
    (row,) = await alerts.rows("SELECT kind, subject, severity, detail FROM pggit.current_conditions()")
    assert row[:3] == ("oncall_shift", "1", "CRITICAL")
    assert row[3].startswith(f"the on-call shift 1 of setting {setting} can't be used: config names no recipient;")
    assert row[3].endswith(stands_in)
    assert await check(alerts, hold=timedelta(0)) == [("new", "oncall_shift")]
    assert await alerts.queue("setting_id, urgency") == [(pager, 0)]
    await alerts.rows("""UPDATE pggit.oncall_shift SET ends_at = now() + interval '1 day' WHERE shift_id = 1""")
    (detail,) = await alerts.column("SELECT detail FROM pggit.current_conditions()")
    assert f"of setting {setting}, until 2" in detail
    await alerts.rows("""UPDATE pggit.oncall_shift SET config = '{"to": ["ann@example.com"]}' WHERE shift_id = 1""")
    assert await check(alerts, hold=timedelta(0), clear=timedelta(0)) == [("over", "oncall_shift")]


async def test_what_is_sent_again_is_no_failure_any_more(alerts: Alerts) -> None:
    """Whoever mends and replays what failed has the alarm end: neither while it is under way nor once it is sent."""
    await alerts.setting()
    await alerts.alert(count=20, alert_type="ANOMALY")
    await alerts.route()
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now()")
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_log (queue_id, channel, recipient, status)"
        " SELECT queue_id, channel, recipient, 'failed' FROM pggit.alert_notification_queue"
    )
    success = "SELECT deliveries_last_hour, success_percent_last_hour FROM pggit.v_system_health"
    detail = "SELECT detail FROM pggit.current_conditions() WHERE kind = 'delivery_success'"
    assert await alerts.column(detail) == [
        "0 of 20 notifications of the last hour were delivered (0.0 %), less than 95 %"
    ]
    assert await alerts.rows(success) == [(20, 0)]
    await alerts.rows("SELECT pggit.replay_notification(queue_id) FROM pggit.alert_notification_queue")
    assert await alerts.column(detail) == []
    assert await alerts.rows(success) == [(0, None)]
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET status = 'sent', sent_at = now(), processed_at = now()"
    )
    await alerts.rows(LOG, "sent", None, "0 s", 20)
    assert await alerts.rows(success) == [(20, 100)]
    await alerts.rows("DELETE FROM pggit.alert_notification_queue")
    assert await alerts.rows(success) == [(40, 50)], "what is gone is judged by what was logged"


SENT = "UPDATE pggit.alert_notification_queue SET status = %s, processed_at = now() WHERE setting_id = %s"


@pytest.mark.parametrize("end", ["failed", "stuck"])
async def test_what_reached_nobody_is_told_to_others(alerts: Alerts, end: str) -> None:
    """A notice that failed, or waits at what broke since, goes once to each who can be reached; one is enough."""
    first = await alerts.setting(alert_type="SYSTEM")
    second = await alerts.setting("email", severity="CRITICAL", alert_type="ANOMALY")
    third = await alerts.setting("pagerduty", severity="CRITICAL", alert_type="ANOMALY")
    await trouble(alerts, Kind.OUTBOX)
    assert await check(alerts, hold=timedelta(0)) == [("new", "outbox")]
    assert await alerts.queue("setting_id") == [(first,)]
    assert await check(alerts, hold=timedelta(0)) == [], "it is on its way"
    await alerts.rows(BROKEN, first)
    if end == "failed":
        await alerts.rows(SENT, "failed", first)
    assert ("still", "outbox") in await check(alerts, hold=timedelta(0))
    outbox = "message LIKE '%%not routed%%' AND event = 'triggered'"
    assert await alerts.queue("setting_id", outbox) == [(first,), (second,), (third,)]
    assert ("still", "outbox") not in await check(alerts, hold=timedelta(0))
    await alerts.rows(SENT, "failed", second)
    assert ("still", "outbox") not in await check(alerts, hold=timedelta(0)), "one is still on its way"
    await alerts.rows(SENT, "sent", third)
    assert ("still", "outbox") not in await check(alerts, hold=timedelta(0)), "one has heard of it"
    await alerts.rows(SENT, "failed", third)
    assert ("unheard", "outbox") in await check(alerts, hold=timedelta(0)), "nobody is left, and nobody is told twice"
    assert len(await alerts.queue("setting_id", outbox)) == 3


async def test_a_condition_that_nobody_knows_went_not_unheard(alerts: Alerts) -> None:
    """NULL and unknown conditions, and one of which nothing is queued, have no notice that could be lost."""
    for arguments in ("NULL, NULL, NULL", "4711, now(), '{1}'", "4711, NULL, '{}'"):
        assert await alerts.value(f"SELECT pggit.condition_went_unheard({arguments})") is False


async def test_two_replicas_tell_once(alerts: Alerts, database: str) -> None:
    """Checks that run at the same moment wait for each other, and the second finds it told."""
    await alerts.setting()
    await alerts.rows(HELD)
    other = await Alerts.connect(database)
    async with alerts.connection.transaction():
        assert await check(alerts) == [("new", "baseline_held")]
        second = asyncio.ensure_future(check(other))
        watcher = await Alerts.connect(database)
        await watcher.somebody_waits()
        await watcher.close()
    assert await second == []
    await other.close()
    assert len(await told(alerts)) == 1
    with pytest.raises(UniqueViolation):
        await alerts.rows("""
            INSERT INTO pggit.alertd_condition (kind, subject, severity, detail)
            VALUES ('baseline_held', 'commit #1', 'WARNING', 'm')
        """)


async def test_the_broken_destination_is_not_told_of_itself(alerts: Alerts) -> None:
    """News of a broken destination goes to the others only, and its end goes to whom its beginning was told."""
    broken = await alerts.setting("slack", OTHER_HOOK)
    healthy = await alerts.setting("email")
    await alerts.rows(BROKEN, broken)
    assert await check(alerts, hold=timedelta(0)) == [("new", "destination_open")]
    await alerts.rows("UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL")
    assert await check(alerts, clear=timedelta(0)) == [("over", "destination_open")]
    assert await alerts.queue("setting_id, event, urgency") == [(healthy, "triggered", 0), (healthy, "resolved", 0)]


async def test_with_nobody_to_tell_the_condition_waits_for_somebody(alerts: Alerts) -> None:
    """It is reported as unheard once a day, not each minute, stays open, and is told as soon as a setting works."""
    broken = await alerts.setting()
    await alerts.rows(BROKEN, broken)
    assert await check(alerts, hold=timedelta(0)) == [("unheard", "destination_open")]
    assert await check(alerts, hold=timedelta(0)) == []
    await later(alerts, "24 hours")
    assert await check(alerts, hold=timedelta(0)) == [("unheard", "destination_open")]
    assert await alerts.rows("SELECT notifications, resolved_at FROM pggit.alertd_condition") == [(0, None)]
    await alerts.setting("pagerduty")
    assert await check(alerts, hold=timedelta(0)) == [("new", "destination_open")]


async def test_who_is_told(alerts: Alerts) -> None:
    """Settings for SYSTEM or everything, of that severity; without one, whoever is paged; never one that can't work."""
    paged = await alerts.setting("pagerduty", alert_type="THRESHOLD_EXCEEDED", severity="CRITICAL")
    await alerts.setting("email", alert_type="ANOMALY", severity="INFO")
    await alerts.setting("slack", {}, alert_type="SYSTEM")
    await alerts.setting("slack", alert_type="SYSTEM", enabled=False)
    await alerts.setting("slack", alert_type="*", pattern="merge*", severity="INFO")
    who = "SELECT pggit.operator_settings(%s)"
    assert await alerts.value(who, "WARNING") == [paged]
    meant = await alerts.setting("slack", alert_type="system", severity=" warning ")
    assert await alerts.value(who, "WARNING") == [meant]
    assert await alerts.value(who, "CRITICAL") == [paged]
    assert await alerts.value(who, None) == [paged]
    assert await alerts.value("SELECT pggit.operator_settings('WARNING', destination_key) FROM "
                              "pggit.alert_notification_settings WHERE setting_id = %s", meant) == [paged]  # fmt: skip


async def test_a_setting_for_system_is_accepted_without_a_warning(alerts: Alerts) -> None:
    """SYSTEM is an alert type that matches something."""
    await alerts.setting(alert_type="SYSTEM")
    assert alerts.notices == []


async def test_operators_can_be_told_by_hand(alerts: Alerts) -> None:
    """One row per setting with all that a channel needs; what makes no sense is refused; without settings, nobody."""
    tell = "SELECT pggit.notify_operators('drill', 'warning', 'This is a drill.')"
    assert await alerts.value(tell) == []
    setting = await alerts.setting()
    assert await alerts.value(tell) == [setting]
    assert await alerts.queue("alert_id, channel, message, group_key, alert, urgency, status") == [
        (
            None,
            "slack",
            "This is a drill.",
            "pggit-alertd/SYSTEM",
            {"alert_type": "SYSTEM", "operation_type": "pggit-alertd", "severity": "WARNING", "condition": "drill"},
            1,
            "pending",
        )
    ]
    for arguments in ("NULL, 'INFO', 'm'", "'c', NULL, 'm'", "'c', 'BAD', 'm'", "'c', 'INFO', ' '"):
        with pytest.raises(InvalidParameterValue):
            await alerts.rows(f"SELECT pggit.notify_operators({arguments})")


async def test_an_empty_database_has_no_conditions(alerts: Alerts) -> None:
    """Right after the installation nothing is wrong, nothing is told, and NULL for a threshold finds nothing."""
    assert await check(alerts) == []
    assert (
        await check(
            alerts,
            queue_depth=None,
            oldest_due=None,
            success_percent=None,
            jobs=None,
            slots=None,
            destination_paused=None,
        )
        == []
    )


async def test_old_runs_of_the_check_itself_are_removed(alerts: Alerts) -> None:
    """A day of them is kept; other jobs' runs stay."""
    for job in ("self_check", "retention"):
        for ago in ("2 days", "1 hour"):
            await alerts.rows(RUN, job, ago, "succeeded", 1, ago, None)
    await check(alerts)
    left = "SELECT job, count(*) FROM pggit.scheduled_job_run GROUP BY job ORDER BY job"
    assert await alerts.rows(left) == [("retention", 2), ("self_check", 1)]


async def test_the_kinds_are_those_the_database_knows(alerts: Alerts) -> None:
    """Python and the table's CHECK name the same kinds."""
    for kind in Kind:
        await alerts.rows(
            "INSERT INTO pggit.alertd_condition (kind, subject, severity, detail) VALUES (%s, '', 'INFO', 'm')", kind
        )
    known = await alerts.value(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'alertd_condition_kind_is_known'"
    )
    assert known.count("::text") == len(Kind)


async def test_a_held_baseline_s_two_durations_read_differently(connection: AsyncConnection) -> None:
    """What differs by less than rounding shows gets the decimals that tell it apart; other pairs don't."""
    await connection.execute(
        "INSERT INTO pggit.performance_baseline_history (operation_type, old_p99_microseconds, new_p99_microseconds,"
        " reference_p99_microseconds, percent_change, reason, status)"
        " VALUES ('commit', 10600, 11200, 5100, 5.66, 'scheduled', 'held')"
    )
    [[detail]] = await (
        await connection.execute("SELECT detail FROM pggit.current_conditions() WHERE kind = 'baseline_held'")
    ).fetchall()
    assert "p99 11.2ms instead of 10.6ms, and it was 5.1ms before it crept" in detail
    pairs = [(250_400, 250_100), (250_040, 250_010), (250_001, 250_000), (250_000, 100_000), (250_000, 250_000)]
    for pair, text in zip(pairs, ("250.4ms", "250.04ms", "250.001ms", "250ms", "250ms"), strict=True):
        found = await connection.execute("SELECT pggit.milliseconds_apart(%s, %s)", pair)
        assert await found.fetchone() == (text,)
    unknown = await connection.execute(
        "SELECT pggit.milliseconds_apart(NULL, 1), pggit.milliseconds_apart(250000, NULL)"
    )
    assert await unknown.fetchone() == (None, "250ms")
