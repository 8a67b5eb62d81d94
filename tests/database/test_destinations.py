"""Destinations and their circuit breakers: when one opens, who may probe it, what its waiting rows do meanwhile."""

from datetime import timedelta

import pytest

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Outcome, Reason, Verdict
from pggit_alertd.store import Lane
from support.alerts import PAGERDUTY, Alerts
from support.breakers import LATER, RULE, WAIT, fail
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers

STATE = "SELECT opened_at IS NOT NULL, open_count, open_reason, consecutive_failures FROM pggit.alert_destination"


async def test_it_opens_after_failures_in_a_row_and_each_failed_probe_doubles_the_wait(
    alerts: Alerts, pool: Database
) -> None:
    """Three failures open it; then one row at a time goes through, on one replica; a success closes it."""
    await alerts.setting()
    await alerts.routed_alert(count=30, alert_type="ANOMALY")
    mine, other = store(pool, breaker=RULE), store(pool, "w2", breaker=RULE)
    claims = await mine.claim(rooms(2, channels=("slack",)), take_expired=True)
    await fail(mine, claims[:2])
    assert await alerts.rows(STATE) == [(False, 0, None, 2)]
    await fail(mine, claims[2:3])
    assert await alerts.rows(STATE) == [(True, 1, "server_error", 3)]
    assert 5 <= await alerts.value(WAIT) <= 10
    assert await mine.claim(rooms(), take_expired=True) == []
    due = await mine.next_due(rooms())
    assert due is not None
    assert 4 < due <= 10
    for openings, longest in ((2, 20), (3, 40), (4, 60), (5, 60)):
        await alerts.rows(LATER)
        (probe,) = await mine.claim(rooms(), take_expired=True)
        assert probe.probing
        assert await other.claim(rooms(), take_expired=True) == [], "one probe, whoever asks"
        await fail(mine, [probe])
        assert await alerts.rows(STATE) == [(True, openings, "server_error", openings + 2)]
        assert longest / 2 - 1 <= await alerts.value(WAIT) <= longest
    await alerts.rows(LATER)
    (probe,) = await other.claim(rooms(), take_expired=True)
    await other.acknowledge([ack(probe)])
    assert await alerts.rows(STATE) == [(False, 0, None, 0)]
    rest = await mine.claim(rooms(100), take_expired=True)
    assert len(rest) == 30 - 1 - 1, "all but what was sent and what is in flight; what had failed is tried at once"


async def test_a_refusal_that_only_people_can_mend_opens_it_at_once(alerts: Alerts, pool: Database) -> None:
    """One such answer is enough, and the wait is long; a refused message or mailbox says nothing against it."""
    await alerts.setting()
    await alerts.routed_alert(count=9, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(c, Outcome.FAILED, verdict=Verdict.OK) for c in claims[:5]])
    assert await alerts.rows(STATE) == [(False, 0, None, 0)]
    await mine.acknowledge([ack(claims[5], Outcome.FAILED, reason=Reason.AUTH)])
    assert await alerts.rows(STATE) == [(True, 1, "auth", 1)]
    assert 899 <= await alerts.value(WAIT) <= 900


async def test_what_was_in_flight_when_it_opened_does_not_prolong_it(alerts: Alerts, pool: Database) -> None:
    """Late failures of claims from before change nothing; a late success closes it."""
    await alerts.setting()
    await alerts.routed_alert(count=8, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(8), take_expired=True)
    await fail(mine, claims[:3])
    opened = await alerts.rows("SELECT open_until, open_count FROM pggit.alert_destination")
    await fail(mine, claims[3:7])
    assert await alerts.rows("SELECT open_until, open_count FROM pggit.alert_destination") == opened
    await mine.acknowledge([ack(claims[7])])
    assert await alerts.rows(STATE) == [(False, 0, None, 0)]


