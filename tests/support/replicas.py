"""Replicas of the scheduler whose time belongs to the test: the database's clock stands still until it is moved.

`TimeMachine` puts a schema with its own clock_timestamp() in front of pg_catalog, for one test database only, so the
scheduler's SQL runs unchanged on real PostgreSQL while days pass in no time. `Replica` runs one scheduler with a pool
of its own; its sleeps end when the test says so.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from pggit_alertd.clock import SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.job import Job, Result
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import Metrics
from pggit_alertd.scheduler import Scheduler

START = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
PATIENCE = 20.0


class TimeMachine:
    """The clock of one test database, and a connection to look at what happened."""

    def __init__(self, dsn: str, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        self.dsn = dsn
        self.connection = connection
        self.now = START

    @classmethod
    async def install(cls, dsn: str, connection: AsyncConnection[tuple[Any, ...]]) -> Self:
        """Put the movable clock in front of PostgreSQL's own for every later connection to this database."""
        await connection.execute("CREATE SCHEMA moved")
        await connection.execute("CREATE TABLE moved.clock (at timestamptz NOT NULL)")
        await connection.execute("INSERT INTO moved.clock VALUES (%s)", (START,))
        await connection.execute(
            "CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT at FROM moved.clock'"
        )
        await connection.execute("DELETE FROM pggit.scheduled_job")
        machine = cls(dsn, connection)
        await machine.set_default("search_path", "moved, pg_catalog, public")
        return machine

    async def set_default(self, name: str, value: str) -> None:
        """Give a configuration parameter a default for every later connection to the database."""
        database = str(conninfo_to_dict(self.dsn)["dbname"])
        await self.connection.execute(f'ALTER DATABASE "{database}" SET {name} = {value}'.encode())

    async def advance(self, **by: float) -> datetime:
        """Move the database's clock forward and return where it stands."""
        self.now += timedelta(**by)
        await self.connection.execute("UPDATE moved.clock SET at = %s", (self.now,))
        return self.now

    async def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return await (await self.connection.execute(statement.encode(), parameters)).fetchall()

    async def runs(self, columns: str = "status, attempt, claim_no, claimed_by") -> list[tuple[Any, ...]]:
        """Return every run, oldest slot first."""
        return await self.rows(f"SELECT {columns} FROM pggit.scheduled_job_run ORDER BY job, slot")  # noqa: S608

    async def until(self, statement: str, *expected: tuple[Any, ...]) -> None:
        """Return when the statement's rows are what is expected."""
        seen: list[tuple[Any, ...]] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while seen != list(expected):
                    seen = await self.rows(statement)
        except TimeoutError:
            raise AssertionError(f"{statement} gives {seen}, expected {list(expected)}") from None


class Sleeps:
    """Stands in for the scheduler's waiting: remembers how long it wanted to sleep, and lets the test end the sleep."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._events: list[asyncio.Event] = []
        self._asleep = asyncio.Event()

    async def __call__(self, event: asyncio.Event, seconds: float) -> None:
        """Sleep until the event is set, by the scheduler or by the test."""
        self.seconds.append(seconds)
        self._events.append(event)
        self._asleep.set()
        await event.wait()

    def end(self) -> None:
        """End every sleep that goes on."""
        self._asleep.clear()
        for event in self._events:
            event.set()
        self._events.clear()

    async def begun(self) -> None:
        """Return when the scheduler sleeps."""
        async with asyncio.timeout(PATIENCE):
            await self._asleep.wait()


class Pulse(Beat):
    """A loop's beat that counts its ticks."""

    def __init__(self) -> None:
        super().__init__("scheduler", 150.0, SystemClock())
        self.ticks = 0

    def tick(self) -> None:
        """Count one sign of life."""
        super().tick()
        self.ticks += 1


class Replica:
    """One scheduler with a pool, metrics and sleeps of its own."""

    def __init__(self, dsn: str, name: str, jobs: Iterable[Job]) -> None:
        self.name = name
        self.database = Database(dsn, size=4, connect_timeout=1.0, application=name)
        self.metrics = Metrics()
        self.sleeps = Sleeps()
        self.pulse = Pulse()
        self.scheduler = Scheduler(
            database=self.database,
            jobs=jobs,
            worker=name,
            metrics=self.metrics,
            beat=self.pulse,
            wait=self.sleeps,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the loop and return when its first round is over."""
        await self.database.open()
        self._task = asyncio.create_task(self.scheduler.run())
        await self.sleeps.begun()

    async def round(self) -> None:
        """Let the loop look again, and return when it sleeps again."""
        self.sleeps.end()
        await self.sleeps.begun()

    async def stop(self) -> None:
        """Cancel the loop, as the daemon does on SIGTERM, and return when it has handed everything back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self.database.close()

    def counted(self, job: str, outcome: str) -> float:
        """Return how many runs of a job ended so, as the metrics have it."""
        return float(self.metrics.job_runs.labels(job=job, outcome=outcome)._value.get())

    def loop_errors(self) -> float:
        """Return how many rounds or writes failed."""
        return float(self.metrics.loop_errors.labels(loop="scheduler")._value.get())


@asynccontextmanager
async def replicas(dsn: str, jobs: Iterable[Job], count: int = 1) -> AsyncIterator[list[Replica]]:
    """Yield started replicas, and stop those that are left."""
    everyone = [Replica(dsn, f"replica-{number}", jobs) for number in range(count)]
    try:
        await asyncio.gather(*(replica.start() for replica in everyone))
        yield everyone
    finally:
        await asyncio.gather(*(replica.stop() for replica in everyone))


def probe(
    work: Callable[[Database, float], Awaitable[Result]],
    name: str = "probe",
    schedule: str = "0 * * * *",
    grace: float = 3000.0,
    lease: float = 600.0,
    *,
    at_start: bool = False,
) -> Job:
    """Return a job for tests."""
    return Job(
        name=name,
        description="A test's own",
        schedule=schedule,
        grace=grace,
        lease=lease,
        statement_timeout=30.0,
        work=work,
        at_start=at_start,
    )
