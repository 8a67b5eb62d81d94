"""What has to do with delivering: the database, the web port, destinations, slots, rates, retries."""

import os
import socket
from typing import Annotated

from pydantic import SecretStr

from pggit_alertd.settings import values
from pggit_alertd.settings.fields import SettingsPart, setting

LEASE_FACTOR = 3.0


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _lease(data: dict[str, float]) -> float:
    return LEASE_FACTOR * max(data.get("http_deadline", 0.0), data.get("smtp_deadline", 0.0))


class DeliverySettings(SettingsPart):
    """Everything between an alert and whoever is told."""

    database_url: Annotated[SecretStr, values.DATABASE] = setting(
        "Database", "The database that holds pgGit's alerts. A pooler in transaction mode may stand in between."
    )
    listen_database_url: Annotated[SecretStr, values.DATABASE] = setting(
        "Database",
        "A direct connection for LISTEN, past any pooler. Without it new alerts are still found, by polling.",
        default_factory=lambda data: data.get("database_url"),
        shown="`PGGIT_ALERTD_DATABASE_URL`",
    )
    database_pool_size: Annotated[int, values.whole(1, 100)] = setting(
        "Database", "Most connections held for work; the listener has one more.", 4
    )
    database_connect_timeout: Annotated[float, values.duration(1, 60)] = setting(
        "Database", "How long one attempt to connect may take. Attempts go on until one succeeds.", 5.0
    )
    worker_name: Annotated[str, values.line(100)] = setting(
        "Database",
        "This replica's name in claims and in the log; different for each replica.",
        default_factory=_worker_name,
        shown="host name:process id",
    )

    http_host: Annotated[str, values.HOST] = setting(
        "Web", "Where /livez, /readyz, /healthz and /metrics are served.", "127.0.0.1"
    )
    http_port: Annotated[int, values.whole(0, values.HIGHEST_PORT)] = setting(
        "Web", "The port there; 0 takes any free one and logs which.", 8580
    )
    console: Annotated[bool, values.SWITCH] = setting(
        "Web",
        "Serve the operator's console there too: read-only pages, without secrets, for whoever can reach the port.",
        default=True,
    )

    smtp_url: Annotated[SecretStr | None, values.MAIL_SERVER] = setting(
        "Destinations",
        "The mail server: `smtp://user:password@host:587?tls=starttls`, `smtp://host:25?tls=none` or "
        "`smtps://user:password@host:465`. Without it email notifications fail with the reason `invalid_setting`.",
        None,
    )
    email_from: Annotated[str | None, values.SENDER] = setting(
        "Destinations", "The sender of alert mails. Needed with `PGGIT_ALERTD_SMTP_URL`.", None
    )
    pagerduty_url: Annotated[str, values.SERVICE] = setting(
        "Destinations",
        "PagerDuty's Events API; for the EU region `https://events.eu.pagerduty.com`.",
        "https://events.pagerduty.com",
    )
    allow_insecure_destinations: Annotated[bool, values.SWITCH] = setting(
        "Destinations",
        "Let notification settings name plain http and private or loopback addresses. Off, they are refused, so that "
        "who may write a setting can't make this program call services inside your network.",
        default=False,
    )
    mail_templates: Annotated[str | None, values.line(1000)] = setting(
        "Destinations",
        "A folder with templates of your own, `mail.html.j2` or `mail.txt.j2` (docs/templates.md). One that fails is "
        "reported in the log, and the built-in text is sent.",
        None,
    )
    source: Annotated[str, values.line(100)] = setting(
        "Destinations",
        "What messages call this installation, so that who is paged knows which database is meant.",
        "pggit",
    )
    dry_run: Annotated[bool, values.SWITCH] = setting(
        "Destinations", "Do everything but send; the delivery log says `dry_run`.", default=False
    )

    concurrency: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery", "Deliveries in flight for each destination; pages and routine notifications are counted apart.", 20
    )
    email_concurrency: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery",
        "The same for email alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    slack_concurrency: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery",
        "The same for Slack alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    pagerduty_concurrency: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery",
        "The same for PagerDuty alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    webhook_concurrency: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery",
        "The same for webhooks alone.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    apprise_concurrency: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery",
        "The same for Apprise alone, where each delivery under way is a thread.",
        default_factory=lambda data: data.get("concurrency"),
        shown="`PGGIT_ALERTD_CONCURRENCY`",
    )
    max_in_flight: Annotated[int, values.whole(1, 10_000)] = setting(
        "Delivery",
        "Deliveries in flight over all destinations, pages and routine notifications counted apart: bounds memory and "
        "connections however many destinations hang.",
        1000,
    )
    coalesce: Annotated[bool, values.SWITCH] = setting(
        "Delivery",
        "Let notifications of one setting and group that are due at the same time travel in one message. Off, only "
        "settings with a `min_interval` do.",
        default=True,
    )
    email_rate: Annotated[float, values.amount(0, 10_000)] = setting(
        "Delivery",
        "The most mails a second that each replica sends, in bursts of five seconds' worth; 0 is no limit.",
        0.0,
        shown="`0`",
    )
    slack_rate: Annotated[float, values.amount(0, 10_000)] = setting(
        "Delivery",
        "The same for each Slack webhook. Slack allows about one a second; with no limit, its Retry-After is obeyed.",
        0.0,
        shown="`0`",
    )
    pagerduty_rate: Annotated[float, values.amount(0, 10_000)] = setting(
        "Delivery", "The same for each PagerDuty key. PagerDuty allows about two a second.", 0.0, shown="`0`"
    )
    webhook_rate: Annotated[float, values.amount(0, 10_000)] = setting(
        "Delivery", "The same for each webhook.", 0.0, shown="`0`"
    )
    apprise_rate: Annotated[float, values.amount(0, 10_000)] = setting(
        "Delivery", "The same for each Apprise setting.", 0.0, shown="`0`"
    )
    http_deadline: Annotated[float, values.duration(0.1, 300)] = setting(
        "Delivery",
        "The most one delivery by Slack, PagerDuty, webhook or Apprise may take, from connect to the last byte of the "
        "reply.",
        20.0,
    )
    smtp_deadline: Annotated[float, values.duration(0.1, 600)] = setting(
        "Delivery", "The most one mail delivery may take.", 60.0
    )
    lease: Annotated[float, values.duration(0.3, 7200)] = setting(
        "Delivery",
        "How long a claimed notification is out of other replicas' reach; what a crashed worker held is tried again "
        "after it. More than twice the longer deadline.",
        default_factory=_lease,
        shown="three times the longer deadline",
    )
    poll_interval: Annotated[float, values.duration(0.05, 300)] = setting(
        "Delivery", "How often the queue is looked at while LISTEN works; a safety net.", 5.0
    )
    deaf_poll_interval: Annotated[float, values.duration(0.05, 300)] = setting(
        "Delivery", "How often it is looked at while LISTEN does not work.", 1.0
    )
    ack_interval: Annotated[float, values.duration(0, 1)] = setting(
        "Delivery", "How long finished deliveries are collected before they are written to the database together.", 0.02
    )
    ack_batch: Annotated[int, values.whole(1, 1000)] = setting(
        "Delivery", "The most finished deliveries written in one statement.", 100
    )

    retry_base: Annotated[float, values.duration(0.01, 3600)] = setting(
        "Retry",
        "The wait before the second attempt; it doubles with each further one. Half of every wait is random.",
        2.0,
    )
    retry_cap: Annotated[float, values.duration(0.01, 86400)] = setting(
        "Retry", "The longest wait between two attempts.", 900.0
    )
    breaker_threshold: Annotated[int, values.whole(1, 1000)] = setting(
        "Retry",
        "After how many failures in a row a destination gets nothing but a probe now and then, on every replica.",
        3,
    )
    breaker_cap: Annotated[float, values.duration(0.01, 86400)] = setting(
        "Retry", "The longest wait between two such probes; the first is `PGGIT_ALERTD_RETRY_BASE`.", 60.0
    )
    breaker_condemned: Annotated[float, values.duration(0.01, 86400)] = setting(
        "Retry",
        "The wait after a refusal that only people can mend: a revoked webhook or key, a failed login. A mended "
        "setting, or a restart, is tried at once.",
        900.0,
    )
    horizon_critical: Annotated[float, values.duration(1, 30 * 86400)] = setting(
        "Retry", "How long a CRITICAL notification is retried before it is given up as failed.", 86400.0
    )
    horizon: Annotated[float, values.duration(1, 30 * 86400)] = setting("Retry", "The same for all others.", 14400.0)
    max_lost_claims: Annotated[int, values.whole(1, 100)] = setting(
        "Retry", "How many workers a notification may take down with it before it is set aside as failed (`poison`).", 5
    )
    shutdown_grace: Annotated[float, values.duration(0, 600)] = setting(
        "Retry",
        "How long SIGTERM waits for deliveries in flight. Keep it under systemd's TimeoutStopSec and Kubernetes' "
        "terminationGracePeriodSeconds, both 30s as shipped.",
        20.0,
    )
