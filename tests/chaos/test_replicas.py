"""Several daemons on one queue: they share it, send nothing twice, and can't spoil each other's rows."""

import signal
from collections import Counter

import pytest

from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage


@pytest.mark.parametrize("count", [2, 3])
async def test_replicas_share_the_work(set_up: Stage, count: int) -> None:
    """2,000 notifications and several replicas: each is sent once, by one of them, and each of them has its share."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    names = [f"replica-{number}" for number in range(count)]
    replicas = [await set_up.spawn(worker_name=name, concurrency=10) for name in names]
    for replica in replicas:
        await replica.ready()
    await set_up.storm(2000)
    await set_up.settled(2000)
    assert await set_up.statuses() == {"sent": 2000}
    assert set_up.http.received == 2000
    assert set(set_up.requests().values()) == {1}
    assert Counter((await set_up.logged("sent")).values()) == {1: 2000}
    shares = dict(await set_up.alerts.rows("SELECT worker, count(*) FROM pggit.alert_notification_log GROUP BY 1"))
    assert sorted(shares) == names
    for replica in replicas:
        assert await replica.stop() == 0


async def test_a_worker_that_was_frozen_is_fenced_out(set_up: Stage) -> None:
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
    assert await other.stop() == 0
    assert await frozen.stop() == 0


async def test_a_frozen_worker_does_not_send_on_a_lost_lease(set_up: Stage) -> None:
    """Rows that were claimed but not begun when the process froze are given back unsent once it wakes."""
    await set_up.slack()
    frozen = await set_up.run(worker_name="frozen", http_deadline=1, smtp_deadline=1, lease=3, concurrency=50)
    await set_up.storm(300)
    await set_up.arrived(20)
    frozen.signal(signal.SIGSTOP)
    received = set_up.http.received
    await set_up.run(worker_name="other", http_deadline=1, smtp_deadline=1, lease=3, poll_interval=0.5)
    await set_up.settled(300)
    frozen.signal(signal.SIGCONT)
    claims = set_up.http.received
    assert claims >= 300
    assert await frozen.stop() == 0
    assert set_up.http.received - claims <= 1
    assert received <= 300
    assert Counter((await set_up.logged("sent")).values()) == {1: 300}


async def test_a_pause_binds_every_replica(set_up: Stage) -> None:
    """A 429 told to one replica keeps the others from the destination too, until its time; then all is delivered."""
    await set_up.slack()
    set_up.http.script(Answer(429, "rate_limited", {"Retry-After": "2"}))
    replicas = [await set_up.spawn(worker_name=f"replica-{number}", poll_interval=0.5) for number in range(2)]
    for replica in replicas:
        await replica.ready()
    await set_up.storm(1, operation="first")
    await set_up.until("SELECT count(*) FROM pggit.alert_destination WHERE paused_until > now()", 1)
    await set_up.storm(100)
    await set_up.settled(101)
    refused, *later = [request.arrived for request in set_up.http.requests]
    assert min(later) - refused >= 2
    assert set_up.http.received == 102
    assert set(await set_up.alerts.queue("status, attempt")) == {("sent", 1)}
