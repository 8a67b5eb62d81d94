"""What two settings can't be together, and what is allowed but unwise."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from pggit_alertd.settings import values
from pggit_alertd.settings.sources import variable

if TYPE_CHECKING:
    from pggit_alertd.settings.model import Settings

# systemd's TimeoutStopSec and Kubernetes' terminationGracePeriodSeconds as they are shipped in deploy/.
STOP_TIMEOUT = 30.0


def relations(settings: "Settings") -> list[tuple[frozenset[str], str]]:
    """Return what two settings can't be together: the fields concerned, and the sentence."""
    deadline, slow = max((settings.http_deadline, "http_deadline"), (settings.smtp_deadline, "smtp_deadline"))
    rules = (
        (
            settings.lease > 2 * deadline,
            ("lease", slow),
            (
                f"{variable('lease')}: {values.span(settings.lease)} is too short for {variable(slow)} of "
                f"{values.span(deadline)}; write more than {values.span(2 * deadline)}, or leave it out"
            ),
        ),
        (
            settings.retry_base <= settings.retry_cap,
            ("retry_base", "retry_cap"),
            (
                f"{variable('retry_base')}: {values.span(settings.retry_base)} is longer than {variable('retry_cap')}; "
                f"write at most {values.span(settings.retry_cap)}"
            ),
        ),
        (
            settings.smtp_url is None or settings.email_from is not None,
            ("smtp_url", "email_from"),
            (
                f"{variable('email_from')}: is not set, but {variable('smtp_url')} is; write the address that alert "
                "mails come from, like alerts@example.com"
            ),
        ),
        (
            settings.allow_insecure_destinations or settings.pagerduty_url.startswith("https://"),
            ("pagerduty_url", "allow_insecure_destinations"),
            (
                f"{variable('pagerduty_url')}: is plain http, which would show the routing key to the network; write "
                f"https://…, or for tests set {variable('allow_insecure_destinations')}=true"
            ),
        ),
        (
            settings.heartbeat_url is None
            or settings.allow_insecure_destinations
            or settings.heartbeat_url.get_secret_value().startswith("https://"),
            ("heartbeat_url", "allow_insecure_destinations"),
            (
                f"{variable('heartbeat_url')}: is plain http, which would show the check's key to the network; write "
                f"https://…, or for tests set {variable('allow_insecure_destinations')}=true"
            ),
        ),
    )
    return [(frozenset(fields), text) for holds, fields, text in rules if not holds]


def advice(settings: "Settings") -> list[str]:
    """Return sentences about what is legal but unwise."""
    told = []
    if settings.dry_run:
        told.append(f"{variable('dry_run')} is on: nobody is told anything; the delivery log says dry_run")
    if settings.shutdown_grace >= STOP_TIMEOUT:
        told.append(
            f"{variable('shutdown_grace')} is {values.span(settings.shutdown_grace)}, not less than the 30s after "
            "which systemd and Kubernetes kill by default; raise TimeoutStopSec or terminationGracePeriodSeconds"
        )
    if settings.email_from is not None and settings.smtp_url is None:
        told.append(f"{variable('email_from')} is set without {variable('smtp_url')}: no mail can be sent")
    if settings.mail_templates is not None and not Path(settings.mail_templates).is_dir():
        told.append(
            f"{variable('mail_templates')} names no folder that can be read here; mails look as if it were not set"
        )
    if settings.smtp_url is not None:
        parts = urlsplit(settings.smtp_url.get_secret_value())
        if parts.password and parse_qs(parts.query).get("tls") == ["none"]:
            told.append(f"{variable('smtp_url')} sends its password without TLS; use tls=starttls or smtps://")
    return told
