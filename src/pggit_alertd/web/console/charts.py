"""The geometry of the console's charts: figures in, places in per cent out. Pure; the templates draw.

Everything is placed in per cent of the drawing, so that the browser may stretch a chart to any width while text and
marks keep their size. y runs downwards, as in SVG. A latency axis is logarithmic: an alert is a factor, and a linear
axis with one spike on it shows nothing but the spike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pggit_alertd.rendering.text import milliseconds

Row = Mapping[str, Any]

HOURS = 24
OUTCOMES = ("sent", "retry", "failed", "suppressed", "other")
# Room above the highest and below the lowest value, in per cent.
TOP, BOTTOM = 8.0, 96.0
_STEPS = ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,))
_MOST_TICKS = 5
_TIME_LABELS = 4
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Segment:
    """One outcome's part of a bar."""

    outcome: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour's attempts; `counts` are in the order of OUTCOMES."""

    x: float
    width: float
    segments: tuple[Segment, ...]
    label: str
    counts: tuple[int, ...]
    tip: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis. `anchor` is SVG's text-anchor."""

    at: float
    label: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Bars:
    """Attempts by hour and outcome. `cut`: there were more attempts than were counted."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    times: tuple[Tick, ...]
    totals: Mapping[str, int]
    cut: bool = False

    @property
    def total(self) -> int:
        """Return the attempts in all."""
        return sum(self.totals.values())


@dataclass(frozen=True, slots=True)
class Line:
    """One series as an SVG path in a square of 1000 units. It breaks where there are no figures."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Hit:
    """What is told about one part of the x axis; `cells` are the same figures for the table."""

    x: float
    width: float
    tip: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One alert over the lines."""

    x: float
    y: float
    kind: str
    tip: str
    href: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Durations over time."""

    lines: tuple[Line, ...] = ()
    ticks: tuple[Tick, ...] = ()
    times: tuple[Tick, ...] = ()
    hits: tuple[Hit, ...] = ()
    marks: tuple[Mark, ...] = ()
    levels: tuple[Tick, ...] = field(default=())


