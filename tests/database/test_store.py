"""The queue as workers see it: claims, fences, acks, pauses and holds, on real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseRejected
from pggit_alertd.model import Outcome, Reason, Severity, Urgency
from support.alerts import EMAIL, WEBHOOK, Alerts
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers

EXPIRE = (
    "UPDATE pggit.alert_notification_queue SET next_attempt_at = now() - interval '1 second' WHERE status = 'pending'"
)


async def test_a_claim_carries_all_that_delivery_needs(alerts: Alerts, pool: Database) -> None:
    """Row, setting and destination arrive in one claim; its numbers say whose it is and until when."""
    setting = await alerts.setting("email")
    alert = await alerts.routed_alert(severity="CRITICAL", name="nightly")
    (claim,) = await store(pool).claim(rooms(), take_expired=True)
    assert (claim.claim_no, claim.attempt, claim.lost) == (1, 1, 0)
    assert (claim.channel, claim.setting_channel, claim.urgency) == ("email", "email", Urgency.PAGE)
    assert (claim.setting_id, claim.setting_found, claim.setting_enabled) == (setting, True, True)
    assert claim.config == '{"to": ["ops@example.com"]}' == str(EMAIL).replace("'", '"')
    assert (claim.recipient, claim.destination_key) == ("o***@example.com", "email:smtp")
    assert (claim.alert.alert_id, claim.alert.severity, claim.alert.operation_name) == (
        alert,
        Severity.CRITICAL,
        "nightly",
    )
    assert 86_000 < claim.give_up_in < 86_401
    assert claim.paused_for == 0.0
    assert claim.trusted_until == claim.claimed_monotonic + 30.0
    assert claim.notification().dedup_key == f"pggit-{claim.installation}-episode-1"
    assert await alerts.queue("claimed_by, next_attempt_at = claimed_at + interval '60 s', status") == [
        ("w1", True, "pending")
    ]
    assert await store(pool, "w2").claim(rooms(), take_expired=True) == []


async def test_lanes_are_apart_and_take_what_they_have_room_for(alerts: Alerts, pool: Database) -> None:
    """Each channel and urgency gets its own slots, oldest due first; no room and no lanes claim nothing."""
    for channel in ("email", "slack", "pagerduty"):
        await alerts.setting(channel)
    await alerts.routed_alert(count=12)
    mine = store(pool)
    assert await mine.claim([], take_expired=True) == []
    assert await mine.claim(rooms(0), take_expired=True) == []
    claims = await mine.claim(rooms(2), take_expired=True)
    assert sorted((claim.channel, int(claim.urgency)) for claim in claims) == sorted(
        (room.channel, int(room.urgency)) for room in rooms() for _ in range(2)
    )
    taken = [claim.queue_id for claim in claims if claim.channel == "slack" and claim.urgency is Urgency.ROUTINE]
    assert taken == await alerts.column(
        "SELECT queue_id FROM pggit.alert_notification_queue WHERE channel = 'slack' AND urgency = 1"
        " ORDER BY queue_id LIMIT 2"
    )
    assert len(await mine.claim(rooms(100, channels=("slack",)), take_expired=True)) == 12 - 4


async def test_two_workers_never_hold_one_row(alerts: Alerts, pool: Database) -> None:
    """Eight claimers at once share 200 rows without overlap or remainder."""
    await alerts.setting()
    await alerts.routed_alert(count=200, alert_type="ANOMALY")

    async def take(worker: str) -> list[int]:
        mine, taken = store(pool, worker), []
        while claims := await mine.claim(rooms(5), take_expired=True):
            taken += [claim.queue_id for claim in claims]
        return taken

    everything = [row for rows in await asyncio.gather(*(take(f"w{n}") for n in range(8))) for row in rows]
    assert sorted(everything) == await alerts.column("SELECT queue_id FROM pggit.alert_notification_queue ORDER BY 1")


@pytest.mark.parametrize(
    ("outcome", "row", "logged"),
    [
        (Outcome.SENT, ("sent", 1, None, True, True, None), ("sent", None, 200, 40, 60)),
        (Outcome.FAILED, ("failed", 1, None, False, True, "no"), ("failed", "client_error", 404, 40, 60)),
        (Outcome.RETRY, ("pending", 1, None, False, False, "no"), ("retry", "client_error", 404, 40, 60)),
        (Outcome.RELEASED, ("pending", 0, None, False, False, "no"), ("released", "client_error", None, None, None)),
    ],
)
async def test_an_ack_changes_its_row_and_writes_one_log_row(
    alerts: Alerts, pool: Database, outcome: Outcome, row: tuple[Any, ...], logged: tuple[Any, ...]
) -> None:
    """Every outcome leaves its row right and one line in the log; only a receiver's word reaches the destination."""
    await alerts.setting()
    alert = await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    refused = {} if outcome is Outcome.SENT else {"reason": Reason.CLIENT_ERROR, "detail": "no", "delay": 30.0}
    code = {Outcome.SENT: 200, Outcome.RELEASED: None}.get(outcome, 404)
    result = ack(claim, outcome, code=code, **refused)
    assert await mine.acknowledge([result]) == 0
    columns = "status, attempt, claimed_by, sent_at IS NOT NULL, processed_at IS NOT NULL, error_message"
    assert await alerts.queue(columns) == [row]
    if outcome in {Outcome.RETRY, Outcome.RELEASED}:
        assert await alerts.queue("next_attempt_at - now() BETWEEN interval '25 s' AND interval '30 s'") == [(True,)]
    assert await alerts.log("status, reason, response_code, delivery_time_ms, dwell_time_ms") == [logged]
    assert await alerts.log("alert_id, queue_id, claim_no, attempt, worker, sent_at, channel, recipient") == [
        (alert, claim.queue_id, 1, 1, "w1", result.finished_at, "slack", "#pgit-alerts")
    ]
    destination = await alerts.rows("SELECT consecutive_failures, last_error FROM pggit.alert_destination")
    assert destination == {Outcome.SENT: [(0, None)], Outcome.RELEASED: []}.get(outcome, [(1, "no")])
    before = await alerts.queue("*"), await alerts.log("*"), await alerts.rows("SELECT * FROM pggit.alert_destination")
    assert await mine.acknowledge([result]) == 0, "sent again because its commit was in doubt"
    after = await alerts.queue("*"), await alerts.log("*"), await alerts.rows("SELECT * FROM pggit.alert_destination")
    assert after == before


