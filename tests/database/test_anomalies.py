"""Detection of anomalies: what counts as unusual, what is refused, and what nobody can know."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from math import exp
from typing import LiteralString

import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import listen_to_warnings, rows, scalar
from database.latency_support import local_hour, measure, undone

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DETECT = "SELECT * FROM pggit.detect_anomalies_statistical(%s)"


@pytest.fixture
async def connection(shared: str) -> AsyncIterator[AsyncConnection]:
    """Yield a connection whose changes are undone after the test."""
    async with undone(shared) as opened:
        yield opened


async def week(
    connection: AsyncConnection, operation: str = "commit", middle: int = 5000, per_hour: int = 4, days: int = 8
) -> datetime:
    """Record quiet days up to ten minutes ago, and return the time five minutes ago."""
    source = random.Random(operation)  # noqa: S311 - sample data
    end: datetime = await scalar(connection, "SELECT localtimestamp - interval '10 minutes'")
    spacing = HOUR / per_hour
    await measure(
        connection,
        operation,
        [(end - n * spacing, max(1, int(middle * exp(source.gauss(0, 0.1))))) for n in range(days * 24 * per_hour)],
    )
    return end + timedelta(minutes=5)


async def test_result_has_the_documented_columns_in_order(connection: AsyncConnection) -> None:
    """The columns are those of the design document."""
    cursor = await connection.execute("SELECT * FROM pggit.detect_anomalies_statistical('commit', 24, 3.0)")
    names = [column.name for column in cursor.description or ()]
    assert names == ["metric_id", "operation_type", "duration_ms", "zscore", "severity"]


@pytest.mark.servers
async def test_a_slow_metric_is_found_and_a_quiet_week_is_not(connection: AsyncConnection) -> None:
    """One metric four times slower than usual is found, alone, with its duration to the microsecond and its z."""
    now = await week(connection)
    assert await rows(connection, DETECT, "commit") == []
    [metric_id] = await measure(connection, "commit", [(now, 20_123)])
    [found] = await rows(connection, DETECT, "commit")
    assert (found["metric_id"], found["operation_type"], found["severity"]) == (metric_id, "commit", "ANOMALY")
    assert found["duration_ms"] == Decimal("20.123")
    assert found["zscore"] > 4
    await scalar(connection, "SELECT pggit.refresh_performance_histograms()")
    assert await rows(connection, DETECT, "commit") == [found], "raw rows or histograms, it is the same"
    await scalar(connection, "SELECT pggit.refresh_latency_profiles()")
    [stored] = await rows(connection, DETECT, "commit")
    assert stored["metric_id"] == metric_id
    [everywhere] = await rows(connection, "SELECT * FROM pggit.detect_all_anomalies()")
    assert (everywhere["metric_id"], everywhere["recorded_at"]) == (metric_id, now)
    assert everywhere["expected_low_ms"] < 5 < everywhere["expected_high_ms"] < everywhere["duration_ms"]


async def test_microseconds_are_not_rounded_away(connection: AsyncConnection) -> None:
    """In an operation of 200 us a metric of 980 us is found, and only that one."""
    now = await week(connection, middle=200)
    await measure(connection, "commit", [(now, 980)])
    assert [row["duration_ms"] for row in await rows(connection, DETECT, "commit")] == [Decimal("0.980")]


async def test_many_outliers_do_not_hide_each_other(connection: AsyncConnection) -> None:
    """Twenty-five slow metrics in the window are all found: the window is held against the days before it."""
    now = await week(connection)
    ids = await measure(connection, "commit", [(now - n * timedelta(minutes=9), 50_000) for n in range(25)])
    assert {row["metric_id"] for row in await rows(connection, DETECT, "commit")} == set(ids)


async def test_the_hour_of_the_day_is_taken_into_account(connection: AsyncConnection) -> None:
    """What is usual at noon is found at midnight."""
    source = random.Random(3)  # noqa: S311 - sample data
    end = (await local_hour(connection)).replace(hour=0)
    await measure(
        connection,
        "commit",
        [
            (at, int((8000 if at.hour >= 12 else 1000) * exp(source.gauss(0, 0.1))))
            for at in (end - n * timedelta(minutes=10) for n in range(1, 8 * 144))
        ],
    )
    slow = end - DAY + 3 * HOUR + timedelta(minutes=1)
    [metric_id] = await measure(connection, "commit", [(slow, 8000)])
    found = await rows(connection, "SELECT * FROM pggit.detect_anomalies_statistical('commit', p_as_of => %s)", end)
    assert [row["metric_id"] for row in found] == [metric_id]


async def test_fast_metrics_are_reported_on_request_only(connection: AsyncConnection) -> None:
    """A metric far below what is usual has a negative z, is left out by default, and comes with `fast` and `both`."""
    now = await week(connection)
    [fast, slow] = await measure(connection, "commit", [(now, 500), (now, 50_000)])
    directions = "SELECT * FROM pggit.detect_anomalies_statistical('commit', p_direction => %s)"
    found = {
        direction: {row["metric_id"]: row["zscore"] for row in await rows(connection, directions, direction)}
        for direction in ("slow", "fast", "both")
    }
    assert set(found["slow"]) == {slow}
    assert set(found["fast"]) == {fast}
    assert set(found["both"]) == {fast, slow}
    assert found["both"][fast] < -3


async def test_the_past_is_judged_as_it_was(connection: AsyncConnection) -> None:
    """With p_as_of, nothing recorded after it is seen, and what happened then is found with the history of then."""
    now = await week(connection, days=12)
    [then] = await measure(connection, "commit", [(now - 3 * DAY, 50_000)])
    [last] = await measure(connection, "commit", [(now, 60_000)])
    past = "SELECT metric_id FROM pggit.detect_all_anomalies(24, %s)"
    for at, seen in ((HOUR, True), (-HOUR, False), (timedelta(0), True), (2 * DAY, False)):
        found = await rows(connection, past, now - 3 * DAY + at)
        assert ({"metric_id": then} in found) is seen
        assert {"metric_id": last} not in found
    assert await rows(connection, past, "infinity") == []


async def test_equal_durations_make_no_division_by_zero(connection: AsyncConnection) -> None:
    """Where every metric takes the same, none is unusual, and one that takes 1.6 times as long is."""
    end: datetime = await scalar(connection, "SELECT localtimestamp")
    await measure(connection, "commit", [(end - n * HOUR, 1000) for n in range(200)])
    assert await rows(connection, DETECT, "commit") == []
    await measure(connection, "commit", [(end - timedelta(minutes=1), 1600)])
    assert [row["duration_ms"] for row in await rows(connection, DETECT, "commit")] == [Decimal("1.600")]


async def test_too_little_data_is_called_insufficient_and_not_normal(connection: AsyncConnection) -> None:
    """One metric, none, and an unknown operation give no row but a NOTICE, and a status that says what is missing."""
    heard = listen_to_warnings(connection)
    end: datetime = await scalar(connection, "SELECT localtimestamp")
    await measure(connection, "commit", [(end - HOUR, 1000)])
    await measure(connection, "merge", [(end - n * HOUR, 1000 + n) for n in range(1, 31)])
    for operation in ("commit", "rollback", "unknown"):
        heard.clear()
        assert await rows(connection, DETECT, operation) == []
        assert [f"insufficient: fewer than 10 metrics of '{operation}'" in notice for notice in heard] == [True]
        [status] = await rows(connection, "SELECT * FROM pggit.anomaly_detection_status(%s)", operation)
        assert (status["status"], status["samples_needed"]) == ("insufficient", 10)
        assert status["expected_high_ms"] is None
    heard.clear()
    assert await rows(connection, DETECT, None) == []
    assert await rows(connection, DETECT, "merge") == []
    assert heard == []
    [young] = await rows(connection, "SELECT * FROM pggit.anomaly_detection_status('merge')")
    assert (young["status"], young["sample_count"]) == ("young", 30)
    every = await rows(connection, "SELECT operation_type, status FROM pggit.anomaly_detection_status()")
    assert len(every) == 33
    assert {row["status"] for row in every} == {"insufficient", "young"}


@pytest.mark.parametrize(("every", "told"), [(150, True), (20, False), (None, False)])
async def test_a_range_without_an_end_is_not_taken_for_a_watch(
    connection: AsyncConnection, every: int | None, told: bool
) -> None:
    """Where rare misses of a cache leave no range that anything could exceed, the status says so."""
    source = random.Random(5)  # noqa: S311 - sample data
    end: datetime = await scalar(connection, "SELECT localtimestamp - interval '10 minutes'")
    await measure(
        connection,
        "commit",
        [
            (
                end - n * timedelta(minutes=5),
                int((20_000 if every and n % every == 0 else 1000) * exp(source.gauss(0, 0.2))),
            )
            for n in range(8 * 288)
        ],
    )
    [status] = await rows(connection, "SELECT status, reason FROM pggit.anomaly_detection_status('commit')")
    assert status["status"] == "watched"
    assert ("hardly anything can be found" in (status["reason"] or "")) is told
    await measure(connection, "commit", [(end, 200_000)])
    assert (await rows(connection, DETECT, "commit") == []) is told


async def test_a_young_operation_is_judged_by_the_little_there_is(connection: AsyncConnection) -> None:
    """Among thirty metrics of today the one that is fifty times slower is found."""
    end: datetime = await scalar(connection, "SELECT localtimestamp")
    metrics = [(end - n * timedelta(minutes=9), 1000 + 10 * n) for n in range(1, 30)]
    ids = await measure(connection, "commit", [(end, 50_000), *metrics])
    assert [row["metric_id"] for row in await rows(connection, DETECT, "commit")] == [ids[0]]


async def test_metrics_from_the_future_wait(connection: AsyncConnection) -> None:
    """What carries a later time than now is neither found nor in the way."""
    now = await week(connection)
    await measure(connection, "commit", [(now + 2 * DAY, 90_000), (now + HOUR, 90_000)])
    assert await rows(connection, DETECT, "commit") == []
    await measure(connection, "commit", [(now, 90_000)])
    assert len(await rows(connection, DETECT, "commit")) == 1


async def test_an_untracked_operation_is_judged_when_it_is_named(connection: AsyncConnection) -> None:
    """detect_all_anomalies leaves untracked and switched off operations out; naming one looks at it all the same."""
    now = await week(connection, "loose_end")
    await measure(connection, "loose_end", [(now, 90_000)])
    assert await rows(connection, "SELECT * FROM pggit.detect_all_anomalies()") == []
    assert len(await rows(connection, DETECT, "loose_end")) == 1
    await connection.execute("INSERT INTO pggit.performance_operation_types (operation_type) VALUES ('loose_end')")
    assert len(await rows(connection, "SELECT * FROM pggit.detect_all_anomalies()")) == 1
    switches: tuple[LiteralString, ...] = (
        "INSERT INTO pggit.anomaly_detection_settings (operation_type, enabled) VALUES ('loose_end', FALSE)",
        "UPDATE pggit.anomaly_detection_settings SET enabled = FALSE WHERE operation_type = '*'",
    )
    for switch in switches:
        await connection.execute(switch)
        assert await rows(connection, "SELECT * FROM pggit.detect_all_anomalies()") == []
        [status] = await rows(connection, "SELECT status FROM pggit.anomaly_detection_status('loose_end')")
        assert status == {"status": "off"}
        await connection.execute("DELETE FROM pggit.anomaly_detection_settings WHERE operation_type <> '*'")


async def test_thresholds_are_settled_per_operation(connection: AsyncConnection) -> None:
    """A ratio set for one operation hides what stays visible in another with the same metrics."""
    for operation in ("commit", "merge"):
        now = await week(connection, operation)
        await measure(connection, operation, [(now, 20_000)])
    await connection.execute(
        "INSERT INTO pggit.anomaly_detection_settings (operation_type, min_ratio) VALUES ('commit', 10)"
    )
    found = await rows(connection, "SELECT operation_type FROM pggit.detect_all_anomalies()")
    assert found == [{"operation_type": "merge"}]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("p_lookback_hours", 0),
        ("p_lookback_hours", -5),
        ("p_lookback_hours", None),
        ("p_lookback_hours", 100_000),
        ("p_sigma_threshold", 0),
        ("p_sigma_threshold", -1),
        ("p_sigma_threshold", "NaN"),
        ("p_sigma_threshold", None),
        ("p_baseline_days", 0),
        ("p_baseline_days", None),
        ("p_direction", "sideways"),
        ("p_direction", None),
        ("p_false_alarm_budget", 0),
        ("p_min_ratio", "0.5"),
        ("p_min_ratio", None),
        ("p_min_samples", 1),
        ("p_min_samples", None),
    ],
)
async def test_impossible_arguments_are_refused_by_name(
    connection: AsyncConnection, argument: str, value: object
) -> None:
    """What no detector can answer is an error that names the argument, whatever the data."""
    statement = f"SELECT * FROM pggit.detect_anomalies_statistical('commit', {argument} => %s)"  # noqa: S608 - ours
    with pytest.raises(errors.InvalidParameterValue, match=f"^{argument} is .*, it must be"):
        await connection.execute(statement.encode(), (value,))


async def test_any_window_has_an_answer(connection: AsyncConnection) -> None:
    """A window longer than the data, and a year of history, are answered like any other."""
    now = await week(connection, days=2)
    [metric_id] = await measure(connection, "commit", [(now, 90_000)])
    for hours, days in ((1, 1), (24, 366), (1000, 7), (8784, 366)):
        found = await rows(
            connection,
            "SELECT metric_id FROM pggit.detect_anomalies_statistical('commit', %s, p_baseline_days => %s)",
            hours,
            days,
        )
        assert found == [{"metric_id": metric_id}]
    await connection.execute("SELECT * FROM pggit.detect_anomalies_statistical('commit', p_false_alarm_budget => NULL)")


async def test_a_cut_is_where_the_score_reaches_the_threshold(connection: AsyncConnection) -> None:
    """anomaly_cut and anomaly_zscore are each other's inverse, for few metrics and many, tails of any shape or none."""
    found = await rows(
        connection,
        """
        SELECT
            z,
            CASE WHEN shape IS NULL THEN greatest(z, 2.31) ELSE z END AS at_least,
            pggit.anomaly_zscore(p, pggit.anomaly_cut(p, z, 1) + 1e-9) AS zscore
        FROM unnest(ARRAY[20, 99, 150, 500, 1999, 100000]) AS n
        CROSS JOIN unnest(ARRAY[0.05, 0.3, 0.9]) AS excess
        CROSS JOIN unnest(ARRAY[NULL, -0.3, -0.00005, 0, 0.00011, 0.45, 0.8]) AS shape
        CROSS JOIN unnest(ARRAY[2.4, 3.0, 4.1, 8]) AS z
        CROSS JOIN LATERAL (
            SELECT ROW(
                'x', now(), n, 7, '{}', 0.0, 0.3, 0.5, excess, 0.05, 0.8, excess * 0.8, 0.01,
                CASE WHEN n >= 2000 THEN 1.1 END, now(), shape, CASE WHEN shape IS NOT NULL THEN excess END,
                CASE WHEN n >= 2000 THEN 1.0 END
            )::pggit.performance_latency_profile AS p
        ) AS made
        """,
    )
    assert len(found) == 504
    for row in found:
        assert row["zscore"] == pytest.approx(float(row["z"]), abs=2e-3)


