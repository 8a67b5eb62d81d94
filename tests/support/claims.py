"""Stores, claims and acks for tests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pggit_alertd.clock import SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.model import Ack, Alert, Claim, Event, Outcome, Reason, Severity, Urgency, Verdict
from pggit_alertd.store import BreakerRule, Room, Store

LEASE = 60.0
EPOCH = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        """Return the wall time."""
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.seconds


CHANNELS = ("email", "slack", "pagerduty")


def rooms(
    slots: int = 10, lease: float = LEASE, channels: tuple[str, ...] = CHANNELS, budget: int = 10_000
) -> list[Room]:
    """Return room for `slots` claims in each lane of the channels, and for `budget` of each urgency."""
    return [Room(channel, urgency, slots, budget, lease, lease / 2) for channel in channels for urgency in Urgency]


def store(
    database: Database, worker: str = "w1", *, coalesce: bool = False, breaker: BreakerRule | None = None
) -> Store:
    """Return a store for one worker; each notification is a message of its own unless it is asked to coalesce."""
    return Store(database, worker, SystemClock(), coalesce=coalesce, breaker=breaker)


def ack(claim: Claim, outcome: Outcome = Outcome.SENT, **more: Any) -> Ack:
    """Return what a deliverer would say of a claim; by default the receiver took it."""
    defaults: dict[str, Any] = {"finished_at": claim.claimed_at + timedelta(milliseconds=40), "code": 200}
    if outcome in {Outcome.SENT, Outcome.RETRY, Outcome.FAILED}:
        verdict = {Outcome.SENT: Verdict.OK, Outcome.RETRY: Verdict.TRANSIENT, Outcome.FAILED: Verdict.CONDEMNED}[
            outcome
        ]
        defaults |= {"delivery_ms": 40, "dwell_ms": 60, "verdict": verdict}
    if outcome in {Outcome.RELEASED, Outcome.HELD}:
        defaults |= {"charged": False, "reason": Reason.SHUTDOWN, "code": None, "verdict": Verdict.UNASKED}
    return Ack(claim=claim, outcome=outcome, **(defaults | more))


def claim(**changes: Any) -> Claim:
    """Return a claim that never saw a database, healthy unless changed."""
    healthy = Claim(
        queue_id=7,
        claim_no=1,
        attempt=1,
        lost=0,
        taken_over=False,
        channel="slack",
        urgency=Urgency.ROUTINE,
        event=Event.TRIGGERED,
        alert=Alert(
            alert_id=42,
            operation_type="commit",
            alert_type="THRESHOLD_EXCEEDED",
            severity=Severity.WARNING,
            message="ALERT: commit",
            occurred_at=EPOCH - timedelta(seconds=2),
        ),
        setting_id=3,
        setting_found=True,
        setting_enabled=True,
        setting_channel="slack",
        config='{"webhook": "https://hooks.slack.com/services/T/B/x"}',
        destination_key="slack:0123456789abcdef",
        recipient="#alerts",
        settled=frozenset(),
        give_up_in=3600.0,
        paused_for=0.0,
        enqueued_at=EPOCH - timedelta(seconds=1),
        claimed_at=EPOCH,
        claimed_monotonic=1000.0,
        trusted_until=1030.0,
    )
    return replace(healthy, **changes)
