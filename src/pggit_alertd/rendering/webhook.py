"""A notification as the JSON of the generic webhook: everything that is known, under names that stay.

docs/webhook.md is the contract: a key may be added, none changes its meaning or goes away within a major version. What
is not known is left out. Texts from outside are single lines of bounded length, so the body stays under BODY_LIMIT
for any alert.
"""

import json

from pggit_alertd.model import Alert, Notification
from pggit_alertd.rendering import digests
from pggit_alertd.rendering.facts import MESSAGE_LIMIT, NAME_LIMIT, factor, is_system, note
from pggit_alertd.rendering.headlines import actor, headline
from pggit_alertd.rendering.identity import identity
from pggit_alertd.rendering.text import iso, one_line

BODY_LIMIT = 64 * 1024
WORST = 10
HEADLINE_LIMIT = 1024
KEY_LIMIT = 255

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


def message_id(notification: Notification) -> str:
    """Return what names this message over all its attempts: letters, digits and one underscore."""
    return f"msg_{identity(notification)}"


def body(notification: Notification, source: str) -> bytes:
    """Return the whole request body."""
    alert = notification.alert
    data: dict[str, object] = {
        "headline": one_line(headline(notification), HEADLINE_LIMIT),
        "event": notification.event.value,
        "severity": alert.severity.value,
        "source": one_line(source, NAME_LIMIT) or "pggit",
        "dedup_key": one_line(notification.dedup_key, KEY_LIMIT),
        "test": notification.test,
        "folded": notification.folded,
        "note": note(notification),
        "actor": actor(notification),
        "alert": _alert(alert, message=True),
    }
    digest = notification.digest
    if digest is not None and digest.count > 1:
        data["digest"] = {
            "count": digest.count,
            "first_at": iso(digest.first_at),
            "last_at": iso(digest.last_at),
            "worst": [_alert(each) for each in digests.worst_alerts(notification, WORST)],
        }
    kind = "system" if is_system(alert) else "alert"
    whole = {
        "type": f"{kind}.{notification.event.value}",
        "timestamp": iso(alert.occurred_at),
        "id": message_id(notification),
        "data": {name: value for name, value in data.items() if value != ""},
    }
    return _encode(whole).encode()


def _alert(alert: Alert, *, message: bool = False) -> dict[str, object]:
    times = factor(alert)
    known: dict[str, object | None] = {
        "alert_id": alert.alert_id,
        "alert_type": one_line(alert.alert_type, NAME_LIMIT) or "UNKNOWN",
        "severity": alert.severity.value,
        "occurred_at": iso(alert.occurred_at),
        "began_at": iso(alert.began_at) if alert.began_at is not None else None,
        "message": one_line(alert.message, MESSAGE_LIMIT) or None if message else None,
    }
    if not is_system(alert):
        known |= {
            "operation_type": one_line(alert.operation_type, NAME_LIMIT) or "unknown",
            "operation_name": one_line(alert.operation_name, NAME_LIMIT) or None,
            "branch": one_line(alert.branch, NAME_LIMIT) or None,
            "user_name": one_line(alert.user_name, NAME_LIMIT) or None,
            "duration_us": alert.duration_us,
            "baseline_p99_us": alert.baseline_p99_us,
            "factor": round(times, 3) if times is not None else None,
            "metric_id": alert.metric_id,
            "escalated": alert.escalated or None,
        }
    return {name: value for name, value in known.items() if value is not None}
