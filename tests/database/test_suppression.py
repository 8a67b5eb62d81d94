"""What a window mutes and what it leaves alone, how it is made and ended, and that its history stays."""

import json
from typing import Any

import psycopg
import pytest

from support.alerts import Alerts
from support.windows import Windows

pytestmark = pytest.mark.servers


async def routed(alerts: Alerts) -> tuple[int, dict[str, int]]:
    """Route everything; return how many were queued, and how many suppressed by which reason."""
    row = (await alerts.rows("SELECT notifications_queued, notifications_suppressed FROM pggit.route_alerts()"))[0]
    return row[0], row[1]


async def test_a_snoozed_alert_is_not_queued_but_logged_with_the_rule(alerts: Alerts, windows: Windows) -> None:
    """The log row names the window, why, until when and by whom; the alert waits in alert_muted."""
    setting = await alerts.setting()
    window = await windows.snooze(reason="disk swap")
    alert = await alerts.alert()
    assert await routed(alerts) == (0, {"snoozed": 1})
    assert await alerts.queue() == []
    assert await alerts.outbox() == []
    row = (await alerts.log("alert_id, setting_id, channel, recipient, status, reason, error_message"))[0]
    assert row[:6] == (alert, setting, "slack", "#pgit-alerts", "suppressed", "snoozed")
    ends = await alerts.value(
        "SELECT to_char(ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM pggit.alert_snooze"
    )
    who = await alerts.value("SELECT session_user::text")
    assert row[6] == f"muted by snooze {window} until {ends} UTC, set by {who}: disk swap"
    assert await windows.muted("alert_id, setting_id, event, severity, group_key, snooze_id, outcome") == [
        (alert, setting, "triggered", "WARNING", "commit/THRESHOLD_EXCEEDED", window, None)
    ]


async def test_a_recurring_window_says_maintenance(alerts: Alerts, windows: Windows) -> None:
    """A window with a schedule suppresses by another reason than a snooze, for metrics and log."""
    await alerts.setting()
    window = await windows.recurring()
    await alerts.alert()
    assert await routed(alerts) == (0, {"maintenance": 1})
    assert (await alerts.log("error_message"))[0][0].startswith(f"muted by maintenance window {window} until ")


@pytest.mark.parametrize(
    ("matcher", "muted"),
    [
        ({}, {"commit", "merge_a", "merge_b", "critical"}),
        ({"operation": "all", "alert_type": "all", "severity": "all"}, {"commit", "merge_a", "merge_b", "critical"}),
        ({"operation": None, "alert_type": None, "severity": None}, {"commit", "merge_a", "merge_b", "critical"}),
        ({"operation": "merge*"}, {"merge_a", "merge_b"}),
        ({"operation": "merge_?", "alert_type": "anomaly"}, {"merge_b"}),
        ({"operation": "merge%"}, set()),
        ({"severity": "warning"}, {"commit", "merge_a", "merge_b"}),
        ({"severity": "CRITICAL"}, {"critical"}),
        ({"mutes_critical": False}, {"commit", "merge_a", "merge_b"}),
        ({"mutes_critical": None}, {"commit", "merge_a", "merge_b", "critical"}),
        ({"channel": "SLACK"}, {"commit", "merge_a", "merge_b", "critical"}),
        ({"channel": "email"}, set()),
        ({"channel": "all"}, {"commit", "merge_a", "merge_b", "critical"}),
    ],
)
async def test_a_window_mutes_what_matches_and_nothing_else(
    alerts: Alerts, windows: Windows, matcher: dict[str, Any], muted: set[str]
) -> None:
    """Operation globs, type, severity, channel; what is left out, NULL and "all" match everything; CRITICAL too."""
    await alerts.setting()
    await windows.snooze(**matcher)
    for operation in ("commit", "merge_a"):
        await alerts.alert(operation)
    await alerts.alert("merge_b", alert_type="ANOMALY")
    await alerts.routed_alert("critical", severity="CRITICAL")
    kept = await alerts.column(
        "SELECT a.operation_type FROM pggit.alert_muted JOIN pggit.performance_alerts AS a USING (alert_id)"
    )
    assert set(kept) == muted
    sent = await alerts.column("SELECT alert ->> 'operation_type' FROM pggit.alert_notification_queue")
    assert set(sent) == {"commit", "merge_a", "merge_b", "critical"} - muted


