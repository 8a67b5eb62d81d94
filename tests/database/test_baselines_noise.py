"""When a change of p99 counts: noise of few samples, and drifts too slow for any single night to see."""

import random
from decimal import Decimal

import pytest
from psycopg import AsyncConnection

from database.baseline_support import (
    SNAPSHOT,
    active,
    recalculate,
    replace_metrics,
    rows,
    scalar,
    settle,
)

pytestmark = pytest.mark.servers


def durations(seed: int, factor: float = 1.0, samples: int = 100) -> list[int]:
    """Draw log-normal durations (sigma 0.5, median 8 ms)."""
    chance = random.Random(seed)  # noqa: S311 - sample data
    return [round(chance.lognormvariate(9, 0.5) * factor) for _ in range(samples)]


@pytest.mark.parametrize(
    ("old", "low", "high", "samples", "noise"),
    [
        (1000, 1000, 1000, 12, True),
        (999, 1000, 2000, 12, False),
        (2000, 1000, 2000, 9999, True),
        (1500, 1000, 2000, 10_000, False),
        (None, 1000, 2000, 12, False),
        (1500, None, None, 12, False),
    ],
)
async def test_noise_is_what_lies_in_the_interval_of_few_samples(
    connection: AsyncConnection, old: int | None, low: int | None, high: int | None, samples: int, *, noise: bool
) -> None:
    """The interval's ends belong to it; from 10,000 samples on, and without figures, nothing is noise."""
    found = await scalar(connection, "SELECT pggit.baseline_is_noise(%s, %s, %s, %s)", old, low, high, samples)
    assert found is noise


async def test_another_draw_of_the_same_distribution_changes_nothing(connection: AsyncConnection) -> None:
    """A p99 that moves by more than 5 % by chance is kept; forced, it is replaced; a real change is replaced."""
    await replace_metrics(connection, "commit", durations(2))
    await recalculate(connection)
    [old] = await active(connection, "commit")
    await replace_metrics(connection, "commit", durations(3))
    [seen] = await rows(connection, "SELECT * FROM pggit.preview_baselines_rolling() WHERE operation_type = 'commit'")
    assert abs(seen["percent_change"]) > 5
    assert seen["verdict"] == "keep"
    before = await (await connection.execute(SNAPSHOT)).fetchone()
    assert await recalculate(connection) == []
    assert await (await connection.execute(SNAPSHOT)).fetchone() == before
    assert len(await recalculate(connection, force=True)) == 1
    await connection.execute(
        "UPDATE pggit.performance_baselines SET is_active = baseline_id = %s", (old["baseline_id"],)
    )
    await replace_metrics(connection, "commit", durations(3, factor=1.9))
    [replaced] = await recalculate(connection)
    assert replaced["percent_change"] > 5


async def creep(connection: AsyncConnection, start: int, days: int, percent: int) -> list[int]:
    """Let an operation get slower by so much a night, and return the p99 in use after each."""
    await settle(connection, "commit", start)
    in_use, duration = [], float(start)
    for _ in range(days):
        await connection.execute(
            "UPDATE pggit.performance_baseline_history SET calculated_at = calculated_at - interval '1 day'"
        )
        duration *= 1 + percent / 100
        await replace_metrics(connection, "commit", [round(duration)] * 12)
        await recalculate(connection)
        [baseline] = await active(connection, "commit")
        in_use.append(int(baseline["p99_microseconds"]))
    return in_use


async def test_a_drift_is_held_once_it_has_doubled(connection: AsyncConnection) -> None:
    """6 % a night passes while it is below twice the first baseline, then it is held, and says what it crept from."""
    in_use = await creep(connection, 10_000, 14, 6)
    assert in_use[10] > 18_000
    assert max(in_use) <= 20_000
    assert in_use[-1] == in_use[10]
    [held] = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    assert held["reference_p99_ms"] == Decimal("10.000")
    assert held["p99_new_ms"] < 2 * held["p99_old_ms"]
    [told] = [row["detail"] for row in await rows(connection, "SELECT detail FROM pggit.current_conditions()")]
    assert "and it was 10ms before it crept" in told


async def test_approval_starts_the_drift_anew(connection: AsyncConnection) -> None:
    """After a human approved, the approved figure is what later drifts are measured against."""
    await creep(connection, 10_000, 13, 6)
    [held] = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    await scalar(connection, "SELECT pggit.approve_baseline(%s)", held["history_id"])
    assert await scalar(connection, "SELECT pggit.baseline_reference('commit')") == held["p99_new_ms"] * 1000
    await replace_metrics(connection, "commit", [round(held["p99_new_ms"] * 1100)] * 12)
    assert len(await recalculate(connection)) == 1


async def test_the_reference_is_what_was_in_use_four_weeks_ago(connection: AsyncConnection) -> None:
    """Of older changes the last one counts, not the first; without history there is no reference."""
    assert await scalar(connection, "SELECT pggit.baseline_reference('commit')") is None
    assert await scalar(connection, "SELECT pggit.baseline_reference(NULL)") is None
    await connection.execute("""
        INSERT INTO pggit.performance_baseline_history
            (operation_type, status, reason, calculated_at, old_p99_microseconds, new_p99_microseconds)
        VALUES ('commit', 'applied', 'scheduled', now() - interval '60 days', 500, 1000),
            ('commit', 'applied', 'scheduled', now() - interval '29 days', 1000, 1500),
            ('commit', 'applied', 'scheduled', now() - interval '27 days', 1500, 1700),
            ('merge', 'applied', 'scheduled', now() - interval '5 days', 500, 1000),
            ('merge', 'applied', 'scheduled', now() - interval '4 days', 1000, 1100)
    """)
    assert await scalar(connection, "SELECT pggit.baseline_reference('commit')") == 1500
    assert await scalar(connection, "SELECT pggit.baseline_reference('merge')") == 500
    assert await scalar(connection, "SELECT pggit.baseline_reference('commit', 4711)") is None