async def test_failures_before_the_last_success_do_not_count(alerts: Alerts, pool: Database) -> None:
    """In one batch of results, only what failed after the last that was in order is in a row."""
    await alerts.setting()
    await alerts.routed_alert(count=6, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(), take_expired=True)
    outcomes = [Outcome.RETRY, Outcome.RETRY, Outcome.RETRY, Outcome.SENT, Outcome.RETRY, Outcome.RETRY]
    await mine.acknowledge(
        [
            ack(claim, outcome, finished_at=claim.claimed_at + timedelta(seconds=n))
            for n, (claim, outcome) in enumerate(zip(claims, outcomes, strict=True))
        ]
    )
    assert await alerts.rows(STATE) == [(False, 0, None, 2)]


async def test_a_probe_whose_worker_vanished_or_that_asked_nothing_gives_its_turn_back(
    alerts: Alerts, pool: Database
) -> None:
    """After the lease somebody else probes; a claim handed back unsent frees the turn at once."""
    await alerts.setting()
    await alerts.routed_alert(count=5, alert_type="ANOMALY")
    mine, other = store(pool, breaker=RULE), store(pool, "w2", breaker=RULE)
    await fail(mine, await mine.claim(rooms(3), take_expired=True))
    await alerts.rows(LATER)
    (probe,) = await mine.claim(rooms(lease=60.0), take_expired=True)
    assert 59 <= await alerts.value(WAIT) <= 60
    await mine.acknowledge([ack(probe, Outcome.RELEASED)])
    (again,) = await other.claim(rooms(), take_expired=True)
    assert again.probing
    await alerts.rows(LATER)
    (third,) = await mine.claim(rooms(), take_expired=True)
    assert third.queue_id != again.queue_id


async def test_pages_and_routine_share_one_probe(alerts: Alerts, pool: Database) -> None:
    """A half-open destination gets one row in all, the page first."""
    await alerts.setting()
    await alerts.alert(count=3, alert_type="ANOMALY")
    await alerts.routed_alert("merge", severity="CRITICAL", count=2)
    mine = store(pool, breaker=RULE)
    await fail(mine, [c for c in await mine.claim(rooms(2), take_expired=True) if c.alert.severity == "WARNING"])
    await fail(mine, await mine.claim(rooms(1), take_expired=True))
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now(), claimed_by = NULL")
    await alerts.rows(LATER)
    (probe,) = await mine.claim(rooms(), take_expired=True)
    assert probe.alert.severity == "CRITICAL"


async def test_a_full_destination_leaves_the_others_their_slots(alerts: Alerts, pool: Database) -> None:
    """10,000 rows behind one endpoint are passed over; each other endpoint gets all its slots, in one claim."""
    settings = [await alerts.setting(config={"webhook": f"https://hooks.slack.com/services/T/B/{n}"}) for n in range(4)]
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_queue"
        " (alert_id, channel, recipient, message, setting_id, destination_key, next_attempt_at)"
        " SELECT n, 'slack', 'x', 'm', s.setting_id, s.destination_key, now() - interval '1 h'"
        " FROM generate_series(1, 10000) AS n, pggit.alert_notification_settings AS s WHERE s.setting_id = %s",
        settings[0],
    )
    await alerts.routed_alert(count=50, alert_type="ANOMALY")
    keys = await alerts.column("SELECT destination_key FROM pggit.alert_notification_settings ORDER BY setting_id")
    mine = store(pool)
    full = {Lane("slack", rooms()[1].urgency, keys[0]): 0}
    claims = await mine.claim(rooms(5, channels=("slack",)), take_expired=True, known=full)
    routine = [claim.setting_id or 0 for claim in claims if claim.alert.severity == "WARNING"]
    assert sorted(routine) == sorted(settings[1:] * 3), "the first three of an operation are not critical"
    assert sorted(claim.setting_id or 0 for claim in claims if claim.alert.severity == "CRITICAL") == sorted(
        settings[1:] * 5
    )