async def test_a_window_for_one_setting_leaves_the_others(alerts: Alerts, windows: Windows) -> None:
    """The same alert is muted for one setting and sent to the other; both are told apart in the log."""
    first, second = await alerts.setting(), await alerts.setting("email")
    await windows.snooze(setting_id=first)
    alert = await alerts.alert()
    assert await routed(alerts) == (1, {"snoozed": 1})
    assert await alerts.queue("setting_id") == [(second,)]
    assert await windows.muted("alert_id, setting_id") == [(alert, first)]


async def test_an_alert_that_escalates_is_judged_by_its_new_severity(alerts: Alerts, windows: Windows) -> None:
    """The fourth of an hour is CRITICAL before windows are asked, so a window for warnings lets it through."""
    await alerts.setting()
    await windows.snooze(severity="WARNING")
    await alerts.alert(count=4)
    assert await routed(alerts) == (1, {"snoozed": 3})
    assert await alerts.value("SELECT alert ->> 'severity' FROM pggit.alert_notification_queue") == "CRITICAL"


async def test_windows_mute_only_while_they_are_open(alerts: Alerts, windows: Windows) -> None:
    """Not before they start, not after they end, not once cancelled; and never what is queued already."""
    await alerts.setting()
    before = await alerts.routed_alert()
    later = await windows.snooze(None, **{"from": "tomorrow", "to": "tomorrow 03:00"})  # type: ignore[arg-type]
    await alerts.alert()
    assert await routed(alerts) == (1, {})
    assert await alerts.value("SELECT pggit.cancel_snooze(%s)", later)
    over = await windows.snooze()
    await windows.pass_by(over)
    await alerts.alert()
    assert await routed(alerts) == (1, {})
    await windows.snooze()
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", before)
    assert await windows.muted() == []
    assert len(await alerts.queue()) == 3


async def test_notify_on_alert_obeys_windows(alerts: Alerts, windows: Windows) -> None:
    """What people send by hand is muted as well, once in the log however often it is repeated."""
    await alerts.setting()
    await windows.snooze()
    alert = await alerts.alert()
    for _ in range(3):
        await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    assert await alerts.queue() == []
    assert await alerts.log() == [(alert, "suppressed", "snoozed")]


async def test_of_several_windows_the_one_that_ends_last_counts(alerts: Alerts, windows: Windows) -> None:
    """An alert waits for the last window that covers it and is logged once."""
    await alerts.setting()
    await windows.snooze("1 hour")
    longest = await windows.snooze("3 hours")
    await windows.snooze("2 hours")
    await alerts.alert()
    assert await routed(alerts) == (0, {"snoozed": 1})
    assert await windows.muted("snooze_id") == [(longest,)]


async def test_what_follows_on_a_muted_alert_is_not_told_and_on_a_told_one_is(alerts: Alerts, windows: Windows) -> None:
    """A receiver that was paged before the window hears that it is resolved; one that was not hears nothing."""
    await alerts.setting()
    told = await alerts.routed_alert()
    await windows.snooze()
    muted = await alerts.routed_alert("merge")
    for alert in (told, muted):
        await alerts.rows("INSERT INTO pggit.alert_outbox (alert_id, event) VALUES (%s, 'resolved')", alert)
    assert await routed(alerts) == (1, {"nobody_was_told": 1})
    assert await alerts.queue("alert_id, event") == [(told, "triggered"), (told, "resolved")]
    assert (muted, "suppressed", "nobody_was_told") in await alerts.log("alert_id, status, reason")


