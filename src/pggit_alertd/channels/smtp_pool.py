"""Kept connections to the smarthost: a mail over one costs 4 ms, connecting and logging in first several times that.

A server may close a connection while nobody looks, and a firewall may forget it without telling anyone. Neither may
cost a delivery attempt: a connection that was idle for a while is asked whether it still lives (RSET, which also clears
what went before), and one that dies at the first command of a transaction is replaced at once, because nothing of the
message had been said yet.
"""

import asyncio
import contextlib
import socket
import ssl

import aiosmtplib

from pggit_alertd.channels.http import tls_defaults
from pggit_alertd.channels.masking import scrub, variants
from pggit_alertd.channels.smarthost import Smarthost
from pggit_alertd.channels.smtp_replies import Step, judge
from pggit_alertd.model import Permanent, Reason, Scope, Transient

CONNECT_TIMEOUT = 30.0
"""Seconds for TCP, TLS and the greeting together; servers that stall spammers greet after some 10 s."""
IDLE_LIMIT = 30.0
"""Seconds after which an unused connection is closed by us, well before servers do it."""
TRUSTED_IDLE = 5.0
"""Seconds for which an idle connection is believed alive without asking."""
ASK_TIMEOUT = 5.0
MAILS_PER_CONNECTION = 100
_GOODBYE_TIMEOUT = 2.0


class NoConnectionError(Exception):
    """There is no usable connection; `receipt` says why and whether trying again can help."""

    def __init__(self, receipt: Transient | Permanent) -> None:
        super().__init__(receipt.detail)
        self.receipt = receipt


