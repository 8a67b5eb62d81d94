"""The nouns of the product as frozen dataclasses and enums: what is claimed, what is sent, what came of it.

What there is one of for each notification is a `record`, which costs less to build.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from pggit_alertd.record import record

_BIGINT = 2**63


class Severity(StrEnum):
    """How bad an alert is, in pgGit's own words."""

    CRITICAL = "CRITICAL"
    WARNING = "WARNING"
    INFO = "INFO"


class Event(StrEnum):
    """What happened to an alert."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Urgency(IntEnum):
    """Which lane a notification travels in. Pages have slots of their own, so routine traffic can't hold them up."""

    PAGE = 0
    ROUTINE = 1

    # Enum hashes its members' names in Python; lanes are looked up several times for each notification.
    __hash__ = int.__hash__


class Reason(StrEnum):
    """Why an attempt ended as it did: one closed vocabulary for the log, the metrics and the console."""

    NONE = ""
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    AUTH = "auth"
    REFUSED_RECIPIENT = "refused_recipient"
    REFUSED_MESSAGE = "refused_message"
    DESTINATION_GONE = "destination_gone"
    UNEXPECTED_REPLY = "unexpected_reply"
    INVALID_SETTING = "invalid_setting"
    SETTING_MISSING = "setting_missing"
    SETTING_DISABLED = "setting_disabled"
    PAUSED = "paused"
    EXPIRED = "expired"
    POISON = "poison"
    LEASE = "lease"
    SHUTDOWN = "shutdown"
    DRY_RUN = "dry_run"
    INTERNAL = "internal"