async def test_a_late_ack_changes_nothing_and_is_logged_superseded(alerts: Alerts, pool: Database) -> None:
    """Once another worker has claimed the row, the first one's ack leaves one log row; the second one's counts."""
    await alerts.setting()
    await alerts.routed_alert()
    slow, quick = store(pool, "slow"), store(pool, "quick")
    (old,) = await slow.claim(rooms(), take_expired=True)
    await alerts.rows(EXPIRE)
    assert await quick.claim(rooms(), take_expired=False) == []
    (new,) = await quick.claim(rooms(), take_expired=True)
    assert (new.claim_no, new.attempt, new.lost) == (2, 2, 1)
    before = await alerts.queue("*")
    late = ack(old, Outcome.FAILED, detail="too late")
    assert await slow.acknowledge([late]) == 1
    assert await slow.acknowledge([late]) == 0
    assert await quick.acknowledge([replace(late, claim=replace(new, claim_no=1))]) == 0, (
        "the right name, the wrong fence"
    )
    assert await alerts.queue("*") == before
    assert await alerts.rows("SELECT * FROM pggit.alert_destination") == []
    assert await quick.acknowledge([ack(new)]) == 0
    assert await alerts.queue("status, claim_no") == [("sent", 2)]
    assert await alerts.log("status, claim_no, worker, reason") == [
        ("lost", 1, "slow", "lease"),
        ("superseded", 1, "slow", None),
        ("sent", 2, "quick", None),
    ]


async def test_an_expired_lease_that_nobody_took_still_acknowledges(alerts: Alerts, pool: Database) -> None:
    """Being late alone is no reason to send twice."""
    await alerts.setting()
    await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await alerts.rows(EXPIRE)
    assert await mine.acknowledge([ack(claim)]) == 0
    assert await alerts.queue("status") == [("sent",)]


async def test_two_acks_of_one_row_in_one_batch_apply_the_live_one(alerts: Alerts, pool: Database) -> None:
    """A worker that lost and retook its own row may flush both results together: the fence picks the second."""
    await alerts.setting()
    await alerts.routed_alert()
    mine = store(pool)
    (old,) = await mine.claim(rooms(), take_expired=True)
    await alerts.rows(EXPIRE)
    (new,) = await mine.claim(rooms(), take_expired=True)
    assert await mine.acknowledge([ack(new), ack(old, Outcome.FAILED), ack(new)]) == 1
    assert await alerts.queue("status") == [("sent",)]
    assert await alerts.log("status, claim_no") == [("lost", 1), ("sent", 2), ("superseded", 1)]


