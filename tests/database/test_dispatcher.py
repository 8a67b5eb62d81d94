"""The dispatcher's rules that no single delivery shows: suspects go one by one, and trouble is told."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.clock import SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.delivery import Deliverer
from pggit_alertd.dispatcher import Dispatcher, LaneLimits
from pggit_alertd.liveness import Liveness
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Delivered, Notification, Receipt
from pggit_alertd.shortcut import Shortcut
from support.alerts import Alerts
from support.claims import store


class Gate:
    """A channel that delivers when the gate is open, and knows how many stand before it."""

    name = "slack"
    keys = ("webhook",)
    deadline = 20.0

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.standing = 0
        self.most = 0

    def parse(self, config: Mapping[str, Any]) -> str:
        """Return the webhook."""
        return str(config["webhook"])

    def render(self, notification: Notification, destination: str) -> Notification:
        """Return the notification as it is."""
        assert destination
        return notification

    async def send(self, destination: str, message: Notification) -> Receipt:
        """Wait for the gate."""
        assert destination
        assert message.key
        self.standing += 1
        self.most = max(self.most, self.standing)
        await self.open.wait()
        self.standing -= 1
        return Delivered(200)

    async def probe(self, destination: str) -> Receipt:
        """Say yes."""
        assert destination
        return Delivered()

    async def aclose(self) -> None:
        """Close nothing."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, letting the loop run."""
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - what is waited for lives in the object under test
            await asyncio.sleep(0.005)


def machine(database: Database, gate: Gate) -> tuple[Dispatcher, Acknowledger]:
    """Return a dispatcher with one channel, and its acknowledger."""
    metrics, liveness, clock = Metrics(), Liveness(), SystemClock()
    work = store(database)
    acknowledger = Acknowledger(work, metrics=metrics, beat=liveness.loop("acknowledger", 60), interval=0.001)
    deliverer = Deliverer({"slack": gate}, schedule=RetrySchedule(), clock=clock)
    dispatcher = Dispatcher(
        work,
        deliverer,
        acknowledger,
        limits={"slack": LaneLimits(slots=10, lease=60, deadline=20)},
        metrics=metrics,
        beat=liveness.loop("dispatcher", 60),
        clock=clock,
        shortcut=Shortcut(work, clock, horizon_critical=86400, horizon=14400),
        poll_interval=5,
    )
    return dispatcher, acknowledger


async def test_rows_over_which_workers_vanished_are_sent_one_at_a_time(
    database: str, connection: psycopg.AsyncConnection[tuple[Any, ...]]
) -> None:
    """Of four suspects and two others, the others and one suspect are in flight; the rest are handed back uncharged."""
    alerts = Alerts(connection)
    setting = await alerts.setting()
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_queue"
        " (alert_id, channel, recipient, message, setting_id, lost_count)"
        " SELECT g, 'slack', 'x', 'm', %s, CASE WHEN g <= 4 THEN 2 ELSE 0 END FROM generate_series(1, 6) AS g",
        setting,
    )
    pool = Database(database)
    await pool.open()
    gate = Gate()
    dispatcher, acknowledger = machine(pool, gate)
    acks = asyncio.create_task(acknowledger.run())
    run = asyncio.create_task(dispatcher.run())
    await until(lambda: gate.standing == 3)
    for _ in range(400):
        if len(await alerts.log()) == 3:
            break
    assert await alerts.column("SELECT status FROM pggit.alert_notification_log") == ["released"] * 3
    assert gate.most == 3
    assert (
        await alerts.value("SELECT sum(attempt) FROM pggit.alert_notification_queue WHERE claimed_by IS NULL") == 0
    ), "a row that waits its turn is charged nothing"
    gate.open.set()
    dispatcher.stop()
    await run
    assert await acknowledger.drain(10)
    acks.cancel()
    await asyncio.wait([acks])
    await pool.close()
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'sent'") == 3


class Quick(Gate):
    """A channel that answers at once, and knows how many were in flight at most."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight: Callable[[], int] = lambda: 0
        self.taken: list[str] = []

    async def send(self, destination: str, message: Notification) -> Receipt:
        """Take it."""
        assert destination
        self.most = max(self.most, self.in_flight())
        self.taken.append(message.key)
        return Delivered(200)


async def test_a_channel_that_answers_at_once_is_kept_busy_within_its_slots(
    database: str, connection: psycopg.AsyncConnection[tuple[Any, ...]]
) -> None:
    """Hundreds of rows go out once each, never more than the slots in flight, and a row of another lane in between."""
    alerts = Alerts(connection)
    setting = await alerts.setting()
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_queue (alert_id, channel, recipient, message, setting_id, urgency)"
        " SELECT g, 'slack', 'x', 'm', %s, CASE WHEN g = 300 THEN 0 ELSE 1 END FROM generate_series(1, 300) AS g",
        setting,
    )
    pool = Database(database)
    await pool.open()
    quick = Quick()
    dispatcher, acknowledger = machine(pool, quick)
    quick.in_flight = lambda: dispatcher.in_flight
    acks = asyncio.create_task(acknowledger.run())
    run = asyncio.create_task(dispatcher.run())
    await until(lambda: len(quick.taken) >= 300)
    dispatcher.stop()
    await run
    assert await acknowledger.drain(10)
    acks.cancel()
    await asyncio.wait([acks])
    await pool.close()
    assert len(set(quick.taken)) == len(quick.taken) == 300
    assert quick.most <= 11, "ten slots of the routine lane and one page"
    assert quick.taken.index("q300") <= 11, "the page left with the first claim"
    assert dispatcher.in_flight == 0
    assert await alerts.column("SELECT DISTINCT status FROM pggit.alert_notification_log") == ["sent"]
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'sent'") == 300


async def test_a_claim_that_fails_is_trouble_until_one_succeeds(
    database: str, connection: psycopg.AsyncConnection[tuple[Any, ...]]
) -> None:
    """What /readyz says of a queue that can't be read ends with the cause."""
    await connection.execute("ALTER TABLE pggit.alert_notification_queue RENAME TO elsewhere")
    pool = Database(database)
    await pool.open()
    dispatcher, _ = machine(pool, Gate())
    run = asyncio.create_task(dispatcher.run())
    await until(lambda: "claiming fails" in dispatcher.trouble)
    await connection.execute("ALTER TABLE pggit.elsewhere RENAME TO alert_notification_queue")
    await until(lambda: not dispatcher.trouble)
    dispatcher.stop()
    await run
    await pool.close()
