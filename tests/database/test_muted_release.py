"""What happens when a window ends: what still fires is sent, once per group, and says that it was muted."""

import asyncio
from typing import Any

import pytest

from support.alerts import Alerts
from support.windows import Windows

pytestmark = pytest.mark.servers


async def muted_alert(alerts: Alerts, *, ago: str = "0 seconds", **what: Any) -> int:
    """Raise an alert so long ago and route it."""
    alert = await alerts.alert(**what)
    await alerts.rows(
        "UPDATE pggit.alert_outbox SET occurred_at = now() - %s::interval WHERE alert_id = %s", ago, alert
    )
    await alerts.route()
    return alert


async def test_with_nothing_due_nothing_happens(alerts: Alerts, windows: Windows) -> None:
    """Empty tables, an open window and NULL arguments release nothing; a bad limit is refused."""
    assert await windows.release() == (0, 0, {})
    await alerts.setting()
    await windows.snooze()
    await muted_alert(alerts)
    assert await windows.release() == (0, 0, {})
    assert await alerts.rows("SELECT * FROM pggit.release_muted_alerts(NULL, NULL, NULL)") == [(0, 0, {})]
    assert await windows.muted("outcome") == [(None,)]
    for limit in ("NULL", "0"):
        with pytest.raises(Exception, match="it must be one at least"):
            await alerts.rows(f"SELECT pggit.release_muted_alerts(p_limit => {limit})")


async def test_the_worst_of_what_still_fires_is_sent_and_says_so(alerts: Alerts, windows: Windows) -> None:
    """One notification per setting, operation and type: the worst, of equals the latest, with how many there were."""
    await alerts.setting()
    await alerts.setting("email")
    window = await windows.snooze(reason="disk swap")
    first = await muted_alert(alerts, severity="INFO", ago="40 min", alert_type="ANOMALY")
    worst = await muted_alert(alerts, severity="CRITICAL", ago="20 min", alert_type="ANOMALY")
    last = await muted_alert(alerts, severity="WARNING", ago="1 min", alert_type="ANOMALY")
    await muted_alert(alerts, operation="push", ago="3 min")
    other = await muted_alert(alerts, operation="push", ago="2 min")
    await windows.pass_by(window)
    assert await windows.release() == (4, 0, {})
    assert await windows.release() == (0, 0, {})
    rows = await alerts.queue("alert_id, channel, urgency, event, alert ->> 'note'")
    assert sorted(row[:4] for row in rows) == [
        (worst, "email", 0, "triggered"),
        (worst, "slack", 0, "triggered"),
        (other, "email", 1, "triggered"),
        (other, "slack", 1, "triggered"),
    ]
    notes = {row[0]: row[4] for row in rows}
    who = await alerts.value("SELECT session_user::text")
    assert notes[worst].startswith(f"Was muted by snooze {window} until ")
    assert f"(disk swap, set by {who}). The worst of 3 alerts that were muted since " in notes[worst]
    assert "The worst of 2 alerts that were muted since " in notes[other]
    outcomes = dict(await windows.muted("DISTINCT ON (alert_id) alert_id, outcome"))
    assert (outcomes[first], outcomes[worst], outcomes[last], outcomes[other]) == ("folded", "sent", "folded", "sent")


@pytest.mark.parametrize(
    ("ago", "still", "sent"), [("14 min", "15 min", 1), ("16 min", "15 min", 0), ("16 min", "1 h", 1)]
)
async def test_what_no_longer_fires_stays_muted(
    alerts: Alerts, windows: Windows, ago: str, still: str, sent: int
) -> None:
    """An operation that was quiet for the last part of the window isn't told; how long that is can be chosen."""
    await alerts.setting()
    window = await windows.snooze()
    await muted_alert(alerts, ago=ago)
    await windows.pass_by(window)
    assert (await windows.release(still))[0] == sent
    assert await windows.muted("outcome") == [("sent" if sent else "over",)]


async def test_what_was_dealt_with_in_the_window_is_not_sent(alerts: Alerts, windows: Windows) -> None:
    """Acknowledged, resolved, deleted alerts, settings that were switched off, and what was sent by hand stay quiet."""
    setting, off = await alerts.setting(), await alerts.setting("email")
    window = await windows.snooze()
    kinds = ("acknowledged", "resolved", "resolving", "alert_deleted", "sent_by_hand")
    numbers = {kind: await muted_alert(alerts, operation=kind) for kind in kinds}
    await alerts.rows(
        "UPDATE pggit.performance_alerts SET is_acknowledged = TRUE WHERE alert_id = %s", numbers["acknowledged"]
    )
    await alerts.rows("SELECT pggit.resolve_alert(%s)", numbers["resolved"])
    await alerts.route()
    await alerts.rows("INSERT INTO pggit.alert_outbox (alert_id, event) VALUES (%s, 'resolved')", numbers["resolving"])
    await alerts.rows("DELETE FROM pggit.performance_alerts WHERE alert_id = %s", numbers["alert_deleted"])
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", off)
    await windows.pass_by(window)
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", numbers["sent_by_hand"])
    assert await windows.release() == (0, 0, {})
    assert await alerts.queue("alert_id") == [(numbers["sent_by_hand"],)]
    outcomes = await alerts.rows(
        "SELECT alert_id, outcome FROM pggit.alert_muted WHERE setting_id = %s AND event = 'triggered'", setting
    )
    assert dict(outcomes) == {number: "resolved" if kind == "resolving" else kind for kind, number in numbers.items()}
    left = await alerts.column("SELECT DISTINCT outcome FROM pggit.alert_muted WHERE setting_id = %s", off)
    assert "sent" not in left
    assert "setting_off" in left


