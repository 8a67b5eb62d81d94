"""The way to PostgreSQL breaks: sessions are ended, a pooler restarts, a network cuts, resets and swallows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage
from support.pooler import PGBOUNCER, Pooler
from support.proxy import Proxy
from support.scoreboard import LONG, Scores, Stopwatch, by_length
from support.tally import tally

ROUNDS = by_length(3, 30)
LEASE = {"http_deadline": 2, "smtp_deadline": 2, "lease": 5}
END_SESSIONS = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %s AND pid <> pg_backend_pid()
"""


async def under_load(set_up: Stage, fault: Callable[[], object], rounds: int = ROUNDS) -> tuple[int, float]:
    """Break something in each round while a storm is half delivered; return notifications and seconds.

    Seconds are the longest from the fault to the next request at the sink. A claim whose answer was lost waits for its
    lease and was never sent; a result whose commit is in doubt is written again. So nothing may arrive twice.
    """
    slowest, sent = 0.0, 0
    for number in range(rounds):
        await set_up.storm(150, operation=f"round-{number}")
        await set_up.arrived(set_up.http.received + 60)
        fault()
        broken = Stopwatch()
        await set_up.storm(50, operation=f"after-{number}")
        await set_up.arrived(set_up.http.received + 1)
        slowest = max(slowest, broken.seconds)
        sent += 200
        await set_up.settled(sent, within=60)
    return sent, slowest


