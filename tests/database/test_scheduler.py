"""The leader-less schedule on real PostgreSQL: once among all replicas, made up, retaken, fenced, handed back."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from pggit_alertd.database.pool import Database
from pggit_alertd.errors import JobBusy, JobIncomplete
from pggit_alertd.job import Result, rows
from support.job_work import RUNS, SLOTS, Hold, Recorder, everyone
from support.replicas import Replica, TimeMachine, probe, replicas


async def test_a_slot_runs_exactly_once_among_five_replicas(time: TimeMachine) -> None:
    """Over ten slots that five replicas see at the same instant, each slot runs once, whoever gets it."""
    work = Recorder()
    async with replicas(time.dsn, [probe(work, schedule="* * * * *", grace=700)], 5) as team:
        for number in range(1, 11):
            await time.advance(minutes=1)
            await everyone(team)
            await time.until(RUNS, *[("succeeded", 1, 1)] * number)
        assert work.calls == 10
        assert sum(replica.counted("probe", "succeeded") for replica in team) == 10


async def test_a_missed_slot_inside_its_grace_runs_once_and_outside_it_does_not(time: TimeMachine) -> None:
    """Nobody was there at 13:00: at 13:49 it is made up once, at 14:51 that of 14:00 is reported and left."""
    work = Recorder()
    jobs = [probe(work)]
    async with replicas(time.dsn, jobs):
        pass
    await time.advance(hours=1, minutes=49)
    async with replicas(time.dsn, jobs, 2) as team:
        await everyone(team)
        await time.until(SLOTS, ("10 13:00", "succeeded"))
    await time.advance(hours=1, minutes=2)
    async with replicas(time.dsn, jobs) as (replica,):
        await replica.round()
        await replica.round()
        assert replica.counted("probe", "missed") == 1
    assert await time.rows(SLOTS) == [("10 13:00", "succeeded")]
    assert work.calls == 1


async def test_slots_that_were_missed_coalesce_into_the_latest(time: TimeMachine) -> None:
    """After six hours away, one run is made, for the latest slot."""
    work = Recorder()
    jobs = [probe(work, grace=7 * 3600)]
    async with replicas(time.dsn, jobs):
        pass
    await time.advance(hours=6)
    async with replicas(time.dsn, jobs) as (replica,):
        await time.until(SLOTS, ("10 18:00", "succeeded"))
        await replica.round()
    assert work.calls == 1


async def test_a_slot_from_before_the_schedule_was_set_is_not_made_up(time: TimeMachine) -> None:
    """Neither a new job nor a changed schedule runs for the past; the same schedule again changes nothing."""
    work = Recorder()
    async with replicas(time.dsn, [probe(work)]):
        pass
    assert await time.rows(SLOTS) == []
    await time.advance(minutes=45)
    async with replicas(time.dsn, [probe(work, schedule="30 * * * *")]):
        pass
    assert await time.rows(SLOTS) == []
    await time.advance(minutes=50)
    async with replicas(time.dsn, [probe(work, schedule="30 * * * *")]):
        await time.until(SLOTS, ("10 13:30", "succeeded"))


async def test_a_run_whose_worker_vanished_is_taken_again_after_its_lease_and_not_before(time: TimeMachine) -> None:
    """A killed worker's run comes back when its lease is over, with the next fence, and says who died."""
    hold, work = Hold(), Recorder()
    ghost = Replica(time.dsn, "ghost", [probe(hold)])
    await ghost.start()
    await time.advance(hours=1)
    await ghost.round()
    await hold.begun.wait()
    async with replicas(time.dsn, [probe(work)]) as (replica,):
        await time.advance(seconds=599)
        await replica.round()
        assert await time.runs() == [("running", 1, 1, "ghost")]
        assert 0 < replica.sleeps.seconds[-1] <= 1
        await time.advance(seconds=1)
        await replica.round()
        await time.until(RUNS, ("succeeded", 2, 2))
        (why,) = (await time.runs("error_message"))[0]
        assert "attempt 1 died: ghost" in why
        await ghost.stop()
        assert await time.runs() == [("succeeded", 2, 2, "replica-0")]


