"""Brings a database to this release's schema, in one transaction, or says exactly why not and changes nothing.

The order never varies: the advisory lock, then the look at the catalogs, then the DDL. So twenty replicas that start
at once apply everything once, and a database of a kind we don't install on is left as it was.

DDL waits for a table lock at most `LOCK_TIMEOUT`: while it waits, every writer waits behind it. It is shorter than
PostgreSQL's deadlock_timeout (1 s), so if a writer and a migration wait for each other, the migration gives way and not
the writer. Then the whole transaction is tried again a few times, and in the end the session in the way is named.

pgGit's event triggers run on our DDL as on any other; search_path is left alone because they may lean on it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import AsyncConnection, IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Diagnostic

from pggit_alertd import __version__
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.database import queries
from pggit_alertd.database.failures import sqlstate, translate
from pggit_alertd.database.files import sql_directory
from pggit_alertd.database.migration_plan import Plan, Step, read_ledger, rows, run, survey
from pggit_alertd.database.migrations import (
    FOUND,
    Applied,
    Release,
    ScriptKind,
    bundled,
    downgrades,
    pending,
    refuse_newer,
)
from pggit_alertd.database.pool import styled
from pggit_alertd.database.schema_kind import Kind
from pggit_alertd.errors import DatabaseError, SchemaError, SchemaMissing, SchemaOutdated, SchemaRefused

LOCK_TIMEOUT = "500ms"
LOCK_ATTEMPTS = 5
LOCK_PAUSES = RetrySchedule(base=0.5, cap=4.0)
TURN_TIMEOUT = "60s"
"""How long one migration waits for another that is running."""
CONNECT_SECONDS = 10

_NAME_TAKEN = frozenset({"42P07", "42723", "42710", "42P13", "42P16"})
"""Relation, function or object exists; function or view exists with another result."""


@dataclass(frozen=True)
class UpReport:
    """What `up` did. `kind` is how the database was found; `applied` are paths below sql/, in order."""

    kind: Kind
    applied: tuple[str, ...]
    notices: tuple[str, ...] = field(default=())

    @property
    def changed(self) -> bool:
        """Whether anything was applied."""
        return bool(self.applied)

    def summary(self) -> str:
        """Return one sentence for people."""
        if not self.changed:
            return f"The schema is that of release {__version__} already; nothing was changed."
        found = "an empty database" if self.kind is Kind.EMPTY else f"a database with branches({self.kind.branch_key})"
        return f"Applied {len(self.applied)} files of release {__version__} to {found}."


@dataclass(frozen=True)
class Entry:
    """One file's state: applied, pending, changed (will be applied again), or retired (no longer in this release)."""

    kind: str
    name: str
    state: str
    release: str | None = None
    applied_at: str | None = None


