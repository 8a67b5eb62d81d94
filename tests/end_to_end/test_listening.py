"""How new alerts are noticed: LISTEN, LISTEN made anew, and polling where NOTIFY never arrives."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from support.daemon import LOOK_SECONDS, PATIENCE, Stage, as_url

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


async def test_a_notification_wakes_it_at_once(set_up: Stage) -> None:
    """With LISTEN at work and a poll interval of a minute an alert is delivered within a second."""
    await set_up.slack()
    daemon = await set_up.run(poll_interval=60)
    assert (await daemon.wait_for_event("listener_mode"))["mode"] == "listening"
    await set_up.alerts.alert()
    sent = await daemon.wait_for_event("delivery", outcome="sent", within=5)
    assert sent["dwell_ms"] < 1000
    detail = (await daemon.page("/healthz")).json()["detail"]
    assert detail["listener"] == {"mode": "listening", "reason": ""}
    assert await daemon.metric("pggit_alertd_listener_up") == 1


async def test_a_lost_listener_listens_anew_and_looks_at_once(set_up: Stage) -> None:
    """When its connection is ended it listens on a new one, and finds what came while it was deaf."""
    await set_up.slack()
    daemon = await set_up.run(poll_interval=60)
    await set_up.alerts.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pggit-alertd listener'"
    )
    await daemon.wait_for_event("listener_lost")
    await set_up.alerts.alert("while-deaf")
    sent = await daemon.wait_for_event("delivery", outcome="sent", within=5)
    assert sent["dwell_ms"] < 3000
    await daemon.wait_for_event("listener_mode", mode="listening", count=2)
    await set_up.alerts.alert("heard")
    sent = await daemon.wait_for_event("delivery", outcome="sent", count=2, within=5)
    assert sent["dwell_ms"] < 1000
    assert await daemon.metric("pggit_alertd_listener_reconnects_total") == 1
    assert (await daemon.page("/readyz")).status_code == 200


async def test_a_lasting_outage_of_the_listener_is_told_once(set_up: Stage, tmp_path: Path) -> None:
    """While LISTEN can't connect, retry follows retry, but only the first is a line that people see."""
    nowhere = as_url(set_up.dsn).partition("?")[0] + f"?host={tmp_path}"
    daemon = await set_up.spawn(listen_database_url=nowhere, log_level="debug")
    await daemon.wait_for_event("listener_lost", level="debug", count=2)
    (told,) = daemon.seen("listener_lost", level="warning")
    assert told["failures"] == 1
    assert "can't be reached" in told["reason"]


async def test_a_deaf_listener_is_told_and_polling_delivers(set_up: Stage, server: Any) -> None:
    """Where NOTIFY never arrives (here: another database) it says so, polls, and delivers none the less."""
    elsewhere = server.create()
    await set_up.slack()
    daemon = await set_up.run(
        listen_database_url=as_url(server.server.dsn(elsewhere)), deaf_poll_interval=0.3, poll_interval=60
    )
    told = await daemon.wait_for_event("listener_mode")
    assert told["mode"] == "polling"
    assert "PGGIT_ALERTD_LISTEN_DATABASE_URL" in told["reason"]
    await set_up.alerts.alert()
    await set_up.settled(1, within=5)
    detail = (await daemon.page("/healthz")).json()["detail"]
    assert detail["listener"]["mode"] == "polling"
    assert await daemon.metric("pggit_alertd_listener_up") == 0
    assert (await daemon.page("/readyz")).status_code == 200
    assert await daemon.stop() == 0
    server.drop(elsewhere)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(dsn: str, port: int, folder: Path) -> Path:
    """Write PgBouncer's configuration: transaction mode, one database, anybody may come in."""
    part = conninfo_to_dict(dsn)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{part['dbname']} = host={part['host']} dbname={part['dbname']} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 5\nmax_client_conn = 100\n"
    )
    return config


@asynccontextmanager
async def pooler(dsn: str, folder: Path) -> AsyncIterator[str]:
    """Run PgBouncer in transaction mode before a database, and yield the URL it is reached by."""
    assert PGBOUNCER is not None
    port = free_port()
    config = configured(dsn, port, folder)
    arguments = ["-q", *(["-u", "nobody"] if os.geteuid() == 0 else []), str(config)]
    process = await asyncio.create_subprocess_exec(
        PGBOUNCER, *arguments, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    await writer.wait_closed()
                    break
                assert process.returncode is None, "pgbouncer did not start"
                await asyncio.sleep(LOOK_SECONDS)
        yield f"postgresql://postgres@127.0.0.1:{port}/{conninfo_to_dict(dsn)['dbname']}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
async def test_behind_a_pooler_in_transaction_mode(set_up: Stage, tmp_path: Path) -> None:
    """Through PgBouncer in transaction mode it works by polling and says what to set to hear NOTIFY again."""
    await set_up.slack()
    await set_up.pagerduty()
    async with pooler(set_up.dsn, tmp_path) as url:
        daemon = await set_up.run(database_url=url, deaf_poll_interval=0.3, poll_interval=60)
        told = await daemon.wait_for_event("listener_mode")
        assert told["mode"] == "polling"
        assert "pooler in transaction mode" in told["reason"]
        await set_up.storm(200)
        await set_up.settled(400)
        assert await set_up.statuses() == {"sent": 400}
        assert set_up.http.received == 400
        assert await daemon.stop() == 0


@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
async def test_behind_a_pooler_with_a_direct_line_for_listening(set_up: Stage, tmp_path: Path) -> None:
    """With PGGIT_ALERTD_LISTEN_DATABASE_URL past the pooler NOTIFY is heard, and work still goes through the pooler."""
    await set_up.slack()
    async with pooler(set_up.dsn, tmp_path) as url:
        daemon = await set_up.run(database_url=url, listen_database_url=as_url(set_up.dsn), poll_interval=60)
        assert (await daemon.wait_for_event("listener_mode"))["mode"] == "listening"
        await set_up.alerts.alert()
        sent = await daemon.wait_for_event("delivery", outcome="sent", within=5)
        assert sent["dwell_ms"] < 1000
        assert await daemon.stop() == 0
