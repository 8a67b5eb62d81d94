"""What a failing connection or statement tells the operator, and that it never tells the password."""

import asyncio
import os
import select
import signal
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.database.failures import sqlstate, translate
from pggit_alertd.errors import (
    DatabaseError,
    DatabaseRefused,
    DatabaseRejected,
    DatabaseUnavailable,
    SchemaMissing,
    SchemaOutdated,
)

PASSWORD = "canary-Zx9-password"


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedServer]:
    """Run a server that asks everybody but its superuser for a scram password, and lets one role in once at most."""
    with EmbeddedServer(options={"fsync": "off", "password_encryption": "scram-sha-256"}) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'".encode())
            connection.execute("CREATE ROLE barred NOLOGIN")
            connection.execute("CREATE ROLE single LOGIN CONNECTION LIMIT 0")
            connection.execute("CREATE DATABASE no_entry")
            connection.execute("CREATE DATABASE shut ALLOW_CONNECTIONS false")
            connection.execute("CREATE DATABASE closed")
            connection.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
            connection.execute("CREATE DATABASE full_up CONNECTION LIMIT 0")
            rules = (
                "local no_entry postgres trust\nlocal postgres,template1,shut,absent postgres,barred,single trust\n"
                "local all stranger reject\nlocal postgres,absent,closed,full_up all scram-sha-256\n"
            )
            (server.data / "pg_hba.conf").write_text(rules)
            connection.execute("SELECT pg_reload_conf()")
        server.halt()
        server.resume()
        yield server


async def failure(dsn: str) -> psycopg.Error:
    """Try to connect and return what psycopg raises."""
    with pytest.raises(psycopg.Error) as caught:
        await psycopg.AsyncConnection.connect(dsn)
    return caught.value


