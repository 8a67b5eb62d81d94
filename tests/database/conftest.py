"""What the tests of the database's own code share: words for alerts and windows, and the daemon's pool."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from pggit_alertd.database.pool import Database
from support.alerts import Alerts
from support.replicas import TimeMachine
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


@pytest.fixture
async def daemon_pool(database: str) -> AsyncIterator[Database]:
    """Yield the daemon's connections, with no right but those of its role."""
    opened = Database(make_conninfo(database, options="-c role=pggit_alertd_daemon"), size=2)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def time(database: str, connection: AsyncConnection[tuple[Any, ...]]) -> TimeMachine:
    """Return the movable clock of a fresh database."""
    return await TimeMachine.install(database, connection)


@pytest.fixture(scope="module")
def shared(server: Any) -> Iterator[str]:
    """Yield the connection string of a migrated database for all tests of a module, which undo what they do."""
    name = server.create(server.template())
    yield server.server.dsn(name)
    server.drop(name)
