"""Merges for the tests of the dashboards, and what each dashboard must say of them, worked out in plain Python."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import psycopg

Row = tuple[Any, ...]
Pair = tuple[str, str]

DASHBOARDS = (
    "v_merge_bottleneck_analysis",
    "v_merge_success_tracking",
    "v_merge_phase_timeline",
    "v_merge_conflict_analysis",
)
PHASES = ("LCA_CALCULATION", "CONFLICT_DETECTION", "AUTO_RESOLUTION")
_INSERT = """
INSERT INTO pggit.merge_performance_metrics (
    source_branch_id, target_branch_id, merge_base_calculation_us, conflict_detection_us, auto_resolution_us,
    total_merge_us, conflict_count, auto_resolution_success_count, auto_resolution_failure_count, merge_status,
    user_name, started_at, completed_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'ann', LOCALTIMESTAMP - %s::interval,
    LOCALTIMESTAMP - %s::interval)
"""
_SELECT = """
SELECT s.branch_name, t.branch_name, m.merge_base_calculation_us, m.conflict_detection_us, m.auto_resolution_us,
    m.total_merge_us, m.conflict_count, m.auto_resolution_success_count, m.auto_resolution_failure_count,
    m.merge_status, m.started_at, m.completed_at
FROM pggit.merge_performance_metrics AS m
JOIN pggit.branch_ref AS s ON s.branch_id = m.source_branch_id
JOIN pggit.branch_ref AS t ON t.branch_id = m.target_branch_id
"""


@dataclass(frozen=True)
class Merge:
    """One merge to insert; `ago` is how long it started before now, `lasted` is NULL for one without an end."""

    source: int = 1
    target: int = 2
    phases: tuple[int | None, int | None, int | None] = (1000, 2000, 3000)
    total: int = 10_000
    conflicts: int | None = 0
    resolved: int | None = 0
    unresolved: int | None = 0
    status: str = "SUCCESS"
    ago: timedelta = timedelta(hours=1)
    lasted: timedelta | None = timedelta(minutes=1)

    def values(self) -> Row:
        """Return the parameters of the INSERT."""
        end = None if self.lasted is None else self.ago - self.lasted
        return (
            self.source, self.target, *self.phases, self.total, self.conflicts, self.resolved, self.unresolved,
            self.status, self.ago, end,
        )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """One merge as the database has it."""

    source: str
    target: str
    lca: int | None
    detection: int | None
    resolution: int | None
    total: int
    conflicts: int | None
    resolved: int | None
    unresolved: int | None
    status: str
    started_at: datetime
    completed_at: datetime | None

    @property
    def bottleneck(self) -> str | None:
        """The longest measured phase, BALANCED on a tie, None if nothing was measured."""
        measured = [(us, name) for us, name in zip((self.lca, self.detection, self.resolution), PHASES, strict=True) if us is not None]  # fmt: skip  # noqa: E501
        if not measured:
            return None
        longest = max(us for us, _ in measured)
        leaders = [name for us, name in measured if us == longest]
        return leaders[0] if len(leaders) == 1 else "BALANCED"


def some(count: int, seed: int) -> list[Merge]:
    """Return merges of every kind: without phases, without an end, with many conflicts, lasting days, months ago."""
    draw = random.Random(seed)  # noqa: S311 - test data

    def phase() -> int | None:
        return draw.choice([None, 500, 1000, draw.randrange(1, 9_000_000), 86_400_000_000])

    return [
        Merge(
            source=draw.randrange(1, 5),
            target=draw.randrange(1, 4),
            phases=(phase(), phase(), phase()),
            total=draw.choice([1, draw.randrange(1, 50_000_000), 200_000_000_000]),
            conflicts=draw.choice([None, 0, draw.randrange(20), 5000]),
            resolved=draw.choice([None, 0, draw.randrange(9)]),
            unresolved=draw.choice([None, 0, draw.randrange(9)]),
            status=draw.choice(["SUCCESS", "PARTIAL_SUCCESS", "FAILED", "ABANDONED"]),
            ago=timedelta(minutes=draw.randrange(5, draw.choice([600, 14_400, 90_000]))),
            lasted=draw.choice([None, timedelta(minutes=draw.randrange(4))]),
        )
        for _ in range(count)
    ]


def insert(connection: psycopg.Connection[Row], merges: Iterable[Merge]) -> None:
    """Insert merges in one transaction."""
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT.encode(), [merge.values() for merge in merges])


def merges(connection: psycopg.Connection[Row]) -> list[Seen]:
    """Return every merge that is there."""
    return [Seen(*row) for row in connection.execute(_SELECT.encode()).fetchall()]


def rounded(value: Fraction, digits: int) -> Decimal:
    """Round as PostgreSQL's numeric does, half away from zero."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def average(values: Iterable[int | Fraction | None], digits: int = 1, unit: int = 1) -> Decimal | None:
    """Return the average of what is known, or None."""
    known = [Fraction(value) for value in values if value is not None]
    return rounded(sum(known, Fraction(0)) / len(known) / unit, digits) if known else None


