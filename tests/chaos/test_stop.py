"""SIGTERM: what is in flight ends or is handed back, results are stored, nothing stays leased, exit 0 in time."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from pggit_alertd.demo.sinks import Answer
from support.daemon import Daemon, Stage
from support.scoreboard import Scores, by_length
from support.tally import tally

STOPS = by_length(4, 40)


async def test_deliveries_in_flight_are_finished(set_up: Stage, scores: Scores) -> None:
    """With 50 requests in flight SIGTERM waits for their answers; the rest of the queue stays, free for others."""
    await set_up.slack()
    set_up.http.always(Answer(delay=3))
    daemon = await set_up.run(concurrency=50)
    await set_up.storm(120)
    await set_up.arrived(50)
    begun = time.monotonic()
    assert await daemon.stop() == 0
    elapsed = time.monotonic() - begun
    assert elapsed < 10
    assert set_up.http.received == 50
    assert await set_up.statuses() == {"sent": 50, "pending": 70}
    assert await set_up.claims() == set()
    assert set(await set_up.alerts.queue("attempt, next_attempt_at <= now()", "status = 'pending'")) == {(0, True)}
    assert Counter((await set_up.logged("sent")).values()) == {1: 50}
    found = await tally(set_up, 50)
    scores.record(
        "daemon: SIGTERM with 50 in flight", sent=50, lost=found.lost, duplicated=found.twice, recovery=elapsed
    )


async def test_deliveries_that_hang_are_handed_back(set_up: Stage, scores: Scores) -> None:
    """With 50 requests that get no answer SIGTERM waits for its grace, then gives the rows back, marked as in doubt."""
    await set_up.slack()
    set_up.http.always(Answer(hang=True))
    daemon = await set_up.run(concurrency=50, shutdown_grace=3)
    await set_up.storm(60)
    await set_up.arrived(50)
    begun = time.monotonic()
    assert await daemon.stop() == 0
    assert 2 < time.monotonic() - begun < 10
    assert await set_up.statuses() == {"pending": 60}
    assert await set_up.claims() == set()
    log = await set_up.alerts.log("status, reason, maybe_duplicate")
    assert Counter(log) == {("retry", "shutdown", True): 50}

    set_up.http.always(None)
    await set_up.run()
    await set_up.settled(60)
    assert await set_up.statuses() == {"sent": 60}
    found = await tally(set_up, 60)
    scores.record("daemon: SIGTERM with 50 hanging", sent=60, lost=found.lost, duplicated=found.twice, allowed=50)


async def test_the_second_signal_ends_it_at_once(set_up: Stage) -> None:
    """Whoever sends SIGTERM twice doesn't want to wait: exit 1 now, and the rows come back by their leases."""
    await set_up.slack()
    set_up.http.always(Answer(hang=True))
    daemon = await set_up.run()
    await set_up.storm(5)
    await set_up.arrived(5)
    daemon.terminate()
    await daemon.wait_for_event("stopping")
    daemon.signal(signal.SIGTERM)
    assert await daemon.ended(within=3) == 1
    assert len(await set_up.claims()) == 5


@pytest.mark.timeout(60 + 15 * STOPS)
async def test_stopping_under_load_leaves_nothing_leased(set_up: Stage, scores: Scores) -> None:
    """Whatever moment of claiming and sending SIGTERM hits: no row stays leased, none is sent twice, none is lost."""
    chance = random.Random(3)  # noqa: S311 - repeatable, nothing secret
    await set_up.slack()
    await set_up.pagerduty()
    alerts = 150 * STOPS
    await set_up.storm(alerts)
    for _ in range(STOPS):
        daemon = await set_up.spawn()
        await set_up.arrived(set_up.http.received + chance.randint(1, 200))
        assert await daemon.stop() == 0
        assert await set_up.claims() == set()
    await set_up.run()
    await set_up.settled(2 * alerts, within=60)
    found = await tally(set_up, 2 * alerts)
    scores.record(
        "daemon: SIGTERM at random points", rounds=STOPS, sent=2 * alerts, lost=found.lost, duplicated=found.twice
    )


async def test_a_terminal_that_closes_ends_it_in_order(set_up: Stage) -> None:
    """SIGHUP drains as SIGTERM does; under nohup, which ignores it, the daemon stays."""

    async def started(disposition: signal.Handlers) -> Daemon:
        """Start a daemon that inherits this, whatever these tests themselves were started under."""
        before = signal.signal(signal.SIGHUP, disposition)
        try:
            return await set_up.run()
        finally:
            signal.signal(signal.SIGHUP, before)

    await set_up.slack()
    set_up.http.always(Answer(delay=0.3))
    daemon = await started(signal.SIG_DFL)
    await set_up.storm(5)
    await set_up.arrived(5)
    daemon.signal(signal.SIGHUP)
    assert await daemon.ended() == 0
    assert await set_up.statuses() == {"sent": 5}

    stays = await started(signal.SIG_IGN)
    stays.signal(signal.SIGHUP)
    await set_up.storm(1)
    await set_up.settled(6)
    assert await stays.stop() == 0


async def test_stopping_before_it_has_begun(set_up: Stage) -> None:
    """SIGTERM ends a daemon that still waits for its database."""
    daemon = await set_up.spawn(database_url="postgresql://nobody@/nowhere?host=/nonexistent")
    await daemon.wait_for_event("waiting_for_database")
    assert await daemon.stop(within=5) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_stopping_while_it_is_being_loaded(tmp_path: Path, number: signal.Signals) -> None:
    """A signal that comes before the daemon exists ends the process well; a container's first process heeds it too."""
    secret = tmp_path / "url"
    os.mkfifo(secret)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        starting = await Daemon.start({"PGGIT_ALERTD_DATABASE_URL_FILE": str(secret)})
    finally:
        signal.signal(signal.SIGHUP, before)
    async with starting as daemon, asyncio.timeout(30):
        with await asyncio.to_thread(secret.open, "wb"):  # waits for the reader
            daemon.signal(number)
            assert await daemon.ended() == 0
        assert not daemon.events
