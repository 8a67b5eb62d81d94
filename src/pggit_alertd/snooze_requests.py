"""What people ask of the windows that mute notifications: make one, list them, end one.

A request is read and judged here, before the database sees it, because mistakes in cron, zones and times want words of
their own. The database judges once more: people come from psql, too.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from pggit_alertd import snoozes
from pggit_alertd.cron import Schedule, time_zone
from pggit_alertd.database.pool import Database, connect
from pggit_alertd.errors import DatabaseRejected, SnoozeRefused, SnoozeUnknown
from pggit_alertd.settings import Settings
from pggit_alertd.settings.values import duration

LONGEST = 366 * 86400.0
SHOWN = 3
"""How many coming occurrences a new window is answered with."""

_LENGTH = duration(1, LONGEST)


@dataclass(frozen=True, slots=True)
class Request:
    """A window as it was asked for and can be made. `duration` is seconds; instants are aware."""

    reason: str
    operation: str
    alert_type: str
    severity: str
    setting_id: int | None
    channel: str | None
    mutes_critical: bool
    duration: float | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    schedule: str | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Window:
    """One row of snooze_list.sql: a window, its occurrence that is now or next, and how much waits for its end."""

    snooze_id: int
    kind: str
    state: str
    starts_at: datetime | None
    ends_at: datetime | None
    left_seconds: float | None
    schedule: str | None
    duration_seconds: float | None
    time_zone: str | None
    operation_pattern: str
    alert_type: str
    severity: str
    setting_id: int | None
    channel: str | None
    mutes_critical: bool
    reason: str
    created_by: str
    created_at: datetime
    cancelled_at: datetime | None
    cancelled_by: str | None
    cancel_reason: str | None
    problem: str | None
    muted: int
    muted_critical: int

    def content(self) -> dict[str, Any]:
        """Return what a program is answered: all columns, instants in UTC."""
        return {name: _stamp(value) for name, value in asdict(self).items()}

    @property
    def scope(self) -> str:
        """What it mutes, in a few words."""
        parts = (
            "" if self.operation_pattern == "*" else self.operation_pattern,
            "" if self.alert_type == "*" else self.alert_type,
            "" if self.severity == "*" else self.severity,
            "" if self.setting_id is None else f"setting {self.setting_id}",
            "" if self.channel is None else f"channel {self.channel}",
            "" if self.mutes_critical else "not CRITICAL",
        )
        return ", ".join(part for part in parts if part) or "everything"


@dataclass(frozen=True, slots=True)
class Made:
    """A new window, its next occurrences (start and end), and what whoever made it should know."""

    window: Window
    following: tuple[tuple[datetime, datetime], ...]
    notes: tuple[str, ...]


def read(
    options: Mapping[str, str | None],
    *,
    reason: str,
    setting_id: int | None = None,
    mutes_critical: bool = True,
) -> Request:
    """Return the request that the options of the command line make. Raises SnoozeRefused.

    Options: for, from, to, cron, duration, timezone, operation, type, severity, channel; None where not given.
    """
    if not reason.strip():
        raise SnoozeRefused("A window needs a reason, for those who wonder why nobody was told; write --reason TEXT.")
    if empty := [name for name, value in options.items() if value is not None and not value.strip()]:
        raise SnoozeRefused(f"--{empty[0]} is empty; give it a value, or leave it out.")
    zone = _judged("--timezone", time_zone, options["timezone"] or "UTC")
    shared: dict[str, Any] = {
        "reason": reason,
        "operation": options["operation"] or "*",
        "alert_type": options["type"] or "*",
        "severity": options["severity"] or "*",
        "channel": options["channel"],
        "setting_id": setting_id,
        "mutes_critical": mutes_critical,
        "time_zone": zone.key,
    }
    if options["cron"] is not None:
        if options["duration"] is None or any(options[name] is not None for name in ("for", "from", "to")):
            raise SnoozeRefused(
                "A recurring window is --cron EXPRESSION --duration LENGTH, without --for, --from and --to."
            )
        schedule = _judged("--cron", Schedule.parse, options["cron"])
        return Request(
            schedule=schedule.text, duration=_judged("--duration", _LENGTH.parse, options["duration"]), **shared
        )
    if options["duration"] is not None:
        raise SnoozeRefused("--duration goes with --cron; for a window that is there once write --for LENGTH.")
    starts_at = None if options["from"] is None else _instant("--from", options["from"], zone)
    if (options["for"] is None) == (options["to"] is None):
        raise SnoozeRefused("Say how long: --for LENGTH, or --to TIME, or --cron EXPRESSION --duration LENGTH.")
    if options["for"] is not None:
        return Request(starts_at=starts_at, duration=_judged("--for", _LENGTH.parse, options["for"]), **shared)
    ends_at = _instant("--to", options["to"] or "", zone)
    if starts_at is not None and ends_at.astimezone(UTC) <= starts_at.astimezone(UTC):
        raise SnoozeRefused(f"The window would end ({_stamp(ends_at)}) before it starts ({_stamp(starts_at)}).")
    return Request(starts_at=starts_at, ends_at=ends_at, **shared)


async def add(settings: Settings, request: Request) -> Made:
    """Make the window, and if it recurs work out when it is. Raises SnoozeRefused or DatabaseError."""
    async with _database(settings, "snooze add") as database:
        wanted = {field.name: getattr(request, field.name) for field in fields(request)}
        try:
            number = int((await database.fetch("snooze_add", wanted))[0][0])
        except DatabaseRejected as error:
            raise SnoozeRefused(_words(error)) from error
        if request.schedule is not None:
            await snoozes.expand(database, number)
        window = (await _windows(database, number, everything=True))[0]
        at = window.created_at
    following = _following(request, at)
    return Made(window, following[:SHOWN], tuple(_notes(following)))


async def listed(settings: Settings, *, everything: bool) -> list[Window]:
    """Return the windows that are open or to come, or with `everything` also those that are over."""
    async with _database(settings, "snooze list") as database:
        return await _windows(database, None, everything=everything)


async def cancel(settings: Settings, snooze_id: int, reason: str | None) -> Window:
    """End a window and return it. Raises SnoozeUnknown if there is none that can be ended."""
    async with _database(settings, "snooze cancel") as database:
        before = await _windows(database, snooze_id, everything=True)
        if not before:
            raise SnoozeUnknown(
                f"There is no window {snooze_id}; `pggit-alertd snooze list --all` shows those there are."
            )
        if not (await database.fetch("snooze_cancel", {"snooze_id": snooze_id, "reason": reason}))[0][0]:
            window = (await _windows(database, snooze_id, everything=True))[0]
            raise SnoozeUnknown(f"Window {snooze_id} is {window.state} already; nothing was changed.")
        return (await _windows(database, snooze_id, everything=True))[0]


@asynccontextmanager
async def _database(settings: Settings, what: str) -> AsyncIterator[Database]:
    database = Database(
        settings.database_url.get_secret_value(),
        size=1,
        connect_timeout=settings.database_connect_timeout,
        application=f"pggit-alertd {what}",
    )
    try:
        # Once by hand, because a pool would only say that it waited.
        await (await connect(database.conninfo)).close()
        await database.open()
        yield database
    finally:
        await database.close()


async def _windows(database: Database, snooze_id: int | None, *, everything: bool) -> list[Window]:
    return [
        Window(*row) for row in await database.fetch("snooze_list", {"snooze_id": snooze_id, "everything": everything})
    ]


def _following(request: Request, at: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Return the next occurrences of a recurring window, those of two weeks or the next one."""
    if request.schedule is None or request.duration is None:
        return ()
    length = timedelta(seconds=request.duration)
    starts, _ = snoozes.Recurrence(0, request.schedule, request.time_zone, length, None, at.astimezone(UTC)).slots()
    return tuple((start, start + length) for start in starts)