async def test_what_lies_beyond_a_tails_end_has_a_score(connection: AsyncConnection) -> None:
    """A tail that ends, and one that hardly varies, give a large z and a small one, never an overflow."""
    [found] = await rows(
        connection,
        """
        SELECT min(pggit.anomaly_zscore(p, 43)) AS beyond, max(pggit.anomaly_zscore(p, -43)) AS before
        FROM unnest(ARRAY[-0.4, -0.0002, 0, 0.0002, 0.85]) AS shape
        CROSS JOIN LATERAL (
            SELECT ROW(
                'x', now(), 9999, 7, '{}', 0.0, 0.02, 0.5, 0.02, 0.05, 0.8, 0.02, 0.01, 1.1, now(), shape, 0.01, 1.0
            )::pggit.performance_latency_profile AS p
        ) AS made
        """,
    )
    assert found == {"beyond": pytest.approx(127, abs=1), "before": 0}


async def test_the_budget_asks_for_what_matters(connection: AsyncConnection) -> None:
    """Within the budget a metric takes 1.4 times what one in a thousand does; without one, improbable is enough."""
    now = await week(connection)
    slow, slight = await measure(connection, "commit", [(now, 12_000), (now - timedelta(minutes=1), 8_000)])
    statement: LiteralString = """
        SELECT metric_id FROM pggit.detect_anomalies_statistical('commit', p_false_alarm_budget => %s) ORDER BY 1
    """
    assert await rows(connection, statement, Decimal("0.3")) == [{"metric_id": slow}]
    assert await rows(connection, statement, None) == [{"metric_id": slow}, {"metric_id": slight}]
