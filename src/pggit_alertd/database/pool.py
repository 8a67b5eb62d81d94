"""Connections to PostgreSQL, and the one place where psycopg's errors become ours.

Every session keeps the database's own TimeZone: pgGit's timestamps have no zone, and a daemon that set its own would
see them hours off. Statements are single and autocommitted, so a pooler in transaction mode is fine here; prepared
statements are switched off when one is found in between.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor, IsolationLevel
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pggit_alertd.cancellation import kept_cancellation
from pggit_alertd.database import queries
from pggit_alertd.database.failures import translate
from pggit_alertd.database.instants import admit_all_instants
from pggit_alertd.errors import DatabaseError, DatabaseUnavailable

Connection = AsyncConnection[TupleRow]

KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
TCP_USER_TIMEOUT_MS = 20_000
# A loop whose statement waits for a lock must still come round: a daemon that looks dead is killed, and what it knows
# of messages it has sent dies with it.
PATIENCE_SECONDS = 30.0

_STYLE = {"DateStyle": "ISO", "IntervalStyle": "postgres", "standard_conforming_strings": "on"}

# The pool reports each failed attempt to connect; the loops that wait for the database say it once, with the reason.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


def session(url: str, *, application: str, connect_timeout: float) -> str:
    """Return a connection string that notices a dead peer within half a minute and names us in pg_stat_activity.

    The session speaks UTF-8 whatever the database is kept in, so any text can be sent and the server judges it.
    Raises DatabaseRefused for what libpq can't read, or an older one does not know.
    """
    try:
        return make_conninfo(
            url,
            application_name=application,
            client_encoding="UTF8",
            connect_timeout=max(int(connect_timeout), 2),
            tcp_user_timeout=TCP_USER_TIMEOUT_MS,
            **KEEPALIVE,
        )
    except psycopg.Error as error:
        raise translate(error) from error


async def connect(conninfo: str) -> Connection:
    """Open one autocommit connection. Raises DatabaseUnavailable or DatabaseRefused, saying what to do."""
    try:
        return await AsyncConnection.connect(conninfo, autocommit=True)
    except psycopg.Error as error:
        raise translate(error) from error


class _Warmest(deque[Connection]):
    """Lends the connection that came back last.

    A pool that takes turns spreads an alert's way over several server processes, each with its own cold caches and
    plans: a fifth to a third more from commit to request.
    """

    def popleft(self) -> Connection:
        """Return the one used last."""
        return self.pop()


class _Pool(AsyncConnectionPool[Connection]):
    """The library's pool, whose idle connections are a stack rather than a queue."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pool = _Warmest()


async def styled(connection: Connection) -> None:
    """Have values written as psycopg reads them and queries mean them, if the database or the role has other customs.

    The server reports these settings with the connection, so in the usual case this asks nothing.
    """
    reported = [connection.info.parameter_status(name) or "" for name in _STYLE]
    if not all(found.startswith(usual) for found, usual in zip(reported, _STYLE.values(), strict=True)):
        await connection.execute(queries.load("session_style").encode())


async def _run(connection: Connection, name: str, parameters: Mapping[str, Any] | None) -> AsyncRawCursor[TupleRow]:
    """Run the named statement, in a transaction of its own where the session can't say how it is isolated."""
    statement, names = queries.numbered(name)
    given = parameters or {}
    async with contextlib.nullcontext() if connection.isolation_level is None else connection.transaction():
        return await AsyncRawCursor(connection).execute(statement, [given[each] for each in names])


async def _configure(connection: Connection) -> None:
    """Prepare no statements behind a pooler, whose next server process would not know them; settle how we are isolated.

    In a database that is serializable by default, we would make the application's own transactions fail. Behind a
    pooler, what a session sets would be set for whoever gets the server process next, so there each BEGIN says it: two
    round trips more a statement, which `check` tells how to save.
    """
    await styled(connection)
    row = await (await connection.execute(queries.load("backend_pid").encode())).fetchone()
    through = row is None or row[0] != connection.info.backend_pid
    if through:
        connection.prepare_threshold = None
    if row is None or row[1] == "read committed":
        return
    if through:
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    else:
        await connection.execute(queries.load("session_isolation").encode())