def percent(part: int, whole: int) -> Decimal:
    """Return a percentage with one decimal."""
    return rounded(Fraction(100 * part, whole), 1)


def _by_pair(seen: Sequence[Seen]) -> dict[Pair, list[Seen]]:
    pairs: dict[Pair, list[Seen]] = defaultdict(list)
    for merge in seen:
        pairs[merge.source, merge.target].append(merge)
    return pairs


def _most(counts: Counter[str | None]) -> str:
    known = Counter({name: number for name, number in counts.items() if name is not None})
    if not known:
        return "UNKNOWN"
    leaders = [name for name, number in known.items() if number == max(known.values())]
    return str(leaders[0]) if len(leaders) == 1 else "BALANCED"


def bottlenecks(seen: Sequence[Seen]) -> set[Row]:
    """Return the rows of v_merge_bottleneck_analysis."""
    found = set()
    for pair, of_pair in _by_pair(seen).items():
        counts: Counter[str | None] = Counter(merge.bottleneck for merge in of_pair)
        found.add(
            (
                *pair,
                len(of_pair),
                average((merge.lca for merge in of_pair), unit=1000),
                average((merge.detection for merge in of_pair), unit=1000),
                average((merge.resolution for merge in of_pair), unit=1000),
                average((merge.total for merge in of_pair), unit=1000),
                _most(counts),
                *(percent(counts[verdict], len(of_pair)) for verdict in (*PHASES, "BALANCED", None)),
            )
        )
    return found


def successes(seen: Sequence[Seen]) -> set[Row]:
    """Return the rows of v_merge_success_tracking."""
    found = set()
    for pair, of_pair in _by_pair(seen).items():
        ends = Counter(merge.status for merge in of_pair)
        rates = [
            Fraction(merge.resolved, merge.resolved + merge.unresolved)
            for merge in of_pair
            if merge.resolved is not None and merge.unresolved is not None and merge.resolved + merge.unresolved
        ]
        found.add(
            (
                *pair,
                len(of_pair),
                *(ends[status] for status in ("SUCCESS", "PARTIAL_SUCCESS", "FAILED")),
                percent(ends["SUCCESS"], len(of_pair)),
                average(rates, digits=3),
                max(merge.completed_at or merge.started_at for merge in of_pair),
                ends["ABANDONED"],
            )
        )
    return found


def conflicts(seen: Sequence[Seen]) -> set[Row]:
    """Return the rows of v_merge_conflict_analysis."""
    found = set()
    for pair, of_pair in _by_pair(seen).items():
        counts = [merge.conflicts for merge in of_pair if merge.conflicts is not None]
        found.add(
            (
                *pair,
                len(of_pair),
                average(counts),
                max(counts, default=None),
                min(counts, default=None),
                percent(sum((merge.resolved or 0) > 0 for merge in of_pair), len(of_pair)),
                average((merge.detection for merge in of_pair), unit=1000),
                average((merge.resolution for merge in of_pair), unit=1000),
            )
        )
    return found


def timeline(seen: Sequence[Seen], since: datetime) -> set[Row]:
    """Return the rows of v_merge_phase_timeline for a reader whose seven days began at `since`."""
    hours: dict[datetime, list[Seen]] = defaultdict(list)
    for merge in seen:
        if merge.started_at >= since:
            hours[merge.started_at.replace(minute=0, second=0, microsecond=0)].append(merge)
    return {
        (
            hour.date(),
            hour.hour,
            len(of_hour),
            average((merge.lca for merge in of_hour), unit=1000),
            average((merge.detection for merge in of_hour), unit=1000),
            average((merge.resolution for merge in of_hour), unit=1000),
            average((merge.total for merge in of_hour), unit=1000),
            rounded(_percentile([merge.total for merge in of_hour], Fraction(99, 100)) / 1000, 1),
        )
        for hour, of_hour in hours.items()
    }


def _percentile(values: Sequence[int], share: Fraction) -> Fraction:
    """Interpolate between the two nearest ranks, as percentile_cont does."""
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)