async def test_the_late_end_of_a_fenced_out_run_changes_nothing(time: TimeMachine) -> None:
    """A worker that outlived its lease ends after another has taken the slot: its result is counted and dropped."""
    hold, work = Hold(), Recorder()
    slow = Replica(time.dsn, "slow", [probe(hold)])
    await slow.start()
    try:
        await time.advance(hours=1)
        await slow.round()
        await hold.begun.wait()
        await time.advance(minutes=10)
        async with replicas(time.dsn, [probe(work)]) as (replica,):
            await time.until(RUNS, ("succeeded", 2, 2))
            before = await time.runs("scheduled_job_run::text")
            hold.go.set()
            async with asyncio.timeout(10):
                while not slow.counted("probe", "superseded"):
                    await replica.round()
            assert await time.runs("scheduled_job_run::text") == before
            assert slow.counted("probe", "succeeded") == 0
    finally:
        await slow.stop()


async def test_the_fence_is_the_claim_not_the_name_of_the_worker(time: TimeMachine) -> None:
    """A worker that took its own slot again after its lease can't end the second claim with the first one's result."""
    holds = [Hold(), Hold()]
    calls = iter(holds)

    async def work(database: Database, seconds: float) -> Result:
        return await next(calls)(database, seconds)

    async with replicas(time.dsn, [probe(work)]) as (replica,):
        await time.advance(hours=1)
        await replica.round()
        await holds[0].begun.wait()
        await time.advance(minutes=10)
        await replica.round()
        await holds[1].begun.wait()
        holds[0].go.set()
        async with asyncio.timeout(10):
            while not replica.counted("probe", "superseded"):
                await replica.round()
        assert await time.runs() == [("running", 2, 2, "replica-0")]
        holds[1].go.set()
        await time.until(RUNS, ("succeeded", 2, 2))


async def test_a_run_that_dies_every_time_ends_as_failed_after_three_attempts(time: TimeMachine) -> None:
    """A job that kills its workers is not tried for ever: the row ends as failed and says why."""
    work = Recorder()
    jobs = [probe(work)]
    async with replicas(time.dsn, jobs):
        pass
    await time.advance(hours=1)
    await time.connection.execute(
        """
        INSERT INTO pggit.scheduled_job_run (job, slot, attempt, claim_no, claimed_by, next_attempt_at, started_at)
        VALUES ('probe', '2026-03-10 13:00+00', 3, 3, 'ghost', %s, %s)
        """,
        (time.now, time.now),
    )
    async with replicas(time.dsn, jobs) as (replica,):
        assert await time.runs("status, next_attempt_at, error_message") == [
            ("failed", None, "Attempt 3 of 3 died: ghost was not heard of within its lease; no attempt is left.")
        ]
        assert replica.counted("probe", "failed") == 1
    assert work.calls == 0


async def test_a_failed_run_is_tried_again_later_and_at_most_three_times(time: TimeMachine) -> None:
    """Each failure is in the row, waits for longer than the one before, and the third is final."""
    work = Recorder(ValueError("first"), ValueError("second"), ValueError("third"))
    async with replicas(time.dsn, [probe(work)]) as (replica,):
        await time.advance(hours=1)
        await replica.round()
        await time.until(RUNS, ("failed", 1, 1))
        waits = await time.runs("extract(epoch FROM next_attempt_at - finished_at), error_message")
        assert waits[0][1] == "first"
        assert 30 <= waits[0][0] <= 60
        await time.advance(seconds=29)
        await replica.round()
        assert work.calls == 1
        await time.advance(seconds=31)
        await replica.round()
        await time.until(RUNS, ("failed", 2, 2))
        await time.advance(seconds=120)
        await replica.round()
        await time.until(RUNS, ("failed", 3, 3))
        assert await time.runs("next_attempt_at, error_message") == [(None, "third")]
        await time.advance(minutes=10)
        await replica.round()
        assert work.calls == 3
        assert replica.counted("probe", "failed") == 3


