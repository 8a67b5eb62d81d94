"""Baselines under concurrency: one run at a time, one active baseline, and nobody else held up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import (
    PGGIT_CALCULATION,
    active,
    hold,
    record,
    replace_metrics,
    rows,
    scalar,
    settle,
    wait_until_blocked,
)

pytestmark = pytest.mark.servers

RECALCULATE = "SELECT * FROM pggit.recalculate_all_baselines_rolling(p_force_recalc => TRUE)"
WEEK_2 = "SELECT pggit.calculate_performance_baseline('commit')"


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[tuple[AsyncConnection, AsyncConnection]]:
    """Yield two further sessions; they open transactions by themselves and leave ending them to the test."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(await AsyncConnection.connect(database))
        second = await stack.enter_async_context(await AsyncConnection.connect(database))
        yield first, second
        await first.rollback()
        await second.rollback()


@pytest.fixture(autouse=True)
async def pggit_calculation(connection: AsyncConnection) -> None:
    """Have week 2's function as pgGit ships it, without the lock that ours takes on an empty database."""
    await connection.execute(PGGIT_CALCULATION)


async def actives(connection: AsyncConnection) -> dict[str, int]:
    """Count the active baselines of each operation (of all branches)."""
    return {
        row["operation_type"]: row["n"]
        for row in await rows(
            connection,
            "SELECT operation_type, count(*) AS n FROM pggit.performance_baselines"
            " WHERE is_active AND branch_id IS NULL GROUP BY operation_type",
        )
    }


async def test_second_run_is_told_busy(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection]
) -> None:
    """Of two runs at once one works; the other gets 55P03 with a hint at once, and can run afterwards."""
    first, second = sessions
    await record(connection, "commit", [1000] * 12)
    await first.execute(RECALCULATE)
    for statement in (RECALCULATE, "SELECT * FROM pggit.recalculate_baseline('merge')"):
        with pytest.raises(errors.LockNotAvailable, match="busy: another transaction") as refused:
            await second.execute(statement)
        assert "Nothing was changed" in (refused.value.diag.message_hint or "")
        await second.rollback()
    await first.commit()
    await second.execute(RECALCULATE)
    await second.commit()
    assert await actives(connection) == {"commit": 1}


async def test_eight_runs_at_once_leave_one_active_baseline(connection: AsyncConnection, database: str) -> None:
    """However many start together, those that run do so one after the other, and each change is on record."""
    await record(connection, "commit", range(1000, 1100))

    async def run() -> bool:
        async with await AsyncConnection.connect(database, autocommit=True) as session:
            try:
                await session.execute(RECALCULATE)
            except errors.LockNotAvailable:
                return False
            return True

    ran = await asyncio.gather(*(run() for _ in range(8)))
    assert any(ran)
    assert await actives(connection) == {"commit": 1}
    assert await scalar(connection, "SELECT count(*) FROM pggit.performance_baseline_history") == sum(ran)


@pytest.mark.parametrize("decision", ["approve_baseline", "reject_baseline"])
async def test_decision_during_a_run_is_told_busy(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection], decision: str
) -> None:
    """A candidate can't be decided while a run may be replacing it."""
    first, second = sessions
    held = await hold(connection, "commit")
    await first.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")
    with pytest.raises(errors.LockNotAvailable):
        await second.execute(
            "SELECT pggit.approve_baseline(%s)"
            if decision == "approve_baseline"
            else "SELECT pggit.reject_baseline(%s)",
            (held,),
        )


@pytest.mark.parametrize("existing", [True, False])
async def test_pggit_s_own_calculation_waits_for_ours(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection], *, existing: bool
) -> None:
    """Week 2's function started during our run waits, then replaces what we made: one active baseline."""
    ours, theirs = sessions
    await record(connection, "commit", [1000] * 12)
    if existing:
        await settle(connection, "commit", 1000)
    await ours.execute(RECALCULATE)
    calculation = asyncio.create_task(scalar(theirs, WEEK_2))
    await wait_until_blocked(connection, theirs.info.backend_pid)
    await ours.commit()
    made = await calculation
    await theirs.commit()
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [made]


