"""Checks of the notification settings, and of where they lead."""

import asyncio
from collections.abc import MutableSequence, Sequence
from dataclasses import replace
from typing import Any

from pggit_alertd import logs
from pggit_alertd.channels import Channel, configs
from pggit_alertd.channels.email import EmailDestination
from pggit_alertd.channels.mends import mended
from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import ChannelNotReady, DestinationError
from pggit_alertd.model import Delivered, Permanent, Reason, Receipt, Severity, Transient
from pggit_alertd.notification_settings import NAME_LIMIT, Channels, Setting, decoded, load, parse
from pggit_alertd.redaction import text
from pggit_alertd.rendering.text import one_line

# No alert is of type ESCALATION: it is for settings that are reached by an escalation chain only.
ALERT_TYPES = ("THRESHOLD_EXCEEDED", "ANOMALY", "DEGRADATION", "SYSTEM", "ESCALATION")
PROBES_AT_ONCE = 10
KEY_LIMIT = 40
KEYS_SHOWN = 5
_ANY = "*"
_log = logs.get("checks")


async def settings(database: Database, channels: Channels, usable: MutableSequence[Setting]) -> Sequence[CheckResult]:
    """Look at each setting as the daemon would; those that are enabled and can be used are added to `usable`."""
    found: list[CheckResult] = []
    rows = await load(database)
    for setting in rows:
        name = f"notification setting {setting.title}{setting.by_shift}"
        try:
            parse(setting, channels)
        except DestinationError as error:
            found.append(_broken(name, setting, error))
        else:
            if setting.enabled:
                usable.append(setting)
                found += [CheckResult(name, Status.WARNING, each) for each in _deaf(setting)]
        found += [CheckResult(name, Status.WARNING, each) for each in _odd(setting, channels)]
        found += _after_shift(setting, channels)
    if not any(setting.enabled for setting in rows):
        what = "none is enabled" if rows else "there is none"
        mend = "UPDATE" if rows else "INSERT INTO"
        message = f"{what}, so nobody is told of any alert; {mend} pggit.alert_notification_settings"
        found.append(CheckResult("notification settings", Status.WARNING, message))
    elif not found:
        count = len(usable)
        message = (
            f"{count} can be used"
            if count == len(rows)
            else f"{count} can be used, the other {len(rows) - count} are disabled"
        )
        shifts = sum(setting.shift_id is not None for setting in usable)
        if shifts:
            message += f"; {shifts} by an on-call shift"
        found.append(CheckResult("notification settings", Status.OK, message))
    return found


def _broken(name: str, setting: Setting, error: DestinationError) -> CheckResult:
    what = text(str(error))
    if not setting.enabled:
        return CheckResult(name, Status.WARNING, f"is disabled, and would fail if it were enabled: {what}")
    if isinstance(error, ChannelNotReady):
        return CheckResult(name, Status.FAILED, f"{what} The row itself needs no mending.")
    table = "alert_notification_settings" if setting.shift_id is None else "oncall_shift"
    return CheckResult(name, Status.FAILED, f"{what} Mend the row in pggit.{table}.")


def _after_shift(setting: Setting, channels: Channels) -> list[CheckResult]:
    """Look at the config that counts when the shift that is on has ended, before it does."""
    if setting.shift_id is None or not setting.enabled:
        return []
    try:
        parse(replace(setting, config=setting.own_config), channels)
    except DestinationError as error:
        what = f"reaches nobody between on-call shifts: {text(str(error))}"
        return [CheckResult(f"notification setting {setting.title}", Status.WARNING, what)]
    return []


def _deaf(setting: Setting) -> list[str]:
    """Return why a setting matches no alert, if it can't."""
    found = []
    if setting.alert_type not in {_ANY, *ALERT_TYPES}:
        given = one_line(setting.alert_type, 40) or "NULL"
        found.append(f"matches no alert: alert_type {given} is none of {_ANY}, {', '.join(ALERT_TYPES)}")
    if setting.severity not in {_ANY, *Severity}:
        given = one_line(setting.severity, 40) or "NULL"
        found.append(f"matches no alert: severity {given} is none of {_ANY}, {', '.join(Severity)}")
    return found


def _odd(setting: Setting, channels: Channels) -> list[str]:
    """Return what was hardly meant so, though it is no obstacle."""
    found = []
    if setting.enabled is None:
        found.append("enabled is NULL, and the row is treated as disabled; write TRUE or FALSE")
    channel = channels.get(setting.channel or "")
    if channel is None or setting.enabled is False:
        return found
    try:
        unknown = configs.strangers(decoded(setting), channel.keys)
    except DestinationError:
        return found
    if unknown:
        names = ", ".join(text(one_line(each, KEY_LIMIT)) for each in unknown[:KEYS_SHOWN])
        more = f" and {len(unknown) - KEYS_SHOWN} more" if len(unknown) > KEYS_SHOWN else ""
        known = " and ".join([", ".join(channel.keys[:-1]), channel.keys[-1]])
        found.append(f"config has keys that are ignored: {names}{more}; {channel.name} knows {known}")
    return found


async def probes(channels: Channels, rows: Sequence[Setting], *, mail_server: bool) -> list[CheckResult]:
    """Reach for every distinct destination once. All mail leaves by one server, which is known without any setting."""
    by_key: dict[str, list[Setting]] = {}
    for setting in rows:
        if setting.channel != "email":
            by_key.setdefault(setting.destination_key or f"setting {setting.setting_id}", []).append(setting)
    slots = asyncio.Semaphore(PROBES_AT_ONCE)

    async def probe(name: str, channel: Channel[Any, Any], destination: Any) -> CheckResult:
        async with slots:
            return _judge(name, await _receipt(channel, destination))

    async with asyncio.TaskGroup() as group:
        tasks = []
        if mail_server:
            tasks.append(group.create_task(probe("mail server", channels["email"], EmailDestination(()))))
        for settings_of_it in by_key.values():
            first = settings_of_it[0]
            numbers = ", ".join(f"{each.setting_id}{each.by_shift}" for each in settings_of_it)
            plural = "s" if len(settings_of_it) > 1 else ""
            recipient = text(one_line(first.recipient, NAME_LIMIT))
            name = f"destination {first.channel} {recipient} (setting{plural} {numbers})"
            tasks.append(group.create_task(probe(name, channels[first.channel or ""], parse(first, channels))))
    return [task.result() for task in tasks]


async def _receipt(channel: Channel[Any, Any], destination: Any) -> Receipt:
    try:
        async with asyncio.timeout(channel.deadline):
            return await channel.probe(destination)
    except TimeoutError:
        return Transient(Reason.TIMEOUT, f"no answer within {channel.deadline:g} s")
    except Exception as error:  # noqa: BLE001 - a probe's edge: one that breaks must not hide the others
        _log.exception("probe_crashed", channel=channel.name)
        return Permanent(Reason.INTERNAL, f"the probe itself broke ({type(error).__name__})")


def _judge(name: str, receipt: Receipt) -> CheckResult:
    match receipt:
        case Delivered():
            return CheckResult(name, Status.OK, receipt.detail or "answers")
        case Transient() | Permanent():
            return CheckResult(name, Status.FAILED, mended(f"{receipt.detail} ({receipt.reason})", receipt.reason))
