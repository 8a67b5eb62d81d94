"""Correlated degradation: who became slower together with whom, and who only looks like it."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from support.latencies import ORDINARY, Hourly, ordinary, store

pytestmark = pytest.mark.servers

NOW = datetime(2026, 3, 10, 12)  # noqa: DTZ001 - as performance_metrics has it: without zone
SINCE = NOW - timedelta(hours=7)
BEGIN = NOW - timedelta(days=9)
Row = tuple[Any, ...]


def swinging(sign: float, median: float, factor: float) -> Hourly:
    """Return calls that became slower and since swing from hour to hour, all of one sign together."""

    def hourly(hour: datetime) -> Iterable[float]:
        swing = sign * 0.25 * math.sin(2.1 * hour.hour) if hour >= SINCE else 0
        return [median * (factor if hour >= SINCE else 1) * math.exp(swing) * each for each in ORDINARY]

    return hourly


def course(hour: datetime) -> list[float]:
    """Return the calls of an operation that takes five times as long in the afternoon as at night."""
    return [9_000 * math.exp(0.8 * math.cos((hour.hour - 14) * math.pi / 12)) * each for each in ORDINARY]


@pytest.fixture(scope="module")
def stage(server: Any) -> Iterator[psycopg.Connection[Row]]:
    """Yield a connection to a database where three operations share a bottleneck; nothing in it is changed."""
    name = server.create(server.template())
    operations = {
        "shared_a": swinging(1, 20_000, 1.6),
        "shared_b": swinging(1, 500, 2.5),
        "shared_c": ordinary(3_000, since=SINCE, factor=1.8),
        "alone": ordinary(since=SINCE - timedelta(hours=9), factor=2),
        "steady": ordinary(),
        "faster": ordinary(since=SINCE, factor=0.4),
        "course": course,
        "course_too": course,
    }
    with psycopg.connect(server.server.dsn(name), autocommit=True) as connection:
        with connection.transaction():
            for operation, hourly in operations.items():
                store(connection, operation, BEGIN, NOW, hourly)
            for operation in ("young_a", "young_b"):
                rising = ordinary(since=NOW - timedelta(hours=12), factor=2)
                store(connection, operation, NOW - timedelta(hours=24), NOW, rising)
            store(connection, "untracked", BEGIN, NOW, operations["shared_a"])
            connection.execute(
                "INSERT INTO pggit.performance_operation_types (operation_type, is_tracked)"
                " SELECT DISTINCT operation_type, operation_type <> 'untracked' FROM pggit.performance_metric_histogram"
            )
        yield connection
    server.drop(name)


def pairs(stage: psycopg.Connection[Row], more: str = "") -> dict[tuple[str, str], float]:
    """Return the pairs that are found, each with its correlation; every one of them is marked as degrading."""
    statement = f"SELECT * FROM pggit.detect_correlated_degradation(p_as_of => %s{more})"  # noqa: S608 - our own
    rows = stage.execute(statement.encode(), (NOW,)).fetchall()
    assert all(both is True for *_, both in rows)
    return {(one, other): float(r) for one, other, r, _ in rows}


def test_a_shared_bottleneck_is_found_and_nothing_else(stage: psycopg.Connection[Row]) -> None:
    """Those who got slower at one time are pairs; who did so alone, faster, daily or untracked is in none."""
    found = pairs(stage)
    assert set(found) == {
        ("shared_a", "shared_b"),
        ("shared_a", "shared_c"),
        ("shared_b", "shared_c"),
        ("young_a", "young_b"),
    }
    assert found["shared_a", "shared_b"] > 0.95
    assert all(0.7 < r <= 1 for r in found.values())


def test_the_thresholds_hold(stage: psycopg.Connection[Row]) -> None:
    """A higher correlation, more hours than there are, and no window to speak of leave fewer pairs or none."""
    assert pairs(stage, ", p_correlation_threshold => 1") == {}
    assert pairs(stage, ", p_min_buckets => 25") == {}
    assert pairs(stage, ", p_lookback_hours => 1") == {}
    assert ("shared_a", "shared_b") in pairs(stage, ", p_max_lag_hours => 0")
    assert pairs(stage, ", p_min_diff_correlation => 1") == {}


def test_the_time_of_the_change_tells_pairs_apart(stage: psycopg.Connection[Row]) -> None:
    """Two operations that changed nine hours apart are a pair only for who allows them that much."""
    assert not any("alone" in pair for pair in pairs(stage))
    allowed = pairs(stage, ", p_max_lag_hours => 9, p_correlation_threshold => 0.1, p_min_diff_correlation => -1")
    assert any("alone" in pair for pair in allowed)
    assert not any("faster" in pair or "steady" in pair for pair in allowed)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (argument, value)
        for argument, values in {
            "p_lookback_hours": ("NULL", "0", "-24", "2161", "2147483647"),
            "p_correlation_threshold": ("NULL", "-0.7", "1.1", "'NaN'"),
            "p_min_buckets": ("NULL", "2", "-1"),
            "p_min_diff_correlation": ("NULL", "-1.1", "2", "'NaN'"),
            "p_max_lag_hours": ("NULL", "-1", "2147483647"),
            "p_as_of": ("'infinity'", "'-infinity'"),
        }.items()
        for value in values
    ],
)
def test_an_argument_that_makes_no_sense_is_named(stage: psycopg.Connection[Row], argument: str, value: str) -> None:
    """Each of them is refused with its name and with what to write instead."""
    statement = f"SELECT * FROM pggit.detect_correlated_degradation({argument} => {value})"  # noqa: S608
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=argument) as refused:
        stage.execute(statement.encode())
    assert refused.value.diag.message_hint


CHANGE_TIMES = """
    SELECT t.change_at, t.likelihood
    FROM pggit.degradation_change_times(
        array_fill('x'::text, ARRAY[24]),
        ARRAY(SELECT %(from)s::timestamp + interval '1 hour' * n FROM generate_series(0, 23) AS n),
        array_fill(30::float8, ARRAY[24]),
        ARRAY(
            SELECT 0.05 * (-1) ^ n + %(step)s::float8 * least(greatest(n + 1 - %(hours)s::float8, 0), 1)
            FROM generate_series(0, 23) AS n
        )
    ) AS t
    ORDER BY t.likelihood DESC
