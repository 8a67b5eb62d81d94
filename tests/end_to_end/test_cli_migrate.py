"""`pggit-alertd migrate` as a process: what it says and how it ends, on databases it takes and on those it refuses."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from migrations.databases import load, picture, run
from pggit_alertd.database.embedded import EmbeddedServer
from support.command_line import alertd

CANARY = "canaryPassw0rdZx9"


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedServer]:
    """Run a server that asks everybody but its superuser for a scram password."""
    with EmbeddedServer(options={"fsync": "off", "password_encryption": "scram-sha-256"}) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE ann LOGIN PASSWORD '{CANARY}'".encode())
        rules = "local all postgres trust\nlocal all all scram-sha-256\n"
        (server.data / "pg_hba.conf").write_text(rules)
        server.halt()
        server.resume()
        yield server


@pytest.mark.servers
async def test_migrate_twice_says_what_it_found_and_did_and_then_that_there_is_nothing(empty_database: str) -> None:
    """The first run says what was found and done, in few lines; the second has nothing to do; both end well."""
    first = await alertd("migrate", database_url=empty_database)
    assert first.status == 0, first.err
    assert first.out.startswith("Found a database without pgGit's tables.\n")
    assert "  applied sql/migrations/0001_notifications.sql\n" in first.out
    assert "applied sql/functions/" not in first.out
    assert re.search(r"^  applied \d+ functions and \d+ views; --verbose names them$", first.out, re.MULTILINE)
    assert "skipping" not in first.err
    before = picture(empty_database)
    second = await alertd("migrate", "up", database_url=empty_database)
    assert second.status == 0
    assert "Nothing to do." in second.out
    assert "applied sql/" not in second.out
    assert picture(empty_database) == before


@pytest.mark.parametrize(("kind", "words"), [("b", "branches(branch_id, branch_name)"), ("d", "branches(id, name)")])
async def test_migrate_says_which_pggit_it_found(empty_database: str, kind: str, words: str) -> None:
    """On a database that has pgGit already, the dialect that was found is named, in words and in JSON."""
    load(empty_database, kind)
    ended = await alertd("migrate", database_url=empty_database)
    assert ended.status == 0, ended.err
    assert f"Found pgGit's tables, with {words}." in ended.out
    again = await alertd("migrate", "--json", database_url=empty_database)
    assert (again.json["ok"], again.json["changed"], again.json["applied"]) == (True, False, [])
    assert again.json["found"] == {"b": "branch_id", "d": "id"}[kind]


async def test_verbose_names_every_file(empty_database: str) -> None:
    """With --verbose each function and view that was applied has a line of its own."""
    ended = await alertd("migrate", "up", "--verbose", database_url=empty_database)
    assert ended.status == 0, ended.err
    assert "  applied sql/functions/notifications/route_alerts.sql\n" in ended.out
    assert "  applied sql/views/" in ended.out


async def test_a_dry_run_prints_the_sql_and_changes_nothing(empty_database: str) -> None:
    """--dry-run shows one transaction fit for psql, and the database stays as it was."""
    before = picture(empty_database)
    ended = await alertd("migrate", "--dry-run", database_url=empty_database)
    assert ended.status == 0
    assert ended.out.startswith("BEGIN;\n")
    assert ended.out.endswith("COMMIT;\n")
    assert "CREATE TABLE pggit.alert_notification_queue" in ended.out
    told = await alertd("migrate", "up", "--dry-run", "--json", database_url=empty_database)
    assert "migrations/0001_notifications.sql" in told.json["pending"]
    assert told.json["sql"] == ended.out
    assert picture(empty_database) == before


async def test_status_lists_what_is_pending_and_what_is_applied(empty_database: str, database: str) -> None:
    """Each file is listed with its state; nothing is changed by looking."""
    bare = await alertd("migrate", "status", database_url=empty_database)
    assert bare.status == 0
    assert "pending  migration  0001_notifications\n" in bare.out
    assert "wait for `pggit-alertd migrate up`" in bare.out
    done = await alertd("migrate", "status", "--json", database_url=database)
    assert done.json["up_to_date"] is True
    assert {row["state"] for row in done.json["files"]} == {"applied"}


@pytest.mark.parametrize(("kind", "column"), [("c", "metric_id"), ("e", "alert_notification_log.http_")])
async def test_a_foreign_schema_is_refused_and_left_alone(empty_database: str, kind: str, column: str) -> None:
    """A database of a kind we don't install on ends with 78, a message naming the column found, and no change."""
    load(empty_database, kind)
    before = picture(empty_database)
    ended = await alertd("migrate", database_url=empty_database)
    assert ended.status == 78
    assert column in ended.err
    assert "Traceback" not in ended.err
    assert picture(empty_database) == before


async def test_a_schema_of_a_newer_release_is_refused(database: str) -> None:
    """A migration this program doesn't know ends with 78 and the release to install."""
    run(
        database,
        "INSERT INTO pggit.alertd_migration (kind, name, checksum, release) "
        "VALUES ('migration', '9999_future', 'x', '99.0.0')",
    )
    ended = await alertd("migrate", database_url=database)
    assert ended.status == 78
    assert "Install pggit-alertd 99.0.0 or later" in ended.err


@pytest.mark.parametrize(
    ("parameters", "status", "says"),
    [
        ({"user": "ann", "password": f"wrong{CANARY}"}, 77, "Mend the user or the password"),
        ({"user": "ann"}, 77, "Mend the user or the password"),
        ({"user": "postgres", "dbname": "absent"}, 77, "Create the database"),
        ({"user": "ann", "password": CANARY}, 77, "Grant the role"),
        ({"host": "127.0.0.1", "port": "1", "password": CANARY}, 69, "Check that PostgreSQL runs"),
        ({"host": "/nonexistent", "password": CANARY}, 69, "Check that PostgreSQL runs"),
    ],
    ids=["wrong password", "no password", "no database", "no privilege", "nobody listens", "no socket"],
)
async def test_a_database_that_says_no_is_told_from_one_that_is_not_there(
    guarded: EmbeddedServer, parameters: dict[str, str], status: int, says: str
) -> None:
    """Each failure ends with its own status and mend, one or two plain lines, and without the password."""
    ended = await alertd("migrate", database_url=make_conninfo(guarded.dsn(), **parameters))
    assert ended.status == status, ended.err
    assert ended.out == ""
    assert ended.err.startswith("pggit-alertd: PostgreSQL ")
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert CANARY not in ended.said
