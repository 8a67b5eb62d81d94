"""What the alerting notices about itself: each condition begins, is told once, again each day, and once at its end.

Time passes by moving what the rows say back, so PostgreSQL's own clock decides as it does in production.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.errors import InvalidParameterValue, UniqueViolation

from pggit_alertd.conditions import Kind
from support.alerts import Alerts
from support.troubles import BROKEN, HELD, RUN, check, later, limits, told, trouble

pytestmark = pytest.mark.servers

OTHER_HOOK = {"webhook": "https://hooks.slack.com/services/T/B/other", "channel": "#other"}


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
    """A day of them is kept, as of the scan that runs as often; other jobs' runs and open ones stay."""
    for job in ("self_check", "anomalies", "retention"):
        for ago in ("2 days", "1 hour"):
            await alerts.rows(RUN, job, ago, "succeeded", 1, ago, None)
    await alerts.rows(RUN, "self_check", "3 days", "running", 1, "3 days", datetime.now(UTC))
    await check(alerts)
    left = "SELECT job, count(*) FROM pggit.scheduled_job_run GROUP BY job ORDER BY job"
    assert await alerts.rows(left) == [("anomalies", 1), ("retention", 2), ("self_check", 2)]