async def test_a_setting_that_matches_no_more_is_not_told(alerts: Alerts, windows: Windows) -> None:
    """It is judged as it is when the window ends, and the log says why nothing was sent."""
    setting = await alerts.setting()
    window = await windows.snooze()
    alert, known = await muted_alert(alerts), await muted_alert(alerts)
    await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE WHERE alert_id = %s", known)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET severity = 'CRITICAL'")
    await windows.pass_by(window)
    assert await windows.release() == (0, 0, {"no_matching_setting": 1})
    assert await windows.muted() == [(alert, "setting_off"), (known, "acknowledged")]
    said = (await alerts.log("error_message"))[-1][0]
    assert said == f"setting {setting}, for which it was muted, matches it no more"


async def test_a_window_cancelled_early_lets_go_at_once(alerts: Alerts, windows: Windows) -> None:
    """Cancelling is an end like any other, one second later; what was muted before is told as muted until then."""
    await alerts.setting()
    window = await windows.snooze("8 hours")
    alert = await muted_alert(alerts, ago="5 min")
    assert await alerts.value("SELECT pggit.cancel_snooze(%s)", window)
    assert await windows.release() == (1, 0, {})
    assert await windows.muted() == [(alert, "sent")]
    until = await alerts.value(
        "SELECT to_char(cancelled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM pggit.alert_snooze"
    )
    note = (await alerts.queue("alert ->> 'note'"))[0][0]
    assert f"until {until}" in note
    assert note.endswith("It still fired at the end.")


async def test_a_router_that_saw_a_cancelled_window_as_open_hides_nothing(alerts: Alerts, windows: Windows) -> None:
    """A row muted after the cancellation, by a transaction that began before it, is let go as well."""
    await alerts.setting()
    window = await windows.snooze("8 hours")
    await muted_alert(alerts)
    await alerts.rows("SELECT pggit.cancel_snooze(%s)", window)
    assert (await windows.release())[0] == 1
    await alerts.rows("DELETE FROM pggit.alert_notification_queue")
    await alerts.rows(
        "UPDATE pggit.alert_muted SET released_at = NULL, outcome = NULL, muted_until = now() + interval '8 h'"
    )
    assert (await windows.release())[0] == 1
    await alerts.rows("UPDATE pggit.alert_snooze_occurrence SET settled_at = now()")
    assert (await windows.release())[0] == 0


async def test_another_window_that_covers_it_keeps_the_whole_group(alerts: Alerts, windows: Windows) -> None:
    """Nothing is sent between two windows that overlap; at the end of the second one all are counted."""
    await alerts.setting()
    first = await windows.snooze("1 hour")
    for _ in range(3):
        await muted_alert(alerts, ago="1 min", alert_type="ANOMALY")
    second = await windows.snooze("2 hours", "longer")
    await windows.pass_by(first)
    assert await windows.release() == (0, 0, {"snoozed": 1})
    assert await windows.muted("snooze_id, outcome") == [(second, None)] * 3
    await windows.pass_by(second)
    assert (await windows.release())[0] == 1
    note = (await alerts.queue("alert ->> 'note'"))[0][0]
    assert note.startswith(f"Was muted by snooze {second} until ")
    assert "The worst of 3 alerts" in note


async def test_a_broken_setting_fails_visibly_and_holds_up_nobody(alerts: Alerts, windows: Windows) -> None:
    """What can't be sent after a window is a failed row as it would be without one; the others are sent."""
    await alerts.setting()
    await alerts.setting("pagerduty", {"service_key": None})
    window = await windows.snooze()
    await muted_alert(alerts)
    await windows.pass_by(window)
    assert await windows.release() == (1, 1, {})
    assert sorted(await alerts.queue("channel, status")) == [("pagerduty", "failed"), ("slack", "pending")]


async def test_replicas_release_once(alerts: Alerts, windows: Windows, database: str) -> None:
    """Four replicas at once send one notification per group between them, and none waits for another."""
    await alerts.setting()
    window = await windows.snooze()
    for number in range(20):
        await alerts.alert(f"operation {number}", count=3, alert_type="ANOMALY")
    await alerts.route()
    await windows.pass_by(window)

    async def replica() -> int:
        own = await Alerts.connect(database)
        try:
            sent = 0
            async with asyncio.timeout(20):
                while await own.value("SELECT count(*) FROM pggit.alert_muted WHERE released_at IS NULL"):
                    sent += await own.value("SELECT released FROM pggit.release_muted_alerts(p_limit => 3)")
            return sent
        finally:
            await own.close()

    assert sum(await asyncio.gather(*(replica() for _ in range(4)))) == 20
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue") == 20
    assert await alerts.value("SELECT count(*) FROM pggit.alert_muted WHERE outcome = 'sent'") == 20


async def test_what_is_over_is_settled(alerts: Alerts, windows: Windows) -> None:
    """Ended occurrences leave the range that routing reads, even if they muted nothing."""
    await windows.pass_by(await windows.snooze())
    open_one = await windows.snooze()
    recurring = await windows.recurring()
    assert await windows.release() == (0, 0, {})
    left = await alerts.column(
        "SELECT snooze_id FROM pggit.alert_snooze_occurrence WHERE settled_at IS NULL ORDER BY 1"
    )
    assert left == [open_one, recurring]
