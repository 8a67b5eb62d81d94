"""Pages whose destination is broken, paused or failing: when the fallback hears of them, and when it must not."""

import json

import pytest

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Outcome, Verdict
from support.alerts import PAGERDUTY, Alerts
from support.breakers import LATER, RULE, fail
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers


async def with_fallback(alerts: Alerts) -> tuple[int, int]:
    """Insert a Slack setting whose fallback is a PagerDuty one that matches nothing by itself."""
    first = await alerts.setting()
    second = await alerts.setting("pagerduty", PAGERDUTY, pattern="matches nothing")
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET fallback_setting_id = %s WHERE setting_id = %s", second, first
    )
    return first, second


async def test_a_page_that_failed_goes_to_the_fallback_and_says_why(alerts: Alerts, pool: Database) -> None:
    """Once, with the broken destination and its error in the note; what is not critical stays failed."""
    _, second = await with_fallback(alerts)
    page = await alerts.alert(severity="CRITICAL")
    await alerts.routed_alert("merge")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(c, Outcome.FAILED, verdict=Verdict.OK, detail="HTTP 400: no_text.") for c in claims])
    assert await mine.tend_destinations() == (0, 1)
    assert await mine.tend_destinations() == (0, 0)
    (rescue,) = await mine.claim(rooms(), take_expired=True)
    assert (rescue.alert.alert_id, rescue.setting_id, rescue.channel) == (page, second, "pagerduty")
    assert rescue.alert.note is not None
    assert rescue.alert.note.startswith("Sent here because slack ")
    assert rescue.alert.note.endswith("can't deliver it: HTTP 400: no_text.")
    assert 86_000 < rescue.give_up_in <= 86_400
    assert ("released", "fallback") in await alerts.log("status, reason")


async def test_a_page_that_was_discarded_or_failed_long_ago_goes_nowhere(alerts: Alerts, pool: Database) -> None:
    """What somebody has looked at needs no fallback, and what failed more than an hour ago is no page any more."""
    await with_fallback(alerts)
    await alerts.routed_alert(severity="CRITICAL", count=2)
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(c, Outcome.FAILED, verdict=Verdict.OK) for c in claims])
    discard = "SELECT discarded FROM pggit.discard_notifications(ARRAY[%s::bigint], 'looked at')"
    assert await alerts.column(discard, claims[0].queue_id) == [True]
    late = "UPDATE pggit.alert_notification_queue SET processed_at = now() - %s::interval WHERE queue_id = %s"
    await alerts.rows(late, "61 min", claims[1].queue_id)
    assert await mine.tend_destinations() == (0, 0)
    await alerts.rows(late, "59 min", claims[1].queue_id)
    assert await mine.tend_destinations() == (0, 1)


async def test_a_page_behind_an_open_breaker_does_not_wait(alerts: Alerts, pool: Database) -> None:
    """It goes to the fallback at once, and is still delivered where it was meant to go when that is back."""
    await with_fallback(alerts)
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    await fail(mine, await mine.claim(rooms(3, channels=("slack",)), take_expired=True))
    await alerts.routed_alert("merge", severity="CRITICAL")
    assert await mine.tend_destinations() == (0, 1)
    (rescue,) = await mine.claim(rooms(), take_expired=True)
    assert rescue.channel == "pagerduty"
    await alerts.rows(LATER)
    (probe,) = await mine.claim(rooms(), take_expired=True)
    assert (probe.channel, probe.alert.operation_type) == ("slack", "merge")


async def test_fallbacks_that_lead_nowhere_do_nothing(alerts: Alerts, pool: Database) -> None:
    """Disabled, broken, deleted, its own, or told already: no row, no error; a circle of two ends after one round."""
    first, second = await with_fallback(alerts)
    mine = store(pool, breaker=RULE)
    change = "UPDATE pggit.alert_notification_settings SET {} WHERE setting_id = %s"
    for statement, restore in (
        ("enabled = FALSE", "enabled = TRUE"),
        ("config = '{}'", f"config = '{json.dumps(PAGERDUTY)}'"),
    ):
        await alerts.rows(change.format(statement), second)
        await alerts.routed_alert(severity="CRITICAL")
        await mine.acknowledge(
            [ack(c, Outcome.FAILED, verdict=Verdict.OK) for c in await mine.claim(rooms(), take_expired=True)]
        )
        assert await mine.tend_destinations() == (0, 0)
        await alerts.rows("DELETE FROM pggit.alert_notification_queue")
        await alerts.rows(change.format(restore), second)
    await alerts.rows(change.format("fallback_setting_id = setting_id"), first)
    assert "is its own fallback" in alerts.notices[-1]
    await alerts.rows(change.format(f"fallback_setting_id = {second}"), first)
    await alerts.rows(change.format(f"fallback_setting_id = {first}"), second)
    await alerts.routed_alert(severity="CRITICAL")
    for expected in (1, 0):
        claims = await mine.claim(rooms(), take_expired=True)
        assert len(claims) == 1
        await mine.acknowledge([ack(c, Outcome.FAILED, verdict=Verdict.OK) for c in claims])
        assert await mine.tend_destinations() == (0, expected)
    assert await mine.claim(rooms(), take_expired=True) == []


async def test_a_page_behind_a_long_pause_does_not_wait(alerts: Alerts, pool: Database) -> None:
    """A receiver that asks for an hour is as good as broken: the fallback hears; a short pause is waited out."""
    await with_fallback(alerts)
    await alerts.routed_alert(severity="CRITICAL", count=2)
    mine = store(pool, breaker=RULE)
    (claim,) = await mine.claim(rooms(1, channels=("slack",)), take_expired=True)
    await mine.pause(claim, 30.0)
    assert await mine.tend_destinations() == (0, 0)
    await mine.pause(claim, 3600.0)
    assert await mine.tend_destinations() == (0, 2)


async def test_a_page_that_fails_for_minutes_goes_to_the_fallback(alerts: Alerts, pool: Database) -> None:
    """Though its destination works for others: five minutes are enough."""
    await with_fallback(alerts)
    await alerts.routed_alert(severity="CRITICAL")
    mine = store(pool, breaker=RULE)
    (claim,) = await mine.claim(rooms(channels=("slack",)), take_expired=True)
    await mine.acknowledge([ack(claim, Outcome.RETRY, verdict=Verdict.NOTHING, detail="HTTP 500", delay=60.0)])
    assert await mine.tend_destinations() == (0, 0)
    await alerts.rows("UPDATE pggit.alert_notification_queue SET created_at = now() - interval '6 min'")
    assert await mine.tend_destinations() == (0, 1)


async def test_what_a_disabled_setting_holds_is_not_sent_another_way(alerts: Alerts, pool: Database) -> None:
    """Switched off is switched off, the breaker open or not."""
    first, _ = await with_fallback(alerts)
    await alerts.routed_alert(severity="CRITICAL", count=3)
    mine = store(pool, breaker=RULE)
    await fail(mine, await mine.claim(rooms(3, channels=("slack",)), take_expired=True))
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", first)
    assert await mine.tend_destinations() == (0, 0)
