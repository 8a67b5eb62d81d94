"""Chains: an unacknowledged CRITICAL goes to the next in line, once a step, until somebody takes it or it is over."""

import asyncio
from typing import Any

import pytest
from psycopg import AsyncConnection

from support.alerts import Alerts
from support.windows import Windows

pytestmark = pytest.mark.servers

STEP = "SELECT pggit.escalate_unacknowledged()"
TAKE = "SELECT queued, suppressed FROM pggit.take_escalation_steps()"
QUEUED = "alert_id, setting_id, event, urgency, alert ->> 'note'"
STATE = "SELECT chain, position, setting_id, due_at > now(), ended_reason FROM pggit.alert_escalation ORDER BY chain"


async def chain(alerts: Alerts, steps: int = 3, name: str = "payments") -> list[int]:
    """Make a chain whose first setting hears of CRITICAL alerts and whose others are reached by escalation only."""
    settings = [await alerts.setting(severity="CRITICAL")]
    settings += [await alerts.setting("email", alert_type="ESCALATION") for _ in range(steps - 1)]
    await alerts.rows(
        "INSERT INTO pggit.alert_escalation_step (chain, position, setting_id, wait)"
        " SELECT %s, n, s, n * interval '15 minutes' FROM unnest(%s::integer[]) WITH ORDINALITY AS step (s, n)",
        name,
        settings,
    )
    return settings


async def wait(alerts: Alerts, interval: str) -> None:
    """Let time pass for every chain under way."""
    await alerts.rows(
        "UPDATE pggit.alert_escalation SET due_at = due_at - %s::interval, stepped_at = stepped_at - %s::interval",
        interval,
        interval,
    )


async def test_nothing_to_escalate_is_nothing_done(alerts: Alerts) -> None:
    """Empty tables, NULL, unknown alerts and wrong limits have defined answers."""
    assert await alerts.value(STEP) == 0
    for limit in ("NULL", "0", "-1"):
        with pytest.raises(Exception, match="it must be one at least"):
            await alerts.rows(f"SELECT pggit.escalate_unacknowledged({limit})")
    assert await alerts.rows(TAKE) == [(0, {})]
    await chain(alerts)
    for ids in ("NULL", "'{}'", "'{NULL, 4711}'"):
        await alerts.rows(f"SELECT pggit.start_alert_escalations({ids})")
    assert await alerts.rows(STATE) == []
    assert alerts.notices == [], "a setting for escalation only is no mistake"


async def test_each_step_is_taken_when_it_is_due_and_the_chain_ends(alerts: Alerts) -> None:
    """Second after its wait, third after its own, each told by whom it was not acknowledged; then no more."""
    first, second, third = await chain(alerts)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET name = 'night shift' WHERE setting_id = %s", second)
    alert = await alerts.alert(severity="CRITICAL")
    assert await alerts.route() == (1, 1, 0)
    await wait(alerts, "29 minutes 59 seconds")
    assert await alerts.value(STEP) == 0
    await wait(alerts, "1 second")
    assert await alerts.value(STEP) == 1
    assert await alerts.value(STEP) == 0
    assert await alerts.rows(STATE) == [("payments", 2, second, True, None)]
    await wait(alerts, "45 minutes")
    assert await alerts.value(STEP) == 1
    assert await alerts.rows(STATE) == [("payments", 3, third, None, "exhausted")]
    assert await alerts.queue(QUEUED) == [
        (alert, first, "triggered", 0, None),
        (alert, second, "triggered", 0, "Not acknowledged for 30 min by #pgit-alerts; escalated to you."),
        (alert, third, "triggered", 0, "Not acknowledged for 45 min by night shift; escalated to you."),
    ]
    assert await alerts.log("alert_id, setting_id, status, reason") == [
        (alert, second, "released", "escalated"),
        (alert, third, "released", "escalated"),
    ]
    await wait(alerts, "10 days")
    assert await alerts.value(STEP) == 0


async def test_only_critical_alerts_of_the_first_setting_start_a_chain_and_once_an_episode(alerts: Alerts) -> None:
    """Warnings, acknowledged alerts and alerts told to a later setting only start none; a second alert adds none."""
    await alerts.setting()
    _, second, _ = await chain(alerts)
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET alert_type = 'ANOMALY' WHERE setting_id = %s", second
    )
    await alerts.rows("UPDATE pggit.alert_notification_settings SET operation_pattern = 'commit' WHERE severity <> '*'")
    await alerts.alert()
    await alerts.alert(operation="merge", alert_type="ANOMALY", severity="CRITICAL")
    done = await alerts.alert(alert_type="DEGRADATION", severity="CRITICAL")
    await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE WHERE alert_id = %s", done)
    await alerts.route()
    assert await alerts.rows(STATE) == []
    await alerts.routed_alert(severity="CRITICAL")
    await alerts.alert(severity="CRITICAL", count=3)
    await alerts.route()
    assert await alerts.value("SELECT count(*) FROM pggit.alert_escalation") == 1


