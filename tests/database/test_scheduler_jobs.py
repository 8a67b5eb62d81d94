"""The jobs themselves, run as the scheduler runs them, on a real schema with real measurements."""

import asyncio
from datetime import UTC, datetime

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from pggit_alertd import detection_jobs, jobs
from pggit_alertd.database import queries
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError, JobBusy, JobIncomplete
from pggit_alertd.metrics import JOBS, Metrics
from pggit_alertd.settings import Settings
from support.replicas import replicas

pytestmark = pytest.mark.servers

SECONDS = 30.0
METRICS = """
INSERT INTO pggit.performance_metrics
    (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start)
SELECT %s, us, us / 1000, now() - interval '1 hour', now(), 'tester', date_trunc('day', now())
FROM (SELECT 1000 * (%s + n %% 10)::bigint AS us FROM generate_series(1, 100) AS n) AS durations
"""
HISTORY = "SELECT operation_type, status, reason FROM pggit.performance_baseline_history ORDER BY 1, 2"


@pytest.fixture
def settings(database: str) -> Settings:
    """Return settings as they are by default."""
    return Settings.load({"PGGIT_ALERTD_DATABASE_URL": database})


async def measure(connection: AsyncConnection[tuple[object, ...]], operation: str, milliseconds: int) -> None:
    """Record a hundred measurements of one operation."""
    await connection.execute(METRICS.encode(), (operation, milliseconds))


