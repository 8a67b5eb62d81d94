"""kill -9: nothing is lost, what was in flight may arrive twice, and no incident is opened twice."""

import random
import signal
from collections import Counter
from typing import Any

import pytest

from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch, by_length
from support.tally import tally

SHORT_LEASE: dict[str, Any] = {"http_deadline": 1, "smtp_deadline": 1, "lease": 3}
KILLS = by_length(20, 500)
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
ALERTS = 60
CATCH_UP = 10
"""Kills after which a survivor may empty the queue, or it would only ever grow."""


async def test_killed_in_mid_delivery(set_up: Stage, scores: Scores) -> None:
    """What a killed daemon had in flight is tried again by the next one, says so in the log, and all arrives."""
    await set_up.slack()
    await set_up.pagerduty()
    set_up.http.always(Answer(hang=True))
    first = await set_up.run(http_deadline=10, smtp_deadline=10)
    await set_up.storm(6)
    await set_up.arrived(12)
    first.kill()
    assert await first.ended() == -signal.SIGKILL
    assert len(await set_up.claims()) == 12
    await set_up.alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = now()")  # the lease runs out

    set_up.http.always(None)
    second = await set_up.run(**SHORT_LEASE)
    await set_up.settled(12)
    assert await set_up.statuses() == {"sent": 12}
    assert set(set_up.requests().values()) == {2}
    assert len(set_up.http.incidents) == 6
    assert set((await set_up.logged("lost")).values()) == {1}
    assert len(await set_up.logged("lost")) == 12
    assert len(second.seen("lease_taken_over")) == 12
    assert await second.metric("pggit_alertd_lost_claims_total") == 12
    found = await tally(set_up, 12)
    scores.record(
        "daemon: SIGKILL while every request hangs", sent=12, lost=found.lost, duplicated=found.twice, allowed=12
    )
    assert await second.stop() == 0


@pytest.mark.timeout(120 + 15 * KILLS)
async def test_killed_at_random_points(set_up: Stage, scores: Scores) -> None:
    """However often it is killed: nothing is lost, no more than what was claimed doubles, incidents never do."""
    chance = random.Random(7)  # noqa: S311 - repeatable, nothing secret
    await set_up.slack()
    await set_up.pagerduty()
    set_up.http.always(Answer(body="ok", delay=0.02), "/services/")
    held: set[tuple[int, int]] = set()
    slowest = 0.0
    for kill in range(KILLS):
        daemon = await set_up.spawn(**SHORT_LEASE, max_lost_claims=100, retry_cap=0.2)
        await set_up.storm(ALERTS, operation=f"round-{kill}")
        if kill % 3 == 2:
            await daemon.wait_for_event(chance.choice(("web_listening", "database_ready", "ready")))
        else:
            await set_up.arrived(set_up.http.received + chance.randint(1, 2 * ALERTS))
        daemon.kill()
        assert await daemon.ended() == -signal.SIGKILL
        # What it had sent to PostgreSQL is still carried out there: the claims it leaves are those after that.
        await set_up.until(SESSIONS, 0)
        held |= await set_up.claims()
        if kill % CATCH_UP == CATCH_UP - 1:
            killed = Stopwatch()
            received = set_up.http.received
            survivor = await set_up.spawn(**SHORT_LEASE, max_lost_claims=100, retry_cap=0.2, poll_interval=0.2)
            await set_up.arrived(received + 1)
            slowest = max(slowest, killed.seconds)
            await set_up.settled(2 * ALERTS * (kill + 1))
            assert await survivor.stop() == 0
    sent = 2 * ALERTS * KILLS
    assert await set_up.statuses() == {"sent": sent}
    assert Counter((await set_up.logged("sent")).values()) == {1: sent}
    assert sum((await set_up.logged("lost")).values()) == len(held)
    for path in ("/services/", "/v2/enqueue"):
        assert len(set_up.requests(path)) == ALERTS * KILLS
    assert len(set_up.http.incidents) == ALERTS * KILLS
    found = await tally(set_up, sent)
    scores.record(
        "daemon: SIGKILL at random points",
        rounds=KILLS,
        sent=found.sent,
        lost=found.lost,
        duplicated=found.twice,
        allowed=len(held),
        recovery=slowest,
    )


async def test_a_row_that_kills_its_worker_is_set_aside(set_up: Stage, scores: Scores) -> None:
    """A notification whose workers vanish again and again ends as failed, while its neighbors are delivered."""
    await set_up.slack("POISONPOISONPOISONPOISON")
    await set_up.pagerduty()
    set_up.http.always(Answer(hang=True), "POISON")
    for kills in range(2):
        daemon = await set_up.spawn(**SHORT_LEASE, max_lost_claims=2)
        if kills == 0:
            await set_up.storm(1)
        await set_up.arrived(2 + kills)
        await set_up.until("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'sent'", 1)
        daemon.kill()
        await daemon.ended()
    last = await set_up.run(**SHORT_LEASE, max_lost_claims=2)
    await set_up.settled(2)
    assert await set_up.alerts.queue("channel, status, lost_count") == [
        ("slack", "failed", 2),
        ("pagerduty", "sent", 0),
    ]
    (error,) = await set_up.alerts.column(
        "SELECT error_message FROM pggit.alert_notification_queue WHERE status = 'failed'"
    )
    assert "2 workers vanished" in error
    assert set_up.http.received == 3
    assert last.seen("delivery", reason="poison")

    set_up.http.always(None, "POISON")
    await set_up.alerts.rows(
        "SELECT pggit.replay_notification(queue_id) FROM pggit.alert_notification_queue WHERE status = 'failed'"
    )
    await set_up.settled(2)
    found = await tally(set_up, 2)
    scores.record(
        "daemon: a row that kills its worker, replayed after",
        rounds=2,
        sent=2,
        lost=found.lost,
        duplicated=found.twice,
        allowed=2,
    )
