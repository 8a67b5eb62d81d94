"""docs/settings.md, made from the model, so that it can't say anything else than the program does."""

from itertools import groupby
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pggit_alertd.settings import values
from pggit_alertd.settings.model import Settings
from pggit_alertd.settings.sources import UNPREFIXED, variable

_OPENING = """\
# Settings

<!-- Made by `python -m pggit_alertd.settings > docs/settings.md` from src/pggit_alertd/settings/. -->

Everything is set by environment variables. Each `PGGIT_ALERTD_X` may instead be given as `PGGIT_ALERTD_X_FILE` with the
path of a file that holds the value (Docker and Kubernetes secrets, systemd's `LoadCredential=`); one line break at its
end is taken off. Giving both is an error, an empty variable counts as not set, and a change takes effect at the next
start.

Durations are seconds, or a number with a unit: `500ms`, `20s`, `15m`, `4h`, `7d`. Schedules are in UTC.

`pggit-alertd config` prints what is in force and where each value came from, with passwords masked. What is wrong is
told at start, everything at once, one line for each variable: what is wrong with it and what to write instead. An
unknown `PGGIT_ALERTD_` variable is a warning, with a guess at what was meant.
"""


def settings_reference() -> str:
    """Return the text of docs/settings.md."""
    parts = [_OPENING]
    for group, fields in groupby(Settings.model_fields.items(), key=lambda item: _extra(item[1], "group")):
        parts.append(f"\n## {group}\n\n| Variable | Value | Default | Meaning |\n| --- | --- | --- | --- |\n")
        parts += [_row(name, info) for name, info in fields]
    return "".join(parts)


def _row(name: str, info: FieldInfo) -> str:
    kind = next(each.words for each in info.metadata if isinstance(each, values.Kind))
    cells = (f"`{variable(name)}`", kind, _default(name, info), str(info.description))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _default(name: str, info: FieldInfo) -> str:
    shown = _extra(info, "shown")
    if shown:
        return str(shown)
    if info.default is PydanticUndefined:
        return "**must be set**"
    if info.default is None:
        return "" if name in UNPREFIXED else "not set"
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    return f"`{values.span(info.default) if isinstance(info.default, float) else info.default}`"


def _extra(info: FieldInfo, key: str) -> Any:
    return info.json_schema_extra.get(key) if isinstance(info.json_schema_extra, dict) else None