@pytest.mark.parametrize("routed", [True, False])
async def test_acknowledging_stops_the_chain(alerts: Alerts, routed: bool) -> None:
    """Also before the acknowledgement is routed; whoever was escalated to hears of it like the others."""
    first, second, _ = await chain(alerts)
    alert = await alerts.routed_alert(severity="CRITICAL")
    await wait(alerts, "30 minutes")
    await alerts.rows(STEP)
    await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", alert)
    if routed:
        assert await alerts.route() == (1, 2, 0)
    await wait(alerts, "1 day")
    assert await alerts.value(STEP) == 0
    assert await alerts.rows(STATE) == [("payments", 2, second, None, "acknowledged")]
    await alerts.route()
    assert await alerts.queue("setting_id, alert ->> 'actor'", "event = 'acknowledged'") == [
        (first, "ann"),
        (second, "ann"),
    ]


async def test_another_alert_of_the_episode_acknowledged_or_its_end_stops_the_chain(alerts: Alerts) -> None:
    """Who acknowledges one alert of a run has the incident; a resolved one needs nobody."""
    await chain(alerts)
    await alerts.routed_alert(severity="CRITICAL")
    other = await alerts.alert(severity="CRITICAL")
    over = await alerts.routed_alert(operation="merge", severity="CRITICAL")
    await alerts.rows("SELECT pggit.acknowledge_alert(%s), pggit.resolve_alert(%s)", other, over)
    await alerts.route()
    await wait(alerts, "1 day")
    assert await alerts.value(STEP) == 0
    assert sorted(row[4] for row in await alerts.rows(STATE)) == ["acknowledged", "resolved"]


async def test_disabled_and_deleted_steps_are_passed_over(alerts: Alerts) -> None:
    """A disabled setting costs no time and leaves a log row, a deleted one leaves the chain; none left ends it."""
    _, second, third = await chain(alerts)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", second)
    alert = await alerts.routed_alert(severity="CRITICAL")
    await wait(alerts, "30 minutes")
    assert await alerts.value(STEP) == 1
    assert await alerts.log("setting_id, status, reason") == [
        (second, "suppressed", "setting_disabled"),
        (third, "released", "escalated"),
    ]
    other = await alerts.routed_alert(operation="merge", severity="CRITICAL")
    await alerts.rows("DELETE FROM pggit.alert_notification_settings WHERE setting_id IN (%s, %s)", second, third)
    await wait(alerts, "1 day")
    assert await alerts.value(STEP) == 0
    assert await alerts.column("SELECT ended_reason FROM pggit.alert_escalation ORDER BY alert_id") == ["exhausted"] * 2
    assert alert < other


async def test_who_was_told_already_is_told_again_by_its_step(alerts: Alerts) -> None:
    """A step whose setting matched the alert itself, and a setting listed twice, still get their message."""
    first = await alerts.setting()
    second = await alerts.setting("email")
    await alerts.rows(
        "INSERT INTO pggit.alert_escalation_step (chain, position, setting_id, wait) VALUES"
        " ('c', 10, %s, '0'), ('c', 20, %s, '5 min'), ('c', 30, %s, '5 min')",
        first,
        second,
        first,
    )
    alert = await alerts.routed_alert(severity="CRITICAL")
    for _ in range(2):
        await wait(alerts, "5 minutes")
        assert await alerts.value(STEP) == 1
    assert await alerts.queue("alert_id, setting_id, alert -> 'alert_id'") == [
        (alert, first, alert),
        (alert, second, alert),
        (alert, second, alert),
        (alert, first, alert),
    ]
    assert await alerts.queue("repeat_no") == [(0,), (0,), (1,), (1,)]


