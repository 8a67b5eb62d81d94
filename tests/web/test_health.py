"""The health and metrics pages over real HTTP: what each answers, and how the server starts and stops."""

import asyncio
import contextlib
import io
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from pggit_alertd import __version__, logs
from pggit_alertd.errors import AddressTaken, SettingsError
from pggit_alertd.metrics import Metrics
from pggit_alertd.web import Readiness, bind, create_app, serve
from web.program import Program

PAGES = ("/livez", "/readyz", "/healthz", "/metrics")


@asynccontextmanager
async def served(program: Program, *, deadline: float = 3.0) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the pages on a free port, with a client for them."""
    listener, stop, started = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    app = create_app(program, Metrics(), deadline=deadline)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, listener, stop=stop, started=started.set))
        await started.wait()
        async with httpx.AsyncClient(base_url=listener.url, trust_env=False) as client:
            yield client
        stop.set()


async def test_all_is_well() -> None:
    """With loops that turn and work that gets done every page answers 200."""
    async with served(Program()) as client:
        for page in PAGES:
            assert (await client.get(page)).status_code == 200


async def test_a_hung_loop_is_not_live() -> None:
    """/livez turns 503 when a loop overruns its limit, says which, and recovers with its next tick."""
    program = Program()
    async with served(program) as client:
        program.clock.at = 10.5
        reply = await client.get("/livez")
        assert reply.status_code == 503
        assert reply.json() == {
            "ok": False,
            "reasons": ["the router loop last ticked 10.5 s ago; 10 s are allowed"],
            "loops": [{"name": "router", "ok": False, "seconds_since_tick": 10.5, "limit": 10.0}],
        }
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/healthz")).status_code == 503
        program.beat.tick()
        assert (await client.get("/livez")).status_code == 200


async def test_an_outage_is_not_ready_but_live() -> None:
    """While the database is away /readyz answers 503 with the reason and /livez stays 200, so nothing restarts us."""
    program = Program(readiness=Readiness(ok=False, reasons=("the database can't be reached: connection refused",)))
    async with served(program) as client:
        reply = await client.get("/readyz")
        assert reply.status_code == 503
        assert reply.json() == {"ok": False, "reasons": ["the database can't be reached: connection refused"]}
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        reply = await client.get("/healthz")
        assert reply.status_code == 503
        assert (reply.json()["live"], reply.json()["ready"]) == (True, False)


async def test_healthz_has_the_figures_without_secrets() -> None:
    """The page for people shows version, loops and figures; what looks like a secret is masked on the way out."""
    async with served(Program()) as client:
        reply = await client.get("/healthz")
    body = reply.json()
    assert (body["ok"], body["version"], body["reasons"]) == (True, __version__, [])
    assert body["detail"]["queue"] == {"pending": 3}
    assert "geheim" not in reply.text


async def test_metrics_are_refreshed_and_typed() -> None:
    """Each scrape asks for fresh gauges first and answers in Prometheus' text format."""
    program = Program()
    async with served(program) as client:
        reply = await client.get("/metrics")
    assert program.refreshed == 1
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert "pggit_alertd_build_info{" in reply.text


async def test_a_question_without_an_answer_has_a_deadline() -> None:
    """When the program doesn't answer, the page does: not ready, and metrics as they were."""
    program = Program(held=asyncio.Event())
    async with served(program, deadline=0.01) as client:
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["reasons"]) == (503, ["no answer within 0.01 s"])
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/healthz")).json()["detail"] == {"unavailable": "no answer within 0.01 s"}


