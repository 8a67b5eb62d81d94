"""One connection for a command that asks something and ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pggit_alertd.database.pool import PATIENCE_SECONDS, Database, connect
from pggit_alertd.settings import Settings


@asynccontextmanager
async def visiting(
    settings: Settings, application: str, *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Database]:
    """Lend a database that answers now or says why not. `application` is what pg_stat_activity and the audit show.

    A statement may take `patience` seconds.
    """
    database = Database(
        settings.database_url.get_secret_value(),
        size=1,
        connect_timeout=settings.database_connect_timeout,
        application=application,
        patience=patience,
    )
    try:
        # Once by hand, because a pool would only say that it waited.
        await (await connect(database.conninfo)).close()
        await database.open()
        yield database
    finally:
        await database.close()
