"""The pool: errors that say what to do, and poolers in between."""

import asyncio

import psycopg
import pytest

from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseRefused, DatabaseUnavailable
from pggit_alertd.model import Urgency
from pggit_alertd.store import Lane


async def test_work_goes_through_pgbouncer_in_transaction_mode(pgbouncer: str) -> None:
    """Many statements on many connections meet no prepared statement of another server process."""
    pool = Database(pgbouncer, size=4)
    await pool.open()
    lanes = {"channels": [Lane("slack", Urgency.PAGE).channel], "urgencies": [0]}

    async def work() -> None:
        for _ in range(20):
            assert await pool.fetch("next_due", lanes) == []

    try:
        await asyncio.gather(*(work() for _ in range(8)))
    finally:
        await pool.close()


async def test_statements_are_prepared_on_a_direct_connection(database: str) -> None:
    """Without a pooler the claim path saves its planning time."""
    pool = Database(database, size=1)
    await pool.open()
    try:
        async with pool.connection() as connection:
            assert connection.prepare_threshold is not None
    finally:
        await pool.close()


async def test_a_missing_database_is_named_by_the_pool(database: str) -> None:
    """The pool itself only knows that it waited; the error still says what is wrong and what to do."""
    missing = psycopg.conninfo.make_conninfo(database, dbname="nowhere")
    pool = Database(missing, size=1, connect_timeout=1)
    await pool.open()
    try:
        with pytest.raises(DatabaseRefused, match="nowhere"):
            await pool.fetch("outbox_depth")
    finally:
        await pool.close()


async def test_an_unreachable_server_is_transient(tmp_path: object) -> None:
    """A server that isn't there is worth waiting for."""
    pool = Database(f"host={tmp_path} dbname=x", size=1, connect_timeout=1)
    await pool.open()
    try:
        with pytest.raises(DatabaseUnavailable, match="can't be reached"):
            await pool.fetch("outbox_depth")
    finally:
        await pool.close()