"""


@pytest.mark.parametrize("hours", [4, 10.25, 17.5, 20.75])
def test_a_change_is_dated_within_its_hour(stage: psycopg.Connection[Row], hours: float) -> None:
    """A step much larger than the noise is dated to half an hour, inside a full hour too; likelihoods sum up to 1."""
    found = stage.execute(CHANGE_TIMES, {"from": BEGIN, "step": 2, "hours": hours}).fetchall()
    assert abs(found[0][0] - (BEGIN + timedelta(hours=hours))) <= timedelta(minutes=30)
    assert sum(likelihood for _, likelihood in found) == pytest.approx(1)
    assert sum(each[1] for each in found if abs(each[0] - found[0][0]) <= timedelta(hours=1)) > 0.9


def test_a_weak_change_is_dated_with_doubt(stage: psycopg.Connection[Row]) -> None:
    """A step no larger than the noise may have been at many times; no rise, or none at all, has no time."""
    found = stage.execute(CHANGE_TIMES, {"from": BEGIN, "step": 0.04, "hours": 12}).fetchall()
    assert sum(each[1] for each in found if abs(each[0] - found[0][0]) <= timedelta(hours=1)) < 0.5
    flat = "array_fill(1::float8, ARRAY[3])"
    assert (
        stage.execute(
            "SELECT * FROM pggit.degradation_change_times(array_fill('x'::text, ARRAY[3]),"  # noqa: S608
            f" ARRAY['2026-01-01', '2026-01-02', '2026-01-03']::timestamp [], {flat}, {flat})"
        ).fetchall()
        == []
    )
