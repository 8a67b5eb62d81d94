"""Text helpers: cut, clean, escape, durations and moments for people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.rendering.text import (
    escape_slack,
    iso,
    milliseconds,
    one_line,
    span,
    truncate,
    truncate_bytes,
    utc,
)

ANY_TEXT = st.text(st.characters(codec=None, categories=None))


@given(ANY_TEXT, st.integers(0, 100))
def test_one_line_is_one_clean_line_within_the_limit(text: str, limit: int) -> None:
    """No control, no line end, no direction mark, no half of a pair; never longer than asked; stable."""
    shown = one_line(text, limit)
    assert len(shown) <= limit
    assert shown == shown.strip()
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8") is not None
    assert one_line(shown, limit) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("", ""),
        (7, "7"),
        ("plain", "plain"),
        ("  a  b  ", "a b"),
        ("a\r\nb\tc\x00d", "a b c d"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("a\u202eb\u200bc", "abc"),
        ("\ud800", "\ufffd"),
        ("naïve 日本", "naïve 日本"),
        ("abcdefghijklm", "abcdefghijk…"),
    ],
)
def test_one_line_examples(value: object, shown: str) -> None:
    """What a reader sees for typical and odd values."""
    assert one_line(value, 12) == shown


def test_a_megabyte_costs_no_more_than_its_beginning() -> None:
    """A long value is cut before it is searched."""
    assert one_line("\n" * 1_000_000 + "x", 10) == ""
    assert one_line("ab\n" * 1_000_000, 10) == "ab ab ab…"


@given(st.text(), st.integers(0, 50))
def test_truncate_keeps_to_characters(text: str, limit: int) -> None:
    """At most `limit` characters, and unchanged when it fits."""
    shown = truncate(text, limit)
    assert len(shown) <= limit
    assert shown == text or len(text) > limit


@given(st.text(), st.integers(0, 50))
def test_truncate_bytes_keeps_to_bytes_and_whole_characters(text: str, limit: int) -> None:
    """At most `limit` bytes, always decodable, and unchanged when it fits."""
    shown = truncate_bytes(text, limit)
    assert len(shown.encode()) <= limit
    assert shown == text or len(text.encode()) > limit


@given(st.text(st.sampled_from("&<>;amplt x")), st.one_of(st.none(), st.integers(1, 60)))
def test_escaping_leaves_no_markup_and_no_half_entity(text: str, limit: int | None) -> None:
    """Only whole entities remain, within the limit, and without a cut the text can be read back."""
    shown = escape_slack(text, limit)
    assert "<" not in shown
    assert ">" not in shown
    back = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "\0")
    assert "&" not in back
    if limit is None:
        assert back.replace("\0", "&") == text
    else:
        assert len(shown) <= limit


@pytest.mark.parametrize(
    ("microseconds", "shown"),
    [
        (0, "0.000 ms"),
        (1, "0.001 ms"),
        (850, "0.85 ms"),
        (9_370, "9.37 ms"),
        (9_996, "10.0 ms"),
        (12_345, "12.3 ms"),
        (99_960, "100 ms"),
        (523_400, "523 ms"),
        (9_999_000, "9999 ms"),
        (12_345_678, "12346 ms (12.3 s)"),
        (75_300_000, "75300 ms (1 min 15 s)"),
        (-500_000, "-500 ms"),
        (None, ""),
        (True, ""),
        ("5", ""),
        (float("nan"), ""),
        (float("inf"), ""),
    ],
)
def test_durations_are_shown_in_ms(microseconds: object, shown: str) -> None:
    """Three digits that mean something; larger units beside it from ten seconds on; nothing for what is no number."""
    assert milliseconds(microseconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7440, "2 h 4 min"),
        (86400 * 3 + 3700, "3 d 1 h"),
        (-90, "-1 min 30 s"),
    ],
)
def test_spans_use_the_two_largest_units(seconds: float, shown: str) -> None:
    """Rounded so that no unit shows its own full size."""
    assert span(seconds) == shown


def test_moments_are_shown_in_utc() -> None:
    """Any zone is turned into UTC, and a moment without one is taken as UTC."""
    moment = datetime(2026, 3, 1, 2, 3, 4, 567890, tzinfo=UTC)
    for same in (moment, moment.astimezone(timezone(timedelta(hours=5, minutes=30))), moment.replace(tzinfo=None)):
        assert utc(same) == "2026-03-01 02:03:04 UTC"
        assert iso(same) == "2026-03-01T02:03:04.567Z"
    assert iso(moment.replace(microsecond=0)) == "2026-03-01T02:03:04.000Z"
