"""Degradation: what counts as slower, what never does, and what can't be judged."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from support.latencies import ORDINARY, ordinary, store

pytestmark = pytest.mark.servers

NOW = datetime(2026, 3, 10, 12)  # noqa: DTZ001 - as performance_metrics has it: without zone
SINCE = NOW - timedelta(hours=7)
BEGIN = NOW - timedelta(days=9)
DAY = NOW - timedelta(days=1)
TAIL = (*ORDINARY[:-2], 2.6, 2.8)
Row = tuple[Any, ...]


def course(hour: datetime) -> list[float]:
    """Return the calls of an operation that takes five times as long in the afternoon as at night."""
    return [20_000 * math.exp(0.8 * math.cos((hour.hour - 14) * math.pi / 12)) * each for each in ORDINARY]


def tail(hour: datetime) -> list[float]:
    """Return calls of which the slow ones are more, and slower, lately."""
    return [20_000 * each for each in (TAIL if hour >= SINCE else ORDINARY)]


def spike(hour: datetime) -> list[float]:
    """Return ordinary calls, but one of the last hours holds the slowest call ever."""
    return [*(20_000 * each for each in ORDINARY), *([60_000_000] if hour == NOW - timedelta(hours=3) else [])]


OPERATIONS = {
    "steady": ordinary(),
    "step": ordinary(since=SINCE, factor=1.5),
    "huge": ordinary(since=SINCE, factor=1e5),
    "small_step": ordinary(since=SINCE, factor=1.1),
    "faster": ordinary(since=SINCE, factor=0.4),
    "rare_step": ordinary(since=SINCE, factor=3, calls=(0.9, 1.2)),
    "earlier": ordinary(since=NOW - timedelta(hours=20), factor=2),
    "before": ordinary(since=DAY - timedelta(hours=3), factor=2),
    "tail": tail,
    "course": course,
    "spike": spike,
    "equal": ordinary(calls=(1.0,) * 10),
    "equal_step": ordinary(since=SINCE, factor=1.5, calls=(1.0,) * 10),
    "microseconds": ordinary(2, since=SINCE, factor=2, calls=(1.0, 1.0, 1.5, 2.0)),
}
YOUNG = {
    "young_step": ordinary(since=NOW - timedelta(hours=12), factor=2),
    "young_steady": ordinary(),
}


@pytest.fixture(scope="module")
def stage(server: Any) -> Iterator[psycopg.Connection[Row]]:
    """Yield a connection to a database with nine days of operations; nothing in it is changed."""
    name = server.create(server.template())
    with psycopg.connect(server.server.dsn(name), autocommit=True) as connection:
        with connection.transaction():
            for operation, hourly in OPERATIONS.items():
                store(connection, operation, BEGIN, NOW, hourly)
            for operation, hourly in YOUNG.items():
                store(connection, operation, DAY, NOW, hourly)
            store(connection, "silent", BEGIN, DAY, ordinary())
            store(connection, "young_few", NOW - timedelta(hours=16), NOW - timedelta(hours=8), ordinary(calls=(1.0,)))
            store(connection, "half_empty", NOW - timedelta(hours=11), NOW, ordinary())
            store(connection, "one_sample", NOW - timedelta(hours=1), NOW, ordinary(calls=(1.0,)))
            store(connection, "two_hours", NOW - timedelta(hours=2), NOW, ordinary())
            connection.execute(
                "INSERT INTO pggit.performance_operation_types (operation_type) SELECT DISTINCT operation_type"
                " FROM pggit.performance_metric_histogram ON CONFLICT DO NOTHING"
            )
        connection.execute("ANALYZE")
        yield connection
    server.drop(name)


def detect(stage: psycopg.Connection[Row], operation: str, more: str = "") -> Row:
    """Return the one row that the document's function says about an operation."""
    statement = f"SELECT * FROM pggit.detect_performance_degradation(%s, p_as_of => %s{more})"  # noqa: S608 - our own
    rows = stage.execute(statement.encode(), (operation, NOW)).fetchall()
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    ("operation", "severity"),
    [
        ("steady", "STABLE"),
        ("step", "DEGRADATION_DETECTED"),
        ("huge", "DEGRADATION_DETECTED"),
        ("small_step", "STABLE"),
        ("faster", "STABLE"),
        ("rare_step", "DEGRADATION_DETECTED"),
        ("earlier", "DEGRADATION_DETECTED"),
        ("before", "DEGRADATION_DETECTED"),
        ("tail", "DEGRADATION_DETECTED"),
        ("course", "STABLE"),
        ("spike", "STABLE"),
        ("equal", "STABLE"),
        ("equal_step", "DEGRADATION_DETECTED"),
        ("microseconds", "DEGRADATION_DETECTED"),
        ("young_step", "DEGRADATION_DETECTED"),
        ("young_steady", "STABLE"),
        ("young_few", "INSUFFICIENT_DATA"),
        ("silent", "INSUFFICIENT_DATA"),
        ("half_empty", "INSUFFICIENT_DATA"),
        ("one_sample", "INSUFFICIENT_DATA"),
        ("two_hours", "INSUFFICIENT_DATA"),
        ("never heard of", "INSUFFICIENT_DATA"),
        ("", "INSUFFICIENT_DATA"),
    ],
)
def test_each_course_has_its_verdict(stage: psycopg.Connection[Row], operation: str, severity: str) -> None:
    """Slower by a fifth and more is found, less, faster, a daily course and a spike are not; little data is said."""
    assert detect(stage, operation)[4] == severity