def _notes(following: tuple[tuple[datetime, datetime], ...]) -> list[str]:
    """Return what is allowed but rarely meant."""
    overlaps = [later[0] <= earlier[1] for earlier, later in pairwise(following)]
    if not any(overlaps):
        return []
    if all(overlaps) and len(overlaps) > 1:
        return ["it is longer than the time between its starts, so it mutes without a break until it is cancelled"]
    return ["some of its occurrences begin before the one before has ended; what was muted is told when none is open"]


def _instant(option: str, text: str, zone: ZoneInfo) -> datetime:
    """Return the point in time; one without an offset is read in the zone."""
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SnoozeRefused(
            f"{option} {text!r} is no point in time; write for example 2026-12-24T22:00 or 2026-12-24T22:00+01:00."
        ) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=zone)


def _judged(option: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        said = str(error)
        raise SnoozeRefused(
            f"{option} {said}." if said.startswith(repr(text)) else f"{option} {text!r} {said}."
        ) from None


def _words(error: DatabaseRejected) -> str:
    """Return PostgreSQL's own sentence: our functions raise whole ones, and there is nothing to look for in its log."""
    diagnosis = getattr(error.__cause__, "diag", None)
    said = str(getattr(diagnosis, "message_primary", None) or error)
    return f"{said[0].upper()}{said[1:]}."


def _stamp(value: Any) -> Any:
    """Return an instant as text in UTC, to the second; everything else as it is."""
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
