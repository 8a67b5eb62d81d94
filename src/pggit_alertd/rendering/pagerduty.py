"""A notification as an event of PagerDuty's Events API v2, whole and in its smallest form.

Limits: summary 1,024 characters, dedup_key 255, the event 512 KB. Acknowledge and resolve name the incident by its
dedup_key and carry nothing else. So does a resolve whose trigger was never sent: PagerDuty drops it, and nobody is
called for something that is over.
"""

import hashlib
import json

from pggit_alertd.model import Alert, Event, Notification, Severity
from pggit_alertd.rendering import digests
from pggit_alertd.rendering.facts import ESCALATED, PROGRAM, factor, facts, is_system, note
from pggit_alertd.rendering.headlines import headline
from pggit_alertd.rendering.text import iso, one_line, truncate

SUMMARY_LIMIT = 1024
SHORT_SUMMARY_LIMIT = 200
DEDUP_KEY_LIMIT = 255
EVENT_LIMIT = 512_000
NAME_LIMIT = 255
WORST = 10

SEVERITIES = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}
ACTIONS = {Event.TRIGGERED: "trigger", Event.ACKNOWLEDGED: "acknowledge", Event.RESOLVED: "resolve"}

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def dedup_key(notification: Notification) -> str:
    """Return the key PagerDuty folds repeated events by; one that is too long or odd is replaced by its digest."""
    key = notification.dedup_key
    if 0 < len(key) <= DEDUP_KEY_LIMIT and key.isascii() and key.isprintable():
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def event(notification: Notification, routing_key: str, source: str) -> bytes:
    """Return the whole event. `timestamp` is when it happened, so that a late retry does not look new."""
    if notification.event is not Event.TRIGGERED:
        return minimal_event(notification, routing_key, source)
    alert = notification.alert
    sentence = note(notification)
    payload: dict[str, object] = {
        "summary": truncate(
            f"{alert.severity.value}: {f'{sentence} | ' if sentence else ''}{headline(notification)}", SUMMARY_LIMIT
        ),
        "source": source,
        "severity": SEVERITIES[alert.severity],
        "timestamp": iso(alert.occurred_at),
        "component": PROGRAM if is_system(alert) else one_line(alert.operation_type, NAME_LIMIT) or "unknown",
        "class": one_line(alert.alert_type, NAME_LIMIT) or "unknown",
    }
    details = _details(notification)
    if details:
        payload["custom_details"] = details
    if alert.branch and (group := one_line(alert.branch, NAME_LIMIT)):
        payload["group"] = group
    return _envelope(notification, routing_key, payload)


def _details(notification: Notification) -> dict[str, object]:
    alert = notification.alert
    details: dict[str, object] = {}
    if sentence := note(notification):
        details["note"] = sentence
    details |= {fact.label.lower().replace(" ", "_"): fact.value for fact in facts(notification)}
    if not is_system(alert):
        details |= _numbers(alert)
    if alert.escalated:
        details["escalated"] = ESCALATED
    if worst := digests.lines(notification, WORST):
        details["worst"] = worst
    return details


def _numbers(alert: Alert) -> dict[str, object]:
    times = factor(alert)
    numbers = {
        "alert_id": alert.alert_id,
        "metric_id": alert.metric_id,
        "duration_us": alert.duration_us,
        "baseline_p99_us": alert.baseline_p99_us,
        "factor": round(times, 1) if times is not None else None,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def minimal_event(notification: Notification, routing_key: str, source: str) -> bytes:
    """Return only what PagerDuty requires, with a short summary: what is tried once after the whole was refused."""
    if notification.event is not Event.TRIGGERED:
        return _envelope(notification, routing_key, None)
    payload: dict[str, object] = {
        "summary": truncate(headline(notification), SHORT_SUMMARY_LIMIT),
        "source": source,
        "severity": SEVERITIES[notification.alert.severity],
    }
    return _envelope(notification, routing_key, payload)


def _envelope(notification: Notification, routing_key: str, payload: dict[str, object] | None) -> bytes:
    body: dict[str, object] = {
        "routing_key": routing_key,
        "event_action": ACTIONS[notification.event],
        "dedup_key": dedup_key(notification),
    }
    if payload is not None:
        body["payload"] = payload
        body["client"] = PROGRAM
    return _encode(body).encode("ascii")
