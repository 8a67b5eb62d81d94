"""The console's charts as geometry: what they place where, whatever the figures are."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.web.console import charts

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
DURATION = st.integers(min_value=1, max_value=2**62)


def bucket(number: int, p50: float, p99: float, slowest: float) -> dict[str, Any]:
    """Return a row as console_latency.sql gives it."""
    return {"bucket": number, "samples": 3, "p50_us": p50, "p99_us": p99, "slowest_us": slowest}


def places(path: str) -> list[float]:
    """Return the y of every point of a path."""
    return [float(y) for y in re.findall(r"[ML][-\d.]+ ([-\d.]+)", path)]


def test_attempts_are_stacked_in_their_hour() -> None:
    """Each outcome's part stands on the one before, the highest bar is under the top, and totals are right."""
    rows = [
        {"bucket": 0, "outcome": "sent", "attempts": 30, "is_cut": False},
        {"bucket": 23, "outcome": "sent", "attempts": 50, "is_cut": False},
        {"bucket": 23, "outcome": "failed", "attempts": 6, "is_cut": False},
        {"bucket": 24, "outcome": "failed", "attempts": 1, "is_cut": False},  # of the very instant
    ]
    chart = charts.hours(rows, NOW)
    assert len(chart.bars) == 24
    assert (chart.total, chart.totals["failed"], chart.cut) == (87, 7, False)
    sent, failed = chart.bars[23].segments
    assert sent.y + sent.height == 100
    assert failed.y + failed.height == sent.y
    assert failed.y > charts.TOP
    assert chart.bars[23].tip == "11:30 to 12:30: 50 sent, 7 failed"
    assert chart.bars[0].tip == "12:30 to 13:30: 30 sent"
    assert chart.bars[5].tip.endswith("no attempts")
    assert [tick.label for tick in chart.ticks] == ["60", "30"]


def test_no_figures_make_an_empty_chart() -> None:
    """Nothing to draw is drawn as nothing, without an error."""
    assert charts.hours([], NOW).total == 0
    assert charts.course([], NOW).lines == ()
    assert charts.latency([], [], None, at=NOW, seconds=3600, buckets=60).hits == ()


@given(st.lists(st.tuples(DURATION, DURATION, DURATION).map(sorted), min_size=1, max_size=60))
def test_every_duration_lies_on_the_paper(figures: list[list[int]]) -> None:
    """From a microsecond to 100,000 years each point is inside, slower is never lower, and the axis stays readable."""
    rows = [bucket(number, *durations) for number, durations in enumerate(figures)]
    chart = charts.latency(rows, [], None, at=NOW, seconds=3600, buckets=60)
    slowest, p99, p50 = (places(line.path) for line in chart.lines)
    assert len(p50) == len(rows)
    for low, middle, high in zip(p50, p99, slowest, strict=True):
        assert 10 * charts.TOP - 0.1 <= high <= middle <= low <= 10 * charts.BOTTOM + 0.1
    assert len(chart.ticks) <= 5
    heights = [tick.at for tick in chart.ticks]
    assert heights == sorted(heights, reverse=True)


def test_a_line_breaks_where_nothing_was_measured() -> None:
    """Two missing buckets are bridged, three are not, and a bucket alone is a dash that can be seen."""
    rows = [bucket(number, 10, 20, 30) for number in (0, 1, 4, 8, 20)]
    path = charts.latency(rows, [], None, at=NOW, seconds=3600, buckets=100).lines[0].path
    assert path.count("M") == 3
    assert path.count("L") == 2
    assert path.count("h") == 2


def test_an_alert_is_marked_where_it_happened() -> None:
    """A mark stands at its alert's time and duration, tells what it was, and leads to it."""
    alert = {
        "alert_id": 7,
        "severity": "CRITICAL",
        "duration_us": 40_000,
        "factor": 4.0,
        "age": 900.0,
        "created_at": NOW - timedelta(seconds=900),
    }
    baseline = {"p99_us": 10_000, "threshold_us": 20_000.0}
    chart = charts.latency([bucket(3, 5_000, 9_000, 9_500)], [alert], baseline, at=NOW, seconds=3600, buckets=60)
    (mark,) = chart.marks
    assert (mark.x, mark.kind, mark.href) == (75.0, "critical", "/alerts/7")
    assert mark.tip == "CRITICAL alert 7 at 10 Mar 12:15:00: 40.0 ms, 4.0x its baseline"
    assert [level.label for level in chart.levels] == ["baseline p99 10.0 ms", "alert above 20.0 ms"]
    assert mark.y < chart.levels[1].at < chart.levels[0].at


def test_a_baseline_holds_until_the_next() -> None:
    """The course of baselines is made of steps that end now, one hit for each baseline."""
    rows = [
        {"calculated_at": NOW - timedelta(days=days), "p50_us": 5_000, "p99_us": 9_000 + days, "sample_count": 1_200}
        for days in (4, 3, 1)
    ]
    chart = charts.course(rows, NOW)
    assert [round(hit.x) for hit in chart.hits] == [0, 25, 75]
    assert round(chart.hits[-1].x + chart.hits[-1].width) == 100
    assert all(line.path.endswith("H1000.0") for line in chart.lines)
    assert "1,200 samples" in chart.hits[0].tip
