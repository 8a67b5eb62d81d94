"""A mail server for tests and the demo: aiosmtpd inside the caller's event loop, with replies that can be scripted.

aiosmtpd comes with the `embedded` extra, so it is imported when a sink starts and not before.
"""

import asyncio
import email
import email.policy
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self

Stage = Literal["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BODY", "RSET", "NOOP", "QUIT"]


@dataclass(slots=True)
class SmtpReply:
    """One scripted behaviour at a stage of the conversation.

    `match` must occur in the command's argument (an address, say). `times` is how often it is played; None is for
    ever. `cut` breaks the connection instead of replying, after `delay` seconds; `hang` never replies; `drip` sends the
    reply byte by byte with that many seconds between. BODY is what comes after the final dot; with `keep` the message
    counts as taken although the reply is lost.
    """

    stage: Stage
    text: str = ""
    match: str = ""
    times: int | None = None
    delay: float = 0.0
    hang: bool = False
    cut: bool = False
    close: bool = False
    keep: bool = False
    drip: float | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """One message that was taken; `arrived` is time.monotonic() when the final dot came, `at` is time.time()."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes = field(repr=False)
    arrived: float
    at: float
    tls: bool
    user: str | None

    def message(self) -> EmailMessage:
        """Return the message parsed."""
        return email.message_from_bytes(self.data, policy=email.policy.default)


class SmtpSink:
    """Receives mail and keeps it. `security` is how a client gets TLS: not at all, by STARTTLS, or from the start."""

    def __init__(
        self,
        *,
        security: Literal["none", "starttls", "tls"] = "none",
        tls: ssl.SSLContext | None = None,
        credentials: tuple[str, str] | None = None,
        smtputf8: bool = True,
    ) -> None:
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.connections: set[Any] = set()
        self.connections_made = 0
        self.on_mail: Callable[[Mail], None] | None = None
        self.on_command: Callable[[str], None] | None = None
        self.security = security
        self.tls = tls
        self.credentials = credentials
        self.smtputf8 = smtputf8
        self._scripts: list[SmtpReply] = []
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    async def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1; port 0 takes any free one."""
        from pggit_alertd.demo.sinks.smtp_session import session_factory

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            session_factory(self, loop), "127.0.0.1", port, ssl=self.tls if self.security == "tls" else None
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening, break every connection and wait for the conversations to end."""
        if self._server is None:
            return
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()
        self._server = None
        # A conversation in a TLS handshake that its client gave up does not notice the end of its connection.
        for task in self._tasks:
            task.cancel()
        await self.deserted()

    async def __aenter__(self) -> Self:
        return await self.start() if self._server is None else self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    @property
    def url(self) -> str:
        """What PGGIT_ALERTD_SMTP_URL takes, credentials included."""
        login = ":".join(self.credentials) + "@" if self.credentials else ""
        if self.security == "tls":
            return f"smtps://{login}127.0.0.1:{self._port}"
        return f"smtp://{login}127.0.0.1:{self._port}?tls={self.security}"

    def script(self, *replies: SmtpReply) -> None:
        """Play these whenever their stage and match come up."""
        self._scripts.extend(replies)

    def clear(self) -> None:
        """Forget all scripts."""
        self._scripts.clear()

    def drop_connections(self) -> None:
        """Break every open connection at once."""
        for transport in list(self.connections):
            transport.abort()

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_for(self, count: int, within: float = 10.0) -> None:
        """Wait until that many messages have been taken since the start. Raises TimeoutError."""
        if len(self.mails) >= count:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((count, waiter))
        async with asyncio.timeout(within):
            await waiter

    # What the conversations in smtp_session call.

    def opened(self, transport: asyncio.BaseTransport, task: asyncio.Task[None] | None) -> None:
        """Take note of a connection."""
        self.connections.add(transport)
        self.connections_made += 1
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def closed(self, transport: asyncio.BaseTransport | None) -> None:
        """Take note of a connection's end."""
        self.connections.discard(transport)

    def scripted(self, stage: Stage, argument: str) -> SmtpReply | None:
        """Return what is to be played at this point, if anything."""
        for reply in self._scripts:
            if reply.stage == stage and reply.match in argument and reply.times != 0:
                if reply.times is not None:
                    reply.times -= 1
                return reply
        return None

    def take(self, sender: str, recipients: list[str], data: bytes, *, tls: bool, user: str | None) -> None:
        """Keep a message."""
        mail = Mail(sender, tuple(recipients), data, time.monotonic(), time.time(), tls, user)
        self.mails.append(mail)
        if self.on_mail is not None:
            self.on_mail(mail)
        for count, waiter in self._waiters:
            if len(self.mails) >= count and not waiter.done():
                waiter.set_result(None)
        self._waiters = [each for each in self._waiters if not each[1].done()]
