"""Runs the scheduled jobs: every replica runs this loop, none leads, and each slot is run once among them.

The state of a run, one row of scheduled_job_run:

    (none) ──claim──► running ──► succeeded
                       │  ▲  └──► failed, final: no attempt left, or out of its grace
              lease    │  │
              runs out │  └── claim_no + 1, attempt + 1, by any replica
                       ▼  │
             failed, next try due / running, lease run out / handed back, due at once

Who inserts the row (job, slot) has the run, for one lease. A run whose lease ran out is taken again with the next
claim_no, so whatever the first worker still writes matches nothing. The database's clock decides what is due; the
clock of this machine only measures how long to wait. docs/design/schedule.md has the reasons and the failure cases.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pggit_alertd import logs
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.clock import Clock, SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError, JobBusy, JobIncomplete
from pggit_alertd.job import Job, rows
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import Metrics
from pggit_alertd.slots import Action, JobState, decide

Wait = Callable[[asyncio.Event, float], Awaitable[None]]

LONGEST_SLEEP = 60.0
SHORTEST_SLEEP = 0.05
BUSY_DELAY = 60.0
SETTLE_PAUSE = 1.0
LAST_WORD_SECONDS = 3.0
# A round is milliseconds; one that hangs on somebody's lock or a silent network is given up before the loop looks dead.
ROUND_SECONDS = 30.0
# A run ends itself at this part of its lease, and its statements before, so that it is over when others may take it.
RUN_SHARE = 0.9
STATEMENT_SHARE = 0.8

_log = logs.get("scheduler")


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set or the time is over, whichever is first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(frozen=True, slots=True)
class Run:
    """One slot held under a lease. `claim_no` is the fence; `expires` is this process's monotonic clock."""

    job: Job
    slot: datetime
    claim_no: int
    attempt: int
    lease: float
    expires: float

    @property
    def key(self) -> dict[str, Any]:
        """The parameters that name this claim and no other."""
        return {"job": self.job.name, "slot": self.slot, "claim_no": self.claim_no}


