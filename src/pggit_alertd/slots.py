"""What a scheduled job's row in the database asks of a replica right now: a pure decision.

The rules, in one place:
- Only the latest slot that is due counts; older ones that were missed are coalesced into it.
- A slot is taken, or taken again, only inside the job's grace; and never one from before the schedule was set.
- While a run is open its job starts no other: a running one until its lease ends, a failed one until a newer slot
  takes its place or its next try is due.
- A run that may not be tried again is closed, so that no row stays `running` for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, Self

from pggit_alertd.cron import Schedule


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The job's run with the latest slot. It is open while `next_attempt_at` is set."""

    slot: datetime
    status: str
    attempt: int
    claim_no: int
    claimed_by: str | None
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobState:
    """One row of scheduled_job_state.sql. `now` is the database's clock, `last_success` a Unix time."""

    job: str
    schedule: str
    enabled: bool
    grace: timedelta
    since: datetime
    now: datetime
    latest: LatestRun | None
    last_success: float | None

    @classmethod
    def read(cls, row: Sequence[Any]) -> Self:
        """Build from the query's columns, in their order.

        Instants come in the session's zone and are brought to UTC: Python compares and subtracts two datetimes of one
        zone by the clock on the wall, which is an hour off when the zone's clocks change in between.
        """
        row = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
        job, schedule, enabled, grace, since, now, slot, status, attempt, claim_no, claimed_by, due, success = row
        latest = None if slot is None else LatestRun(slot, status, attempt, claim_no, claimed_by, due)
        return cls(job, schedule, enabled, grace, since, now, latest, None if success is None else float(success))


class Action(Enum):
    """What to do about a job."""

    WAIT = auto()
    CLAIM = auto()
    ABANDON = auto()
    MISSED = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the slot, why, and when (database time) to look again if nothing else happens."""

    action: Action
    slot: datetime
    wake: datetime
    reason: str = ""


def decide(state: JobState, max_attempts: int) -> Decision:
    """Return what the job's state asks for. Raises ValueError if its schedule can't be read."""
    schedule = Schedule.parse(state.schedule)
    slot, wake = schedule.latest_slot(state.now), schedule.next_slot(state.now)
    closed = _closed(state, slot)
    latest = state.latest

    if latest is None or latest.next_attempt_at is None:
        if latest is not None and slot <= latest.slot:
            return Decision(Action.WAIT, slot, wake)
        if not closed:
            return Decision(Action.CLAIM, slot, wake)
        missed = state.enabled and slot >= state.since
        return Decision(Action.MISSED if missed else Action.WAIT, slot, wake, closed)
    return _about_open(state, latest, latest.next_attempt_at, Decision(Action.CLAIM, slot, wake, closed), max_attempts)


def _about_open(state: JobState, latest: LatestRun, due: datetime, fresh: Decision, max_attempts: int) -> Decision:
    """Return what to do while a run is open; `fresh` is the claim of the latest slot, its reason what forbids it."""
    waiting = due > state.now
    if waiting and latest.status == "running":
        return Decision(Action.WAIT, latest.slot, due)
    if fresh.slot > latest.slot and not fresh.reason:
        return fresh
    if waiting:
        return Decision(Action.WAIT, latest.slot, min(fresh.wake, due))
    if fresh.slot == latest.slot and not fresh.reason and latest.attempt < max_attempts:
        return fresh
    return Decision(Action.ABANDON, latest.slot, fresh.wake, _ending(state, latest, fresh.reason, max_attempts))


def _closed(state: JobState, slot: datetime) -> str:
    """Return why the slot can't be taken, or nothing if it can."""
    if not state.enabled:
        return "the job is switched off"
    if slot < state.since:
        return "the slot is from before the schedule was set"
    if state.now - slot > state.grace:
        return f"the slot is older than the job's grace of {state.grace}"
    return ""


def _ending(state: JobState, latest: LatestRun, closed: str, max_attempts: int) -> str:
    """Return the sentence that says why an open run is given up."""
    died = latest.status == "running" and latest.claimed_by is not None
    first = (
        f"Attempt {latest.attempt} of {max_attempts} died: {latest.claimed_by} was not heard of within its lease"
        if died
        else ""
    )
    second = closed or ("" if latest.attempt < max_attempts else "no attempt is left")
    ending = "; ".join(part for part in (first, second) if part) or f"the job {state.job} has another schedule now"
    return f"{ending[0].upper()}{ending[1:]}."
