"""Several daemons on one queue: they share it, send nothing twice, and can't spoil each other's rows."""

import signal
from collections import Counter

import pytest

from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch, by_length
from support.tally import tally

ROWS = by_length(2_000, 10_000)


@pytest.mark.timeout(300)
async def test_replicas_share_the_work(set_up: Stage, scores: Scores) -> None:
    """Thousands of notifications and four replicas: each is sent once, by one of them, and each has its share."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    names = [f"replica-{number}" for number in range(4)]
    replicas = [await set_up.spawn(worker_name=name, concurrency=10) for name in names]
    for replica in replicas:
        await replica.ready()
    began = Stopwatch()
    await set_up.storm(ROWS)
    await set_up.settled(ROWS, within=240)
    elapsed = began.seconds
    assert await set_up.statuses() == {"sent": ROWS}
    assert Counter((await set_up.logged("sent")).values()) == {1: ROWS}
    shares = dict(await set_up.alerts.rows("SELECT worker, count(*) FROM pggit.alert_notification_log GROUP BY 1"))
    assert sorted(shares) == names
    for replica in replicas:
        assert await replica.stop() == 0
    found = await tally(set_up, ROWS)
    scores.record(
        "none: four replicas on one queue", sent=ROWS, lost=found.lost, duplicated=found.twice, recovery=elapsed
    )


async def test_a_worker_that_was_frozen_is_fenced_out(set_up: Stage, scores: Scores) -> None:
    """A daemon stopped beyond its lease finds its row delivered by another; its own result changes nothing."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.5))
    frozen = await set_up.run(worker_name="frozen", http_deadline=1, smtp_deadline=1, lease=3)
    await set_up.storm(1)
    await set_up.arrived(1)
    frozen.signal(signal.SIGSTOP)
    other = await set_up.run(worker_name="other", http_deadline=1, smtp_deadline=1, lease=3, poll_interval=0.5)
    await set_up.settled(1)
    columns = "status, claim_no, attempt, lost_count, sent_at, processed_at, error_message"
    before = await set_up.alerts.queue(columns)

    frozen.signal(signal.SIGCONT)
    await frozen.wait_for_event("acks_superseded", count=1)
    assert await set_up.alerts.queue(columns) == before
    log = await set_up.alerts.log("status, worker")
    assert sorted(log) == [("lost", "frozen"), ("sent", "other"), ("superseded", "frozen")]
    assert await frozen.metric("pggit_alertd_superseded_total") == 1
    found = await tally(set_up, 1)
    scores.record(
        "daemon: SIGSTOP beyond the lease, then SIGCONT", sent=1, lost=found.lost, duplicated=found.twice, allowed=1
    )
    assert await other.stop() == 0
    assert await frozen.stop() == 0


async def test_a_frozen_worker_does_not_send_on_a_lost_lease(set_up: Stage, scores: Scores) -> None:
    """Rows that were claimed but not begun when the process froze are given back unsent once it wakes."""
    await set_up.slack()
    frozen = await set_up.run(worker_name="frozen", http_deadline=1, smtp_deadline=1, lease=3, concurrency=50)
    await set_up.storm(300)
    await set_up.arrived(20)
    frozen.signal(signal.SIGSTOP)
    held = await set_up.claims()
    await set_up.run(worker_name="other", http_deadline=1, smtp_deadline=1, lease=3, poll_interval=0.5)
    await set_up.settled(300)
    frozen.signal(signal.SIGCONT)
    assert await frozen.stop() == 0
    assert Counter((await set_up.logged("sent")).values()) == {1: 300}
    found = await tally(set_up, 300)
    # What was between claim and answer at the freeze has begun, so it may have arrived or still do so.
    scores.record(
        "daemon: SIGSTOP beyond the lease under load",
        sent=300,
        lost=found.lost,
        duplicated=found.twice,
        allowed=len(held),
    )


async def test_a_pause_binds_every_replica(set_up: Stage, scores: Scores) -> None:
    """A 429 told to one replica keeps the others from the destination too, until its time; then all is delivered."""
    await set_up.slack()
    set_up.http.script(Answer(429, "rate_limited", {"Retry-After": "3"}))
    replicas = [await set_up.spawn(worker_name=f"replica-{number}", poll_interval=0.5) for number in range(2)]
    for replica in replicas:
        await replica.ready()
    await set_up.storm(1, operation="first")
    await set_up.until("SELECT count(*) FROM pggit.alert_destination WHERE paused_until > now()", 1)
    await set_up.storm(100)
    await set_up.settled(101)
    refused, *later = [request.arrived for request in set_up.http.requests]
    assert min(later) - refused >= 3
    assert set(await set_up.alerts.queue("status, attempt")) == {("sent", 1)}
    found = await tally(set_up, 101)
    scores.record(
        "receiver: 429 with Retry-After 3, two replicas",
        sent=101,
        lost=found.lost,
        duplicated=found.twice - 1,  # the one that was refused came again, as told
        recovery=min(later) - refused - 3,
    )