async def test_an_idle_session_that_was_ended_names_the_setting(database: str) -> None:
    """A role whose idle sessions are ended is told which setting does that, not that the server is failing over."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("SET idle_session_timeout = '20ms'")
        await asyncio.to_thread(select.select, [connection.fileno()], [], [], 20.0)
        with pytest.raises(psycopg.OperationalError) as raised:
            await connection.execute("SELECT 1")
    assert "SET idle_session_timeout = 0" in str(translate(raised.value))


@pytest.mark.parametrize(
    ("parameters", "state", "kind", "says"),
    [
        ({"user": "ann", "password": "wrong-" + PASSWORD}, "28P01", DatabaseRefused, "the user or the password"),
        ({"user": "nobody_here", "password": PASSWORD}, "28P01", DatabaseRefused, "the user or the password"),
        ({"user": "ann"}, "28P01", DatabaseRefused, "the user or the password"),
        ({"user": "ann", "password": PASSWORD, "dbname": "absent"}, "3D000", DatabaseRefused, "Create the database"),
        ({"user": "ann", "password": PASSWORD, "dbname": "closed"}, "42501", DatabaseRefused, "Grant the role"),
        ({"user": "ann", "password": PASSWORD, "dbname": "full_up"}, "53300", DatabaseUnavailable, "connections"),
        ({"user": "stranger", "password": PASSWORD}, "28000", DatabaseRefused, "pg_hba.conf"),
        ({"user": "ann", "password": PASSWORD, "dbname": "no_entry"}, "28000", DatabaseRefused, "Add a line for it"),
        ({"user": "barred"}, "28000", DatabaseRefused, "ALTER ROLE that role LOGIN"),
        ({"user": "single"}, "53300", DatabaseUnavailable, "CONNECTION LIMIT of the role or database"),
        ({"dbname": "shut"}, "3D000", DatabaseRefused, "ALLOW_CONNECTIONS true"),
        ({"options": "-c nonsense=1"}, None, DatabaseUnavailable, "mend what it names"),
    ],
    ids=[
        "wrong password",
        "no such role",
        "no password",
        "no database",
        "no privilege",
        "full",
        "rejected",
        "no entry",
        "no login",
        "limit of the role",
        "shut",
        "something else",
    ],
)
async def test_a_refused_login_says_what_to_mend(
    guarded: EmbeddedServer, parameters: dict[str, str], state: str | None, kind: type[DatabaseError], says: str
) -> None:
    """Each way in which a running server says no is told apart, in its words, with its mend, without the password."""
    error = await failure(make_conninfo(guarded.dsn(), **parameters))
    ours = translate(error)
    assert str(ours).startswith("PostgreSQL said: ")
    assert type(ours) is kind, str(error)
    assert sqlstate(error) == state
    assert says in str(ours)
    assert "canary" not in str(ours)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://ann:{PASSWORD}@127.0.0.1:1/app",
        f"postgresql://ann:{PASSWORD}@/app?host=/nowhere",
        f"postgresql://ann:{PASSWORD}@no-such-host.invalid/app",
        f"postgresql://ann:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/app",
    ],
    ids=["port", "socket", "name", "two hosts"],
)
async def test_an_unreachable_server_is_worth_waiting_for(dsn: str) -> None:
    """Nobody listening, no socket, no such name: transient, naming what was tried, without the password."""
    ours = translate(await failure(dsn))
    assert isinstance(ours, DatabaseUnavailable)
    assert "canary" not in str(ours)
    assert any(part in str(ours) for part in ("127.0.0.1", "/nowhere", "no-such-host.invalid"))
    assert "?." not in str(ours)


@pytest.mark.parametrize("host", ["{socket},{socket}", "/nowhere,{socket}"])
async def test_what_several_attempts_met_is_said_once(guarded: EmbeddedServer, host: str) -> None:
    """A name with two addresses, or a second attempt of libpq's own, doesn't double what the server said."""
    parameters = {"host": host.format(socket=guarded.socket), "user": "single"}
    ours = str(translate(await failure(make_conninfo(guarded.dsn(), **parameters))))
    assert ours.count("too many connections for role") == 1
    assert "attempts failed" not in ours
    assert ("; connection to server on socket" in ours) == ("/nowhere" in host)


async def test_a_server_that_stops_or_starts_is_named_as_such(guarded: EmbeddedServer) -> None:
    """A server that shuts down says so in its own words, and waiting is what is advised."""
    postmaster = int((guarded.data / "postmaster.pid").read_text().split()[0])
    try:
        async with await psycopg.AsyncConnection.connect(guarded.dsn()):
            os.kill(postmaster, signal.SIGTERM)  # waits for this session to end
            ours = None
            for _ in range(500):
                try:
                    await (await psycopg.AsyncConnection.connect(guarded.dsn())).close()
                except psycopg.OperationalError as error:
                    ours = translate(error)
                    break
    finally:
        guarded.halt()
        guarded.resume()
    assert isinstance(ours, DatabaseUnavailable)
    assert "the database system is shutting down (57P03). The server is starting, stopping" in str(ours)


async def test_a_name_with_several_addresses_is_refused_for_the_same_reason(guarded: EmbeddedServer) -> None:
    """If one address is dead and the other refuses the password (as with localhost), the password is to be mended."""
    hosts = {"host": f"/nowhere,{guarded.socket}", "user": "ann", "password": "wrong-" + PASSWORD}
    ours = translate(await failure(make_conninfo(guarded.dsn(), **hosts)))
    assert isinstance(ours, DatabaseRefused)
    assert "canary" not in str(ours)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:canary@p@ss@127.0.0.1:1/app",
        "postgresql://ann:canary/p@127.0.0.1:1/app",
        "postgresql://ann:canary%@127.0.0.1:1/app",
        "host=127.0.0.1 port=1 password=canary secret",
        "canary password",
        "postgresql://ann@127.0.0.1:canary/app",
        "host=127.0.0.1 port=1 canary=1",
    ],
)
async def test_a_mistyped_connection_string_is_not_repeated(dsn: str) -> None:
    """A password with unescaped characters ends up in host, port or option names; no message quotes any of it."""
    ours = translate(await failure(dsn))
    assert isinstance(ours, DatabaseRefused | DatabaseUnavailable)
    assert "canary" not in str(ours)
    assert "p@ss" not in str(ours)


async def test_a_session_that_was_ended_is_worth_opening_again(guarded: EmbeddedServer) -> None:
    """A connection the server closed under us, at shutdown or by an administrator, is a transient failure."""
    async with await psycopg.AsyncConnection.connect(guarded.dsn(), autocommit=True) as victim:
        async with await psycopg.AsyncConnection.connect(guarded.dsn(), autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError) as caught:
            await victim.execute("SELECT 1")
    assert isinstance(translate(caught.value), DatabaseUnavailable)


async def test_a_server_that_vanishes_under_a_session_is_unavailable(guarded: EmbeddedServer) -> None:
    """A crash between two statements is nobody's fault and worth waiting for, whatever libpq calls it."""
    async with await psycopg.AsyncConnection.connect(guarded.dsn(), autocommit=True) as connection:
        guarded.halt(signal.SIGQUIT)
        try:
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError) as caught:
                    await connection.execute("SELECT 1")
                assert isinstance(translate(caught.value), DatabaseUnavailable)
        finally:
            guarded.resume()


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT * FROM pggit.nowhere", SchemaMissing),
        ("SELECT * FROM no_schema.nowhere", SchemaMissing),
        ("SELECT no_such_function()", SchemaOutdated),
        ("SELECT no_column FROM pg_class", SchemaOutdated),
        ("SET ROLE pg_monitor; SELECT * FROM pg_authid", DatabaseRefused),
        ("SET transaction_read_only = on; CREATE TABLE t ()", DatabaseUnavailable),
        ("SET statement_timeout = 1; SELECT pg_sleep(5)", DatabaseError),
        ("SELECT 1 / 0", DatabaseRejected),
    ],
)
async def test_a_failed_statement_is_judged_by_its_sqlstate(
    guarded: EmbeddedServer, statement: str, kind: type[DatabaseError]
) -> None:
    """Whose fault a failed statement is follows from its SQLSTATE alone."""
    async with await psycopg.AsyncConnection.connect(guarded.dsn()) as connection:
        with pytest.raises(psycopg.Error) as caught:
            await connection.execute(statement.encode())
        ours = translate(caught.value)
        assert type(ours) is kind
        assert str(caught.value.sqlstate) in str(ours)
        await connection.rollback()


async def test_the_error_names_no_environment(guarded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that libpq takes from PGPASSWORD isn't told either."""
    monkeypatch.setitem(os.environ, "PGPASSWORD", "canary-from-environment")
    ours = translate(await failure(make_conninfo(guarded.dsn(), user="ann")))
    assert isinstance(ours, DatabaseRefused)
    assert "canary" not in str(ours)
