"""What the tests of the database's own code share: words for alerts and windows, and the daemon's pool."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from pggit_alertd.database.pool import Database
from support.alerts import Alerts
from support.windows import Windows


@pytest.fixture
def alerts(connection: AsyncConnection[tuple[Any, ...]]) -> Alerts:
    """Return the test's database with words for alerts."""
    return Alerts(connection)


@pytest.fixture
def windows(alerts: Alerts) -> Windows:
    """Return the test's database with words for windows."""
    return Windows(alerts)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Database]:
    """Yield an open pool on the test's database."""
    opened = Database(database)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def shared(server: Any) -> Iterator[str]:
    """Yield the connection string of a migrated database for all tests of a module, which undo what they do."""
    name = server.create(server.template())
    yield server.server.dsn(name)
    server.drop(name)
