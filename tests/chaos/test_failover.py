"""The primary dies and a standby takes over."""

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.demo.sinks import Answer
from support.daemon import stage
from support.scoreboard import Scores, Stopwatch
from support.tally import tally

OPTIONS = {"fsync": "off", "wal_level": "replica", "max_wal_senders": "4", "autovacuum_naptime": "1h"}


@pytest.fixture
def pair() -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """Yield a primary and a standby that has what the primary has committed."""
    with EmbeddedServer(options=OPTIONS) as primary:
        with psycopg.connect(primary.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE app")
        asyncio.run(migrate.up(primary.dsn("app")))
        standby = EmbeddedServer(directory=Path(tempfile.mkdtemp(prefix="pggit-alertd-")), options=OPTIONS)
        standby._prepare()
        primary._run(
            "pg_basebackup", "-D", str(standby.data), "-h", str(primary.socket), "-U", "postgres", "-R", "-c", "fast"
        )
        standby.resume()
        with psycopg.connect(primary.dsn(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        yield primary, standby
        standby.stop()


async def test_a_promoted_standby_is_found_and_nothing_is_lost(
    pair: tuple[EmbeddedServer, EmbeddedServer], scores: Scores
) -> None:
    """With both servers in its URL the daemon goes on with the new primary, and every committed alert is sent."""
    primary, standby = pair
    both = f"postgresql://postgres@/app?host={primary.socket},{standby.socket}&target_session_attrs=read-write"
    async with stage(primary.dsn("app")) as set_up:
        await set_up.slack()
        set_up.http.always(Answer(delay=0.05), "/services/")
        daemon = await set_up.run(
            database_url=both,
            listen_database_url=both,
            database_connect_timeout=1,
            http_deadline=2,
            smtp_deadline=2,
            lease=5,
        )
        await set_up.storm(150)
        await set_up.arrived(40)
        primary.halt(signal.SIGQUIT)
        await daemon.wait_for_event("routing_failed")
        with psycopg.connect(standby.dsn(), autocommit=True) as connection:
            received = set_up.http.received
            connection.execute("SELECT pg_promote()")
        promoted = Stopwatch()
        set_up.dsn = standby.dsn("app")
        await set_up.reconnect()
        unknown = received - len(await set_up.logged("sent"))
        await set_up.storm(10, operation="after")
        await set_up.arrived(received + 1)
        recovery = promoted.seconds
        await set_up.settled(160, within=60)
        assert await set_up.statuses() == {"sent": 160}
        found = await tally(set_up, 160)
        assert (await daemon.until_page("/readyz", 200)).json()["ok"]
        assert await daemon.stop() == 0
    # Claims are not waited for, so the new primary may not know the last of them: what had been sent without its result
    # being stored there may arrive again, and no more than that.
    scores.record(
        "PostgreSQL: primary killed, standby promoted",
        sent=160,
        lost=found.lost,
        duplicated=found.twice,
        allowed=unknown,
        recovery=recovery,
    )
