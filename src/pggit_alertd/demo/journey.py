"""What became of each alert: when it was committed, routed, received and logged.

The demo's clock and the database's are the same machine's, so the stages can be subtracted.
"""

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from pggit_alertd.demo.sinks import HttpRequest, Mail

_NUMBER = re.compile(r"[Aa]lert (\d+)")

_JOURNEYS = r"""
SELECT
    q.queue_id, q.alert_id, q.channel, q.status, q.attempt, q.alert ->> 'operation_type' AS operation,
    q.alert ->> 'alert_type' AS alert_type, q.alert ->> 'severity' AS severity,
    (q.alert ->> 'factor')::double precision AS factor,
    coalesce((q.alert ->> 'escalated')::boolean, FALSE) AS escalated, q.created_at, q.processed_at, q.error_message,
    coalesce(
        (
            SELECT (regexp_match(l.error_message, 'notification (\d+)')) [1]::bigint
            FROM pggit.alert_notification_log AS l
            WHERE l.alert_id = q.alert_id AND l.queue_id = q.queue_id AND l.reason = 'coalesced'
            LIMIT 1
        ),
        q.queue_id
    ) AS message_id
FROM pggit.alert_notification_queue AS q
WHERE q.event = 'triggered' AND q.alert_id > %(after)s
ORDER BY q.processed_at NULLS LAST, q.queue_id
"""

_COUNTS = """
SELECT
    (SELECT count(*) FROM pggit.performance_alerts WHERE alert_id > %(after)s) AS alerts,
    (SELECT count(*) FROM pggit.alert_outbox WHERE alert_id > %(after)s) AS waiting
"""


@dataclass(frozen=True, slots=True)
class Journey:
    """One notification's way, as the queue row tells it.

    `message_id` is the notification in whose message it travelled: its own, or the digest's. `routed_at` is when the
    transaction that routed it began.
    """

    queue_id: int
    alert_id: int
    channel: str
    status: str
    attempt: int
    operation: str
    alert_type: str
    severity: str
    factor: float | None
    escalated: bool
    routed_at: datetime
    processed_at: datetime | None
    error: str | None
    message_id: int

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status != "pending"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the alerts came at one moment: how many there are, how many are not routed yet, each notification."""

    alerts: int
    waiting: int
    journeys: Sequence[Journey]

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way any more."""
        return self.waiting == 0 and all(journey.finished for journey in self.journeys)


@dataclass
class Outage:
    """A time in which Slack took nothing; `over` is when it took a message again, so that nothing waits any more."""

    began: float
    ended: float = math.inf
    over: float = math.inf


@dataclass
class Ledger:
    """Commits, arrivals and Slack's outages, in Unix time; commits and arrivals are matched by alert and channel."""

    committed: dict[int, float] = field(default_factory=dict)
    arrived: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)

    def request(self, request: HttpRequest) -> None:
        """Take a request that the HTTP sink accepts as an arrival at Slack or PagerDuty."""
        if request.path.startswith("/v2/"):
            details = request.json().get("payload", {}).get("custom_details", {})
            self._arrive(str(details.get("alert_id", "")), "pagerduty", request.at)
        else:
            found = _NUMBER.search(request.body.decode(errors="replace"))
            self._arrive(found[1] if found else "", "slack", request.at)
            for outage in self.outages:
                if outage.ended <= request.at < outage.over:
                    outage.over = request.at

    def mail(self, mail: Mail) -> None:
        """Take a mail at the mail sink as an arrival."""
        self._arrive(str(mail.message().get("X-Pggit-Alert-Id", "")), "email", mail.at)

    def latency(self, journey: Journey) -> float | None:
        """Return seconds from the commit to the last arrival at the sink; None if either is unknown."""
        times = self.arrived.get((journey.alert_id, journey.channel))
        commit = self.committed.get(journey.alert_id)
        return max(times[-1] - commit, 0.0) if times and commit is not None else None

    def undisturbed(self, journey: Journey) -> bool:
        """Whether it went through at its first attempt and no outage made it wait for that."""
        times = self.arrived.get((journey.alert_id, journey.channel))
        commit = self.committed.get(journey.alert_id)
        if journey.attempt != 1 or not times or commit is None:
            return False
        outages = self.outages if journey.channel == "slack" else []
        return not any(commit <= each.over and times[-1] >= each.began for each in outages)

    def _arrive(self, number: str, channel: str, at: float) -> None:
        if number.isdecimal():
            self.arrived.setdefault((int(number), channel), []).append(at)


def progress(connection: psycopg.Connection, after: int) -> Progress:
    """Return how far the alerts came whose alert_id is higher than `after`; `connection` commits by itself."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        ((alerts, waiting),) = connection.execute(_COUNTS, {"after": after}).fetchall()
        found = [Journey(*row) for row in connection.execute(_JOURNEYS, {"after": after})]
    return Progress(alerts, waiting, found)


def summary(reached: Progress, ledger: Ledger) -> dict[str, Any]:
    """Return the closing figures. Latency is that of first attempts which no outage held up, in milliseconds.

    Lost is what ended nowhere: alerts not routed, notifications still pending, and those called sent that no sink saw.
    """
    found = reached.journeys
    sent = [journey for journey in found if journey.status == "sent"]
    # A digest names the worst of its alerts; the others arrived with it.
    messages = {journey.message_id for journey in sent if (journey.alert_id, journey.channel) in ledger.arrived}
    seen = [journey for journey in sent if journey.message_id in messages]
    first = [value for each in sent if ledger.undisturbed(each) and (value := ledger.latency(each)) is not None]
    return {
        "alerts": reached.alerts,
        "delivered": {
            channel: sum(1 for journey in seen if journey.channel == channel)
            for channel in ("email", "slack", "pagerduty")
        },
        "failed": sum(1 for journey in found if journey.status == "failed"),
        "lost": reached.waiting + sum(1 for journey in found if not journey.finished) + len(sent) - len(seen),
        "retried": sum(1 for journey in sent if journey.attempt > 1),
        "digests": sum(1 for count in Counter(journey.message_id for journey in seen).values() if count > 1),
        "escalated": len({journey.alert_id for journey in found if journey.escalated}),
        "latency_ms": {"p50": percentile(first, 0.50), "p99": percentile(first, 0.99)},
    }


def percentile(seconds: Iterable[float], share: float) -> float | None:
    """Return that percentile in milliseconds, None of nothing."""
    values = sorted(seconds)
    if not values:
        return None
    if len(values) == 1:
        return round(values[0] * 1000, 2)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return round(cuts[round(share * 100) - 1] * 1000, 2)