class Scheduler:
    """The loop. `run` goes on until it is cancelled; then it hands back what it was running."""

    def __init__(
        self,
        *,
        database: Database,
        jobs: Iterable[Job],
        worker: str,
        metrics: Metrics,
        beat: Beat,
        clock: Clock | None = None,
        wait: Wait = wait_for_event,
        retry: RetrySchedule | None = None,
        max_attempts: int = 3,
    ) -> None:
        self._database = database
        self._jobs = {job.name: job for job in jobs}
        self._worker = worker
        self._metrics = metrics
        self._beat = beat
        self._clock = clock or SystemClock()
        self._wait = wait
        self._retry = retry or RetrySchedule(base=60.0, cap=900.0)
        self._outage = RetrySchedule(base=1.0, cap=30.0)
        self._max_attempts = max_attempts
        self._wake = asyncio.Event()
        self._failures = 0
        self._announced = False
        self._started: set[str] = set()
        self._told: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Look for due slots, start them, sleep until the next; for ever. A database that is gone is waited for."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                try:
                    async with asyncio.timeout(ROUND_SECONDS):
                        seconds = await self._round(tasks)
                    self._failures = 0
                except Exception as error:  # noqa: BLE001 - the loop's edge: it must outlive whatever a round met
                    self._failures += 1
                    seconds = self._outage.delay(self._failures)
                    self._metrics.loop_errors.labels(loop="scheduler").inc()
                    _log.warning("schedule_round_failed", error=_sentence(error), retry_in=round(seconds, 1))
                self._beat.tick()
                await self._wait(self._wake, seconds)

    async def _round(self, tasks: asyncio.TaskGroup) -> float:
        """Do what is due now, and return how many seconds nothing more can be."""
        if not self._announced:
            await self._announce()
        states = [JobState.read(row) for row in await self._database.fetch("scheduled_job_state")]
        seconds = LONGEST_SLEEP
        for state in states:
            job = self._jobs.get(state.job)
            if job is None:
                continue
            if state.last_success is not None:
                self._metrics.job_last_success.labels(job=job.name).set(state.last_success)
            if job.at_start and state.enabled and job.name not in self._started:
                self._started.add(job.name)
                tasks.create_task(self._run_at_start(job), name=f"{job.name} at start")
            seconds = min(seconds, await self._attend(tasks, job, state))
        return max(seconds, SHORTEST_SLEEP)

    async def _announce(self) -> None:
        """Make the jobs and their schedules known; the row then rules, so that all replicas agree."""
        for job in self._jobs.values():
            await self._database.execute(
                "scheduled_job_upsert",
                {
                    "job": job.name,
                    "schedule": job.schedule,
                    "grace": job.grace,
                    "lease": job.lease,
                    "description": job.description,
                },
            )
        self._announced = True

    async def _attend(self, tasks: asyncio.TaskGroup, job: Job, state: JobState) -> float:
        """Do what this job's state asks for, and return the seconds until it may ask for more."""
        try:
            decision = decide(state, self._max_attempts)
        except ValueError as error:
            self._tell_once(job.name, state.schedule, "schedule_unreadable", error=str(error))
            return LONGEST_SLEEP
        if decision.action is Action.CLAIM:
            run = await self._claim(job, decision.slot)
            if run is not None:
                tasks.create_task(self._execute(run), name=f"{job.name} {run.slot:%Y-%m-%dT%H:%M}")
        elif decision.action is Action.ABANDON:
            await self._abandon(job, state, decision.reason)
        elif decision.action is Action.MISSED and self._tell_once(
            job.name, decision.slot.isoformat(), "job_missed", slot=decision.slot.isoformat(), reason=decision.reason
        ):
            self._count(job, "missed")
        return (decision.wake - state.now).total_seconds()

    async def _claim(self, job: Job, slot: datetime) -> Run | None:
        """Take the slot for one lease, or return None if it is somebody else's."""
        asked = self._clock.monotonic()
        vanished = (
            f"Its worker was not heard of within its lease, and the slot {slot:%Y-%m-%d %H:%M} UTC took its place."
        )
        async with self._database.connection() as connection, connection.transaction():
            if not await rows(connection, "scheduled_job_lock", {"job": job.name}):
                return None
            superseded = {"job": job.name, "slot": slot, "error_message": vanished}
            older = await rows(connection, "scheduled_run_supersede", superseded)
            claimed = await rows(
                connection,
                "scheduled_run_claim",
                {"job": job.name, "slot": slot, "worker": self._worker, "max_attempts": self._max_attempts},
            )
        for (closed,) in older:
            _log.warning("job_superseded", job=job.name, slot=closed.isoformat(), by=slot.isoformat())
        if not claimed:
            return None
        claim_no, attempt, lease, earlier = claimed[0]
        tell = _log.debug if job.quiet and attempt == 1 else _log.info
        tell("job_started", job=job.name, slot=slot.isoformat(), attempt=attempt, claim_no=claim_no, earlier=earlier)
        return Run(job, slot, claim_no, attempt, lease, asked + lease)

    async def _abandon(self, job: Job, state: JobState, reason: str) -> None:
        """Close an open run that may not be tried again."""
        if state.latest is None:
            return
        key = {"job": job.name, "slot": state.latest.slot, "claim_no": state.latest.claim_no}
        if await self._database.fetch("scheduled_run_abandon", {**key, "error_message": reason}):
            self._count(job, "failed")
            _log.error("job_given_up", job=job.name, slot=state.latest.slot.isoformat(), reason=reason)

    async def _run_at_start(self, job: Job) -> None:
        """Run a job once outside its schedule, with no row: cheap upkeep that must not wait for the first slot."""
        try:
            async with asyncio.timeout(job.lease * RUN_SHARE):
                result = await job.work(self._database, min(job.statement_timeout, job.lease * STATEMENT_SHARE))
        except Exception as error:  # noqa: BLE001 - a job's fault must not end the loop; the next slot does it again
            self._count(job, "busy" if isinstance(error, JobBusy) else "failed")
            _log.warning("job_at_start_failed", job=job.name, error=_sentence(error))
        else:
            _log.info("job_at_start_done", job=job.name, result=result)

    async def _execute(self, run: Run) -> None:
        """Run a claimed slot and write what came of it; cancelled, hand it back. Raises nothing else."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(run.lease * RUN_SHARE):
                result = await run.job.work(self._database, min(run.job.statement_timeout, run.lease * STATEMENT_SHARE))
        except asyncio.CancelledError:
            released = self._released(run, 0.0, "Handed back at shutdown.")
            if await self._last_word("scheduled_run_release", released):
                self._count(run.job, "released")
                _log.info("job_handed_back", **self._named(run))
            raise
        except JobBusy as error:
            await self._settle(run, "scheduled_run_release", self._released(run, BUSY_DELAY, str(error)), "busy")
        except Exception as error:  # noqa: BLE001 - a job's fault must not end the loop: it goes to the row and the log
            await self._fail(run, error)
        else:
            finish = self._finished(run, "succeeded", result=result)
            await self._settle(run, "scheduled_run_finish", finish, "succeeded")
        self._metrics.job_seconds.labels(job=run.job.name).observe(self._clock.monotonic() - began)
        self._wake.set()

    async def _fail(self, run: Run, error: Exception) -> None:
        """Write a failure, with the next try if an attempt is left."""
        retry_in = self._retry.delay(run.attempt) if run.attempt < self._max_attempts else None
        sentence = _sentence(error)
        if isinstance(error, TimeoutError):
            sentence = f"The run was ended after {run.lease * RUN_SHARE:.0f} s, before its lease of {run.lease:.0f} s."
        result = error.result if isinstance(error, JobIncomplete) else None
        finish = self._finished(run, "failed", result=result, error_message=sentence, retry_in=retry_in)
        _log.error("job_failed", **self._named(run), error=sentence, retry_in=retry_in)
        await self._settle(run, "scheduled_run_finish", finish, "failed")

    async def _settle(self, run: Run, query: str, parameters: Mapping[str, Any], outcome: str) -> None:
        """Write a run's end, again and again while its lease lasts; a fenced-out end is logged and changes nothing."""
        try:
            written = await self._persist(run, query, parameters)
        except asyncio.CancelledError:
            await self._last_word(query, parameters)
            raise
        if written is None:
            _log.error(
                "job_unsettled", **self._named(run), outcome=outcome, reason="database gone until the lease ended"
            )
        elif not written:
            self._count(run.job, "superseded")
            _log.warning("job_fenced_out", **self._named(run), outcome=outcome)
        else:
            self._count(run.job, outcome)
            result = parameters.get("result")
            quietly = run.job.quiet and outcome == "succeeded"
            tell = _log.warning if outcome == "failed" else _log.debug if quietly else _log.info
            tell("job_ended", **self._named(run), outcome=outcome, result=result)

    async def _persist(self, run: Run, query: str, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]] | None:
        """Return the rows written, or None if the database could not be reached until the lease ended."""
        while True:
            try:
                return await self._database.fetch(query, parameters)
            except DatabaseError as error:
                self._metrics.loop_errors.labels(loop="scheduler").inc()
                _log.warning("job_end_not_written", **self._named(run), error=str(error))
            if self._clock.monotonic() >= run.expires:
                return None
            await self._wait(asyncio.Event(), SETTLE_PAUSE)

    async def _last_word(self, query: str, parameters: Mapping[str, Any]) -> bool:
        """Write once more on the way out, with a short deadline; if it fails the lease takes care of the row."""
        try:
            async with asyncio.timeout(LAST_WORD_SECONDS):
                return bool(await self._database.fetch(query, parameters))
        except (DatabaseError, TimeoutError) as error:
            _log.warning("job_left_to_its_lease", job=parameters["job"], error=_sentence(error))
            return False

    def _finished(
        self,
        run: Run,
        status: str,
        *,
        result: Mapping[str, object] | None = None,
        error_message: str | None = None,
        retry_in: float | None = None,
    ) -> dict[str, Any]:
        return {
            **run.key,
            "worker": self._worker,
            "status": status,
            "result": None if result is None else json.dumps(result, default=str),
            "error_message": error_message,
            "retry_in": retry_in,
        }

    def _released(self, run: Run, delay: float, why: str) -> dict[str, Any]:
        return {**run.key, "worker": self._worker, "delay": delay, "error_message": why}

    def _named(self, run: Run) -> dict[str, Any]:
        return {"job": run.job.name, "slot": run.slot.isoformat(), "attempt": run.attempt, "claim_no": run.claim_no}

    def _count(self, job: Job, outcome: str) -> None:
        self._metrics.job_runs.labels(job=job.name, outcome=outcome).inc()

    def _tell_once(self, job: str, about: str, event: str, **details: Any) -> bool:
        """Log a standing fault once, not every round. Remembers one fault per job and event."""
        if self._told.get((job, event)) == about:
            return False
        self._told[job, event] = about
        _log.warning(event, job=job, **details)
        return True


def _sentence(error: BaseException) -> str:
    """Return an error's words, or its name if it has none."""
    return str(error) or type(error).__name__
