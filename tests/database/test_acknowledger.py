"""Results on their way to a database that goes away, refuses, or is slow: none is lost, none is applied twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.clock import SystemClock
from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.database.pool import Database
from pggit_alertd.liveness import Liveness
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Claim, Outcome
from support.alerts import Alerts
from support.claims import ack, rooms, store


class Worker:
    """A store, its acknowledger, and claims to acknowledge."""

    def __init__(self, dsn: str, **options: Any) -> None:
        self.database = Database(dsn, connect_timeout=2.0)
        self.metrics = Metrics()
        self.store = store(self.database)
        self.acknowledger = Acknowledger(
            self.store,
            metrics=self.metrics,
            beat=Liveness(SystemClock()).loop("acknowledger", 30.0),
            **options,
        )

    async def claims(self, alerts: Alerts, count: int) -> list[Claim]:
        """Return `count` claims."""
        await alerts.setting()
        await alerts.alert(count=count, severity="CRITICAL")
        await alerts.route(count)
        return await self.store.claim(rooms(count), take_expired=True)


async def settled(alerts: Alerts, status: str, count: int) -> None:
    """Return when so many rows have the status."""
    async with asyncio.timeout(30):
        while (
            await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = %s", status) != count
        ):
            pass


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds that another task brings about."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the acknowledger has no event for its tests
            await asyncio.sleep(0.01)


@pytest.fixture
async def worker(database: str) -> AsyncIterator[Worker]:
    """Yield a worker on the test's database."""
    made = Worker(database, batch=20, interval=0.001)
    await made.database.open()
    yield made
    await made.database.close()


async def test_acks_are_written_in_batches_in_the_background(alerts: Alerts, worker: Worker) -> None:
    """Everything submitted is stored, nothing waits afterwards, and cancelling the loop leaves nothing behind."""
    claims = await worker.claims(alerts, 90)
    loop = asyncio.create_task(worker.acknowledger.run())
    for claim in claims:
        worker.acknowledger.submit(ack(claim))
    await settled(alerts, "sent", 90)
    loop.cancel()
    await asyncio.wait([loop])
    assert await worker.acknowledger.drain(10.0)
    assert worker.acknowledger.waiting == 0
    assert len(await alerts.log()) == 90


@pytest.mark.parametrize("position", [0, 13, 39])
async def test_an_ack_that_can_not_be_stored_holds_up_no_other(alerts: Alerts, worker: Worker, position: int) -> None:
    """Among 40 acks two are poison: the rest are stored, and these without what made them so, in a moment."""
    claims = await worker.claims(alerts, 40)
    for number, claim in enumerate(claims):
        poison = number in {position, (position + 5) % 40}
        worker.acknowledger.submit(ack(claim, code=2**40 if poison else 200))
    async with asyncio.timeout(20):
        assert await worker.acknowledger.drain(15.0)
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'sent'") == 40
    assert (
        await alerts.value(
            "SELECT count(*) FROM pggit.alert_notification_log WHERE error_message LIKE '%could not be stored%'"
        )
        == 2
    )
    assert len(await alerts.log()) == 40


async def test_an_ack_that_no_table_takes_is_given_up_at_last(alerts: Alerts, worker: Worker) -> None:
    """If even the bare outcome is rejected it is dropped, loudly, and those behind it are stored."""
    claims = await worker.claims(alerts, 5)
    await alerts.rows(f"ALTER TABLE pggit.alert_notification_log ADD CHECK (queue_id <> {claims[2].queue_id})")
    for claim in claims:
        worker.acknowledger.submit(ack(claim))
    assert await worker.acknowledger.drain(15.0)
    assert await alerts.queue("queue_id", "status = 'pending'") == [(claims[2].queue_id,)]
    assert worker.metrics.loop_errors.labels(loop="acknowledger")._value.get() > 0


async def test_congestion_begins_at_the_high_water_mark_and_ends_at_half(alerts: Alerts, database: str) -> None:
    """Claiming stops at the mark and doesn't flicker: it resumes only when half is stored."""
    worker = Worker(database, batch=5, high_water=20)
    await worker.database.open()
    claims = await worker.claims(alerts, 20)
    acknowledger = worker.acknowledger
    for claim in claims[:19]:
        acknowledger.submit(ack(claim))
    assert not acknowledger.congested
    acknowledger.submit(ack(claims[19]))
    states = [acknowledger.congested]
    while acknowledger.waiting:
        await acknowledger._flush()
        states.append(acknowledger.congested)
    assert states == [True, True, False, False, False]
    await worker.database.close()


async def test_pauses_of_one_destination_are_stored_once_with_the_longest(alerts: Alerts, worker: Worker) -> None:
    """Twenty receivers' wishes in one batch become one pause, set before the rows are due again."""
    claims = await worker.claims(alerts, 20)
    for number, claim in enumerate(claims):
        worker.acknowledger.submit(ack(claim, Outcome.RETRY, pause=10.0 + number, delay=10.0 + number, charged=False))
    assert await worker.acknowledger.drain(10.0)
    assert await alerts.rows(
        "SELECT paused_until - now() BETWEEN interval '20 s' AND interval '29 s' FROM pggit.alert_destination"
    ) == [(True,)]


async def test_acks_outlive_a_database_that_goes_away() -> None:
    """With the server down acks wait and the worker says that it fails; when it is back each is applied once."""
    with EmbeddedServer(options={"fsync": "off"}) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE own")
        dsn = server.dsn("own")
        await migrate.up(dsn)
        worker = Worker(dsn, batch=20, interval=0.001)
        await worker.database.open()
        first = await Alerts.connect(dsn)
        claims = await worker.claims(first, 30)
        await first.close()
        server.halt()
        for claim in claims:
            worker.acknowledger.submit(ack(claim))
        loop = asyncio.create_task(worker.acknowledger.run())
        await until(lambda: worker.acknowledger.failing)
        assert worker.acknowledger.waiting == 30
        assert not await worker.acknowledger.drain(0.1), "it can't be stored, and that is said"
        assert worker.acknowledger.waiting == 30
        server.resume()
        again = await Alerts.connect(dsn)
        await settled(again, "sent", 30)
        await until(lambda: not worker.acknowledger.failing)
        assert sorted(await again.log("queue_id, claim_no, status")) == sorted((c.queue_id, 1, "sent") for c in claims)
        loop.cancel()
        await asyncio.wait([loop])
        await again.close()
        await worker.database.close()


async def test_with_no_database_at_all_nothing_is_lost_or_raised() -> None:
    """A connection string that leads nowhere makes drain give up in time and say so."""
    from support.claims import claim

    worker = Worker("host=/nonexistent dbname=none")
    await worker.database.open()
    worker.acknowledger.submit(ack(claim()))
    assert not await worker.acknowledger.drain(0.2)
    assert worker.acknowledger.waiting == 1
    await worker.database.close()