async def history(connection: AsyncConnection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return what the baseline history says."""
    return await (await connection.execute(HISTORY.encode())).fetchall()


async def test_the_nightly_baselines_are_made_and_say_they_were_scheduled(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """Every measured operation gets a baseline, with reason `scheduled`; a second run changes nothing."""
    for operation in ("commit", "merge"):
        await measure(connection, operation, 5)
    job = jobs.baselines(settings)
    assert await job.work(pool, SECONDS) == {"changed": 2, "held": [], "shadow": [], "failed": []}
    assert await history(connection) == [("commit", "applied", "scheduled"), ("merge", "applied", "scheduled")]
    assert await job.work(pool, SECONDS) == {"changed": 0, "held": [], "shadow": [], "failed": []}


async def test_a_baseline_that_would_more_than_double_is_named_as_held(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """A held operation is in the result by name, so that a human learns of it from the run."""
    job = jobs.baselines(settings)
    await measure(connection, "commit", 5)
    await job.work(pool, SECONDS)
    await measure(connection, "commit", 500)
    assert await job.work(pool, SECONDS) == {
        "changed": 0,
        "held": ["commit"],
        "shadow": [],
        "failed": [],
    }


async def test_one_operation_that_fails_makes_the_run_fail_and_undoes_no_other(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """The failing operation is named, and the other one's baseline is in use."""
    for operation in ("commit", "merge"):
        await measure(connection, operation, 5)
    await connection.execute(
        "ALTER TABLE pggit.performance_baselines ADD CONSTRAINT no_merge CHECK (operation_type <> 'merge')"
    )
    with pytest.raises(JobIncomplete, match="merge") as raised:
        await jobs.baselines(settings).work(pool, SECONDS)
    assert raised.value.result == {"changed": 1, "held": [], "shadow": [], "failed": ["merge"]}
    active = await connection.execute("SELECT operation_type FROM pggit.performance_baselines WHERE is_active")
    assert await active.fetchall() == [("commit",)]


async def test_the_jobs_that_detect_learn_and_then_tell_once(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """What is usual is learned hourly; the scan of every minute raises an alert for what is not, and counts it."""
    await measure(connection, "commit", 5)
    await connection.execute("UPDATE pggit.performance_metrics SET recorded_at = recorded_at - interval '3 hours'")
    learned = await detection_jobs.profiles(settings, Metrics()).work(pool, SECONDS)
    assert learned["late_alerts"] == 0
    await connection.execute("SELECT pggit.record_performance_metric('commit', 900000)")
    job = detection_jobs.anomalies(settings, Metrics())
    quiet = {"unusual": 1, "whitelisted": 0, "episodes": 0, "alerts": 0, "over_cap": 0, "whitelisted_by": []}
    assert await job.work(pool, SECONDS) == {**quiet, "episodes": 1, "alerts": 1}
    assert await job.work(pool, SECONDS) == quiet


async def test_what_the_whitelist_held_back_is_told_and_counted_once(
    pool: Database,
    settings: Settings,
    connection: AsyncConnection[tuple[object, ...]],
) -> None:
    """The result names the entry, as does a log line; scans that overlap, the hourly ones too, count it once."""
    await measure(connection, "commit", 5)
    await connection.execute("UPDATE pggit.performance_metrics SET recorded_at = recorded_at - interval '3 hours'")
    metrics = Metrics()
    await detection_jobs.profiles(settings, metrics).work(pool, SECONDS)
    await connection.execute(
        "INSERT INTO pggit.anomaly_whitelist (whitelist_id, operation_pattern, reason) VALUES (7, 'com*', 'export')"
    )
    await connection.execute("SELECT pggit.record_performance_metric('commit', 900000)")
    job = detection_jobs.anomalies(settings, metrics)
    entry = {"whitelist_id": 7, "reason": "export", "metrics": 1}
    with capture_logs() as lines:
        for fresh in (1, 0):
            result = await job.work(pool, SECONDS)
            assert (result["unusual"], result["whitelisted"]) == (0, 1)
            assert result["whitelisted_by"] == [{**entry, "fresh": fresh}]
        await detection_jobs.profiles(settings, metrics).work(pool, SECONDS)
    assert metrics.registry.get_sample_value("pggit_alertd_whitelisted_metrics_total") == 1
    assert [line["entries"] for line in lines if line["event"] == "anomalies_whitelisted"] == [[{**entry, "fresh": 1}]]


async def test_a_recalculation_by_hand_makes_the_scheduled_one_busy(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """While somebody recalculates in psql, the job says busy and changes nothing; afterwards it works."""
    await measure(connection, "commit", 5)
    job = jobs.baselines(settings)
    async with connection.transaction():
        await connection.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")
        with pytest.raises(JobBusy):
            await job.work(pool, SECONDS)
    assert await job.work(pool, SECONDS) == {"changed": 0, "held": [], "shadow": [], "failed": []}
    assert await history(connection) == [("commit", "applied", "manual")]


async def test_one_statement_makes_baselines_manual(connection: AsyncConnection[tuple[object, ...]]) -> None:
    """An operator's UPDATE keeps the nightly slot from being claimed and nothing else; another one brings it back."""
    await measure(connection, "commit", 5)
    await connection.execute("UPDATE pggit.scheduled_job SET updated_at = now() - interval '1 day'")
    claim = queries.load("scheduled_run_claim").encode()
    due = {"job": "baselines", "slot": datetime.now(UTC), "worker": "w", "max_attempts": 3}
    switch = "UPDATE pggit.scheduled_job SET enabled = %s WHERE job = 'baselines'"
    await connection.execute("SET ROLE pggit_alertd_operator")
    await connection.execute(switch, (False,))
    assert await (await connection.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")).fetchall()
    await connection.execute("RESET ROLE")
    assert await (await connection.execute(claim, due)).fetchall() == []
    await connection.execute(switch, (True,))
    assert len(await (await connection.execute(claim, due)).fetchall()) == 1


async def test_a_job_that_takes_too_long_is_ended_by_the_server(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """The statement time-out ends the recalculation and leaves the old state."""
    await measure(connection, "commit", 5)
    async with connection.transaction():
        await connection.execute("LOCK TABLE pggit.performance_baselines")
        with pytest.raises(DatabaseError, match="57014"):
            await jobs.baselines(settings).work(pool, 0.05)
    assert await history(connection) == []


async def test_retention_goes_on_until_nothing_is_left_to_remove(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """More rows than one batch, of several tables, are removed in one run; its result has the counts."""
    await connection.execute("""
        INSERT INTO pggit.alert_notification_queue (channel, recipient, message, status, processed_at)
        SELECT 'slack', 'm', 'm', 'sent', now() - interval '91 days' FROM generate_series(1, 10005)
    """)
    await connection.execute("""
        INSERT INTO pggit.alert_notification_log (channel, recipient, status, sent_at)
        VALUES ('slack', 'm', 'sent', now() - interval '91 days'), ('slack', 'm', 'sent', now())
    """)
    result = await jobs.retention(settings).work(pool, SECONDS)
    assert result == {"alert_notification_queue": 10005, "alert_notification_log_default": 1}
    assert await jobs.retention(settings).work(pool, SECONDS) == {}


@pytest.mark.usefixtures("one_month")
async def test_partitions_are_made_and_reported(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """The first run makes this month and three more and empties the default partition; the second has nothing to do."""
    await connection.execute("""
        INSERT INTO pggit.alert_notification_log (channel, recipient, status) VALUES ('slack', 'm', 'sent')
    """)
    job = jobs.partitions(settings)
    assert job.at_start
    result = await job.work(pool, SECONDS)
    assert (len(result["created"]), result["rows_moved"], result["not_created"]) == (4, 1, [])
    assert await job.work(pool, SECONDS) == {"created": [], "rows_moved": 0, "not_created": []}


async def test_degradation_is_scored_and_judged_by_one_run(
    pool: Database, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """A run folds the metrics that are new, scores them, and says how many operations it could judge and could not."""
    await connection.execute("""
        INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time, end_time,
            user_name, recorded_at, period_start)
        SELECT 'commit', 5000 + n % 7 * 100, (5000 + n % 7 * 100) / 1000.0, at, at + interval '1 s', 'app', at,
            date_trunc('day', at)
        FROM generate_series(1, 1600) AS n
        CROSS JOIN LATERAL (SELECT localtimestamp - n * interval '7 minutes') AS moment (at)
    """)
    job = detection_jobs.degradation(settings)
    result = await job.work(pool, SECONDS)
    assert result["scored"] > 150
    assert (result["judged"], result["degraded"], result["told"]) == (1, 0, 0)
    assert result["insufficient"] > 30
    assert (await job.work(pool, SECONDS))["judged"] == 1


async def test_the_daemons_role_may_run_every_job_and_keep_the_schedule(
    database: str, settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """The grants in sql/roles.sql are enough for the jobs and for every step of the schedule."""
    await measure(connection, "commit", 5)
    as_daemon = make_conninfo(database, options="-c role=pggit_alertd_daemon")
    await connection.execute("UPDATE pggit.scheduled_job SET updated_at = now() - interval '1 day', grace = '25 hours'")
    async with replicas(as_daemon, jobs.registry(settings, Metrics())) as (replica,):
        async with asyncio.timeout(20):
            while not all(replica.counted(job, "succeeded") for job in JOBS):
                await replica.round()
        assert replica.loop_errors() == 0
        assert not any(replica.counted(job, "failed") for job in JOBS)
    # A slot that has come since may have been handed back.
    made = await connection.execute(
        "SELECT DISTINCT job, status FROM pggit.scheduled_job_run WHERE status <> 'running' ORDER BY job"
    )
    assert await made.fetchall() == [
        ("anomalies", "succeeded"),
        ("baselines", "succeeded"),
        ("degradation", "succeeded"),
        ("maintenance_windows", "succeeded"),
        ("merge_rollup", "succeeded"),
        ("partitions", "succeeded"),
        ("profiles", "succeeded"),
        ("recovery", "succeeded"),
        ("retention", "succeeded"),
        ("self_check", "succeeded"),
    ]


async def test_the_registry_agrees_with_the_rows_that_the_migration_makes(
    settings: Settings, connection: AsyncConnection[tuple[object, ...]]
) -> None:
    """Schedules, grace and lease are the same in both places, and every job of one is in the other."""
    rows = await connection.execute("""
        SELECT job, schedule, extract(epoch FROM grace)::float8, extract(epoch FROM lease)::float8, description
        FROM pggit.scheduled_job ORDER BY job
    """)
    assert await rows.fetchall() == sorted(
        (job.name, job.schedule, job.grace, job.lease, job.description) for job in jobs.registry(settings, Metrics())
    )


def test_statements_end_before_the_lease_in_every_job(settings: Settings) -> None:
    """A statement that goes on after others may take the run would be two runs at once."""
    assert all(job.statement_timeout < job.lease < job.grace for job in jobs.registry(settings, Metrics()))
