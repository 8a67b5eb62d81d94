"""The settings: one frozen model, so that what the program runs with is decided once and can be printed.

Every field is one environment variable, `PGGIT_ALERTD_<FIELD>`, or the file that `PGGIT_ALERTD_<FIELD>_FILE` names.
Durations are seconds. docs/settings.md is made from this model; a field's description is what it says there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pggit_alertd import redaction
from pggit_alertd.errors import SettingsError
from pggit_alertd.settings import values
from pggit_alertd.settings.fields import setting
from pggit_alertd.settings.relations import advice, relations
from pggit_alertd.settings.schedule import ScheduleSettings
from pggit_alertd.settings.sources import gather, variable

_PLACEHOLDER = "postgresql://"
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is in force: masked value, and where it came from (default, environment, or the file)."""

    variable: str
    value: str
    origin: str


class Settings(ScheduleSettings):
    """Everything an operator can set. Make it with `Settings.load()`; keyword arguments are for tests and the demo."""

    model_config = SettingsConfigDict(defer_build=False)

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        values.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", upper=True),
    ] = setting("Logs", "The least important lines that are written.", "INFO")
    log_format: Annotated[Literal["json", "console"], values.one_of("json", "console")] = setting(
        "Logs", "`json`: one object a line; `console`: for people.", "json"
    )

    notify_socket: Annotated[str | None, values.line(108)] = setting("systemd", "Set by systemd for Type=notify.", None)
    watchdog_usec: Annotated[int | None, values.whole(0, 10**15)] = setting(
        "systemd", "Set by systemd for WatchdogSec=.", None
    )
    watchdog_pid: Annotated[int | None, values.whole(0, 2**31)] = setting(
        "systemd", "Set by systemd: the process that the watchdog is meant for.", None
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take keyword arguments only: `load` reads the environment, so that every problem can be told at once."""
        return (init_settings,)

    @model_validator(mode="after")
    def _related(self) -> Self:
        broken = relations(self)
        if broken:
            raise PydanticCustomError(
                "relations", "{text}", {"text": "\n".join(t for _, t in broken), "broken": broken}
            )
        return self

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment and the files it names.

        Raises SettingsError with one line for each problem: the variable, what is wrong, what to write instead; then
        one for each variable that looks like ours and is not.
        """
        found = gather(cls.model_fields, os.environ if environ is None else environ)
        problems = list(found.problems)
        wrong = {name for name, _ in problems}
        try:
            settings = cls(**found.values)  # type: ignore[arg-type]  # text, made into the right type by validation
        except ValidationError as error:
            bad, told = _explain(error, found.values, wrong)
            problems += told
            wrong |= bad
            problems += cls._second_look(found.values, wrong, problems)
        if problems:
            order = list(cls.model_fields)
            problems.sort(key=lambda problem: order.index(problem[0]))
            # A misspelt name is often why its setting is wrong, and nobody reads a warning that comes after the mend.
            raise SettingsError("\n".join([*(text for _, text in problems), *found.warnings]))
        settings._origins = found.origins
        settings._warnings = (*found.warnings, *advice(settings))
        return settings

    @classmethod
    def _second_look(
        cls, found: Mapping[str, str], wrong: set[str], told: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Check the relations of what was right, which pydantic skips as soon as one field is wrong."""
        sound = {name: text for name, text in found.items() if name not in wrong}
        try:
            cls(**{"database_url": _PLACEHOLDER, **sound})  # type: ignore[arg-type]
        except ValidationError as error:
            _, more = _explain(error, sound, wrong)
            return [problem for problem in more if problem not in told]
        return []

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences to log at start: variables that are no settings, and values that are legal but unwise."""
        return self._warnings

    def effective(self) -> list[Effective]:
        """Return every setting in force, masked, in the order of docs/settings.md."""
        return [
            Effective(variable(name), self._shown(name), self._origins.get(name, "default"))
            for name in type(self).model_fields
        ]

    def redacted(self) -> dict[str, str]:
        """Return the effective settings by variable, masked: what is logged at start."""
        return {each.variable: each.value for each in self.effective()}

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if value is None:
            return ""
        if isinstance(value, SecretStr):
            shown = values.ping_host if name == "heartbeat_url" else redaction.connection
            return shown(value.get_secret_value())
        if isinstance(value, bool):
            return str(value).lower()
        kind = next(each for each in type(self).model_fields[name].metadata if isinstance(each, values.Kind))
        return redaction.text(kind.show(value))

    def secret_values(self) -> frozenset[str]:
        """Return the passwords inside the settings, for the log's redaction to know by heart."""
        found = set()
        for secret in (self.database_url, self.listen_database_url, self.smtp_url):
            if secret is None:
                continue
            found |= values.passwords(secret.get_secret_value())
        if self.heartbeat_url is not None:
            found |= values.ping_secrets(self.heartbeat_url.get_secret_value())
        return frozenset(found)


def _explain(
    error: ValidationError, found: Mapping[str, str], known: set[str]
) -> tuple[set[str], list[tuple[str, str]]]:
    """Turn pydantic's errors into (the wrong fields, sentences), without those about fields already known wrong."""
    wrong: set[str] = set()
    told: list[tuple[str, str]] = []
    for each in error.errors(include_url=False, include_input=False):
        if each["type"] == "relations":
            told += [(_first(fields), text) for fields, text in each["ctx"]["broken"] if not fields & known]
            continue
        name = str(each["loc"][0]) if each["loc"] else ""
        if each["type"] == "default_factory_not_called" or name in known:
            continue
        wrong.add(name)
        if each["type"] == "missing":
            told.append(
                (
                    name,
                    (
                        f"{variable(name)}: is not set; write postgresql://user:password@host:5432/database, or name a "
                        f"file that holds it in {variable(name)}_FILE"
                    ),
                )
            )
            continue
        what = each["msg"].removeprefix("Value error, ")
        told.append((name, f"{variable(name)}: {_quoted(name, found.get(name, ''))}{what}"))
    return wrong, told


def _first(fields: frozenset[str]) -> str:
    return next(name for name in Settings.model_fields if name in fields)


def _quoted(name: str, text: str) -> str:
    if Settings.model_fields[name].annotation in {SecretStr, SecretStr | None}:
        return ""
    shown = redaction.text(text)
    return f"{shown[:_SHOWN]!r}{'…' if len(shown) > _SHOWN else ''} "