@pytest.mark.parametrize("existing", [True, False])
async def test_ours_waits_for_pggit_s_own_calculation(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection], *, existing: bool
) -> None:
    """Our run started during week 2's function waits, sees what it made, and replaces that: one active baseline."""
    ours, theirs = sessions
    await record(connection, "commit", [1000] * 12)
    if existing:
        await settle(connection, "commit", 1000)
    await scalar(theirs, WEEK_2)
    run = asyncio.create_task(rows(ours, RECALCULATE))
    await wait_until_blocked(connection, ours.info.backend_pid)
    await theirs.commit()
    [applied] = await run
    await ours.commit()
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [applied["baseline_id"]]
    assert applied["p99_old_ms"] is not None


async def test_race_of_pggit_s_own_calculations_is_healed(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection]
) -> None:
    """Two of week 2's calculations at once leave two active baselines; our next run leaves one."""
    first, second = sessions
    await record(connection, "commit", [1000] * 12)
    await scalar(first, WEEK_2)
    await scalar(second, WEEK_2)
    await first.commit()
    await second.commit()
    assert await actives(connection) == {"commit": 2}
    await connection.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")
    assert await actives(connection) == {"commit": 1}


async def test_mixed_storm_leaves_one_active_baseline(connection: AsyncConnection, database: str) -> None:
    """Our runs and week 2's calculations in a tangle never leave an operation without, and our last run leaves one."""
    await record(connection, "commit", range(1000, 1100))
    await settle(connection, "commit", 1000)
    seen: list[int] = []

    async def run(statement: str) -> None:
        async with await AsyncConnection.connect(database, autocommit=True) as session:
            for _ in range(5):
                try:
                    await session.execute(statement)
                except errors.LockNotAvailable:
                    continue
                seen.append((await actives(session)).get("commit", 0))

    await asyncio.gather(run(RECALCULATE), run(RECALCULATE), run(WEEK_2))
    await connection.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")
    assert min(seen) >= 1
    assert await actives(connection) == {"commit": 1}


async def test_readers_never_see_an_operation_without_a_baseline(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection]
) -> None:
    """Until the run commits everybody sees the old baseline, then the new one."""
    ours, _ = sessions
    old = await settle(connection, "commit", 1000)
    [applied] = await rows(ours, RECALCULATE)
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [old]
    await ours.commit()
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [applied["baseline_id"]]


async def test_writers_of_alerts_are_not_held_up(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection]
) -> None:
    """During an uncommitted run a metric that raises an alert on the very baseline being replaced is stored at once."""
    ours, writer = sessions
    old = await settle(connection, "commit", 1000)
    await ours.execute(RECALCULATE)
    await writer.execute("SET lock_timeout = '1ms'")
    await scalar(writer, "SELECT pggit.record_performance_metric('commit', 60000)")
    await writer.commit()
    assert await scalar(connection, "SELECT baseline_id FROM pggit.performance_alerts") == old


async def test_run_waits_for_no_writer_of_alerts(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection]
) -> None:
    """An open transaction that raised an alert, and so holds its baseline's row by foreign key, blocks no run."""
    ours, writer = sessions
    await settle(connection, "commit", 1000)
    await scalar(writer, "SELECT pggit.record_performance_metric('commit', 60000)")
    await ours.execute("SET lock_timeout = '1ms'")
    await ours.execute(RECALCULATE)
    await ours.commit()
    await writer.commit()
    assert await actives(connection) == {"commit": 1}


async def test_stuck_writer_of_baselines_makes_the_run_give_up(
    connection: AsyncConnection, sessions: tuple[AsyncConnection, AsyncConnection]
) -> None:
    """A transaction that changed baselines and never ends is not waited for without end: 55P03, nothing changed."""
    ours, theirs = sessions
    await connection.execute("ALTER FUNCTION pggit.lock_baselines() SET lock_timeout = '20ms'")
    await settle(connection, "commit", 1000)
    await scalar(theirs, WEEK_2)
    with pytest.raises(errors.LockNotAvailable):
        await ours.execute(RECALCULATE)
    await ours.rollback()
    await theirs.rollback()
    assert await actives(connection) == {"commit": 1}


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_old_snapshot_is_refused(connection: AsyncConnection, level: str) -> None:
    """A transaction whose snapshot may be older than the lock would make a second active baseline: refused."""
    await replace_metrics(connection, "commit", [1000] * 12)
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL " + level)
        with pytest.raises(errors.FeatureNotSupported, match="can't be changed") as refused:
            async with connection.transaction():
                await connection.execute(RECALCULATE)
    assert "READ COMMITTED" in (refused.value.diag.message_hint or "")