async def test_an_attempt_is_logged_even_if_its_row_is_gone(alerts: Alerts, pool: Database) -> None:
    """An operator who deletes a row in flight finds its attempt in the log."""
    await alerts.setting()
    alert = await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await alerts.rows("DELETE FROM pggit.alert_notification_queue")
    assert await mine.acknowledge([ack(claim)]) == 1
    assert await alerts.log("alert_id, channel, status, recipient") == [(alert, "slack", "superseded", "#pgit-alerts")]


async def test_what_receivers_say_can_always_be_stored(alerts: Alerts, pool: Database) -> None:
    """NUL bytes, lone surrogates, endless waits and no number at all don't keep an ack from being stored."""
    await alerts.setting()
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool)
    claims = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge(
        [
            ack(claim, Outcome.RETRY, detail=f"{odd}\x00 \ud800 \U0001f4a5 %s ' \\", delay=delay)
            for claim, odd, delay in zip(claims, ("a", "b", "c"), (float("inf"), float("nan"), -5.0), strict=True)
        ]
    )
    assert await alerts.queue("error_message, next_attempt_at <= now() + interval '30 days'") == [
        (f"{odd} ? \U0001f4a5 %s ' \\", True) for odd in "abc"
    ]
    await mine.pause(claims[0], float("inf"))
    assert await alerts.value("SELECT paused_until <= now() + interval '30 days' FROM pggit.alert_destination")


async def test_values_that_can_not_be_stored_are_told_apart_from_a_database_that_is_away(
    alerts: Alerts, pool: Database
) -> None:
    """A rejected batch is an error of its own kind, and leaves nothing behind."""
    await alerts.setting()
    await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    with pytest.raises(DatabaseRejected):
        await mine.acknowledge([ack(claim, code=2**40)])
    assert await alerts.log() == []


async def test_handed_back_attempts_never_go_below_zero(alerts: Alerts, pool: Database) -> None:
    """An operator's reset of `attempt` while the row is in flight doesn't break the ack."""
    await alerts.setting()
    await alerts.routed_alert()
    mine = store(pool)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await alerts.rows("UPDATE pggit.alert_notification_queue SET attempt = 0")
    assert await mine.acknowledge([ack(claim, Outcome.RELEASED)]) == 0
    assert await alerts.queue("attempt, claim_no, status") == [(0, 1, "pending")]


async def test_mail_recipients_that_are_settled_add_up(alerts: Alerts, pool: Database) -> None:
    """Digests of several attempts are kept together and come with the next claim."""
    await alerts.setting("email")
    await alerts.routed_alert()
    mine = store(pool)
    for digest in ("aa", "bb"):
        (claim,) = await mine.claim(rooms(), take_expired=True)
        await mine.acknowledge([ack(claim, Outcome.RETRY, settled=frozenset({digest, "cc"}), detail="")])
    (claim,) = await mine.claim(rooms(), take_expired=True)
    assert claim.settled == {"aa", "bb", "cc"}
    assert claim.attempt == 3


async def test_a_setting_found_disabled_at_delivery_parks_its_rows(alerts: Alerts, pool: Database) -> None:
    """HELD hands the attempt back and parks everything of the setting; enabling it makes all of it due at once."""
    setting = await alerts.setting()
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool)
    claims = await mine.claim(rooms(2), take_expired=True)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    assert [claim.setting_enabled for claim in claims] == [True, True], "it was switched off after the claim"
    await mine.acknowledge([ack(claim, Outcome.HELD, delay=30.0) for claim in claims])
    assert await alerts.queue("next_attempt_at = 'infinity', attempt, claimed_by") == [(True, 0, None)] * 3
    assert await mine.next_due(rooms()) is None
    assert await mine.claim(rooms(), take_expired=True) == []
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE WHERE setting_id = %s", setting)
    assert len(await mine.claim(rooms(), take_expired=True)) == 3


async def test_a_deleted_setting_is_seen_at_the_claim(alerts: Alerts, pool: Database) -> None:
    """The claim says so, also for rows that were parked; nothing of the config is left anywhere."""
    await alerts.setting()
    await alerts.routed_alert()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    (claim,) = await store(pool).claim(rooms(), take_expired=True)
    assert (claim.setting_found, claim.setting_enabled, claim.config) == (False, False, None)
    assert claim.recipient == "#pgit-alerts"


