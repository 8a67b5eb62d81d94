"""Mail: one transaction per notification, every recipient's answer read by itself.

A refused mailbox must not hold up the others, and who has the mail must not get it again: RCPT is sent for each
recipient that is still open, those that are accepted get the message, those that said "later" are tried alone next
time, and those that said "never" are recorded. What became of each is remembered in the receipt's `settled`.
"""

# ruff: noqa: PLR2004 - reply codes stand as the protocol writes them

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiosmtplib

from pggit_alertd import logs
from pggit_alertd.channels.mail_message import Letterhead, compose
from pggit_alertd.channels.masking import mask_address, scrub
from pggit_alertd.channels.recipients import REFUSED, parse_address, parse_recipients, recipient_digest
from pggit_alertd.channels.smarthost import VARIABLE, parse_smtp_url
from pggit_alertd.channels.smtp_pool import NoConnectionError, SmtpConnection, SmtpPool
from pggit_alertd.channels.smtp_replies import Step, Verdict, judge
from pggit_alertd.errors import ChannelNotReady, DestinationError, RenderingError, SettingsError
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient
from pggit_alertd.rendering import mail as rendering

_log = logs.get(__name__)
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class EmailDestination:
    """The recipients, each once."""

    to: tuple[str, ...]
    cc: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailMessage:
    """The bytes, and whom they are for. `open` still need the mail; the rest is settled, `refused` of them for ever."""

    data: bytes = field(repr=False)
    smaller: Callable[[], bytes] = field(repr=False)
    open: tuple[str, ...]
    settled: frozenset[str]
    refused: tuple[str, ...]
    """Masked."""


@dataclass(slots=True)
class _Progress:
    """How far a delivery got; it outlives the deadline that may end it."""

    message: MailMessage
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    deferred: dict[str, tuple[int, str]] = field(default_factory=dict)
    in_doubt: bool = False

    def restart(self) -> None:
        self.accepted.clear()
        self.deferred.clear()

    def settled(self, *, taken: bool) -> frozenset[str]:
        done = {recipient_digest(address) for address in self.accepted} if taken else set()
        return frozenset(done | {recipient_digest(address) + REFUSED for address in self.refused})

    def all_refused(self) -> tuple[str, ...]:
        return (*self.message.refused, *(mask_address(address) for address in self.refused))

    def transient(self, reason: Reason, detail: str, code: int | None = None) -> Transient:
        return Transient(reason, detail, code, ambiguous=self.in_doubt, settled=self.settled(taken=False))


class _TransactionOverError(Exception):
    """A reply ended the transaction for all recipients alike."""

    def __init__(self, step: Step, code: int, text: str) -> None:
        super().__init__(step)
        self.step = step
        self.code = code
        self.text = text


