"""A forgotten transaction: a REPEATABLE READ reader holds its snapshot for the whole run."""

import psycopg
import pytest

from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch, by_length
from support.tally import tally

ROUNDS = by_length(3, 10)
ALERTS = by_length(500, 5_000)


@pytest.mark.timeout(600)
async def test_a_reader_pins_its_snapshot(set_up: Stage, scores: Scores) -> None:
    """Nothing may be vacuumed, so every claim walks over dead rows: all arrives once, and upkeep waits for nobody."""
    await set_up.slack()
    daemon = await set_up.run(concurrency=50)
    async with await psycopg.AsyncConnection.connect(set_up.dsn) as reader:
        await reader.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        counted = "SELECT count(*) FROM pggit.alert_notification_queue"
        assert await (await reader.execute(counted)).fetchone() == (0,)
        slowest = 0.0
        for number in range(ROUNDS):
            begun = Stopwatch()
            await set_up.storm(ALERTS, operation=f"round-{number}")
            await set_up.settled(ALERTS * (number + 1), within=120)
            slowest = max(slowest, begun.seconds)
        await set_up.alerts.rows("SELECT pggit.purge_notifications()")
        await set_up.alerts.rows("SELECT pggit.maintain_log_partitions()")
        assert await (await reader.execute(counted)).fetchone() == (0,)
    assert await daemon.stop() == 0
    sent = ALERTS * ROUNDS
    found = await tally(set_up, sent)
    scores.record(
        "PostgreSQL: a REPEATABLE READ reader for the whole run",
        rounds=ROUNDS,
        sent=sent,
        lost=found.lost,
        duplicated=found.twice,
        recovery=slowest,
    )
