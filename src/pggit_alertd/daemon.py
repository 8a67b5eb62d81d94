"""The composition root: builds the parts, runs them in one TaskGroup, and stops them in order.

Start: web first (so that /livez answers with the database down) → wait for the database and a schema that fits →
loops → READY once routing and claiming have been round once.
Stop (SIGTERM, SIGINT, SIGHUP): claim and route nothing more → deliveries in flight end or are handed back → acks are
flushed → everything else is cancelled → exit 0. A second signal exits at once.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

from pggit_alertd import __version__, channels, jobs, logs
from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.channel_options import channel_options
from pggit_alertd.clock import SystemClock
from pggit_alertd.database import migrate
from pggit_alertd.database.listen import Listener, Mode
from pggit_alertd.database.pool import Database
from pggit_alertd.delivery import Deliverer
from pggit_alertd.dispatcher import Dispatcher, LaneLimits
from pggit_alertd.errors import DatabaseError
from pggit_alertd.health import Health
from pggit_alertd.heartbeat import Heartbeat
from pggit_alertd.liveness import Liveness
from pggit_alertd.metrics import Metrics
from pggit_alertd.router import Router
from pggit_alertd.scheduler import Scheduler
from pggit_alertd.settings import Settings
from pggit_alertd.shortcut import Shortcut
from pggit_alertd.snoozes import Snoozes
from pggit_alertd.store import BreakerRule, Store
from pggit_alertd.systemd import Notifier
from pggit_alertd.upkeep import Upkeep
from pggit_alertd.web import Console, Reader, bind, create_app
from pggit_alertd.web import Listener as WebListener
from pggit_alertd.web import serve as serve_web

BEAT_SECONDS = 30.0
FLUSH_SECONDS = 5.0
FAREWELL_SECONDS = 2.0
LOOP_LIMIT = 90.0
# Its rounds are up to 60 s apart, and one that hangs is given up after 30 s.
SCHEDULER_LIMIT = 150.0
READY_SECONDS = 0.05
_log = logs.get("daemon")


def serve(settings: Settings) -> int:
    """Run the daemon in an event loop of its own, uvloop's where there is one; return the exit status."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(Daemon(settings).run())


