"""Wake, claim for the free slots, deliver, acknowledge.

States of the loop:

    claiming ──lane filled──► waiting for slots ──a slot is free──► claiming
       │  ▲
       │  ├── a lane that was filled has slots free already ◄── its channel answers at once
       │  └── woken, or the next row is due, or the poll interval is over ──┐
       └──── nothing more due ──► idle ─────────────────────────────────────┘
    any ──database error──► backing off ──► claiming, leaving expired leases alone for a moment
    any ──stop()──► draining ──► done
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pggit_alertd import logs
from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.clock import Clock
from pggit_alertd.delivery import Deliverer
from pggit_alertd.departures import FEW, Departures
from pggit_alertd.errors import DatabaseError
from pggit_alertd.limits import Slots, TokenBucket
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Ack, Claim, Outcome, Reason, Urgency, Verdict
from pggit_alertd.shortcut import Shortcut
from pggit_alertd.store import Lane, Room, Store

GATHER_SECONDS = 0.005
# After an outage another replica may sit on results whose leases have run out meanwhile. Its next try is at most the
# pool's wait for a connection (5 s) and the acknowledger's longest back-off (5 s) away, so expired leases wait longer.
SETTLE_SECONDS = 15.0
SETTLE_LOOK_SECONDS = 2.0
HAND_BACK_SECONDS = 2.0
# After this many lost claims a row is suspected of killing its workers, and suspects are sent one at a time.
SUSPECT_LOSSES = 2
# Each gets a turn of its own, this long after the last: forty that were in flight at a kill are through in ten seconds.
SUSPECT_SECONDS = 0.25
TRUST_MARGIN = 1.0
# A destination with a rate may be sent this many seconds' worth at once: receivers that limit rates allow short bursts.
BURST_SECONDS = 5.0
_log = logs.get("dispatcher")


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What a channel's lanes get.

    `slots` for each destination and urgency; the lease and the deadline of a delivery (seconds); and the most messages
    a second that this process sends to one destination (0: any number).
    """

    slots: int
    lease: float
    deadline: float
    rate: float = 0.0

    @property
    def trust(self) -> float:
        """Seconds after the claim within which a delivery may begin and still end before the lease does."""
        return self.lease - self.deadline - min(TRUST_MARGIN, self.lease / 10)


