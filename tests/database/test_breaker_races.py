"""Two replicas whose results for one destination are stored at the same instant: neither undoes the other's."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Outcome, Reason, Verdict
from pggit_alertd.store import BreakerRule, Store
from support.alerts import Alerts
from support.claims import HandClock, ack, rooms, store

pytestmark = pytest.mark.servers

RULE = BreakerRule(threshold=3, base=10.0, cap=60.0, condemned=900.0, patience=60.0)
STATE = "SELECT opened_at IS NOT NULL, consecutive_failures, open_count FROM pggit.alert_destination"
RETRIES = "SELECT count(*) FROM pggit.alert_notification_log WHERE status = 'retry'"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'WITH given AS%'
"""


async def test_failures_stored_at_the_same_instant_all_count(
    connection: AsyncConnection[tuple[Any, ...]], pool: Database, database: str
) -> None:
    """Three replicas store one failure each while the destination's row is held: together they open the breaker."""
    alerts = Alerts(connection)
    await alerts.setting()
    await alerts.routed_alert(count=12, alert_type="ANOMALY")
    workers = [store(pool, f"w{number}", breaker=RULE) for number in range(3)]
    claims = [(await each.claim(rooms(1, channels=("slack",)), take_expired=True))[0] for each in workers]
    first = (await workers[0].claim(rooms(1, channels=("slack",)), take_expired=True))[0]
    await workers[0].acknowledge([ack(first)])
    async with await psycopg.AsyncConnection.connect(database) as holder:
        await holder.execute("SELECT FROM pggit.alert_destination FOR UPDATE")
        storing = [
            asyncio.create_task(
                each.acknowledge(
                    [ack(claim, Outcome.RETRY, verdict=Verdict.TRANSIENT, detail="503", reason=Reason.SERVER_ERROR)]
                )
            )
            for each, claim in zip(workers, claims, strict=True)
        ]
        async with asyncio.timeout(20):
            while await alerts.value(WAITING) < len(workers):
                pass
        await holder.rollback()
    await asyncio.gather(*storing)
    assert await alerts.rows(STATE) == [(True, 3, 1)]


async def test_an_ack_does_not_wait_for_a_row_that_somebody_holds(
    connection: AsyncConnection[tuple[Any, ...]], pool: Database, database: str
) -> None:
    """An operator's open transaction costs its destination's breaker an update, and no result and no other breaker."""
    alerts = Alerts(connection)
    await alerts.setting()
    await alerts.setting("email")
    await alerts.routed_alert(count=12, alert_type="ANOMALY")
    mine = Store(pool, "w1", HandClock(), coalesce=False, breaker=BreakerRule(threshold=1, patience=0.05))
    lanes = rooms(1, channels=("slack", "email"))
    is_open = "SELECT channel, opened_at IS NOT NULL, paused_until IS NOT NULL FROM pggit.alert_destination ORDER BY 1"
    failed: dict[str, Any] = {"verdict": Verdict.TRANSIENT, "detail": "503", "reason": Reason.SERVER_ERROR}
    await mine.acknowledge([ack(claim) for claim in await mine.claim(lanes, take_expired=True)])
    claims = await mine.claim(lanes, take_expired=True)
    assert {claim.channel for claim in claims} == {"email", "slack"}
    async with await psycopg.AsyncConnection.connect(database) as holder:
        await holder.execute("SELECT FROM pggit.alert_destination WHERE channel = 'slack' FOR UPDATE")
        async with asyncio.timeout(20):
            assert await mine.acknowledge([ack(claim, Outcome.RETRY, **failed) for claim in claims]) == 0
        assert await alerts.rows(is_open) == [("email", True, False), ("slack", False, False)]
        assert await alerts.value(RETRIES) == len(claims)
        slack = [claim for claim in await mine.claim(lanes, take_expired=True) if claim.channel == "slack"]
        async with asyncio.timeout(20):
            for claim in slack:
                await mine.pause(claim, 30.0)
        await holder.rollback()
    assert await mine.acknowledge([ack(claim, Outcome.RETRY, **failed) for claim in slack]) == 0
    assert await alerts.rows(is_open) == [("email", True, False), ("slack", True, False)], "free again, kept again"
    await mine.pause(slack[0], 30.0)
    assert await alerts.rows(is_open) == [("email", True, False), ("slack", True, True)]


async def test_an_endpoint_that_nothing_names_any_more_is_forgotten(
    connection: AsyncConnection[tuple[Any, ...]], pool: Database
) -> None:
    """A broken endpoint stays broken while its setting is there or a row waits, and is forgotten with the last."""
    alerts = Alerts(connection)
    assert await alerts.value("SELECT pggit.close_unused_breakers()") == 0
    setting = await alerts.setting()
    await alerts.routed_alert(alert_type="ANOMALY")
    mine = store(pool, breaker=BreakerRule(threshold=1))
    claim = (await mine.claim(rooms(1, channels=("slack",)), take_expired=True))[0]
    await mine.acknowledge([ack(claim, Outcome.RETRY, verdict=Verdict.TRANSIENT, reason=Reason.SERVER_ERROR)])
    assert await mine.tend_destinations() == (0, 0)
    await connection.execute("DELETE FROM pggit.alert_notification_settings WHERE setting_id = %s", (setting,))
    await mine.tend_destinations()
    assert await alerts.rows(STATE) == [(True, 1, 1)], "a row waits for it"
    await connection.execute("UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now()")
    await mine.tend_destinations()
    assert await alerts.rows(STATE) == [(False, 0, 0)]
    assert await mine.broken_destinations() == []
