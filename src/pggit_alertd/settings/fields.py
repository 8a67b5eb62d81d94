"""How a setting is written down: its group and description in docs/settings.md, and its default."""

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def setting(group: str, description: str, default: Any = ..., **more: Any) -> Any:
    """Return a field. `shown` is what the reference says of a default that is worked out."""
    if "default_factory" not in more:
        more["default"] = default
    more["json_schema_extra"] = {"group": group, "shown": more.pop("shown", None)}
    return Field(description=description, **more)


class SettingsPart(BaseSettings):
    """A part of the settings. Only the whole is ever built."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False, defer_build=True
    )
