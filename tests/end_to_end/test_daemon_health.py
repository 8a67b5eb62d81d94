"""What a running daemon says about itself: pages, figures, the queue as it is, and systemd's protocol."""

import asyncio
import socket
from pathlib import Path

from pggit_alertd import __version__
from pggit_alertd.demo.sinks import Answer
from support.daemon import PATIENCE, Stage


async def test_the_figures_count_what_happened(set_up: Stage) -> None:
    """/metrics counts alerts, claims, outcomes and what waits; the log of the database says the same."""
    await set_up.slack()
    await set_up.email()
    set_up.http.script(Answer(500, "oops"), Answer(404, "no_service"))
    daemon = await set_up.run()
    await set_up.storm(10)
    await set_up.settled(20)
    statuses = await set_up.statuses()
    assert statuses == {"sent": 19, "failed": 1}
    expected = {
        "pggit_alertd_routed_alerts_total": 10,
        'pggit_alertd_claims_total{channel="slack"}': 11,
        'pggit_alertd_deliveries_total{channel="slack",outcome="sent"}': 9,
        'pggit_alertd_deliveries_total{channel="slack",outcome="retry"}': 1,
        'pggit_alertd_deliveries_total{channel="slack",outcome="failed"}': 1,
        'pggit_alertd_deliveries_total{channel="email",outcome="sent"}': 10,
        'pggit_alertd_deliveries_total{channel="pagerduty",outcome="sent"}': 0,
        'pggit_alertd_delivery_attempts_total{channel="slack",reason="destination_gone"}': 1,
        'pggit_alertd_delivery_seconds_count{channel="slack"}': 11,
        'pggit_alertd_dwell_seconds_count{severity="INFO"}': 19,
        'pggit_alertd_in_flight{channel="slack"}': 0,
        "pggit_alertd_unacknowledged": 0,
        "pggit_alertd_dead_letters": 1,
        'pggit_alertd_queue_depth{channel="slack",status="failed"}': 1,
        "pggit_alertd_database_up": 1,
        "pggit_alertd_listener_up": 1,
        f'pggit_alertd_build_info{{version="{__version__}"}}': 1,
    }
    assert {series: await daemon.metric(series) for series in expected} == expected
    assert sum((await set_up.logged("sent")).values()) == 19


async def test_the_pages_of_a_healthy_daemon(set_up: Stage) -> None:
    """All pages answer 200; /healthz names the worker, the release and the depth of the queue."""
    await set_up.slack()
    set_up.http.always(Answer(hang=True))
    daemon = await set_up.run(worker_name="one", concurrency=2)
    await set_up.storm(5)
    await set_up.arrived(2)
    for path in ("/livez", "/readyz", "/healthz", "/metrics"):
        assert (await daemon.page(path)).status_code == 200
    body = (await daemon.page("/healthz")).json()
    assert body["version"] == __version__
    assert body["detail"]["worker"] == "one"
    assert body["detail"]["in_flight"] == 2
    assert [(each["channel"], each["status"], each["count"]) for each in body["detail"]["queue"]] == [
        ("slack", "pending", 5)
    ]
    assert not any(each["at_least"] for each in body["detail"]["queue"])
    assert body["detail"]["leased"] == {"one": 2}
    assert await set_up.alerts.column("SELECT worker FROM pggit.alertd_worker") == ["one"]


async def test_a_stopping_daemon_is_not_ready_but_live(set_up: Stage) -> None:
    """While it drains, /readyz is 503 so that nobody counts on it, and /livez 200 so that nobody kills it."""
    await set_up.slack()
    set_up.http.always(Answer(hang=True))
    daemon = await set_up.run(shutdown_grace=8)
    await set_up.storm(1)
    await set_up.arrived(1)
    daemon.terminate()
    await daemon.wait_for_event("stopping")
    assert (await daemon.page("/livez")).status_code == 200
    reply = await daemon.page("/readyz")
    assert (reply.status_code, reply.json()["reasons"]) == (503, ["the daemon is stopping"])


async def test_systemd_is_told(set_up: Stage, tmp_path: Path) -> None:
    """READY comes after the first full cycle, STOPPING with SIGTERM, and the watchdog is fed in between."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        receiver.setblocking(False)  # noqa: FBT003 - the standard library's signature
        heard = ""

        async def until(word: str) -> None:
            nonlocal heard
            async with asyncio.timeout(PATIENCE):
                while word not in heard:
                    heard += (await asyncio.get_running_loop().sock_recv(receiver, 4096)).decode() + "\n"

        inherited = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}
        daemon = await set_up.spawn(inherited=inherited)
        await until("READY=1")
        await daemon.wait_for_event("ready")
        await until("WATCHDOG=1")
        daemon.terminate()
        await until("STOPPING=1")
        assert await daemon.ended() == 0
