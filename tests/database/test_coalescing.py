"""What travels in one message: groups, digests, and the order of events."""

import pytest

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Event, Outcome, Severity, Verdict
from support.alerts import PAGERDUTY, Alerts
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers


async def test_what_is_due_for_one_group_is_one_message(alerts: Alerts, pool: Database) -> None:
    """Three alerts are one claim with the count and the worst first; another operation is another message."""
    setting = await alerts.setting(severity="WARNING")
    for microseconds in (100_000, 450_000, 300_000):
        last = await alerts.alert(microseconds=microseconds)
    await alerts.routed_alert("merge")
    digest, single = await store(pool, coalesce=True).claim(rooms(), take_expired=True)
    assert (digest.size, digest.setting_id, digest.alert.alert_id) == (3, setting, last - 2), (
        "its own alert is the first"
    )
    told = digest.notification()
    assert told.digest is not None
    assert (told.digest.count, [alert.factor for alert in told.digest.worst]) == (3, [9.0, 6.0, 2.0])
    assert told.alert == told.digest.worst[0]
    assert told.digest.first_at <= told.digest.last_at
    assert told.digest.first_at.utcoffset() is not None
    assert (told.event, told.folded) == (Event.TRIGGERED, False)
    assert (single.size, single.notification().digest, single.alert.operation_type) == (1, None, "merge")


async def test_every_alert_keeps_its_row_and_its_log_row(alerts: Alerts, pool: Database) -> None:
    """A digest that is sent leaves four rows sent, each with a log row; three say whose message they travelled in."""
    await alerts.setting(severity="WARNING")
    await alerts.routed_alert(count=3)
    mine = store(pool, coalesce=True)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    assert await mine.claim(rooms(), take_expired=True) == [], "what travels along is claimed too"
    assert await mine.acknowledge([ack(claim)]) == 0
    assert (
        await alerts.queue("status, attempt, claimed_by, leader_id, sent_at IS NOT NULL")
        == [("sent", 1, None, None, True)] * 3
    )
    into = f"coalesced into one message of 3, notification {claim.queue_id}"
    assert sorted(await alerts.log("alert_id, status, coalesce(reason, ''), coalesce(error_message, ''), attempt")) == [
        (1, "sent", "", "", 1),
        (2, "sent", "coalesced", into, 1),
        (3, "sent", "coalesced", into, 1),
    ]
    assert await mine.acknowledge([ack(claim)]) == 0, "an ack that comes again finds its log rows"
    assert len(await alerts.log()) == 3


@pytest.mark.parametrize(
    ("outcome", "status", "attempt"),
    [(Outcome.RETRY, "pending", 1), (Outcome.FAILED, "failed", 1), (Outcome.RELEASED, "pending", 0)],
)
async def test_all_rows_of_a_message_share_its_fate(
    alerts: Alerts, pool: Database, outcome: Outcome, status: str, attempt: int
) -> None:
    """Tried again, given up or handed back together; and together again with what has come since."""
    await alerts.setting(severity="WARNING")
    await alerts.routed_alert(count=2)
    mine = store(pool, coalesce=True)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(claim, outcome, detail="HTTP 503", verdict=Verdict.OK)])
    assert await alerts.queue("status, attempt, leader_id, claimed_by") == [(status, attempt, None, None)] * 2
    await alerts.routed_alert(count=1)
    (again,) = await mine.claim(rooms(), take_expired=True)
    assert again.size == (1 if status == "failed" else 3)


async def test_rows_of_a_vanished_worker_travel_alone(alerts: Alerts, pool: Database) -> None:
    """After its lease each row of a digest comes back by itself, is logged as lost, and a late ack changes none."""
    await alerts.setting(severity="WARNING")
    await alerts.routed_alert(count=3)
    gone, mine = store(pool, "gone", coalesce=True), store(pool, coalesce=True)
    (late,) = await gone.claim(rooms(), take_expired=True)
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now()")
    claims = await mine.claim(rooms(), take_expired=True)
    assert [(claim.size, claim.lost) for claim in claims] == [(1, 1)] * 3
    assert await alerts.queue("leader_id") == [(None,)] * 3, "nobody's fate but its own"
    assert await alerts.column("SELECT status FROM pggit.alert_notification_log") == ["lost"] * 3
    assert await gone.acknowledge([ack(late)]) == 1
    assert await alerts.queue("status, claimed_by") == [("pending", "w1")] * 3


async def test_rows_without_a_group_travel_alone(alerts: Alerts, pool: Database) -> None:
    """What somebody queued by hand, naming no group, has nothing in common with anything."""
    await alerts.setting()
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, setting_id)"
        " SELECT n, 'slack', 'x', 'm', s.setting_id"
        " FROM generate_series(1, 3) AS n, pggit.alert_notification_settings AS s"
    )
    claims = await store(pool, coalesce=True).claim(rooms(), take_expired=True)
    assert [claim.size for claim in claims] == [1, 1, 1]


