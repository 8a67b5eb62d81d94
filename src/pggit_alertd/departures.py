"""What was claimed, on its way out: begun, counted, its result handed over and told in one line.

A delivery that waits for its receiver has a task of its own. One that is over at once needs none, and a task costs as
much as the rest of such a delivery does, so one task goes through what is ready until something makes it wait; what is
left then gets a task each. Between two shares of a batch the loop turns, so that whatever else is due comes in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from pggit_alertd import logs
from pggit_alertd.delivery import Attempt, Deliverer
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Ack, Claim, Outcome, Reason
from pggit_alertd.store import Lane

FEW = 4
"""So few claims are no storm. Each gets its task in the same turn: a page that is alone must not wait for another."""

SHARE = 32
"""Deliveries that one task goes through in a turn: about two milliseconds."""

_TOLD: dict[Outcome | Reason, str] = {each: each.value for each in (*Outcome, *Reason)}
_line = logs.Lines(
    "dispatcher",
    "delivery",
    (
        "alert_id",
        "queue_id",
        "channel",
        "recipient",
        "attempt",
        "outcome",
        "reason",
        "code",
        "detail",
        "coalesced",
        "delivery_ms",
        "dwell_ms",
        "retry_in",
    ),
)


class Departures:
    """Deliveries that are ready to begin or under way.

    `submit` gets the result of each, and `ended` is called as it ends. What is here has a slot already: what may be
    claimed is decided elsewhere.
    """

    def __init__(
        self,
        deliverer: Deliverer,
        submit: Callable[[Ack], None],
        *,
        metrics: Metrics,
        ended: Callable[[Lane, Claim], None],
    ) -> None:
        self._deliverer = deliverer
        self._submit = submit
        self._metrics = metrics
        self._ended = ended
        self._ready: deque[tuple[Lane, Attempt]] = deque()
        self._under_way: dict[asyncio.Task[None], Attempt] = {}
        self._starter: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def add(self, lane: Lane, claim: Claim) -> None:
        """Take a claim; it departs with the next `begin`."""
        self._ready.append((lane, Attempt(claim)))

    @property
    def ready(self) -> int:
        """How many have not begun."""
        return len(self._ready)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Begin what is ready; with many, it takes some turns of the loop."""
        self._news.clear()
        if len(self._ready) <= FEW:
            self._one_by_one(group)
        elif self._starter is None or self._starter.done():
            self._starter = group.create_task(self._all(group))

    async def begun(self) -> None:
        """Wait until all have begun, or somebody says `hurry`."""
        if self._ready:
            await self._news.wait()

    def hurry(self) -> None:
        """End the wait in `begun`."""
        self._news.set()

    async def finished(self) -> None:
        """Wait until nothing is ready or under way."""
        while self._ready or self._under_way:
            if self._under_way:
                await asyncio.wait(list(self._under_way))
            else:
                await asyncio.sleep(0)

    async def hand_back(self, seconds: float) -> None:
        """Give up what is left: what has not begun goes back untouched. Wait for the rest to end, at most this long."""
        while self._ready:
            lane, attempt = self._ready.popleft()
            self._finish(self._deliverer.abandoned(attempt))
            self._ended(lane, attempt.claim)
        self._news.set()
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=seconds)

    async def _all(self, group: asyncio.TaskGroup) -> None:
        """Send one ahead; if a receiver keeps it waiting, the others need tasks of their own."""
        while self._ready:
            scout = group.create_task(self._deliver(SHARE))
            await asyncio.sleep(0)
            if not scout.done():
                self._one_by_one(group)
                await asyncio.sleep(0)

    def _one_by_one(self, group: asyncio.TaskGroup) -> None:
        for _ in self._ready:
            group.create_task(self._deliver(1))

    async def _deliver(self, most: int) -> None:
        """Deliver what is ready, one after the other, and end after so many: a task of its own for each that waits."""
        task = _current()
        try:
            while most > 0 and self._ready:
                most -= 1
                lane, attempt = self._ready.popleft()
                if not self._ready:
                    self._news.set()
                self._under_way[task] = attempt
                try:
                    ack = await self._deliverer.deliver(attempt)
                except asyncio.CancelledError:
                    self._finish(self._deliverer.abandoned(attempt))
                    raise
                else:
                    self._finish(ack)
                finally:
                    self._ended(lane, attempt.claim)
        finally:
            self._under_way.pop(task, None)

    def _finish(self, ack: Ack) -> None:
        """Hand the result over, count it, and write its one line."""
        self._submit(ack)
        claim, outcome = ack.claim, ack.outcome
        series = self._metrics.channel(claim.channel)
        series.deliveries[outcome].inc()
        series.attempts[ack.reason].inc()
        if ack.delivery_ms is not None:
            series.seconds.observe(ack.delivery_ms / 1000)
        if outcome is Outcome.SENT:
            if claim.size > 1:
                series.coalesced.inc(claim.size - 1)
            if ack.dwell_ms is not None:
                self._metrics.dwell[claim.alert.severity].observe(ack.dwell_ms / 1000)
        tell = _line.warning if outcome is Outcome.FAILED else _line.info
        tell(
            claim.alert.alert_id,
            claim.queue_id,
            claim.channel,
            claim.recipient,
            claim.attempt,
            _TOLD[outcome],
            _TOLD[ack.reason],
            ack.code,
            ack.detail,
            claim.size if claim.size > 1 else None,
            ack.delivery_ms,
            ack.dwell_ms,
            round(ack.delay, 1) if outcome is Outcome.RETRY else None,
        )


def _current() -> asyncio.Task[None]:
    """Return the task that runs this."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("deliveries run in tasks")
    return task
