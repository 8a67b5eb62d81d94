"""Pauses that receivers ask for: whom they bind, when two are one, and how those grow that tell no time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pggit_alertd.database.pool import Database
from support.alerts import PAGERDUTY, Alerts
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers


async def test_a_pause_binds_every_worker_and_moves_nothing(alerts: Alerts, pool: Database) -> None:
    """Nothing of the endpoint is claimed until the pause is over, other endpoints go on, and no row is written."""
    await alerts.setting()
    await alerts.setting("pagerduty", PAGERDUTY)
    await alerts.routed_alert(count=4, severity="CRITICAL")
    one, two = store(pool), store(pool, "w2")
    (claim,) = await one.claim(rooms(1, channels=("slack",)), take_expired=True)
    where = "SELECT array_agg(ctid::text ORDER BY queue_id) FROM pggit.alert_notification_queue"
    before = await alerts.value(where)
    await one.pause(claim, 600.0)
    assert await alerts.value(where) == before
    assert await two.claim(rooms(channels=("slack",)), take_expired=True) == []
    due = await two.next_due(rooms(channels=("slack",)))
    assert due is not None
    assert 590 < due <= 600
    assert len(await two.claim(rooms(channels=("pagerduty",)), take_expired=True)) == 4
    await alerts.rows("UPDATE pggit.alert_destination SET paused_until = now()")
    assert len(await two.claim(rooms(channels=("slack",)), take_expired=True)) == 3


async def test_pauses_without_a_delivery_between_them_are_one(alerts: Alerts, pool: Database) -> None:
    """A pause soon after another goes on with it; after a delivery, or long after it, it begins anew."""
    mine = store(pool)
    await alerts.setting()
    await alerts.routed_alert()
    (claim,) = await mine.claim(rooms(), take_expired=True)
    since = "SELECT round(extract(EPOCH FROM now() - paused_since) / 60)::integer FROM pggit.alert_destination"
    set_back = (
        "UPDATE pggit.alert_destination SET paused_since = now() - %s::interval, paused_until = now() - %s::interval"
    )
    await mine.pause(claim, 60.0)
    assert await alerts.value(since) == 0
    await alerts.rows(set_back, "9 min", "1 min")
    await mine.pause(claim, 60.0)
    assert await alerts.value(since) == 9
    await alerts.rows("UPDATE pggit.alert_destination SET last_success_at = now() - interval '8 min'")
    await mine.pause(claim, 60.0)
    assert await alerts.value(since) == 0
    await alerts.rows(set_back, "9 min", "6 min")
    await mine.pause(claim, 60.0)
    assert await alerts.value(since) == 0


async def test_a_pause_only_grows(alerts: Alerts, pool: Database) -> None:
    """Of twenty pauses told at once the longest holds, whatever their order; nonsense changes nothing."""
    await alerts.setting()
    await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(1), take_expired=True)
    for seconds in (60.0, 5.0, 0.0, -1.0):
        await mine.pause(claim, seconds)
    left = "SELECT extract(EPOCH FROM paused_until - now()) FROM pggit.alert_destination"
    assert 55 < float(await alerts.value(left)) <= 60
    await mine.pause(claim, 120.0)
    assert 115 < float(await alerts.value(left)) <= 120


async def test_claims_without_an_endpoint_pause_nothing(alerts: Alerts, pool: Database) -> None:
    """A claim whose setting names no endpoint has no destination to pause."""
    await alerts.setting()
    await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await mine.pause(replace(claim, destination_key=None), 10.0)
    assert await mine.acknowledge([ack(replace(claim, destination_key=None))]) == 0
    assert await alerts.rows("SELECT * FROM pggit.alert_destination") == []


async def test_a_pause_that_tells_no_time_grows_for_all_replicas_until_something_gets_through(
    alerts: Alerts, pool: Database
) -> None:
    """30, 60, 120, 240, 480, 480 s, whichever replica hears it; refusals together are one; a success begins anew."""
    await alerts.setting("pagerduty", PAGERDUTY)
    await alerts.routed_alert(severity="CRITICAL")
    mine, other = store(pool), store(pool, "w2")
    (claim,) = await mine.claim(rooms(), take_expired=True)
    left = "SELECT round(extract(EPOCH FROM paused_until - now()))::integer FROM pggit.alert_destination"

    async def elapse() -> None:
        """Let the pause be over, as if its time had passed."""
        await alerts.rows(
            """
            UPDATE pggit.alert_destination
            SET paused_since = paused_since - (paused_until - now()), paused_until = now(),
                last_success_at = last_success_at - (paused_until - now())
            """
        )

    for turn, expected in enumerate((30, 60, 120, 240, 480, 480)):
        await (mine, other)[turn % 2].pause(claim, 30.0, grows=True)
        await (other, mine)[turn % 2].pause(claim, 30.0, grows=True)
        assert abs(await alerts.value(left) - expected) <= 1
        await elapse()
    await mine.pause(claim, 3.0)
    assert abs(await alerts.value(left) - 3) <= 1
    await elapse()
    await mine.acknowledge([ack(claim, finished_at=claim.claimed_at + timedelta(minutes=1))])
    await other.pause(claim, 30.0, grows=True)
    assert abs(await alerts.value(left) - 30) <= 1


async def test_a_growing_pause_forgets_what_was_long_ago(alerts: Alerts, pool: Database) -> None:
    """A pause that ended an hour ago makes the next one no longer."""
    await alerts.setting("pagerduty", PAGERDUTY)
    await alerts.routed_alert(severity="CRITICAL")
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await alerts.rows(
        """
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_since, paused_until)
        VALUES (%s, 'pagerduty', 'service', now() - interval '2 hours', now() - interval '1 hour')
        """,
        claim.destination_key,
    )
    await mine.pause(claim, 30.0, grows=True)
    assert await alerts.value(
        "SELECT paused_until - now() BETWEEN interval '29 s' AND interval '30 s' FROM pggit.alert_destination"
    )


async def test_what_waits_too_long_behind_a_pause_is_given_up(alerts: Alerts, pool: Database) -> None:
    """A receiver that asks for more time than a notification has doesn't keep it for ever."""
    await alerts.setting()
    await alerts.routed_alert(alert_type="ANOMALY", count=2)
    mine = store(pool)
    (claim,) = await mine.claim(rooms(1, channels=("slack",)), take_expired=True)
    await mine.pause(claim, 600.0)
    await alerts.rows("UPDATE pggit.alert_notification_queue SET give_up_at = now() WHERE claimed_by IS NULL")
    assert await mine.tend_destinations() == (1, 0)
    assert await alerts.queue("status, claimed_by") == [("pending", "w1"), ("failed", None)]
