"""The rolling recalculation: which operations, which metrics, which figures, which rule."""

import random
from collections.abc import Sequence
from decimal import Decimal
from statistics import mean, stdev
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import (
    SNAPSHOT,
    active,
    add_branch,
    history,
    listen_to_warnings,
    recalculate,
    record,
    replace_metrics,
    rows,
    scalar,
    settle,
)


def percentile(durations: Sequence[int], fraction: float) -> int:
    """Compute percentile_cont by its definition: linear between the two nearest ranks."""
    ordered = sorted(durations)
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (ordered[above] - ordered[below]) * (position - below))


async def test_empty_tables_give_no_row(connection: AsyncConnection) -> None:
    """Without metrics nothing is calculated, applied or recorded, forced or not."""
    assert await recalculate(connection) == []
    assert await recalculate(connection, force=True) == []
    assert await scalar(connection, "SELECT count(*) FROM pggit.performance_baseline_history") == 0


async def test_result_has_the_documented_columns_in_order(connection: AsyncConnection) -> None:
    """The report's columns are those of the design document, and behind them how the figures were got."""
    cursor = await connection.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")
    assert [column.name for column in cursor.description or ()] == [
        "operation_type",
        "baseline_id",
        "sample_count",
        "p99_old_ms",
        "p99_new_ms",
        "percent_change",
        "method",
    ]


async def test_new_operation_gets_a_baseline_with_no_old_values(connection: AsyncConnection) -> None:
    """An operation without a baseline gets one by itself, even one added a moment ago."""
    await connection.execute("INSERT INTO pggit.performance_operation_types (operation_type) VALUES ('brand_new')")
    await record(connection, "brand_new", range(1000, 1012))
    [row] = await recalculate(connection)
    assert row["operation_type"] == "brand_new"
    assert row["sample_count"] == 12
    assert row["p99_old_ms"] is None
    assert row["percent_change"] is None
    assert row["p99_new_ms"] == Decimal("1.011")
    [baseline] = await active(connection, "brand_new")
    assert baseline["baseline_id"] == row["baseline_id"]


