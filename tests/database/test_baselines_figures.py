"""The figures of a window from histograms beside those from the metrics themselves, and which of them is used."""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from conftest import Cluster
from database.baseline_support import history, recalculate, record, rows, scalar, settle

pytestmark = pytest.mark.servers

FILL: LiteralString = """
    INSERT INTO pggit.performance_metrics (
        operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
    )
    SELECT operation, duration, duration::numeric / 1000, at, at + interval '1 s', 'tester', at, date_trunc('day', at)
    FROM unnest(%s::text[], %s::bigint[], %s::double precision[]) AS drawn (operation, duration, hours)
    CROSS JOIN LATERAL (SELECT LOCALTIMESTAMP - drawn.hours * interval '1 hour') AS moment (at)
"""
COMPARE: LiteralString = """
    SELECT exact.operation_type, exact.percentiles, merged.percentiles AS merged, exact.p99_bounds,
        merged.p99_bounds AS merged_bounds, exact.mean, merged.mean AS merged_mean, exact.spread,
        merged.spread AS merged_spread,
        (exact.sample_count, exact.shortest, exact.longest)
        = (merged.sample_count, merged.shortest, merged.longest) AS same
    FROM pggit.exact_latency_figures(%(since)s::timestamp, p_until => %(until)s::timestamp) AS exact
    FULL JOIN pggit.histogram_latency_figures(%(since)s::timestamp, p_until => %(until)s::timestamp) AS merged
        USING (operation_type)
"""
SHAPES = ("log-normal", "hit or miss", "ties", "alone", "pair", "far apart")


def draw(shape: str, chance: random.Random) -> list[int]:
    """Return durations in microseconds of one shape."""
    shapes: dict[str, Callable[[], list[int]]] = {
        "log-normal": lambda: [round(chance.lognormvariate(9, 0.8)) + 1 for _ in range(900)],
        "hit or miss": lambda: [
            chance.choice((40, 41, 42, 43) if chance.random() < 0.9 else (90_000,)) for _ in range(300)
        ],
        "ties": lambda: [777] * 50,
        "alone": lambda: [123_456],
        "pair": lambda: [1000, 9000],
        "far apart": lambda: [1, 2, 3, 4, 10**6, 10**9, 2**62],
    }
    return shapes[shape]()


@pytest.fixture(scope="module")
def measured(server: Cluster) -> Iterator[str]:
    """Yield a database with nine days of metrics, a few of them in the future, folded up to the last whole hour."""
    name = server.create(server.template())
    dsn = server.server.dsn(name)
    chance = random.Random(4)  # noqa: S311 - sample data
    drawn = [(shape, duration, chance.uniform(-2, 216)) for shape in SHAPES for duration in draw(shape, chance)]
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute(FILL, tuple(map(list, zip(*drawn, strict=True))))
        session.execute("SELECT pggit.refresh_performance_histograms()")
    yield dsn
    server.drop(name)


@pytest.mark.parametrize(
    "until",
    [
        "NULL",
        "LOCALTIMESTAMP",
        "CURRENT_DATE - 2",
        "CURRENT_DATE - 2 + interval '17 hours 20 minutes'",
        "CURRENT_DATE - 7 + interval '21 hours'",
    ],
)
@pytest.mark.parametrize(
    "since",
    [
        "LOCALTIMESTAMP - interval '7 days'",
        "CURRENT_DATE - 7",
        "CURRENT_DATE - 7 + interval '3 hours 20 minutes'",
        "CURRENT_DATE - 7 + interval '20 hours 40 minutes'",
        "CURRENT_DATE - 7 + interval '23 hours 59 minutes'",
        "date_trunc('hour', LOCALTIMESTAMP) - interval '50 hours'",
        "LOCALTIMESTAMP - interval '30 minutes'",
        "LOCALTIMESTAMP - interval '400 days'",
        "LOCALTIMESTAMP + interval '1 hour'",
    ],
)
async def test_histograms_agree_with_the_metrics_within_a_percent(
    measured: str, since: LiteralString, until: LiteralString
) -> None:
    """Between whatever instants: the same metrics, exact mean and extremes, percentiles within 1 % or a microsecond."""
    async with await AsyncConnection.connect(measured) as session:
        [span] = await rows(session, "SELECT (" + since + ")::timestamp AS since, (" + until + ")::timestamp AS until")
        async with session.cursor(row_factory=dict_row) as cursor:
            compared = await (await cursor.execute(COMPARE, span)).fetchall()
    for row in compared:
        assert row["same"], row
        for exact, merged in zip(row["percentiles"], row["merged"], strict=True):
            assert merged == pytest.approx(exact, rel=0.01, abs=1)
        low, high = row["merged_bounds"]
        assert low < row["p99_bounds"][0] <= row["p99_bounds"][1] <= high * 1.0001
        assert row["merged_mean"] == pytest.approx(row["mean"], rel=1e-9)
        if row["spread"] is None:
            assert row["merged_spread"] is None
        else:
            assert row["merged_spread"] == pytest.approx(row["spread"], rel=1e-6, abs=1e-3)
    assert compared or "+ interval '1 hour'" in since or span["until"] < span["since"] + timedelta(hours=12)