async def test_a_budget_is_shared_out_evenly(alerts: Alerts, pool: Database) -> None:
    """When less is left than all destinations have slots for, each gets its turn; pages have a budget of their own."""
    settings = [await alerts.setting(config={"webhook": f"https://hooks.slack.com/services/T/B/{n}"}) for n in range(3)]
    await alerts.alert(count=20, alert_type="ANOMALY")
    await alerts.routed_alert("merge", severity="CRITICAL", count=5)
    claims = await store(pool).claim(rooms(10, channels=("slack",), budget=6), take_expired=True)
    routine = [claim.setting_id or 0 for claim in claims if claim.alert.severity == "WARNING"]
    assert len(claims) == 12
    assert sorted(routine) == sorted(settings * 2)


async def test_a_setting_that_moves_takes_what_waits_along(alerts: Alerts, pool: Database) -> None:
    """A mended webhook frees its rows from the old one's breaker at once; other settings' rows stay where they are."""
    moved = await alerts.setting()
    stays = await alerts.setting()
    await alerts.routed_alert(count=5, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(3), take_expired=True)
    await mine.acknowledge([ack(c, Outcome.RETRY, verdict=Verdict.CONDEMNED, delay=600.0) for c in claims])
    assert await mine.claim(rooms(), take_expired=True) == []
    await alerts.rows(
        """UPDATE pggit.alert_notification_settings SET config = '{"webhook": "https://hooks.slack.com/services/new"}'
        WHERE setting_id = %s""",
        moved,
    )
    freed = await mine.claim(rooms(20), take_expired=True)
    assert [claim.setting_id for claim in freed] == [moved] * 5
    assert await alerts.queue("setting_id", "claimed_by IS NULL") == [(stays,)] * 5


async def test_what_was_under_way_when_its_setting_moved_follows_it(alerts: Alerts, pool: Database) -> None:
    """A result stored after the move leaves its row at the old, broken endpoint; upkeep takes it to the new one."""
    moved = await alerts.setting()
    stays = await alerts.setting()
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(), take_expired=True)
    await alerts.rows(
        """UPDATE pggit.alert_notification_settings
        SET notification_channel = 'pagerduty', config = '{"service_key": "0123456789abcdef0123456789abcdef"}'
        WHERE setting_id = %s""",
        moved,
    )
    dead = claims.pop(next(i for i, claim in enumerate(claims) if claim.setting_id == moved))
    await mine.acknowledge([ack(c, Outcome.RETRY, verdict=Verdict.CONDEMNED, delay=600.0) for c in claims])
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET next_attempt_at = now() - interval '1 s' WHERE queue_id = %s",
        dead.queue_id,
    )
    assert await mine.claim(rooms(), take_expired=True) == []
    await mine.tend_destinations()
    assert await alerts.queue("channel, claimed_by IS NOT NULL", f"setting_id = {moved}") == [
        ("pagerduty", queue_id == dead.queue_id)
        for (queue_id,) in await alerts.queue("queue_id", f"setting_id = {moved}")
    ]
    freed = await mine.claim(rooms(), take_expired=True)
    assert [(claim.setting_id, claim.channel) for claim in freed] == [(moved, "pagerduty")] * 3
    assert await alerts.queue("setting_id", "claimed_by IS NULL") == [(stays,)] * 3
    assert await mine.tend_destinations() == (0, 0)