async def test_who_is_told_again_in_vain_is_told_through_the_fallback(alerts: Alerts) -> None:
    """The second message to a setting is rescued like a first one when its destination broke in between."""
    first, second = await alerts.setting(severity="CRITICAL"), await alerts.setting("email", alert_type="ESCALATION")
    rescue = await alerts.setting("pagerduty", alert_type="ESCALATION")
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET fallback_setting_id = %s WHERE setting_id = %s", rescue, first
    )
    await alerts.rows(
        "INSERT INTO pggit.alert_escalation_step (chain, position, setting_id, wait) VALUES"
        " ('c', 1, %s, '0'), ('c', 2, %s, '5 min'), ('c', 3, %s, '5 min')",
        *(first, second, first),
    )
    alert = await alerts.routed_alert(severity="CRITICAL")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent', processed_at = now()")
    for _ in range(2):
        await wait(alerts, "5 minutes")
        assert await alerts.value(STEP) == 1
    assert await alerts.value("SELECT pggit.queue_fallbacks()") == 0
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now() WHERE repeat_no = 1"
    )
    assert await alerts.value("SELECT pggit.queue_fallbacks()") == 1
    assert (await alerts.queue("alert_id, setting_id, repeat_no"))[-1] == (alert, rescue, 0)


@pytest.mark.parametrize("broken", ["UPDATE %s SET config = '{}'", "UPDATE %s SET notification_channel = 'pigeon'"])
async def test_a_step_that_can_not_work_is_passed_over_at_once(alerts: Alerts, broken: str) -> None:
    """A broken config or an unknown channel costs no time and leaves a log row; if no step works, the chain ends."""
    _, second, third = await chain(alerts)
    await alerts.rows(broken % "pggit.alert_notification_settings" + " WHERE setting_id = %s", second)
    await alerts.routed_alert(severity="CRITICAL")
    await wait(alerts, "30 minutes")
    assert await alerts.value(STEP) == 1
    assert await alerts.log("setting_id, status, reason") == [
        (second, "failed", "invalid_setting"),
        (third, "released", "escalated"),
    ]
    assert (await alerts.log("error_message"))[0][0].startswith(
        f"step 2 of escalation payments: setting {second}: " + ("config names" if "config" in broken else "notif")
    )
    assert await alerts.queue("setting_id", "status = 'pending'") == [(1,), (third,)]
    await alerts.rows(broken % "pggit.alert_notification_settings" + " WHERE setting_id = %s", third)
    await alerts.routed_alert(operation="merge", severity="CRITICAL")
    await wait(alerts, "1 day")
    assert await alerts.value(STEP) == 0
    assert await alerts.column("SELECT ended_reason FROM pggit.alert_escalation ORDER BY alert_id") == ["exhausted"] * 2


async def test_an_open_window_puts_a_step_off_until_its_end(alerts: Alerts) -> None:
    """Nobody is paged while the window is open, the log says so once, and at its end the step is taken."""
    windows = Windows(alerts)
    _, second, third = await chain(alerts)
    alert = await alerts.routed_alert(severity="CRITICAL")
    snooze = await windows.snooze("1 hour", operation="commit")
    await wait(alerts, "30 minutes")
    assert await alerts.rows(TAKE) == [(0, {"snoozed": 1})]
    assert await alerts.rows(TAKE) == [(0, {})], "counted when it is put off, not while it waits"
    assert await alerts.rows(
        "SELECT due_at = (SELECT ends_at FROM pggit.v_active_snoozes), position, snooze_id FROM pggit.alert_escalation"
    ) == [(True, 1, snooze)]
    log = await alerts.log("alert_id, setting_id, status, reason, error_message")
    assert [row[:4] for row in log] == [(alert, second, "suppressed", "snoozed")]
    assert log[0][4].startswith(f"step 2 of escalation payments is put off, muted by snooze {snooze} until 2")
    await windows.pass_by(snooze)
    await wait(alerts, "1 hour")
    assert await alerts.value(STEP) == 1
    assert (await alerts.queue("setting_id"))[-1] == (second,)
    assert await alerts.column("SELECT snooze_id FROM pggit.alert_escalation") == [None]
    await windows.recurring(setting_id=third)
    await wait(alerts, "45 minutes")
    assert await alerts.rows(TAKE) == [(0, {"maintenance": 1})]
    assert (await alerts.log("setting_id, reason"))[-1] == (third, "maintenance")


async def test_canceling_a_window_makes_its_steps_due(alerts: Alerts) -> None:
    """What a canceled window has put off is told on the next round; what another one covers stays put off."""
    windows = Windows(alerts)
    _, second, _ = await chain(alerts)
    await alerts.routed_alert(severity="CRITICAL")
    first = await windows.snooze("3 hours")
    other = await windows.snooze("2 hours")
    await wait(alerts, "30 minutes")
    for snooze in (first, other):
        assert await alerts.value(STEP) == 0
        assert await alerts.column("SELECT snooze_id FROM pggit.alert_escalation") == [snooze]
        await alerts.rows("SELECT pggit.cancel_snooze(%s)", snooze)
    assert await alerts.value(STEP) == 1
    assert (await alerts.queue("setting_id"))[-1] == (second,)


