"""What can be wrong with the alerting itself: the kinds, and one condition as the database knows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """What a condition is about, as alertd_condition_kind_is_known lists it; each has a page in docs/runbooks."""

    QUEUE_DEPTH = "queue_depth"
    QUEUE_AGE = "queue_age"
    OUTBOX = "outbox"
    DELIVERY_SUCCESS = "delivery_success"
    DESTINATION_OPEN = "destination_open"
    DESTINATION_PAUSED = "destination_paused"
    RECIPIENT_REFUSED = "recipient_refused"
    ONCALL_SHIFT = "oncall_shift"
    RECALCULATION = "recalculation"
    JOB_FAILING = "job_failing"
    JOB_OVERDUE = "job_overdue"
    WORKER_SILENT = "worker_silent"
    BASELINE_HELD = "baseline_held"

    @property
    def runbook(self) -> str:
        """Return the page that says what to do."""
        return f"docs/runbooks/{self.value.replace('_', '-')}.md"


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of conditions.sql. Instants are aware; `notified_at` is the last time that somebody was told."""

    kind: str
    subject: str
    severity: str
    detail: str
    since: datetime
    last_seen_at: datetime
    notified_at: datetime | None
    resolved_at: datetime | None
    notifications: int
    lasted_seconds: float

    @classmethod
    def read(cls, row: Sequence[Any]) -> Self:
        """Build from the query's columns, in their order; instants are brought to UTC."""
        values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
        return cls(*values)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "severity": self.severity,
            "detail": self.detail,
            "since": self.since.isoformat(),
            "lasted_seconds": round(self.lasted_seconds),
            "notified_at": self.notified_at.isoformat() if self.notified_at else None,
            "resolved_at": self.resolved_at.isoformat() if self.resolved_at else None,
            "notifications": self.notifications,
            "runbook": Kind(self.kind).runbook,
        }