class Scope(StrEnum):
    """What a permanent failure condemns."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    DESTINATION = "destination"


@record
class Alert:
    """An alert as it was when it was routed: the snapshot that travels in the queue row.

    Durations are microseconds. `factor` is duration / baseline p99; None for alerts that have no baseline.
    `occurred_at` is aware, UTC. `message` is the one-line text made by SQL. `note` is a sentence about this message
    that people must read ("was muted by ...", "sent here because #ops is broken: ..."); `actor` is who acknowledged or
    resolved. `episode` numbers the run of alerts that this one belongs to. `alert_type` SYSTEM marks what the daemon
    has to say about itself: `message` is then all there is, and `dedup` names the occurrence, as alert_id does for
    others, so that a later message can end what the first began. `began_at` is when the alert was raised, where
    `occurred_at` is a later event's time.
    """

    alert_id: int | None
    operation_type: str
    alert_type: str
    severity: Severity
    message: str
    occurred_at: datetime
    duration_us: int | None = None
    baseline_p99_us: int | None = None
    factor: float | None = None
    operation_name: str | None = None
    branch: str | None = None
    user_name: str | None = None
    metric_id: int | None = None
    escalated: bool = False
    note: str | None = None
    actor: str | None = None
    episode: int | None = None
    dedup: str | None = None
    began_at: datetime | None = None

    @classmethod
    def from_snapshot(cls, snapshot: Mapping[str, Any], message: str, occurred_at: datetime) -> "Alert":
        """Build from the queue row's `alert` JSON, which may have been written by hand.

        What is absent or of another type becomes None, an unknown severity becomes WARNING.
        """
        get = snapshot.get
        # By position, in the order of the fields: names cost half as much again.
        return cls(
            _whole(get("alert_id")),
            str(get("operation_type") or "unknown"),
            str(get("alert_type") or "UNKNOWN"),
            _SEVERITIES.get(str(get("severity")), Severity.WARNING),
            message,
            occurred_at,
            _whole(get("duration_us")),
            _whole(get("baseline_p99_us")),
            _number(get("factor")),
            _text(get("operation_name")),
            _text(get("branch")),
            _text(get("user_name")),
            _whole(get("metric_id")),
            bool(get("escalated")),
            _text(get("note")),
            _text(get("actor")),
            _whole(get("episode")),
            _text(get("dedup")),
            _moment(get("began_at")),
        )


_SEVERITIES = {severity.value: severity for severity in Severity}


def _whole(value: object) -> int | None:
    """Return a number that fits PostgreSQL's bigint, or None."""
    return value if type(value) is int and -_BIGINT < value < _BIGINT else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < _BIGINT else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    """Return an aware moment in UTC from ISO 8601, or None."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Digest:
    """Alerts that travel in one message.

    `count` includes the notification's own alert, which is the worst of them; `worst` lists the worst few, worst first,
    that one included. `first_at` and `last_at` are aware, UTC: when the earliest and the latest of them occurred.
    """

    count: int
    first_at: datetime
    last_at: datetime
    worst: tuple[Alert, ...]


@record
class Notification:
    """What a channel is asked to say: pure, with no trace of the queue.

    `key` names this notification over all its attempts (the stem of the mail's Message-ID). `dedup_key` names the
    incident at the receiver: PagerDuty folds events with the same key, so a repeated attempt can't page twice.
    `source` names the installation to people; `group` names what belongs together in one mail thread: one operation and
    type of alert in one database. `settled` holds digests (see `recipient_digest`) of mail recipients that need no
    further attempt. `digest` is set when the message speaks for several alerts. `folded` says that the event's own
    trigger was never sent, so that this message has to tell both.
    """

    key: str
    dedup_key: str
    alert: Alert
    event: Event = Event.TRIGGERED
    test: bool = False
    source: str = ""
    group: str = ""
    settled: frozenset[str] = frozenset()
    digest: Digest | None = None
    folded: bool = False


@record
class Delivered:
    """The receiver took the message. `refused` are masked recipients, of mail or Apprise, that said no for ever."""

    code: int | None = None
    detail: str = ""
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transient:
    """Trying again can help.

    `retry_after` (seconds) is what the receiver told us: it then pauses the whole destination and costs no attempt.
    `grows` says that it told no time, and that the next pause is to be longer if this one was not long enough.
    `ambiguous` marks a failure after the request was written, so the message may have arrived. `scope` says what is in
    trouble: only failures of the DESTINATION count for its circuit breaker.
    `settled` are digests of mail recipients that took or for ever refused the message in this attempt.
    """

    reason: Reason
    detail: str
    code: int | None = None
    retry_after: float | None = None
    grows: bool = False
    ambiguous: bool = False
    settled: frozenset[str] = frozenset()
    scope: Scope = Scope.DESTINATION


@dataclass(frozen=True, slots=True)
class Permanent:
    """Trying again unchanged can't help; `scope` says what the refusal condemns."""

    reason: Reason
    detail: str
    scope: Scope = Scope.MESSAGE
    code: int | None = None


Receipt = Delivered | Transient | Permanent


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a message says that speaks for several queue rows.

    `alert` is the worst one, or what happened last if that is no new alert; `digest` is None for fewer than two alerts.
    """

    alert: Alert
    event: Event
    digest: Digest | None = None
    folded: bool = False


@record
class Claim:
    """One queue row held under a lease.

    `claim_no` is the fence: it only grows, and every ack must name it. `attempt` counts deliveries tried, this one
    included. `lost` counts earlier claims whose worker vanished; `taken_over` says that the last one was such.
    `claimed_at` is database time; `trusted_until` is this process's monotonic clock: after it the lease must be thought
    lost. `give_up_in` and `paused_for` are seconds from the claim: what is left of the retry horizon, and of the
    destination's pause (not positive: none). `installation` names the database, whose alert numbers are not unique.
    `lane_key` is the destination as the queue knows it, and the lane's name. `last_error` is why it failed before.
    `size` counts the queue rows that the message speaks for, this one included; `bundle` is what it says then.
    `probing` says that the destination's breaker is open and this claim is to find out whether it is back.
    """

    queue_id: int
    claim_no: int
    attempt: int
    lost: int
    taken_over: bool
    channel: str
    urgency: Urgency
    event: Event
    alert: Alert
    setting_id: int | None
    setting_found: bool
    setting_enabled: bool
    setting_channel: str | None
    config: str | None
    destination_key: str | None
    recipient: str
    settled: frozenset[str]
    give_up_in: float
    paused_for: float
    enqueued_at: datetime
    claimed_at: datetime
    claimed_monotonic: float
    trusted_until: float
    installation: str = ""
    lane_key: str = ""
    last_error: str = ""
    probing: bool = False
    size: int = 1
    bundle: Bundle | None = None

    def notification(self, source: str = "") -> Notification:
        """Return what the channel is asked to say; `source` names the installation to people.

        All alerts of an episode share one dedup key, so a storm of one operation is one incident.
        """
        own, bundle = self.alert, self.bundle
        told = bundle.alert if bundle else own
        if told.episode is not None:
            identity = f"episode-{told.episode}"
        elif own.alert_id is not None:
            identity = f"alert-{own.alert_id}"
        else:
            identity = f"alert-{(own.dedup or '')[:100] or f'q{self.queue_id}'}"
        return Notification(
            f"q{self.queue_id}",
            f"pggit-{self.installation}-{identity}",
            told,
            bundle.event if bundle else self.event,
            source=source,
            group=f"{self.installation}/{own.operation_type}/{own.alert_type}",
            settled=self.settled,
            digest=bundle.digest if bundle else None,
            folded=bundle is not None and bundle.folded,
        )


class Verdict(StrEnum):
    """What an attempt says about its destination's health, for the circuit breaker."""

    NOTHING = ""
    UNASKED = "unasked"
    OK = "ok"
    TRANSIENT = "transient"
    CONDEMNED = "condemned"


class Outcome(StrEnum):
    """What an ack does to the queue row."""

    SENT = "sent"
    RETRY = "retry"
    FAILED = "failed"
    RELEASED = "released"
    HELD = "held"


@record
class Ack:
    """The result of one claim, on its way to the database: it is applied if, and only if, the fence still matches.

    `expired` says that it FAILED only because its horizon is over, which the other rows of a digest need not share.
    `delay` (seconds) says when a RETRY is due; `pause` (seconds) stops the whole destination for that long, or
    longer if it `grows` and follows another one;
    `finished_at` is database time, worked out once, so that an ack sent twice writes one log row.
    """

    claim: Claim
    outcome: Outcome
    reason: Reason = Reason.NONE
    detail: str = ""
    code: int | None = None
    delay: float = 0.0
    pause: float | None = None
    grows: bool = False
    charged: bool = True
    ambiguous: bool = False
    settled: frozenset[str] = frozenset()
    delivery_ms: int | None = None
    dwell_ms: int | None = None
    verdict: Verdict = Verdict.NOTHING
    expired: bool = False
    finished_at: datetime = field(default_factory=lambda: datetime.now(UTC))
