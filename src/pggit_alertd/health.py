"""How the daemon is, as the health pages, the gauges and systemd's status line tell it."""

import asyncio
from typing import Any

from pggit_alertd import __version__, logs
from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.clock import Clock
from pggit_alertd.conditions import Condition, Kind
from pggit_alertd.database import migrate
from pggit_alertd.database.listen import Listener
from pggit_alertd.database.pool import Database
from pggit_alertd.dispatcher import Dispatcher
from pggit_alertd.errors import DatabaseError
from pggit_alertd.liveness import Liveness, LoopReport
from pggit_alertd.metrics import CHANNELS, Metrics
from pggit_alertd.router import Router
from pggit_alertd.store import COUNTED, Depth, Store
from pggit_alertd.web import Readiness

SCHEMA_SECONDS = 5.0
WATCH_SECONDS = 1.0
GAUGE_SECONDS = 2.0
# Under the pages' own deadline: while the database is away they are to say why, not that they were asked for too much.
ANSWER_SECONDS = 2.0
# Three of the daemon's beats.
ALIVE_SECONDS = 90.0
_log = logs.get("health")


class Health:
    """Answers what the web pages ask. What costs a query is asked of the database at most every few seconds."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        listener: Listener,
        router: Router,
        dispatcher: Dispatcher,
        acknowledger: Acknowledger,
        liveness: Liveness,
        metrics: Metrics,
        clock: Clock,
        dry_run: bool = False,
    ) -> None:
        self._store = store
        self._database = database
        self._listener = listener
        self._router = router
        self._dispatcher = dispatcher
        self._acknowledger = acknowledger
        self._liveness = liveness
        self._metrics = metrics
        self._clock = clock
        self._dry_run = dry_run
        self._born = clock.monotonic()
        self._checked = float("-inf")
        self._trouble = ""
        self._measured = float("-inf")
        self._depth: list[Depth] = []
        self._outbox = 0
        self._conditions: list[Condition] = []
        self._workers = 0
        self.waiting_for = "the first connection to the database"
        self.stopping = False

    def live(self) -> LoopReport:
        """Return the loops' pulses."""
        return self._liveness.report()

    async def ready(self) -> Readiness:
        """Return whether alerts are being delivered now, and if not what stands in the way."""
        if self.stopping:
            return Readiness(ok=False, reasons=("the daemon is stopping",))
        if self.waiting_for:
            return Readiness(ok=False, reasons=(f"waiting: {self.waiting_for}",))
        if self._clock.monotonic() - self._checked > SCHEMA_SECONDS:
            self._trouble = await self._check_schema()
            self._checked = self._clock.monotonic()
        loops = (self._router.trouble, self._dispatcher.trouble)
        reasons = [reason for reason in (self._trouble, *loops) if reason]
        reasons += self._ack_trouble()
        report = self.live()
        reasons += report.reasons
        if not report.cycled:
            reasons.append("the loops have not been round once yet")
        return Readiness(ok=not reasons, reasons=tuple(reasons))

    async def detail(self) -> dict[str, Any]:
        """Return the figures behind the verdict."""
        await self._measure()
        return {
            **self.state(),
            "leased": await self._leases(),
            "outbox": self._outbox,
            "outbox_at_least": self._outbox >= COUNTED,
            "workers": self._workers,
            "conditions": [each.as_json() for each in self._conditions],
            "queue": [
                {
                    "channel": each.channel,
                    "status": each.status,
                    "count": each.count,
                    "at_least": each.count >= COUNTED,
                    "oldest_due_seconds": round(each.oldest_due_seconds, 3),
                }
                for each in self._depth
            ],
        }

    async def _leases(self) -> dict[str, int] | None:
        """Return how many rows each worker holds, None if the database does not say."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._store.leases()
        except (DatabaseError, TimeoutError):
            return None

    async def watch(self) -> None:
        """Write one line when the daemon can no longer do its work, and one when it can again; until cancelled.

        It asks nothing of the database: what its loops met last is enough, and an idle daemon stays idle.
        """
        lost_at: float | None = None
        while True:
            reasons = self.troubles()
            if reasons and lost_at is None and not self.stopping:
                lost_at = self._clock.monotonic()
                _log.warning("readiness_lost", reasons=list(reasons))
            elif not reasons and lost_at is not None:
                _log.info("readiness_back", after=round(self._clock.monotonic() - lost_at, 1))
                lost_at = None
            await asyncio.sleep(WATCH_SECONDS)

    def state(self) -> dict[str, Any]:
        """Return what this process knows of itself, without waiting for anything."""
        return {
            "version": __version__,
            "worker": self._store.worker,
            "uptime_seconds": round(self._clock.monotonic() - self._born, 1),
            "listener": {"mode": self._listener.mode.value, "reason": self._listener.reason},
            "dry_run": self._dry_run,
            "in_flight": self._dispatcher.in_flight,
            "unacknowledged": self._acknowledger.waiting,
        }

    def troubles(self) -> tuple[str, ...]:
        """Return what stands in the way of the work, as far as it is known without asking."""
        if self.stopping:
            return ("the daemon is stopping",)
        if self.waiting_for:
            return (f"waiting: {self.waiting_for}",)
        found = (self._router.trouble, self._dispatcher.trouble, *self._ack_trouble(), *self.live().reasons)
        return tuple(dict.fromkeys(reason for reason in found if reason))

    def _ack_trouble(self) -> list[str]:
        if not self._acknowledger.failing:
            return []
        return ["results of deliveries can't be stored, so nothing is claimed; see ack_failed in the log"]

    async def refresh_gauges(self) -> None:
        """Bring the gauges that mirror the database up to date."""
        await self._measure()
        for channel in CHANNELS:
            of_channel = {each.status: each for each in self._depth if each.channel == channel}
            for status in ("pending", "held", "failed"):
                count = of_channel[status].count if status in of_channel else 0
                self._metrics.queue_depth.labels(channel=channel, status=status).set(count)
            pending = of_channel.get("pending")
            self._metrics.oldest_due_seconds.labels(channel=channel).set(pending.oldest_due_seconds if pending else 0)
        self._metrics.dead_letters.set(sum(each.count for each in self._depth if each.status == "failed"))
        self._metrics.outbox_depth.set(self._outbox)
        self._metrics.workers.set(self._workers)
        there = {each.kind for each in self._conditions}
        for kind in Kind:
            self._metrics.condition.labels(kind=kind.value).set(kind.value in there)

    def summary(self) -> str:
        """Return one line for `systemctl status`."""
        if self.waiting_for:
            return f"waiting: {self.waiting_for}"
        dry = "DRY RUN, nothing is sent; " if self._dry_run else ""
        return (
            f"{dry}{self._listener.mode.value}; {self._dispatcher.in_flight} in flight, "
            f"{self._acknowledger.waiting} unacknowledged"
        )

    async def _check_schema(self) -> str:
        """Return what is wrong with the database, or nothing."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._database.connection() as connection:
                await migrate.verify(connection)
        except DatabaseError as error:
            self._metrics.database_up.set(0)
            return str(error)
        except TimeoutError:
            self._metrics.database_up.set(0)
            return self._database.trouble or f"PostgreSQL did not answer within {ANSWER_SECONDS:g} s."
        self._metrics.database_up.set(1)
        return ""

    async def _measure(self) -> None:
        """Count what waits, unless it was counted a moment ago; the last figures stand while the database is away."""
        if self._clock.monotonic() - self._measured < GAUGE_SECONDS:
            return
        self._measured = self._clock.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._depth = await self._store.depth()
                self._outbox = await self._store.outbox_depth()
                found = await self._database.fetch("conditions", {"days": 0})
                self._conditions = [Condition.read(row) for row in found]
                self._workers = int((await self._database.fetch("workers_alive", {"seconds": ALIVE_SECONDS}))[0][0])
        except (DatabaseError, TimeoutError):
            self._metrics.database_up.set(0)
        else:
            self._metrics.database_up.set(1)