class Daemon:
    """One replica. `run` returns the exit status; `stop` is what SIGTERM calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._metrics = Metrics()
        self._liveness = Liveness(self._clock)
        self._stop = asyncio.Event()
        self._signals = 0
        self._database = Database(
            settings.database_url.get_secret_value(),
            size=settings.database_pool_size,
            connect_timeout=settings.database_connect_timeout,
        )
        self._store = Store(
            self._database,
            settings.worker_name,
            self._clock,
            breaker=BreakerRule(
                settings.breaker_threshold, settings.retry_base, settings.breaker_cap, settings.breaker_condemned
            ),
            coalesce=settings.coalesce,
        )
        self._upkeep = Upkeep(self._store, metrics=self._metrics, beat=self._liveness.loop("upkeep", LOOP_LIMIT))
        self._channels: Mapping[str, channels.Channel[Any, Any]] = channels.build(channel_options(settings))
        self._acknowledger = Acknowledger(
            self._store,
            metrics=self._metrics,
            beat=self._liveness.loop("acknowledger", LOOP_LIMIT),
            batch=settings.ack_batch,
            interval=settings.ack_interval,
        )
        shortcut = Shortcut(
            self._store, self._clock, horizon_critical=settings.horizon_critical, horizon=settings.horizon
        )
        self._dispatcher = Dispatcher(
            self._store,
            Deliverer(
                self._channels,
                schedule=RetrySchedule(base=settings.retry_base, cap=settings.retry_cap),
                clock=self._clock,
                max_lost=settings.max_lost_claims,
                dry_run=settings.dry_run,
                source=settings.source,
            ),
            self._acknowledger,
            limits=self._lane_limits(),
            metrics=self._metrics,
            beat=self._liveness.loop("dispatcher", LOOP_LIMIT),
            clock=self._clock,
            poll_interval=settings.deaf_poll_interval,
            max_in_flight=settings.max_in_flight,
            shortcut=shortcut,
            troubled=self._upkeep.wake,
        )
        self._router = Router(
            self._store,
            routed=self._dispatcher.wake,
            metrics=self._metrics,
            beat=self._liveness.loop("router", LOOP_LIMIT),
            poll_interval=settings.deaf_poll_interval,
            horizon_critical=settings.horizon_critical,
            horizon=settings.horizon,
            snoozes=Snoozes(self._database, still=settings.muted_still),
            shortcut=shortcut,
        )
        self._listener = Listener(
            settings.listen_database_url.get_secret_value(),
            self._database,
            woken=self._router.wake,
            changed=self._listening,
            metrics=self._metrics,
            connect_timeout=settings.database_connect_timeout,
        )
        self._scheduler = Scheduler(
            database=self._database,
            jobs=jobs.registry(settings, self._metrics),
            worker=settings.worker_name,
            metrics=self._metrics,
            beat=self._liveness.loop("scheduler", SCHEDULER_LIMIT),
            clock=self._clock,
        )
        self._health = Health(
            store=self._store,
            database=self._database,
            listener=self._listener,
            router=self._router,
            dispatcher=self._dispatcher,
            acknowledger=self._acknowledger,
            liveness=self._liveness,
            metrics=self._metrics,
            clock=self._clock,
            dry_run=settings.dry_run,
        )
        self._reader = Reader(self._database, self._clock)
        self._notifier = Notifier.of(settings)
        self._heartbeat = Heartbeat(
            settings.heartbeat_url.get_secret_value() if settings.heartbeat_url else None,
            interval=settings.heartbeat_interval,
            deadline=settings.http_deadline,
            allow_insecure=settings.allow_insecure_destinations,
            router=self._router,
            dispatcher=self._dispatcher,
            acknowledger=self._acknowledger,
            metrics=self._metrics,
        )

    async def run(self) -> int:
        """Run until a signal; return 0 after an orderly stop, 1 after a fault of the program.

        Raises SettingsError if the web port can't be had, AddressTaken if it can't be had now.
        """
        self._catch_signals()
        _log.info("starting", version=__version__, settings=self._settings.redacted())
        for warning in self._settings.warnings:
            _log.warning("setting_suspicious", detail=warning)
        try:
            listener = bind(self._settings.http_host, self._settings.http_port)
            status = await self._supervise(listener)
        finally:
            await self._close()
        _log.info("stopped", status=status)
        return status

    async def _supervise(self, listener: WebListener) -> int:
        """Run web and work until a signal, then stop in order; a loop that breaks ends everything, acks first."""
        served = asyncio.Event()
        console = Console(self._reader, self._health, self._clock)
        app = create_app(self._health, self._metrics, console=console if self._settings.console else None)
        status = 0
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(serve_web(app, listener, stop=served), name="web")
                work = group.create_task(self._work(), name="work")
                await self._stop.wait()
                self._health.stopping = True
                self._notifier.stopping()
                await self._drain()
                work.cancel()
                served.set()
            await self._farewell()
        except* Exception:  # noqa: BLE001 - the daemon's edge: what broke is logged, and acks are saved first
            _log.exception("crashed")
            await self._acknowledger.drain(FLUSH_SECONDS)
            status = 1
        return status

    def stop(self) -> None:
        """Begin the orderly stop; the second call ends the process at once."""
        self._signals += 1
        if self._signals > 1:
            _log.warning("killed", reason="second signal", unacknowledged=self._acknowledger.waiting)
            os._exit(1)
        self._stop.set()

    async def _work(self) -> None:
        """Wait for the database, then run every loop until cancelled."""
        await self._database.open()
        await self._wait_for_schema()
        with contextlib.suppress(DatabaseError):
            await self._store.probe_destinations()
        async with asyncio.TaskGroup() as group:
            for name, loop in (
                ("acknowledger", self._acknowledger.run()),
                ("dispatcher", self._dispatcher.run()),
                ("router", self._router.run()),
                ("listener", self._listener.run()),
                ("scheduler", self._scheduler.run()),
                ("upkeep", self._upkeep.run()),
                ("beat", self._beat()),
                ("health", self._health.watch()),
                ("heartbeat", self._heartbeat.run()),
                ("systemd", self._tell_systemd()),
            ):
                group.create_task(loop, name=name)

    async def _wait_for_schema(self) -> None:
        """Return when the database can be reached and its schema fits this release; wait as long as it takes."""
        backoff = RetrySchedule(base=0.5, cap=10.0)
        failures = 0
        told = ""
        while True:
            try:
                await self._database.knock()
                async with self._database.connection() as connection:
                    await migrate.verify(connection)
            except DatabaseError as error:
                failures += 1
                self._health.waiting_for = str(error)
                if str(error) != told:
                    told = str(error)
                    _log.warning("waiting_for_database", error=told)
                self._notifier.status(f"waiting: {told}"[:200])
                await asyncio.sleep(backoff.delay(failures))
            else:
                self._health.waiting_for = ""
                self._metrics.database_up.set(1)
                if failures:
                    self._dispatcher.leave_expired()
                _log.info("database_ready", attempts=failures + 1)
                return

    async def _drain(self) -> None:
        """Stop claiming, let deliveries end within the grace, hand back the rest, write every ack."""
        _log.info("stopping", in_flight=self._dispatcher.in_flight, unacknowledged=self._acknowledger.waiting)
        self._router.stop()
        self._dispatcher.stop()
        flush = min(FLUSH_SECONDS, self._settings.shutdown_grace / 4)
        await self._dispatcher.drain(self._settings.shutdown_grace - flush)
        await self._acknowledger.drain(flush)

    async def _farewell(self) -> None:
        """Say goodbye, so that the other replicas don't take this one for dead; if that fails, they do for a while."""
        if self._health.waiting_for:
            return
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._store.farewell()
        except (DatabaseError, TimeoutError) as error:
            _log.warning("farewell_failed", error=str(error) or "no answer in time")

    async def _close(self) -> None:
        for channel in self._channels.values():
            await channel.aclose()
        await self._reader.aclose()
        await self._heartbeat.aclose()
        await self._database.close()

    async def _beat(self) -> None:
        """Leave this replica's sign of life in the database."""
        hostname = socket.gethostname()
        while True:
            try:
                await self._store.beat(hostname, __version__)
            except DatabaseError as error:
                self._metrics.loop_errors.labels(loop="beat").inc()
                _log.debug("beat_failed", error=str(error))
            await asyncio.sleep(BEAT_SECONDS)

    async def _tell_systemd(self) -> None:
        """Say READY after the first full cycle, then keep the watchdog fed while the loops tick."""
        while not self._liveness.report().cycled:  # noqa: ASYNC110 - four loops' first ticks, once, at start
            await asyncio.sleep(READY_SECONDS)
        _log.info("ready")
        self._notifier.ready(self._health.summary())
        await self._notifier.run(lambda: self._liveness.report().ok, self._health.summary, stop=self._stop)

    def _listening(self, mode: Mode) -> None:
        """Poll rarely while LISTEN works, often while it doesn't."""
        heard = mode is Mode.LISTENING
        interval = self._settings.poll_interval if heard else self._settings.deaf_poll_interval
        self._router.poll_interval = interval
        self._dispatcher.poll_interval = interval
        self._router.wake()

    def _lane_limits(self) -> dict[str, LaneLimits]:
        """Share out slots, and leases in proportion to deadlines: settings.lease belongs to the longest."""
        longest = max(channel.deadline for channel in self._channels.values())
        return {
            name: LaneLimits(
                slots=getattr(self._settings, f"{name}_concurrency"),
                lease=self._settings.lease * channel.deadline / longest,
                deadline=channel.deadline,
                rate=getattr(self._settings, f"{name}_rate"),
            )
            for name, channel in self._channels.items()
        }

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        # A terminal that closes is no reason to leave leases behind; but nohup has SIGHUP ignored, and means it.
        hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        for number in (signal.SIGTERM, signal.SIGINT, *hangup):
            loop.add_signal_handler(number, self.stop)
