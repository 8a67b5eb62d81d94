"""recalculate_baseline with a branch: that branch's own metrics, baseline, history and candidates."""

import pytest
from psycopg import AsyncConnection

from database.baseline_support import (
    active,
    add_branch,
    history,
    listen_to_warnings,
    recalculate,
    replace_metrics,
    rows,
    scalar,
    settle,
)

pytestmark = pytest.mark.servers


async def test_a_branch_is_calculated_from_its_own_metrics(connection: AsyncConnection) -> None:
    """A branch gets a baseline of its own beside that of all, and neither run touches the other's."""
    branch = await add_branch(connection, "feature")
    await settle(connection, "commit", 1000)
    common = await active(connection, "commit")
    await replace_metrics(connection, "commit", [3000] * 12, branch_id=branch)
    report = await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit', %s)", branch)
    assert [(row["sample_count"], row["p99_old_ms"], row["method"]) for row in report] == [(12, None, "exact")]
    [own] = await active(connection, "commit", branch)
    assert own["p99_microseconds"] == 3000
    assert await active(connection, "commit") == common
    assert [row["branch_id"] for row in await history(connection, "commit")] == [None, branch]
    assert await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit', %s)", branch) == []


async def test_a_branch_is_held_and_decided_like_any_other(connection: AsyncConnection) -> None:
    """A leap of a branch is held with its branch, beside one of all branches, and approval changes the branch's."""
    branch = await add_branch(connection, "feature")
    await replace_metrics(connection, "commit", [3000] * 12, branch_id=branch)
    await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit', %s)", branch)
    await recalculate(connection)
    await replace_metrics(connection, "commit", [9000] * 12, branch_id=branch)
    heard = listen_to_warnings(connection)
    assert await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit', %s)", branch) == []
    await recalculate(connection)
    assert len([message for message in heard if "is held" in message]) == 2
    held = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    assert [row["branch_id"] for row in held] == [None, branch]
    await scalar(connection, "SELECT pggit.approve_baseline(%s)", held[1]["history_id"])
    [own] = await active(connection, "commit", branch)
    [common] = await active(connection, "commit")
    assert (own["p99_microseconds"], common["p99_microseconds"]) == (9000, 3000)


async def test_unknown_branch_gives_no_row(connection: AsyncConnection) -> None:
    """A branch that nobody knows, or that has no metrics, has too few of them."""
    await settle(connection, "commit", 1000)
    for branch in (-1, 4711, await add_branch(connection, "empty")):
        assert await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit', %s)", branch) == []
