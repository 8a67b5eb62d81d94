"""Retention and partition upkeep on real PostgreSQL: what they remove, what they never touch, and at whose expense."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pggit_alertd.database.files import sql_directory
from pggit_alertd.database.migrations import Release
from support.upkeep import LOG, Connection, all_rows, fill_queue, month, named, one, open_session, partitions, purge_all

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("one_month")]


async def test_retention_removes_what_is_finished_and_old_and_never_what_is_pending(connection: Connection) -> None:
    """Finished rows older than the limit go, with or without processed_at; pending ones stay however old they are."""
    for status in ("sent", "failed"):
        await fill_queue(connection, status, "91 days", 7)
        await fill_queue(connection, status, "91 days", 2, processed=False)
        await fill_queue(connection, status, "89 days", 3)
    await fill_queue(connection, "pending", "400 days", 5, processed=False)
    await fill_queue(connection, "pending", "400 days", 1)
    assert await purge_all(connection, batch=4) == {"alert_notification_queue": 18}
    left = await all_rows(
        connection, "SELECT status, count(*) FROM pggit.alert_notification_queue GROUP BY 1 ORDER BY 1"
    )
    assert left == [("failed", 3), ("pending", 6), ("sent", 3)]


async def test_one_call_removes_one_batch(connection: Connection) -> None:
    """A call's work is bounded by p_batch, so its locks are held for a moment only."""
    await fill_queue(connection, "sent", "91 days", 25)
    rows = await all_rows(connection, "SELECT * FROM pggit.purge_notifications('90 days', 10)")
    assert ("alert_notification_queue", 10) in rows
    assert await one(connection, "SELECT count(*) FROM pggit.alert_notification_queue") == 15


async def test_retention_drops_whole_months_and_empties_the_default_partition(connection: Connection) -> None:
    """A partition goes when its last instant is past the limit; stray rows in the default partition go one by one."""
    await connection.execute("SELECT pggit.maintain_log_partitions(0)")
    old = month(-6)
    await connection.execute(LOG.encode(), (old, 5))
    await connection.execute("SELECT pggit.maintain_log_partitions(0)")
    await connection.execute(LOG.encode(), (old - timedelta(days=1500), 3))
    await connection.execute(LOG.encode(), (month(0), 2))
    assert await purge_all(connection) == {named(old): 1, "alert_notification_log_default": 3}
    assert await one(connection, "SELECT count(*) FROM pggit.alert_notification_log") == 2
    assert [name for name, _ in await partitions(connection)] == [named(month(0))]


async def test_retention_keeps_held_baselines_and_open_runs(connection: Connection) -> None:
    """What is over goes: history, runs, conditions, silent workers; what waits for a human or is still open stays."""
    await connection.execute("""
        INSERT INTO pggit.performance_baseline_history
            (operation_type, status, calculated_at, decided_by, decided_at, error_message)
        VALUES ('a', 'applied', now() - interval '91 days', NULL, NULL, NULL),
            ('a', 'failed', now() - interval '91 days', NULL, NULL, 'why'),
            ('a', 'held', now() - interval '91 days', 'me', now(), NULL),
            ('b', 'held', now() - interval '91 days', NULL, NULL, NULL),
            ('b', 'applied', now() - interval '89 days', NULL, NULL, NULL)
    """)
    await connection.execute("""
        INSERT INTO pggit.scheduled_job_run (job, slot, status, next_attempt_at)
        VALUES ('baselines', now() - interval '92 days', 'succeeded', NULL),
            ('baselines', now() - interval '91 days', 'running', now()),
            ('baselines', now() - interval '1 day', 'failed', NULL)
    """)
    await connection.execute("""
        INSERT INTO pggit.alertd_worker (worker, hostname, version, last_beat_at)
        VALUES ('old', 'h', '0', now() - interval '91 days'), ('new', 'h', '0', now())
    """)
    await connection.execute("""
        INSERT INTO pggit.alertd_condition (kind, subject, severity, detail, since, resolved_at)
        VALUES ('outbox', '', 'CRITICAL', 'm', now() - interval '92 days', now() - interval '91 days'),
            ('outbox', '', 'CRITICAL', 'm', now() - interval '92 days', NULL)
    """)
    assert await purge_all(connection) == {
        "performance_baseline_history": 3,
        "scheduled_job_run": 1,
        "alertd_worker": 1,
        "alertd_condition": 1,
    }
    assert await purge_all(connection) == {}


async def test_runs_of_frequent_jobs_go_after_a_week(connection: Connection) -> None:
    """What runs several times an hour by its schedule keeps a week of runs, whatever its name; others keep all."""
    await connection.execute("""
        INSERT INTO pggit.scheduled_job (job, schedule, grace, lease, description)
        VALUES ('often', '5,35 * * * *', '2 min', '1 min', 'd'), ('rarely', '5 * * * *', '2 min', '1 min', 'd')
    """)
    await connection.execute("""
        INSERT INTO pggit.scheduled_job_run (job, slot, status)
        SELECT job, now() - age, 'succeeded'
        FROM unnest(ARRAY['often', 'rarely', 'self_check', 'merge_rollup']) AS job,
            unnest(ARRAY[interval '6 days', interval '8 days', interval '91 days']) AS age
    """)
    assert await purge_all(connection) == {"scheduled_job_run": 7}


