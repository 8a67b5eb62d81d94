"""The daemon's pool on a real server: what a statement that can't go on, or a server that went, becomes."""

import asyncio

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pggit_alertd import job
from pggit_alertd.database import migrate
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError, DatabaseRefused, DatabaseUnavailable
from support.alerts import Alerts


@pytest.mark.parametrize("url", ["host=db passwd=geheim", "postgresql://u:%00geheim@db/app"])
def test_a_string_that_libpq_can_not_read_is_refused(url: str) -> None:
    """What only libpq finds wrong is an error of ours that names the variable and repeats nothing."""
    with pytest.raises(DatabaseRefused, match="PGGIT_ALERTD_DATABASE_URL can't be used") as raised:
        Database(url)
    assert "geheim" not in str(raised.value)


def accustom(dsn: str, **customs: str) -> None:
    """Give a database settings of its own, as an administrator would."""
    name = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting, value in customs.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(statement.format(name, sql.Identifier(setting), sql.Literal(value)))


CUSTOMS = {"datestyle": "German", "intervalstyle": "sql_standard", "standard_conforming_strings": "off"}


@pytest.mark.servers
async def test_a_database_s_own_customs_are_set_aside(database: str) -> None:
    """Dates, intervals and strings are read as ever where the database writes them in another way, by all commands."""
    accustom(database, **CUSTOMS)
    pool = Database(database)
    await pool.open()
    try:
        jobs = await pool.fetch("check_jobs")
        assert jobs
        assert await pool.fetch("explain_alert", {"alert_id": 1}) == []
    finally:
        await pool.close()
    assert (await migrate.status(database)).up_to_date
    await migrate.up(database)


async def test_customs_are_set_aside_behind_a_pooler_too(database: str, pgbouncer: str) -> None:
    """PgBouncer carries what we set along, so whichever server process answers keeps it."""
    accustom(database, datestyle="German", standard_conforming_strings="off")
    pool = Database(pgbouncer)
    await pool.open()
    try:
        asked = [pool.fetch("check_jobs") for _ in range(20)]
        assert all(await asyncio.gather(*asked))
    finally:
        await pool.close()


@pytest.mark.servers
async def test_statements_see_what_is_committed_whatever_the_default(database: str) -> None:
    """In a database that is serializable by default the daemon is not, so it takes no part in others' conflicts."""
    accustom(database, default_transaction_isolation="serializable")
    pool = Database(database)
    await pool.open()
    try:
        async with pool.connection() as connection:
            row = await (await connection.execute("SHOW transaction_isolation")).fetchone()
            assert row == ("read committed",)
    finally:
        await pool.close()


async def test_statements_see_what_is_committed_behind_a_pooler_too(database: str, pgbouncer: str) -> None:
    """What no session can carry through PgBouncer, each transaction says, also one that a single statement is."""
    accustom(database, default_transaction_isolation="serializable")
    pool = Database(pgbouncer, size=1)
    await pool.open()
    operator = await Alerts.connect(database)
    try:
        await operator.rows("CREATE TABLE kept (isolation text)")
        await operator.rows(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN INSERT INTO kept SELECT current_setting(''transaction_isolation''); RETURN NULL; END'"
        )
        await operator.rows("CREATE TRIGGER keep AFTER INSERT ON pggit.alertd_worker EXECUTE FUNCTION public.keep()")
        await pool.execute("worker_beat", {"worker": "here", "hostname": "here", "version": "1"})
        async with job.transaction(pool, 5.0) as connection:
            row = await (await connection.execute("SHOW transaction_isolation")).fetchone()
            assert row == ("read committed",)
        assert await operator.rows("SELECT isolation FROM kept") == [("read committed",)]
        with pytest.raises(DatabaseError, match="22P02"):
            await pool.fetch("explain_alert", {"alert_id": "none"})
        assert await pool.fetch("explain_alert", {"alert_id": 1}) == []
    finally:
        await operator.close()
        await pool.close()


async def test_a_statement_that_waits_for_a_lock_ends_in_time(database: str) -> None:
    """A lock held by somebody else becomes an error that says where to look, and the connection goes on working."""
    holder = await Alerts.connect(database)
    pool = Database(database, size=1, patience=0.5)
    await pool.open()
    try:
        await holder.rows("BEGIN")
        await holder.rows("LOCK TABLE pggit.alert_notification_queue IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable, match=r"within 0\.5 s.*pg_stat_activity"):
            await pool.fetch("queue_depth")
        assert "pg_stat_activity" in pool.trouble
        assert await pool.fetch("outbox_depth") == [(0,)]
        assert not pool.trouble
        await holder.rows("COMMIT")
        assert await pool.fetch("queue_depth") == []
    finally:
        await pool.close()
        await holder.close()


async def test_a_connection_that_was_ended_is_replaced(database: str) -> None:
    """An error that says what happened for the statement that was hit, and a working connection for the next."""
    operator = await Alerts.connect(database)
    pool = Database(database, size=1)
    await pool.open()
    try:
        await pool.fetch("queue_depth")
        await operator.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pggit-alertd'"
        )
        with pytest.raises(DatabaseUnavailable, match=r"57P01|can't be reached"):
            await pool.fetch("queue_depth")
        assert pool.trouble
        assert await pool.fetch("queue_depth") == []
        assert not pool.trouble
    finally:
        await pool.close()
        await operator.close()


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_that_meets_the_answer_is_not_lost(database: str, turns: int) -> None:
    """Whichever turn of the event loop it comes in, a loop cancelled while it waits for a connection ends."""
    pool = Database(database, size=1)
    await pool.open()

    async def loop() -> None:
        while True:
            await pool.fetch("queue_depth")
            await asyncio.Event().wait()

    try:
        async with pool.connection():
            running = asyncio.create_task(loop())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        assert await asyncio.wait([running], timeout=10) == ({running}, set())
        assert running.cancelled()
    finally:
        running.cancel()
        await pool.close()


async def test_statements_that_follow_one_another_meet_the_same_server_process(database: str) -> None:
    """After several connections were in use at once, the one that came back last serves what comes next."""
    pool = Database(database, size=3)
    await pool.open()
    try:
        async with pool.connection(), pool.connection(), pool.connection() as innermost:
            last = innermost.info.backend_pid
        async with pool.connection() as connection:
            first = connection.info.backend_pid
        for _ in range(3):
            assert (await pool.fetch("backend_pid"))[0][0] == first
        assert last != first
    finally:
        await pool.close()
