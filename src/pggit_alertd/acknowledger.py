"""Results on their way to the database: batched, kept until they are stored, never dropped.

An ack that is lost means a page sent twice. So acks live in memory until the database has taken them, however long it
is away, and while too many wait (`congested`), or the last flush failed (`failing`), nobody claims more work.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pggit_alertd import logs
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.errors import DatabaseError, DatabaseRejected, NotificationsLocked
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Ack
from pggit_alertd.store import Store

_log = logs.get("acknowledger")
WAIT_SECONDS = 5.0
"""How long one ack whose row somebody holds stands in the line for it before another one does."""
LOOK_SECONDS = 0.5
_SUPERSEDED = "their leases had run out and others claimed them, or PostgreSQL crashed and forgot the claims"


class Acknowledger:
    """Writes acks in batches of `batch`, or whatever there is `interval` seconds after the first.

    Congestion has hysteresis: it begins at `high_water` waiting acks and ends at half of that.

    An ack the database can't store must not keep the others from being stored. A batch that is rejected is halved until
    the culprit stands alone: `_suspects` acks at the head of the queue are known to hold it. It is then stored with the
    bare outcome; should even that be rejected, it is given up with an error in the log, and its lease runs out.

    An ack whose row somebody's transaction holds is put aside (`_held`) and the others are stored. One of those put
    aside at a time waits for its row in the server, so that it has it before a claim can, which skips what is locked,
    even if its lease has run out meanwhile; when it has got through, all are tried again.
    `stored` is called with each batch that the database has taken.
    """

    def __init__(
        self,
        store: Store,
        *,
        metrics: Metrics,
        beat: Beat,
        batch: int = 100,
        interval: float = 0.02,
        high_water: int = 2000,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._beat = beat
        self._batch = batch
        self._interval = interval
        self._high_water = high_water
        self._waiting: deque[Ack] = deque()
        self._held: deque[Ack] = deque()
        metrics.unacknowledged.set_function(lambda: self.waiting)
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._locked = asyncio.Event()
        self._backoff = RetrySchedule(base=0.2, cap=5.0)
        self._suspects = 0
        self._flushing = asyncio.Lock()
        self._congested = False
        self.failing = False
        self.stored: Callable[[Sequence[Ack]], None] = _nobody_asks

    def submit(self, ack: Ack) -> None:
        """Take a result. Never waits and never fails."""
        self._waiting.append(ack)
        self._arrived.set()
        if len(self._waiting) >= self._batch:
            self._enough.set()
        if self.waiting >= self._high_water:
            self._congested = True

    @property
    def congested(self) -> bool:
        """True while so many acks wait that claiming more would only add to the risk of sending twice."""
        if self._congested and self.waiting <= self._high_water // 2:
            self._congested = False
        return self._congested

    @property
    def waiting(self) -> int:
        """How many acks the database has not taken yet."""
        return len(self._waiting) + len(self._held)

    async def run(self) -> None:
        """Write acks as they come, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._stand_in_line())

    async def _write(self) -> None:
        failures = 0
        while True:
            self._beat.tick()
            await self._wait(self._arrived, self._beat.limit / 3)
            if not self._waiting:
                self._arrived.clear()
                continue
            if not failures and not self._suspects:
                await self._wait(self._enough, self._interval)
            try:
                await self._flush()
            except DatabaseRejected as error:
                self._single_out(error)
            except NotificationsLocked as error:
                self._put_aside(error)
            except DatabaseError as error:
                failures += 1
                self.failing = True
                self._metrics.loop_errors.labels(loop="acknowledger").inc()
                delay = self._backoff.delay(failures)
                _log.warning("ack_failed", error=str(error), waiting=len(self._waiting), retry_in=round(delay, 2))
                await asyncio.sleep(delay)
            else:
                if failures:
                    _log.info("ack_recovered", failures=failures)
                failures = 0
                self.failing = False

    async def drain(self, seconds: float) -> bool:
        """Write everything that waits, for at most this long; return whether nothing is left."""
        failures = 0
        try:
            async with asyncio.timeout(seconds):
                while self.waiting:
                    if not self._waiting:
                        self._take_back()
                    try:
                        await self._flush()
                    except DatabaseRejected as error:
                        self._single_out(error)
                    except NotificationsLocked as error:
                        self._put_aside(error)
                        if not self._waiting:
                            await asyncio.sleep(LOOK_SECONDS)
                    except DatabaseError:
                        failures += 1
                        await asyncio.sleep(self._backoff.delay(failures))
        except TimeoutError:
            _log.error(
                "acks_left_behind",
                waiting=self.waiting,
                consequence="their leases run out and another worker may send them again",
            )
        return not self.waiting

    async def _flush(self) -> None:
        """Store one batch; it leaves memory only after the database has it."""
        async with self._flushing:
            await self._store_batch()

    async def _store_batch(self) -> None:
        batch = list(itertools.islice(self._waiting, self._batch_size()))
        self._enough.clear()
        for ack in _pauses(batch):
            await self._store.pause(ack.claim, ack.pause or 0.0, grows=ack.grows)
        superseded = await self._store.acknowledge(batch)
        for _ in batch:
            self._waiting.popleft()
        self._suspects = max(0, self._suspects - len(batch))
        self._tell(batch, superseded)
        if len(self._waiting) >= self._batch:
            self._enough.set()

    def _tell(self, batch: Sequence[Ack], superseded: int) -> None:
        """Say what was stored to those who wait for it, and that some of it came too late."""
        self.stored(batch)
        if superseded:
            self._metrics.superseded.inc(superseded)
            _log.warning("acks_superseded", count=superseded, reason=_SUPERSEDED)

    def _put_aside(self, error: NotificationsLocked) -> None:
        """Take those whose rows somebody holds out of the batch that was tried; the others are next."""
        tried = [self._waiting.popleft() for _ in range(min(self._batch_size(), len(self._waiting)))]
        locked = [ack for ack in tried if ack.claim.queue_id in error.queue_ids]
        self._waiting.extendleft(ack for ack in reversed(tried) if ack.claim.queue_id not in error.queue_ids)
        self._suspects = max(0, self._suspects - len(locked))
        tell = _log.debug if self._held else _log.warning
        self._held.extend(locked)
        self._locked.set()
        tell(
            "notifications_locked",
            count=len(locked),
            reason="a transaction holds rows of pggit.alert_notification_queue; look for it in pg_stat_activity",
            consequence="what came of these is stored when it ends; until then they look as if they were under way",
        )

    def _take_back(self) -> None:
        """Let what was put aside be tried again, last: the first of the others may be on their way."""
        self._waiting.extend(self._held)
        self._held.clear()
        self._locked.clear()
        self._arrived.set()

    async def _stand_in_line(self) -> None:
        """Wait in the server for one of the rows that somebody holds, one after the other, until cancelled."""
        while True:
            await self._locked.wait()
            first = self._held[0]
            try:
                superseded = await self._store.acknowledge([first], patience=WAIT_SECONDS)
            except NotificationsLocked:
                if self._held and self._held[0] is first:
                    self._held.rotate(-1)
            except DatabaseError as error:
                # Whatever it is, the other loop meets it too, says it, and goes on from there.
                _log.debug("ack_failed", error=str(error), held=len(self._held))
                await asyncio.sleep(LOOK_SECONDS)
                self._take_back()
            else:
                if self._held and self._held[0] is first:
                    self._held.popleft()
                self._take_back()
                self._tell([first], superseded)

    def _batch_size(self) -> int:
        """How many acks to store at once: half of what is suspected, so that good ones leave and the bad one stays."""
        return self._batch if not self._suspects else (self._suspects + 1) // 2

    def _single_out(self, error: DatabaseRejected) -> None:
        """Come closer to the ack that was rejected; if it stood alone, strip it, or give it up."""
        tried = min(self._batch_size(), len(self._waiting))
        self._metrics.loop_errors.labels(loop="acknowledger").inc()
        if tried > 1:
            self._suspects = tried
            return
        self._suspects = max(0, self._suspects - 1)
        ack = self._waiting.popleft()
        bare = replace(
            ack,
            detail="(what the receiver said could not be stored)",
            code=None,
            pause=None,
            delivery_ms=None,
            dwell_ms=None,
            settled=frozenset(),
        )
        if ack == bare:
            _log.error(
                "ack_given_up",
                queue_id=ack.claim.queue_id,
                outcome=ack.outcome.value,
                error=str(error),
                consequence="its lease runs out and it may be sent again",
            )
        else:
            _log.error("ack_stripped", queue_id=ack.claim.queue_id, outcome=ack.outcome.value, error=str(error))
            self._waiting.appendleft(bare)
            self._suspects += 1

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> None:
        if event.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return


def _nobody_asks(_: Sequence[Ack]) -> None:
    """Stand in for a `stored` that nobody has set."""


def _pauses(batch: Iterable[Ack]) -> list[Ack]:
    """Return, for each destination that asked for a pause, the ack with the longest: the others add nothing."""
    longest: dict[str | None, Ack] = {}
    for ack in batch:
        known = longest.get(ack.claim.destination_key)
        if ack.pause is not None and (known is None or ack.pause > (known.pause or 0.0)):
            longest[ack.claim.destination_key] = ack
    return list(longest.values())
