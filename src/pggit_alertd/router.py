"""Wake, route what waits in the outbox, escalate what nobody acknowledged, and tell the dispatcher.

Routing and escalating are one SQL function each; replicas share the work by SKIP LOCKED. When there is nothing more to
route, windows that have ended are looked for, and what they muted and still fires is sent.
"""

import asyncio
from collections.abc import Callable, Mapping

from pggit_alertd import logs
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.clock import Clock, SystemClock
from pggit_alertd.errors import DatabaseError
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import Metrics
from pggit_alertd.shortcut import Shortcut
from pggit_alertd.snoozes import Snoozes, expand
from pggit_alertd.store import Routed, Store

REQUEUE_SECONDS = 60.0
RELEASE_SECONDS = 1.0
# Escalation waits are minutes. Right after routing, the database's time belongs to the claim of what was routed.
ESCALATE_SECONDS = 1.0
_log = logs.get("router")


class Router:
    """The loop that routes. `horizon` and `horizon_critical` are seconds a notification may be retried for."""

    def __init__(
        self,
        store: Store,
        *,
        routed: Callable[[], None],
        metrics: Metrics,
        beat: Beat,
        poll_interval: float,
        horizon_critical: float,
        horizon: float,
        snoozes: Snoozes,
        shortcut: Shortcut | None = None,
        batch: int = 200,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._routed = routed
        self._metrics = metrics
        self._beat = beat
        self.poll_interval = poll_interval
        self._horizon_critical = horizon_critical
        self._horizon = horizon
        self._batch = batch
        self._clock = clock or SystemClock()
        self._snoozes = snoozes
        self._requeue_at = self._clock.monotonic()
        self._release_at = self._clock.monotonic()
        self._escalate_at = self._clock.monotonic()
        self._wake = asyncio.Event()
        self._stopping = False
        self._shortcut = shortcut
        if shortcut is not None:
            shortcut.told = self._told
        self.trouble = ""
        self.rounds = 0
        self._backoff = RetrySchedule(base=0.2, cap=5.0)

    def wake(self) -> None:
        """Say that there may be something to route: to the dispatcher if it can take it along, else to this loop."""
        if self._shortcut is None or not self._shortcut.ask():
            self._wake.set()

    def stop(self) -> None:
        """Route nothing more; `run` ends after the call it is in."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Route until `stop`."""
        failures = 0
        while not self._stopping:
            self._beat.tick()
            self._wake.clear()
            try:
                again = await self._route()
                if not again and self._clock.monotonic() >= self._escalate_at:
                    await self._escalate()
                if not again and self._clock.monotonic() >= self._requeue_at:
                    again = await self._requeue()
                if not again and self._clock.monotonic() >= self._release_at:
                    await self._release()
            except DatabaseError as error:
                failures += 1
                delay = self._backoff.delay(failures)
                self._metrics.loop_errors.labels(loop="router").inc()
                self.trouble = f"routing fails: {error}"
                _log.warning("routing_failed", error=str(error), retry_in=round(delay, 2))
                await self._sleep(delay)
                continue
            failures = 0
            self.trouble = ""
            self.rounds += 1
            if not again:
                await self._sleep(self.poll_interval)

    async def _escalate(self) -> None:
        """Take the escalation steps that are due, after routing, so that an acknowledgement that waits comes first."""
        self._escalate_at = self._clock.monotonic() + ESCALATE_SECONDS
        queued, suppressed = await self._store.escalate(limit=self._batch)
        self._count(suppressed)
        if queued:
            _log.warning("escalated", queued=queued, reason="nobody acknowledged in time")
            self._routed()

    async def _requeue(self) -> bool:
        """Look for alerts that missed the outbox; return whether there were any."""
        self._requeue_at = self._clock.monotonic() + REQUEUE_SECONDS
        requeued = await self._store.requeue()
        if requeued:
            _log.warning(
                "alerts_requeued", count=requeued, reason="the outbox could not be written when they were raised"
            )
        return requeued > 0

    async def _release(self) -> None:
        """Let go what windows that have ended kept back, and work out when new recurring ones are.

        Should that fail, routing goes on: what is kept back stays so until the next look.
        """
        self._release_at = self._clock.monotonic() + RELEASE_SECONDS
        try:
            found = await self._snoozes.release(horizon_critical=self._horizon_critical, horizon=self._horizon)
            if found.unexpanded:
                _log.info("windows_expanded", **await expand(self._snoozes.database))
        except DatabaseError as error:
            self._metrics.loop_errors.labels(loop="router").inc()
            _log.warning("release_failed", error=str(error))
            return
        self._metrics.active_snoozes.set(found.active)
        self._metrics.snooze_lapse_seconds.set(found.lapse_seconds)
        self._count(found.suppressed)
        if found.released or found.refused:
            self._metrics.released_alerts.inc(found.released)
            _log.info("muted_released", queued=found.released, refused=found.refused)
            self._routed()

    def _count(self, suppressed: Mapping[str, int]) -> None:
        for reason, times in suppressed.items():
            self._metrics.suppressed.labels(reason=reason).inc(times)

    async def _route(self) -> bool:
        """Route one batch; return whether more is likely to wait.

        The dispatcher is told even if nothing was routed: the wake-up may have been for a row that somebody queued
        from psql.
        """
        done = await self._store.route(
            limit=self._batch, horizon_critical=self._horizon_critical, horizon=self._horizon
        )
        self._routed()
        # The dispatcher asks for what was routed before this loop counts and logs it.
        await asyncio.sleep(0)
        self._report(done)
        return done.alerts >= self._batch

    def _told(self, done: Routed | None) -> None:
        """Hear what the shortcut did, or that this loop has to do it."""
        if done is None:
            self._wake.set()
        else:
            self._report(done)

    def _report(self, done: Routed) -> None:
        """Count what was routed, and log it."""
        self._count(done.suppressed)
        if done.alerts:
            self._metrics.routed_alerts.inc(done.alerts)
            tell = _log.warning if done.refused else _log.info
            tell(
                "routed",
                alerts=done.alerts,
                queued=done.queued,
                refused=done.refused,
                suppressed=sum(done.suppressed.values()),
            )

    async def _sleep(self, seconds: float) -> None:
        if self._wake.is_set():
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