async def test_coalescing_can_be_switched_off(alerts: Alerts, pool: Database) -> None:
    """For the whole daemon, or for one setting by grouping by alert_id; a min_interval still makes digests."""
    await alerts.setting(severity="WARNING")
    await alerts.routed_alert(count=3)
    assert len(await store(pool, coalesce=False).claim(rooms(), take_expired=True)) == 3
    await alerts.rows("DELETE FROM pggit.alert_notification_queue")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET group_by = '{alert_id}'")
    await alerts.routed_alert("merge", count=3)
    assert len(await store(pool, coalesce=True).claim(rooms(), take_expired=True)) == 3
    await alerts.rows("DELETE FROM pggit.alert_notification_queue")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET group_by = '{}', min_interval = '1 h'")
    await alerts.routed_alert("rollback", count=3)
    assert [claim.size for claim in await store(pool, coalesce=False).claim(rooms(), take_expired=True)] == [3]


@pytest.mark.parametrize(
    ("group_by", "key"),
    [
        ("{}", "commit/ANOMALY"),
        ("{operation_type}", "commit"),
        ("{severity,alert_type}", "WARNING/ANOMALY"),
        ("{user_name,branch}", "app"),
        ("{all}", "*"),
        ("{alert_id}", "1"),
        ("{nonsense}", ""),
    ],
)
async def test_group_by_makes_the_key(alerts: Alerts, group_by: str, key: str) -> None:
    """The values stand in the order they are named; what is unknown or empty adds nothing, and is warned of."""
    await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET group_by = %s::text[]", group_by)
    assert any("groups by something unknown" in notice for notice in alerts.notices) == (group_by == "{nonsense}")
    await alerts.routed_alert(alert_type="ANOMALY")
    assert await alerts.queue("group_key") == [(key,)]


async def test_the_group_key_is_defined_for_null(alerts: Alerts) -> None:
    """NULL fields and a NULL list give the empty key."""
    call = "SELECT pggit.notification_group_key({}, NULL, NULL, NULL, NULL, NULL, NULL)"
    assert await alerts.value(call.format("NULL")) == ""
    assert await alerts.value(call.format("'{all,branch}'")) == "*"


async def test_no_event_overtakes_another(alerts: Alerts, pool: Database) -> None:
    """While the trigger is on its way, or waits for its next try, neither acknowledged nor resolved is sent."""
    setting = await alerts.setting()
    for name in ("triggered", "acknowledged", "resolved"):
        await alerts.event(setting, 1, name)
    mine = store(pool)
    for expected in (Event.TRIGGERED, Event.ACKNOWLEDGED, Event.RESOLVED):
        (claim,) = await mine.claim(rooms(), take_expired=True)
        assert claim.event is expected
        assert await mine.claim(rooms(), take_expired=True) == []
        await mine.acknowledge([ack(claim, Outcome.RETRY, delay=60.0)])
        assert await mine.claim(rooms(), take_expired=True) == []
        await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now()")
        (claim,) = await mine.claim(rooms(), take_expired=True)
        await mine.acknowledge([ack(claim)])
    await alerts.event(setting, 2, "triggered")
    assert len(await mine.claim(rooms(), take_expired=True)) == 1


async def test_a_new_alert_waits_for_the_old_one_to_be_resolved(alerts: Alerts, pool: Database) -> None:
    """A trigger after an unsent `resolved` of its group goes out second; a dead letter holds nobody up."""
    setting = await alerts.setting()
    await alerts.event(setting, 1, "resolved")
    await alerts.event(setting, 2, "triggered")
    mine = store(pool)
    (first,) = await mine.claim(rooms(), take_expired=True)
    assert first.event is Event.RESOLVED
    await mine.acknowledge([ack(first, Outcome.FAILED)])
    await alerts.rows("UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL")
    (second,) = await mine.claim(rooms(), take_expired=True)
    assert second.event is Event.TRIGGERED


async def test_what_is_over_before_it_was_told_is_one_message(alerts: Alerts, pool: Database) -> None:
    """Unsent triggers and their `resolved` fold into one that says both, presented as what happened last."""
    setting = await alerts.setting()
    await alerts.event(setting, 1, "triggered", '{"factor": 3, "severity": "WARNING", "episode": 4}')
    await alerts.event(setting, 2, "triggered", '{"factor": 9, "severity": "CRITICAL", "episode": 4}')
    await alerts.event(
        setting, 2, "resolved", '{"actor": "pggit-alertd", "note": "back under its threshold", "episode": 4}'
    )
    mine = store(pool, coalesce=True)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    told = claim.notification()
    assert (claim.size, told.event, told.folded) == (3, Event.RESOLVED, True)
    assert told.alert.actor == "pggit-alertd"
    assert told.digest is not None
    assert (told.digest.count, told.digest.worst[0].severity) == (2, Severity.CRITICAL)
    await mine.acknowledge([ack(claim)])
    assert await alerts.queue("status") == [("sent",)] * 3


