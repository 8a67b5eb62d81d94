"""Why somebody was told of an alert, or was not: the lines of `pggit.explain_alert` for the command line."""

from dataclasses import dataclass
from datetime import datetime

from pggit_alertd.database.pool import Database


@dataclass(frozen=True, slots=True)
class Line:
    """One fact. `at` and `age` are None for what holds now rather than happened at a time."""

    at: datetime | None
    kind: str
    queue_id: int | None
    setting_id: int | None
    subject: str
    sentence: str
    age: str | None


async def explain(database: Database, alert_id: int) -> list[Line]:
    """Return all that is known of an alert in order; nothing for one that neither tables nor log know."""
    return [Line(*row) for row in await database.fetch("explain_alert", {"alert_id": alert_id})]
