"""The dead man's switch: it hears of whole cycles only, and nothing it does can hurt or give its URL away."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pggit_alertd import logs
from pggit_alertd.demo.sinks import Answer, HttpSink
from pggit_alertd.errors import DestinationError
from pggit_alertd.heartbeat import Heartbeat
from pggit_alertd.metrics import Metrics

KEY = "9c1e5f6a-0d3b-4a77-geheim"


@dataclass
class Loop:
    """A loop that goes round when it is woken, unless the test stopped it."""

    rounds: int = 0
    stuck: bool = False

    def wake(self) -> None:
        """Go round."""
        self.rounds += not self.stuck


@dataclass
class Acks:
    """The acknowledger as the heartbeat sees it."""

    failing: bool = False
    congested: bool = False


class Rig:
    """A heartbeat with its surroundings."""

    def __init__(self, url: str, *, deadline: float = 5.0, interval: float = 60.0) -> None:
        self.router, self.dispatcher, self.acks, self.metrics = Loop(), Loop(), Acks(), Metrics()
        self.heartbeat = Heartbeat(
            url,
            interval=interval,
            deadline=deadline,
            allow_insecure=True,
            router=self.router,
            dispatcher=self.dispatcher,
            acknowledger=self.acks,
            metrics=self.metrics,
        )

    def count(self, outcome: str) -> float:
        """Return how many pings ended so."""
        return self.metrics.registry.get_sample_value("pggit_alertd_heartbeat_pings_total", {"outcome": outcome}) or 0.0

    def cycle(self) -> None:
        """Let both loops go round."""
        self.router.wake()
        self.dispatcher.wake()


@asynccontextmanager
async def rig(sink: HttpSink, **more: Any) -> AsyncIterator[Rig]:
    """Yield a heartbeat that calls the sink."""
    sink.always(Answer(200, "OK"), "/ping/")
    found = Rig(f"{sink.url}/ping/{KEY}", **more)
    try:
        yield found
    finally:
        await found.heartbeat.aclose()


async def test_every_ping_needs_a_cycle_of_its_own() -> None:
    """Without a whole round of both loops since the last ping nothing is sent."""
    async with HttpSink() as sink, rig(sink) as it:
        await it.heartbeat.beat()
        it.router.wake()
        await it.heartbeat.beat()
        assert (sink.received, it.count("withheld")) == (0, 2)
        it.dispatcher.wake()
        await it.heartbeat.beat()
        assert (sink.received, it.count("sent")) == (1, 1)
        it.dispatcher.wake()
        await it.heartbeat.beat()
        assert (sink.received, it.count("withheld")) == (1, 3)
        assert [request.path for request in sink.requests] == [f"/ping/{KEY}"]


@pytest.mark.parametrize("trouble", ["failing", "congested"])
async def test_results_that_are_not_stored_keep_it_silent(trouble: str) -> None:
    """While acks fail or pile up there is no ping, and once they are stored there is one."""
    async with HttpSink() as sink, rig(sink) as it:
        it.cycle()
        setattr(it.acks, trouble, True)
        await it.heartbeat.beat()
        assert sink.received == 0
        setattr(it.acks, trouble, False)
        await it.heartbeat.beat()
        assert sink.received == 1


async def test_a_switch_that_fails_is_counted_and_logged_once_without_its_key() -> None:
    """Refusals and time-outs are no faults of ours; the log has the reason once, never the URL's key."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    async with HttpSink() as sink, rig(sink, deadline=2.0) as it:
        sink.script(Answer(404, KEY), Answer(404, KEY), Answer(hang=True), path="/ping/")
        for _ in range(4):
            it.cycle()
            await it.heartbeat.beat()
        assert (it.count("failed"), it.count("sent")) == (3, 1)
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["heartbeat_failed", "heartbeat_failed", "heartbeat_recovered"]
    assert "geheim" not in stream.getvalue()


async def test_the_loop_asks_for_a_round_before_each_ping() -> None:
    """On a system with nothing to do the switch is still told, because the loops are woken in time."""
    async with HttpSink() as sink, rig(sink, interval=0.05) as it:
        running = asyncio.ensure_future(it.heartbeat.run())
        await sink.wait_for(3)
        running.cancel()
        it.dispatcher.stuck = True
        with pytest.raises(asyncio.CancelledError):
            await running
        assert it.count("withheld") == 0


async def test_without_a_url_there_is_no_heartbeat() -> None:
    """Not set means nothing to do, and nothing to close."""
    loop, metrics = Loop(), Metrics()
    silent = Heartbeat(
        None,
        interval=1,
        deadline=1,
        allow_insecure=False,
        router=loop,
        dispatcher=loop,
        acknowledger=Acks(),
        metrics=metrics,
    )
    await silent.run()
    await silent.beat()
    await silent.aclose()
    assert metrics.registry.get_sample_value("pggit_alertd_heartbeat_pings_total", {"outcome": "withheld"}) == 0


@pytest.mark.parametrize("url", [f"https://127.0.0.1/{KEY}", f"https://localhost/{KEY}", f"http://hc-ping.com/{KEY}"])
def test_the_same_addresses_are_refused_as_for_webhooks(url: str) -> None:
    """A private address and plain http need the setting that allows them; the error names the variable, not the URL."""
    loop = Loop()
    with pytest.raises(DestinationError, match="PGGIT_ALERTD_HEARTBEAT_URL") as raised:
        Heartbeat(
            url,
            interval=1,
            deadline=1,
            allow_insecure=False,
            router=loop,
            dispatcher=loop,
            acknowledger=Acks(),
            metrics=Metrics(),
        )
    assert KEY not in str(raised.value)