@dataclass(frozen=True)
class Status:
    """What is applied and what is not."""

    kind: Kind
    entries: tuple[Entry, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether `up` would change nothing."""
        return all(entry.state in ("applied", "retired") for entry in self.entries)


class _BusyError(DatabaseError):
    """A lock was not to be had in time; the next attempt may get it."""


async def up(dsn: str) -> UpReport:
    """Bring the database to this release's schema; a second call changes nothing.

    Raises SchemaRefused, SchemaTooNew, ChecksumDrift, DatabaseUnavailable, DatabaseRefused or DatabaseError. Whichever
    it is, nothing was changed.
    """
    release = Release(sql_directory())
    for attempt in range(1, LOCK_ATTEMPTS):
        try:
            return await _attempt(dsn, release)
        except _BusyError:
            await asyncio.sleep(LOCK_PAUSES.delay(attempt))
    return await _attempt(dsn, release)


async def down(dsn: str) -> tuple[str, ...]:
    """Drop our functions, triggers and views; keep every table, row and role. Return what was dropped.

    `up` puts them back. Raises SchemaMissing, SchemaTooNew, DatabaseUnavailable, DatabaseRefused or DatabaseError;
    then nothing was changed.
    """
    for attempt in range(1, LOCK_ATTEMPTS):
        try:
            return await _withdraw(dsn)
        except _BusyError:
            await asyncio.sleep(LOCK_PAUSES.delay(attempt))
    return await _withdraw(dsn)


async def dry_down(dsn: str) -> str:
    """Return the SQL that `down` would run, fit for psql. Changes nothing."""
    async with _transaction(dsn) as connection:
        await connection.set_read_only(True)
        if not await _droppable(connection):
            return "-- Our functions and views are not installed; there is nothing to run.\n"
    text = (sql_directory() / "down.sql").read_text(encoding="utf-8").strip()
    turn = [_printed("migration_session", {"lock_timeout": TURN_TIMEOUT}), _printed("migration_lock")]
    return "\n\n".join(
        ["BEGIN;", *turn, _printed("migration_session", {"lock_timeout": LOCK_TIMEOUT}), text, "COMMIT;\n"]
    )


async def plan(dsn: str) -> Plan:
    """Return what `up` would do, in a read-only transaction. Raises what `up` raises."""
    async with _transaction(dsn) as connection:
        await connection.set_read_only(True)
        return await survey(connection, Release(sql_directory()))


async def status(dsn: str) -> Status:
    """Return which files are applied, in the order of application. Raises what `plan` raises."""
    found = await plan(dsn)
    recorded = {(row.kind, row.name): row for row in found.ledger}
    due = {(script.kind, script.name) for script in found.due}
    entries: list[Entry] = []
    for script in found.scripts:
        row = recorded.pop((script.kind, script.name), None)
        state = "applied" if (script.kind, script.name) not in due else "pending" if row is None else "changed"
        entries.append(_entry(script.kind, script.name, state, row))
    entries.extend(
        _entry(row.kind, row.name, "applied" if row.kind.immutable else "retired", row) for row in recorded.values()
    )
    return Status(kind=found.kind, entries=tuple(entries))


async def dry_run(dsn: str) -> str:
    """Return the SQL that `up` would run, fit for psql, with the ledger's rows in it. Changes nothing."""
    found = await plan(dsn)
    if not found.steps:
        return f"-- The schema is that of release {__version__} already; there is nothing to run.\n"
    parts = ["BEGIN;", _printed("migration_session", {"lock_timeout": TURN_TIMEOUT}), _printed("migration_lock")]
    parts.append(_printed("migration_session", {"lock_timeout": LOCK_TIMEOUT}))
    for step in found.steps:
        parts.append(f"-- sql/{step.path}\n{step.text.strip()}".rstrip())
        parts.extend(_printed("migration_record", row) for row in step.rows)
    return "\n\n".join([*parts, "COMMIT;"]) + "\n"


async def verify(connection: AsyncConnection[Any]) -> None:
    """Check that the database has this release's schema; quick, for the daemon's start and its readiness.

    Functions that a newer release has replaced are accepted: a schema serves the release before it as well, so
    replicas can be upgraded one by one. Raises SchemaMissing, SchemaOutdated, SchemaTooNew or ChecksumDrift, and
    DatabaseUnavailable or DatabaseRefused if the database can't be asked.
    """
    try:
        ((migrated, by_branch_id),) = await rows(connection, "migration_state")
        ledger = await read_ledger(connection) if migrated else ()
    except psycopg.Error as error:
        raise translate(error) from error
    if not ledger:
        raise SchemaMissing("The database has no schema of pggit-alertd; run `pggit-alertd migrate up`.")
    found = any(row.checksum == FOUND for row in ledger)
    kind = Kind.BRANCH_ID if by_branch_id else Kind.ID
    due = pending(bundled().scripts(kind.branch_key, foundation=not found), ledger)
    newer = downgrades(due, ledger, __version__)
    lacking = [script for script in due if script not in newer]
    if lacking:
        more = f" and {len(lacking) - 1} more are" if len(lacking) > 1 else " is"
        raise SchemaOutdated(
            f"The schema is older than release {__version__}: sql/{lacking[0].path}{more} not applied. "
            "Run `pggit-alertd migrate up`."
        )


async def _attempt(dsn: str, release: Release) -> UpReport:
    notices: list[str] = []

    def listen(diagnostic: Diagnostic) -> None:
        notices.append(f"{diagnostic.severity_nonlocalized}: {diagnostic.message_primary}")

    async with _transaction(dsn) as connection:
        connection.add_notice_handler(listen)
        await _take_turn(connection)
        found = await survey(connection, release)
        try:
            for step in found.steps:
                await _apply(connection, step)
            await connection.commit()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            await connection.rollback()
            raise _BusyError(await _blocked(connection)) from error
    applied = tuple(step.path for step in found.steps if step.path != "ledger.sql")
    return UpReport(kind=found.kind, applied=applied, notices=tuple(notices))


async def _withdraw(dsn: str) -> tuple[str, ...]:
    async with _transaction(dsn) as connection:
        await _take_turn(connection)
        dropped = await _droppable(connection)
        try:
            if dropped:
                await connection.execute((sql_directory() / "down.sql").read_text(encoding="utf-8").encode())
            await connection.commit()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            await connection.rollback()
            raise _BusyError(await _blocked(connection)) from error
    return dropped


async def _droppable(connection: AsyncConnection[Any]) -> tuple[str, ...]:
    """Return what `down` would drop. Raises SchemaMissing where nothing of ours is installed.

    Raises SchemaTooNew for a newer release's schema: the `up` of this one could not put back what it took.
    """
    ((migrated, _),) = await rows(connection, "migration_state")
    if not migrated:
        raise SchemaMissing("The database has no schema of pggit-alertd; there is nothing to take away.")
    ledger = await read_ledger(connection)
    refuse_newer((*bundled().foundation, *bundled().migrations), ledger)
    ours = (ScriptKind.FUNCTION, ScriptKind.VIEW)
    return tuple(f"{row.kind.value} pggit.{row.name.partition('.')[0]}" for row in ledger if row.kind in ours)


async def _take_turn(connection: AsyncConnection[Any]) -> None:
    """Wait until no other migration of this database runs, then set the time that DDL may wait for a lock."""
    try:
        await run(connection, "migration_session", {"lock_timeout": TURN_TIMEOUT})
        await run(connection, "migration_lock")
    except psycopg.errors.LockNotAvailable as error:
        raise DatabaseError(
            f"Another migration of this database has been running for {TURN_TIMEOUT}; look for application "
            "'pggit-alertd migrate' in pg_stat_activity, let it finish or end it, and run this again."
        ) from error
    await run(connection, "migration_session", {"lock_timeout": LOCK_TIMEOUT})


async def _apply(connection: AsyncConnection[Any], step: Step) -> None:
    """Run one file as it is: several statements in one round trip, no parameters, so a % is only a %."""
    try:
        if step.text:
            await connection.execute(step.text.encode())
    except psycopg.Error as error:
        state = sqlstate(error) or ""
        if state in _NAME_TAKEN:
            raise SchemaRefused(
                f"sql/{step.path} can't be applied: {error.diag.message_primary}. Something that is not ours has that "
                "name; rename or remove it and run this again. Nothing was changed."
            ) from error
        if state.startswith("42") and state != "42501":
            raise SchemaError(
                f"sql/{step.path} can't be applied: {error.diag.message_primary} ({state}). Nothing was changed. This "
                "is a fault of the release or of a database altered by hand; please report it with this line."
            ) from error
        raise
    for row in step.rows:
        await run(connection, "migration_record", row)


async def _blocked(connection: AsyncConnection[Any]) -> str:
    """Say who holds the locks, for the operator who has to decide whether to wait or to end it."""
    holders = [
        f"pid {pid} ({application}, in its transaction for {seconds} s)"
        for pid, application, seconds in await rows(connection, "migration_lock_holders")
    ]
    who = f" Locks are held by {'; '.join(holders)}." if holders else ""
    return (
        f"The database is busy: a table of schema pggit could not be locked within {LOCK_TIMEOUT} in {LOCK_ATTEMPTS} "
        f"attempts, and waiting longer would stop all writers.{who} Nothing was changed. Run this again when that "
        "transaction has ended, or end it with pg_terminate_backend(pid)."
    )


@asynccontextmanager
async def _transaction(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """Open a connection of its own whose one transaction is rolled back unless it was committed.

    READ COMMITTED whatever the database's default: after the wait for the lock, the catalogs must be seen as they are.
    """
    try:
        given = conninfo_to_dict(dsn)
        conninfo = make_conninfo(
            dsn,
            application_name="pggit-alertd migrate",
            connect_timeout=given.get("connect_timeout") or CONNECT_SECONDS,
        )
        connection: AsyncConnection[Any] = await AsyncConnection.connect(conninfo, autocommit=True)
        async with connection:
            await styled(connection)
            await connection.set_autocommit(False)
            await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
            yield connection
            await connection.rollback()
    except psycopg.Error as error:
        raise translate(error) from error


def _printed(query: str, parameters: Mapping[str, str] | None = None) -> str:
    """Return a query as text for people, its parameters written in as quoted literals."""
    text = queries.load(query)
    for key, value in (parameters or {}).items():
        text = text.replace(f"%({key})s", sql.Literal(value).as_string(None))
    return text.replace("%%", "%") + ";"


def _entry(kind: ScriptKind, name: str, state: str, row: Applied | None) -> Entry:
    if row is None:
        return Entry(kind=kind.value, name=name, state=state)
    return Entry(kind=kind.value, name=name, state=state, release=row.release, applied_at=row.applied_at.isoformat())
