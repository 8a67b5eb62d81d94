"""What systemd hears, over a real datagram socket."""

import asyncio
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pggit_alertd import logs
from pggit_alertd.systemd import Notifier


class Manager:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)  # noqa: FBT003

    def heard(self) -> list[str]:
        """Return the lines of the next datagram, which must be there."""
        return self.socket.recv(4096).decode().split("\n")

    async def next(self) -> list[str]:
        """Wait for the next datagram and return its lines."""
        loop = asyncio.get_running_loop()
        return (await asyncio.wait_for(loop.sock_recv(self.socket, 4096), 5)).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Both kinds of address that systemd hands out."""
    name = (
        f"@pggit-alertd-test-{os.getpid()}-{id(tmp_path)}" if request.param == "abstract" else str(tmp_path / "notify")
    )
    manager = Manager(name)
    yield manager
    manager.socket.close()


def test_states_are_single_datagrams(manager: Manager) -> None:
    """READY, STATUS and STOPPING arrive in sd_notify's form, one datagram for each call."""
    notifier = Notifier(manager.address)
    notifier.ready("delivering")
    assert manager.heard() == ["READY=1", "STATUS=delivering"]
    notifier.status("3 queued\nREADY=1")
    assert manager.heard() == ["STATUS=3 queued READY=1"]
    notifier.stopping()
    assert manager.heard() == ["STOPPING=1", "STATUS=draining"]
    notifier.alive()
    assert manager.heard() == ["WATCHDOG=1"]


async def test_the_watchdog_is_fed_only_while_the_loops_turn(manager: Manager) -> None:
    """A hung loop stops the keep-alive, a change of status still goes out, and a cure brings both back."""
    notifier = Notifier(manager.address, watchdog_usec=20_000, watchdog_pid=os.getpid())
    assert notifier.interval == 0.01
    fine, status, stop = True, "one", asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(notifier.run(lambda: fine, lambda: status, stop=stop))
        assert await manager.next() == ["WATCHDOG=1", "STATUS=one"]
        assert await manager.next() == ["WATCHDOG=1"]
        fine, status = False, "two"
        while (heard := await manager.next()) == ["WATCHDOG=1"]:
            continue
        assert heard == ["STATUS=two"]
        fine = True
        assert await manager.next() == ["WATCHDOG=1"]
        stop.set()


def test_no_watchdog_without_a_socket_or_for_another_process(manager: Manager) -> None:
    """WATCHDOG_USEC inherited from somebody else's service is not ours to answer."""
    assert Notifier(None, watchdog_usec=1000).interval is None
    assert Notifier(manager.address).interval is None
    assert Notifier(manager.address, watchdog_usec=0).interval is None
    assert Notifier(manager.address, watchdog_usec=1000, watchdog_pid=1).interval is None
    assert Notifier(manager.address, watchdog_usec=1000).interval == 0.0005


async def test_without_systemd_nothing_happens() -> None:
    """Outside systemd every call returns at once."""
    notifier = Notifier(None)
    notifier.ready("x")
    notifier.stopping()
    await notifier.run(lambda: True, lambda: "x", stop=asyncio.Event())


def test_a_socket_that_is_gone_is_told_once(tmp_path: Path) -> None:
    """A manager that went away costs one warning and never an exception."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    notifier = Notifier(str(tmp_path / "absent"))
    notifier.ready()
    notifier.alive()
    assert stream.getvalue().count("systemd_not_told") == 1