class SmtpConnection:
    """One logged-in connection, used by one delivery at a time."""

    def __init__(self, smarthost: Smarthost, tls_context: ssl.SSLContext | None, secrets: tuple[str, ...]) -> None:
        self._smarthost = smarthost
        self._secrets = secrets
        self.client = aiosmtplib.SMTP(
            hostname=smarthost.host,
            port=smarthost.port,
            use_tls=smarthost.security == "tls",
            start_tls=False,  # done by `open` itself, which can then tell one failure from another
            tls_context=tls_context,
            local_hostname=_own_name(),
            # Its time-outs use wait_for, which before Python 3.12 can swallow a cancellation; ours bound everything.
            timeout=None,
        )
        self._step = Step.CONNECT
        self.mails = 0
        self.idle_since: float | None = None

    @property
    def reused(self) -> bool:
        """Whether this connection has carried a mail before."""
        return self.mails > 0

    @property
    def alive(self) -> bool:
        """Whether the connection is up as far as this side knows."""
        return self.client.is_connected

    async def open(self) -> None:
        """Connect, upgrade to TLS, log in. Raises NoConnectionError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._log_in()
        except NoConnectionError:
            self.abort()
            raise
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            self.abort()
            raise NoConnectionError(self._failure(self._step, error)) from None
        except asyncio.CancelledError:
            self.abort()
            raise

    async def _log_in(self) -> None:
        self._step = Step.CONNECT
        await self.client.connect()
        await self._hello()
        if self._smarthost.security == "starttls":
            self._step = Step.STARTTLS
            self._require("starttls", Reason.TLS, "offers no STARTTLS; use smtps:// or ?tls=none if that is meant")
            await self.client.starttls()
            await self._hello()
        if self._smarthost.username is not None:
            self._step = Step.AUTH
            self._require("auth", Reason.AUTH, "offers no login (AUTH)")
            await self.client.login(self._smarthost.username, self._smarthost.password or "")

    def _require(self, extension: str, reason: Reason, complaint: str) -> None:
        if not self.client.supports_extension(extension):
            raise NoConnectionError(Permanent(reason, f"{self._smarthost} {complaint}", Scope.DESTINATION))

    async def _hello(self) -> None:
        """Say EHLO, or HELO to a server that doesn't know it; to one that says "not now" HELO would hide its login."""
        self._step = Step.HELLO
        try:
            await self.client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            if not self.client.is_connected or 400 <= error.code < 500:  # noqa: PLR2004 - as the protocol writes it
                raise
            await self.client.helo()

    async def still_there(self) -> bool:
        """Ask the server whether the connection lives, and clear what a broken transaction may have left."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                reply = await self.client.execute_command(b"RSET")
        except (aiosmtplib.SMTPException, OSError):
            return False
        return reply.code == aiosmtplib.SMTPStatus.completed

    def goodbye(self) -> None:
        """Close politely without waiting for the answer."""
        protocol = self.client.protocol
        if protocol is not None and self.alive:
            with contextlib.suppress(aiosmtplib.SMTPServerDisconnected):
                protocol.write(b"QUIT\r\n")
        self.client.close()

    def abort(self) -> None:
        """Close at once, whatever was going on."""
        transport = self.client.transport
        self.client.close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    async def quit(self) -> None:
        """Close politely, waiting a little for the server to agree."""
        try:
            async with asyncio.timeout(_GOODBYE_TIMEOUT):
                await self.client.quit()
        except (aiosmtplib.SMTPException, OSError):
            self.abort()

    def _failure(self, step: Step, error: Exception) -> Transient | Permanent:
        where = str(self._smarthost)
        if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
            verdict = judge(step, error.code, error.message)
            detail = f"{where} said {error.code} to {step}: {scrub(error.message, self._secrets)}"
            if verdict.scope is None:
                return Transient(verdict.reason, detail, error.code)
            return Permanent(verdict.reason, detail, Scope.DESTINATION, error.code)
        chain = [error, error.__cause__, error.__context__]
        tls = next((each for each in chain if isinstance(each, ssl.SSLError)), None)
        if tls is not None:
            why = getattr(tls, "verify_message", "") or tls.reason or "handshake failed"
            return Transient(Reason.TLS, f"no TLS with {where}: {scrub(why, self._secrets)}")
        if isinstance(error, TimeoutError):
            return Transient(Reason.TIMEOUT, f"{where} took too long ({step})")
        if step is Step.AUTH and isinstance(error, aiosmtplib.SMTPException) and not isinstance(error, OSError):
            return Permanent(Reason.AUTH, f"{where} offers no way to log in that we know", Scope.DESTINATION)
        os_error = next((each for each in chain if isinstance(each, OSError) and each.strerror), None)
        why = os_error.strerror if isinstance(os_error, OSError) and os_error.strerror else "connection lost"
        return Transient(Reason.CONNECTION, f"can't talk to {where} ({step}): {scrub(why, self._secrets)}")


class SmtpPool:
    """Hands out connections, newest first, so that those not needed grow old and are closed."""

    def __init__(self, smarthost: Smarthost, tls_context: ssl.SSLContext | None, limit: int) -> None:
        self.smarthost = smarthost
        self.secrets = variants([each for each in (smarthost.password,) if each])
        self._tls_context = tls_context or (tls_defaults() if smarthost.security != "none" else None)
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[SmtpConnection] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self, *, fresh: bool = False) -> SmtpConnection:
        """Return a connection that is logged in; it must be given back. Raises NoConnectionError."""
        if self._closed:
            raise NoConnectionError(Transient(Reason.SHUTDOWN, "the program is shutting down"))
        await self._slots.acquire()
        try:
            if not fresh:
                kept = await self._kept()
                if kept is not None:
                    return kept
            connection = SmtpConnection(self.smarthost, self._tls_context, self.secrets)
            await connection.open()
        except BaseException:
            self._slots.release()
            raise
        return connection

    async def _kept(self) -> SmtpConnection | None:
        loop = asyncio.get_running_loop()
        while self._idle:
            connection = self._idle.pop()
            if not connection.alive:
                continue
            idle_for = loop.time() - (connection.idle_since or 0.0)
            if idle_for <= TRUSTED_IDLE:
                return connection
            try:
                if idle_for <= IDLE_LIMIT and await connection.still_there():
                    return connection
            except asyncio.CancelledError:
                connection.abort()
                raise
            connection.abort()
        return None

    def release(self, connection: SmtpConnection) -> None:
        """Take a connection back that is between transactions."""
        self._slots.release()
        connection.mails += 1
        if self._closed or not connection.alive or connection.mails >= MAILS_PER_CONNECTION:
            connection.goodbye()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._timer is None:
            self._timer = loop.call_later(IDLE_LIMIT, self._prune)

    def discard(self, connection: SmtpConnection) -> None:
        """Take a connection back whose state is unknown."""
        self._slots.release()
        connection.abort()

    def _prune(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_LIMIT
        for connection in self._idle:
            if (connection.idle_since or 0.0) <= oldest:
                connection.goodbye()
        self._idle = [each for each in self._idle if each.alive]
        self._timer = None
        if self._idle:
            next_due = min(each.idle_since or 0.0 for each in self._idle) + IDLE_LIMIT
            self._timer = loop.call_later(max(next_due - loop.time(), 0.1), self._prune)

    async def aclose(self) -> None:
        """Close what is idle, politely; what is in use is closed when it is given back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle, self._idle = self._idle, []
        if idle:
            await asyncio.gather(*(connection.quit() for connection in idle))


def _own_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and all(char.isalnum() or char in ".-" for char in name) and name else "localhost"
