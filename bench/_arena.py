"""Databases of workloads for detectors to be tried on; kept from run to run if a folder for them is named.

The tables of pgGit and ours are the real ones. Indexes of performance_metrics are made after its rows are copied, which
halves the cost of a row, and two that no detector reads are not made again.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

import _document
from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer

OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "timezone": "UTC",
}
INDEXES = """
    SELECT indexname, indexdef
    FROM pg_indexes
    WHERE schemaname = 'pggit' AND tablename = 'performance_metrics' AND indexname <> 'performance_metrics_pkey'
"""
UNREAD = ("idx_performance_metrics_operation_type", "idx_performance_metrics_user_name")

Store = Callable[[psycopg.Connection], tuple[datetime, datetime]]


class Arena:
    """A PostgreSQL server with one database for each workload."""

    def __init__(self, *, folder: Path | None, postgres: Path | None, detectors: Path | None) -> None:
        self._folder = folder
        self._detectors = detectors
        self._server = EmbeddedServer(
            binaries=postgres, directory=folder and folder.resolve(), options=OPTIONS, keep=folder is not None
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._server.start()
        self._stack.callback(self._server.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def database(self, name: str, store: Store) -> psycopg.Connection:
        """Return a connection to the database of this name; if it is not there, `store` fills it.

        `store` returns from when to when it has rows; these hours are folded into histograms. The functions are always
        those of this checkout, so a detector can be changed and tried again on the same rows.
        """
        name = re.sub(r"\W+", "_", name)
        with psycopg.connect(self._server.dsn(), autocommit=True) as admin:
            known = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known is None:
                admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dsn = self._server.dsn(name)
        asyncio.run(migrate.up(dsn))
        connection = self._stack.enter_context(psycopg.connect(dsn, autocommit=True))
        if connection.execute("SELECT to_regclass('public.filled')").fetchone() == (None,):
            self._fill(connection, store)
        if self._detectors is not None:
            connection.execute(self._detectors.read_bytes())
        return connection

    def _fill(self, connection: psycopg.Connection, store: Store) -> None:
        _document.install(connection)
        if self._detectors is not None:
            connection.execute(self._detectors.read_bytes())
        indexes: dict[str, str] = dict(connection.execute(INDEXES).fetchall())
        for index in indexes:
            connection.execute(sql.SQL("DROP INDEX pggit.{}").format(sql.Identifier(index)))
        begin, end = store(connection)
        for definition in (text for name, text in indexes.items() if name not in UNREAD):
            connection.execute(definition)
        connection.execute("VACUUM (ANALYZE) pggit.performance_metrics")
        connection.execute("SELECT pggit.refresh_performance_histograms(%s, %s)", (begin, end + timedelta(hours=1)))
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CREATE TABLE public.filled ()")
