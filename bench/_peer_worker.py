"""PgQueuer and procrastinate with a job that does nothing; runs in the environment that peers.py makes for them.

    build/peers-venv/bin/python bench/_peer_worker.py pgqueuer|procrastinate install URL
    ... fill URL JOBS            queue that many at once
    ... work URL ARRIVALS WIDTH  work until SIGTERM; WIDTH is the batch of PgQueuer, the concurrency of procrastinate
    ... tick URL JOBS            queue one at a time, a pause after each; prints the times of the commits as JSON

Both run on uvloop. PgQueuer gets asyncpg, its fastest client, and no limit of concurrency.
"""

import asyncio
import importlib
import json
import logging
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from _arrivals import Arrivals


class PgQueuer:
    """PgQueuer as its documentation has it: one asyncpg connection, one queue manager."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def _queries(self) -> Any:
        connection = await importlib.import_module("asyncpg").connect(self._url)
        return importlib.import_module("pgqueuer").Queries.from_asyncpg_connection(connection)

    async def install(self) -> None:
        """Make its tables, all of them durable as is its default."""
        await (await self._queries()).install()

    async def fill(self, jobs: int) -> None:
        """Queue many jobs in one statement."""
        numbers = [str(number).encode() for number in range(1, jobs + 1)]
        await (await self._queries()).enqueue(["noop"] * jobs, numbers, [0] * jobs)

    async def tick(self) -> Callable[[int], Awaitable[Any]]:
        """Return a function that queues one job."""
        queries = await self._queries()
        return lambda number: queries.enqueue("noop", str(number).encode())

    async def work(self, arrivals: Arrivals, width: int) -> None:
        """Work until a signal."""
        manager = importlib.import_module("pgqueuer").QueueManager(await self._queries())

        async def noop(job: Any) -> None:
            arrivals.note(int(job.payload))

        manager.entrypoint("noop")(noop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
        await manager.run(batch_size=width)


class Procrastinate:
    """procrastinate on psycopg's pool, its only asynchronous client."""

    def __init__(self, url: str) -> None:
        library = importlib.import_module("procrastinate")
        self._app = library.App(connector=library.PsycopgConnector(conninfo=url, min_size=2, max_size=10))
        self._arrivals: Arrivals | None = None
        self._task = self._app.task(name="noop")(self._noop)

    async def _noop(self, number: int) -> None:
        if self._arrivals is not None:
            self._arrivals.note(number)

    async def install(self) -> None:
        """Make its tables."""
        async with self._app.open_async():
            await self._app.schema_manager.apply_schema_async()

    async def fill(self, jobs: int) -> None:
        """Queue many jobs in one statement."""
        async with self._app.open_async():
            await self._task.batch_defer_async(*({"number": number} for number in range(1, jobs + 1)))

    async def tick(self) -> Callable[[int], Awaitable[Any]]:
        """Return a function that queues one job."""
        await self._app.open_async()
        return lambda number: self._task.defer_async(number=number)

    async def work(self, arrivals: Arrivals, width: int) -> None:
        """Work until a signal, which its worker handles."""
        self._arrivals = arrivals
        async with self._app.open_async():
            await self._app.run_worker_async(concurrency=width)


async def _tick(peer: PgQueuer | Procrastinate, jobs: int) -> list[float]:
    queue = await peer.tick()
    commits = []
    for number in range(1, jobs + 1):
        await queue(number)
        commits.append(time.time())
        await asyncio.sleep(random.uniform(0.03, 0.08))  # noqa: S311 - a pause
    return commits


async def _main(name: str, word: str, url: str, *more: str) -> None:
    peer: PgQueuer | Procrastinate = PgQueuer(url) if name == "pgqueuer" else Procrastinate(url)
    if word == "install":
        await peer.install()
    elif word == "fill":
        await peer.fill(int(more[0]))
    elif word == "work":
        await peer.work(Arrivals(Path(more[0])), int(more[1]))
    elif word == "tick":
        print(json.dumps(await _tick(peer, int(more[0]))))


if __name__ == "__main__":
    # It warns of an App in the main module, which no other process has to import here.
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    with asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop) as runner:
        runner.run(_main(*sys.argv[1:]))