async def test_a_failure_that_is_mended_in_time_ends_as_success_and_stays_visible(time: TimeMachine) -> None:
    """The second attempt succeeds: the row says succeeded, attempt 2, and still why the first one failed."""
    work = Recorder(JobIncomplete("merge failed", {"failed": ["merge"]}))
    async with replicas(time.dsn, [probe(work)]) as (replica,):
        await time.advance(hours=1)
        await replica.round()
        await time.until("SELECT status, result FROM pggit.scheduled_job_run", ("failed", {"failed": ["merge"]}))
        await time.advance(minutes=1)
        await replica.round()
        await time.until(RUNS, ("succeeded", 2, 2))
        assert await time.runs("result, error_message") == [({"call": 2}, "merge failed")]
        gauge = replica.metrics.job_last_success.labels(job="probe")
        await replica.round()
        assert gauge._value.get() == pytest.approx(time.now.timestamp())


async def test_the_last_success_is_exact_whatever_digits_the_database_prints(time: TimeMachine) -> None:
    """With extra_float_digits at -10, the metric of a job's last success is still right to the second."""
    name = conninfo_to_dict(time.dsn)["dbname"]
    async with await AsyncConnection.connect(time.dsn, autocommit=True) as administrator:
        await administrator.execute(f"ALTER DATABASE {name} SET extra_float_digits = -10".encode())
    async with replicas(time.dsn, [probe(Recorder())]) as (replica,):
        await time.advance(hours=2)
        await replica.round()
        await time.until(RUNS, ("succeeded", 1, 1))
        await replica.round()
        ((expected,),) = await time.rows("SELECT extract(EPOCH FROM max(finished_at)) FROM pggit.scheduled_job_run")
        gauge = replica.metrics.job_last_success.labels(job="probe")
        assert gauge._value.get() == pytest.approx(float(expected), abs=1)


async def test_busy_is_tried_again_without_costing_an_attempt(time: TimeMachine) -> None:
    """While somebody else does the same work by hand, the run waits a minute at a time and keeps its attempts."""
    work = Recorder(*[JobBusy("held by hand")] * 4)
    async with replicas(time.dsn, [probe(work)]) as (replica,):
        await time.advance(hours=1)
        for number in range(1, 5):
            await replica.round()
            await time.until(RUNS, ("running", 0, number))
            assert await time.runs("claimed_by, error_message") == [(None, "held by hand")]
            await time.advance(minutes=1)
        await replica.round()
        await time.until(RUNS, ("succeeded", 1, 5))
        assert replica.counted("probe", "busy") == 4


async def test_a_job_that_is_switched_off_does_not_run_until_it_is_switched_on(time: TimeMachine) -> None:
    """One UPDATE makes a job manual; another one brings its next slot back."""
    work = Recorder()
    async with replicas(time.dsn, [probe(work, at_start=True)], 2) as team:
        await time.connection.execute("UPDATE pggit.scheduled_job SET enabled = FALSE WHERE job = 'probe'")
        started = work.calls
        await time.advance(hours=1)
        await everyone(team)
        assert await time.rows(SLOTS) == []
    async with replicas(time.dsn, [probe(work, at_start=True)], 2) as team:
        assert work.calls == started
        await time.advance(hours=1)
        await time.connection.execute("UPDATE pggit.scheduled_job SET enabled = TRUE WHERE job = 'probe'")
        await everyone(team)
        await time.until(SLOTS, ("10 14:00", "succeeded"))


async def test_work_that_must_not_wait_is_done_when_the_daemon_starts(time: TimeMachine) -> None:
    """An at_start job runs once per start, outside its slots; its fault is counted and does not end the loop."""
    work = Recorder(None, ValueError("at start"))
    async with replicas(time.dsn, [probe(work, at_start=True)]) as (replica,):
        async with asyncio.timeout(10):
            while work.calls < 1:
                await replica.round()
    async with replicas(time.dsn, [probe(work, at_start=True)]) as (replica,):
        async with asyncio.timeout(10):
            while not replica.counted("probe", "failed"):
                await replica.round()
        await time.advance(hours=1)
        await replica.round()
        await time.until(SLOTS, ("10 13:00", "succeeded"))
    assert work.calls == 3


