"""What names a message over all its attempts, wherever it comes from.

Queue numbers start again in every database, and a receiver that drops what it has seen would drop the second database's
message as a copy: the event's own data keeps them apart. A digest that has grown since the last attempt says something
new and has a name of its own: better told twice than not at all.
"""

import hashlib

from pggit_alertd.model import Notification


def identity(notification: Notification) -> str:
    """Return 24 hexadecimal digits: the same for every attempt, different for any two messages."""
    alert, several = notification.alert, notification.digest
    parts: list[object] = [
        notification.key,
        notification.dedup_key,
        notification.event.value,
        alert.occurred_at.isoformat(),
        alert.operation_type,
        alert.duration_us,
    ]
    if several is not None:
        parts += [several.count, several.first_at.isoformat(), several.last_at.isoformat()]
    return fingerprint("|".join(map(str, parts)))


def fingerprint(text: str) -> str:
    """Return 24 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
