"""Checks of the database: release, pooler, schema, privileges, time zones, clock."""

import time
from collections.abc import Sequence

from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.database import migrate, queries
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError, SchemaError, SchemaMissing, SchemaRefused

OLDEST, NEWEST = 15, 18
SKEW_SECONDS = 2.0
AHEAD_SECONDS = 60.0
_SHOWN = 5


async def version(database: Database) -> Sequence[CheckResult]:
    """Check that the server's release is one this program is tested with, and that it can be written to."""
    row = (await database.fetch("check_server"))[0]
    number, name, in_recovery = row[2] // 10_000, row[3], row[5]
    found = CheckResult("server", Status.OK, f"PostgreSQL {name}")
    if number < OLDEST:
        found = CheckResult(
            "server", Status.FAILED, f"PostgreSQL {name} is too old; use a server of release {OLDEST} to {NEWEST}"
        )
    elif number > NEWEST:
        found = CheckResult(
            "server",
            Status.WARNING,
            f"PostgreSQL {name} is newer than what this release was tested with ({OLDEST} to {NEWEST}); look for a "
            "newer release of pggit-alertd",
        )
    if not in_recovery:
        return [found]
    standby = "this server is a standby and read-only; point PGGIT_ALERTD_DATABASE_URL at the primary"
    return [found, CheckResult("server", Status.FAILED, standby)]


async def pooler(database: Database) -> Sequence[CheckResult]:
    """Find out whether a pooler stands in between: the process that answers is not the one we were told of."""
    if await pooled(database):
        row = (await database.fetch("check_server"))[0]
        role, isolation = row[1], row[8]
        if isolation != "read committed":
            return [
                CheckResult(
                    "pooler",
                    Status.WARNING,
                    f"a pooler stands in between and the role's default isolation is {isolation}, so each statement "
                    f"needs a BEGIN and a COMMIT of its own; ALTER ROLE {role} SET default_transaction_isolation = "
                    "'read committed'",
                )
            ]
        return [
            CheckResult(
                "pooler",
                Status.OK,
                "a pooler stands in between, which is fine for the work; LISTEN must go past it "
                "(PGGIT_ALERTD_LISTEN_DATABASE_URL)",
            )
        ]
    return [CheckResult("pooler", Status.OK, "the connection is direct")]


async def pooled(database: Database) -> bool:
    """Return whether the backend's own process id differs from the one its client was given."""
    async with database.connection() as connection:
        cursor = await connection.execute(queries.load("check_server").encode())
        row = await cursor.fetchone()
        return row is not None and bool(row[4] != connection.info.backend_pid)


async def schema(database: Database) -> Sequence[CheckResult]:
    """Check that the schema is this release's; where it is missing, find out whether it could be installed."""
    try:
        async with database.connection() as connection:
            await migrate.verify(connection)
    except SchemaMissing as missing:
        return [CheckResult.failure("schema", await _why_missing(database, missing))]
    return [CheckResult("schema", Status.OK, "the schema is this release's")]


async def _why_missing(database: Database, missing: SchemaMissing) -> SchemaError:
    """Return the refusal that `migrate up` would end in, or what was found if it would not."""
    try:
        await migrate.plan(database.conninfo)
    except SchemaRefused as refused:
        return refused
    except DatabaseError:
        return missing
    return missing


async def privileges(database: Database) -> Sequence[CheckResult]:
    """Check that the role may do what the daemon does."""
    rows = await database.fetch("check_privileges")
    if not rows:
        return [CheckResult("privileges", Status.OK, "the role may do what the daemon does")]
    lacking = [f"{privilege} on {name}" for privilege, name in rows]
    more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    role = (await database.fetch("check_server"))[0][1]
    return [
        CheckResult(
            "privileges",
            Status.FAILED,
            f"role {role} lacks {', '.join(lacking[:_SHOWN])}{more}; GRANT pggit_alertd_daemon TO {role}",
        )
    ]


async def time_zones(database: Database) -> Sequence[CheckResult]:
    """Find sessions that keep another wall clock.

    pgGit's timestamps have no zone and hold the writer's own wall clock, so a writer in another zone writes metrics
    that lie hours in the past or the future of everybody else.
    """
    row = (await database.fetch("check_server"))[0]
    own, source = row[6], row[7]
    mend = "ALTER ROLE … RESET TimeZone, or give all of them the same"
    found = [
        CheckResult("time zones", Status.WARNING, f"{_whose(role, here=here)} {zone}, this program's {own}; {mend}")
        for role, here, zone in await database.fetch("check_time_zones")
    ]
    if source == "client":
        found.append(
            CheckResult(
                "time zones",
                Status.WARNING,
                f"the client sets TimeZone {own} for itself; take PGTZ out of the environment, or options=-c timezone "
                "out of the connection string, so that the database's own zone holds",
            )
        )
    elif not found and source in {"user", "database user"}:
        found.append(
            CheckResult(
                "time zones",
                Status.WARNING,
                f"this program's role has a TimeZone of its own ({own}); roles without one keep the server's, which "
                f"may differ; {mend}",
            )
        )
    return [*found, *await _newest(database)] or [
        CheckResult("time zones", Status.OK, f"all sessions keep {own}, as far as roles and databases say")
    ]


def _whose(role: str | None, *, here: bool) -> str:
    if role is None:
        return "this database's TimeZone is" if here else "the TimeZone of all databases is"
    return f"the TimeZone of role {role}{' in this database' if here else ''} is"


async def _newest(database: Database) -> list[CheckResult]:
    """Look at the newest metric: sessions that SET TimeZone themselves leave no other trace."""
    try:
        ahead = (await database.fetch("check_newest_metric"))[0][0]
    except DatabaseError:
        # No such table or no right to read it: the checks of schema and privileges say so.
        return []
    if ahead is None or ahead < AHEAD_SECONDS:
        return []
    return [
        CheckResult(
            "time zones",
            Status.WARNING,
            f"the newest metric lies {ahead / 3600:.1f} h in the future: whoever wrote it has another TimeZone; let "
            "writers keep the database's own",
        )
    ]


async def clock(database: Database) -> Sequence[CheckResult]:
    """Compare this machine's clock with the database's, at the middle of the round trip."""
    before = time.time()
    there = float((await database.fetch("check_clock"))[0][0])
    after = time.time()
    skew = there - (before + after) / 2
    doubt = (after - before) / 2
    if abs(skew) - doubt <= SKEW_SECONDS:
        return [CheckResult("clock", Status.OK, f"{abs(skew):.1f} s apart from the database's")]
    return [
        CheckResult(
            "clock",
            Status.WARNING,
            f"the database's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's; "
            "delivery goes by the database's, logs by this one: synchronize both (chrony, systemd-timesyncd)",
        )
    ]
