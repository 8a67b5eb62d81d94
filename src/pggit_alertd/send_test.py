"""Sends one message marked [TEST] through a notification setting, past queue and routing: `pggit-alertd send-test`.

It answers the question that no other check can: does a person get something, and what did the receiver say? While an
on-call shift is on, the test goes where alerts would go, to the shift, and the answer names it. The setting need not be
enabled, so that a new one can be tried before alerts go there. On PagerDuty the test opens an incident, which is
resolved at once. Every attempt is written into the delivery log with the status `test`.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pggit_alertd import channels
from pggit_alertd.channel_options import channel_options
from pggit_alertd.channels import Channel
from pggit_alertd.database.pool import Database, connect
from pggit_alertd.errors import DatabaseError, DestinationError, SettingUnknown
from pggit_alertd.model import Alert, Delivered, Event, Notification, Permanent, Reason, Receipt, Severity, Transient
from pggit_alertd.notification_settings import Setting, load, parse
from pggit_alertd.settings import Settings

LISTED = 20
"""How many existing settings an error names at most."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One message and what the receiver said; no receipt means that it was only rendered."""

    event: Event
    receipt: Receipt | None
    milliseconds: int | None

    @property
    def outcome(self) -> str:
        """Return delivered, transient, permanent or dry_run."""
        return "dry_run" if self.receipt is None else type(self.receipt).__name__.lower()

    @property
    def reason(self) -> Reason:
        """Return why it ended as it did, in the delivery log's vocabulary."""
        match self.receipt:
            case None:
                return Reason.DRY_RUN
            case Delivered():
                return Reason.REFUSED_RECIPIENT if self.receipt.refused else Reason.NONE
            case _:
                return self.receipt.reason

    @property
    def detail(self) -> str:
        """Return the receiver's words."""
        return "dry run: not sent" if self.receipt is None else self.receipt.detail

    @property
    def code(self) -> int | None:
        """Return the receiver's status code."""
        return None if self.receipt is None else self.receipt.code

    @property
    def failed(self) -> bool:
        """Return whether the message did not arrive."""
        return isinstance(self.receipt, Transient | Permanent)

    @property
    def partial(self) -> bool:
        """Return whether it arrived, but was refused for some of its recipients."""
        return isinstance(self.receipt, Delivered) and bool(self.receipt.refused)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test. `log_error` says why the delivery log could not be written, if it couldn't."""

    setting: Setting
    attempts: tuple[Attempt, ...]
    log_error: str = ""

    @property
    def succeeded(self) -> bool:
        """Return whether everything that was sent arrived, at all it was for."""
        return not any(attempt.failed or attempt.partial for attempt in self.attempts)


async def send_test(settings: Settings, wanted: str) -> Trial:
    """Send a test through the setting with this number or name.

    Raises SettingUnknown, DestinationError if the setting's config can't be used, SettingsError, or DatabaseError.
    """
    built = channels.build(channel_options(settings))
    database = Database(
        settings.database_url.get_secret_value(),
        size=1,
        connect_timeout=settings.database_connect_timeout,
        application="pggit-alertd send-test",
    )
    try:
        # Once by hand, because a pool would only say that it waited.
        await (await connect(database.conninfo)).close()
        await database.open()
        setting = choose(await load(database), wanted)
        try:
            destination = parse(setting, built)
        except DestinationError as error:
            who = f"{setting.title}{setting.by_shift}"
            raise DestinationError(f"Notification setting {who} can't be used. {error}") from None
        attempts = await _attempts(built[setting.channel or ""], setting, destination, dry_run=settings.dry_run)
        return Trial(setting, attempts, await _log(database, setting, attempts, settings.worker_name))
    finally:
        for channel in built.values():
            await channel.aclose()
        await database.close()


def choose(rows: Sequence[Setting], wanted: str) -> Setting:
    """Return the setting with this number, or else the only one with this name. Raises SettingUnknown."""
    numbered = [row for row in rows if str(row.setting_id) == wanted]
    named = numbered or [row for row in rows if row.name == wanted]
    if len(named) == 1:
        return named[0]
    if named:
        numbers = ", ".join(str(row.setting_id) for row in named)
        raise SettingUnknown(f"{len(named)} notification settings have that name; use a number: {numbers}.")
    if not rows:
        raise SettingUnknown("There is no notification setting; INSERT INTO pggit.alert_notification_settings first.")
    listed = "".join(f"\n  {row.title}: {row.channel} to {row.recipient}" for row in rows[:LISTED])
    more = f"\n  and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    raise SettingUnknown(f"No notification setting has that number or name. There are:{listed}{more}")


async def _attempts(
    channel: Channel[Any, Any], setting: Setting, destination: Any, *, dry_run: bool
) -> tuple[Attempt, ...]:
    """Send the test, and on PagerDuty the event that ends it, unless nothing can have arrived."""
    notification = _notification(setting)
    first = await _send(channel, destination, notification, dry_run=dry_run)
    doubtful = isinstance(first.receipt, Transient) and first.receipt.ambiguous
    if channel.name != "pagerduty" or (first.failed and not doubtful):
        return (first,)
    resolved = replace(notification, event=Event.RESOLVED)
    return (first, await _send(channel, destination, resolved, dry_run=dry_run))


async def _send(channel: Channel[Any, Any], destination: Any, notification: Notification, *, dry_run: bool) -> Attempt:
    message = channel.render(notification, destination)
    if dry_run:
        return Attempt(notification.event, None, None)
    began = time.monotonic()
    receipt: Receipt
    try:
        async with asyncio.timeout(channel.deadline):
            receipt = await channel.send(destination, message)
    except TimeoutError:
        receipt = Transient(Reason.TIMEOUT, f"no answer within {channel.deadline:g} s", ambiguous=True)
    return Attempt(notification.event, receipt, round((time.monotonic() - began) * 1000))


def _notification(setting: Setting) -> Notification:
    """Return the test: severity INFO, so that nobody's on-call rules take it for more than it is."""
    token = secrets.token_hex(8)
    alert = Alert(
        alert_id=None,
        operation_type="pggit_alertd_test",
        alert_type="TEST",
        severity=Severity.INFO,
        message=f"This is a test of notification setting {setting.title}; nothing has happened",
        occurred_at=datetime.now(UTC),
    )
    return Notification(
        key=f"test-{setting.setting_id}-{token}",
        dedup_key=f"pggit-test-{setting.setting_id}-{token}",
        alert=alert,
        test=True,
    )


async def _log(database: Database, setting: Setting, attempts: Sequence[Attempt], worker: str) -> str:
    """Write the attempts into the delivery log; return why that failed, because the message is out either way.

    What arrived says that the destination works, so a breaker that is open need not wait for its next probe.
    """
    try:
        for attempt in attempts:
            await database.execute(
                "test_log",
                {
                    "setting_id": setting.setting_id,
                    "channel": setting.channel,
                    "recipient": setting.recipient,
                    "destination_key": setting.destination_key,
                    "event": attempt.event.value,
                    "reason": attempt.reason.value,
                    "detail": attempt.detail.replace("\x00", ""),
                    "code": attempt.code,
                    "delivery_ms": attempt.milliseconds,
                    "ambiguous": isinstance(attempt.receipt, Transient) and attempt.receipt.ambiguous,
                    "worker": worker,
                },
            )
        if all(isinstance(attempt.receipt, Delivered) for attempt in attempts):
            await database.fetch("probe_destination", {"destination_key": setting.destination_key})
    except DatabaseError as error:
        return str(error)
    return ""
