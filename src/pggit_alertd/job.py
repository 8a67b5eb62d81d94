"""What a scheduled job is, and how its statements are run: each with a time-out, the step as a whole in a transaction.

A job is given the pool rather than a connection, so that one that works in batches holds no connection between them.
Every statement of a job has a time-out below the run's lease: a run that may be taken again by somebody else must
not still be working (docs/design/schedule.md).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pggit_alertd.database import queries
from pggit_alertd.database.pool import Connection, Database
from pggit_alertd.errors import DatabaseLocked, JobBusy

Result = dict[str, Any]
Work = Callable[[Database, float], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Job:
    """What the scheduler must know of a job.

    `grace`, `lease` and `statement_timeout` are seconds. The first two are what a new row of scheduled_job gets; after
    that the row rules. `work` is given the statement time-out that its lease allows. `at_start` asks for one run when
    the daemon starts, outside the schedule, for work that is cheap when there is nothing to do and must not wait.
    `quiet` keeps its runs out of the log while all is well.
    """

    name: str
    description: str
    schedule: str
    grace: float
    lease: float
    statement_timeout: float
    work: Work
    at_start: bool = False
    quiet: bool = False


async def rows(
    connection: Connection, name: str, parameters: Mapping[str, Any] | None = None
) -> Sequence[tuple[Any, ...]]:
    """Run a named statement on a connection that is already held, and return its rows."""
    cursor = await connection.execute(queries.load(name).encode(), parameters or {})
    return await cursor.fetchall()


@asynccontextmanager
async def transaction(database: Database, seconds: float) -> AsyncIterator[Connection]:
    """Lend a connection inside a transaction whose statements end after that many seconds.

    Raises JobBusy where PostgreSQL says that somebody else holds the lock.
    """
    try:
        async with database.connection() as connection, connection.transaction():
            milliseconds = str(max(int(seconds * 1000), 1))
            await rows(connection, "session_local", {"name": "statement_timeout", "value": milliseconds})
            yield connection
    except DatabaseLocked as error:
        raise JobBusy(f"Somebody else holds the lock: {error}") from error
