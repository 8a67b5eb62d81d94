"""Hears NOTIFY on a connection of its own, and knows when it has gone deaf.

The connection's socket sits in the event loop, so silence costs nothing. LISTEN can go deaf without any error:
behind a pooler in transaction mode, or when a firewall drops an idle connection. So a probe makes the round trip: a
NOTIFY sent over the pool that must arrive here. Until one has arrived the mode is "polling", and the loops look for
work more often. On every (re)connection they look at once, for notifications are not kept for absent listeners.

    connecting ──LISTEN──► polling ──probe heard──► listening ──probe lost──► connecting
         ▲  └── fails: capped, jittered back-off          └──── connection lost ──┐
         └──────────────────────────────────────────────────────────────────────┘
"""

import asyncio
import secrets
from collections.abc import Callable
from enum import StrEnum

import psycopg
from psycopg import Notify, sql

from pggit_alertd import logs
from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.database.pool import Connection, Database, connect, session
from pggit_alertd.errors import DatabaseError
from pggit_alertd.limits import Complaint
from pggit_alertd.metrics import Metrics

ALERTS = "pggit_alert"
PROBES = "pggit_alertd_probe"
PROBE_SECONDS = 30.0
PROBE_TIMEOUT = 5.0
# An outage is written down when it begins, and then this often while it lasts, not with each retry.
LOST_SECONDS = 60.0
_log = logs.get("listener")


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Return whether the event was set within this time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Mode(StrEnum):
    """How new work is found."""

    CONNECTING = "connecting"
    LISTENING = "listening"
    POLLING = "polling"


class Listener:
    """Calls `woken` for each NOTIFY, and `changed` with the mode whenever that changes."""

    def __init__(
        self,
        url: str,
        database: Database,
        *,
        woken: Callable[[], None],
        changed: Callable[[Mode], None],
        metrics: Metrics,
        connect_timeout: float = 5.0,
        probe_seconds: float = PROBE_SECONDS,
        probe_timeout: float = PROBE_TIMEOUT,
    ) -> None:
        self._conninfo = session(url, application="pggit-alertd listener", connect_timeout=connect_timeout)
        self._database = database
        self._woken = woken
        self._changed = changed
        self._metrics = metrics
        self._probe_seconds = probe_seconds
        self._probe_timeout = probe_timeout
        self._backoff = RetrySchedule(base=0.5, cap=15.0)
        self._complaint = Complaint(LOST_SECONDS)
        self._token = ""
        self._heard = asyncio.Event()
        self._lost = asyncio.Event()
        self.mode = Mode.CONNECTING
        self.reason = "not connected yet"

    async def run(self) -> None:
        """Listen until cancelled; reconnect for ever."""
        failures = 0
        while True:
            try:
                connection = await connect(self._conninfo)
            except DatabaseError as error:
                failures += 1
                self._enter(Mode.CONNECTING, str(error))
            else:
                try:
                    heard = await self._listen(connection)
                except psycopg.Error as error:
                    heard = False
                    self._enter(Mode.CONNECTING, f"connection lost ({type(error).__name__})")
                finally:
                    await connection.close()
                failures = 1 if heard else failures + 1
                self._metrics.listener_reconnects.inc()
            delay = self._backoff.delay(failures)
            if failures == 1:
                self._complaint.over()
            tell = _log.warning if self._complaint.due(asyncio.get_running_loop().time()) else _log.debug
            tell("listener_lost", reason=self.reason, failures=failures, retry_in=round(delay, 2))
            await asyncio.sleep(delay)

    async def _listen(self, connection: Connection) -> bool:
        """Stay on this connection until it is lost or deaf; return whether it ever heard a probe."""
        connection.add_notify_handler(self._hear)
        for channel in (ALERTS, PROBES):
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._lost.clear()
        loop = asyncio.get_running_loop()
        descriptor = connection.fileno()
        loop.add_reader(descriptor, self._read, connection)
        self._woken()
        heard = False
        try:
            while not self._lost.is_set():
                answer = await self._probe()
                if answer is False:
                    self._enter(
                        Mode.POLLING,
                        "NOTIFY does not arrive here; a pooler in transaction mode may stand in between: "
                        "point PGGIT_ALERTD_LISTEN_DATABASE_URL at the server itself",
                    )
                    return heard
                if answer:
                    heard = True
                    self._enter(Mode.LISTENING, "")
                await _wait(self._lost, self._probe_seconds if answer else self._probe_timeout)
        finally:
            loop.remove_reader(descriptor)
        self._enter(Mode.CONNECTING, "connection lost")
        return heard

    async def _probe(self) -> bool | None:
        """Send a NOTIFY over the pool and say whether it arrived here; None if it could not be sent."""
        self._token = secrets.token_hex(8)
        self._heard.clear()
        try:
            await self._database.fetch("notify", {"channel": PROBES, "payload": self._token})
        except DatabaseError:
            return None
        return await _wait(self._heard, self._probe_timeout)

    def _read(self, connection: Connection) -> None:
        """Take what the socket has; runs in the event loop when there is something to read."""
        try:
            connection.pgconn.consume_input()
            while (notification := connection.pgconn.notifies()) is not None:
                self._dispatch(notification.relname.decode(), notification.extra.decode())
        except psycopg.Error:
            self._lost.set()

    def _hear(self, notification: Notify) -> None:
        self._dispatch(notification.channel, notification.payload)

    def _dispatch(self, channel: str, payload: str) -> None:
        if channel == ALERTS:
            self._woken()
        elif payload == self._token:
            self._heard.set()

    def _enter(self, mode: Mode, reason: str) -> None:
        self.reason = reason
        if mode is not self.mode:
            self.mode = mode
            self._metrics.listener_up.set(mode is Mode.LISTENING)
            self._changed(mode)
            _log.info("listener_mode", mode=mode.value, reason=reason)
