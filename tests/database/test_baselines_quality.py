"""The check of a baseline's figures, on demand and before one is stored."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import AsyncConnection

from database.baseline_support import active, history, recalculate, record, rows, settle


async def test_calculated_baseline_is_sound(connection: AsyncConnection) -> None:
    """Nothing is wrong with what we calculate."""
    baseline = await settle(connection, "commit", 1000)
    assert await rows(connection, "SELECT * FROM pggit.check_baseline_quality(%s)", baseline) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("min_microseconds = 0", "min is 0"),
        ("p50_microseconds = 900", "min 1000 is above p50 900"),
        ("p99_microseconds = 1001", "p99 1001 is above max 1000"),
        ("p75_microseconds = 1001", "percentiles are not in order"),
        ("sample_count = 0", "sample_count is 0"),
        ("sample_count = 1", "sample_count is 1"),
        ("mean_microseconds = 999", "mean 999.00 is not between"),
        ("mean_microseconds = 'NaN'", "mean NaN is not between"),
        ("stddev_microseconds = 'NaN'", "stddev NaN is not"),
        ("stddev_microseconds = 0.5", "stddev 0.50 is not"),
        ("stddev_microseconds = -1", "stddev -1.00 is not"),
    ],
)
async def test_each_problem_is_named(connection: AsyncConnection, damage: LiteralString, problem: str) -> None:
    """A damaged figure is found and said, with the figure."""
    baseline = await settle(connection, "commit", 1000)
    for constraint in ("chk_baseline_percentiles", "chk_sample_count", "chk_baseline_min_max"):
        await connection.execute(
            psycopg.sql.SQL("ALTER TABLE pggit.performance_baselines DROP CONSTRAINT {}").format(
                psycopg.sql.Identifier(constraint)
            )
        )
    await connection.execute(
        psycopg.sql.SQL("UPDATE pggit.performance_baselines SET {}").format(psycopg.sql.SQL(damage))
    )
    found = await rows(connection, "SELECT * FROM pggit.check_baseline_quality(%s) AS problem", baseline)
    assert any(problem in row["problem"] for row in found), found


async def test_spare_active_baseline_is_a_problem(connection: AsyncConnection) -> None:
    """Two active baselines of one operation name each other."""
    first = await settle(connection, "commit", 1000)
    second = await settle(connection, "commit", 1100)
    await connection.execute("UPDATE pggit.performance_baselines SET is_active = TRUE")
    [row] = await rows(connection, "SELECT * FROM pggit.check_baseline_quality(%s) AS problem", second)
    assert row["problem"] == f"active beside baseline {first} of the same operation and branch"


@pytest.mark.parametrize("unknown", [None, -1, 4711])
async def test_unknown_baseline_is_one_problem(connection: AsyncConnection, unknown: int | None) -> None:
    """A baseline that isn't there, or NULL, is a row that says so: no row means sound, which it is not."""
    [row] = await rows(connection, "SELECT * FROM pggit.check_baseline_quality(%s) AS problem", unknown)
    assert row["problem"].startswith(f"there is no baseline {'NULL: p_baseline_id' if unknown is None else unknown}")


async def test_figures_that_fail_the_check_are_refused(connection: AsyncConnection) -> None:
    """A candidate with bad figures is not stored: failed, with the problem, and the others go on."""
    await connection.execute(
        "ALTER TABLE pggit.performance_metrics DROP CONSTRAINT chk_duration_positive,"
        " DROP CONSTRAINT chk_duration_consistency"
    )
    await record(connection, "commit", [-5] * 3 + [1000] * 12)
    await record(connection, "merge", [1000] * 12)
    [previewed] = await rows(
        connection, "SELECT * FROM pggit.preview_baselines_rolling() WHERE operation_type = 'commit'"
    )
    assert previewed["verdict"] == "fail"
    assert [row["operation_type"] for row in await recalculate(connection)] == ["merge"]
    [failed] = await history(connection, "commit")
    assert (failed["status"], failed["error_message"]) == ("failed", "min is -5, it must be above 0")
    assert await active(connection, "commit") == []
