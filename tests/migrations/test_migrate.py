"""Up, plan, status, dry run and verify: once, twice, twenty at once, and with what the operator can do to them."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from migrations.databases import load, picture, run, value
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer, embedded_binaries
from pggit_alertd.database.files import sql_directory
from pggit_alertd.database.migrations import Release
from pggit_alertd.errors import (
    ChecksumDrift,
    DatabaseError,
    DatabaseRefused,
    DatabaseUnavailable,
    SchemaError,
    SchemaMissing,
    SchemaOutdated,
    SchemaTooNew,
)

PSQL = embedded_binaries() / "psql"


async def verified(dsn: str) -> None:
    """Run the daemon's check on a connection of its own."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await migrate.verify(connection)


def psql(dsn: str, text: str) -> subprocess.CompletedProcess[str]:
    """Feed text to a real psql that stops at the first error."""
    return subprocess.run(  # noqa: S603 - the wheel's own psql
        [str(PSQL), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PGOPTIONS": "-c check_function_bodies=off"},
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedServer]:
    """Run a server that no other test uses."""
    with EmbeddedServer(options={"fsync": "off", "max_connections": "60"}) as server:
        yield server


@pytest.fixture
def lonely(cluster: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """Yield a server without any database or role of ours, so that the cluster's roles are this test's own."""
    yield cluster
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        for name in value(cluster.dsn(), "SELECT array_agg(datname) FROM pg_database WHERE datname ~ '_$'") or []:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        roles = "SELECT array_agg(rolname) FROM pg_roles WHERE rolname LIKE 'pggit\\_%' OR rolname ~ '_$'"
        for name in value(cluster.dsn(), roles) or []:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.servers
async def test_the_second_run_changes_nothing_and_says_so(empty_database: str) -> None:
    """Up is idempotent: the second call leaves catalogs and rows untouched and reports no change."""
    first = await migrate.up(empty_database)
    before = picture(empty_database)
    second = await migrate.up(empty_database)
    assert first.changed
    assert not second.changed
    assert "nothing was changed" in second.summary()
    assert picture(empty_database) == before
    assert (await migrate.status(empty_database)).up_to_date


@pytest.mark.servers
@pytest.mark.parametrize("letter", ["a", "b", "d"])
async def test_twenty_at_once_apply_everything_once(empty_database: str, letter: str) -> None:
    """Of twenty concurrent runs one applies the schema and nineteen find it done."""
    if letter != "a":
        load(empty_database, letter)
    reports = await asyncio.gather(*(migrate.up(empty_database) for _ in range(20)))
    assert sorted(report.changed for report in reports) == [False] * 19 + [True]
    await verified(empty_database)


async def test_processes_at_once_apply_everything_once(empty_database: str) -> None:
    """Separate processes exclude each other as well: the lock is the server's, not the program's."""
    code = (
        "import asyncio, sys; from pggit_alertd.database import migrate; "
        "print(asyncio.run(migrate.up(sys.argv[1])).changed)"
    )
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, empty_database, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = [(await process.communicate())[0].decode().strip() for process in running]
    assert sorted(outputs) == ["False", "False", "False", "True"]


async def test_a_dry_run_changes_nothing_and_its_sql_does_what_up_does(empty_database: str) -> None:
    """The printed SQL, run by psql, leaves a database that status calls up to date; printing it changes nothing."""
    load(empty_database, "b")
    before = picture(empty_database)
    printed = await migrate.dry_run(empty_database)
    assert picture(empty_database) == before
    done = psql(empty_database, printed)
    assert done.returncode == 0, done.stderr
    assert (await migrate.status(empty_database)).up_to_date
    assert not (await migrate.up(empty_database)).changed
    assert "nothing to run" in await migrate.dry_run(empty_database)


@pytest.mark.servers
async def test_the_files_can_be_applied_in_psql_in_order(empty_database: str) -> None:
    """Every file runs in psql as it is, so an operator can read, try and apply the schema without this program."""
    release = Release(sql_directory())
    texts = [script.text for script in release.foundation] + [release.ledger]
    texts += [script.text for script in (*release.migrations, *release.functions, *release.views("branch_id"))]
    texts += [script.text for script in release.roles]
    done = psql(empty_database, "\n".join(texts))
    assert done.returncode == 0, done.stderr
    assert value(empty_database, "SELECT count(*) FROM pggit.performance_operation_types") == 33


def test_the_queries_of_migrate_run_in_psql(database: str) -> None:
    """The named queries are written for psql: with their parameters set they run there as they are."""
    text = "\\set lock_timeout 3s\n\\set kind function\n\\set name x\n\\set checksum x\n\\set release 0\n"
    for path in sorted((sql_directory() / "queries").glob("migration_*.sql")):
        text += path.read_text(encoding="utf-8")
    done = psql(database, text)
    assert done.returncode == 0, done.stderr


async def test_a_changed_migration_is_drift(database: str) -> None:
    """A migration whose text differs from what was applied stops up and the daemon, and is named."""
    run(database, "UPDATE pggit.alertd_migration SET checksum = 'other' WHERE name = '0001_notifications'")
    with pytest.raises(ChecksumDrift, match=r"migrations/0001_notifications\.sql"):
        await migrate.up(database)
    with pytest.raises(ChecksumDrift, match=r"migrations/0001_notifications\.sql"):
        await verified(database)


async def test_a_changed_foundation_is_drift(database: str) -> None:
    """The foundation is immutable like a migration."""
    run(database, "UPDATE pggit.alertd_migration SET checksum = 'other' WHERE name = '0001_weeks_1_2'")
    with pytest.raises(ChecksumDrift, match=r"foundation/0001_weeks_1_2\.sql"):
        await migrate.up(database)


async def test_a_migration_this_release_does_not_know_is_too_new(database: str) -> None:
    """A schema migrated by a newer release is refused, naming the release to install."""
    run(
        database,
        "INSERT INTO pggit.alertd_migration VALUES ('migration', '9999_x', 'x', '99.1.0')",
    )
    for call in (migrate.up(database), verified(database), migrate.down(database)):
        with pytest.raises(SchemaTooNew, match=r"99\.1\.0"):
            await call
    assert value(database, "SELECT to_regproc('pggit.route_alerts') IS NOT NULL"), "nothing was dropped"


async def test_functions_of_a_newer_release_serve_an_older_daemon(database: str) -> None:
    """In a rolling upgrade the old daemon may start on newer functions; its migrate never puts the old ones back."""
    run(
        database,
        "UPDATE pggit.alertd_migration SET checksum = 'newer', release = '99.0.0' WHERE name = 'route_alerts'",
    )
    await verified(database)
    with pytest.raises(SchemaTooNew, match=r"route_alerts\.sql"):
        await migrate.up(database)


async def test_a_function_whose_text_changed_is_applied_again(database: str) -> None:
    """Functions are declarations: a differing checksum means create or replace, and grants follow."""
    run(
        database,
        "UPDATE pggit.alertd_migration SET checksum = 'older' WHERE name = 'route_alerts'",
        "DROP FUNCTION pggit.route_alerts",
    )
    with pytest.raises(SchemaOutdated, match=r"migrate up"):
        await verified(database)
    report = await migrate.up(database)
    assert [path.rpartition("/")[2] for path in report.applied] == ["route_alerts.sql", "roles.sql"]
    granted = "SELECT bool_and(has_function_privilege('pggit_alertd_daemon', oid, 'EXECUTE')) FROM pg_proc"
    assert value(database, granted + " WHERE proname = 'route_alerts'") is True
    await verified(database)


async def test_a_function_without_a_file_is_kept(database: str) -> None:
    """A function that vanished from the release stays: an older replica may still call it."""
    run(
        database,
        "CREATE FUNCTION pggit.retired() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO pggit.alertd_migration VALUES ('function', 'retired', 'x', '0.0.1')",
    )
    assert not (await migrate.up(database)).changed
    assert value(database, "SELECT pggit.retired()") == 1
    status = await migrate.status(database)
    assert status.up_to_date
    assert [entry.name for entry in status.entries if entry.state == "retired"] == ["retired"]


async def test_a_migration_numbered_below_an_applied_one_is_refused(database: str) -> None:
    """Two branches of development that took the same number can't leave a migration out silently."""
    run(database, "DELETE FROM pggit.alertd_migration WHERE name = '0001_notifications'")
    with pytest.raises(SchemaError, match=r"0001_notifications\.sql is not applied"):
        await migrate.up(database)


async def test_an_unmigrated_database_is_missing_its_schema(empty_database: str) -> None:
    """The daemon on an empty or unmigrated database says which command to run."""
    with pytest.raises(SchemaMissing, match=r"migrate up"):
        await verified(empty_database)
    load(empty_database, "b")
    with pytest.raises(SchemaMissing, match=r"migrate up"):
        await verified(empty_database)


async def test_a_busy_table_fails_fast_and_names_the_session(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a long transaction migrate gives up, names its pid, changes nothing, and works once it has ended."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrate, "LOCK_PAUSES", RetrySchedule(base=0.0))
    load(empty_database, "b")
    before = picture(empty_database)
    async with await psycopg.AsyncConnection.connect(empty_database) as writer:
        await writer.execute("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE")
        with pytest.raises(DatabaseError) as failure:
            await migrate.up(empty_database)
        assert f"pid {writer.info.backend_pid}" in str(failure.value)
        assert "Nothing was changed" in str(failure.value)
        await writer.rollback()
    assert picture(empty_database) == before
    assert (await migrate.up(empty_database)).changed


async def test_a_table_that_is_busy_for_a_moment_is_waited_for(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is gone by the next attempt costs an attempt and nothing else."""
    load(empty_database, "b")
    async with await psycopg.AsyncConnection.connect(empty_database) as writer:
        await writer.execute("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE")

        class Release(RetrySchedule):
            def delay(self, attempt: int) -> float:
                writer.pgconn.exec_(b"ROLLBACK")
                return super().delay(attempt)

        monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
        monkeypatch.setattr(migrate, "LOCK_PAUSES", Release(base=0.0))
        assert (await migrate.up(empty_database)).changed


async def test_a_writer_in_a_deadlock_with_migrate_wins(empty_database: str) -> None:
    """If a writer and migrate wait for each other, migrate gives way: the writer's transaction always commits."""
    load(empty_database, "b")
    run(empty_database, "SELECT pggit.record_performance_metric('commit', 1000)")
    async with await psycopg.AsyncConnection.connect(empty_database) as writer:
        await writer.execute("UPDATE pggit.performance_baselines SET is_active = FALSE")
        migration = asyncio.create_task(migrate.up(empty_database))
        waiting = (
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND application_name = 'pggit-alertd migrate' AND datname = current_database()"
        )
        while not await asyncio.to_thread(value, empty_database, waiting):
            pass
        await writer.execute(
            "INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, actual_duration_microseconds)"
            " SELECT metric_id, operation_type, 'ANOMALY', 1 FROM pggit.performance_metrics"
        )
        await writer.commit()
    assert (await migration).changed


async def test_a_second_migration_that_waits_too_long_says_for_whom(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration stuck behind another one doesn't wait for ever."""
    monkeypatch.setattr(migrate, "TURN_TIMEOUT", "100ms")
    async with await psycopg.AsyncConnection.connect(empty_database) as other:
        await other.execute("SELECT pg_advisory_xact_lock(8099556157470895204)")
        with pytest.raises(DatabaseError, match=r"Another migration"):
            await migrate.up(empty_database)


@pytest.mark.parametrize("setting", ["default_transaction_isolation = 'serializable'", "search_path = ''"])
async def test_settings_of_the_database_do_not_matter(empty_database: str, setting: str) -> None:
    """Isolation level and search path of the database don't change what up does, also when several run at once."""
    name = value(empty_database, "SELECT current_database()")
    run(empty_database, f"ALTER DATABASE {name} SET {setting}")
    reports = await asyncio.gather(*(migrate.up(empty_database) for _ in range(5)))
    assert sum(report.changed for report in reports) == 1


async def test_two_databases_of_one_cluster_share_the_roles(lonely: EmbeddedServer) -> None:
    """Migrations of several databases at once all succeed, although each wants to create the cluster's roles."""
    names = [f"db_{number}_" for number in range(4)]
    with psycopg.connect(lonely.dsn(), autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    reports = await asyncio.gather(*(migrate.up(lonely.dsn(name)) for name in names))
    assert all(report.changed for report in reports)
    count = value(lonely.dsn(), "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pggit\\_alertd\\_%'")
    assert count == 3
    for name in names:
        granted = "SELECT has_table_privilege('pggit_alertd_daemon', 'pggit.alert_notification_queue', 'UPDATE')"
        assert value(lonely.dsn(name), granted) is True


async def test_an_owner_who_may_not_create_roles_gets_the_schema_and_a_notice(lonely: EmbeddedServer) -> None:
    """Roles are optional: without CREATEROLE they are left out and said so, and added when somebody may create them."""
    run(lonely.dsn(), "CREATE ROLE plain_ LOGIN", "CREATE DATABASE plain_ OWNER plain_")
    owner = lonely.dsn("plain_", user="plain_")
    first = await migrate.up(owner)
    assert any("pggit_alertd_daemon" in notice for notice in first.notices)
    assert not (await migrate.up(owner)).changed
    await verified(owner)
    assert (await migrate.up(lonely.dsn("plain_"))).applied == ("roles.sql",)
    assert not (await migrate.up(owner)).changed


async def test_grants_follow_roles_that_come_later(lonely: EmbeddedServer) -> None:
    """An owner who could not create the roles gives them their grants once somebody else has."""
    run(
        lonely.dsn(),
        "DROP ROLE IF EXISTS pggit_alertd_daemon, pggit_alertd_operator, pggit_alertd_reader",
        "CREATE ROLE later_ LOGIN",
        "CREATE DATABASE later_ OWNER later_",
    )
    owner = lonely.dsn("later_", user="later_")
    await migrate.up(owner)
    run(lonely.dsn(), *(f"CREATE ROLE pggit_alertd_{name}" for name in ("daemon", "operator", "reader")))
    assert (await migrate.up(owner)).applied == ("roles.sql",)
    assert value(owner, "SELECT has_table_privilege('pggit_alertd_daemon', 'pggit.alert_outbox', 'SELECT')") is True
    assert not (await migrate.up(owner)).changed


async def test_a_role_without_create_is_refused(lonely: EmbeddedServer) -> None:
    """Missing privileges are the operator's to mend, and the message says so."""
    run(lonely.dsn(), "CREATE ROLE guest_ LOGIN", "CREATE DATABASE house_")
    with pytest.raises(DatabaseRefused, match=r"42501"):
        await migrate.up(lonely.dsn("house_", user="guest_"))


async def test_a_vanished_server_is_unavailable(lonely: EmbeddedServer) -> None:
    """Up on a server that is down raises the transient error."""
    lonely.halt()
    try:
        with pytest.raises(DatabaseUnavailable):
            await migrate.up(lonely.dsn())
    finally:
        lonely.resume()


async def test_the_daemon_role_can_verify(database: str) -> None:
    """The check at start needs nothing beyond the daemon's role."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("SET ROLE pggit_alertd_daemon")
        await migrate.verify(connection)
        await connection.execute("SET ROLE pggit_alertd_reader")
        await migrate.verify(connection)


async def test_a_role_without_our_grants_is_refused_by_verify(database: str) -> None:
    """A login that nobody granted the daemon's role to is told what it lacks."""
    run(database, "DROP ROLE IF EXISTS nobody_granted", "CREATE ROLE nobody_granted")
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("SET ROLE nobody_granted")
        with pytest.raises(DatabaseRefused, match=r"pggit_alertd_daemon"):
            await migrate.verify(connection)
    run(database, "DROP ROLE nobody_granted")