async def test_endpoints_that_nothing_uses_are_forgotten(connection: Connection) -> None:
    """The memory of an endpoint goes when it was last tried before the limit and no setting leads there any more."""
    await connection.execute("""
        INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config)
        VALUES ('*', '*', 'slack', '{"webhook": "https://hooks.slack.com/services/T/B/used"}')
    """)
    used = await one(connection, "SELECT destination_key FROM pggit.alert_notification_settings")
    await connection.execute(
        """
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, last_success_at, last_failure_at)
        VALUES (%s, 'slack', 'm', now() - interval '91 days', NULL),
            ('gone', 'slack', 'm', NULL, now() - interval '91 days'),
            ('young', 'slack', 'm', now() - interval '91 days', now()), ('never', 'slack', 'm', NULL, NULL)
        """,
        (used,),
    )
    assert await purge_all(connection) == {"alert_destination": 1}
    assert await one(connection, "SELECT count(*) FROM pggit.alert_destination WHERE destination_key = 'gone'") == 0


async def test_the_audit_of_settings_has_a_limit_of_its_own(connection: Connection) -> None:
    """It outlives everything else, goes in batches once it is older than its own limit, and newer rows stay."""
    await connection.execute("""
        INSERT INTO pggit.notification_settings_audit
            (changed_at, action, session_user_name, current_user_name, application_name)
        SELECT now() - n * interval '100 days', 'UPDATE', 'ann', 'ann', 'psql' FROM generate_series(1, 15) AS n
    """)
    assert await purge_all(connection) == {}
    assert await one(connection, "SELECT pggit.purge_settings_audit('1095 days', 4)") == 4
    assert await one(connection, "SELECT pggit.purge_settings_audit()") == 1
    assert await one(connection, "SELECT pggit.purge_settings_audit()") == 0
    assert await one(connection, "SELECT count(*) FROM pggit.notification_settings_audit") == 10


# What is not here grows with what people configure or with the catalog of operations, not with time; histograms and
# profiles go with their metrics, scores of hours are remade from those, and sums of merges go with the branches.
KEPT = {
    "alert_notification_settings", "alert_escalation_step", "alert_lifecycle_policy", "alert_outbox", "scheduled_job",
    "alert_notification_log", "alert_severity_rule", "anomaly_detection_settings", "anomaly_scan_state",
    "anomaly_whitelist", "degradation_setting", "degradation_state", "performance_hour_score",
    "performance_score_reference", "performance_score_span", "performance_latency_profile", "merge_rollup",
    "merge_pair_rollup", "merge_hour_rollup", "performance_metric_histogram", "performance_metric_histogram_day",
}  # fmt: skip


def test_every_table_that_grows_has_a_limit() -> None:
    """Each table of ours is named by retention, or stands above with the reason why it does not grow by itself."""
    folder = sql_directory() / "functions" / "maintenance"
    text = "".join((folder / f"purge_{name}.sql").read_text() for name in ("notifications", "settings_audit"))
    purged = set(re.findall(r"DELETE FROM pggit\.(\w+) AS", text))
    assert set(Release(sql_directory()).tables()) - purged == KEPT


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        ("pggit.purge_settings_audit(NULL)", "p_older_than is NULL"),
        ("pggit.purge_settings_audit('-1 day')", "p_older_than is -1 days"),
        ("pggit.purge_settings_audit('1095 days', NULL)", "p_batch is NULL"),
        ("pggit.purge_settings_audit('1095 days', 0)", "p_batch is 0"),
        ("pggit.purge_notifications(NULL)", "p_older_than is NULL"),
        ("pggit.purge_notifications('23 hours')", "p_older_than is 23:00:00"),
        ("pggit.purge_notifications('-90 days')", "p_older_than is -90 days"),
        ("pggit.purge_notifications('90 days', NULL)", "p_batch is NULL"),
        ("pggit.purge_notifications('90 days', 0)", "p_batch is 0"),
        ("pggit.maintain_log_partitions(NULL)", "p_months_ahead is NULL"),
        ("pggit.maintain_log_partitions(-1)", "p_months_ahead is -1"),
        ("pggit.maintain_log_partitions(2000000000)", "p_months_ahead is 2000000000"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused_by_name(
    connection: Connection, call: str, parameter: str
) -> None:
    """The error is 22023 and names the argument; nothing is removed or made."""
    await fill_queue(connection, "sent", "400 days", 1)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=parameter):
        await connection.execute(f"SELECT * FROM {call}".encode())  # noqa: S608 - the calls stand above
    assert await one(connection, "SELECT count(*) FROM pggit.alert_notification_queue") == 1