async def test_a_fault_is_a_reason_without_its_text() -> None:
    """An error inside is logged, and shown by its kind only to whoever reaches the port."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    async with served(Program(fault=RuntimeError("password=geheim at 10.0.0.1"))) as client:
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["reasons"]) == (503, ["the answer failed: RuntimeError"])
        assert (await client.get("/metrics")).status_code == 200
    assert "10.0.0.1" in stream.getvalue()
    assert "geheim" not in stream.getvalue()


@pytest.mark.parametrize("page", PAGES)
async def test_head_is_get_without_a_body(page: str) -> None:
    """HEAD gets the status and the headers of GET."""
    async with served(Program()) as client:
        head, get = await client.head(page), await client.get(page)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) > 0
    for reply in (head, get):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "date" in reply.headers
        assert "server" not in reply.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_pages_can_only_be_read(method: str) -> None:
    """Any other method is 405, says what is allowed, in JSON."""
    async with served(Program()) as client:
        reply = await client.request(method, "/livez")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET, HEAD"
    assert reply.json() == {"ok": False, "reasons": ["this page can only be read; use GET or HEAD"]}


@pytest.mark.parametrize("path", ["/", "/livez/", "/metrics/x", "/%00", "/healthz%2F..", "//livez"])
async def test_other_pages_are_404_in_json(path: str) -> None:
    """What is not there is told in JSON with what is, and is not cached either."""
    async with served(Program()) as client:
        reply = await client.get(path)
    assert reply.status_code == 404
    assert "/livez" in reply.json()["reasons"][0]
    assert reply.headers["cache-control"] == "no-store"


async def test_requests_come_in_at_once() -> None:
    """A page that waits for the program holds up no other."""
    program = Program(held=asyncio.Event())
    async with served(program) as client:
        slow = asyncio.ensure_future(client.get("/readyz"))
        await program.asked.wait()
        assert (await client.get("/livez")).status_code == 200
        assert program.held is not None
        program.held.set()
        assert (await slow).status_code == 200


async def test_stop_is_quick_with_connections_open() -> None:
    """An idle keep-alive connection and a client that never says anything don't hold up the end."""
    listener, stop, started = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(serve(create_app(Program(), Metrics()), listener, stop=stop, started=started.set))
    await started.wait()
    _, silent = await asyncio.open_connection(listener.host, listener.port)
    async with httpx.AsyncClient(base_url=listener.url, trust_env=False) as client:
        await client.get("/livez")
        began = time.monotonic()
        stop.set()
        await task
        assert time.monotonic() - began < 1.5
    silent.close()
    bind(listener.host, listener.port).close()


async def test_cancelling_ends_the_server_too() -> None:
    """When a sibling task fails, the task group's cancellation closes the port."""
    listener, started = bind("127.0.0.1", 0), asyncio.Event()
    app = create_app(Program(), Metrics())
    task = asyncio.ensure_future(serve(app, listener, stop=asyncio.Event(), started=started.set))
    await started.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    bind(listener.host, listener.port).close()


async def test_signals_stay_with_their_owner() -> None:
    """Serving leaves the process's signal handlers as they were."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with served(Program()) as client:
        await client.get("/livez")
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_port_in_use_is_told_with_its_variable() -> None:
    """Two programs on one port: the second says which variable to change, and may be started again."""
    first = bind("127.0.0.1", 0)
    with pytest.raises(AddressTaken, match=rf"^PGGIT_ALERTD_HTTP_PORT: port {first.port} of 127.0.0.1 is in use"):
        bind("127.0.0.1", first.port)
    first.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "host.invalid", "2001:db8::1"])
def test_an_address_of_another_machine_is_told_with_its_variable(host: str) -> None:
    """What can't be listened at names PGGIT_ALERTD_HTTP_HOST."""
    with pytest.raises(SettingsError, match=r"^PGGIT_ALERTD_HTTP_HOST: "):
        bind(host, 0)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::", "localhost"])
async def test_ipv6_and_names(host: str) -> None:
    """An IPv6 address, every address, and a name with two addresses are served, each on one port."""
    listener, stop, started = bind(host, 0), asyncio.Event(), asyncio.Event()
    assert {each.getsockname()[1] for each in listener.sockets} == {listener.port}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(create_app(Program(), Metrics()), listener, stop=stop, started=started.set))
        await started.wait()
        async with httpx.AsyncClient(trust_env=False) as client:
            near = listener.url.replace("[::]", "[::1]")
            assert (await client.get(f"{near}/livez")).status_code == 200
            if host != "::1":
                assert (await client.get(f"http://127.0.0.1:{listener.port}/livez")).status_code == 200
        stop.set()


async def test_an_idle_server_is_not_woken() -> None:
    """While nobody asks, nothing of the server's waits on a timer, so it costs no CPU."""
    async with served(Program()) as client:
        await client.get("/livez")
        timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        assert [timer for timer in timers if "timeout_keep_alive" not in repr(timer)] == []
