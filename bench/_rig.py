"""What the benchmarks stand on: PostgreSQL, a sink in a process of its own, and the real daemon."""

import asyncio
import contextlib
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Process, shared_memory
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.demo.sinks import HttpRequest, HttpSink

CAPACITY = 400_000
BODY = 8192
MARKED = 10_000
_HEAD = struct.Struct("qqqq")
_TIME = struct.Struct("d")


class Rig:
    """A database with one Slack setting, and a sink that notes when each request came in.

    The sink writes arrival times into shared memory, so asking for them costs it nothing.
    """

    def __init__(self) -> None:
        self._server = EmbeddedServer()
        size = _HEAD.size + BODY + _TIME.size * (CAPACITY + MARKED)
        self._memory = shared_memory.SharedMemory(create=True, size=size)
        self._sink = Process(target=_sink, args=(self._memory.name,), daemon=True)
        self.dsn = ""
        self.webhook = ""
        self.marked_webhook = ""

    @property
    def server(self) -> EmbeddedServer:
        """The PostgreSQL server, for those who want to take it away."""
        return self._server

    @property
    def _buffer(self) -> memoryview:
        return _buffer(self._memory)

    def __enter__(self) -> Self:
        self._server.start()
        self._sink.start()
        while (port := _HEAD.unpack_from(self._buffer)[1]) == 0:
            time.sleep(0.01)  # the sink's process writes its port there
        self.webhook = f"http://127.0.0.1:{port}/services/T00000000/B00000000/bench"
        self.marked_webhook = self.webhook.replace("/bench", "/marked")
        with psycopg.connect(self._server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        self.dsn = self._server.dsn("bench")
        asyncio.run(migrate.up(self.dsn))
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SELECT pggit.record_performance_metric('commit', 5000)")
            connection.execute(
                "INSERT INTO pggit.alert_notification_settings"
                " (alert_type, severity, notification_channel, config)"
                " VALUES ('*', '*', 'slack', jsonb_build_object('webhook', %s::text))",
                (self.webhook,),
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sink.terminate()
        self._sink.join()
        self._memory.close()
        self._memory.unlink()
        self._server.stop()

    @contextlib.contextmanager
    def daemon(
        self, *, program: Sequence[str] = ("-m", "pggit_alertd", "run"), **environment: str
    ) -> Iterator["DaemonProcess"]:
        """Run the daemon until the block ends; it is ready when the block begins."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with log.open("w") as output:
                process = subprocess.Popen(  # noqa: S603 - the bench's own programs
                    [sys.executable, *program],
                    env={
                        **os.environ,
                        "PGGIT_ALERTD_DATABASE_URL": self._server.url("bench"),
                        "PGGIT_ALERTD_HTTP_PORT": "0",
                        "PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS": "true",
                        **environment,
                    },
                    stdout=output,
                    stderr=output,
                )
                try:
                    while '"ready"' not in log.read_text() and process.poll() is None:
                        time.sleep(0.02)  # its log is a file, as a service's is
                    if process.poll() is not None:
                        raise RuntimeError(log.read_text()[-2000:])
                    yield DaemonProcess(process.pid)
                finally:
                    process.terminate()
                    process.wait(60)

    def received(self) -> int:
        """Return how many requests the sink has had."""
        return int(_HEAD.unpack_from(self._buffer)[0])

    def arrival(self, number: int, within: float = 30.0) -> float:
        """Wait for the request with this number (the first is 1) and return its Unix time."""
        deadline = time.monotonic() + within
        while self.received() < number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"request {number} did not come; {self.received()} did")
            time.sleep(0.001)  # the sink notes the time itself, so this look costs no latency
        return float(_TIME.unpack_from(self._buffer, _HEAD.size + BODY + _TIME.size * (number - 1))[0])

    def marked_arrival(self, number: int, within: float = 30.0) -> float:
        """Wait for the request with this number at the marked webhook and return its Unix time."""
        deadline = time.monotonic() + within
        while _HEAD.unpack_from(self._buffer)[3] < number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"marked request {number} did not come")
            time.sleep(0.001)  # as above
        offset = _HEAD.size + BODY + _TIME.size * (CAPACITY + number - 1)
        return float(_TIME.unpack_from(self._buffer, offset)[0])

    def last_body(self) -> bytes:
        """Return the body of the latest request."""
        length = _HEAD.unpack_from(self._buffer)[2]
        return bytes(self._buffer[_HEAD.size : _HEAD.size + length])


class DaemonProcess:
    """The daemon as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def cpu_seconds(self) -> float:
        """Return user and system time so far."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Return resident memory in MB."""
        pages = int((self._proc / "statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _buffer(memory: shared_memory.SharedMemory) -> memoryview:
    if memory.buf is None:
        raise ValueError("the shared memory is closed")
    return memory.buf


def _sink(name: str) -> None:
    memory = shared_memory.SharedMemory(name=name)
    buffer = _buffer(memory)

    def note(request: HttpRequest) -> None:
        count, port, _, marked = _HEAD.unpack_from(buffer)
        if request.path.endswith("/marked"):
            _TIME.pack_into(buffer, _HEAD.size + BODY + _TIME.size * (CAPACITY + marked), request.at)
            marked += 1
        _TIME.pack_into(buffer, _HEAD.size + BODY + _TIME.size * count, request.at)
        body = request.body[:BODY]
        buffer[_HEAD.size : _HEAD.size + len(body)] = body
        _HEAD.pack_into(buffer, 0, count + 1, port, len(body), marked)

    async def run() -> None:
        async with HttpSink(keep=1) as sink:
            sink.on_request = note
            _HEAD.pack_into(buffer, 0, 0, sink.port, 0, 0)
            await asyncio.Event().wait()

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {name: round(cuts[index], 2) for name, index in (("p50", 49), ("p95", 94), ("p99", 98))}


def show(title: str, values: Sequence[float]) -> None:
    """Print one row."""
    print(f"{title:<45}", json.dumps(quantiles(values)))