async def test_every_reason_is_counted(alerts: Alerts, windows: Windows) -> None:
    """What routing keeps back is counted by reason in its result, also where alerts are routed one by one."""
    await windows.snooze(operation="commit")
    await alerts.setting(pattern="commit")
    gone = await alerts.alert("push")
    await alerts.alert("push")
    await alerts.alert("commit")
    await alerts.rows("DELETE FROM pggit.performance_alerts WHERE alert_id = %s", gone)
    assert await routed(alerts) == (0, {"alert_deleted": 1, "no_matching_setting": 1, "snoozed": 1})
    assert await routed(alerts) == (0, {})
    one, two = await alerts.alert("commit"), await alerts.alert("push")
    counted = await alerts.value(
        "SELECT suppressed FROM pggit.queue_alerts_one_by_one(%s::bigint[], '{triggered,triggered}', '{now,now}')",
        [one, two],
    )
    assert counted == {"no_matching_setting": 1, "snoozed": 1}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("NULL, '1 hour'", "needs a reason"),
        ("'  ', '1 hour'", "needs a reason"),
        ("repeat('x', 1001), '1 hour'", "longer than 1000"),
        ("'r'", "needs an end or a duration"),
        ("'r', '0 s'", "more than zero"),
        ("'r', '-1 hour'", "more than zero"),
        ("'r', '400 days'", "longer than a year"),
        ("'r', p_to => now() - interval '1 s'", "before it starts"),
        ("'r', p_from => now() - interval '2 h', p_to => now() - interval '1 h'", "over already"),
        ("'r', p_from => now() + interval '2 h', p_to => now() + interval '1 h'", "before it starts"),
        ("'r', p_to => 'infinity'", "points in time"),
        ("'r', p_to => now() + interval '2 years'", "longer than a year"),
        ("'r', '1 hour', p_to => now() + interval '1 h'", "an end or a duration, not both"),
        ("'r', '1 hour', p_severity => 'BAD'", "no severity 'BAD'"),
        ("'r', '1 hour', p_alert_type => 'DEGREDATION'", "no alert type 'DEGREDATION'"),
        ("'r', '1 hour', p_alert_type => 'SYSTEM'", "no alert type 'SYSTEM'"),
        ("'r', '1 hour', p_channel => 'slck'", "no channel 'slck'"),
        ("'r', '1 hour', p_setting_id => 4711", "no notification setting 4711"),
        ("'r', p_cron => '0 2 * * *'", "needs a duration"),
        ("'r', '1 hour', p_cron => '0 2 * *'", "no cron expression"),
        ("'r', '1 hour', p_cron => '0 2 * * *', p_time_zone => 'Europe/Berln'", "Europe/Berln"),
        ("'r', '1 hour', p_cron => '0 2 * * *', p_time_zone => NULL", "needs a time zone"),
        ("'r', '1 hour', p_cron => '0 2 * * *', p_from => now()", "no start and end of its own"),
    ],
)
async def test_a_window_that_makes_no_sense_is_refused(alerts: Alerts, call: str, said: str) -> None:
    """One sentence says what is wrong, with the SQLSTATE of a bad parameter; nothing is written."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=said):
        await alerts.rows(f"SELECT pggit.snooze_alerts({call})")
    assert await alerts.value("SELECT count(*) FROM pggit.alert_snooze") == 0


async def test_cancelling_says_what_it_did(alerts: Alerts, windows: Windows) -> None:
    """A window ends once; unknown numbers, NULL and what is over are answered with FALSE and a sentence."""
    window, over = await windows.snooze(), await windows.snooze()
    await windows.pass_by(over)
    assert await alerts.value("SELECT pggit.cancel_snooze(%s, 'done early')", window)
    for number in (window, over, None, 4711):
        assert await alerts.value("SELECT pggit.cancel_snooze(%s::bigint)", number) is False
    assert [
        next(words for words in ("was cancelled by", "was over", "no window NULL", "no window 4711") if words in notice)
        for notice in alerts.notices
    ] == ["was cancelled by", "was over", "no window NULL", "no window 4711"]
    row = (
        await alerts.rows(
            "SELECT cancelled_by = session_user, cancel_reason, cancelled_at <= now() FROM pggit.alert_snooze"
            " WHERE snooze_id = %s",
            window,
        )
    )[0]
    assert row == (True, "done early", True)


async def test_history_cannot_be_rewritten(alerts: Alerts, windows: Windows) -> None:
    """No column that says who muted what can be changed, a cancellation stands, and an open window can't be deleted."""
    window = await windows.snooze()
    recurring = await windows.recurring()
    for change in (
        "reason = 'other'",
        "ends_at = ends_at + interval '1 h'",
        "created_by = 'nobody'",
        "severity = 'INFO'",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation, match="stays as it was written"):
            await alerts.rows(f"UPDATE pggit.alert_snooze SET {change}")  # noqa: S608
    for number in (window, recurring):
        with pytest.raises(psycopg.errors.RestrictViolation, match="not over"):
            await alerts.rows("DELETE FROM pggit.alert_snooze WHERE snooze_id = %s", number)
    await alerts.rows("SELECT pggit.cancel_snooze(%s)", window)
    with pytest.raises(psycopg.errors.RestrictViolation):
        await alerts.rows("UPDATE pggit.alert_snooze SET cancelled_at = NULL, cancelled_by = NULL")


