"""The checks of `pggit-alertd check`, run in this process on settings with canaries for secrets."""

import json
from typing import Any

import psycopg

from pggit_alertd.checks import CheckResult, Status, run_checks
from pggit_alertd.demo.sinks import HttpSink, SmtpSink
from pggit_alertd.settings import Settings

TOKEN = "canaryTokenVq07aaZk81QmX"
ROUTING_KEY = "c4n4ry7r0u71n6k3yc4n4ry7r0u71n6k"
PASSWORD = "c4n4ryPassw0rd"
ADDRESS = "canary.ops@example.com"


def settings_for(dsn: str, http: HttpSink | None = None, mail: SmtpSink | None = None, **more: str) -> dict[str, str]:
    """Return the settings of a daemon on this database, with receivers on loopback."""
    found = {"database_url": dsn, "allow_insecure_destinations": "true", **more}
    if http is not None:
        found["pagerduty_url"] = http.url
    if mail is not None:
        found |= {"smtp_url": mail.url, "email_from": "alertd@pggit.example"}
    return found


async def checked(settings: dict[str, str], *, destinations: bool = True) -> list[CheckResult]:
    """Run the checks in this process, which is quicker than a command for each defect."""
    environ = {f"PGGIT_ALERTD_{name.upper()}": text for name, text in settings.items()}
    found = await run_checks(Settings.load(environ), destinations=destinations)
    said = " ".join(f"{each.name} {each.message}" for each in found)
    assert not any(secret in said for secret in (TOKEN, ROUTING_KEY, PASSWORD, ADDRESS))
    return found


def named(found: list[CheckResult], name: str) -> CheckResult:
    """Return the only finding whose name begins so."""
    (result,) = [each for each in found if each.name.startswith(name)]
    return result


def troubles(found: list[CheckResult]) -> dict[str, Status]:
    """Return what is not in order."""
    return {each.name: each.status for each in found if each.status in {Status.WARNING, Status.FAILED}}


def add_setting(dsn: str, channel: str, config: Any, **columns: Any) -> None:
    """Insert a notification setting as an operator would."""
    row = {"alert_type": "*", "severity": "*", "enabled": True, "name": None, **columns}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pggit.alert_notification_settings "
            "(alert_type, severity, enabled, name, notification_channel, config) VALUES (%s, %s, %s, %s, %s, %s)",
            (*row.values(), channel, None if config is None else json.dumps(config)),
        )


def add_usual(dsn: str, http: HttpSink) -> None:
    """Insert one good setting for each channel."""
    add_setting(dsn, "email", {"to": [ADDRESS]})
    add_setting(dsn, "slack", {"webhook": http.slack_url(TOKEN), "channel": "#ops"}, name="ops")
    add_setting(dsn, "pagerduty", {"service_key": ROUTING_KEY})
