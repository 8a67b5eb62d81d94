"""Windows that mute notifications: when recurring ones are, and what is let go when one ends.

PostgreSQL decides what is muted, by plain ranges of time. Cron expressions and time zones are read here: the
occurrences of a recurring window are worked out two weeks ahead and stored, by the hourly job, by the router as soon as
it meets a window that has none, and by the command line when it makes one. Expanding twice adds nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pggit_alertd import logs
from pggit_alertd.cron import Schedule, time_zone
from pggit_alertd.database.pool import Database

AHEAD = timedelta(days=14)
"""How far occurrences are known."""

RENEW = timedelta(days=7)
"""A window whose occurrences are known less far ahead is expanded again: the daemon may be down for a week."""

MOST = 500
"""Occurrences added to one window at a time; what is left out follows an hour later."""

_log = logs.get("snoozes")


@dataclass(frozen=True, slots=True)
class Release:
    """What one look at the windows did and found. `lapse_seconds` is infinite if no window is open."""

    released: int
    refused: int
    suppressed: Mapping[str, int]
    active: int
    lapse_seconds: float
    unexpanded: bool


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurring window that needs occurrences; `at` is database time. Instants are UTC."""

    snooze_id: int
    schedule: str
    time_zone: str
    duration: timedelta
    expanded_until: datetime | None
    at: datetime

    def slots(self) -> tuple[list[datetime], datetime]:
        """Return the starts to add, and up to when they are all known. Raises ValueError that says what can't be read.

        A window that was made while it would be open is open at once. The next start is known however far away it is.
        """
        schedule, zone = Schedule.parse(self.schedule), time_zone(self.time_zone)
        after = self.expanded_until or self.at - self.duration
        until = self.at + AHEAD
        slots = schedule.occurrences(zone, after=after, until=until, limit=MOST)
        if not slots:
            raise ValueError(f"{self.schedule!r} has no slot after {after:%Y-%m-%d}")
        return slots, slots[-1] if len(slots) == MOST else max(until, slots[-1])


class Snoozes:
    """The windows as the router sees them.

    `still` is seconds: an operation still fires at the end of a window if an alert came that long before it.
    """

    def __init__(self, database: Database, *, still: float) -> None:
        self.database = database
        self._still = still

    async def release(self, *, horizon_critical: float, horizon: float) -> Release:
        """Send what still fires of windows that have ended; horizons are seconds."""
        row = (
            await self.database.fetch(
                "release_muted", {"still": self._still, "horizon_critical": horizon_critical, "horizon": horizon}
            )
        )[0]
        released, refused, suppressed, active, lapse_seconds, unexpanded = row
        lapse = math.inf if lapse_seconds is None else float(lapse_seconds)
        return Release(released, refused, suppressed, active, lapse, unexpanded)


async def expand(database: Database, snooze_id: int | None = None) -> dict[str, Any]:
    """Work out when recurring windows are next, all of them or one; return how many occurrences were added.

    One that can't be worked out is marked with the reason and mutes nothing, and holds up no other.
    """
    windows = await database.fetch("snooze_schedules", {"snooze_id": snooze_id, "ahead": RENEW.total_seconds()})
    added, problems = 0, []
    for row in windows:
        window = _recurrence(row)
        slots: list[datetime] = []
        until, problem = window.expanded_until, None
        try:
            slots, until = window.slots()
        except (ValueError, OverflowError) as error:
            problem = str(error)
            problems.append(window.snooze_id)
            _log.warning("snooze_unusable", snooze_id=window.snooze_id, error=problem)
        parameters = {"snooze_id": window.snooze_id, "starts": slots, "until": until, "problem": problem}
        added += int((await database.fetch("snooze_expand", parameters))[0][0])
    return {"windows": len(windows), "added": added, "unusable": problems}


def _recurrence(row: tuple[Any, ...]) -> Recurrence:
    """Build from the query's columns, instants in UTC: Python subtracts two datetimes of one zone by the wall clock."""
    snooze_id, schedule, zone, seconds, expanded_until, at = row
    return Recurrence(
        snooze_id=snooze_id,
        schedule=schedule,
        time_zone=zone,
        duration=timedelta(seconds=seconds),
        expanded_until=None if expanded_until is None else expanded_until.astimezone(UTC),
        at=at.astimezone(UTC),
    )
