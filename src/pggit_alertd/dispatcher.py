"""Wake, claim for the free slots, deliver, acknowledge.

States of the loop:

    claiming ──lane filled──► waiting for slots ──a slot is free──► claiming
       │  ▲
       │  └── woken, or the next row is due, or the poll interval is over ──┐
       └──── nothing more due ──► idle ─────────────────────────────────────┘
    any ──database error──► backing off ──► claiming, leaving expired leases alone for a moment
    any ──stop()──► draining ──► done
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pggit_alertd import logs
from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.clock import Clock
from pggit_alertd.delivery import Attempt, Deliverer
from pggit_alertd.errors import DatabaseError
from pggit_alertd.limits import Slots
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Ack, Claim, Outcome, Urgency
from pggit_alertd.store import Lane, Room, Store

GATHER_SECONDS = 0.005
# After an outage another replica may sit on results whose leases have run out meanwhile. Its next try is at most the
# pool's wait for a connection (5 s) and the acknowledger's longest back-off (5 s) away, so expired leases wait longer.
SETTLE_SECONDS = 15.0
SETTLE_LOOK_SECONDS = 2.0
HAND_BACK_SECONDS = 2.0
# After this many lost claims a row is suspected of killing its workers, and suspects are sent one at a time.
SUSPECT_LOSSES = 2
SUSPECT_SECONDS = 5.0
TRUST_MARGIN = 1.0
_log = logs.get("dispatcher")


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What one channel's lanes get: slots, the lease (seconds) and the deadline of a delivery (seconds)."""

    slots: int
    lease: float
    deadline: float

    @property
    def trust(self) -> float:
        """Seconds after the claim within which a delivery may begin and still end before the lease does."""
        return self.lease - self.deadline - min(TRUST_MARGIN, self.lease / 10)