async def test_expanding_is_idempotent_and_exact(alerts: Alerts, windows: Windows) -> None:
    """Occurrences come once, last as long as the duration in absolute time, and only where they are not over."""
    await alerts.rows("SET timezone = 'Europe/Berlin'")
    number = await windows.snooze("1 day", cron="0 2 * * *", time_zone="Europe/Berlin")
    starts = ["2040-03-24 12:00+01", "2040-10-27 12:00+02", "2020-01-01 00:00+00", "infinity"]
    expand = "SELECT pggit.expand_snooze(%s, %s::timestamptz[], '2040-12-01')"
    assert await alerts.value(expand, number, starts) == 2
    assert await alerts.value(expand, number, starts) == 0
    lengths = await alerts.column(
        "SELECT extract(epoch FROM ends_at - starts_at)::integer FROM pggit.alert_snooze_occurrence"
    )
    assert lengths == [86400, 86400]
    assert await alerts.value("SELECT pggit.expand_snooze(%s, NULL, NULL, 'no such zone')", number) == 0
    assert await alerts.rows("SELECT problem, expanded_until = '2040-12-01' FROM pggit.alert_snooze") == [
        ("no such zone", True)
    ]
    for unknown in (None, 4711, await windows.snooze()):
        assert await alerts.value("SELECT pggit.expand_snooze(%s::bigint, ARRAY[now()], now())", unknown) == 0


async def test_the_view_shows_what_is_open(alerts: Alerts, windows: Windows) -> None:
    """Time left, who, why, and how many are kept back; a window that is over, cancelled or to come isn't there."""
    await alerts.setting()
    window = await windows.snooze("30 minutes", "reindex", operation="commit")
    await windows.pass_by(await windows.snooze())
    await alerts.rows("SELECT pggit.cancel_snooze(%s)", await windows.snooze())
    await alerts.alert(count=2, alert_type="ANOMALY")
    await alerts.routed_alert(severity="CRITICAL")
    assert await alerts.rows(
        "SELECT snooze_id, kind, reason, muted, muted_critical, operation_pattern,"
        " time_left BETWEEN interval '25 min' AND interval '30 min' FROM pggit.v_active_snoozes"
    ) == [(window, "snoozed", "reindex", 3, 1, "commit", True)]


async def test_text_of_any_kind_goes_through(alerts: Alerts, windows: Windows) -> None:
    """Quotes, percent signs and emoji in a reason are data, in log and note alike."""
    await alerts.setting()
    reason = "100% 'sure' \\ \"now\" 🛠 %s"
    window = await windows.snooze(reason=reason)
    await alerts.routed_alert()
    assert reason in (await alerts.log("error_message"))[0][0]
    await windows.pass_by(window)
    await windows.release()
    note = (await alerts.queue("alert ->> 'note'"))[0][0]
    assert reason in note
    assert json.loads(json.dumps(note)) == note


async def test_retention_takes_what_is_over_and_old(alerts: Alerts, windows: Windows) -> None:
    """Old windows, occurrences and muted rows go; recurring, recent and still waiting ones stay."""
    await alerts.setting()
    old, recent, recurring = await windows.snooze(), await windows.snooze("3 hours"), await windows.recurring()
    await alerts.routed_alert()
    await windows.pass_by(old, ago="100 days")
    await alerts.rows("UPDATE pggit.alert_snooze_occurrence SET settled_at = ends_at WHERE ends_at < now()")
    await alerts.rows(
        "INSERT INTO pggit.alert_muted SELECT -n, 1, 'triggered', 'INFO', 'g', now(), now(), %s, now(),"
        " now() - interval '100 days', 'over' FROM generate_series(1, 5) AS n",
        old,
    )
    removed = await alerts.rows(
        "SELECT relation, deleted FROM pggit.purge_notifications('90 days') WHERE deleted > 0 ORDER BY relation"
    )
    assert removed == [("alert_muted", 5), ("alert_snooze", 1), ("alert_snooze_occurrence", 1)]
    assert await alerts.column("SELECT snooze_id FROM pggit.alert_snooze ORDER BY 1") == [recent, recurring]
    assert len(await windows.muted()) == 1
