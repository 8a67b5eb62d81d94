"""Cron expressions become slots, and mistakes become sentences."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pggit_alertd.cron import Schedule


def utc(text: str) -> datetime:
    """Read an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "latest", "following"),
    [
        ("0 2 * * *", "2026-03-10 02:00:00", "2026-03-10 02:00", "2026-03-11 02:00"),
        ("0 2 * * *", "2026-03-10 01:59:59.999999", "2026-03-09 02:00", "2026-03-10 02:00"),
        ("0 2 * * *", "2026-03-10 02:00:00.000001", "2026-03-10 02:00", "2026-03-11 02:00"),
        ("15 * * * *", "2026-12-31 23:30:00", "2026-12-31 23:15", "2027-01-01 00:15"),
        ("*/7 * * * *", "2026-01-01 00:58:00", "2026-01-01 00:56", "2026-01-01 01:00"),
        ("0 0 29 2 *", "2026-06-01 00:00:00", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("0 0 L * *", "2026-03-01 00:00:00", "2026-02-28 00:00", "2026-03-31 00:00"),
        ("0 6 1 * MON", "2026-11-23 12:00:00", "2026-11-23 06:00", "2026-11-30 06:00"),
        ("30 4 * JAN-MAR mon#1", "2026-05-05 00:00:00", "2026-03-02 04:30", "2027-01-04 04:30"),
        ("5-5/10 2 * * mon-MON/2", "2026-03-10 12:00:00", "2026-03-09 02:05", "2026-03-16 02:05"),
        ("  0   2 * *   * ", "2026-03-10 12:00:00", "2026-03-10 02:00", "2026-03-11 02:00"),
    ],
)
def test_the_latest_slot_includes_the_instant_and_the_next_one_does_not(
    text: str, at: str, latest: str, following: str
) -> None:
    """A slot is due from its very microsecond on, and the next one is always later."""
    schedule = Schedule.parse(text)
    assert schedule.latest_slot(utc(at)) == utc(latest)
    assert schedule.next_slot(utc(at)) == utc(following)


def test_slots_are_in_utc_whatever_zone_the_instant_is_written_in() -> None:
    """The same instant written in another zone has the same slots, in UTC."""
    instant = utc("2026-03-10 03:30")
    tokyo = instant.astimezone(timezone(timedelta(hours=9)))
    schedule = Schedule.parse("0 2 * * *")
    assert schedule.latest_slot(tokyo) == schedule.latest_slot(instant) == utc("2026-03-10 02:00")
    assert schedule.latest_slot(tokyo).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 0 fields"),
        ("0 2 * *", "has 4 fields"),
        ("0 0 2 * * *", "has 6 fields"),
        ("@daily", "has 1 fields"),
        ("60 2 * * *", "minute field"),
        ("0 24 * * *", "hour field"),
        ("0 2 0 * *", "day-of-month field"),
        ("0 2 * 13 *", "month field"),
        ("0 2 * * 9", "day-of-week field"),
        ("0 2 * * mo", "day-of-week field"),
        ("*/0 2 * * *", "minute field"),
        ("5-1 2 * * *", "minute field"),
        ("0 0 30 2 *", "day-of-month field"),
        ("0 0 */31 2 1#5", "does not come in 50 years"),
        ("٣ 2 * * *", "minute field"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused_with_the_mend(text: str, said: str) -> None:
    """The message names what is wrong and shows what to write."""
    with pytest.raises(ValueError, match=said) as refused:
        Schedule.parse(text)
    assert "'0 2 * * *'" in str(refused.value)