@pytest.mark.parametrize("samples", [10, 11, 97, 400])
async def test_figures_are_those_of_the_window(connection: AsyncConnection, samples: int) -> None:
    """Percentiles, min, max, mean and stddev equal percentile_cont, avg and stddev of the metrics, in microseconds."""
    source = random.Random(samples)  # noqa: S311 - sample data
    durations = [int(source.lognormvariate(8.5, 1.1)) + 1 for _ in range(samples)]
    await record(connection, "commit", durations)
    await recalculate(connection)
    [baseline] = await active(connection, "commit")
    assert baseline["sample_count"] == samples
    assert baseline["min_microseconds"] == min(durations)
    assert baseline["max_microseconds"] == max(durations)
    for name, fraction in (("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        assert baseline[f"{name}_microseconds"] == percentile(durations, fraction)
    assert float(baseline["mean_microseconds"]) == pytest.approx(mean(durations), abs=0.006)
    assert float(baseline["stddev_microseconds"]) == pytest.approx(stdev(durations), abs=0.006)
    assert baseline["calculated_from_days"] == 7
    [independent] = await rows(
        connection,
        "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_microseconds)::bigint AS p99,"
        " round(avg(duration_microseconds), 2) AS mean, round(stddev(duration_microseconds), 2) AS spread"
        " FROM pggit.performance_metrics WHERE operation_type = 'commit'",
    )
    assert baseline["p99_microseconds"] == independent["p99"]
    assert baseline["mean_microseconds"] == independent["mean"]
    assert baseline["stddev_microseconds"] == independent["spread"]


async def test_only_tracked_operations_are_processed(connection: AsyncConnection) -> None:
    """Every tracked operation is recalculated; untracked, undecided and unregistered ones are not."""
    for operation in ("commit", "merge", "rollback", "get_history", "unregistered"):
        await record(connection, operation, [1000] * 12)
    await connection.execute(
        "UPDATE pggit.performance_operation_types"
        " SET is_tracked = CASE operation_type WHEN 'merge' THEN FALSE END"
        " WHERE operation_type IN ('merge', 'rollback')"
    )
    assert [row["operation_type"] for row in await recalculate(connection)] == ["commit", "get_history"]


@pytest.mark.servers
async def test_all_shipped_operations_are_processed_in_one_run(connection: AsyncConnection) -> None:
    """Each of the 33 operations gets its own figures."""
    operations = [row["operation_type"] for row in await rows(connection, "TABLE pggit.performance_operation_types")]
    assert len(operations) == 33
    for number, operation in enumerate(operations, start=1):
        await record(connection, operation, [number * 100] * 12)
    report = await recalculate(connection)
    assert {row["operation_type"]: row["p99_new_ms"] for row in report} == {
        operation: Decimal(number * 100) / 1000 for number, operation in enumerate(operations, start=1)
    }


async def test_metrics_outside_the_window_do_not_count(connection: AsyncConnection) -> None:
    """Only what was recorded in the last p_lookback_days takes part, to the hour."""
    await record(connection, "commit", [1000] * 12, age="2 days 23 hours")
    await record(connection, "commit", [9000] * 12, age="3 days 1 hour")
    [row] = await recalculate(connection, lookback_days=3)
    assert (row["sample_count"], row["p99_new_ms"]) == (12, Decimal("1.000"))


async def test_window_follows_the_database_s_time_zone(database: str, connection: AsyncConnection) -> None:
    """A database far from UTC counts what was just recorded, and nothing that is a day and a bit old."""
    name = connection.info.dbname
    await connection.execute(
        psycopg.sql.SQL("ALTER DATABASE {} SET timezone = 'Pacific/Kiritimati'").format(psycopg.sql.Identifier(name))
    )
    async with await AsyncConnection.connect(database, autocommit=True) as distant:
        await record(distant, "commit", [1000] * 12, age="0")
        await record(distant, "commit", [9000] * 12, age="1 day 1 hour")
        [row] = await recalculate(distant, lookback_days=1)
    assert (row["sample_count"], row["p99_new_ms"]) == (12, Decimal("1.000"))


async def test_too_few_samples_keep_the_old_baseline(connection: AsyncConnection) -> None:
    """One sample short of the minimum the old baseline stays in use, forced or not, and nothing is recorded."""
    old = await settle(connection, "commit", 1000)
    await replace_metrics(connection, "commit", [1500] * 9)
    before = await history(connection, "commit")
    assert await recalculate(connection) == []
    assert await recalculate(connection, force=True) == []
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [old]
    assert await history(connection, "commit") == before
    await record(connection, "commit", [1500])
    assert len(await recalculate(connection)) == 1


@pytest.mark.parametrize(
    ("new", "percent"),
    [(1050, None), (950, None), (1051, "5.10"), (949, "-5.10"), (2000, "100.00"), (500, "-50.00")],
)
async def test_five_percent_exactly_is_kept(connection: AsyncConnection, new: int, percent: str | None) -> None:
    """A p99 within 5 %, the boundary included, is kept; beyond it, up to twice or half, it is replaced."""
    old = await settle(connection, "commit", 1000)
    await replace_metrics(connection, "commit", [new] * 12)
    report = await recalculate(connection)
    [baseline] = await active(connection, "commit")
    if percent is None:
        assert report == []
        assert baseline["baseline_id"] == old
    else:
        assert [(row["p99_old_ms"], row["p99_new_ms"], row["percent_change"]) for row in report] == [
            (Decimal("1.000"), Decimal(new) / 1000, Decimal(percent))
        ]
        assert baseline["p99_microseconds"] == new
        assert baseline["baseline_id"] != old


@pytest.mark.parametrize("new", [1000, 1010, 2001, 499, 5_000_000])
async def test_force_applies_whatever_was_calculated(connection: AsyncConnection, new: int) -> None:
    """A forced run replaces unchanged baselines and those that would be held, because a human asked."""
    await settle(connection, "commit", 1000)
    await replace_metrics(connection, "commit", [new] * 12)
    assert len(await recalculate(connection, force=True)) == 1
    [baseline] = await active(connection, "commit")
    assert baseline["p99_microseconds"] == new
    assert (await history(connection, "commit"))[-1]["reason"] == "force"
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []


async def test_second_run_on_the_same_metrics_changes_nothing(connection: AsyncConnection) -> None:
    """Unchanged metrics cause no churn."""
    await record(connection, "commit", range(1000, 2000, 7))
    await recalculate(connection)
    before = await (await connection.execute(SNAPSHOT)).fetchone()
    assert await recalculate(connection) == []
    assert await (await connection.execute(SNAPSHOT)).fetchone() == before


async def test_alert_threshold_is_carried_over(connection: AsyncConnection) -> None:
    """A threshold that somebody tuned survives the nightly replacement."""
    await settle(connection, "commit", 1000)
    await connection.execute("UPDATE pggit.performance_baselines SET alert_threshold_multiplier = 3.5")
    await replace_metrics(connection, "commit", [1500] * 12)
    await recalculate(connection)
    [baseline] = await active(connection, "commit")
    assert baseline["alert_threshold_multiplier"] == Decimal("3.50")


async def test_branch_baselines_stay_active_and_untouched(connection: AsyncConnection) -> None:
    """The run over all branches changes no baseline that belongs to one."""
    branch = await add_branch(connection, "feature")
    await record(connection, "commit", [1000] * 12, branch_id=branch)
    await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit', %s)", branch)
    before = await active(connection, "commit", branch)
    assert len(before) == 1
    await recalculate(connection, force=True)
    assert await active(connection, "commit", branch) == before
    assert len(await active(connection, "commit")) == 1


@pytest.mark.servers
async def test_two_active_baselines_are_healed_to_the_one_in_use(connection: AsyncConnection) -> None:
    """A spare active baseline is switched off even where nothing else is to be done; a branch's is left alone."""
    branch = await add_branch(connection, "feature")
    await settle(connection, "commit", 1000)
    await connection.execute(
        """
        INSERT INTO pggit.performance_baselines (
            operation_type, branch_id, baseline_date, calculation_timestamp, sample_count, min_microseconds,
            max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds,
            p99_microseconds, mean_microseconds
        )
        SELECT operation_type, spare.branch_id, baseline_date - 1, calculation_timestamp - interval '1 day',
            sample_count, min_microseconds, max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds,
            p95_microseconds, p99_microseconds, mean_microseconds
        FROM pggit.performance_baselines CROSS JOIN (VALUES (NULL), (NULL), (%s::integer)) AS spare (branch_id)
        """,
        (branch,),
    )
    [newest, *_] = sorted(
        await active(connection, "commit"), key=lambda row: row["calculation_timestamp"], reverse=True
    )
    recorded = await history(connection, "commit")
    assert len(await active(connection, "commit")) == 3
    assert await recalculate(connection) == []
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [newest["baseline_id"]]
    assert len(await active(connection, "commit", branch)) == 1
    assert await history(connection, "commit") == recorded


@pytest.mark.parametrize(
    "arguments",
    [
        {"lookback_days": None},
        {"lookback_days": 0},
        {"lookback_days": -7},
        {"lookback_days": 36501},
        {"min_samples": None},
        {"min_samples": 0},
        {"force": None},
    ],
)
async def test_bad_arguments_say_what_to_write(connection: AsyncConnection, arguments: dict[str, Any]) -> None:
    """An argument that can't be used is refused with 22023, its name and the mend."""
    with pytest.raises(errors.InvalidParameterValue, match=r"p_\w+ is \S+, it must be ") as refused:
        await recalculate(connection, **arguments)
    assert refused.value.diag.message_hint


async def test_one_sample_has_no_stddev(connection: AsyncConnection) -> None:
    """A minimum of one sample works: all figures are that sample, stddev is NULL."""
    await record(connection, "commit", [1234])
    assert len(await recalculate(connection, min_samples=1)) == 1
    [baseline] = await active(connection, "commit")
    assert baseline["stddev_microseconds"] is None
    assert baseline["p50_microseconds"] == baseline["p99_microseconds"] == baseline["min_microseconds"] == 1234


async def test_equal_samples_have_stddev_zero(connection: AsyncConnection) -> None:
    """Equal durations give a stddev of zero and no error."""
    await record(connection, "commit", [777] * 50)
    await recalculate(connection)
    [baseline] = await active(connection, "commit")
    assert baseline["stddev_microseconds"] == 0


@pytest.mark.servers
async def test_absurd_durations_fit_pggit_s_narrow_columns(connection: AsyncConnection) -> None:
    """Durations of 300 millennia overflow neither pgGit's numeric(12,2) nor a cast; what can't be held is told."""
    await connection.execute(
        "ALTER TABLE pggit.performance_baselines"
        " ALTER mean_microseconds TYPE numeric(12, 2), ALTER stddev_microseconds TYPE numeric(12, 2)"
    )
    await record(connection, "commit", [9_223_372_036_854_775_807] * 6 + [1] * 6)
    await record(connection, "merge", [1000] * 12)
    heard = listen_to_warnings(connection)
    assert {row["operation_type"] for row in await recalculate(connection)} == {"commit", "merge"}
    [baseline] = await active(connection, "commit")
    assert baseline["mean_microseconds"] == baseline["stddev_microseconds"] == Decimal("9999999999.99")
    assert await rows(connection, "SELECT * FROM pggit.check_baseline_quality(%s)", baseline["baseline_id"]) == []
    [warning] = heard
    assert (
        "baseline of commit is above what its column holds, and stored as the most that it does, 10000000 ms" in warning
    )
    assert [row["note"] for row in await history(connection, "commit")] == [
        "mean or stddev is above what its column holds"
    ]
    assert [row["note"] for row in await history(connection, "merge")] == [None]


@pytest.mark.servers
async def test_wide_columns_hold_the_true_mean(connection: AsyncConnection) -> None:
    """Where the columns are wide enough, calls of three hours have their own mean and stddev, and nothing is told."""
    await record(connection, "commit", [10_800_000_000, 10_800_000_002] * 6)
    heard = listen_to_warnings(connection)
    await recalculate(connection)
    [baseline] = await active(connection, "commit")
    assert baseline["mean_microseconds"] == Decimal("10800000001.00")
    assert baseline["stddev_microseconds"] == Decimal("1.04")
    assert heard == []


@pytest.mark.servers
async def test_one_operation_s_failure_does_not_stop_the_others(connection: AsyncConnection) -> None:
    """What can't be stored for one operation is told by WARNING and history; the others get their baselines."""
    await settle(connection, "commit", 1000)
    await connection.execute(
        "ALTER TABLE pggit.performance_baselines ADD CONSTRAINT no_1500 CHECK (p99_microseconds <> 1500)"
    )
    for operation in ("branch_create", "commit", "merge"):
        await replace_metrics(connection, operation, [1500 if operation == "commit" else 2000] * 12)
    heard = listen_to_warnings(connection)
    report = await recalculate(connection)
    assert [row["operation_type"] for row in report] == ["branch_create", "merge"]
    assert len(await active(connection, "merge")) == 1
    [kept] = await active(connection, "commit")
    assert kept["p99_microseconds"] == 1000
    [failed] = [row for row in await history(connection, "commit") if row["status"] == "failed"]
    assert "no_1500" in failed["error_message"]
    assert failed["new_p99_microseconds"] == 1500
    assert failed["old_baseline_id"] == kept["baseline_id"]
    assert [message for message in heard if "commit was not recalculated" in message]


@pytest.mark.servers
async def test_operation_names_are_data(connection: AsyncConnection) -> None:
    """An operation named like SQL, a format or JSON is calculated, held and recorded like any other."""
    hostile = """x'; DROP TABLE pggit.branches; -- %s %1$s {"a": 1} \u202e"""
    await connection.execute("INSERT INTO pggit.performance_operation_types (operation_type) VALUES (%s)", (hostile,))
    await settle(connection, hostile, 1000)
    await replace_metrics(connection, hostile, [9000] * 12)
    heard = listen_to_warnings(connection)
    await recalculate(connection)
    assert any(hostile in message for message in heard)
    assert [row["status"] for row in await history(connection, hostile)] == ["applied", "held"]


class TestOneOperation:
    """recalculate_baseline: the same rules for one operation."""

    async def test_touches_only_the_named_operation(self, connection: AsyncConnection) -> None:
        """Other operations keep what they have."""
        for operation in ("commit", "merge"):
            await record(connection, operation, [1000] * 12)
        report = await rows(connection, "SELECT * FROM pggit.recalculate_baseline('merge')")
        assert [row["operation_type"] for row in report] == ["merge"]
        assert await active(connection, "commit") == []

    async def test_untracked_operation_is_calculated_on_request(self, connection: AsyncConnection) -> None:
        """is_tracked governs the nightly run; a human may ask for any operation that has metrics."""
        await connection.execute("UPDATE pggit.performance_operation_types SET is_tracked = FALSE")
        await record(connection, "commit", [1000] * 12)
        assert len(await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit')")) == 1

    async def test_agrees_with_the_run_over_all(self, connection: AsyncConnection) -> None:
        """Both give the same figures for the same metrics."""
        await record(connection, "commit", range(1, 500))
        async with connection.transaction():  # of one day, whatever the hour
            await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit')")
            [one] = await active(connection, "commit")
            await recalculate(connection, force=True)
            [all_of_them] = await active(connection, "commit")
        ours = {"baseline_id", "calculation_timestamp"}
        assert {k: v for k, v in one.items() if k not in ours} == {
            k: v for k, v in all_of_them.items() if k not in ours
        }

    async def test_unknown_operation_gives_no_row(self, connection: AsyncConnection) -> None:
        """Nobody knows the operation, so it has too few metrics."""
        assert await rows(connection, "SELECT * FROM pggit.recalculate_baseline('no such operation')") == []

    async def test_null_operation_is_refused(self, connection: AsyncConnection) -> None:
        """NULL is not taken for all operations."""
        with pytest.raises(errors.InvalidParameterValue, match="p_operation_type is NULL"):
            await connection.execute("SELECT pggit.recalculate_baseline(NULL)")
