"""When a group with a min_interval speaks, when it is quiet, and what its silence must not hold up."""

import pytest

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Event, Outcome, Verdict
from support.alerts import Alerts
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers


async def test_min_interval_tells_the_first_at_once_and_then_one_digest(alerts: Alerts, pool: Database) -> None:
    """Alerts after the first wait until the interval is over, however they come, and travel together."""
    await alerts.setting(severity="WARNING")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '10 min'")
    one, two = store(pool, coalesce=True), store(pool, "w2", coalesce=True)
    await alerts.routed_alert()
    (first,) = await one.claim(rooms(), take_expired=True)
    await alerts.routed_alert()
    assert await two.claim(rooms(), take_expired=True) == [], "the first is still on its way"
    await one.acknowledge([ack(first)])
    await alerts.routed_alert()
    assert await one.claim(rooms(), take_expired=True) == []
    due = await one.next_due(rooms())
    assert due is not None
    assert 590 < due <= 600
    await alerts.routed_alert("merge")
    (other,) = await one.claim(rooms(), take_expired=True)
    assert other.alert.operation_type == "merge", "another group is not quiet"
    await alerts.rows("UPDATE pggit.alert_group SET quiet_until = now()")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now() WHERE claimed_by IS NULL")
    (digest,) = await one.claim(rooms(), take_expired=True)
    assert digest.size == 2
    assert await alerts.value("SELECT count(*) FROM pggit.alert_group WHERE quiet_until > now()") == 1, "commit's"


@pytest.mark.parametrize("word", ["acknowledge_alert", "resolve_alert"])
@pytest.mark.parametrize("waiting", [0, 2])
async def test_what_became_of_an_alert_does_not_wait_for_the_digest(
    alerts: Alerts, pool: Database, word: str, waiting: int
) -> None:
    """PagerDuty hears at once that somebody has it or that it is over, together with what waited for the interval."""
    await alerts.setting("pagerduty")
    await alerts.setting("email", enabled=False)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '1 hour'")
    mine = store(pool, coalesce=True)
    first = await alerts.alert(severity="CRITICAL")
    await alerts.route()
    await mine.acknowledge([ack(claim) for claim in await mine.claim(rooms(), take_expired=True)])
    for _ in range(waiting):
        await alerts.alert(severity="CRITICAL")
        await alerts.route()
    await alerts.alert("merge", severity="CRITICAL")
    await alerts.route()
    await mine.acknowledge([ack(claim) for claim in await mine.claim(rooms(), take_expired=True)])
    await alerts.alert("merge", severity="CRITICAL")
    await alerts.route()
    assert await mine.claim(rooms(), take_expired=True) == []
    await alerts.rows(f"SELECT pggit.{word}(%s, 'ann')", first)
    await alerts.route()
    (claim,) = await mine.claim(rooms(), take_expired=True)
    told = claim.notification()
    assert (claim.size, told.event, told.alert.actor) == (
        waiting + 1,
        Event.RESOLVED if word == "resolve_alert" else Event.ACKNOWLEDGED,
        "ann",
    )
    await mine.acknowledge([ack(claim)])
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now() WHERE status = 'pending'")
    assert await mine.claim(rooms(), take_expired=True) == [], "another operation stays as quiet as it was"
    assert len(await alerts.queue("queue_id", "status = 'pending'")) == 1


async def test_the_first_of_a_quiet_group_may_be_tried_again(alerts: Alerts, pool: Database) -> None:
    """The interval it began itself doesn't hold it up, whether it failed or was handed back; others it does."""
    await alerts.setting(severity="WARNING")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '10 min'")
    mine = store(pool, coalesce=True)
    await alerts.routed_alert()
    for outcome in (Outcome.RETRY, Outcome.RELEASED, Outcome.RETRY):
        (claim,) = await mine.claim(rooms(), take_expired=True)
        await mine.acknowledge([ack(claim, outcome)])
    # One that slipped in before the group was quiet.
    await alerts.routed_alert()
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now()")
    (claim,) = await mine.claim(rooms(), take_expired=True)
    assert (claim.alert.alert_id, claim.size) == (1, 2), "it travels along rather than wait"


async def test_two_workers_begin_one_interval(alerts: Alerts, pool: Database) -> None:
    """Of two rows that two workers hold in turn, one speaks; the other is moved to the interval's end by the claim."""
    setting = await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '10 min'")
    await alerts.event(setting, 1, "triggered")
    (first,) = await store(pool, coalesce=True).claim(rooms(), take_expired=True)
    await alerts.event(setting, 2, "triggered")
    assert await store(pool, "w2", coalesce=True).claim(rooms(), take_expired=True) == []
    assert await alerts.queue("next_attempt_at > now() + interval '9 min'", "alert_id = 2") == [(True,)]
    assert first.alert.alert_id == 1


async def test_a_page_is_not_hushed_by_routine_notifications(alerts: Alerts, pool: Database) -> None:
    """A WARNING begins its own interval; the CRITICAL that follows is told at once."""
    await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '1 h'")
    mine = store(pool, coalesce=True)
    for severity in ("WARNING", "CRITICAL"):
        await alerts.routed_alert(severity=severity)
        (claim,) = await mine.claim(rooms(), take_expired=True)
        assert claim.alert.severity == severity


async def test_two_episodes_of_a_quiet_group_take_turns(alerts: Alerts, pool: Database) -> None:
    """What is beaten to it waits for the interval's end, and is then told: nothing is claimed in vain for ever."""
    setting = await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '10 min'")
    for number in range(1, 5):
        await alerts.event(setting, number, "triggered", f'{{"episode": {number % 2}}}')
    mine = store(pool, coalesce=True)
    (first,) = await mine.claim(rooms(), take_expired=True)
    assert (first.alert.alert_id, first.size) == (1, 2)
    assert await mine.claim(rooms(), take_expired=True) == []
    assert await alerts.queue("alert_id, next_attempt_at > now() + interval '9 min'", "claimed_by IS NULL") == [
        (2, True),
        (4, True),
    ]
    assert await alerts.value(
        "SELECT bool_and(give_up_at >= next_attempt_at + interval '3 h') FROM pggit.alert_notification_queue"
        " WHERE claimed_by IS NULL"
    ), "and its horizon moves along"
    await alerts.rows("UPDATE pggit.alert_group SET quiet_until = now()")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now() WHERE claimed_by IS NULL")
    (second,) = await mine.claim(rooms(), take_expired=True)
    assert (second.alert.alert_id, second.size) == (2, 2)


async def test_a_group_is_not_quiet_when_nobody_was_told(alerts: Alerts, pool: Database) -> None:
    """If the first message of an interval is given up, what waits for the interval's end is due at once."""
    await alerts.setting(severity="WARNING")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '1 h'")
    mine = store(pool, coalesce=True)
    await alerts.routed_alert()
    (first,) = await mine.claim(rooms(), take_expired=True)
    await alerts.routed_alert()
    assert await mine.claim(rooms(), take_expired=True) == []
    await mine.acknowledge([ack(first, Outcome.FAILED, verdict=Verdict.OK)])
    (second,) = await mine.claim(rooms(), take_expired=True)
    assert second.alert.alert_id != first.alert.alert_id
