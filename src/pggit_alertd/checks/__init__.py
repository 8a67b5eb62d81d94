"""Looks at everything the daemon depends on before somebody needs it: `pggit-alertd check`.

Nothing is changed and nobody is told anything. Each part is looked at by itself, so that the first thing found wrong
doesn't hide the second; what can't be looked at because something before it failed is reported as skipped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from pggit_alertd import channels, logs
from pggit_alertd.channel_options import channel_options
from pggit_alertd.checks import detection, jobs, listening, routing, server, shifts
from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.database.pool import Database, connect
from pggit_alertd.errors import AlertdError, SchemaMissing, SchemaRefused
from pggit_alertd.notification_settings import Setting
from pggit_alertd.settings import Settings

__all__ = ["CheckResult", "Status", "run_checks"]

CHECK_SECONDS = 30.0
"""How long one check may take; deliveries' own deadlines bound the probes of destinations."""

Check = Callable[[], Awaitable[Sequence[CheckResult]]]
_log = logs.get("checks")


async def run_checks(settings: Settings, *, destinations: bool = True) -> list[CheckResult]:
    """Return every finding, in the order in which a person would mend them. Raises nothing but CancelledError.

    Without `destinations` no mail server and no receiver is connected to.
    """
    database = Database(
        settings.database_url.get_secret_value(),
        size=1,
        connect_timeout=settings.database_connect_timeout,
        application="pggit-alertd check",
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        found = _settings(settings)
        connected = await _guarded("connection", lambda: _connection(database))
        found += connected
        if any(each.status is Status.FAILED for each in connected):
            names = ("server", "pooler", "schema", "privileges", "time zones", "clock", "listen", "jobs", "detection")
            found += [CheckResult(name, Status.SKIPPED, "needs the database") for name in names]
        else:
            await database.open()
            found += await _database_checks(settings, database)
        found += await _destination_checks(settings, None if _unusable(found) else database, destinations=destinations)
        return found


async def _database_checks(settings: Settings, database: Database) -> list[CheckResult]:
    found: list[CheckResult] = []
    listen_url = settings.listen_database_url.get_secret_value()
    for name, check in (
        ("server", lambda: server.version(database)),
        ("pooler", lambda: server.pooler(database)),
        ("schema", lambda: server.schema(database)),
        ("privileges", lambda: server.privileges(database)),
        ("time zones", lambda: server.time_zones(database)),
        ("clock", lambda: server.clock(database)),
        ("listen", lambda: listening.listen(database, listen_url, settings)),
        ("jobs", lambda: jobs.jobs(database)),
        ("detection", lambda: detection.detection(database)),
    ):
        if name in {"privileges", "jobs", "detection"} and _unusable(found):
            found.append(CheckResult(name, Status.SKIPPED, "needs the schema"))
        else:
            found += await _guarded(name, check)
    return found


async def _destination_checks(
    settings: Settings, database: Database | None, *, destinations: bool
) -> list[CheckResult]:
    """Check the notification settings and where they lead; the mail server is known without the database."""
    try:
        built = channels.build(channel_options(settings))
    except AlertdError as error:
        return [CheckResult.failure("channels", error)]
    found: list[CheckResult] = []
    async with AsyncExitStack() as stack:
        for channel in built.values():
            stack.push_async_callback(channel.aclose)
        rows: list[Setting] = []
        if database is None:
            found.append(CheckResult("notification settings", Status.SKIPPED, "needs the database and its schema"))
        else:
            told = await _guarded("notification settings", lambda: routing.settings(database, built, rows))
            found += told
            found += await _guarded("on-call shifts", lambda: shifts.shifts(database, built))
        if not destinations:
            found.append(CheckResult("destinations", Status.SKIPPED, "left out by --no-destinations"))
        else:
            found += await routing.probes(built, rows, mail_server=settings.smtp_url is not None)
    return found


async def _guarded(name: str, check: Check) -> Sequence[CheckResult]:
    """Run a check; whatever stops it becomes its finding."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except AlertdError as error:
        return [CheckResult.failure(name, error)]
    except TimeoutError:
        return [CheckResult(name, Status.FAILED, f"no answer within {CHECK_SECONDS:.0f} s; look for locks and load")]
    except Exception as error:  # noqa: BLE001 - a check's edge: one that breaks must not hide the others
        _log.exception("check_crashed", check=name)
        what = f"the check itself broke ({type(error).__name__}); please report it with the lines above"
        return [CheckResult(name, Status.FAILED, what)]


def _settings(settings: Settings) -> list[CheckResult]:
    if not settings.warnings:
        return [CheckResult("settings", Status.OK, "every setting can be used")]
    return [CheckResult("settings", Status.WARNING, each) for each in settings.warnings]


async def _connection(database: Database) -> Sequence[CheckResult]:
    """Connect once by hand: a pool would only say that it waited."""
    connection = await connect(database.conninfo)
    info = connection.info
    where = info.host if info.host.startswith("/") else f"{info.host}:{info.port}"
    message = f"connected to database {info.dbname} at {where} as {info.user}"
    await connection.close()
    return [CheckResult("connection", Status.OK, message)]


def _unusable(found: Sequence[CheckResult]) -> bool:
    """Return whether there is no database, or none with our tables in it."""
    return any(
        each.status is Status.FAILED
        and (
            each.name == "connection"
            or (each.name == "schema" and isinstance(each.error, SchemaMissing | SchemaRefused))
        )
        for each in found
    )