class Dispatcher:
    """The loop that gets claims delivered. `limits` holds what each channel may use.

    Each destination has slots of its own, for pages and for routine notifications, so one that hangs delays no other;
    `max_in_flight` bounds each of the two kinds over all destinations. `troubled` is called when something was stored
    that leaves work for the upkeep of destinations: a failure of theirs, or a page that was given up.
    """

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
        max_in_flight: int = 1000,
        shortcut: Shortcut,
        troubled: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._max_in_flight = max_in_flight
        self._troubled = troubled
        self._shortcut = shortcut
        shortcut.wake = self.wake
        self._deliverer = deliverer
        self._acknowledger = acknowledger
        acknowledger.stored = self._stored
        self._limits = limits
        self._metrics = metrics
        self._beat = beat
        self._clock = clock
        self.poll_interval = poll_interval
        self._slots: Slots[Lane] = Slots(lambda lane: limits[lane.channel].slots)
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._full: set[Lane] = set()
        self._crowded = False
        self._idle_rounds = 0
        self._wake = asyncio.Event()
        self._gather: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stopping = False
        self._departures = Departures(deliverer, acknowledger.submit, metrics=metrics, ended=self._delivered)
        self._backoff = RetrySchedule(base=0.2, cap=5.0)
        self._leave_expired_until = 0.0
        self._suspect: int | None = None
        self._last_turn = 0.0
        self.trouble = ""
        self.rounds = 0
        self._claiming_over = asyncio.Event()
        self._claiming_over.set()
        for channel in limits:
            metrics.in_flight.labels(channel=channel).set_function(partial(self._slots_taken, channel))

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
                await self._departures.finished()
        except TimeoutError:
            await self._departures.hand_back(HAND_BACK_SECONDS)

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
                self._shortcut.decline()
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
            with self._shortcut.open():
                await self._sleep(seconds)

    async def _claim(self, deliveries: asyncio.TaskGroup) -> float:
        """Claim what fits, start delivering it, and return how long nothing more can be due."""
        if self._acknowledger.congested:
            self._shortcut.decline()
            return GATHER_SECONDS * 10
        rooms = self._rooms()
        if not rooms:
            self._shortcut.decline()
            self._crowded = True
            return self.poll_interval
        settled = self._clock.monotonic() >= self._leave_expired_until
        known = self._known()
        claims = await self._shortcut.claim(rooms, take_expired=settled, known=known)
        taken = self._take(claims)
        # What was claimed goes out before anything is counted, and before the next question is asked: the receiver may
        # need the core that PostgreSQL would answer it on.
        self._departures.begin(deliveries)
        await asyncio.sleep(0)
        self._shortcut.report()
        # Of a batch that goes out at once, half is enough: the server claims for the slots that are free again while
        # the other half is under way.
        await self._departures.begun()
        if any(count >= known.get(lane, self._slots.capacity(lane)) and self._roomy(lane) for lane, count in taken):
            return 0.0
        self._full = {lane for lane, free in self._known().items() if free <= 0}
        rooms = self._rooms()
        self._crowded = len(rooms) < len(Urgency) * len(self._limits)
        if 0 < len(claims) <= FEW and await self._woken_within(GATHER_SECONDS):
            return 0.0
        if not settled:
            return min(self.poll_interval, SETTLE_LOOK_SECONDS)
        due = await self._store.next_due(rooms, self._full)
        return min(self._look_again(due, claimed=bool(claims)), self.poll_interval, self._next_token())

    def _look_again(self, due: float | None, *, claimed: bool) -> float:
        """Return how long to wait for what is due.

        What is due and was not claimed is in somebody else's hands, or waits for an older event of its group: looking
        again at once would only burn the CPU, so the looks become rarer until something is claimed.
        """
        if due is None:
            return self.poll_interval
        if due > 0 or claimed:
            self._idle_rounds = 0
            return max(due, 0.0)
        self._idle_rounds = min(self._idle_rounds + 1, 10)
        return GATHER_SECONDS * 2.0**self._idle_rounds

    def _rooms(self) -> list[Room]:
        """Return what each channel's lanes may still claim; nothing for an urgency that has used its whole budget."""
        busy = self._slots.busy()
        used = {urgency: sum(count for lane, count in busy.items() if lane.urgency is urgency) for urgency in Urgency}
        return [
            Room(channel, urgency, limit.slots, self._max_in_flight - used[urgency], limit.lease, limit.trust)
            for channel, limit in self._limits.items()
            for urgency in Urgency
            if used[urgency] < self._max_in_flight
        ]

    def _known(self) -> dict[Lane, int]:
        """Return how many slots those lanes have that lack some, for what is in flight or for their rate."""
        now = self._clock.monotonic()
        known = {lane: self._slots.free(lane) for lane in self._slots.busy()}
        for (channel, destination), bucket in list(self._buckets.items()):
            if bucket.full(now):
                del self._buckets[channel, destination]
                continue
            for urgency in Urgency:
                lane = Lane(channel, urgency, destination)
                known[lane] = min(known.get(lane, self._slots.capacity(lane)), bucket.available(now))
        return known

    def _next_token(self) -> float:
        """Return seconds until a destination that is out of tokens may be sent to again."""
        now = self._clock.monotonic()
        return min(
            (wait for each in self._buckets.values() if (wait := each.wait(now)) > 0), default=self.poll_interval
        )

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
        now = self._clock.monotonic()
        self._last_turn = max(now, self._last_turn) + SUSPECT_SECONDS
        self._acknowledger.submit(self._deliverer.postponed(claim, self._last_turn - now))
        return True

    def _take(self, claims: Sequence[Claim]) -> list[tuple[Lane, int]]:
        """Take slots and tokens for these claims, and have them depart; return how many each lane got."""
        taken: Counter[Lane] = Counter()
        for claim in claims:
            if self._postpone(claim):
                continue
            if claim.taken_over:
                self._metrics.lost_claims.inc()
                _log.warning("lease_taken_over", queue_id=claim.queue_id, channel=claim.channel, lost=claim.lost)
            lane = Lane(claim.channel, claim.urgency, claim.lane_key)
            taken[lane] += 1
            self._departures.add(lane, claim)
        for lane, count in taken.items():
            self._slots.take(lane, count)
            self._metrics.channel(lane.channel).claims.inc(count)
            rate = self._limits[lane.channel].rate
            if rate > 0:
                now = self._clock.monotonic()
                fresh = TokenBucket(rate, max(1, round(rate * BURST_SECONDS)), now)
                self._buckets.setdefault((lane.channel, lane.destination), fresh).take(now, count)
        return list(taken.items())

    def _delivered(self, lane: Lane, claim: Claim) -> None:
        """Free the slot of a delivery that has ended, however it ended."""
        if claim.queue_id == self._suspect:
            self._suspect = None
        self._slots.give(lane)
        if lane in self._full or self._crowded:
            self._freed(lane)
        if self._departures.ready and self._slots.free(lane) * 2 >= self._slots.capacity(lane):
            self._departures.hurry()

    def _roomy(self, lane: Lane) -> bool:
        """Tell whether a good part of the lane's slots is free, so that a claim is worth its price."""
        return self._slots.free(lane) * 4 >= self._slots.capacity(lane)

    def _slots_taken(self, channel: str) -> int:
        return sum(count for lane, count in self._slots.busy().items() if lane.channel == channel)

    def _freed(self, lane: Lane) -> None:
        """Wake the loop for a lane that has more to do: at once for a good part of its slots, else after a moment.

        Claims cost the same for one row as for twenty, so it pays to gather slots; but not for long, since the rest
        of the lane may hang on a dead receiver.
        """
        if self._roomy(lane):
            self._wake.set()
        elif self._gather is None:
            self._gather = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._gathered)

    def _gathered(self) -> None:
        self._gather = None
        self._wake.set()

    def _stored(self, acks: Sequence[Ack]) -> None:
        """Set the alarm for the first of these rows that comes back: the loop may have gone to sleep for longer."""
        if self._troubled is not None and any(_leaves_trouble(ack) for ack in acks):
            self._troubled()
        if any(ack.claim.probing for ack in acks):
            self._wake.set()
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

    async def _woken_within(self, seconds: float) -> bool:
        """Wait for a moment; return whether there is something to claim before it is over."""
        with self._shortcut.open():
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return False
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait out a database error; being woken doesn't end it, being stopped does."""
        until = self._clock.monotonic() + seconds
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            await self._sleep(min(left, 0.5))
            self._wake.clear()
            self._beat.tick()


def _leaves_trouble(ack: Ack) -> bool:
    """Tell whether a page did not get to all it was for, or something was learned of a destination's health."""
    unheard = ack.outcome is Outcome.FAILED or ack.reason is Reason.REFUSED_RECIPIENT
    failed_page = unheard and ack.claim.urgency is Urgency.PAGE
    return failed_page or ack.claim.probing or ack.verdict in {Verdict.TRANSIENT, Verdict.CONDEMNED}
