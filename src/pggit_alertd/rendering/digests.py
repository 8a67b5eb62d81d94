"""Several alerts in one message: one statement about them all, and a table of the worst.

A storm is told as "12 alerts of commit in 5 min, worst 8.2x", and the few that matter most follow, each in one line, so
that nobody has to open twelve messages to learn which one to look at first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pggit_alertd.model import Alert, Digest, Notification
from pggit_alertd.rendering.facts import NAME_LIMIT, times
from pggit_alertd.rendering.text import milliseconds, one_line, utc

CELL_LIMIT = 60
LINE_LIMIT = 260
_SECONDS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Table:
    """The worst of a digest: columns that have something to say, finished single-line cells, and a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def statement(alert: Alert, digest: Digest, name_limit: int = NAME_LIMIT) -> str:
    """Return one line about all of them; `alert` is the worst. A factor that is not known is left out."""
    operation = one_line(alert.operation_type, name_limit) or "an operation"
    others = " and others" if len({each.operation_type for each in digest.worst} | {alert.operation_type}) > 1 else ""
    worst = times(alert) or milliseconds(alert.duration_us)
    return f"{digest.count} alerts of {operation}{others} in {period(digest)}" + (f", worst {worst}" if worst else "")


def period(digest: Digest) -> str:
    """Return how long it took from the first to the last: whole minutes, as far as there are any."""
    seconds = max((digest.last_at - digest.first_at).total_seconds(), 0.0)
    if seconds < _SECONDS_SHOWN:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join([part for part in parts if part][:2])


def worst_alerts(notification: Notification, limit: int) -> tuple[Alert, ...]:
    """Return the worst few of a digest, and none where the message is about one alert."""
    digest = notification.digest
    return digest.worst[:limit] if digest is not None and digest.count > 1 else ()


def table(notification: Notification, limit: int) -> Table | None:
    """Return the worst few as a table without empty columns, or None where there is nothing to list."""
    alerts = worst_alerts(notification, limit)
    if not alerts or notification.digest is None:
        return None
    mixed = len({alert.operation_type for alert in alerts}) > 1
    columns: dict[str, list[str]] = {
        "Factor": [times(alert) for alert in alerts],
        "Took": [milliseconds(alert.duration_us) for alert in alerts],
        "Baseline p99": [milliseconds(alert.baseline_p99_us) for alert in alerts],
        "Operation": [_cell(alert.operation_type) if mixed else "" for alert in alerts],
        "Severity": [alert.severity.value for alert in alerts],
        "Name": [_cell(alert.operation_name) for alert in alerts],
        "Branch": [_cell(alert.branch) for alert in alerts],
        "User": [_cell(alert.user_name) for alert in alerts],
        "At": [utc(alert.occurred_at) for alert in alerts],
        "Alert": [_cell(alert.alert_id) for alert in alerts],
    }
    kept = {name: cells for name, cells in columns.items() if any(cells)}
    return Table(_title(len(alerts), notification.digest.count), tuple(kept), tuple(zip(*kept.values(), strict=True)))


def lines(notification: Notification, limit: int) -> list[str]:
    """Return the worst few, each in one line of at most LINE_LIMIT characters, worst first."""
    found = []
    for alert in worst_alerts(notification, limit):
        took, baseline = milliseconds(alert.duration_us), milliseconds(alert.baseline_p99_us)
        parts: Sequence[str] = (
            times(alert),
            f"{took} vs {baseline}" if took and baseline else took,
            _cell(alert.operation_type),
            _cell(alert.branch),
            utc(alert.occurred_at),
            "" if alert.alert_id is None else f"Alert {_cell(alert.alert_id)}",
        )
        found.append(one_line(" · ".join(part for part in parts if part), LINE_LIMIT))
    return found


def title(notification: Notification, limit: int) -> str:
    """Return the words above the list of the worst."""
    count = notification.digest.count if notification.digest is not None else 0
    return _title(len(worst_alerts(notification, limit)), count)


def _title(shown: int, count: int) -> str:
    return f"All {count}, worst first" if shown >= count else f"The worst {shown} of {count}"


def _cell(value: object) -> str:
    return one_line(value, CELL_LIMIT)