async def test_failures_are_counted_until_a_success(alerts: Alerts, pool: Database) -> None:
    """A destination's failures add up over batches, a success clears them, and settings with one webhook share them."""
    await alerts.setting()
    await alerts.setting(config={"webhook_url": WEBHOOK})
    await alerts.routed_alert(count=3, alert_type="ANOMALY")
    mine = store(pool)
    claims = await mine.claim(rooms(), take_expired=True)
    state = "SELECT channel, consecutive_failures, last_error, last_success_at IS NOT NULL FROM pggit.alert_destination"
    await mine.acknowledge(
        [
            ack(c, Outcome.RETRY, detail=f"down {n}", finished_at=c.claimed_at + timedelta(seconds=n))
            for n, c in enumerate(claims[:3])
        ]
    )
    await mine.acknowledge([ack(claims[3], Outcome.FAILED, detail="gone")])
    assert await alerts.rows(state) == [("slack", 4, "gone", False)]
    await mine.acknowledge([ack(claims[4])])
    assert await alerts.rows(state) == [("slack", 0, "gone", True)]


async def test_next_due_knows_now_later_and_never(alerts: Alerts, pool: Database) -> None:
    """Not positive when something is due, the seconds until the earliest of the lanes asked for, None for nothing."""
    mine = store(pool)
    assert await mine.next_due(rooms()) is None
    assert await mine.next_due([]) is None
    await alerts.setting()
    await alerts.routed_alert()
    due = await mine.next_due(rooms())
    assert due is not None
    assert due <= 0
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now() + interval '90 s'")
    due = await mine.next_due(rooms())
    assert due is not None
    assert 80 < due <= 90
    assert await mine.next_due(rooms(channels=("email", "pagerduty"))) is None


async def test_depths_count_what_waits_what_is_held_and_what_failed(alerts: Alerts, pool: Database) -> None:
    """Sent rows don't count, held ones count apart, and the oldest due row's wait is told."""
    mine = store(pool)
    assert await mine.depth() == []
    assert await mine.outbox_depth() == 0
    await alerts.setting()
    await alerts.alert(count=4, alert_type="ANOMALY")
    assert await mine.outbox_depth() == 4
    await alerts.route()
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent' WHERE queue_id = 1")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'failed' WHERE queue_id = 2")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = 'infinity' WHERE queue_id = 3")
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET next_attempt_at = now() - interval '1 h' WHERE queue_id = 4"
    )
    found = {(d.channel, d.status): (d.count, round(d.oldest_due_seconds / 3600)) for d in await mine.depth()}
    assert found == {("slack", "failed"): (1, 0), ("slack", "held"): (1, 0), ("slack", "pending"): (1, 1)}


async def test_a_worker_leaves_its_signs_of_life(alerts: Alerts, pool: Database) -> None:
    """The first beat makes the row, later ones move it and follow an upgrade."""
    mine = store(pool)
    await mine.beat("host", "1.0")
    await mine.beat("host", "1.1")
    assert await alerts.rows(
        "SELECT worker, hostname, version, last_beat_at > started_at FROM pggit.alertd_worker"
    ) == [("w1", "host", "1.1", True)]


async def test_a_row_queued_by_hand_is_delivered_under_its_alerts_name(alerts: Alerts, pool: Database) -> None:
    """A bare INSERT into the queue is claimed, and its alert id reaches the receiver."""
    setting = await alerts.setting()
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, setting_id)"
        " VALUES (99, 'slack', 'somebody', 'look at this', %s), (NULL, 'slack', 'somebody', 'and this', %s)",
        setting,
        setting,
    )
    claims = await store(pool).claim(rooms(), take_expired=True)
    keys = [claim.notification().dedup_key.partition("-alert-")[2] for claim in claims]
    assert keys == ["99", "q2"]
    assert [claim.alert.message for claim in claims] == ["look at this", "and this"]
    assert await store(pool).acknowledge([ack(claim) for claim in claims]) == 0
    assert await alerts.log("alert_id, status") == [(99, "sent"), (None, "sent")]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_databases_in_other_encodings_work(server: Any, encoding: str) -> None:
    """Where the database can't hold what a receiver said, the ack is rejected as data; all else goes as usual."""
    from pggit_alertd.database import migrate

    with psycopg.connect(server.server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE other TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    dsn = server.server.dsn("other")
    try:
        await migrate.up(dsn)
        pool = Database(dsn)
        await pool.open()
        async with await AsyncConnection.connect(dsn, autocommit=True, client_encoding="UTF8") as opened:
            alerts = Alerts(opened)
            await alerts.setting()
            await alerts.routed_alert(operation="caf\u00e9")
            mine = store(pool)
            (claim,) = await mine.claim(rooms(), take_expired=True)
            assert claim.alert.operation_type == "caf\u00e9"
            if encoding == "LATIN1":
                with pytest.raises(DatabaseRejected):
                    await mine.acknowledge([ack(claim, detail="\u65e5\u672c")])
            assert await mine.acknowledge([ack(claim, detail="d\u00e9j\u00e0")]) == 0
        await pool.close()
    finally:
        server.drop("other")
