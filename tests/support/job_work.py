"""What jobs do in tests: count, fail when told, go on until let go."""

import asyncio
from collections.abc import Sequence

from pggit_alertd.database.pool import Database
from pggit_alertd.job import Result
from support.replicas import Replica

RUNS = "SELECT status, attempt, claim_no FROM pggit.scheduled_job_run ORDER BY job, slot"
SLOTS = "SELECT to_char(slot AT TIME ZONE 'UTC', 'DD HH24:MI'), status FROM pggit.scheduled_job_run ORDER BY slot"


class Recorder:
    """A job's work that counts its calls and does as it is told."""

    def __init__(self, *faults: Exception | None) -> None:
        self.calls = 0
        self.faults = list(faults)

    async def __call__(self, _database: Database, _seconds: float) -> Result:
        """Raise the next fault if there is one, else succeed."""
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return {"call": self.calls}


class Hold:
    """A job's work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, _database: Database, _seconds: float) -> Result:
        """Say that it runs, and wait."""
        self.begun.set()
        await self.go.wait()
        return {}


async def everyone(team: Sequence[Replica]) -> None:
    """Let all replicas look at the same time."""
    await asyncio.gather(*(replica.round() for replica in team))
