"""Dead letters for operators: find them, look at one, send them again, or decide that they are not to be sent.

What a dead letter is, and which filters there are, is known by one SQL function (`pggit.dead_letters`); what may be
done to one, by those that do it. Long work goes in batches, each a transaction of its own: a batch holds its rows'
locks for a moment only, what it has done stays done when the next one fails, and it can be told as it goes.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseRefused

BATCH = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """Which dead letters are meant; None is no such filter. `since` is seconds, `setting` a number or a name."""

    since: float | None = None
    channel: str | None = None
    setting: str | None = None
    destination: str | None = None
    reason: str | None = None
    severity: str | None = None
    operation: str | None = None

    @property
    def given(self) -> bool:
        """Return whether there is any filter at all."""
        return any(value is not None for value in asdict(self).values())


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notification that was given up. `recipient` is masked; `age` is for people."""

    queue_id: int
    died_at: datetime
    alert_id: int | None
    event: str
    severity: str | None
    operation_type: str | None
    alert_type: str | None
    channel: str
    recipient: str
    setting_id: int | None
    setting_name: str | None
    destination_key: str | None
    reason: str
    attempts: int
    error_message: str | None
    age: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of the delivery log; `sentence` says all of it."""

    at: datetime
    status: str
    reason: str | None
    attempt: int | None
    code: int | None
    milliseconds: int | None
    worker: str | None
    detail: str | None
    sentence: str
    age: str


@dataclass(frozen=True, slots=True)
class Story:
    """One notification, whatever its state, with everything the log has on it in order."""

    queue_id: int
    alert_id: int | None
    event: str
    status: str
    channel: str
    recipient: str
    setting_id: int | None
    setting_name: str | None
    destination_key: str | None
    severity: str | None
    operation_type: str | None
    alert_type: str | None
    attempts: int
    created_at: datetime
    processed_at: datetime | None
    discarded_at: datetime | None
    give_up_at: datetime
    error_message: str | None
    message: str
    next: str
    log: tuple[Attempt, ...] = ()


@dataclass(slots=True)
class Tally:
    """What came of a replay or a discard: the numbers that were done, and why the others were not.

    `waiting` are those of `done` of which nothing comes yet, and why.
    """

    done: list[int] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)
    waiting: dict[int, str] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """Return how many were looked at."""
        return len(self.done) + len(self.problems)

    @staticmethod
    def causes(problems: Mapping[int, str]) -> list[tuple[str, int]]:
        """Return the problems without the numbers that make each its own, the most frequent first."""
        return Counter(
            problem.removeprefix(f"notification {number} ") for number, problem in problems.items()
        ).most_common()


async def find(database: Database, filters: Filters, limit: int | None = None) -> list[DeadLetter]:
    """Return the dead letters that match, newest first."""
    parameters = {
        "since_seconds": filters.since,
        "channel": filters.channel,
        "setting": filters.setting,
        "destination": filters.destination,
        "reason": filters.reason,
        "severity": filters.severity,
        "operation": filters.operation,
        "limit": limit,
    }
    return [DeadLetter(*row) for row in await database.fetch("deadletter_list", parameters)]


async def show(database: Database, queue_id: int) -> Story | None:
    """Return a notification with every attempt, or None if there is none of that number."""
    rows = await database.fetch("deadletter_show", {"queue_id": queue_id})
    if not rows:
        return None
    log = await database.fetch("deadletter_attempts", {"queue_id": queue_id})
    return replace(Story(*rows[0]), log=tuple(Attempt(*row) for row in log))


async def replay(database: Database, queue_ids: Sequence[int]) -> AsyncIterator[Tally]:
    """Send these again, batch by batch; yields the same tally after each."""
    tally = Tally()
    for batch in _batches(queue_ids):
        with _as_operator():
            _count(tally, await database.fetch("deadletter_replay", {"queue_ids": batch}))
        yield tally


async def discard(database: Database, queue_ids: Sequence[int], reason: str) -> AsyncIterator[Tally]:
    """Take these off the dead letters, batch by batch; yields the same tally after each."""
    tally = Tally()
    for batch in _batches(queue_ids):
        with _as_operator():
            _count(tally, await database.fetch("deadletter_discard", {"queue_ids": batch, "reason": reason}))
        yield tally


@contextmanager
def _as_operator() -> Iterator[None]:
    """Say which role is missing: the daemon's own, whose URL is at hand, may look at dead letters and no more."""
    try:
        yield
    except DatabaseRefused as error:
        raise DatabaseRefused(
            f"{error} Only pggit_alertd_operator may send again or discard: name such a login in "
            "PGGIT_ALERTD_DATABASE_URL for this command."
        ) from error


def _batches(queue_ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(queue_ids), BATCH):
        yield list(queue_ids[start : start + BATCH])


def _count(tally: Tally, rows: Sequence[tuple[Any, ...]]) -> None:
    for queue_id, done, problem in rows:
        if done:
            tally.done.append(queue_id)
            if problem:
                tally.waiting[queue_id] = problem
        else:
            tally.problems[queue_id] = problem
