"""What there is to say about an alert: one headline and a list of labelled facts, the same on every channel.

A fact that is not known is left out, label and all: ANOMALY and DEGRADATION alerts have no baseline, and nobody wants
to read "None" at three in the morning.
"""

from math import isfinite
from typing import NamedTuple

from pggit_alertd.model import Alert, Event, Notification
from pggit_alertd.rendering.text import milliseconds, one_line, utc

NAME_LIMIT = 200
MESSAGE_LIMIT = 700
ESCALATED = "Escalated: this alert keeps coming back"

_WITHOUT_BASELINE = {"ANOMALY": "behaves unusually", "DEGRADATION": "is getting slower"}
_TYPE_WORDS = {"THRESHOLD_EXCEEDED": "Threshold exceeded", "ANOMALY": "Anomaly", "DEGRADATION": "Degradation"}
_EVENT_WORDS = {Event.TRIGGERED: "", Event.ACKNOWLEDGED: "Acknowledged: ", Event.RESOLVED: "Resolved: "}


class Fact(NamedTuple):
    """One labelled line; both parts are single lines and never empty."""

    label: str
    value: str


def factor(alert: Alert) -> float | None:
    """Return how many times the baseline the duration was, or None where there is nothing to compare with."""
    value = alert.factor
    if value is None and alert.duration_us is not None and alert.baseline_p99_us:
        value = alert.duration_us / alert.baseline_p99_us
    return float(value) if value is not None and isfinite(value) else None


def headline(notification: Notification) -> str:
    """Return one line that says what happened; MESSAGE_LIMIT and a few words long at most.

    Against a baseline: operation, factor with one decimal, duration and baseline. Without one: the text that the
    database made for the alert, else words for its type.
    """
    return f"{'[TEST] ' if notification.test else ''}{_EVENT_WORDS[notification.event]}{statement(notification.alert)}"


def statement(alert: Alert, name_limit: int = NAME_LIMIT) -> str:
    """Return the headline without what depends on the event, so that a thread keeps one subject."""
    operation = one_line(alert.operation_type, name_limit) or "an operation"
    took = milliseconds(alert.duration_us)
    baseline = milliseconds(alert.baseline_p99_us)
    times = factor(alert)
    if took and baseline and times is not None:
        return f"{operation} exceeded its baseline by {times:.1f}x ({took} vs baseline {baseline})"
    message = one_line(alert.message, MESSAGE_LIMIT).removeprefix("ALERT: ")
    if message:
        return message
    what = _WITHOUT_BASELINE.get(alert.alert_type, "raised an alert")
    return f"{operation} {what}: took {took}" if took else f"{operation} {what}"


def facts(notification: Notification) -> list[Fact]:
    """Return what is known, most important first."""
    alert = notification.alert
    known = [
        Fact("Operation", one_line(alert.operation_type, NAME_LIMIT) or "unknown"),
        Fact("Severity", alert.severity.value),
    ]
    took = milliseconds(alert.duration_us)
    if took:
        known.append(Fact("Took", took))
    baseline = milliseconds(alert.baseline_p99_us)
    if baseline:
        known.append(Fact("Baseline p99", baseline))
    times = factor(alert)
    if times is not None:
        known.append(Fact("Factor", f"{times:.1f}x"))
    alert_type = one_line(alert.alert_type, NAME_LIMIT)
    if alert_type:
        known.append(Fact("Type", _TYPE_WORDS.get(alert_type, alert_type)))
    for label, value in (("Name", alert.operation_name), ("Branch", alert.branch), ("User", alert.user_name)):
        if value and (shown := one_line(value, NAME_LIMIT)):
            known.append(Fact(label, shown))
    return known


def footer(notification: Notification) -> str:
    """Return one line with the alert's number, the event and when it happened."""
    alert = notification.alert
    number = f"Alert {one_line(alert.alert_id, 40)} · " if alert.alert_id is not None else ""
    escalated = f" · {ESCALATED}" if alert.escalated else ""
    source = f" · {one_line(notification.source, 100)}" if notification.source else ""
    return f"{number}{notification.event.value} · {utc(alert.occurred_at)}{escalated}{source}"