@pytest.mark.timeout(60 + 20 * ROUNDS)
async def test_sessions_of_the_pool_are_ended(set_up: Stage, scores: Scores) -> None:
    """pg_terminate_backend on all working sessions at once, again and again: the work goes on on new ones."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    daemon = await set_up.run(**LEASE)
    slowest, sent = 0.0, 0
    for number in range(ROUNDS):
        await set_up.storm(150, operation=f"round-{number}")
        await set_up.arrived(set_up.http.received + 60)
        ended = await set_up.alerts.value(END_SESSIONS, "pggit-alertd")
        assert ended >= 1
        broken = Stopwatch()
        received = set_up.http.received
        await set_up.storm(50, operation=f"after-{number}")
        await set_up.arrived(received + 1)
        slowest = max(slowest, broken.seconds)
        sent += 200
        await set_up.settled(sent, within=60)
    assert not daemon.seen("crashed")
    assert await daemon.stop() == 0
    found = await tally(set_up, sent)
    scores.record(
        "PostgreSQL: pg_terminate_backend on the pool",
        rounds=ROUNDS,
        sent=sent,
        lost=found.lost,
        duplicated=found.twice,
        allowed=found.doubtful,
        recovery=slowest,
    )


async def test_the_listener_is_ended(set_up: Stage, scores: Scores) -> None:
    """pg_terminate_backend on the listener in mid-storm: what comes while it is deaf is found, and it listens again."""
    await set_up.slack()
    daemon = await set_up.run(poll_interval=60)
    slowest = 0.0
    for number in range(ROUNDS):
        assert await set_up.alerts.value(END_SESSIONS, "pggit-alertd listener") == 1
        broken = Stopwatch()
        await set_up.storm(20, operation=f"round-{number}")
        await set_up.arrived(20 * number + 1)
        slowest = max(slowest, broken.seconds)
        await daemon.wait_for_event("listener_mode", mode="listening", count=number + 2)
    sent = 20 * ROUNDS
    await set_up.settled(sent)
    found = await tally(set_up, sent)
    scores.record(
        "PostgreSQL: pg_terminate_backend on the listener",
        rounds=ROUNDS,
        sent=sent,
        lost=found.lost,
        duplicated=found.twice,
        allowed=found.doubtful,
        recovery=slowest,
    )


async def test_the_schedulers_session_is_ended(set_up: Stage, scores: Scores) -> None:
    """pg_terminate_backend in the middle of a scheduled job: the run is planned again and succeeds; alerts go on."""
    await set_up.slack()
    minute = await set_up.alerts.value("SELECT extract(MINUTE FROM now() - interval '2 minutes')::integer")
    hourly = f"{minute} * * * *"
    await set_up.alerts.rows(
        "UPDATE pggit.scheduled_job SET schedule = %s, updated_at = now() - interval '1 day' WHERE job = 'partitions'",
        hourly,
    )
    async with set_up.alerts.connection.transaction():
        await set_up.alerts.rows("SELECT pg_advisory_xact_lock(hashtextextended('pggit.maintain_log_partitions', 0))")
        daemon = await set_up.run(partition_schedule=hourly)
        # The run of the slot, and the one that every start makes.
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
        for (pid,) in await set_up.look(lambda rows: len(rows) == 2, waiting, "both runs wait for our lock"):
            assert await set_up.alerts.value("SELECT pg_terminate_backend(%s, 5000)", pid)
    broken = Stopwatch()
    await set_up.storm(50)
    await set_up.settled(50)
    elapsed = broken.seconds
    ended = "SELECT status, next_attempt_at IS NOT NULL FROM pggit.scheduled_job_run WHERE job = 'partitions'"
    await set_up.until(ended, "failed", True)  # noqa: FBT003 - a column's value
    await set_up.alerts.rows("UPDATE pggit.scheduled_job_run SET next_attempt_at = now() WHERE job = 'partitions'")
    second = await set_up.run(partition_schedule=hourly)
    await set_up.until(ended, "succeeded", False)  # noqa: FBT003 - a column's value
    assert not daemon.seen("crashed")
    assert await daemon.stop() == 0
    assert await second.stop() == 0
    found = await tally(set_up, 50)
    scores.record(
        "PostgreSQL: pg_terminate_backend on the scheduler",
        sent=50,
        lost=found.lost,
        duplicated=found.twice,
        allowed=found.doubtful,
        recovery=elapsed,
    )


@pytest.mark.skipif(PGBOUNCER is None, reason="this machine has no PgBouncer")
@pytest.mark.timeout(60 + 20 * ROUNDS)
async def test_the_pooler_restarts(set_up: Stage, scores: Scores, tmp_path: Path) -> None:
    """PgBouncer in transaction mode, killed and started again under load: work goes on by polling, all arrives once."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    pooler = Pooler(set_up.dsn, tmp_path / "pgbouncer.log")
    try:
        pooler.start()
        daemon = await set_up.run(database_url=pooler.url, deaf_poll_interval=0.2, database_connect_timeout=1, **LEASE)
        assert (await daemon.wait_for_event("listener_mode"))["mode"] == "polling"

        def restart() -> None:
            pooler.kill()
            pooler.start()

        sent, slowest = await under_load(set_up, restart)
        assert await daemon.stop() == 0
    finally:
        pooler.close()
    found = await tally(set_up, sent)
    scores.record(
        "PgBouncer (transaction mode): killed and restarted",
        rounds=ROUNDS,
        sent=sent,
        lost=found.lost,
        duplicated=found.twice,
        allowed=found.doubtful,
        recovery=slowest,
    )


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.timeout(60 + 20 * ROUNDS)
async def test_the_network_breaks_every_connection(set_up: Stage, scores: Scores, how: str) -> None:
    """FIN or RST on all connections to PostgreSQL under load: new ones are made, and all arrives once."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    async with Proxy(set_up.dsn) as proxy:
        daemon = await set_up.run(database_url=proxy.url, poll_interval=0.5, **LEASE)
        sent, slowest = await under_load(set_up, proxy.cut if how == "cut" else proxy.reset)
        assert not daemon.seen("crashed")
        assert await daemon.stop() == 0
    found = await tally(set_up, sent)
    scores.record(
        f"network to PostgreSQL: {how}",
        rounds=ROUNDS,
        sent=sent,
        lost=found.lost,
        duplicated=found.twice,
        allowed=found.doubtful,
        recovery=slowest,
    )


async def test_the_network_stalls_and_goes_on(set_up: Stage, scores: Scores) -> None:
    """Connections that swallow everything for longer than the lease, then go on: late results are fenced or stored."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    async with Proxy(set_up.dsn) as proxy:
        daemon = await set_up.run(database_url=proxy.url, poll_interval=0.5, **LEASE)
        await set_up.storm(150)
        await set_up.arrived(60)
        proxy.stall()
        held = await set_up.claims()
        leased = (
            "SELECT count(*) FROM pggit.alert_notification_queue WHERE claimed_by <> '' AND next_attempt_at > now()"
        )
        await set_up.until(leased, 0)
        received = set_up.http.received
        proxy.resume()
        resumed = Stopwatch()
        await set_up.storm(50, operation="after")
        await set_up.arrived(received + 1)
        recovery = resumed.seconds
        await set_up.settled(200)
        assert await daemon.stop() == 0
    found = await tally(set_up, 200)
    scores.record(
        "network to PostgreSQL: stalls beyond the lease",
        sent=200,
        lost=found.lost,
        duplicated=found.twice,
        allowed=len(held) + found.doubtful,
        recovery=recovery,
    )


@pytest.mark.skipif(not LONG, reason="waits half a minute for the daemon to give connections up; see make chaos")
@pytest.mark.timeout(180)
async def test_the_network_forgets_every_connection(set_up: Stage, scores: Scores) -> None:
    """Connections that are half-open for ever: the daemon gives them up by itself and goes on with new ones."""
    await set_up.slack()
    set_up.http.always(Answer(delay=0.01))
    async with Proxy(set_up.dsn) as proxy:
        daemon = await set_up.run(database_url=proxy.url, poll_interval=0.5, **LEASE)
        await set_up.storm(150)
        await set_up.arrived(60)
        proxy.stall()
        stalled = Stopwatch()
        held = await set_up.claims()
        await set_up.storm(50, operation="after")
        received = set_up.http.received
        await set_up.arrived(received + 60, within=120)
        recovery = stalled.seconds
        await set_up.settled(200, within=120)
        assert (await daemon.until_page("/livez", 200)).status_code == 200
        assert await daemon.stop() == 0
    found = await tally(set_up, 200)
    scores.record(
        "network to PostgreSQL: half-open for ever",
        sent=200,
        lost=found.lost,
        duplicated=found.twice,
        allowed=len(held) + found.doubtful,
        recovery=recovery,
    )
