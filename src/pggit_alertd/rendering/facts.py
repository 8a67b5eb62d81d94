"""What there is to say about an alert: one statement and a list of labelled facts, the same on every channel.

A fact that is not known is left out, label and all: ANOMALY and DEGRADATION alerts have no baseline, and nobody wants
to read "None" at three in the morning. What the daemon says about itself (SYSTEM) has a message and no facts at all.
"""

from math import isfinite
from typing import NamedTuple

from pggit_alertd.model import Alert, Notification
from pggit_alertd.rendering.text import milliseconds, one_line, utc

NAME_LIMIT = 200
MESSAGE_LIMIT = 700
NOTE_LIMIT = 300
ESCALATED = "Escalated: this alert keeps coming back"
SYSTEM = "SYSTEM"
PROGRAM = "pggit-alertd"

_WITHOUT_BASELINE = {"ANOMALY": "behaves unusually", "DEGRADATION": "is getting slower"}
_TYPE_WORDS = {"THRESHOLD_EXCEEDED": "Threshold exceeded", "ANOMALY": "Anomaly", "DEGRADATION": "Degradation"}


class Fact(NamedTuple):
    """One labelled line; both parts are single lines and never empty."""

    label: str
    value: str


def is_system(alert: Alert) -> bool:
    """Say whether the daemon speaks about itself."""
    return alert.alert_type == SYSTEM


def factor(alert: Alert) -> float | None:
    """Return how many times the baseline the duration was, or None where there is nothing to compare with."""
    value = alert.factor
    if value is None and alert.duration_us is not None and alert.baseline_p99_us:
        value = alert.duration_us / alert.baseline_p99_us
    return float(value) if value is not None and isfinite(value) else None


def times(alert: Alert) -> str:
    """Return the factor for people (`4.2x`), or nothing."""
    value = factor(alert)
    return "" if value is None else f"{value:.1f}x"


def note(notification: Notification) -> str:
    """Return the sentence that people must read before anything else, or nothing."""
    return one_line(notification.alert.note, NOTE_LIMIT) if notification.alert.note else ""


def statement(alert: Alert, name_limit: int = NAME_LIMIT) -> str:
    """Return one line that says what was found, whatever has become of it since; MESSAGE_LIMIT long at most.

    Against a baseline: operation, factor with one decimal, duration and baseline. Without one: the text that the
    database made for the alert, else words for its type.
    """
    message = one_line(alert.message, MESSAGE_LIMIT).removeprefix("ALERT: ")
    if is_system(alert):
        return message or f"{PROGRAM} needs attention"
    operation = one_line(alert.operation_type, name_limit) or "an operation"
    took = milliseconds(alert.duration_us)
    baseline = milliseconds(alert.baseline_p99_us)
    how_much = times(alert)
    if took and baseline and how_much:
        return f"{operation} exceeded its baseline by {how_much} ({took} vs baseline {baseline})"
    if message:
        return message
    what = _WITHOUT_BASELINE.get(alert.alert_type, "raised an alert")
    return f"{operation} {what}: took {took}" if took else f"{operation} {what}"


def facts(notification: Notification) -> list[Fact]:
    """Return what is known, most important first: of one alert, or of several together."""
    alert = notification.alert
    if is_system(alert):
        return []
    known = [
        Fact("Operation", one_line(alert.operation_type, NAME_LIMIT) or "unknown"),
        Fact("Severity", alert.severity.value),
    ]
    digest = notification.digest
    several = digest is not None and digest.count > 1
    if several and digest is not None:
        known.append(Fact("Alerts", str(digest.count)))
        known += [Fact("First", utc(digest.first_at)), Fact("Last", utc(digest.last_at))]
    worst = "Worst " if several else ""
    for label, value in (
        ("took", milliseconds(alert.duration_us)),
        ("baseline p99", milliseconds(alert.baseline_p99_us)),
        ("factor", times(alert)),
    ):
        if value:
            known.append(Fact(worst + label if worst else label.capitalize(), value))
    alert_type = one_line(alert.alert_type, NAME_LIMIT)
    if alert_type:
        known.append(Fact("Type", _TYPE_WORDS.get(alert_type, alert_type)))
    if several:
        return known
    for label, name in (("Name", alert.operation_name), ("Branch", alert.branch), ("User", alert.user_name)):
        if name and (shown := one_line(name, NAME_LIMIT)):
            known.append(Fact(label, shown))
    return known


def footer(notification: Notification) -> str:
    """Return one line with the alert's number, the event and when it happened."""
    alert = notification.alert
    number = f"Alert {one_line(alert.alert_id, 40)} · " if alert.alert_id is not None else ""
    if is_system(alert):
        number = f"{PROGRAM} · "
    elif notification.digest is not None and notification.digest.count > 1:
        others = notification.digest.count - 1
        number = f"{number.removesuffix(' · ') or 'One alert'} and {others} more · "
    escalated = f" · {ESCALATED}" if alert.escalated else ""
    shown = one_line(notification.source, 100)
    source = f" · {shown}" if shown else ""
    return f"{number}{notification.event.value} · {utc(alert.occurred_at)}{escalated}{source}"
