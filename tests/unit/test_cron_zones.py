"""Cron in a local zone over changes of the clocks: checked against a calendar that is walked minute by minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pggit_alertd.cron import Schedule, time_zone

CHANGES = {
    "Europe/Berlin": ["2026-03-29T01:00", "2026-10-25T01:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],
    "Asia/Kolkata": ["2026-03-29T01:00"],
    "UTC": ["2026-03-29T01:00"],
}
"""Zones, and when (UTC) their clocks change; two of them never do."""

MINUTE = timedelta(minutes=1)
MOMENTS = [(zone, moment) for zone, moments in CHANGES.items() for moment in moments]


def utc(text: str) -> datetime:
    """Read an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def walked(
    minutes: set[int], hours: set[int], zone: ZoneInfo, after: datetime, until: datetime, *, follows: bool
) -> list[datetime]:
    """Return the slots by looking at the wall clock at every minute, which is Debian cron's rule taken literally."""
    found: list[datetime] = []
    shown: set[datetime] = set()
    last = (after - timedelta(days=2)).astimezone(zone).replace(tzinfo=None) - MINUTE
    at = after - timedelta(days=2)
    while at <= until:
        local = at.astimezone(zone).replace(tzinfo=None)
        skipped = [last + MINUTE * n for n in range(1, max(int((local - last) / MINUTE), 1))]
        wanted = [time for time in (*skipped, local) if time.minute in minutes and time.hour in hours]
        hit = local in wanted if follows else any(time not in shown for time in wanted)
        if hit and at > after:
            found.append(at)
        shown.update((*skipped, local))
        last, at = local, at + MINUTE
    return found


@pytest.mark.parametrize(("name", "moment"), MOMENTS)
@settings(max_examples=25)
@given(data=st.data())
def test_slots_over_a_change_of_the_clocks_are_those_of_the_wall_clock(
    name: str, moment: str, data: st.DataObject
) -> None:
    """Whatever minutes and hours, skipped times stand for the jump, repeated ones for the first; stars follow on."""
    zone = ZoneInfo(name)
    minutes = data.draw(st.sets(st.sampled_from([0, 15, 29, 30, 31, 45, 59]), min_size=1))
    hours = data.draw(st.one_of(st.just(set(range(24))), st.sets(st.integers(0, 4), min_size=1)))
    follows = len(hours) == 24
    after = utc(moment) - timedelta(minutes=data.draw(st.integers(-200, 200)))
    until = after + timedelta(minutes=data.draw(st.integers(400, 1500)))
    text = f"{','.join(map(str, sorted(minutes)))} {'*' if follows else ','.join(map(str, sorted(hours)))} * * *"
    slots = Schedule.parse(text).occurrences(zone, after=after, until=until, limit=10_000)
    expected = walked(minutes, hours, zone, after, until, follows=follows)
    if expected:
        assert slots == expected
    else:
        assert len(slots) == 1
        assert slots[0] > until


@pytest.mark.parametrize(
    ("text", "zone", "after", "starts"),
    [
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00",
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        (
            "0 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:30",
            ["2026-10-25T00:00", "2026-10-25T01:00"],
        ),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30", ["2026-03-29T01:00", "2026-03-29T02:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", ["2026-10-03T15:30", "2026-10-04T15:15"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00", ["2026-04-04T14:45", "2026-04-05T15:15"]),
        ("0 2 * * 0", "America/New_York", "2026-03-01T12:00", ["2026-03-08T07:00", "2026-03-15T06:00"]),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00", ["2011-12-30T10:00", "2012-12-29T22:00"]),
    ],
)
def test_known_nights(text: str, zone: str, after: str, starts: list[str]) -> None:
    """Nights that people have been paged in, and a day that a whole country skipped."""
    slots = Schedule.parse(text).occurrences(ZoneInfo(zone), after=utc(after), until=utc(starts[-1]), limit=len(starts))
    assert slots == [utc(start) for start in starts]


def test_the_limit_cuts_and_the_next_slot_is_always_known() -> None:
    """A slot for every minute is cut at the limit; one that is years away is still found; nothing comes twice."""
    now = utc("2026-10-24T22:00")
    zone = ZoneInfo("Europe/Berlin")
    often = Schedule.parse("* * * * *").occurrences(zone, after=now, until=now + timedelta(days=14), limit=500)
    assert often == [now + MINUTE * n for n in range(1, 501)]
    rare = Schedule.parse("0 0 29 2 *").occurrences(zone, after=now, until=now + timedelta(days=14), limit=500)
    assert rare == [utc("2028-02-28T23:00")]


@settings(max_examples=50)
@given(start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), cut=st.integers(1, 400))  # noqa: DTZ001
def test_expanding_in_pieces_is_expanding_at_once(start: datetime, cut: int) -> None:
    """Where one expansion ends the next goes on: no slot is lost and none comes twice."""
    schedule, zone = Schedule.parse("10,40 1-3 * * *"), ZoneInfo("America/New_York")
    after = start.replace(tzinfo=UTC)
    middle, until = after + timedelta(hours=cut), after + timedelta(hours=400)
    whole = schedule.occurrences(zone, after=after, until=until, limit=1000)
    first = schedule.occurrences(zone, after=after, until=middle, limit=1000)
    rest = schedule.occurrences(zone, after=max(middle, first[-1]), until=until, limit=1000)
    assert [slot for slot in (*first, *rest) if slot <= until] == whole


@pytest.mark.parametrize("name", ["Europe/Berln", "", "/etc/passwd", "../UTC", "CET+1", "a\x00b", "Europe"])
def test_an_unknown_zone_is_refused_with_the_mend(name: str) -> None:
    """Whatever is written there, the answer is a sentence with an example."""
    with pytest.raises(ValueError, match="no time zone known here; write its IANA name, for example Europe/Berlin"):
        time_zone(name)