class Database:
    """A small pool of autocommit connections for the daemon's loops.

    `fetch` and `execute` run named statements from sql/queries. All errors leave as DatabaseError. `trouble` is what
    the last use met, or nothing if it went well: an answer for those who can't wait until the next attempt has failed.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int = 4,
        connect_timeout: float = 5.0,
        application: str = "pggit-alertd",
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._patience = patience
        self.conninfo = session(url, application=application, connect_timeout=connect_timeout)
        self._timeout = connect_timeout
        self.trouble = ""
        self._pool = _Pool(
            self.conninfo,
            min_size=1,
            max_size=size,
            kwargs={"autocommit": True},
            configure=_configure,
            open=False,
            timeout=connect_timeout,
            max_idle=600.0,
            reconnect_timeout=connect_timeout,
            num_workers=1,
            name="pggit-alertd",
        )

    async def open(self) -> None:
        """Start the pool; it connects when it can, so this succeeds with the database down."""
        await self._pool.open(wait=False)

    async def knock(self) -> None:
        """Open and close one connection past the pool, which would only say that it waited, and only after waiting."""
        opened = await connect(self.conninfo)
        await opened.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection. Raises DatabaseUnavailable or DatabaseRefused with the server's own reason."""
        try:
            with kept_cancellation():
                async with self._translated() as connection:
                    yield connection
        except DatabaseError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[Connection]:
        """Lend a connection whose errors are ours."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            await self._explain()
        except psycopg.OperationalError as error:
            await self._pool.check()
            raise translate(error) from error
        except psycopg.Error as error:
            raise translate(error) from error

    async def fetch(self, name: str, parameters: Mapping[str, Any] | None = None) -> Sequence[TupleRow]:
        """Run the named statement and return its rows as tuples."""
        async with self._in_time(), self.connection() as connection:
            return await (await _run(connection, name, parameters)).fetchall()

    async def execute(self, name: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run the named statement and return how many rows it touched."""
        async with self._in_time(), self.connection() as connection:
            return (await _run(connection, name, parameters)).rowcount

    async def read(
        self, asked: Sequence[tuple[str, Mapping[str, Any]]], *, seconds: float
    ) -> list[list[dict[str, Any]]]:
        """Run named statements one after the other in a read-only transaction; return each one's rows as dicts.

        Each statement may take `seconds`, by the server's clock: what people look at must not hold up deliveries.
        """
        found: list[list[dict[str, Any]]] = []
        async with self._in_time(), self.connection() as connection, connection.transaction():
            limit = {"milliseconds": round(seconds * 1000)}
            await connection.execute(queries.load("console_session").encode(), limit)
            cursor = connection.cursor(row_factory=dict_row)
            admit_all_instants(cursor)
            try:
                for name, parameters in asked:
                    await cursor.execute(queries.load(name).encode(), parameters)
                    found.append(await cursor.fetchall())
            except psycopg.errors.QueryCanceled:
                raise DatabaseUnavailable(
                    f"PostgreSQL did not answer within {seconds:g} s: it is busy, or a session holds a lock on pggit's "
                    "tables."
                ) from None
        return found

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Cancel a statement that waits too long, for a lock or for a network that swallows packets."""
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError:
            self.trouble = (
                f"PostgreSQL did not answer within {self._patience:g} s. Look in pg_stat_activity for a session that "
                "holds a lock on pggit's tables, and at the network; it is tried again."
            )
            raise DatabaseUnavailable(self.trouble) from None

    async def _explain(self) -> None:
        """Find out why the pool has no connection to lend: the pool itself only knows that it waited."""
        await self.knock()
        raise DatabaseUnavailable(
            f"No database connection became free within {self._timeout:.0f} s; raise PGGIT_ALERTD_DATABASE_POOL_SIZE."
        )