async def test_episodes_are_not_folded_into_each_other(alerts: Alerts, pool: Database) -> None:
    """The end of one run of alerts and the beginning of the next are two messages: each is an incident of its own."""
    setting = await alerts.setting("slack")
    await alerts.event(setting, 1, "resolved", '{"episode": 1}')
    await alerts.event(setting, 2, "triggered", '{"episode": 2}')
    await alerts.event(setting, 3, "triggered", '{"episode": 2}')
    mine = store(pool, coalesce=True)
    first, second = await mine.claim(rooms(), take_expired=True)
    assert (first.event, first.size) == (Event.RESOLVED, 1)
    assert (second.event, second.size) == (Event.TRIGGERED, 2)


async def test_a_snapshot_nobody_can_read_does_not_stop_a_digest(alerts: Alerts, pool: Database) -> None:
    """Rows made by hand with numbers beyond all measure travel along; the message then speaks of its own alert."""
    setting = await alerts.setting()
    await alerts.event(setting, 1, "triggered", '{"factor": "high"}')
    await alerts.event(setting, 2, "triggered", '{"factor": 1e400, "severity": 7}')
    await alerts.event(setting, 3, "triggered", '{"factor": ' + "9" * 5000 + "}")
    mine = store(pool, coalesce=True)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    assert claim.size == 3
    assert claim.notification().alert.alert_id is not None
    assert await mine.acknowledge([ack(claim)]) == 0
    assert await alerts.queue("status") == [("sent",)] * 3


async def test_a_storm_is_few_messages_with_bounded_memory(alerts: Alerts, pool: Database) -> None:
    """5,000 alerts of one group are claimed a thousand a message, and a message carries five of them."""
    setting = await alerts.setting("pagerduty", PAGERDUTY)
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_queue"
        " (alert_id, channel, recipient, message, setting_id, destination_key, group_key, alert)"
        " SELECT n, 'pagerduty', 'x', 'm', s.setting_id, s.destination_key, 'g', jsonb_build_object('factor', n)"
        " FROM generate_series(1, 5000) AS n, pggit.alert_notification_settings AS s WHERE s.setting_id = %s",
        setting,
    )
    mine = store(pool, coalesce=True)
    sizes = []
    while claims := await mine.claim(rooms(), take_expired=True):
        for claim in claims:
            sizes.append(claim.size)
            told = claim.notification().digest
            assert told is None or len(told.worst) <= 5
        await mine.acknowledge([ack(claim) for claim in claims])
    assert sum(sizes) == 5000
    assert len(sizes) <= 6
    assert await alerts.rows("SELECT count(*), count(DISTINCT queue_id) FROM pggit.alert_notification_log") == [
        (5000, 5000)
    ]


async def test_an_expired_row_is_given_up_alone(alerts: Alerts, pool: Database) -> None:
    """It takes no part in a digest; and a digest that fails for its leader's horizon goes on with the younger rows."""
    await alerts.setting(severity="WARNING")
    await alerts.routed_alert(count=3)
    mine = store(pool, coalesce=True)
    first = "UPDATE pggit.alert_notification_queue SET give_up_at = now() + {} WHERE alert_id = 1"
    await alerts.rows(first.format("interval '1 s'"))
    (claim,) = await mine.claim(rooms(), take_expired=True)
    assert claim.size == 3
    await mine.acknowledge([ack(claim, Outcome.FAILED, expired=True, delay=60.0, verdict=Verdict.OK)])
    assert await alerts.queue("alert_id, status") == [(1, "failed"), (2, "pending"), (3, "pending")]
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now() WHERE status = 'pending'")
    await alerts.rows(first.replace("alert_id = 1", "alert_id = 2").format("interval '0 s'"))
    claims = await mine.claim(rooms(), take_expired=True)
    assert [(each.alert.alert_id, each.size, each.give_up_in > 0) for each in claims] == [(2, 1, False), (3, 1, True)]


async def test_pages_and_routine_of_one_group_are_claimed_together_once(alerts: Alerts, pool: Database) -> None:
    """When both are due in one claim, each is one message, and neither comes back by itself."""
    await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '1 h'")
    await alerts.alert(count=2)
    await alerts.routed_alert(count=3, severity="CRITICAL")
    mine = store(pool, coalesce=True)
    claims = await mine.claim(rooms(), take_expired=True)
    assert sorted(claim.size for claim in claims) == [2, 3]
    assert await mine.claim(rooms(), take_expired=True) == []


async def test_a_new_episode_waits_for_nothing(alerts: Alerts, pool: Database) -> None:
    """A receiver that takes no `resolved` does not hold up the next page."""
    setting = await alerts.setting()
    await alerts.event(setting, 1, "resolved", '{"episode": 1}')
    mine = store(pool)
    (old,) = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(old, Outcome.RETRY, delay=600.0)])
    await alerts.event(setting, 2, "triggered", '{"episode": 2}')
    (page,) = await mine.claim(rooms(), take_expired=True)
    assert page.event is Event.TRIGGERED