async def test_what_waits_too_long_behind_an_open_breaker_is_given_up(alerts: Alerts, pool: Database) -> None:
    """Its horizon over, a row ends as failed with the destination's error; younger rows and other endpoints wait on."""
    await alerts.setting()
    await alerts.setting("pagerduty", PAGERDUTY)
    await alerts.routed_alert(count=4, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    await fail(mine, await mine.claim(rooms(3, channels=("slack",)), take_expired=True))
    assert await mine.tend_destinations() == (0, 0)
    await alerts.rows("UPDATE pggit.alert_notification_queue SET give_up_at = now() WHERE alert_id % 2 = 0")
    assert await mine.tend_destinations() == (2, 0)
    assert (
        await alerts.queue("alert_id % 2, error_message", "status = 'failed'")
        == [(0, "the retry horizon passed while the destination was broken: HTTP 503")] * 2
    )
    assert await alerts.rows(
        "SELECT DISTINCT reason, channel FROM pggit.alert_notification_log WHERE status = 'failed'"
    ) == [("expired", "slack")]
    assert await mine.tend_destinations() == (0, 0)


async def test_upkeep_of_nothing_does_nothing(alerts: Alerts, pool: Database) -> None:
    """On an empty database, and asked for nothing, both functions return 0."""
    assert await store(pool).tend_destinations() == (0, 0)
    assert await store(pool).broken_destinations() == []
    assert await alerts.value("SELECT pggit.give_up_behind_open_breakers(NULL)") == 0
    assert await alerts.value("SELECT pggit.queue_fallbacks(NULL, NULL, NULL)") == 0


async def test_broken_destinations_are_named_with_their_reason(alerts: Alerts, pool: Database) -> None:
    """An open breaker and a pause are told apart; a healthy destination is not listed; a restart probes at once."""
    await alerts.setting()
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(3), take_expired=True)
    await mine.acknowledge([ack(claims[0])])
    assert await mine.broken_destinations() == []
    await mine.pause(claims[1], 60.0)
    (paused,) = await mine.broken_destinations()
    assert (paused.open_for, 59 < paused.until <= 60) == (None, True)
    await mine.acknowledge([ack(claims[1], Outcome.FAILED, reason=Reason.AUTH, detail="HTTP 403")])
    (broken,) = await mine.broken_destinations()
    assert broken.open_for is not None
    assert (broken.reason, broken.error, broken.until > 890) == ("auth", "HTTP 403", True)
    await mine.probe_destinations()
    assert await alerts.value(WAIT) <= 0


async def test_a_full_lane_takes_no_probe(alerts: Alerts, pool: Database) -> None:
    """While this replica's slots for the destination are in use, the probe is left to others."""
    await alerts.setting()
    await alerts.alert(count=3, alert_type="ANOMALY")
    await alerts.routed_alert("merge", alert_type="ANOMALY", count=3)
    mine, other = store(pool, breaker=RULE), store(pool, "w2", breaker=RULE)
    claims = await mine.claim(rooms(3), take_expired=True)
    await fail(mine, claims)
    await alerts.rows(LATER)
    full = {Lane("slack", claims[0].urgency, claims[0].lane_key): 0}
    assert await mine.claim(rooms(), take_expired=True, known=full) == []
    assert len(await other.claim(rooms(), take_expired=True)) == 1


async def test_a_probe_that_is_told_to_wait_leaves_its_turn(alerts: Alerts, pool: Database) -> None:
    """Answered 429, the breaker stays open, but the next probe is due when the pause is over, not with the lease."""
    await alerts.setting()
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    await fail(mine, await mine.claim(rooms(3), take_expired=True))
    await alerts.rows(LATER)
    (probe,) = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(probe, Outcome.RETRY, verdict=Verdict.NOTHING, charged=False)])
    assert await alerts.value(WAIT) <= 0
    (again,) = await mine.claim(rooms(), take_expired=True)
    assert again.probing


async def test_a_vanished_workers_row_is_given_up_too(alerts: Alerts, pool: Database) -> None:
    """Behind an open breaker nobody takes over its lease, and its horizon still ends."""
    await alerts.setting()
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool, breaker=RULE)
    claims = await mine.claim(rooms(3), take_expired=True)
    await mine.acknowledge([ack(claims[0], Outcome.RETRY, verdict=Verdict.CONDEMNED)])
    await alerts.rows("UPDATE pggit.alert_notification_queue SET give_up_at = now(), next_attempt_at = now()")
    assert await mine.tend_destinations() == (3, 0)
    assert await alerts.queue("status, claimed_by") == [("failed", None)] * 3