async def test_window_without_histograms_is_read_from_the_metrics(connection: AsyncConnection) -> None:
    """Before the first refresh the figures are those of the raw rows, to the bucket."""
    await record(connection, "commit", range(1000, 3000))
    figures = "SELECT * FROM pggit.histogram_latency_figures(LOCALTIMESTAMP - interval '7 days')"
    [before] = await rows(connection, figures)
    await scalar(connection, "SELECT pggit.refresh_performance_histograms()")
    [after] = await rows(connection, figures)
    assert before == after
    assert before["sample_count"] == 2000


@pytest.mark.parametrize("since", ["LOCALTIMESTAMP - interval '7 days'", "CURRENT_DATE", "CURRENT_DATE - 1"])
async def test_hours_that_lie_ahead_count_once(connection: AsyncConnection, since: LiteralString) -> None:
    """When the clock was set back, the hour it shows again is in the histograms already; the figures have it once."""
    await record(connection, "commit", range(1000, 1500), age="30 hours")
    async with connection.transaction():
        await record(connection, "commit", range(2000, 3000), age="0")
        await connection.execute("SELECT pggit.refresh_performance_histograms()")
        await connection.execute(
            "SELECT pggit.fold_metric_hours(at, at + interval '1 hour'), pggit.fold_metric_days(at::date, at::date)"
            " FROM (SELECT date_trunc('hour', LOCALTIMESTAMP)) AS hour (at)"
        )
        [span] = await rows(connection, "SELECT (" + since + ")::timestamp AS since, NULL::timestamp AS until")
        async with connection.cursor(row_factory=dict_row) as cursor:
            [compared] = await (await cursor.execute(COMPARE, span)).fetchall()
    assert compared["same"], compared


async def test_small_windows_are_exact_and_large_ones_say_histogram(connection: AsyncConnection) -> None:
    """The limit itself is exact, one more is not; a named operation is counted alone; a 50th is small."""
    await record(connection, "commit", [1000] * 30, age="3 days")
    await record(connection, "merge", [1000] * 10, age="0")
    await scalar(connection, "SELECT pggit.refresh_performance_histograms()")

    async def method(limit: int, operation: str | None = None) -> dict[str, str]:
        return {
            row["operation_type"]: row["method"]
            for row in await rows(
                connection, "SELECT * FROM pggit.baseline_candidates(7, 1, %s, NULL, %s)", operation, limit
            )
        }

    assert await method(40) == {"commit": "exact", "merge": "exact"}
    assert await method(39) == {"commit": "histogram", "merge": "histogram"}
    await record(connection, "merge", [1000] * 520, age="4 hours")
    await record(connection, "commit", [1000] * 520, age="0")
    assert await method(1069) == {"commit": "histogram", "merge": "histogram"}
    await record(connection, "rollback", [1000] * 20, age="4 hours")
    await record(connection, "rollback", [1000], age="0")
    assert await method(1050) == {"commit": "histogram", "merge": "histogram", "rollback": "exact"}
    assert await method(1049) == {"commit": "histogram", "merge": "histogram", "rollback": "histogram"}
    await connection.execute("DELETE FROM pggit.performance_metrics WHERE duration_microseconds = 1000")
    await record(connection, "commit", [1000] * 30, age="3 days")
    await record(connection, "merge", [1000] * 10, age="0")
    await scalar(connection, "SELECT pggit.refresh_performance_histograms()")
    assert await method(30, "commit") == {"commit": "exact"}
    assert await method(29, "commit") == {"commit": "histogram"}
    assert await method(10, "merge") == {"merge": "exact"}
    assert await method(9, "merge") == {"merge": "histogram"}
    assert await method(0, "no such operation") == {}


