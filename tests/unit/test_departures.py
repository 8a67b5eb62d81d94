"""How claims depart: without a task each where nothing waits, all at once where receivers do, and none is lost."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.delivery import Deliverer
from pggit_alertd.departures import FEW, SHARE, Departures
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Ack, Claim, Delivered, Notification, Outcome, Reason, Receipt, Urgency
from pggit_alertd.store import Lane
from support.claims import HandClock, claim

LANE = Lane("slack", Urgency.ROUTINE, "slack:x")


class Receiver:
    """Answers at once, or lets those wait whose key it is told."""

    name = "slack"
    keys = ("webhook",)
    deadline = 20.0

    def __init__(self, waiting: frozenset[str] = frozenset(), *, all_wait: bool = False) -> None:
        self.open = asyncio.Event()
        self.waiting = waiting
        self.all_wait = all_wait
        self.began: list[str] = []
        self.tasks: set[asyncio.Task[Any] | None] = set()

    def parse(self, config: Mapping[str, Any]) -> str:
        """Return the webhook."""
        return str(config["webhook"])

    def render(self, notification: Notification, destination: str) -> Notification:
        """Return the notification as it is."""
        assert destination
        return notification

    async def send(self, destination: str, message: Notification) -> Receipt:
        """Answer, some at once."""
        assert destination
        self.began.append(message.key)
        self.tasks.add(asyncio.current_task())
        if self.all_wait or message.key in self.waiting:
            await self.open.wait()
        return Delivered(200)

    async def probe(self, destination: str) -> Receipt:
        """Say yes."""
        assert destination
        return Delivered()

    async def aclose(self) -> None:
        """Close nothing."""


class Bench:
    """Departures with a receiver, and what came of them."""

    def __init__(self, receiver: Receiver) -> None:
        clock = HandClock()
        self.acks: list[Ack] = []
        self.ended: list[int] = []
        self.metrics = Metrics()
        deliverer = Deliverer({"slack": receiver}, schedule=RetrySchedule(), clock=clock)
        self.departures = Departures(deliverer, self.acks.append, metrics=self.metrics, ended=self._ended)

    def _ended(self, lane: Lane, claim: Claim) -> None:
        assert lane == LANE
        self.ended.append(claim.queue_id)

    def add(self, count: int) -> list[str]:
        """Add so many claims; return their keys."""
        for number in range(1, count + 1):
            self.departures.add(LANE, claim(queue_id=number))
        return [f"q{number}" for number in range(1, count + 1)]


async def test_deliveries_that_never_wait_share_a_task() -> None:
    """A hundred of them need a task for each share, are delivered in order, and let the loop turn in between."""
    receiver = Receiver()
    bench = Bench(receiver)
    count = 3 * SHARE + 5
    keys = bench.add(count)
    turns = 0
    async with asyncio.TaskGroup() as group:
        bench.departures.begin(group)
        while bench.departures.ready:
            await asyncio.sleep(0)
            turns += 1
    assert receiver.began == keys
    assert len(receiver.tasks) == 4
    assert turns >= 4
    assert bench.ended == list(range(1, count + 1))
    assert {ack.outcome for ack in bench.acks} == {Outcome.SENT}
    assert [ack.claim.queue_id for ack in bench.acks] == bench.ended


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 100])
async def test_deliveries_that_wait_are_all_under_way_within_a_few_turns(count: int) -> None:
    """A receiver that keeps its callers waiting gets all of them at once, each in a task of its own."""
    receiver = Receiver(all_wait=True)
    bench = Bench(receiver)
    keys = bench.add(count)
    async with asyncio.TaskGroup() as group:
        bench.departures.begin(group)
        for _ in range(1 if count <= FEW else 4):
            await asyncio.sleep(0)
        assert receiver.began == keys
        assert len(receiver.tasks) == count
        receiver.open.set()
    assert len(bench.acks) == count
    await asyncio.wait_for(bench.departures.finished(), 1)


async def test_one_that_waits_holds_up_nobody() -> None:
    """What stands behind a delivery that waits is delivered without it."""
    receiver = Receiver(frozenset({"q3"}))
    bench = Bench(receiver)
    bench.add(50)
    async with asyncio.TaskGroup() as group:
        bench.departures.begin(group)
        await asyncio.wait_for(bench.departures.begun(), 1)
        await asyncio.sleep(0)
        assert sorted(bench.ended) == [number for number in range(1, 51) if number != 3]
        receiver.open.set()
    assert bench.ended[-1] == 3


async def test_what_has_not_begun_is_handed_back_untouched() -> None:
    """At shutdown a claim that is only ready is released uncharged; one under way is due again, perhaps a duplicate."""
    receiver = Receiver(all_wait=True)
    bench = Bench(receiver)
    bench.add(50)
    async with asyncio.TaskGroup() as group:
        bench.departures.begin(group)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert receiver.began == ["q1"]
        waiting = group.create_task(bench.departures.begun())
        await bench.departures.hand_back(1)
        await asyncio.wait_for(waiting, 1)
    by_id = {ack.claim.queue_id: ack for ack in bench.acks}
    assert sorted(by_id) == sorted(bench.ended) == list(range(1, 51))
    assert (by_id[1].outcome, by_id[1].ambiguous) == (Outcome.RETRY, True)
    assert {(ack.outcome, ack.reason, ack.charged) for number, ack in by_id.items() if number > 1} == {
        (Outcome.RELEASED, Reason.SHUTDOWN, False)
    }
    assert receiver.began == ["q1"]


async def test_every_delivery_is_counted() -> None:
    """Attempts, outcomes, durations and waiting times of a shared task are those of a task each."""
    bench = Bench(Receiver())
    bench.add(40)
    async with asyncio.TaskGroup() as group:
        bench.departures.begin(group)
    page = bench.metrics.render().decode()
    for series in (
        'deliveries_total{channel="slack",outcome="sent"}',
        'delivery_attempts_total{channel="slack",reason=""}',
        'delivery_seconds_count{channel="slack"}',
        'dwell_seconds_count{severity="WARNING"}',
    ):
        assert f"pggit_alertd_{series} 40.0" in page
