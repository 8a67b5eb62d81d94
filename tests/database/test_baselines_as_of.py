"""Baselines planned as of a past moment: the metrics, the baselines and the decisions of then."""

from typing import LiteralString

import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import Row, hold, record, replace_metrics, rows, scalar, settle

pytestmark = pytest.mark.servers

PREVIEW: LiteralString = """
    SELECT p.* FROM pggit.preview_baselines_rolling(
        p_as_of => (LOCALTIMESTAMP - %s::interval)::timestamp
    ) AS p
    WHERE p.operation_type = 'commit'
"""


async def preview(connection: AsyncConnection, ago: str | None) -> Row:
    """Return what a run so long ago would have done with the operation; NULL is now."""
    [row] = await rows(connection, PREVIEW, ago)
    return row


async def let_pass(connection: AsyncConnection, days: int) -> None:
    """Make everything that is recorded so many days older."""
    await connection.execute(
        "UPDATE pggit.performance_metrics SET recorded_at = recorded_at - make_interval(days => %(days)s),"
        " period_start = period_start - make_interval(days => %(days)s)",
        {"days": days},
    )
    await connection.execute(
        "UPDATE pggit.performance_baseline_history SET calculated_at = calculated_at - make_interval(days => %(days)s),"
        " decided_at = decided_at - make_interval(days => %(days)s)",
        {"days": days},
    )


async def test_the_past_is_planned_with_what_was_known_then(connection: AsyncConnection) -> None:
    """Before, between and after two changes: the window, the baseline in use and the verdict are those of then."""
    await settle(connection, "commit", 1000)
    await let_pass(connection, 10)
    await record(connection, "commit", [1500] * 30)
    await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit')")
    await let_pass(connection, 10)
    await record(connection, "commit", [4000] * 40)
    figures = ("sample_count", "p99_old_ms", "p99_new_ms", "verdict")

    async def seen(ago: str | None) -> list[str]:
        row = await preview(connection, ago)
        return [str(row[figure]) for figure in figures]

    assert await seen(None) == ["40", "1.500", "4.000", "hold"]
    assert await seen("9 days") == ["30", "1.500", "1.500", "keep"]
    assert await seen("10 days 30 minutes") == ["30", "1.000", "1.500", "replace"]
    assert await seen("19 days") == ["12", "1.000", "1.000", "keep"]
    assert await seen("400 days") == ["0", "None", "None", "skip"]


async def test_decisions_count_from_when_they_were_made(connection: AsyncConnection) -> None:
    """A candidate that waited then is one to wait for, although it has been rejected since."""
    held = await hold(connection, "commit")
    await let_pass(connection, 2)
    await scalar(connection, "SELECT pggit.reject_baseline(%s, 'alice')", held)
    assert (await preview(connection, "1 day"))["verdict"] == "wait"
    assert (await preview(connection, None))["verdict"] == "keep", "rejected"
    assert (await preview(connection, "50 hours"))["verdict"] == "skip", "nothing was measured yet"


async def test_a_baseline_older_than_the_history_was_in_use_since_it_was_made(connection: AsyncConnection) -> None:
    """Without history the active baseline's own time decides; an operation nobody knows, and NULL, have none."""
    await settle(connection, "commit", 1000)
    await connection.execute("TRUNCATE pggit.performance_baseline_history CASCADE")
    in_use = "SELECT count(*) FROM pggit.baseline_in_use(%s, NULL, (LOCALTIMESTAMP - %s::interval)::timestamp)"
    assert await scalar(connection, in_use, "commit", "-1 minute") == 1
    assert await scalar(connection, in_use, "commit", "1 day") == 0
    assert await scalar(connection, in_use, "commit", None) == 1
    assert await scalar(connection, in_use, "no such operation", "0") == 0
    assert await scalar(connection, in_use, None, "0") == 0


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "4000-01-01 BC"])
async def test_moments_that_metrics_can_not_be_of_are_refused(connection: AsyncConnection, moment: str) -> None:
    """An endless or prehistoric moment is an error that names the argument."""
    with pytest.raises(errors.InvalidParameterValue, match="p_as_of is "):
        await rows(connection, "SELECT * FROM pggit.preview_baselines_rolling(p_as_of => %s::timestamp)", moment)


async def test_calls_of_old_stay_unambiguous(connection: AsyncConnection) -> None:
    """There is one form of each function, so leaving p_as_of out fits it alone."""
    await replace_metrics(connection, "commit", [1000] * 12)
    assert len(await rows(connection, "SELECT * FROM pggit.preview_baselines_rolling(7, 10, FALSE, 0)")) == 33
    forms = await rows(
        connection,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'pggit'::regnamespace"
        " GROUP BY proname HAVING count(*) > 1 AND proname ~ 'baseline|latency_figures'",
    )
    assert forms == []