def test_the_change_is_dated_and_measured(stage: psycopg.Connection[Row]) -> None:
    """time_period says since when and how much, and keeps the document's words in front."""
    period = detect(stage, "step")[0]
    assert period.startswith("24-hour window degradation analysis (since 2026-03-10 05:00, ")
    scanned = stage.execute(
        "SELECT kind, percent_change, zscore, began_at FROM pggit.degradation_scan('step', p_as_of => %s)", (NOW,)
    ).fetchone()
    assert scanned is not None
    kind, percent, zscore, began_at = scanned
    assert (kind, began_at) == ("level", SINCE)
    assert 45 < percent < 55
    assert zscore > 4
    assert "slow calls" in detect(stage, "tail")[0]
    assert "no history" in detect(stage, "young_step")[0]
    assert detect(stage, "steady")[0] == "24-hour window degradation analysis"


def test_the_averages_are_those_of_the_exact_halves(stage: psycopg.Connection[Row]) -> None:
    """Both averages and the percent between them are of twelve hours each, or NULL where a half is empty."""
    usual = 20_000 * sum(ORDINARY) / 12 / 1000
    first, second, percent = detect(stage, "step")[1:4]
    assert float(first) == pytest.approx(usual, abs=0.01)
    assert float(second) == pytest.approx(usual * (5 + 7 * 1.5) / 12, abs=0.01)
    assert float(percent) == pytest.approx(100 * (float(second) / float(first) - 1), abs=0.01)
    assert detect(stage, "half_empty")[1] is None
    assert detect(stage, "half_empty")[3] is None
    assert detect(stage, "never heard of")[1:4] == (None, None, None)


@pytest.mark.parametrize(
    ("hours", "severity"),
    [
        (1, "INSUFFICIENT_DATA"),
        (2, "DEGRADATION_DETECTED"),
        (5, "DEGRADATION_DETECTED"),
        (25, "DEGRADATION_DETECTED"),
        (33, "DEGRADATION_DETECTED"),
        (2160, "INSUFFICIENT_DATA"),
    ],
)
def test_any_window_has_a_verdict(stage: psycopg.Connection[Row], hours: int, severity: str) -> None:
    """Odd windows, one of an hour and one longer than the data are answered, not failed on."""
    assert detect(stage, "step", f", p_window_hours => {hours}")[4] == severity


def test_a_higher_bar_is_a_bar(stage: psycopg.Connection[Row]) -> None:
    """What is 50 % slower is not 60 % slower, whether a level moved or a tail grew; and z has its say."""
    assert detect(stage, "step", ", p_degradation_percent => 60")[4] == "STABLE"
    assert detect(stage, "step", ", p_degradation_percent => 40")[4] == "DEGRADATION_DETECTED"
    assert detect(stage, "tail", ", p_degradation_percent => 500")[4] == "STABLE"
    assert detect(stage, "step", ", p_z_threshold => 100")[4] == "STABLE"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (argument, value)
        for argument, values in {
            "p_window_hours": ("NULL", "0", "-5", "2161", "2147483647"),
            "p_degradation_percent": ("NULL", "0", "-20", "'NaN'"),
            "p_baseline_days": ("NULL", "0", "-1", "2147483647"),
            "p_z_threshold": ("NULL", "0", "-4", "'NaN'"),
            "p_as_of": ("'infinity'", "'-infinity'", "'1200-01-01'"),
        }.items()
        for value in values
    ],
)
def test_an_argument_that_makes_no_sense_is_named(stage: psycopg.Connection[Row], argument: str, value: str) -> None:
    """Each of them is refused with its name and with what to write instead."""
    statement = f"SELECT * FROM pggit.detect_performance_degradation('step', {argument} => {value})"  # noqa: S608
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=argument) as refused:
        stage.execute(statement.encode())
    assert refused.value.diag.message_hint


