"""Checks of on-call shifts: those that are to come, and those that are on and yet reach nobody."""

from collections.abc import Sequence

from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import ChannelNotReady, DestinationError
from pggit_alertd.notification_settings import Channels, Setting, parse
from pggit_alertd.redaction import text

SHOWN = 20
"""How many broken shifts are named: a calendar that was loaded wrongly may have hundreds."""


async def shifts(database: Database, channels: Channels) -> Sequence[CheckResult]:
    """Look at each shift as the daemon will when it is on; the one that a setting reaches now is the setting's check.

    What the program lacks for a channel is said of the settings, once.
    """
    found: list[CheckResult] = []
    for row in await database.fetch("check_shifts"):
        shift_id, setting_id, name, channel, config, key, recipient, is_on, starts = row
        setting = Setting(
            setting_id, name, None, None, channel, enabled=True, config=config, destination_key=key, recipient=recipient
        )
        try:
            parse(setting, channels)
        except ChannelNotReady:
            continue
        except DestinationError as error:
            what = f"{text(str(error))} Mend the row in pggit.oncall_shift."
            title = f"on-call shift {shift_id} of setting {setting.title}"
            if is_on:
                message = f"is on and can't be used, so another shift or the setting's own config stands in: {what}"
                found.append(CheckResult(title, Status.FAILED, message))
            else:
                message = f"begins {starts} UTC and can't be used: {what}"
                found.append(CheckResult(title, Status.WARNING, message))
    if len(found) > SHOWN:
        more = f"{len(found) - SHOWN} more can't be used"
        found[SHOWN:] = [CheckResult("on-call shifts", Status.WARNING, more)]
    return found