async def test_the_loop_sleeps_until_there_is_something_to_do_and_never_longer_than_a_minute(time: TimeMachine) -> None:
    """Far from any slot it sleeps 60 s; twenty seconds before a slot it sleeps 20 s."""
    async with replicas(time.dsn, [probe(Recorder())]) as (replica,):
        assert replica.sleeps.seconds == [60.0]
        await time.advance(minutes=59, seconds=10)
        await replica.round()
        assert replica.sleeps.seconds[-1] == pytest.approx(20.0)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York", "Pacific/Kiritimati"])
async def test_nightly_means_two_in_the_morning_utc_in_any_database_zone(time: TimeMachine, zone: str) -> None:
    """The 02:00 slot starts at 02:00 UTC and not a second before, whatever TimeZone the database has."""
    work = Recorder()
    await time.set_default("timezone", f"'{zone}'")
    async with replicas(time.dsn, [probe(work, schedule="0 2 * * *")]) as (replica,):
        await time.advance(hours=13, minutes=59, seconds=29)
        await replica.round()
        assert await time.rows(SLOTS) == []
        assert replica.sleeps.seconds[-1] == pytest.approx(1.0)
        await time.advance(seconds=1)
        await replica.round()
        await time.until(SLOTS, ("11 02:00", "succeeded"))


async def test_a_lease_is_not_shortened_when_the_clocks_of_the_database_zone_go_back(time: TimeMachine) -> None:
    """06:00 UTC on 1 November 2026 is 01:00 in New York for the second time; leases and sleeps don't notice."""
    hold = Hold()
    await time.set_default("timezone", "'America/New_York'")
    async with replicas(time.dsn, [probe(hold, schedule="50 * * * *")]) as (replica,):
        await time.advance(days=235, hours=17, minutes=49, seconds=30)
        assert f"{time.now:%m-%d %H:%M}" == "11-01 05:50"
        await replica.round()
        await hold.begun.wait()
        await replica.round()
        assert await time.runs() == [("running", 1, 1, "replica-0")]
        assert replica.sleeps.seconds[-1] == pytest.approx(60.0)
        await time.advance(seconds=570)
        await replica.round()
        assert replica.sleeps.seconds[-1] == pytest.approx(30.0)
        hold.go.set()
        await time.until(RUNS, ("succeeded", 1, 1))


async def test_a_claim_is_refused_for_a_slot_older_than_one_that_has_run(time: TimeMachine) -> None:
    """A replica that was held up between looking and claiming can't run yesterday's slot after today's."""
    jobs = [probe(Recorder(), grace=90000)]
    async with replicas(time.dsn, jobs) as (replica,):
        await time.advance(hours=2)
        await replica.round()
        await time.until(SLOTS, ("10 14:00", "succeeded"))
        claim = {"job": "probe", "slot": "2026-03-10 13:00+00", "worker": "late", "max_attempts": 3}
        async with replica.database.connection() as connection:
            assert await rows(connection, "scheduled_run_claim", claim) == []
    assert await time.rows(SLOTS) == [("10 14:00", "succeeded")]


async def test_two_open_runs_of_one_job_are_impossible(time: TimeMachine) -> None:
    """Not only the program but the table refuses a second run beside an open one."""
    async with replicas(time.dsn, [probe(Recorder())]):
        pass
    insert = "INSERT INTO pggit.scheduled_job_run (job, slot, next_attempt_at) VALUES ('probe', %s, now())"
    await time.connection.execute(insert, ("2026-03-10 13:00+00",))
    with pytest.raises(psycopg.errors.UniqueViolation, match="scheduled_job_run_one_open"):
        await time.connection.execute(insert, ("2026-03-10 14:00+00",))
