"""The schedule when things go wrong: shutdown, vanished databases, locks held by others, long work."""

import asyncio

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pggit_alertd.database.pool import Database
from pggit_alertd.job import Result, transaction
from support.job_work import RUNS, SLOTS, Hold, Recorder
from support.replicas import Replica, TimeMachine, probe, replicas

SLOTS_OF_LONG = """
SELECT to_char(slot AT TIME ZONE 'UTC', 'DD HH24:MI'), status
FROM pggit.scheduled_job_run WHERE job = 'long' ORDER BY slot
"""


async def test_shutdown_hands_the_run_back_with_its_attempt(time: TimeMachine) -> None:
    """A replica that is told to stop in mid-run leaves the row due at once, and the next one takes it as attempt 1."""
    hold, work = Hold(), Recorder()
    leaving = Replica(time.dsn, "leaving", [probe(hold)])
    await leaving.start()
    await time.advance(hours=1)
    await leaving.round()
    await hold.begun.wait()
    await leaving.stop()
    assert await time.runs("status, attempt, claim_no, claimed_by, next_attempt_at") == [
        ("running", 0, 1, None, time.now)
    ]
    async with replicas(time.dsn, [probe(work)]):
        await time.until(RUNS, ("succeeded", 1, 2))


async def test_shutdown_with_the_database_gone_ends_and_leaves_the_run_to_its_lease(time: TimeMachine) -> None:
    """Handing back is tried, not insisted on: the replica stops all the same."""
    hold = Hold()
    leaving = Replica(time.dsn, "leaving", [probe(hold)])
    await leaving.start()
    await time.advance(hours=1)
    await leaving.round()
    await hold.begun.wait()
    async with no_connections(time):
        async with asyncio.timeout(10):
            await leaving.stop()
    assert await time.runs() == [("running", 1, 1, "leaving")]


async def test_a_long_job_delays_no_other_and_no_sign_of_life(time: TimeMachine) -> None:
    """While one job runs for hours, another one keeps its slots and the loop keeps ticking."""
    hold, work = Hold(), Recorder()
    jobs = [probe(hold, name="long", grace=90000, lease=80000), probe(work, name="short")]
    async with replicas(time.dsn, jobs) as (replica,):
        for number in range(1, 4):
            await time.advance(hours=1)
            before = replica.pulse.ticks
            await replica.round()
            assert replica.pulse.ticks > before
            await time.until(
                "SELECT job, status FROM pggit.scheduled_job_run ORDER BY job, slot",
                ("long", "running"),
                *[("short", "succeeded")] * number,
            )
        hold.go.set()
        await time.until(SLOTS_OF_LONG, ("10 13:00", "succeeded"), ("10 15:00", "succeeded"))


async def test_an_open_transaction_on_one_job_holds_up_neither_the_loop_nor_the_others(time: TimeMachine) -> None:
    """Somebody's uncommitted UPDATE of a job is not waited for; the job runs when it is over."""
    held, work = Recorder(), Recorder()
    async with replicas(time.dsn, [probe(held, name="held"), probe(work, name="other")]) as (replica,):
        await time.advance(hours=1)
        async with time.connection.transaction():
            await time.connection.execute("UPDATE pggit.scheduled_job SET grace = grace WHERE job = 'held'")
            await replica.round()
            await time.until("SELECT job, status FROM pggit.scheduled_job_run", ("other", "succeeded"))
            assert (replica.loop_errors(), held.calls) == (0, 0)
        await replica.round()
        await time.until(SLOTS, ("10 13:00", "succeeded"), ("10 13:00", "succeeded"))


async def test_an_older_run_that_died_gives_way_to_the_next_slot(time: TimeMachine) -> None:
    """No row stays `running` for ever: the next slot closes the dead one and runs in its place."""
    hold, work = Hold(), Recorder()
    ghost = Replica(time.dsn, "ghost", [probe(hold)])
    await ghost.start()
    await time.advance(hours=1)
    await ghost.round()
    await hold.begun.wait()
    await time.advance(hours=1)
    async with replicas(time.dsn, [probe(work)]):
        await time.until(SLOTS, ("10 13:00", "failed"), ("10 14:00", "succeeded"))
        assert "took its place" in (await time.runs("error_message"))[0][0]
    hold.go.set()
    await ghost.round()
    await ghost.stop()
    assert await time.runs("status") == [("failed",), ("succeeded",)]


