"""A server of this folder's own, which tests may crash: it keeps what it has said is committed; and the scoreboard."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer
from support.daemon import Stage, stage
from support.scoreboard import Scoreboard, Scores

OPTIONS = {
    "max_connections": "60",
    "autovacuum_naptime": "1h",
    "fsync": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""Without fsync a crash of PostgreSQL loses nothing, only one of the machine would; commits are synchronous."""

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Gather the figures, in the process that talks to the terminal; CHAOS_REPORT names the file they go to."""
    if not hasattr(config, "workerinput"):
        report = os.environ.get("CHAOS_REPORT")
        config.pluginmanager.register(Scoreboard(Path(report) if report else None), "chaos-scoreboard")


@pytest.fixture
def scores(request: pytest.FixtureRequest) -> Scores:
    """Return where the test puts the figures of its fault."""
    return Scores(request.node.user_properties)


@pytest.fixture(scope="session")
def crashable() -> Iterator[EmbeddedServer]:
    """Return a running server with a migrated database to copy."""
    with EmbeddedServer(options=OPTIONS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE origin")
        asyncio.run(migrate.up(server.dsn("origin")))
        yield server


@pytest.fixture
async def set_up(crashable: EmbeddedServer) -> AsyncIterator[Stage]:
    """Yield a stage on a fresh database of the server that may be crashed."""
    name = f"chaos_{next(_numbers)}"
    with psycopg.connect(crashable.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE origin STRATEGY file_copy").format(sql.Identifier(name))
        )
    async with stage(crashable.dsn(name)) as found:
        yield found
    if crashable._process is None:
        crashable.resume()
    with psycopg.connect(crashable.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
