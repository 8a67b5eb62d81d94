"""The settings: one frozen model, so that what the program runs with is decided once and can be printed.

Every field is one environment variable, `PGGIT_ALERTD_<FIELD>`, or the file that `PGGIT_ALERTD_<FIELD>_FILE` names.
Durations are seconds. docs/settings.md is made from this model; a field's description is what it says there.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pggit_alertd import redaction
from pggit_alertd.errors import SettingsError
from pggit_alertd.settings import values
from pggit_alertd.settings.relations import advice, relations
from pggit_alertd.settings.sources import gather, variable

LEASE_FACTOR = 3.0
_PLACEHOLDER = "postgresql://"
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is in force: masked value, and where it came from (default, environment, or the file)."""

    variable: str
    value: str
    origin: str


def _setting(group: str, description: str, default: Any = ..., **more: Any) -> Any:
    if "default_factory" not in more:
        more["default"] = default
    more["json_schema_extra"] = {"group": group, "shown": more.pop("shown", None)}
    return Field(description=description, **more)


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _lease(data: dict[str, float]) -> float:
    return LEASE_FACTOR * max(data.get("http_deadline", 0.0), data.get("smtp_deadline", 0.0))


class Settings(BaseSettings):
    """Everything an operator can set. Make it with `Settings.load()`; keyword arguments are for tests and the demo."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    database_url: Annotated[SecretStr, values.DATABASE] = _setting(
        "Database", "The database that holds pgGit's alerts. A pooler in transaction mode may stand in between."
    )
    listen_database_url: Annotated[SecretStr, values.DATABASE] = _setting(
        "Database",
        "A direct connection for LISTEN, past any pooler. Without it new alerts are still found, by polling.",
        default_factory=lambda data: data.get("database_url"),
        shown="`PGGIT_ALERTD_DATABASE_URL`",
    )
    database_pool_size: Annotated[int, values.whole(1, 100)] = _setting(
        "Database", "Most connections held for work; the listener has one more.", 4
    )
    database_connect_timeout: Annotated[float, values.duration(1, 60)] = _setting(
        "Database", "How long one attempt to connect may take. Attempts go on until one succeeds.", 5.0
    )
    worker_name: Annotated[str, values.line(100)] = _setting(
        "Database",
        "This replica's name in claims and in the log; different for each replica.",
        default_factory=_worker_name,
        shown="host name:process id",
    )

    http_host: Annotated[str, values.HOST] = _setting(
        "Web", "Where /livez, /readyz, /healthz and /metrics are served.", "127.0.0.1"
    )
    http_port: Annotated[int, values.whole(0, values.HIGHEST_PORT)] = _setting(
        "Web", "The port there; 0 takes any free one and logs which.", 8580
    )
    console: Annotated[bool, values.SWITCH] = _setting(
        "Web",
        "Serve the operator's console there too: read-only pages, without secrets, for whoever can reach the port.",
        default=True,
    )

    smtp_url: Annotated[SecretStr | None, values.MAIL_SERVER] = _setting(
        "Destinations",
        "The mail server: `smtp://user:password@host:587?tls=starttls`, `smtp://host:25?tls=none` or "
        "`smtps://user:password@host:465`. Without it email notifications fail with the reason `invalid_setting`.",
        None,
    )
    email_from: Annotated[str | None, values.SENDER] = _setting(
        "Destinations", "The sender of alert mails. Needed with `PGGIT_ALERTD_SMTP_URL`.", None
    )
    pagerduty_url: Annotated[str, values.SERVICE] = _setting(
        "Destinations",
        "PagerDuty's Events API; for the EU region `https://events.eu.pagerduty.com`.",
        "https://events.pagerduty.com",
    )
    allow_insecure_destinations: Annotated[bool, values.SWITCH] = _setting(
        "Destinations",
        "Let notification settings name plain http and private or loopback addresses. Off, they are refused, so that "
        "who may write a setting can't make this program call services inside your network.",
        default=False,
    )
    mail_templates: Annotated[str | None, values.line(1000)] = _setting(
        "Destinations",
        "A folder with templates of your own, `mail.html.j2` or `mail.txt.j2` (docs/templates.md). One that fails is "
        "reported in the log, and the built-in text is sent.",
        None,
    )
    source: Annotated[str, values.line(100)] = _setting(
        "Destinations",
        "What messages call this installation, so that who is paged knows which database is meant.",
        "pggit",
    )
    dry_run: Annotated[bool, values.SWITCH] = _setting(
        "Destinations", "Do everything but send; the delivery log says `dry_run`.", default=False
    )

    concurrency: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery", "Deliveries in flight for each destination; pages and routine notifications are counted apart.", 20
    )
    email_concurrency: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery",
        "The same for email alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    slack_concurrency: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery",
        "The same for Slack alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    pagerduty_concurrency: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery",
        "The same for PagerDuty alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    webhook_concurrency: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery",
        "The same for webhooks alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    apprise_concurrency: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery",
        "The same for Apprise alone, where each delivery under way is a thread.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    max_in_flight: Annotated[int, values.whole(1, 10_000)] = _setting(
        "Delivery",
        "Deliveries in flight over all destinations, pages and routine notifications counted apart: bounds memory and "
        "connections however many destinations hang.",
        1000,
    )
    coalesce: Annotated[bool, values.SWITCH] = _setting(
        "Delivery",
        "Let notifications of one setting and group that are due at the same time travel in one message. Off, only "
        "settings with a `min_interval` do.",
        default=True,
    )
    email_rate: Annotated[float, values.amount(0, 10_000)] = _setting(
        "Delivery",
        "The most mails a second that each replica sends, in bursts of five seconds' worth; 0 is no limit.",
        0.0,
        shown="`0`",
    )
    slack_rate: Annotated[float, values.amount(0, 10_000)] = _setting(
        "Delivery",
        "The same for each Slack webhook. Slack allows about one a second; with no limit, its Retry-After is obeyed.",
        0.0,
        shown="`0`",
    )
    pagerduty_rate: Annotated[float, values.amount(0, 10_000)] = _setting(
        "Delivery", "The same for each PagerDuty key. PagerDuty allows about two a second.", 0.0, shown="`0`"
    )
    webhook_rate: Annotated[float, values.amount(0, 10_000)] = _setting(
        "Delivery", "The same for each webhook.", 0.0, shown="`0`"
    )
    apprise_rate: Annotated[float, values.amount(0, 10_000)] = _setting(
        "Delivery", "The same for each Apprise setting.", 0.0, shown="`0`"
    )
    http_deadline: Annotated[float, values.duration(0.1, 300)] = _setting(
        "Delivery",
        "The most one delivery by Slack, PagerDuty, webhook or Apprise may take, from connect to the last byte of the "
        "reply.",
        20.0,
    )
    smtp_deadline: Annotated[float, values.duration(0.1, 600)] = _setting(
        "Delivery", "The most one mail delivery may take.", 60.0
    )
    lease: Annotated[float, values.duration(0.3, 7200)] = _setting(
        "Delivery",
        "How long a claimed notification is out of other replicas' reach; what a crashed worker held is tried again "
        "after it. More than twice the longer deadline.",
        default_factory=_lease,
        shown="three times the longer deadline",
    )
    poll_interval: Annotated[float, values.duration(0.05, 300)] = _setting(
        "Delivery", "How often the queue is looked at while LISTEN works; a safety net.", 5.0
    )
    deaf_poll_interval: Annotated[float, values.duration(0.05, 300)] = _setting(
        "Delivery", "How often it is looked at while LISTEN does not work.", 1.0
    )
    ack_interval: Annotated[float, values.duration(0, 1)] = _setting(
        "Delivery", "How long finished deliveries are collected before they are written to the database together.", 0.02
    )
    ack_batch: Annotated[int, values.whole(1, 1000)] = _setting(
        "Delivery", "The most finished deliveries written in one statement.", 100
    )

    retry_base: Annotated[float, values.duration(0.01, 3600)] = _setting(
        "Retry",
        "The wait before the second attempt; it doubles with each further one. Half of every wait is random.",
        2.0,
    )
    retry_cap: Annotated[float, values.duration(0.01, 86400)] = _setting(
        "Retry", "The longest wait between two attempts.", 900.0
    )
    breaker_threshold: Annotated[int, values.whole(1, 1000)] = _setting(
        "Retry",
        "After how many failures in a row a destination gets nothing but a probe now and then, on every replica.",
        3,
    )
    breaker_cap: Annotated[float, values.duration(0.01, 86400)] = _setting(
        "Retry", "The longest wait between two such probes; the first is `PGGIT_ALERTD_RETRY_BASE`.", 60.0
    )
    breaker_condemned: Annotated[float, values.duration(0.01, 86400)] = _setting(
        "Retry",
        "The wait after a refusal that only people can mend: a revoked webhook or key, a failed login. A mended "
        "setting, or a restart, is tried at once.",
        900.0,
    )
    horizon_critical: Annotated[float, values.duration(1, 30 * 86400)] = _setting(
        "Retry", "How long a CRITICAL notification is retried before it is given up as failed.", 86400.0
    )
    horizon: Annotated[float, values.duration(1, 30 * 86400)] = _setting("Retry", "The same for all others.", 14400.0)
    max_lost_claims: Annotated[int, values.whole(1, 100)] = _setting(
        "Retry", "How many workers a notification may take down with it before it is set aside as failed (`poison`).", 5
    )
    shutdown_grace: Annotated[float, values.duration(0, 600)] = _setting(
        "Retry",
        "How long SIGTERM waits for deliveries in flight. Keep it under systemd's TimeoutStopSec and Kubernetes' "
        "terminationGracePeriodSeconds, both 30s as shipped.",
        20.0,
    )

    baseline_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When baselines are recalculated.", "0 2 * * *"
    )
    baseline_lookback_days: Annotated[int, values.whole(1, 365)] = _setting(
        "Schedule", "How many days of measurements a baseline is made from.", 7
    )
    baseline_min_samples: Annotated[int, values.whole(1, 1_000_000)] = _setting(
        "Schedule", "The fewest measurements a baseline is made from.", 10
    )
    baseline_shadow_days: Annotated[int, values.whole(0, 60)] = _setting(
        "Schedule",
        "How many days a recalculated baseline is tried beside the old one before it is used; 0 uses it at once.",
        0,
    )
    retention_schedule: Annotated[str, values.CRON] = _setting("Schedule", "When old rows are removed.", "30 3 * * *")
    retention_days: Annotated[int, values.whole(1, 3650)] = _setting(
        "Schedule", "How many days delivery log, finished queue rows and job runs are kept.", 90
    )
    partition_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When the delivery log's next partitions are made.", "15 * * * *"
    )
    settings_audit_days: Annotated[int, values.whole(1, 36500)] = _setting(
        "Schedule", "How many days it is kept who changed which notification setting.", 1095
    )
    merge_rollup_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When merges are summed up for the merge dashboards.", "*/10 * * * *"
    )
    window_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When recurring maintenance windows are worked out two weeks ahead.", "45 * * * *"
    )
    degradation_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When operations are looked at that became slower within the last day.", "10 * * * *"
    )
    anomaly_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When unusual metrics are looked for among those recorded since the last time.", "* * * * *"
    )
    profile_schedule: Annotated[str, values.CRON] = _setting(
        "Schedule", "When latency histograms and what is usual for each operation are brought up to date.", "3 * * * *"
    )

    muted_still: Annotated[float, values.duration(1, 7 * 86400)] = _setting(
        "Suppression",
        "When a window that muted alerts ends, those of an operation are sent if one came this long before the end.",
        15 * 60.0,
    )

    recovery_schedule: Annotated[str, values.CRON] = _setting(
        "Lifecycle", "When open alerts are looked at, to resolve those whose operation is back to normal.", "* * * * *"
    )
    recovery_after: Annotated[float, values.duration(0, 7 * 86400)] = _setting(
        "Lifecycle",
        "How long an operation must raise no alert, and be measured as normal since the last, until it counts as "
        "recovered.",
        900.0,
    )
    episode_silence: Annotated[float, values.duration(60, 30 * 86400)] = _setting(
        "Lifecycle",
        "How long after its last alert an episode ends even though nothing was measured. A later alert pages again.",
        86400.0,
    )

    watch_schedule: Annotated[str, values.CRON] = _setting(
        "Watch", "When the alerting is checked for what is wrong with itself.", "* * * * *"
    )
    watch_queue_depth: Annotated[int, values.whole(1, 10_000_000)] = _setting(
        "Watch", "More notifications than this waiting is a condition (`queue_depth`) ...", 500
    )
    watch_queue_hold: Annotated[float, values.duration(0, 86400)] = _setting(
        "Watch", "... once it has lasted this long.", 1800.0
    )
    watch_oldest_due: Annotated[float, values.duration(1, 86400)] = _setting(
        "Watch",
        "How long an alert may wait to be routed (`outbox`), or a due notification to be sent (`queue_age`).",
        300.0,
    )
    watch_success_percent: Annotated[int, values.whole(0, 100)] = _setting(
        "Watch",
        "Fewer deliveries of the last hour than this many in a hundred is a condition (`delivery_success`) ...",
        95,
    )
    watch_success_minimum: Annotated[int, values.whole(1, 1_000_000)] = _setting(
        "Watch", "... if at least this many were sent or given up.", 20
    )
    watch_job_failures: Annotated[int, values.whole(1, 100)] = _setting(
        "Watch", "How often in a row a scheduled job may fail before it is a condition (`job_failing`).", 3
    )
    watch_job_overdue: Annotated[float, values.duration(60, 7 * 86400)] = _setting(
        "Watch",
        "How long after its slot a job must have succeeded (`job_overdue`, and `recalculation` for the baselines).",
        7200.0,
    )
    watch_worker_silence: Annotated[float, values.duration(60, 86400)] = _setting(
        "Watch", "How long a replica that did not end in order may give no sign of life (`worker_silent`).", 180.0
    )
    watch_worker_forgotten: Annotated[float, values.duration(60, 30 * 86400)] = _setting(
        "Watch", "After this long a silent replica is taken for one that will not come back.", 86400.0
    )
    watch_destination_paused: Annotated[float, values.duration(60, 30 * 86400)] = _setting(
        "Watch",
        "A destination that asks for a longer pause than this, in all, is a condition (`destination_paused`).",
        900.0,
    )
    watch_hold: Annotated[float, values.duration(0, 86400)] = _setting(
        "Watch", "How long other conditions that may heal by themselves must last before anybody is told.", 60.0
    )
    watch_clear: Annotated[float, values.duration(0, 86400)] = _setting(
        "Watch", "How long a condition must be away before it is told to be over.", 120.0
    )
    watch_repeat: Annotated[float, values.duration(60, 30 * 86400)] = _setting(
        "Watch", "A condition that lasts is told again after this long.", 86400.0
    )
    heartbeat_url: Annotated[SecretStr | None, values.PING] = _setting(
        "Watch",
        "A dead man's switch, like a check of healthchecks.io: it gets a POST while alerts are really being routed, "
        "claimed and acknowledged, so that its silence tells what this program no longer can.",
        None,
    )
    heartbeat_interval: Annotated[float, values.duration(1, 86400)] = _setting("Watch", "How often it is told.", 60.0)

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        values.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", upper=True),
    ] = _setting("Logs", "The least important lines that are written.", "INFO")
    log_format: Annotated[Literal["json", "console"], values.one_of("json", "console")] = _setting(
        "Logs", "`json`: one object a line; `console`: for people.", "json"
    )

    notify_socket: Annotated[str | None, values.line(108)] = _setting(
        "systemd", "Set by systemd for Type=notify.", None
    )
    watchdog_usec: Annotated[int | None, values.whole(0, 10**15)] = _setting(
        "systemd", "Set by systemd for WatchdogSec=.", None
    )
    watchdog_pid: Annotated[int | None, values.whole(0, 2**31)] = _setting(
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
