"""A channel beside a real receiver on loopback, the receiver's misbehaviour under names all channels share."""

import asyncio
import html
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pggit_alertd.channels import Channel
from pggit_alertd.demo.sinks import Answer, HttpSink, SmtpReply, SmtpSink
from pggit_alertd.model import Alert, Notification, Receipt, Severity

TOKEN = "Zk81QmXcanaryTokenVq07aa"
ROUTING_KEY = "c4n4ry7r0u71n6k3yc4n4ry7r0u71n6k"
PASSWORD = "c4n4ry-Passw0rd/@:"
SIGNING_SECRET = "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5LW9mLTMyLWJ5dGVz"
BEARER = "c4n4ryBearerT0ken"
RECIPIENTS = ("canary.one@example.com", "canary.two@example.org")

ALERT = Alert(
    alert_id=12,
    operation_type="merge_branch",
    alert_type="THRESHOLD_EXCEEDED",
    severity=Severity.CRITICAL,
    message="merge_branch exceeded its baseline",
    occurred_at=datetime(2026, 3, 1, 2, 3, 4, 567890, tzinfo=UTC),
    duration_us=523_400,
    baseline_p99_us=124_000,
    factor=4.22,
    branch="feature/x",
    user_name="alice",
)
NOTIFICATION = Notification(key="q1", dedup_key="pggit-alert-12", alert=ALERT)


def notification(**changes: Any) -> Notification:
    """Return the example notification with some of its alert's values changed."""
    return replace(NOTIFICATION, alert=replace(ALERT, **changes))


@dataclass
class Rig:
    """One channel, its receiver, and a config that reaches it."""

    name: str
    channel: Channel[Any, Any]
    config: dict[str, Any]
    http: HttpSink
    mail: SmtpSink
    channels: dict[str, Channel[Any, Any]] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen anywhere."""
        return (TOKEN, ROUTING_KEY, PASSWORD, SIGNING_SECRET, BEARER, *RECIPIENTS)

    @property
    def own_secrets(self) -> tuple[str, ...]:
        """What this channel knows and must keep to itself."""
        return {
            "email": (PASSWORD, *RECIPIENTS),
            "slack": (TOKEN,),
            "pagerduty": (ROUTING_KEY,),
            "webhook": (TOKEN, SIGNING_SECRET, BEARER),
            "apprise": (TOKEN,),
        }[self.name]

    @property
    def tells_why(self) -> bool:
        """Whether a failure comes with a reason; Apprise says no and nothing else."""
        return self.name != "apprise"

    async def deliver(self, what: Notification = NOTIFICATION) -> Receipt:
        """Parse, render and send, as the dispatcher does."""
        destination = self.channel.parse(self.config)
        return await self.channel.send(destination, self.channel.render(what, destination))

    def taken(self) -> int:
        """Return how many messages the receiver has taken."""
        return len(self.mail.mails) if self.name == "email" else self.http.accepted

    def shown(self) -> str:
        """Return all the text of the last message that was taken, in the order in which people read it."""
        if self.name != "email":
            request = json.loads(self.http.requests[-1].body)
            return html.unescape(json.dumps(request, ensure_ascii=False))
        parsed = self.mail.mails[-1].message()
        bodies = [parsed.get_body((kind,)) for kind in ("plain", "html")]
        return "\n".join([str(parsed["Subject"]), *(html.unescape(body.get_content()) for body in bodies if body)])

    def watch_sending(self) -> asyncio.Event:
        """Return an event that is set once the receiver has the request, or the mail's DATA."""
        sent = asyncio.Event()
        self.http.on_request = lambda _request: sent.set()
        self.mail.on_command = lambda command: sent.set() if command == "DATA" else None
        return sent

    async def deserted(self) -> None:
        """Wait until the receiver sees no connection."""
        await (self.mail.deserted() if self.name == "email" else self.http.deserted())

    async def stop_receiver(self) -> None:
        """Make connecting impossible."""
        await (self.mail.stop() if self.name == "email" else self.http.stop())

    def fail_for_now(self, said: str = "try later") -> None:
        """Let the next delivery fail in a way that may pass."""
        if self.name == "email":
            self.mail.script(SmtpReply("MAIL", f"451 4.3.0 {said}", times=1))
        else:
            self.http.script(Answer(503, said))

    def refuse_message(self, said: str = "no") -> None:
        """Refuse the message, whatever form it comes in."""
        if self.name == "email":
            self.mail.script(SmtpReply("BODY", f"554 5.6.0 {said}"))
        else:
            self.http.always(Answer(400, said))

    def refuse_destination(self, said: str = "no") -> None:
        """Refuse everything that is sent there."""
        if self.name == "email":
            self.mail.script(SmtpReply("MAIL", f"550 5.7.1 {said}"))
        else:
            self.http.always(Answer(404, said))

    def hang(self) -> None:
        """Take the message and never answer."""
        if self.name == "email":
            self.mail.script(SmtpReply("BODY", hang=True))
        else:
            self.http.always(Answer(hang=True))

    def cut_the_answer(self) -> None:
        """Take the message and break the connection in the middle of the answer."""
        if self.name == "email":
            self.mail.script(SmtpReply("BODY", "250-2.0.0 ta", close=True, times=1))
        else:
            self.http.script(Answer(202 if self.name == "pagerduty" else 200, "o", cut="body"))

    def drip(self) -> None:
        """Take the message and send the answer in drops that never end."""
        if self.name == "email":
            self.mail.script(SmtpReply("BODY", "250-" + "taken " * 1000, drip=0.05, times=1))
        else:
            self.http.script(Answer(202 if self.name == "pagerduty" else 200, "x" * 10_000, drip=0.05))

    def fail_at_length(self) -> None:
        """Let the next delivery fail in a way that may pass, with a megabyte of words."""
        words = "later " * 180_000
        if self.name == "email":
            self.mail.script(SmtpReply("BODY", f"451 4.3.0 {words}", times=1))
        else:
            self.http.script(Answer(503, words))

    def cut(self) -> None:
        """Take the message and break the connection instead of answering."""
        if self.name == "email":
            self.mail.script(SmtpReply("BODY", cut=True, times=1))
        else:
            self.http.script(Answer(cut="head"))
