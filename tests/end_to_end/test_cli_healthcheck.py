"""`pggit-alertd healthcheck` against HTTP servers that answer as the daemon does, and against the daemon itself."""

import asyncio
import json
import sys

import pytest

from pggit_alertd.demo.sinks import Answer, HttpSink
from support.command_line import PATIENCE, alertd, environment

READY = Answer(200, '{"ok":true,"reasons":[]}')
NOT_READY = Answer(503, '{"ok":false,"reasons":["the database can\'t be reached"]}')


async def test_a_daemon_that_is_ready_is_healthy() -> None:
    """The answer 200 on /readyz, asked where the settings say, is success."""
    async with HttpSink() as daemon:
        daemon.always(READY, "/readyz")
        ended = await alertd("healthcheck", http_host="0.0.0.0", http_port=str(daemon.port))  # noqa: S104 - not bound
        assert (ended.status, ended.out) == (0, "ready\n")
        assert [request.path for request in daemon.requests] == ["/readyz"]


async def test_a_daemon_that_waits_for_its_database_is_not_ready_but_alive() -> None:
    """503 on /readyz fails with the daemon's own reason; --live asks /livez, which restarting is decided by."""
    async with HttpSink() as daemon:
        daemon.always(NOT_READY, "/readyz")
        daemon.always(READY, "/livez")
        ready = await alertd("healthcheck", http_port=str(daemon.port))
        assert ready.status == 1
        assert "the database can't be reached" in ready.err
        live = await alertd("healthcheck", "--live", http_port=str(daemon.port))
        assert (live.status, live.out) == (0, "live\n")
        told = await alertd("healthcheck", "--json", http_port=str(daemon.port))
        assert told.status == 1
        assert told.json == {
            "ok": False,
            "url": f"http://127.0.0.1:{daemon.port}/readyz",
            "status": 503,
            "reasons": ["the database can't be reached"],
        }


async def test_no_daemon_is_told_from_an_unwell_one() -> None:
    """Nobody listening ends with the status for "can't be reached", without a traceback."""
    async with HttpSink() as daemon:
        port = daemon.port
    ended = await alertd("healthcheck", http_port=str(port))
    assert ended.status == 69
    assert f"http://127.0.0.1:{port}/readyz can't be reached" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("answer", [Answer(hang=True), Answer(cut="head")], ids=["silent", "cut off"])
async def test_a_daemon_that_does_not_answer_is_not_waited_for(answer: Answer) -> None:
    """Silence ends with the time-out, a broken connection at once; both are "can't be reached"."""
    async with HttpSink() as daemon:
        daemon.always(answer)
        ended = await alertd("healthcheck", "--url", daemon.url, "--timeout", "0.3")
        assert ended.status == 69
        assert "Traceback" not in ended.err


async def test_an_address_that_can_not_be_asked_is_told() -> None:
    """Port 0 means a port that only the log tells, so the settings can't be used for asking; --url can."""
    ended = await alertd("healthcheck", http_port="0")
    assert ended.status == 78
    assert "PGGIT_ALERTD_HTTP_PORT: is 0" in ended.err
    async with HttpSink() as daemon:
        daemon.always(READY)
        assert (await alertd("healthcheck", "--url", daemon.url, http_port="0")).status == 0


async def test_other_settings_do_not_matter() -> None:
    """A mistake in a setting that the health check doesn't need can't make a running daemon look ill."""
    async with HttpSink() as daemon:
        daemon.always(READY)
        ended = await alertd("healthcheck", http_port=str(daemon.port), database_url="mysql://", lease="never")
        assert ended.status == 0


async def test_the_daemon_itself_is_alive_and_not_ready_without_its_database() -> None:
    """Asked while its database is away, the real daemon says alive, not ready and why; SIGTERM then ends it well."""
    unreachable = "host=127.0.0.1 port=1 dbname=pggit"
    daemon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pggit_alertd", "run"),
        stderr=asyncio.subprocess.PIPE,
        env=environment(database_url=unreachable, http_port="0"),
    )
    assert daemon.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line: dict[str, str] = {}
            while line.get("event") != "web_listening":
                line = json.loads(await daemon.stderr.readline())
        assert (await alertd("healthcheck", "--live", "--url", line["address"])).status == 0
        ready = await alertd("healthcheck", "--json", "--url", line["address"])
        assert (ready.status, ready.json["ok"], ready.json["status"]) == (1, False, 503)
        assert ready.json["reasons"]
        daemon.terminate()
        async with asyncio.timeout(PATIENCE):
            await daemon.communicate()
        assert daemon.returncode == 0
    finally:
        if daemon.returncode is None:
            daemon.kill()
            await daemon.wait()
