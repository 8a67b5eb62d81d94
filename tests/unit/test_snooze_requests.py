"""Requests for windows as people write them: what can be made of them, and what is said where nothing can."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.errors import SnoozeRefused
from pggit_alertd.snooze_requests import Request, read
from pggit_alertd.snoozes import MOST, Recurrence

NONE = dict.fromkeys(("for", "from", "to", "cron", "duration", "timezone", "operation", "type", "severity", "channel"))


def asked(reason: str = "r", **options: str) -> Request:
    """Read a request with these options and no others; a trailing _ keeps Python's own words apart."""
    return read({**NONE, **{name.rstrip("_"): text for name, text in options.items()}}, reason=reason)


def test_what_is_left_out_matches_everything() -> None:
    """Only a reason and a length are needed; CRITICAL is muted too unless said otherwise."""
    request = asked(for_="90m")
    assert (request.operation, request.alert_type, request.severity, request.channel) == ("*", "*", "*", None)
    assert (request.duration, request.starts_at, request.ends_at, request.schedule) == (5400.0, None, None, None)
    assert (request.setting_id, request.mutes_critical) == (None, True)


@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        (None, "2027-01-15T22:00", "2027-01-15T22:00"),
        ("America/New_York", "2027-01-15T22:00", "2027-01-16T03:00"),
        ("America/New_York", "2027-07-15 22:00", "2027-07-16T02:00"),
        ("America/New_York", "2027-07-15T22:00+02:00", "2027-07-15T20:00"),
        ("Australia/Lord_Howe", "2027-07-15", "2027-07-14T13:30"),
    ],
)
def test_times_without_an_offset_are_read_in_the_zone(zone: str | None, text: str, instant: str) -> None:
    """They mean the wall clock of --timezone, UTC if none is named; an offset wins."""
    options: dict[str, Any] = {"from_": text, "for_": "1h"} | ({"timezone": zone} if zone else {})
    starts_at = asked(**options).starts_at
    assert starts_at is not None
    assert starts_at.astimezone(UTC) == datetime.fromisoformat(instant).replace(tzinfo=UTC)


def test_the_end_is_compared_as_an_instant() -> None:
    """In the hour that comes twice, half past two in the second round is later than in the first."""
    asked(from_="2026-10-25T02:45+02:00", to="2026-10-25T02:15+01:00", timezone="Europe/Berlin")
    with pytest.raises(SnoozeRefused, match="before it starts"):
        asked(from_="2026-10-25T02:15+01:00", to="2026-10-25T02:45+02:00", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Say how long: --for LENGTH"),
        ({"for_": "0"}, "--for '0' is too short; write 1s to 366d."),
        ({"for_": "-1h"}, "--for '-1h' is not a length of time"),
        ({"for_": "2 hours"}, "--for '2 hours' is not a length of time"),
        ({"for_": "400d"}, "--for '400d' is too long"),
        ({"for_": "1h", "to": "2030-01-01"}, "Say how long"),
        ({"for_": "1h", "duration": "1h"}, "--duration goes with --cron"),
        ({"to": "tomorrow"}, "--to 'tomorrow' is no point in time"),
        ({"from_": "2030-01-02", "to": "2030-01-01"}, "would end (2030-01-01T00:00:00Z) before it starts"),
        ({"from_": "2030-01-01", "to": "2030-01-01"}, "before it starts"),
        ({"cron": "0 2 * *", "duration": "1h"}, "--cron '0 2 * *' has 4 fields"),
        ({"cron": "0 25 * * *", "duration": "1h"}, "--cron '0 25 * * *' has a hour field"),
        ({"cron": "0 2 * * *"}, "--cron EXPRESSION --duration LENGTH"),
        ({"cron": "0 2 * * *", "duration": "1h", "for_": "1h"}, "--cron EXPRESSION --duration LENGTH"),
        ({"cron": "0 2 * * *", "duration": "0s"}, "--duration '0s' is too short"),
        ({"cron": "0 2 * * *", "duration": "1h", "timezone": "Berlin"}, "--timezone 'Berlin' is no time zone known"),
        ({"reason": "\n ", "for_": "1h"}, "needs a reason"),
    ],
)
def test_mistakes_are_answered_with_the_mend(options: dict[str, str], said: str) -> None:
    """One sentence names the option, what is wrong with it, and what to write instead."""
    with pytest.raises(SnoozeRefused) as refused:
        asked(**options)
    assert said in str(refused.value)
    assert str(refused.value).endswith(".")


@given(seconds=st.integers(1, 20 * 86400), start=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
def test_a_window_made_while_it_would_be_open_is_open(seconds: int, start: datetime) -> None:
    """Starts within the last duration are among those stored, and the next one is always known."""
    now, length = start.replace(tzinfo=UTC), timedelta(seconds=seconds)
    slots, until = Recurrence(1, "30 2 * * *", "Europe/Berlin", length, None, now).slots()
    assert slots == sorted(set(slots))
    assert all(slot > now - length for slot in slots)
    assert slots[0] <= now - length + timedelta(hours=25)
    assert until >= max(slots[-1], now + timedelta(days=14))


def test_frequent_starts_are_stored_in_portions_without_a_gap() -> None:
    """A window every minute is known up to where its last stored start is, and goes on from there."""
    now = datetime(2026, 10, 24, 20, tzinfo=UTC)
    length = timedelta(seconds=30)
    first, until = Recurrence(1, "* * * * *", "Europe/Berlin", length, None, now).slots()
    assert (len(first), until) == (MOST, first[-1])
    second, _ = Recurrence(1, "* * * * *", "Europe/Berlin", length, until, now).slots()
    assert second[0] - first[-1] == timedelta(minutes=1)
