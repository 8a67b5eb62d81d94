"""Cron expressions as slots: the latest one that is due and the next one to come, in UTC.

Five fields (minute, hour, day of month, month, day of week) as Debian's cron reads them, names and L, LW, n#k, nL
included: when neither the day of month nor the day of week starts with a star, a day matches if either does. There is
no field for seconds. UTC has no clock changes, so every slot exists exactly once.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from cronsim import CronSim, CronSimError

FIELDS = 5
_SECOND = timedelta(seconds=1)
# A range of one value with a step, 5-5/2, is that value; cronsim reads it as 5/2, which is 5 and every second after.
_POINT = re.compile(r"(?<!\w)(\w+)-\1(?:/0*[1-9][0-9]*)?(?![\w/])", re.ASCII | re.IGNORECASE)
_REFERENCE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression that is known to fire."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the schedule. Raises ValueError that says what is wrong and what to write instead."""
        fields = text.split()
        if len(fields) != FIELDS:
            raise ValueError(
                f"{text!r} has {len(fields)} fields; write five: minute hour day-of-month month day-of-week, "
                "for example '0 2 * * *' for every day at 02:00 UTC"
            )
        plain = " ".join(_POINT.sub(r"\1", field) for field in fields)
        try:
            first = next(CronSim(plain, _REFERENCE), None)
        except CronSimError as error:
            field = str(error).removeprefix("Bad ")
            raise ValueError(
                f"{text!r} has a {field} field that cron can't read; "
                "write for example '0 2 * * *' for every day at 02:00 UTC"
            ) from error
        if first is None:
            raise ValueError(
                f"{text!r} names a day that does not come in 50 years; "
                "write for example '0 2 * * *' for every day at 02:00 UTC"
            )
        return cls(plain)

    def latest_slot(self, at: datetime) -> datetime:
        """Return the last slot that is not after this instant, itself included. `at` is aware."""
        floor = at.astimezone(UTC).replace(microsecond=0)
        return self._first(floor + _SECOND, reverse=True)

    def next_slot(self, after: datetime) -> datetime:
        """Return the first slot that is after this instant. `after` is aware."""
        return self._first(after.astimezone(UTC).replace(microsecond=0), reverse=False)

    def _first(self, start: datetime, *, reverse: bool) -> datetime:
        """Return the first tick strictly beyond `start`."""
        slot = next(CronSim(self.text, start, reverse=reverse), None)
        if slot is None:
            raise ValueError(f"{self.text!r} has no slot within 50 years of {start:%Y-%m-%d}")
        return slot
