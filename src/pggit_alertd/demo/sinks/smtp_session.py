"""One conversation of the mail sink: aiosmtpd's, with a script consulted before each step."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from pggit_alertd.demo.sinks.mail import SmtpReply, SmtpSink, Stage


def session_factory(sink: SmtpSink, loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.Protocol]:
    """Return what create_server makes a protocol of for each connection."""
    return lambda: _Conversation(sink, loop)


class _Handler:
    """Takes messages; aiosmtpd finds `handle_DATA` by its name."""

    def __init__(self, sink: SmtpSink) -> None:
        self._sink = sink

    async def handle_DATA(self, server: "_Conversation", session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = self._sink.scripted("BODY", " ".join(envelope.rcpt_tos))
        if reply is None or reply.keep:
            self._sink.take(
                envelope.mail_from or "",
                list(envelope.rcpt_tos),
                bytes(envelope.original_content or b""),
                tls=session.ssl is not None or server.encrypted,
                user=server.user,
            )
        if reply is None:
            return "250 2.0.0 taken"
        await server.play(reply, answer=reply.close)
        return reply.text


class _Conversation(SMTP):
    def __init__(self, sink: SmtpSink, loop: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._greeted = False
        self._first_transport: asyncio.BaseTransport | None = None
        self.encrypted = False
        self.user: str | None = None
        super().__init__(
            _Handler(sink),
            hostname="sink.localhost",
            enable_SMTPUTF8=sink.smtputf8,
            tls_context=sink.tls if sink.security == "starttls" else None,
            auth_require_tls=False,
            authenticator=self._authenticate_against_sink,
            loop=loop,
        )
        # Set afterwards: the constructor warns of AUTH without TLS, which on loopback is what some tests are about.
        self._auth_required = sink.credentials is not None
        self._auth_require_tls = sink.security == "starttls"
        if sink.credentials is None:
            self._auth_methods = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._first_transport is None:
            self._first_transport = transport
            self.encrypted = transport.get_extra_info("sslcontext") is not None
            self._sink.opened(transport, self._handler_coroutine)

    def connection_lost(self, error: Exception | None) -> None:
        self._sink.closed(self._first_transport)
        super().connection_lost(error)

    async def play(self, reply: SmtpReply, *, answer: bool = True) -> None:
        """Do what a script says; breaking off ends this task, because aiosmtpd cancels it with its connection."""
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.hang:
            await asyncio.get_running_loop().create_future()
        if reply.cut:
            if isinstance(self._first_transport, asyncio.WriteTransport):
                self._first_transport.abort()
            await asyncio.get_running_loop().create_future()
        if reply.drip is not None:
            for byte in reply.text.encode():
                await asyncio.sleep(reply.drip)
                if self._writer is not None:
                    self._writer.write(bytes([byte]))
        if answer:
            await super().push(reply.text)
        if reply.close and self.transport is not None:
            self.transport.close()
            await asyncio.get_running_loop().create_future()

    async def push(self, status: Any) -> None:
        if not self._greeted:
            self._greeted = True
            reply = self._sink.scripted("CONNECT", "")
            if reply is not None:
                await self.play(reply, answer=bool(reply.text))
                if reply.text:
                    return
        await super().push(status)

    async def _scripted(self, stage: Stage, argument: str | None) -> bool:
        self._sink.commands.append(stage)
        if self._sink.on_command is not None:
            self._sink.on_command(stage)
        reply = self._sink.scripted(stage, argument or "")
        if reply is None:
            return False
        await self.play(reply, answer=bool(reply.text))
        return bool(reply.text)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._scripted("EHLO", hostname):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("STARTTLS", arg):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("AUTH", arg):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if not await self._scripted("MAIL", arg):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if not await self._scripted("RCPT", arg):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("DATA", arg):
            await super().smtp_DATA(arg)

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("RSET", arg):
            await super().smtp_RSET(arg)

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("NOOP", arg):
            await super().smtp_NOOP(arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("QUIT", arg):
            await super().smtp_QUIT(arg)

    def _authenticate_against_sink(
        self, _server: Any, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        expected = self._sink.credentials
        if not isinstance(data, LoginPassword) or expected is None:
            return AuthResult(success=False, handled=False)
        given = (data.login.decode(), data.password.decode())
        if given != expected:
            return AuthResult(success=False, handled=False)
        self.user = given[0]
        return AuthResult(success=True)
