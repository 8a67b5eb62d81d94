"""uvicorn as one of our tasks: it gets sockets already bound, leaves signals and logging alone, and sleeps when idle.

uvicorn's own main loop wakes ten times a second to look whether it should end and to renew its Date header. Ours
waits for an event instead: 0.001 CPU seconds a minute when idle, against 0.3 (asyncio) and 0.1 (uvloop).
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from pggit_alertd import logs
from pggit_alertd.errors import AddressTaken, AlertdError, SettingsError

_log = logs.get("web")
BACKLOG = 128
# Health answers take milliseconds; a connection that is still open after this long is cut at shutdown.
GRACE = 1
# More connections at once than any set of probes and scrapers makes; further ones get 503.
MOST_CONNECTIONS = 200
_FIRST_UNPRIVILEGED_PORT = 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Bound sockets that listen for requests; `port` is the real one where the settings said 0."""

    sockets: tuple[socket.socket, ...]
    host: str
    port: int

    @property
    def url(self) -> str:
        """Return where the pages are."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def close(self) -> None:
        """Close the sockets; for a start that fails before `serve`."""
        for each in self.sockets:
            each.close()


def bind(host: str, port: int) -> Listener:
    """Return a listener on every address of the host (`localhost` has two), so that nothing starts on a taken port.

    Raises SettingsError that names the variable to change, or AddressTaken: a port that is in use now, by the process
    that is being replaced perhaps, is no reason for a supervisor to give up.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(
            f"PGGIT_ALERTD_HTTP_HOST: {host!r} is no address or name known here ({error}); "
            "write an address of this machine, like 127.0.0.1, 0.0.0.0 or ::"
        ) from None
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    for family, address in addresses:
        try:
            sockets.append(_bound(family, (address[0], port, *address[2:]), alone=len(addresses) == 1))
        except OSError as error:
            absent = error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
            if not absent or refused is None:
                refused = error
            if not absent:
                break
        else:
            port = sockets[0].getsockname()[1]
    if sockets and (refused is None or refused.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}):
        return Listener(tuple(sockets), host, port)
    for each in sockets:
        each.close()
    raise _explained(host, port, refused) from None


def _bound(family: int, address: tuple[object, ...], *, alone: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` by itself takes IPv4 too, as people expect of it; beside an IPv4 socket it must not.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if alone and address[0] == "::" else 1)
        listener.bind(address)
        # Listening here, not only when uvicorn starts: with SO_REUSEADDR two programs may bind, but one may listen.
        listener.listen(BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError:
        listener.close()
        raise
    return listener


def _explained(host: str, port: int, error: OSError | None) -> AlertdError:
    code = error.errno if error is not None else None
    if code == errno.EADDRINUSE:
        return AddressTaken(
            f"PGGIT_ALERTD_HTTP_PORT: port {port} of {host} is in use by another program; stop that one, write another "
            "port, or 0 for any free one"
        )
    if code in {errno.EACCES, errno.EPERM} and port < _FIRST_UNPRIVILEGED_PORT:
        return SettingsError(
            f"PGGIT_ALERTD_HTTP_PORT: port {port} is reserved for root; write one from 1024 up, like 8580"
        )
    if code in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return SettingsError(
            f"PGGIT_ALERTD_HTTP_HOST: {host} is not an address of this machine; write 127.0.0.1, 0.0.0.0 or ::"
        )
    return SettingsError(
        f"PGGIT_ALERTD_HTTP_HOST, PGGIT_ALERTD_HTTP_PORT: can't listen at {host} port {port} ({error}); write an "
        "address of this machine and a free port"
    )


async def serve(
    app: ASGIApp, listener: Listener, *, stop: asyncio.Event, started: Callable[[], None] | None = None
) -> None:
    """Answer requests until `stop` is set or the task is cancelled; then finish what is being answered, and return.

    `started` is called once connections are answered. The listener is closed at the end.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
        proxy_headers=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    try:
        await server.startup(sockets=list(listener.sockets))
        _log.info("web_listening", address=listener.url)
        if started is not None:
            started()
        await stop.wait()
    finally:
        if server.started:
            await server.shutdown(sockets=list(listener.sockets))
        listener.close()
