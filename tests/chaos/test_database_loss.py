"""PostgreSQL goes away: the daemon stays, says so, keeps its results, and goes on where it was."""

import signal
from collections import Counter

import pytest

from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch, by_length
from support.tally import tally

ROUNDS = by_length(1, 10)
IN_HAND = 40
"""What the lanes of two channels hold: claimed, and perhaps on the way to the sink."""


@pytest.mark.timeout(120 * ROUNDS)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_restart_under_load(
    set_up: Stage, crashable: EmbeddedServer, how: signal.Signals, scores: Scores
) -> None:
    """PostgreSQL restarted, or crashed, in mid-storm: the daemon stays, all is sent once and logged once."""
    await set_up.slack()
    await set_up.pagerduty()
    set_up.http.always(Answer(delay=0.01), "/services/")
    daemon = await set_up.run(http_deadline=4, smtp_deadline=4, lease=9)
    slowest, unknown = 0.0, 0
    for number in range(ROUNDS):
        await set_up.storm(400, operation=f"round-{number}")
        await set_up.arrived(set_up.http.received + 200)
        crashable.halt(how)
        received = set_up.http.received
        crashable.resume()
        up = Stopwatch()
        await set_up.reconnect()
        unknown += received + IN_HAND - len(await set_up.logged("sent"))
        await set_up.storm(100, operation=f"later-{number}")
        await set_up.arrived(received + 1)
        slowest = max(slowest, up.seconds)
        # A claim whose answer the crash swallowed waits for its lease.
        await set_up.settled(1000 * (number + 1), within=60)
    sent = 1000 * ROUNDS
    assert await set_up.statuses() == {"sent": sent}
    assert Counter((await set_up.logged("sent")).values()) == {1: sent}
    assert len(set_up.http.incidents) == 500 * ROUNDS
    assert daemon.running
    assert not daemon.seen("crashed")
    assert await daemon.stop() == 0
    found = await tally(set_up, sent)
    # A crash may undo the last claims. What had been sent without its result being stored may arrive again.
    scores.record(
        f"PostgreSQL: {'immediate' if how is signal.SIGQUIT else 'fast'} restart under load",
        rounds=ROUNDS,
        sent=sent,
        lost=found.lost,
        duplicated=found.twice,
        allowed=unknown if how is signal.SIGQUIT else 0,
        recovery=slowest,
    )


async def test_results_outlive_an_outage(set_up: Stage, crashable: EmbeddedServer, scores: Scores) -> None:
    """What was sent while the database was away is stored when it is back, and is not sent again."""
    await set_up.slack()
    set_up.http.always(Answer(delay=2.0))
    daemon = await set_up.run(poll_interval=0.5, database_connect_timeout=1)
    await set_up.storm(20)
    await set_up.arrived(20)
    crashable.halt()
    await daemon.wait_for_event("delivery", count=20, outcome="sent")
    await daemon.wait_for_event("ack_failed")
    await daemon.wait_for_event("claim_failed")
    assert (await daemon.page("/livez")).status_code == 200
    reply = await daemon.until_page("/readyz", 503)
    assert "PostgreSQL can't be reached" in reply.json()["reasons"][0]
    assert await daemon.metric("pggit_alertd_unacknowledged") == 20
    assert await daemon.metric("pggit_alertd_database_up") == 0

    crashable.resume()
    up = Stopwatch()
    await daemon.wait_for_event("ack_recovered")
    await set_up.reconnect()
    await set_up.storm(1, operation="after")
    await set_up.settled(21)
    recovery = up.seconds
    await daemon.until_page("/readyz", 200)
    assert set_up.http.received == 21
    assert Counter((await set_up.logged("sent")).values()) == {1: 21}
    assert await set_up.logged("lost") == {}
    assert await daemon.metric("pggit_alertd_database_up") == 1
    assert await daemon.stop() == 0
    found = await tally(set_up, 21)
    scores.record(
        "PostgreSQL: gone between send and ack",
        sent=21,
        lost=found.lost,
        duplicated=found.twice,
        recovery=recovery,
    )


async def test_another_replica_waits_for_the_results(set_up: Stage, crashable: EmbeddedServer) -> None:
    """Leases that ran out during an outage are left alone until the replica that has the results can store them."""
    await set_up.slack()
    set_up.http.always(Answer(delay=1.0))
    first = await set_up.run(
        worker_name="first", http_deadline=2, smtp_deadline=2, lease=5, poll_interval=0.5, database_connect_timeout=1
    )
    await set_up.storm(20)
    await set_up.arrived(20)
    crashable.halt()
    second = await set_up.spawn(
        worker_name="second", http_deadline=2, smtp_deadline=2, lease=5, poll_interval=0.5, database_connect_timeout=1
    )
    await second.wait_for_event("waiting_for_database")
    await first.wait_for_event("ack_failed", count=2)
    first.signal(signal.SIGSTOP)
    crashable.resume()
    await set_up.reconnect()
    await second.ready()
    await set_up.alerts.rows("SELECT pg_sleep(4)")  # as long as the first one's next try may be away
    first.signal(signal.SIGCONT)
    await set_up.settled(20)
    assert set_up.http.received == 20
    assert await set_up.logged("superseded") == {}
    assert await set_up.logged("lost") == {}
    assert await first.stop() == 0
    assert await second.stop() == 0


async def test_stopping_without_the_database(set_up: Stage, crashable: EmbeddedServer) -> None:
    """SIGTERM while the database is away ends the daemon within its grace; it says how many results it leaves."""
    await set_up.slack()
    daemon = await set_up.run(shutdown_grace=2, database_connect_timeout=1)
    set_up.http.always(Answer(delay=1.0))
    await set_up.storm(3)
    await set_up.arrived(3)
    crashable.halt()
    await daemon.wait_for_event("ack_failed")
    daemon.terminate()
    assert await daemon.ended(within=10) == 0
    assert daemon.seen("acks_left_behind", waiting=3)
    crashable.resume()
    await set_up.reconnect()