class EmailChannel:
    """Hands mail to the smarthost."""

    name = "email"
    keys = ("to", "cc", "email")

    def __init__(
        self,
        smtp_url: str | None,
        sender: str | None,
        *,
        deadline: float,
        connections: int = 40,
        tls_context: ssl.SSLContext | None = None,
        templates: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.deadline = deadline
        self._budget = max(deadline - 1.0, deadline * 0.9)
        self._templates = rendering.MailTemplates(templates)
        self._now = now
        try:
            self._sender = parse_address(sender, "PGGIT_ALERTD_EMAIL_FROM") if sender else None
        except DestinationError as error:
            raise SettingsError(str(error)) from None
        self._pool = SmtpPool(parse_smtp_url(smtp_url), tls_context, connections) if smtp_url else None

    def parse(self, config: Mapping[str, Any]) -> EmailDestination:
        """Return the destination. Raises DestinationError naming the key, or ChannelNotReady naming the variable."""
        to, cc = parse_recipients(config)
        if self._pool is None:
            raise ChannelNotReady(f"There is no mail server to send through; set {VARIABLE} and restart.")
        if self._sender is None:
            raise ChannelNotReady("There is no address to send from; set PGGIT_ALERTD_EMAIL_FROM and restart.")
        return EmailDestination(to, cc)

    def render(self, notification: Notification, destination: EmailDestination) -> MailMessage:
        """Return the mail; a template that fails costs the HTML part and a line in the log, not the mail."""
        letterhead = Letterhead(self._sender or "", destination.to, destination.cc)
        built_in = rendering.text(notification)
        try:
            text, html = self._templates.text(notification), self._templates.html(notification)
        except RenderingError as error:
            _log.warning("template failed", error=str(error))
            text, html = built_in, None
        now = self._now()
        everyone = (*destination.to, *destination.cc)
        settled = notification.settled
        return MailMessage(
            data=compose(notification, letterhead, now, text=text, html=html),
            smaller=lambda: compose(notification, letterhead, now, text=built_in),
            open=tuple(
                each
                for each in everyone
                if recipient_digest(each) not in settled and recipient_digest(each) + REFUSED not in settled
            ),
            settled=settled,
            refused=tuple(mask_address(each) for each in everyone if recipient_digest(each) + REFUSED in settled),
        )

    async def send(self, destination: EmailDestination, message: MailMessage) -> Receipt:  # noqa: ARG002 - the protocol's
        """Deliver to everyone who is still open."""
        progress = _Progress(message)
        if not message.open:
            return _settled_already(message)
        if self._pool is None:
            return Permanent(Reason.INVALID_SETTING, f"{VARIABLE} is not set", Scope.DESTINATION)
        try:
            async with asyncio.timeout(self._budget):
                return await self._deliver(self._pool, progress)
        except TimeoutError:
            return progress.transient(
                Reason.TIMEOUT, f"{self._pool.smarthost} did not finish within {self._budget:.0f} s"
            )

    async def _deliver(self, pool: SmtpPool, progress: _Progress) -> Receipt:
        fresh = False
        while True:
            try:
                connection = await pool.acquire(fresh=fresh)
            except NoConnectionError as failure:
                receipt = failure.receipt
                return (
                    progress.transient(receipt.reason, receipt.detail, receipt.code)
                    if isinstance(receipt, Transient)
                    else receipt
                )
            clean = False
            try:
                receipt_or_none = await self._converse(pool, connection, progress)
                clean = receipt_or_none is not None
            finally:
                if clean:
                    pool.release(connection)
                else:
                    pool.discard(connection)
            if receipt_or_none is not None:
                return receipt_or_none
            # A kept connection had died before anything was said on it.
            fresh = True

    async def _converse(self, pool: SmtpPool, connection: SmtpConnection, progress: _Progress) -> Receipt | None:
        """Return the receipt, or None if a kept connection turned out dead before the transaction began."""
        where = str(pool.smarthost)
        data = progress.message.data
        for attempt in (1, 2):
            progress.restart()
            try:
                await self._transaction(connection, progress, data)
            except _TransactionOverError as over:
                verdict = judge(over.step, over.code, over.text)
                if over.step is Step.MAIL and over.code == 421 and connection.reused and attempt == 1:
                    return None
                detail = f"{where} said {over.code} to {over.step}: {scrub(over.text, pool.secrets)}"
                if verdict.smaller and attempt == 1 and connection.alive and await connection.still_there():
                    data = progress.message.smaller()
                    continue
                return await self._ended(connection, progress, verdict, detail, over.code)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                if _nothing_said(progress) and connection.reused and attempt == 1:
                    return None
                reason = Reason.TIMEOUT if isinstance(error, TimeoutError) else Reason.CONNECTION
                how = "answered too late" if reason is Reason.TIMEOUT else "broke the connection"
                connection.abort()
                return progress.transient(reason, f"{where} {how} in the middle of the transaction")
            return await self._done(connection, progress, where, pool.secrets, shortened=attempt > 1)
        raise AssertionError  # pragma: no cover - the second round always returns

    async def _transaction(self, connection: SmtpConnection, progress: _Progress, data: bytes) -> None:
        """MAIL, RCPT for each, DATA.

        Raises _TransactionOverError for a reply that ends it for everybody, SMTPException for a broken connection.
        """
        client = connection.client
        body = _LEADING_DOT.sub(b"..", _LINE_ENDS.sub(b"\r\n", data))
        if not body.endswith(b"\r\n"):
            body += b"\r\n"
        size = [f"SIZE={len(body)}".encode()] if client.supports_extension("size") else []
        assert self._sender is not None  # noqa: S101 - parse refuses before
        reply = await client.execute_command(b"MAIL", f"FROM:<{self._sender}>".encode(), *size)
        if reply.code != 250:
            raise _TransactionOverError(Step.MAIL, reply.code, reply.message)
        await self._recipients(client, progress)
        if not progress.accepted:
            return
        reply = await client.execute_command(b"DATA")
        if reply.code != 354:
            raise _TransactionOverError(Step.DATA, reply.code, reply.message)
        protocol = client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        # From here on nobody can say whether the server took the message until it answers.
        progress.in_doubt = True
        protocol.write(body + b".\r\n")
        reply = await protocol.read_response(timeout=None)
        if 200 <= reply.code < 300 or 400 <= reply.code < 600:
            progress.in_doubt = False
        if not 200 <= reply.code < 300:
            raise _TransactionOverError(Step.BODY, reply.code, reply.message)

    async def _recipients(self, client: aiosmtplib.SMTP, progress: _Progress) -> None:
        """Ask for each recipient that is open. Raises _TransactionOverError when the answer concerns them all."""
        for address in progress.message.open:
            if address in progress.refused:
                continue
            reply = await client.execute_command(b"RCPT", f"TO:<{address}>".encode())
            if reply.code in {250, 251}:
                progress.accepted.append(address)
                continue
            verdict = judge(Step.RCPT, reply.code, reply.message)
            if reply.code == 421 or verdict.scope is Scope.DESTINATION:
                raise _TransactionOverError(Step.RCPT, reply.code, reply.message)
            kind = progress.refused if verdict.scope is Scope.RECIPIENT else progress.deferred
            kind[address] = (reply.code, reply.message)

    async def _ended(
        self, connection: SmtpConnection, progress: _Progress, verdict: Verdict, detail: str, code: int
    ) -> Receipt:
        """Return the receipt of a transaction that failed for everybody, leaving the connection usable if it can be."""
        if not connection.alive or not await connection.still_there():
            connection.abort()
        if verdict.scope is None:
            return progress.transient(verdict.reason, detail, code)
        return Permanent(verdict.reason, detail, verdict.scope, code)

    async def _done(
        self, connection: SmtpConnection, progress: _Progress, where: str, secrets: tuple[str, ...], *, shortened: bool
    ) -> Receipt:
        """Return the receipt of a transaction in which each recipient got an answer of their own."""
        taken = bool(progress.accepted)
        if not taken and (not connection.alive or not await connection.still_there()):
            connection.abort()
        if progress.deferred:
            address, (code, text) = next(iter(progress.deferred.items()))
            detail = f"{where} said {code} to {mask_address(address)}: {scrub(text, secrets)}"
            verdict = judge(Step.RCPT, code, text)
            return Transient(verdict.reason, detail, code, settled=progress.settled(taken=taken), scope=Scope.RECIPIENT)
        refused = progress.all_refused()
        said = "; ".join(
            f"{mask_address(address)}: {code} {scrub(text, secrets, 120)}"
            for address, (code, text) in list(progress.refused.items())[:5]
        )
        if taken or _taken_before(progress.message):
            number = len(progress.accepted)
            notes = [f"{number} recipient{'' if number == 1 else 's'}"] if taken else []
            notes += ["sent as text alone, because the full mail was too large"] if shortened else []
            notes += [f"refused: {said}"] if said else []
            before = progress.message.refused
            notes += [f"refused before: {', '.join(before[:5])}"] if before else []
            return Delivered(250 if taken else None, "; ".join(notes), refused)
        code = next(iter(progress.refused.values()))[0]
        return Permanent(Reason.REFUSED_RECIPIENT, f"{where} takes mail for nobody here: {said}", Scope.RECIPIENT, code)

    async def probe(self, destination: EmailDestination) -> Receipt:  # noqa: ARG002 - all go through one smarthost
        """Connect, upgrade, log in and ask for a sign of life (NOOP); nobody gets anything."""
        if self._pool is None:
            return Permanent(Reason.INVALID_SETTING, f"{VARIABLE} is not set", Scope.DESTINATION)
        where = str(self._pool.smarthost)
        try:
            async with asyncio.timeout(self._budget):
                connection = await self._pool.acquire(fresh=True)
                try:
                    reply = await connection.client.noop()
                finally:
                    self._pool.discard(connection)
        except NoConnectionError as failure:
            return failure.receipt
        except TimeoutError:
            return Transient(Reason.TIMEOUT, f"{where} did not answer within {self._budget:.0f} s")
        except (aiosmtplib.SMTPException, OSError):
            return Transient(Reason.CONNECTION, f"{where} broke the connection")
        how = {"none": "in clear text", "starttls": "over STARTTLS", "tls": "over TLS"}[self._pool.smarthost.security]
        who = " and logged in" if self._pool.smarthost.username else ""
        return Delivered(reply.code, f"{where} answers {how}{who}")

    async def aclose(self) -> None:
        """Close kept connections."""
        if self._pool is not None:
            await self._pool.aclose()


def _nothing_said(progress: _Progress) -> bool:
    return not (progress.accepted or progress.refused or progress.deferred or progress.in_doubt)


def _taken_before(message: MailMessage) -> bool:
    return any(not digest.endswith(REFUSED) for digest in message.settled)


def _settled_already(message: MailMessage) -> Receipt:
    if _taken_before(message) or not message.refused:
        detail = "all recipients were settled by earlier attempts"
        if message.refused:
            detail += f"; refused before: {', '.join(message.refused[:5])}"
        return Delivered(detail=detail, refused=message.refused)
    return Permanent(Reason.REFUSED_RECIPIENT, "all recipients refused the message before", Scope.RECIPIENT)