async def test_a_small_window_is_exact_beside_any_other(connection: AsyncConnection) -> None:
    """Each operation with a 50th of the limit is exact, however many there are, and has percentile_cont's figures."""
    chance = random.Random(7)  # noqa: S311 - sample data
    operations = [
        row["operation_type"] for row in await rows(connection, "TABLE pggit.performance_operation_types LIMIT 30")
    ]
    large, *small = operations
    await record(connection, large, [1000] * 500, age="3 days")
    for operation in small:
        await record(connection, operation, [round(chance.lognormvariate(9, 0.8)) + 1 for _ in range(7)], age="2 days")
        await record(connection, operation, [round(chance.lognormvariate(9, 0.8)) + 1], age="0")
    await scalar(connection, "SELECT pggit.refresh_performance_histograms()")
    found = {
        row["operation_type"]: row
        for row in await rows(connection, "SELECT * FROM pggit.baseline_candidates(7, 1, NULL, NULL, 400)")
    }
    assert {name: row["method"] for name, row in found.items()} == {large: "histogram"} | dict.fromkeys(small, "exact")
    for row in await rows(
        connection,
        "SELECT operation_type, percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_microseconds)::bigint AS p99"
        " FROM pggit.performance_metrics WHERE operation_type <> %s GROUP BY operation_type",
        large,
    ):
        assert found[row["operation_type"]]["p99_microseconds"] == row["p99"]


async def test_a_recalculation_says_which_method_it_used(connection: AsyncConnection) -> None:
    """Result, preview and history agree; what we did not calculate has no method."""
    await record(connection, "commit", range(1000, 1100))
    [foretold] = await rows(
        connection, "SELECT method FROM pggit.preview_baselines_rolling() WHERE operation_type = 'commit'"
    )
    [row] = await recalculate(connection)
    await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    recorded = await history(connection, "commit")
    assert (foretold["method"], row["method"]) == ("exact", "exact")
    assert [entry["method"] for entry in recorded] == ["exact", None]


async def test_a_recalculation_folds_what_is_new(connection: AsyncConnection) -> None:
    """The histograms reach to the last whole hour after a run, and metrics that are gone have none."""
    await settle(connection, "commit", 1000)
    stored = "SELECT count(*) FROM pggit.performance_metric_histogram"
    assert await scalar(connection, stored) == 1
    assert await scalar(connection, "SELECT pggit.histograms_are_behind()") is False
    await record(connection, "commit", [1000] * 12, age="5 days")
    assert await scalar(connection, "SELECT pggit.histograms_are_behind()") is True
    await recalculate(connection)
    assert await scalar(connection, stored) == 2
    await connection.execute("TRUNCATE pggit.performance_metrics CASCADE")
    await recalculate(connection)
    assert await scalar(connection, stored) == 0
    assert await scalar(connection, "SELECT pggit.histograms_are_behind()") is False
    assert await scalar(connection, "SELECT pggit.histograms_stored_to()") is None


async def test_metrics_of_the_future_count(connection: AsyncConnection) -> None:
    """A writer whose clock is a day ahead still wrote just now, by either method."""
    await record(connection, "commit", range(1000, 1100), age="-1 day")
    await record(connection, "commit", range(1000, 1100), age="2 hours")
    await scalar(connection, "SELECT pggit.refresh_performance_histograms()")
    for limit in (0, 1000):
        [row] = await rows(connection, "SELECT * FROM pggit.baseline_candidates(7, 1, NULL, NULL, %s)", limit)
        assert row["sample_count"] == 200


@pytest.mark.parametrize("function", ["exact_latency_figures", "histogram_latency_figures"])
async def test_figures_of_nothing_are_no_row(connection: AsyncConnection, function: str) -> None:
    """NULL, an unknown operation and an empty table give no row."""
    await record(connection, "commit", [1000])
    for arguments in ("NULL", "LOCALTIMESTAMP, 'no such operation'", "timestamp 'infinity'"):
        assert await rows(connection, f"SELECT * FROM pggit.{function}({arguments})") == []  # noqa: S608


async def test_nothing_and_nobody_are_no_large_window(connection: AsyncConnection) -> None:
    """Empty tables, unknown operations and NULL leave everything exact, and no limit means that nothing is."""
    decide = "SELECT pggit.exact_operations(LOCALTIMESTAMP - interval '7 days', %s, %s, NULL)"
    for operation in (None, "commit", "no such operation"):
        assert await scalar(connection, decide, operation, 50_000) is None
    await record(connection, "commit", [1000] * 3, age="0")
    assert await scalar(connection, decide, None, 0) == []
    assert await scalar(connection, decide, "commit", 0) == []
    assert await scalar(connection, decide, "no such operation", 0) is None
    assert await scalar(connection, "SELECT pggit.baseline_is_capped(NULL)") is False