@pytest.mark.parametrize(
    "matcher",
    [
        {"operation": "merge"},
        {"severity": "WARNING"},
        {"mutes_critical": False},
        {"channel": "slack"},
        {"setting_id": 1},
        {"alert_type": "ANOMALY"},
    ],
)
async def test_a_window_that_does_not_cover_the_step_puts_nothing_off(alerts: Alerts, matcher: dict[str, Any]) -> None:
    """Operation, type, severity, setting and channel of the step count, as they do in routing."""
    await chain(alerts)
    await alerts.routed_alert(severity="CRITICAL")
    await Windows(alerts).snooze("1 hour", **matcher)
    await wait(alerts, "30 minutes")
    assert await alerts.value(STEP) == 1


async def test_replicas_take_each_step_once(alerts: Alerts, database: str) -> None:
    """While one replica takes a step, others pass by; ten at once on fifty chains queue fifty messages."""
    await chain(alerts, 2)
    for number in range(50):
        await alerts.alert(operation=f"operation {number}", severity="CRITICAL")
    await alerts.route()
    await wait(alerts, "1 hour")
    async with await AsyncConnection.connect(database) as one:
        assert await Alerts(one).value("SELECT pggit.escalate_unacknowledged(1)") == 1

        async def step() -> int:
            async with await AsyncConnection.connect(database, autocommit=True) as own:
                return int(await Alerts(own).value("SELECT pggit.escalate_unacknowledged(7)"))

        async with asyncio.timeout(60):
            taken = sum(await asyncio.gather(*(step() for _ in range(10))))
        await one.commit()
    assert taken == 49
    assert await alerts.rows(
        "SELECT count(*), count(DISTINCT alert_id) FROM pggit.alert_notification_queue WHERE alert ? 'note'"
    ) == [(50, 50)]


async def test_what_is_rolled_back_was_not_escalated(alerts: Alerts, database: str) -> None:
    """A replica that dies in mid-step leaves the step due."""
    await chain(alerts)
    await alerts.routed_alert(severity="CRITICAL")
    await wait(alerts, "1 hour")
    async with await AsyncConnection.connect(database) as dying:
        assert await Alerts(dying).value(STEP) == 1
        await dying.rollback()
    assert await alerts.value(STEP) == 1


async def test_a_shift_stands_in_for_the_settings_config(alerts: Alerts) -> None:
    """Inside its time the latest shift's config, key and masked name count, else the setting's own; errors are told."""
    setting = await alerts.setting("email")
    plain = await alerts.setting()
    view = (
        "SELECT config ->> 'to', recipient, destination_key, shift_id IS NULL FROM pggit.effective_notification_config"
        " WHERE setting_id = %s"
    )
    own = ('["ops@example.com"]', "o***@example.com", "email:smtp", True)
    assert await alerts.rows(view, setting) == [own]
    await alerts.rows(
        "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config) VALUES"
        " (%s, now() - interval '2 h', now(), '{\"to\": \"past@example.com\"}'),"
        " (%s, now() + interval '1 h', now() + interval '2 h', '{\"to\": \"next@example.com\"}')",
        setting,
        setting,
    )
    assert await alerts.rows(view, setting) == [own]
    for who, begun in (("bob", "3 h"), ("ann", "1 h")):
        await alerts.rows(
            "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config)"
            " VALUES (%s, now() - %s::interval, now() + interval '1 h', jsonb_build_object('to', %s::text))",
            setting,
            begun,
            f"{who}@example.com",
        )
    assert await alerts.rows(view, setting) == [("ann@example.com", "a***@example.com", "email:smtp", False)]
    assert (await alerts.rows(view, plain))[0][1:] == (
        "#pgit-alerts",
        await alerts.value(
            "SELECT destination_key FROM pggit.alert_notification_settings WHERE setting_id = %s", plain
        ),
        True,
    )
    assert alerts.notices == []
    await alerts.rows(
        "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config) VALUES (%s, now(), 'infinity', '{}')",
        setting,
    )
    assert "can't deliver: config names no recipient" in alerts.notices[0]
    with pytest.raises(Exception, match="ends_after_it_starts"):
        await alerts.rows(
            "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config) VALUES (%s, now(), now(), '{}')",
            setting,
        )
