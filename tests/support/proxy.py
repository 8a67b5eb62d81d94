"""A TCP proxy before PostgreSQL that behaves like a bad network: it cuts, resets, stalls and refuses."""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict

CHUNK = 65536


class Proxy:
    """Forwards 127.0.0.1:port to the unix socket of a test's server.

    A stalled connection is half-open: it stays established, takes what is sent, and nothing ever comes back, which is
    what a firewall that has forgotten a connection looks like. Neither end sees a FIN.
    """

    def __init__(self, dsn: str) -> None:
        target = conninfo_to_dict(dsn)
        self._path = Path(str(target["host"])) / ".s.PGSQL.5432"
        self._database = target["dbname"]
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._accepting = True
        self.connections_made = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        while self._links:
            await asyncio.wait([link.over for link in self._links])
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """What PGGIT_ALERTD_DATABASE_URL takes."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}/{self._database}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def cut(self) -> None:
        """Close every connection, as a server does that goes down in order: FIN."""
        for link in list(self._links):
            link.cut()

    def reset(self) -> None:
        """Break every connection, as a firewall does: RST."""
        for link in list(self._links):
            link.reset()

    def stall(self) -> None:
        """Forward nothing more on the connections that are open; new ones work."""
        for link in self._links:
            link.flowing.clear()

    def resume(self) -> None:
        """Let stalled connections go on, with everything that was sent meanwhile."""
        for link in self._links:
            link.flowing.set()

    def refuse(self) -> None:
        """Close new connections at once, until `admit`."""
        self._accepting = False

    def admit(self) -> None:
        """Take new connections again."""
        self._accepting = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_made += 1
        try:
            if not self._accepting:
                return
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._path))
        except OSError:
            return
        else:
            link = _Link(writer, inner_writer)
            self._links.add(link)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(link.forward(reader, inner_writer))
                    group.create_task(link.forward(inner_reader, writer))
            finally:
                self._links.discard(link)
                link.over.set_result(None)
        finally:
            writer.close()


class _Link:
    """One connection through the proxy: both of its halves, and whether bytes flow."""

    def __init__(self, outer: asyncio.StreamWriter, inner: asyncio.StreamWriter) -> None:
        self._ends = (outer, inner)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self.flowing.wait()
                writer.write(data)
                await writer.drain()
        self.cut()

    def cut(self) -> None:
        self.flowing.set()
        for end in self._ends:
            end.close()

    def reset(self) -> None:
        self.flowing.set()
        for end in self._ends:
            # Lingering for no time at all makes close() send RST.
            raw = end.get_extra_info("socket")
            if raw is not None and raw.family == socket.AF_INET and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()
