"""Check that a NOTIFY arrives where the daemon listens, by sending one."""

import secrets
from collections.abc import Sequence

from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.checks.server import pooled
from pggit_alertd.database import queries
from pggit_alertd.database.listen import PROBES
from pggit_alertd.database.pool import Connection, Database, connect
from pggit_alertd.errors import DatabaseError
from pggit_alertd.settings import Settings

HEAR_SECONDS = 5.0
VARIABLE = "PGGIT_ALERTD_LISTEN_DATABASE_URL"


async def listen(database: Database, url: str, settings: Settings) -> Sequence[CheckResult]:
    """Listen on the listener's connection, notify over the other, and wait for it."""
    ear = Database(
        url, size=1, connect_timeout=settings.database_connect_timeout, application="pggit-alertd check listener"
    )
    try:
        # Once by hand, because a pool would only say that it waited.
        await (await connect(ear.conninfo)).close()
    except DatabaseError as error:
        told = str(error).replace("PGGIT_ALERTD_DATABASE_URL", VARIABLE)
        return [CheckResult("listen", Status.FAILED, f"{VARIABLE} gives no connection: {told}")]
    await ear.open()
    try:
        async with ear.connection() as connection:
            await connection.execute(queries.load("check_listen").encode())
            heard = await _heard(database, connection)
        if heard:
            return [CheckResult("listen", Status.OK, "a NOTIFY arrives where the daemon listens")]
        return [CheckResult("listen", Status.WARNING, await _reason(database, ear, settings))]
    finally:
        await ear.close()


async def _heard(database: Database, connection: Connection) -> bool:
    token = secrets.token_hex(8)
    await database.fetch("notify", {"channel": PROBES, "payload": token})
    async for notification in connection.notifies(timeout=HEAR_SECONDS):
        if notification.payload == token:
            return True
    return False


async def _reason(database: Database, ear: Database, settings: Settings) -> str:
    """Say why nothing was heard, as far as it can be told."""
    here, there = [(await each.fetch("check_server"))[0][0] for each in (database, ear)]
    polling = f"alerts are found by polling every {settings.deaf_poll_interval:g} s"
    if here != there:
        return (
            f"{VARIABLE} leads to database {there}, alerts are in {here}, so no NOTIFY arrives "
            f"and {polling}; name the same database in both"
        )
    why = "a pooler stands in between" if await pooled(ear) else "something in between swallows it"
    return f"no NOTIFY arrives ({why}), so {polling}; point {VARIABLE} at the server itself"
