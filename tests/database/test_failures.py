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
            connection.execute("CREATE DATABASE closed")
            connection.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
            connection.execute("CREATE DATABASE full_up CONNECTION LIMIT 0")
            rules = "local all postgres trust\nlocal all stranger reject\nlocal all all scram-sha-256\n"
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
    ],
    ids=["wrong password", "no such role", "no password", "no database", "no privilege", "full", "rejected"],
)
async def test_a_refused_login_says_what_to_mend(
    guarded: EmbeddedServer, parameters: dict[str, str], state: str, kind: type[DatabaseError], says: str
) -> None:
    """Each way in which a running server says no is told apart, with its mend, and without the password."""
    error = await failure(make_conninfo(guarded.dsn(), **parameters))
    ours = translate(error)
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