async def test_a_schedule_that_somebody_broke_by_hand_stops_that_job_only(time: TimeMachine) -> None:
    """An unreadable expression in the table is logged; the other jobs and the loop go on."""
    broken, work = Recorder(), Recorder()
    jobs = [probe(broken, name="a broken one"), probe(work)]
    async with replicas(time.dsn, jobs) as (replica,):
        await time.connection.execute("UPDATE pggit.scheduled_job SET schedule = 'nightly' WHERE job = 'a broken one'")
        await time.advance(hours=1)
        await replica.round()
        await time.until(SLOTS, ("10 13:00", "succeeded"))
        assert replica.loop_errors() == 0
    assert broken.calls == 0


class no_connections:  # noqa: N801 - used like a function
    """Within this block the test database ends every connection of the replicas and takes no new one."""

    def __init__(self, time: TimeMachine) -> None:
        parts = conninfo_to_dict(time.dsn)
        self.name = str(parts["dbname"])
        self.admin = make_conninfo(time.dsn, dbname="postgres")
        self.keep = time.connection.info.backend_pid

    async def __aenter__(self) -> None:
        """Take the database away."""
        async with await AsyncConnection.connect(self.admin, autocommit=True) as admin:
            await admin.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS FALSE'.encode())
            await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s",
                (self.name, self.keep),
            )

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        async with await AsyncConnection.connect(self.admin, autocommit=True) as admin:
            await admin.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS TRUE'.encode())


async def test_the_loop_outlives_a_lost_database(time: TimeMachine) -> None:
    """With the database gone the loop counts errors, ticks and waits; when it is back the due slot runs."""
    work = Recorder()
    async with replicas(time.dsn, [probe(work)]) as (replica,):
        await time.advance(hours=1)
        async with no_connections(time):
            ticks = replica.pulse.ticks
            for number in range(1, 4):
                await replica.round()
                assert replica.loop_errors() == number
                assert 0 < replica.sleeps.seconds[-1] <= 30
            assert replica.pulse.ticks == ticks + 3
        await replica.round()
        await time.until(RUNS, ("succeeded", 1, 1))


async def test_a_run_that_ends_while_the_database_is_gone_is_written_when_it_is_back(time: TimeMachine) -> None:
    """The work is done, the row can't be written: it is tried until it is, and the work is not done twice."""
    hold = Hold()
    async with replicas(time.dsn, [probe(hold)]) as (replica,):
        await time.advance(hours=1)
        await replica.round()
        await hold.begun.wait()
        async with no_connections(time):
            hold.go.set()
            async with asyncio.timeout(10):
                while not replica.loop_errors():
                    await replica.round()
        async with asyncio.timeout(10):
            while not replica.counted("probe", "succeeded"):
                await replica.round()
        assert await time.runs() == [("succeeded", 1, 1, "replica-0")]


async def test_a_loop_that_starts_with_the_database_down_waits_for_it(time: TimeMachine) -> None:
    """Nothing is missed by starting early."""
    work = Recorder()
    async with replicas(time.dsn, [probe(work)]):
        pass
    await time.advance(hours=1)
    early = Replica(time.dsn, "early", [probe(work)])
    try:
        async with no_connections(time):
            await early.start()
            assert early.loop_errors() == 1
        await early.round()
        await time.until(RUNS, ("succeeded", 1, 1))
    finally:
        await early.stop()


async def test_a_statement_of_a_job_ends_before_its_lease(time: TimeMachine) -> None:
    """statement_timeout is set for the job's transaction only, and below the lease."""
    seen: list[str] = []

    async def work(database: Database, seconds: float) -> Result:
        async with transaction(database, seconds) as connection:
            seen.append(str((await (await connection.execute("SHOW statement_timeout")).fetchone() or ("",))[0]))
        async with database.connection() as connection:
            seen.append(str((await (await connection.execute("SHOW statement_timeout")).fetchone() or ("",))[0]))
        return {}

    async with replicas(time.dsn, [probe(work, lease=20.0, grace=3000.0)]) as (replica,):
        await time.advance(hours=1)
        await replica.round()
        await time.until(RUNS, ("succeeded", 1, 1))
    assert seen == ["16s", "0"]