class Dispatcher:
    """The loop that gets claims delivered. `limits` holds what each channel may use."""

    def __init__(
        self,
        store: Store,
        deliverer: Deliverer,
        acknowledger: Acknowledger,
        *,
        limits: Mapping[str, LaneLimits],
        metrics: Metrics,
        beat: Beat,
        clock: Clock,
        poll_interval: float,
    ) -> None:
        self._store = store
        self._deliverer = deliverer
        self._acknowledger = acknowledger
        acknowledger.stored = self._stored
        self._limits = limits
        self._metrics = metrics
        self._beat = beat
        self._clock = clock
        self.poll_interval = poll_interval
        lanes = {Lane(channel, urgency): limit.slots for channel, limit in limits.items() for urgency in Urgency}
        self._slots: Slots[Lane] = Slots(lanes)
        self._backlog: set[Lane] = set()
        self._wake = asyncio.Event()
        self._gather: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stopping = False
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._backoff = RetrySchedule(base=0.2, cap=5.0)
        self._leave_expired_until = 0.0
        self._suspect: int | None = None
        self.trouble = ""
        self.rounds = 0
        self._claiming_over = asyncio.Event()
        self._claiming_over.set()

    def wake(self) -> None:
        """Say that something may be due. Level-triggered: a thousand calls are as good as one."""
        self._wake.set()

    def leave_expired(self) -> None:
        """Leave expired leases alone for a moment: their workers may be about to store their results."""
        self._leave_expired_until = self._clock.monotonic() + SETTLE_SECONDS

    def stop(self) -> None:
        """Claim nothing more; `run` ends when what is in flight has ended."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Claim and deliver until `stop`; then wait for what is in flight."""
        self._claiming_over.clear()
        async with asyncio.TaskGroup() as deliveries:
            try:
                await self._claim_until_stopped(deliveries)
            finally:
                self._claiming_over.set()

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight, at most this long; then cancel it, which hands its rows back.

        A claim that is under way when `stop` is called may still bring rows, so its end is waited for first.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._claiming_over.wait()
                while self._attempts:
                    await asyncio.wait(list(self._attempts))
        except TimeoutError:
            for task in self._attempts:
                task.cancel()
            if self._attempts:
                await asyncio.wait(list(self._attempts), timeout=HAND_BACK_SECONDS)

    @property
    def in_flight(self) -> int:
        """How many deliveries are under way."""
        return self._slots.in_flight()

    async def _claim_until_stopped(self, deliveries: asyncio.TaskGroup) -> None:
        failures = 0
        while not self._stopping:
            self._beat.tick()
            self._wake.clear()
            if self._acknowledger.failing:
                # The database is away, so nothing can be claimed, and nothing may be taken from others afterwards.
                self.leave_expired()
                await self._sleep(GATHER_SECONDS * 10)
                continue
            try:
                seconds = await self._claim(deliveries)
            except DatabaseError as error:
                failures += 1
                seconds = self._backoff.delay(failures)
                self._metrics.loop_errors.labels(loop="dispatcher").inc()
                self.trouble = f"claiming fails: {error}"
                _log.warning("claim_failed", error=str(error), retry_in=round(seconds, 2))
                await self._pause(seconds)
                continue
            self.trouble = ""
            self.rounds += 1
            if failures:
                failures = 0
                self.leave_expired()
                _log.info("claim_recovered")
            await self._sleep(seconds)

    async def _claim(self, deliveries: asyncio.TaskGroup) -> float:
        """Claim what fits, start delivering it, and return how long nothing more can be due."""
        if self._acknowledger.congested:
            return GATHER_SECONDS * 10
        lanes = self._slots.lanes()
        rooms = [
            Room(lane, self._slots.free(lane), self._limits[lane.channel].lease, self._limits[lane.channel].trust)
            for lane in lanes
            if self._slots.free(lane) > 0
        ]
        if not rooms:
            return self.poll_interval
        settled = self._clock.monotonic() >= self._leave_expired_until
        claimed: Counter[Lane] = Counter()
        for claim in await self._store.claim(rooms, take_expired=settled):
            lane = Lane(claim.channel, claim.urgency)
            claimed[lane] += 1
            self._start(deliveries, lane, claim)
        self._backlog = {room.lane for room in rooms if claimed[room.lane] == room.slots}
        self._backlog.update(lane for lane in lanes if self._slots.free(lane) == 0)
        if any(self._slots.free(lane) > 0 for lane in self._backlog):
            return 0.0
        if not settled:
            return min(self.poll_interval, SETTLE_LOOK_SECONDS)
        due = await self._store.next_due([lane for lane in lanes if lane not in self._backlog])
        return self.poll_interval if due is None else min(max(due, 0.0), self.poll_interval)

    def _postpone(self, claim: Claim) -> bool:
        """Hand back a claim over which workers have vanished, unless it is the only such one in flight.

        What kills workers takes everything in flight with it. Sent one by one, the rows that were only near it get
        through, and the losses count against the one that is to blame.
        """
        if claim.lost < SUSPECT_LOSSES:
            return False
        if self._suspect is None:
            self._suspect = claim.queue_id
            return False
        self._acknowledger.submit(self._deliverer.postponed(claim, SUSPECT_SECONDS))
        return True

    def _start(self, deliveries: asyncio.TaskGroup, lane: Lane, claim: Claim) -> None:
        if self._postpone(claim):
            return
        self._slots.take(lane)
        self._metrics.claims.labels(channel=lane.channel).inc()
        if claim.taken_over:
            self._metrics.lost_claims.inc()
            _log.warning("lease_taken_over", queue_id=claim.queue_id, channel=claim.channel, lost=claim.lost)
        self._metrics.in_flight.labels(channel=lane.channel).inc()
        attempt = Attempt(claim)
        task = deliveries.create_task(self._deliver(lane, attempt))
        self._attempts[task] = attempt
        task.add_done_callback(self._attempts.pop)

    async def _deliver(self, lane: Lane, attempt: Attempt) -> None:
        try:
            ack = await self._deliverer.deliver(attempt)
        except asyncio.CancelledError:
            self._finish(self._deliverer.abandoned(attempt))
            raise
        else:
            self._finish(ack)
        finally:
            if attempt.claim.queue_id == self._suspect:
                self._suspect = None
            self._slots.give(lane)
            self._metrics.in_flight.labels(channel=lane.channel).dec()
            if lane in self._backlog:
                self._freed(lane)

    def _finish(self, ack: Ack) -> None:
        """Hand the result over, count it, and write its one line."""
        self._acknowledger.submit(ack)
        claim = ack.claim
        self._metrics.deliveries.labels(channel=claim.channel, outcome=ack.outcome.value).inc()
        self._metrics.attempts.labels(channel=claim.channel, reason=ack.reason.value).inc()
        if ack.delivery_ms is not None:
            self._metrics.delivery_seconds.labels(channel=claim.channel).observe(ack.delivery_ms / 1000)
        if ack.outcome is Outcome.SENT and ack.dwell_ms is not None:
            self._metrics.dwell_seconds.labels(severity=claim.alert.severity.value).observe(ack.dwell_ms / 1000)
        tell = _log.warning if ack.outcome is Outcome.FAILED else _log.info
        tell(
            "delivery",
            alert_id=claim.alert.alert_id,
            queue_id=claim.queue_id,
            channel=claim.channel,
            recipient=claim.recipient,
            attempt=claim.attempt,
            outcome=ack.outcome.value,
            reason=ack.reason.value,
            code=ack.code,
            detail=ack.detail,
            delivery_ms=ack.delivery_ms,
            dwell_ms=ack.dwell_ms,
            retry_in=round(ack.delay, 1) if ack.outcome is Outcome.RETRY else None,
        )

    def _freed(self, lane: Lane) -> None:
        """Wake the loop for a lane that has more to do: at once for a good part of its slots, else after a moment.

        Claims cost the same for one row as for twenty, so it pays to gather slots; but not for long, since the rest
        of the lane may hang on a dead receiver.
        """
        if self._slots.free(lane) * 4 >= self._slots.capacity(lane):
            self._wake.set()
        elif self._gather is None:
            self._gather = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._gathered)

    def _gathered(self) -> None:
        self._gather = None
        self._wake.set()

    def _stored(self, acks: Sequence[Ack]) -> None:
        """Set the alarm for the first of these rows that comes back: the loop may have gone to sleep for longer."""
        delays = [ack.delay for ack in acks if ack.outcome in {Outcome.RETRY, Outcome.RELEASED}]
        if not delays:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + min(delays)
        if self._alarm is not None:
            if self._alarm.when() <= due:
                return
            self._alarm.cancel()
        self._alarm = loop.call_at(due, self._alarmed)

    def _alarmed(self) -> None:
        self._alarm = None
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0 or self._wake.is_set():
            await asyncio.sleep(0)
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _pause(self, seconds: float) -> None:
        """Wait out a database error; being woken doesn't end it, being stopped does."""
        until = self._clock.monotonic() + seconds
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            await self._sleep(min(left, 0.5))
            self._wake.clear()
            self._beat.tick()
