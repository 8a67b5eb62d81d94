"""One destination hangs with thousands of rows behind it: the others don't notice."""

import asyncio

import pytest

from pggit_alertd.demo.sinks import Answer
from support.daemon import PATIENCE, Stage
from support.impatience import until_nothing_waits
from support.scoreboard import Scores, Stopwatch, by_length

ROWS = by_length(2_000, 10_000)
PROBES = by_length(15, 50)
SLOWER = 0.5
"""Seconds a probe may take beyond the slowest without a hanging neighbor: noise of a busy machine."""


async def slowest_probe(set_up: Stage, name: str, limit: float) -> float:
    """Raise alerts one at a time; return the most seconds until one had arrived at both healthy receivers."""
    arrivals: asyncio.Queue[str] = asyncio.Queue()
    set_up.http.on_request = lambda request: None if "DEAD" in request.path else arrivals.put_nowait(request.path)
    slowest = 0.0
    for number in range(PROBES):
        begun = Stopwatch()
        await set_up.storm(1, operation=f"live-{name}-{number}")
        try:
            async with asyncio.timeout(limit):
                paths = {await arrivals.get(), await arrivals.get()}
        except TimeoutError:
            raise AssertionError(f"probe {number} {name} did not arrive within {limit:.2f} s") from None
        assert len(paths) == 2
        slowest = max(slowest, begun.seconds)
    set_up.http.on_request = None
    return slowest


@pytest.mark.timeout(400)
async def test_a_hanging_destination_delays_no_other(set_up: Stage, scores: Scores) -> None:
    """Another webhook of the same channel and another channel are as fast with the hanging one as without."""
    await set_up.slack("DEADDEADDEADDEADDEADDEAD", pattern="dead-*")
    await set_up.slack("LIVELIVELIVELIVELIVELIVE", pattern="live-*")
    await set_up.pagerduty(pattern="live-*")
    set_up.http.always(Answer(hang=True), "DEAD")
    await set_up.run(http_deadline=5, smtp_deadline=5, lease=15)
    alone = await slowest_probe(set_up, "alone", PATIENCE)
    await set_up.storm(ROWS, operation="dead")
    await set_up.until("SELECT count(*) FROM pggit.alert_outbox", 0)
    await set_up.arrived(set_up.http.received + 1)
    beside = await slowest_probe(set_up, "beside", alone + SLOWER)

    hung = set_up.requests("DEAD").total()
    set_up.http.always(None, "DEAD")
    await until_nothing_waits(set_up, within=240)
    dead, live = set_up.requests("DEAD"), set_up.requests("LIVE")
    assert set(live.values()) == {1}
    sent = ROWS + 4 * PROBES
    scores.record(
        "receiver: one hangs with thousands waiting, others' latency",
        sent=sent,
        lost=sent - len(dead) - len(live) - len(set_up.http.incidents),
        duplicated=dead.total() - len(dead),
        allowed=hung,  # each request that hung may have been taken, and is sent again
        recovery=beside,
    )