def test_no_operation_is_refused_and_now_is_the_default(stage: psycopg.Connection[Row]) -> None:
    """NULL is no operation; without p_as_of it is now, when nothing of this has been measured for long."""
    with pytest.raises(psycopg.errors.NullValueNotAllowed, match="p_operation_type"):
        stage.execute("SELECT * FROM pggit.detect_performance_degradation(NULL)")
    for call in ("('step')", "('step', 24, 20)", "('step', p_as_of => NULL)"):
        statement = f"SELECT severity FROM pggit.detect_performance_degradation{call}"  # noqa: S608 - our own
        rows = stage.execute(statement.encode()).fetchall()
        assert rows == [("INSUFFICIENT_DATA",)]


def test_the_future_is_not_looked_at(stage: psycopg.Connection[Row]) -> None:
    """As of an hour before the change all is well, and an hour's last second counts as its end."""
    told = "SELECT severity FROM pggit.detect_performance_degradation('step', p_as_of => %s)"
    assert stage.execute(told, (SINCE,)).fetchall() == [("STABLE",)]
    end = "SELECT began_at FROM pggit.degradation_scan('step', p_as_of => %s)"
    assert stage.execute(end, (NOW - timedelta(microseconds=1),)).fetchall() == [(SINCE,)]


def test_all_operations_are_judged_as_each_is(stage: psycopg.Connection[Row]) -> None:
    """A scan has one row for each tracked operation, in order, and says what the one question says."""
    scanned: list[tuple[str, str]] = [
        (name, severity)
        for name, severity in stage.execute(
            "SELECT operation_type, severity FROM pggit.degradation_scan(p_as_of => %s)", (NOW,)
        ).fetchall()
    ]
    assert [name for name, _ in scanned] == sorted(name for name, _ in scanned)
    assert {"commit", "merge", "silent", *OPERATIONS} <= {name for name, _ in scanned}
    for operation in (*OPERATIONS, "young_step", "young_steady", "silent", "commit"):
        assert dict(scanned)[operation] == detect(stage, operation)[4], operation


def test_stored_scores_change_no_verdict(stage: psycopg.Connection[Row]) -> None:
    """Every finding is the same to the last digit with and without the cache, and with a part of it."""
    scan = "SELECT * FROM pggit.degradation_scan(p_as_of => %s)"
    fresh = stage.execute(scan, (NOW,)).fetchall()
    with stage.transaction(force_rollback=True):
        scored = stage.execute("SELECT pggit.refresh_hour_scores(%s)", (NOW - timedelta(hours=2),)).fetchone()
        assert scored is not None
        assert scored[0] > 1000
        assert stage.execute(scan, (NOW,)).fetchall() == fresh
        assert stage.execute("SELECT pggit.refresh_hour_scores(%s)", (NOW,)).fetchone() is not None
        assert stage.execute(scan, (NOW,)).fetchall() == fresh


def test_only_what_is_new_or_changed_is_scored_again(stage: psycopg.Connection[Row]) -> None:
    """A second refresh scores nothing; a histogram made afresh is scored from its hour on; a new day, all of it."""
    refresh = "SELECT pggit.refresh_hour_scores(%s)"
    with stage.transaction(force_rollback=True):
        everything = stage.execute(refresh, (NOW,)).fetchone()
        assert stage.execute(refresh, (NOW,)).fetchone() == (0,)
        stage.execute(
            "UPDATE pggit.performance_metric_histogram SET refreshed_at = clock_timestamp()"
            " WHERE operation_type = 'steady' AND hour_start = %s",
            (NOW - timedelta(hours=1),),
        )
        again = stage.execute(refresh, (NOW,)).fetchone()
        assert everything is not None
        assert again is not None
        assert 0 < again[0] < 25
        moved = stage.execute(refresh, (NOW + timedelta(hours=12),)).fetchone()
        assert moved is not None
        assert moved[0] > 1000
        oldest = stage.execute("SELECT min(hour_start) FROM pggit.performance_hour_score").fetchone()
        assert oldest == (datetime(2026, 3, 3),)  # noqa: DTZ001
