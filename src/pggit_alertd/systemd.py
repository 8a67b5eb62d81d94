"""systemd's notify protocol, sd_notify(3) and sd_watchdog_enabled(3): datagrams of NAME=value lines to a socket.

Without a socket every call does nothing, so callers need not ask whether systemd is there. Nothing here may harm the
service: a datagram that can't be sent is a warning in the log, told once.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Protocol

from pggit_alertd import logs

_log = logs.get("systemd")
_MICRO = 1e-6
# A datagram is short; systemd takes 4096 bytes of it.
_LONGEST_STATUS = 500
STATUS_INTERVAL = 10.0


class _Source(Protocol):
    """The part of the settings that systemd puts there."""

    @property
    def notify_socket(self) -> str | None: ...
    @property
    def watchdog_usec(self) -> int | None: ...
    @property
    def watchdog_pid(self) -> int | None: ...


class Notifier:
    """Tells systemd how the service is. `interval` is seconds between keep-alives, or None without a watchdog."""

    def __init__(
        self, notify_socket: str | None, watchdog_usec: int | None = None, watchdog_pid: int | None = None
    ) -> None:
        # A leading @ means Linux's abstract namespace, whose names begin with a zero byte.
        self._address = f"\0{notify_socket[1:]}" if notify_socket and notify_socket[0] == "@" else notify_socket
        meant = watchdog_pid in {None, os.getpid()}
        self.interval = watchdog_usec * _MICRO / 2 if self._address and watchdog_usec and meant else None
        self._told = False

    @classmethod
    def of(cls, settings: _Source) -> "Notifier":
        """Return the notifier for these settings."""
        return cls(settings.notify_socket, settings.watchdog_usec, settings.watchdog_pid)

    def ready(self, status: str = "") -> None:
        """Say that the service is up: connections made, first cycle done."""
        self._send("READY=1", *self._status(status))

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(*self._status(text))

    def stopping(self, status: str = "draining") -> None:
        """Say that the service is going down on purpose."""
        self._send("STOPPING=1", *self._status(status))

    def alive(self) -> None:
        """Keep the watchdog quiet for another WatchdogSec."""
        self._send("WATCHDOG=1")

    async def run(self, fine: Callable[[], bool], status: Callable[[], str], *, stop: asyncio.Event) -> None:
        """Until `stop`: a keep-alive every half of WatchdogSec while `fine()`, and a fresh status line.

        A loop that hangs therefore gets the process restarted; a database that is gone does not.
        """
        if self._address is None:
            return
        pause = min(self.interval or STATUS_INTERVAL, STATUS_INTERVAL)
        said = None
        while not stop.is_set():
            lines = ["WATCHDOG=1"] if self.interval is not None and fine() else []
            text = status()
            if text != said:
                lines += self._status(text)
                said = text
            self._send(*lines)
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue

    @staticmethod
    def _status(text: str) -> list[str]:
        return [f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}"] if text else []

    def _send(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)  # noqa: FBT003 - the standard library's signature
                channel.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._told:
                self._told = True
                _log.warning("systemd_not_told", error=str(error), variable="NOTIFY_SOCKET")
