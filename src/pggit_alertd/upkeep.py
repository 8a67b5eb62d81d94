"""What broken destinations leave to do: say so, give up what has waited too long, and send pages another way.

Every replica runs this; each step is one SQL statement that changes what has not been changed, so doing it twice does
nothing. It is woken when a delivery fails, and comes round by itself for what somebody else has broken.
"""

import asyncio
from collections.abc import Mapping

from pggit_alertd import logs
from pggit_alertd.errors import DatabaseError
from pggit_alertd.liveness import Beat
from pggit_alertd.metrics import CHANNELS, Metrics
from pggit_alertd.store import BrokenDestination, Store

ROUND_SECONDS = 15.0
FLOOR_SECONDS = 1.0
# What each of the two functions does at most in one call: the smaller of their limits.
BATCH = 500
_log = logs.get("upkeep")


class Upkeep:
    """The loop that tends destinations whose circuit breaker is open."""

    def __init__(self, store: Store, *, metrics: Metrics, beat: Beat, interval: float = ROUND_SECONDS) -> None:
        self._store = store
        self._metrics = metrics
        self._beat = beat
        self._interval = interval
        self._wake = asyncio.Event()
        self.broken: Mapping[str, BrokenDestination] = {}

    def wake(self) -> None:
        """Say that a destination failed, or a page was given up."""
        self._wake.set()

    async def run(self) -> None:
        """Tend until cancelled."""
        while True:
            self._beat.tick()
            self._wake.clear()
            again = False
            try:
                again = await self._tend()
            except DatabaseError as error:
                self._metrics.loop_errors.labels(loop="upkeep").inc()
                _log.debug("upkeep_failed", error=str(error))
            # At most one round a second, however many deliveries fail.
            await asyncio.sleep(FLOOR_SECONDS)
            if not again:
                await self._sleep()

    async def _tend(self) -> bool:
        """Return whether a batch was full, so that there may be more."""
        given_up, rescued = await self._store.tend_destinations()
        if given_up:
            _log.warning("given_up", count=given_up, reason="the retry horizon passed while the destination was broken")
        if rescued:
            _log.warning("fallbacks_queued", count=rescued)
        self._compare({each.destination_key: each for each in await self._store.broken_destinations()})
        return given_up >= BATCH or rescued >= BATCH

    def _compare(self, now: Mapping[str, BrokenDestination]) -> None:
        """Write one line for each destination that broke, and for each that is back; and set the gauges."""
        open_now = {key: each for key, each in now.items() if each.open_for is not None}
        open_before = {key: each for key, each in self.broken.items() if each.open_for is not None}
        for key in open_now.keys() - open_before.keys():
            each = open_now[key]
            _log.error(
                "destination_broken",
                destination=key,
                channel=each.channel,
                recipient=each.recipient,
                reason=each.reason,
                detail=each.error,
                next_probe_in=round(each.until, 1),
            )
        for key in open_before.keys() - open_now.keys():
            _log.warning("destination_back", destination=key, channel=open_before[key].channel)
        self.broken = now
        for channel in CHANNELS:
            of_channel = [each for each in now.values() if each.channel == channel]
            is_open = sum(each.open_for is not None for each in of_channel)
            self._metrics.destinations.labels(channel=channel, state="open").set(is_open)
            self._metrics.destinations.labels(channel=channel, state="paused").set(len(of_channel) - is_open)

    async def _sleep(self) -> None:
        if self._wake.is_set():
            return
        timer = asyncio.get_running_loop().call_later(self._interval, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
