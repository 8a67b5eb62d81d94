"""Cron expressions as slots: the latest one that is due and the next one to come, in UTC.

Five fields (minute, hour, day of month, month, day of week) as Debian's cron reads them, names and L, LW, n#k, nL
included: when neither the day of month nor the day of week starts with a star, a day matches if either does. There is
no field for seconds. UTC has no clock changes, so every slot exists exactly once.

Maintenance windows are written in a zone of their own (`occurrences`), where Debian cron's rule counts: a time that the
clocks skip stands for the moment they jump, a time they show twice for the first one; except where minute or hour begin
with a star, which follow the clock as it goes, skipping what is skipped and repeating what is repeated.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

FIELDS = 5
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
# No zone has ever moved its clocks by more than a day (Samoa skipped one).
_DAY = timedelta(days=1)
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

    def occurrences(self, zone: ZoneInfo, *, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return the slots after one instant up to another, in order, in UTC; at most `limit`, at least the next one.

        The zone's own arithmetic is not used: each time on the wall is turned into an instant first, because cronsim
        loses slots where clocks move by half an hour.
        """
        wall = after.astimezone(zone).replace(tzinfo=None, microsecond=0) - _DAY
        last = until.astimezone(zone).replace(tzinfo=None) + _DAY
        found: set[datetime] = set()
        for local in CronSim(self.text, wall):
            found.update(instant for instant in self._instants(local, zone) if instant > after)
            if len(found) >= limit:
                # Slots of the next day on the wall may still come to lie before these.
                last = min(last, local + _DAY)
            if found and local > last:
                break
        slots = sorted(found)
        return [slot for slot in slots[:limit] if slot <= until] or slots[:1]

    def _instants(self, local: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield when the wall clock shows this time, by the rule above."""
        follows = any(field.startswith("*") for field in self.text.split()[:2])
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first <= second:
            yield first
            if follows and second != first:
                yield second
        elif not follows:
            while local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
                local += _MINUTE
            yield local.replace(tzinfo=zone).astimezone(UTC)

    def _first(self, start: datetime, *, reverse: bool) -> datetime:
        """Return the first tick strictly beyond `start`."""
        slot = next(CronSim(self.text, start, reverse=reverse), None)
        if slot is None:
            raise ValueError(f"{self.text!r} has no slot within 50 years of {start:%Y-%m-%d}")
        return slot


def time_zone(name: str) -> ZoneInfo:
    """Return the zone. Raises ValueError that says what to write instead."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone known here; write its IANA name, for example Europe/Berlin or UTC"
        ) from None
