"""The bytes of a mail, made once per attempt and the same over all attempts but for the date.

One Message-ID per notification lets the far side collapse a copy that a lost reply made us send twice. A synthetic
root in References groups the mails about one alert. Values from outside never meet a header as they are: `rendering`
gives single lines without controls, addresses were parsed, and EmailMessage refuses a line break in a header.
"""

from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime
from typing import Any

from pggit_alertd.model import Notification
from pggit_alertd.rendering import mail as rendering
from pggit_alertd.rendering.identity import fingerprint, identity

SENDER_NAME = "pgGit alerts"


class _Verbatim:
    """A header that is written as it stands.

    Our identifiers are ASCII and have no blanks: folding them as free text would turn one that is longer than a line
    into an encoded word, and parsing what we have just made only costs time.
    """

    max_count = None
    name: str

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        """Take the value as it is; BaseHeader wants to hear of no defects."""
        kwds["parse_tree"] = None
        kwds["decoded"] = value

    def fold(self, *, policy: Policy) -> str:
        """Return the line."""
        return f"{self.name}: {self}{policy.linesep}"


class _Subject(_Verbatim):
    """A subject from outside, which must not be read as if it were encoded already.

    EmailMessage's own header decodes what looks like an encoded word, and in Python before 3.11.10 writes the line
    break it may hold as it is: an operation called "=?utf-8?q?=0D=0ABcc:_x?=" would add a recipient.
    """

    def fold(self, *, policy: Policy) -> str:
        """Return the header, encoded unless it is plain ASCII that can't be mistaken for an encoded word."""
        text = str(self)
        charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
        encoded = Header(text, charset, maxlinelen=_LINE, header_name=self.name).encode(linesep=policy.linesep)
        return f"{self.name}: {encoded}{policy.linesep}"


_LINE = 76
_VERBATIM = (
    "auto-submitted",
    "date",
    "in-reply-to",
    "list-id",
    "message-id",
    "references",
    "x-auto-response-suppress",
    "x-pggit-alert-id",
    "x-pggit-event",
    "x-pggit-severity",
)


class _Headers(HeaderRegistry):
    """A registry that keeps its classes; with `_Verbatim`, 3.2 instead of 5.8 ms a mail, sink included."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Any] = {}
        for name in _VERBATIM:
            self._made[name] = type("_Header", (_Verbatim, BaseHeader), {})
        self._made["subject"] = type("_Header", (_Subject, BaseHeader), {})

    def __getitem__(self, name: str) -> Any:
        name = name.lower()
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = super().__getitem__(name)
        return made


# 7bit, so that the bytes pass every server; CRLF ends lines, as the wire wants them.
_POLICY = policy.SMTP.clone(cte_type="7bit", header_factory=_Headers())


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who a mail is from and to."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """The sender's domain, which all identifiers end in."""
        return self.sender.rpartition("@")[2]


def message_id(notification: Notification, domain: str) -> str:
    """Return the Message-ID: the same for every attempt, different for any two notifications."""
    return f"<pggit.{identity(notification)}@{domain}>"


def thread_root(notification: Notification, domain: str) -> str:
    """Return the identifier of the mail that was never sent and that all mails about one group of alerts answer."""
    return f"<alert.{fingerprint(notification.group or notification.dedup_key)}@{domain}>"


def compose(
    notification: Notification, letterhead: Letterhead, now: datetime, *, text: str, html: str | None = None
) -> bytes:
    """Return the message: multipart/alternative with text first, or text alone."""
    domain = letterhead.domain
    alert = notification.alert
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(SENDER_NAME, addr_spec=letterhead.sender)
    message["To"] = tuple(Address(addr_spec=address) for address in letterhead.to)
    if letterhead.cc:
        message["Cc"] = tuple(Address(addr_spec=address) for address in letterhead.cc)
    message["Subject"] = rendering.subject(notification)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(notification, domain)
    message["In-Reply-To"] = thread_root(notification, domain)
    message["References"] = thread_root(notification, domain)
    message["List-Id"] = f"pgGit alerts <alerts.{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Pggit-Alert-Id"] = "none" if alert.alert_id is None else str(int(alert.alert_id))
    message["X-Pggit-Severity"] = alert.severity.value
    message["X-Pggit-Event"] = notification.event.value
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message.as_bytes()
