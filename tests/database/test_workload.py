from datetime import datetime, timedelta

import psycopg
import pytest

from pggit_alertd.workload import Event, Kind, Operation, Workload, fill, fleets, rows, store
from pggit_alertd.workload.families import LogNormal
from pggit_alertd.workload.storage import copy_rows

pytestmark = pytest.mark.servers

MONDAY = datetime(2026, 1, 5)  # noqa: DTZ001 - as pgGit's columns: without zone
WRONG = """
    SELECT count(*)
    FROM pggit.performance_metrics
    WHERE duration_ms <> duration_microseconds::numeric / 1000
        OR end_time - start_time <> duration_microseconds * interval '1 microsecond'
        OR recorded_at <> end_time
        OR period_start <> date_trunc('day', recorded_at)
"""
UNKNOWN = """
    SELECT count(*)
    FROM pggit.performance_metrics AS m
    LEFT JOIN pggit.performance_operation_types AS t ON m.operation_type = t.operation_type
    WHERE t.is_tracked IS NOT TRUE
"""


def value(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    """Return the one value that a query gives."""
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def test_a_workload_is_stored_as_it_was_made(database: str) -> None:
    """Every row arrives once, unchanged, with times that agree, of an operation that is tracked."""
    workload = fleets.everyday(5, MONDAY, 0.3)
    with psycopg.connect(database, options="-c timezone=Asia/Kolkata", autocommit=True) as connection:
        store(connection, workload)
        stored = connection.execute(
            "SELECT operation_type, recorded_at, duration_microseconds FROM pggit.performance_metrics"
        ).fetchall()
        assert sorted(stored) == sorted(row[:3] for row in rows(workload))
        assert value(connection, WRONG) == 0
        assert value(connection, UNKNOWN) == 0


def test_each_label_of_a_metric_names_exactly_one_stored_metric(database: str) -> None:
    """What a label says is enough to find its metric."""
    spikes = Event(Kind.SPIKE, MONDAY, MONDAY + timedelta(days=1), 2.0, 20.0, 0.05)
    level = Event(Kind.LEVEL, MONDAY + timedelta(hours=12), MONDAY + timedelta(days=1), 1.5)
    operation = Operation("commit", LogNormal(0.3), 10_000, 2000, events=(spikes, level))
    with psycopg.connect(database, autocommit=True) as connection:
        truth = store(connection, Workload(1, MONDAY, 1, (operation,)))
        intervals = [each for each in truth if not each.single]
        assert [(each.kind, each.start, each.end, each.factor) for each in intervals] == [
            (Kind.LEVEL, level.start, level.end, 1.5)
        ]
        assert len(truth) > 50
        for label in truth:
            if label.single:
                count = value(
                    connection,
                    "SELECT count(*) FROM pggit.performance_metrics"
                    " WHERE operation_type = %s AND recorded_at = %s AND duration_microseconds = %s",
                    label.operation_type,
                    label.start,
                    label.duration_microseconds,
                )
                assert count == 1


def test_storing_leaves_known_operations_as_they_were_described(database: str) -> None:
    """A type that is there keeps its description and becomes tracked; a new one is added."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE pggit.performance_operation_types SET is_tracked = FALSE")
        operations = (Operation("commit", LogNormal(0.3), 4000, 50), Operation("a new one", LogNormal(0.3), 4000, 50))
        store(connection, Workload(1, MONDAY, 1, operations))
        assert connection.execute(
            "SELECT operation_type, description, typical_duration_ms, is_tracked"
            " FROM pggit.performance_operation_types WHERE is_tracked OR operation_type = 'a new one' ORDER BY 1"
        ).fetchall() == [
            ("a new one", "Generated", 4, True),
            ("commit", "Record the current state of a branch", 4, True),
        ]


def test_a_workload_that_fails_half_way_leaves_nothing(database: str) -> None:
    """Types and rows are stored in one transaction."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE pggit.performance_metrics ADD CHECK (recorded_at < timestamp '2026-01-05 12:00')"
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            store(connection, Workload(1, MONDAY, 1, (Operation("a new one", LogNormal(0.3), 4000, 500),)))
        assert value(connection, "SELECT count(*) FROM pggit.performance_metrics") == 0
        assert (
            value(
                connection, "SELECT count(*) FROM pggit.performance_operation_types WHERE operation_type = 'a new one'"
            )
            == 0
        )


def test_names_arrive_as_they_are(database: str) -> None:
    """What COPY's text format gives a meaning to is escaped."""
    names = ["tab\there", "back\\slash", "new\nline", "return\rhere", "\\N", "\\.", "naïve 'x', \"y\" ✓"]
    workload = Workload(1, MONDAY, 1, tuple(Operation(name, LogNormal(0.3), 4000, 20) for name in names))
    with psycopg.connect(database, autocommit=True) as connection:
        assert copy_rows(connection, rows(workload)) > 0
        found = connection.execute("SELECT DISTINCT operation_type FROM pggit.performance_metrics").fetchall()
        assert {name for (name,) in found} == set(names)


def test_filling_makes_as_many_metrics_as_asked_for(database: str) -> None:
    """Size is exact, all tracked operations take part unequally, and times lie in the days before the end."""
    with psycopg.connect(database, autocommit=True) as connection:
        assert fill(connection, 5000, days=3, end=MONDAY) == 5000
        assert value(connection, WRONG) == 0
        assert value(connection, UNKNOWN) == 0
        assert value(connection, "SELECT count(DISTINCT operation_type) FROM pggit.performance_metrics") == 33
        first, last = connection.execute(
            "SELECT min(recorded_at), max(recorded_at) FROM pggit.performance_metrics"
        ).fetchall()[0]
        assert MONDAY - timedelta(days=3) <= first < last <= MONDAY
        most = connection.execute(
            "SELECT count(*) FROM pggit.performance_metrics GROUP BY operation_type ORDER BY 1 DESC"
        ).fetchall()
        assert most[0][0] > 10 * most[-1][0]


def test_filling_is_repeatable(database: str) -> None:
    """The same seed gives the same metrics on one release, another seed other ones."""
    found = []
    with psycopg.connect(database, autocommit=True) as connection:
        for seed in (1, 1, 2):
            connection.execute("DELETE FROM pggit.performance_metrics")
            fill(connection, 300, end=MONDAY, seed=seed)
            found.append(
                connection.execute(
                    "SELECT operation_type, recorded_at, duration_microseconds"
                    " FROM pggit.performance_metrics ORDER BY recorded_at"
                ).fetchall()
            )
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_filling_ends_now_unless_told_otherwise(database: str) -> None:
    """Without an end, the newest metric is of the last minutes."""
    with psycopg.connect(database, autocommit=True) as connection:
        fill(connection, 2000, days=0.1)
        assert value(
            connection,
            "SELECT max(recorded_at) BETWEEN localtimestamp - interval '10 minutes' AND localtimestamp"
            " FROM pggit.performance_metrics",
        )


def test_sample_data_of_weeks_one_and_two_loads_and_serves_their_functions(database: str) -> None:
    """Ten thousand metrics of the 33 operations load, and weeks 1 and 2 make baselines, trends and alerts of them."""
    with psycopg.connect(database, autocommit=True) as connection:
        assert fill(connection, 10_000) == 10_000
        made = connection.execute(
            "SELECT pggit.calculate_performance_baseline(operation_type)"
            " FROM pggit.performance_operation_types ORDER BY operation_type_id"
        ).fetchall()
        assert len(made) == 33
        assert all(baseline is not None for (baseline,) in made)
        slow = value(connection, "SELECT pggit.record_performance_metric('commit', 3600000000)")
        alerts = connection.execute(
            "SELECT alert_type, operation_type FROM pggit.performance_alerts WHERE metric_id = %s", (slow,)
        ).fetchall()
        assert alerts == [("THRESHOLD_EXCEEDED", "commit")]
        assert connection.execute("SELECT * FROM pggit.get_performance_trend('commit')").fetchall()