async def test_retention_gives_way_to_a_long_reader_of_the_log_and_goes_on(database: str) -> None:
    """A partition that is being read is left to a later call; rows of other tables are removed all the same."""
    async with await open_session(database) as reader, await open_session(database) as purge:
        old = month(-6)
        await purge.execute(LOG.encode(), (old, 1))
        await purge.execute("SELECT pggit.maintain_log_partitions()")
        await fill_queue(purge, "sent", "91 days", 3)
        async with reader.transaction():
            await reader.execute("SELECT * FROM pggit.alert_notification_log")
            assert await purge_all(purge) == {"alert_notification_queue": 3}
        assert await purge_all(purge) == {named(old): 1}


async def test_retention_and_acks_at_once_never_block_each_other_to_death(database: str) -> None:
    """Deliveries with their log rows, replays and retention in parallel: no deadlock, no pending row gone."""
    sessions = [await open_session(database) for _ in range(4)]
    purged: dict[str, int] = {}
    try:
        setup = sessions[0]
        await setup.execute("SELECT pggit.maintain_log_partitions()")
        await fill_queue(setup, "failed", "91 days", 400)
        await fill_queue(setup, "pending", "0 days", 400, processed=False)

        async def ack(session: Connection, parity: int) -> None:
            for _ in range(40):
                await session.execute(
                    """
                    WITH due AS (
                        SELECT queue_id FROM pggit.alert_notification_queue
                        WHERE status = 'pending' AND created_at > now() - interval '1 day' AND queue_id %% 2 = %s
                        ORDER BY queue_id DESC LIMIT 5 FOR UPDATE SKIP LOCKED
                    ), done AS (
                        UPDATE pggit.alert_notification_queue AS queue
                        SET status = 'sent', processed_at = now() - interval '91 days'
                        FROM due WHERE queue.queue_id = due.queue_id RETURNING queue.queue_id
                    )
                    INSERT INTO pggit.alert_notification_log (queue_id, channel, recipient, status)
                    SELECT queue_id, 'slack', 'm', 'sent' FROM done
                    """,
                    (parity,),
                )

        async def replay(session: Connection) -> None:
            for number in range(40):
                async with session.transaction():
                    await session.execute(LOG.encode(), (datetime.now(UTC), 1))
                    await session.execute(
                        """
                        UPDATE pggit.alert_notification_queue SET status = 'pending', processed_at = NULL
                        WHERE status = 'failed' AND queue_id %% 40 = %s
                        """,
                        (number,),
                    )

        async def retain(session: Connection) -> None:
            for _ in range(10):
                for relation, deleted in (await purge_all(session, batch=7)).items():
                    purged[relation] = purged.get(relation, 0) + deleted

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ack(sessions[0], 0))
            tasks.create_task(ack(sessions[1], 1))
            tasks.create_task(replay(sessions[2]))
            tasks.create_task(retain(sessions[3]))
        for relation, deleted in (await purge_all(setup)).items():
            purged[relation] = purged.get(relation, 0) + deleted
        pending = await one(setup, "SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'pending'")
        assert purged["alert_notification_queue"] + int(str(pending)) == 800
        assert await one(setup, "SELECT count(*) FROM pggit.alert_notification_queue") == pending
    finally:
        for session in sessions:
            await session.close()


@pytest.mark.parametrize("function", ["purge_notifications(interval, integer)", "maintain_log_partitions(integer)"])
async def test_the_public_may_not_run_maintenance(connection: Connection, function: str) -> None:
    """Both are SECURITY DEFINER with a fixed search_path, and PUBLIC has no EXECUTE."""
    oid = f"pggit.{function}"
    assert await one(connection, "SELECT prosecdef FROM pg_proc WHERE oid = %s::regprocedure", oid) is True
    path = await one(
        connection, "SELECT array_to_string(proconfig, ';') FROM pg_proc WHERE oid = %s::regprocedure", oid
    )
    assert "search_path=pg_catalog, pggit, pg_temp" in str(path)
    assert await one(connection, "SELECT has_function_privilege('public', %s, 'EXECUTE')", oid) is False


async def test_retention_finds_finished_rows_by_index(connection: Connection) -> None:
    """Among 50,000 rows, the rows to remove are found through alert_notification_queue_finished."""
    await fill_queue(connection, "sent", "10 days", 49_900)
    await fill_queue(connection, "sent", "91 days", 100)
    await connection.execute("ANALYZE pggit.alert_notification_queue")
    plan = await all_rows(
        connection,
        """
        EXPLAIN SELECT old.queue_id FROM pggit.alert_notification_queue AS old
        WHERE old.status IN ('sent', 'failed')
            AND (old.processed_at < now() - interval '90 days'
                OR (old.processed_at IS NULL AND old.created_at < now() - interval '90 days'))
        LIMIT 10000 FOR UPDATE SKIP LOCKED
        """,
    )
    text = "\n".join(str(line) for (line,) in plan)
    assert "alert_notification_queue_finished" in text
    assert "Seq Scan" not in text