def hours(rows: Iterable[Row], at: datetime) -> Bars:
    """Stack the attempts of the 24 hours before `at`; `rows` have bucket (0 is the oldest hour), outcome, attempts."""
    counts = [dict.fromkeys(OUTCOMES, 0) for _ in range(HOURS)]
    cut = False
    for row in rows:
        counts[min(max(row["bucket"], 0), HOURS - 1)][row["outcome"]] += row["attempts"]
        cut = cut or row["is_cut"]
    highest = _ceiling(max(sum(each.values()) for each in counts))
    width = 100 / HOURS
    bars = []
    for number, each in enumerate(counts):
        begins = at - timedelta(hours=HOURS - number)
        label = f"{begins:%H:%M} to {begins + timedelta(hours=1):%H:%M}"
        told = ", ".join(f"{count} {outcome}" for outcome, count in each.items() if count) or "no attempts"
        bars.append(
            Bar(
                number * width,
                width,
                tuple(_stack(each, highest)),
                label,
                tuple(each.values()),
                f"{label}: {told}",
            )
        )
    ticks = tuple(Tick(_height(value, highest), f"{value:,}") for value in (highest, highest // 2) if value)
    totals = {outcome: sum(each[outcome] for each in counts) for outcome in OUTCOMES}
    return Bars(tuple(bars), ticks, _times(at - timedelta(hours=HOURS), at), totals, cut)


def latency(
    rows: Sequence[Row],
    alerts: Sequence[Row],
    baseline: Row | None,
    *,
    at: datetime,
    seconds: float,
    buckets: int,
) -> Lines:
    """Draw p50, p99 and the slowest per bucket, the baseline as levels, and alerts as marks."""
    levels = {} if baseline is None else {"baseline p99": baseline["p99_us"], "alert above": baseline["threshold_us"]}
    scale = _LogScale(
        [row[name] for row in rows for name in ("p50_us", "slowest_us")]
        + [alert["duration_us"] for alert in alerts]
        + list(levels.values())
    )
    width = 100 / buckets
    begins = at - timedelta(seconds=seconds)
    return Lines(
        lines=tuple(
            Line(name, _path([((row["bucket"] + 0.5) * width, scale.y(row[f"{name}_us"])) for row in rows], width))
            for name in ("slowest", "p99", "p50")
        ),
        ticks=scale.ticks(),
        times=_times(begins, at),
        hits=tuple(
            _latency_hit(row, width, begins + timedelta(seconds=seconds * row["bucket"] / buckets)) for row in rows
        ),
        marks=tuple(_mark(alert, scale, seconds) for alert in reversed(alerts)),
        levels=tuple(Tick(scale.y(value), f"{name} {milliseconds(value)}") for name, value in levels.items()),
    )


def course(rows: Sequence[Row], at: datetime) -> Lines:
    """Draw p50 and p99 of an operation's baselines as steps: each is in force until the next, the last until now."""
    if not rows:
        return Lines()
    scale = _LogScale([row[name] for row in rows for name in ("p50_us", "p99_us")])
    first = rows[0]["calculated_at"]
    span = max((at - first).total_seconds(), 1.0)
    places = [min(100 * (row["calculated_at"] - first).total_seconds() / span, 100.0) for row in rows]
    ends = [*places[1:], 100.0]
    return Lines(
        lines=tuple(
            Line(name, _steps(places, ends, [scale.y(row[f"{name}_us"]) for row in rows])) for name in ("p99", "p50")
        ),
        ticks=scale.ticks(),
        times=_times(first, at),
        hits=tuple(_course_hit(row, x, max(end - x, 0.5)) for x, end, row in zip(places, ends, rows, strict=True)),
    )


class _LogScale:
    """Maps durations to y, from a little below the least to a little above the greatest."""

    def __init__(self, values: Iterable[float]) -> None:
        known = [float(value) for value in values if value > 0] or [1000.0]
        low, high = math.log10(min(known)), math.log10(max(known))
        room = max((high - low) * 0.05, 0.1)
        self._low, self._high = low - room, high + room

    def y(self, value: float | None) -> float:
        """Return where a duration in microseconds lies."""
        place = math.log10(value) if value is not None and value > 0 else self._low
        part = (place - self._low) / (self._high - self._low)
        return BOTTOM - min(max(part, 0.0), 1.0) * (BOTTOM - TOP)

    def ticks(self) -> tuple[Tick, ...]:
        """Return round durations inside: the finest series of them that leaves the axis readable."""
        decades = range(math.floor(self._low), math.ceil(self._high) + 1)
        inside: list[float] = []
        for steps in _STEPS:
            values = [step * 10.0**decade for decade in decades for step in steps]
            inside = [value for value in values if self._low <= math.log10(value) <= self._high]
            if len(inside) <= _MOST_TICKS:
                break
        every = math.ceil(len(inside) / _MOST_TICKS) or 1
        return tuple(Tick(self.y(value), _round(value)) for value in inside[::every])


def _round(microseconds: float) -> str:
    ms = microseconds / 1000
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"  # noqa: PLR2004 - milliseconds in a second


def _ceiling(highest: int) -> int:
    """Return a round number at or above the highest count, even so that its half is whole."""
    if highest <= 2:  # noqa: PLR2004 - the least axis that can be halved
        return 2
    size = int(10 ** (len(str(highest)) - 1))
    return next(value for value in (size, 2 * size, 4 * size, 6 * size, 8 * size, 10 * size) if value >= highest)


def _height(count: int, highest: int) -> float:
    return 100 - (100 - TOP) * count / highest


def _stack(counts: Mapping[str, int], highest: int) -> Iterable[Segment]:
    below = 0
    for outcome, count in counts.items():
        if count:
            top = _height(below + count, highest)
            yield Segment(outcome, top, _height(below, highest) - top)
            below += count


def _times(begins: datetime, ends: datetime) -> tuple[Tick, ...]:
    """Return labels for a time axis: hours within two days, days beyond."""
    span = (ends - begins).total_seconds()
    form = "%H:%M" if span <= 2 * _DAY else "%d %b"
    last = _TIME_LABELS - 1
    return tuple(
        Tick(
            100 * number / last,
            f"{begins + timedelta(seconds=span * number / last):{form}}",
            "start" if number == 0 else "end" if number == last else "middle",
        )
        for number in range(_TIME_LABELS)
    )


def _path(points: Sequence[tuple[float, float]], step: float) -> str:
    """Join points with at most two buckets without figures between them; a point alone becomes a dash of a bucket."""
    parts = []
    last = len(points) - 1
    for number, (x, y) in enumerate(points):
        joined = number > 0 and x - points[number - 1][0] <= step * 3.5
        ended = number == last or points[number + 1][0] - x > step * 3.5
        if joined:
            parts.append(f"L{10 * x:.1f} {10 * y:.1f}")
        elif ended:
            parts.append(f"M{10 * x - 4 * step:.1f} {10 * y:.1f}h{8 * step:.1f}")
        else:
            parts.append(f"M{10 * x:.1f} {10 * y:.1f}")
    return "".join(parts)


def _steps(places: Sequence[float], ends: Sequence[float], heights: Sequence[float]) -> str:
    """Return a path that keeps each height until the next place."""
    parts = (f"{10 * x:.1f} {10 * y:.1f}H{10 * end:.1f}" for x, end, y in zip(places, ends, heights, strict=True))
    return "M" + "L".join(parts)


def _course_hit(row: Row, x: float, width: float) -> Hit:
    p50, p99, samples = milliseconds(row["p50_us"]), milliseconds(row["p99_us"]), f"{row['sample_count']:,}"
    return Hit(
        x,
        width,
        f"from {row['calculated_at']:%d %b %Y %H:%M}: p50 {p50}, p99 {p99}, {samples} samples",
        (f"{row['calculated_at']:%Y-%m-%d %H:%M}", p50, p99, samples),
    )


def _latency_hit(row: Row, width: float, begins: datetime) -> Hit:
    p50, p99, slowest = (milliseconds(row[name]) for name in ("p50_us", "p99_us", "slowest_us"))
    return Hit(
        row["bucket"] * width,
        width,
        f"{begins:%d %b %H:%M}: p50 {p50}, p99 {p99}, slowest {slowest}, {row['samples']:,} operations",
        (f"{begins:%Y-%m-%d %H:%M}", f"{row['samples']:,}", p50, p99, slowest),
    )


def _mark(alert: Row, scale: _LogScale, seconds: float) -> Mark:
    factor = f", {alert['factor']:.1f}x its baseline" if alert["factor"] is not None else ""
    return Mark(
        100 * (1 - alert["age"] / seconds),
        scale.y(alert["duration_us"]),
        str(alert["severity"]).lower(),
        f"{alert['severity']} alert {alert['alert_id']} at {alert['created_at']:%d %b %H:%M:%S}: "
        f"{milliseconds(alert['duration_us'])}{factor}",
        f"/alerts/{alert['alert_id']}",
    )
