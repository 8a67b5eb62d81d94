"""The rows of alert_notification_settings as Python sees them, for those who look at all: check and send-test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pggit_alertd.channels import NAMES, Channel
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DestinationError
from pggit_alertd.rendering.text import one_line

NAME_LIMIT = 80
# What SQL allows too, in notification_setting_problem: the same words for the same row, whoever looks at it.
CONFIG_BYTES = 65_536

Channels = Mapping[str, Channel[Any, Any]]


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of alert_notification_settings as it reaches somebody now; `config` is JSON as text.

    While an on-call shift is on, `shift_id` is its number, and config, destination and recipient are the shift's.
    `own_config` is the row's, which counts between shifts.
    """

    setting_id: int
    name: str | None
    alert_type: str | None
    severity: str | None
    channel: str | None
    enabled: bool | None
    config: str | None = field(repr=False)
    destination_key: str | None
    recipient: str
    shift_id: int | None = None
    own_config: str | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """The number and the name, for people; the name is anybody's text, so it is cut and cleaned."""
        name = one_line(self.name, NAME_LIMIT)
        return f"{self.setting_id} ({name})" if name else str(self.setting_id)

    @property
    def by_shift(self) -> str:
        """What to say after the number or the title: by which on-call shift, if one is on."""
        return "" if self.shift_id is None else f" by on-call shift {self.shift_id}"


async def load(database: Database) -> list[Setting]:
    """Return every setting there is, enabled or not."""
    return [Setting(*row) for row in await database.fetch("notification_settings")]


def parse(setting: Setting, channels: Channels) -> Any:
    """Return the destination a setting names. Raises DestinationError that says what to mend."""
    channel = channels.get(setting.channel or "")
    if channel is None:
        given = f"not {one_line(setting.channel, 40)!r}" if setting.channel else "not NULL"
        raise DestinationError(f"notification_channel must be {', '.join(NAMES[:-1])} or {NAMES[-1]}, {given}.")
    return channel.parse(decoded(setting))


def decoded(setting: Setting) -> Any:
    """Return the config as Python has it. Raises DestinationError if it is beyond all measure."""
    if setting.config is None:
        return None
    if len(setting.config.encode()) > CONFIG_BYTES:
        raise DestinationError(f"config is longer than {CONFIG_BYTES} bytes; shorten it.")
    try:
        return json.loads(setting.config)
    except (ValueError, RecursionError):
        raise DestinationError("The config holds a number or a nesting beyond all measure; mend it.") from None
