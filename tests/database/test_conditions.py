"""What counts as a condition of the alerting itself, what does not, and in which words it is told."""

from datetime import timedelta

import pytest
from psycopg import AsyncConnection

from pggit_alertd.conditions import Kind
from support.alerts import Alerts
from support.troubles import LOG, OUTBOX, QUEUE, RUN, WORKER, check

pytestmark = pytest.mark.servers


async def test_a_held_baseline_says_what_it_crept_away_from(alerts: Alerts) -> None:
    """A candidate that is near the old baseline, but far from that of four weeks ago, names the latter."""
    await alerts.rows("""
        INSERT INTO pggit.performance_baseline_history (operation_type, status, branch_id, old_p99_microseconds,
            new_p99_microseconds, reference_p99_microseconds)
        VALUES ('commit', 'held', 3, 9000, 11000, 5000)
    """)
    [detail] = await alerts.column("SELECT detail FROM pggit.current_conditions()")
    assert "of commit on branch 3 waits for a decision: p99 11ms instead of 9ms, and it was 5ms before" in detail


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


async def test_what_is_held_and_what_is_routed_does_not_wait(alerts: Alerts) -> None:
    """Notifications of a setting that is switched off make no queue deep, routed alerts no outbox late."""
    kinds = "SELECT kind FROM pggit.current_conditions()"
    await alerts.rows(QUEUE, "1 hour", 501)
    await alerts.rows(OUTBOX)
    assert await alerts.column(kinds) == ["queue_depth", "outbox"]
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = 'infinity' WHERE queue_id = 1")
    await alerts.rows("UPDATE pggit.alert_outbox SET routed_at = now()")
    assert await alerts.column(kinds) == []


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


async def test_a_condition_that_nobody_knows_went_not_unheard(alerts: Alerts) -> None:
    """NULL and unknown conditions, and one of which nothing is queued, have no notice that could be lost."""
    for arguments in ("NULL, NULL, NULL", "4711, now(), '{1}'", "4711, NULL, '{}'"):
        assert await alerts.value(f"SELECT pggit.condition_went_unheard({arguments})") is False


async def test_deliveries_that_ended_are_counted_within_a_window(alerts: Alerts) -> None:
    """Sent and given up, the newest hour unless told otherwise; of nothing, and without a window, none."""
    ended = "SELECT deliveries, sent FROM pggit.ended_deliveries({})"
    assert await alerts.rows(ended.format("")) == [(0, 0)]
    await alerts.rows(LOG, "sent", None, "1 min", 3)
    await alerts.rows(LOG, "failed", "expired", "1 min", 2)
    await alerts.rows(LOG, "failed", "expired", "61 min", 4)
    assert await alerts.rows(ended.format("")) == [(5, 3)]
    assert await alerts.rows(ended.format("'2 hours'")) == [(9, 3)]
    assert await alerts.rows(ended.format("NULL")) == [(0, 0)]
