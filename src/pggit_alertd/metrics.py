"""Every Prometheus name of the program, in one place, in a registry of its own.

All label sets exist from the start at zero, so that rate() sees a first failure and an alert rule never meets a
missing series. No label holds an id, a name or an address, so the number of series is fixed.
An attempt that succeeded has the empty reason, so `reason!=""` selects what went wrong.
"""

import math

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from pggit_alertd import __version__
from pggit_alertd.conditions import Kind
from pggit_alertd.model import Outcome, Reason, Severity

CONTENT_TYPE = CONTENT_TYPE_LATEST
CHANNELS = ("email", "slack", "pagerduty", "webhook", "apprise")
OUTCOMES = (*(outcome.value for outcome in Outcome), "superseded")
REASONS = tuple(reason.value for reason in Reason)
STATUSES = ("pending", "held", "failed")
JOBS = (
    "baselines",
    "retention",
    "partitions",
    "maintenance_windows",
    "merge_rollup",
    "recovery",
    "self_check",
    "anomalies",
    "profiles",
    "degradation",
)
JOB_OUTCOMES = ("succeeded", "failed", "released", "busy", "superseded", "missed")
# What the router counts; the last three are of acknowledged and resolved. Reasons that are only logged (discarded, say)
# have no series.
SUPPRESSIONS = (
    "no_matching_setting",
    "alert_deleted",
    "snoozed",
    "maintenance",
    "already_resolved",
    "nobody_was_told",
    "already_told",
)
LOOPS = ("acknowledger", "beat", "dispatcher", "heartbeat", "router", "scheduler", "upkeep")
PINGS = ("sent", "failed", "withheld")
DESTINATION_STATES = ("open", "paused")

# On an idle machine a page leaves within 5 ms of the commit, so the small buckets are where a slowdown shows first.
DELIVERY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
DWELL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14400)
JOB_BUCKETS = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)


class ChannelSeries:
    """The series of one channel that every delivery counts in, found once: `labels` costs more than counting."""

    __slots__ = ("attempts", "claims", "coalesced", "deliveries", "seconds")

    def __init__(self, metrics: "Metrics", channel: str) -> None:
        self.claims = metrics.claims.labels(channel=channel)
        self.coalesced = metrics.coalesced.labels(channel=channel)
        self.seconds = metrics.delivery_seconds.labels(channel=channel)
        self.deliveries = {
            outcome: metrics.deliveries.labels(channel=channel, outcome=outcome.value) for outcome in Outcome
        }
        self.attempts = {reason: metrics.attempts.labels(channel=channel, reason=reason.value) for reason in Reason}


class Metrics:
    """The program's counters, gauges and histograms. Times are seconds, timestamps are Unix time."""

    def __init__(self) -> None:
        # Otherwise each counter and histogram has a second series that says when it was made: half as much again to
        # scrape, for nothing that a restart's reset doesn't already tell.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.deliveries = self._counter("deliveries", "Notifications by what came of an attempt", "channel", "outcome")
        self.attempts = self._counter(
            "delivery_attempts", "Delivery attempts by why they ended (empty: success)", "channel", "reason"
        )
        self.delivery_seconds = self._histogram(
            "delivery_seconds",
            "Time one delivery took, from render to the receiver's reply",
            DELIVERY_BUCKETS,
            "channel",
        )
        self.dwell_seconds = self._histogram(
            "dwell_seconds",
            "Time from the notification's enqueueing to the start of its delivery",
            DWELL_BUCKETS,
            "severity",
        )
        self.claims = self._counter("claims", "Queue rows claimed", "channel")
        self.routed_alerts = self._counter("routed_alerts", "Alerts taken from the outbox and routed")
        self.suppressed = self._counter("suppressed", "Notifications that routing kept back, by why", "reason")
        self.whitelisted = self._counter(
            "whitelisted_metrics", "Unusual metrics that the whitelist held back, each counted once"
        )
        self.active_snoozes = self._gauge("active_snoozes", "Windows that mute notifications now")
        self.snooze_lapse_seconds = self._gauge(
            "snooze_lapse_seconds", "Time until the next open window ends; infinite if none is open"
        )
        self.snooze_lapse_seconds.set(math.inf)
        self.released_alerts = self._counter("released_alerts", "Muted alerts that were sent when their window ended")
        self.queue_depth = self._gauge(
            "queue_depth", "Notifications in the queue, 100000: at least", "channel", "status"
        )
        self.oldest_due_seconds = self._gauge(
            "oldest_due_seconds", "How long the oldest due notification has been waiting", "channel"
        )
        self.destinations = self._gauge(
            "destinations_stopped",
            "Destinations that get nothing: circuit breaker open, or paused as they asked",
            "channel",
            "state",
        )
        self.coalesced = self._counter("coalesced", "Notifications that travelled in another's message", "channel")
        self.dead_letters = self._gauge("dead_letters", "Notifications that were given up, 100000: at least")
        self.outbox_depth = self._gauge("outbox_depth", "Alerts waiting to be routed, 100000: at least")
        self.in_flight = self._gauge("in_flight", "Deliveries under way in this process", "channel")
        self.unacknowledged = self._gauge("unacknowledged", "Finished deliveries not yet written to the database")
        self.superseded = self._counter("superseded", "Results that came after another worker had taken over the row")
        self.lost_claims = self._counter("lost_claims", "Claims taken over after their worker's lease ran out")
        self.listener_up = self._gauge("listener_up", "1 while LISTEN works, 0 while the queue is polled")
        self.listener_reconnects = self._counter("listener_reconnects", "Times the listening connection was made anew")
        self.database_up = self._gauge("database_up", "1 while the database answers")
        self.loop_errors = self._counter("loop_errors", "Failures that a loop survived", "loop")
        self.job_last_success = self._gauge(
            "job_last_success_timestamp_seconds", "When the scheduled job last succeeded, on any replica", "job"
        )
        self.job_runs = self._counter("job_runs", "Runs of scheduled jobs in this process", "job", "outcome")
        self.job_seconds = self._histogram("job_seconds", "Time a run of a scheduled job took", JOB_BUCKETS, "job")
        self.condition = self._gauge(
            "condition", "1 while something is wrong with the alerting itself, by kind", "kind"
        )
        self.workers = self._gauge("workers", "Replicas that gave a sign of life a moment ago")
        self.heartbeats = self._counter(
            "heartbeat_pings",
            "Pings of the heartbeat URL by outcome; withheld: there was no whole cycle to tell of",
            "outcome",
        )
        self.heartbeat_last_success = self._gauge(
            "heartbeat_last_success_timestamp_seconds", "When the heartbeat URL last took a ping of this process"
        )
        self.build_info = self._gauge("build_info", "Always 1; the version is in the label", "version")
        self._channels: dict[str, ChannelSeries] = {}
        self._start()
        self.dwell = {severity: self.dwell_seconds.labels(severity=severity.value) for severity in Severity}
        ProcessCollector(registry=self.registry)

    def channel(self, name: str) -> ChannelSeries:
        """Return the series that this channel's deliveries count in."""
        found = self._channels.get(name)
        if found is None:
            found = self._channels[name] = ChannelSeries(self, name)
        return found

    def render(self) -> bytes:
        """Return the page for Prometheus; its type is CONTENT_TYPE."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"pggit_alertd_{name}", f"{text}.", labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"pggit_alertd_{name}", f"{text}.", labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"pggit_alertd_{name}", f"{text}.", labels, buckets=buckets, registry=self.registry)

    def _start(self) -> None:
        """Make every label set, at zero."""
        for channel in CHANNELS:
            self._start_channel(channel)
        for severity in Severity:
            self.dwell_seconds.labels(severity=severity.value)
        for job in JOBS:
            self.job_last_success.labels(job=job)
            self.job_seconds.labels(job=job)
            for outcome in JOB_OUTCOMES:
                self.job_runs.labels(job=job, outcome=outcome)
        for loop in LOOPS:
            self.loop_errors.labels(loop=loop)
        for reason in SUPPRESSIONS:
            self.suppressed.labels(reason=reason)
        self._start_watch()
        self.build_info.labels(version=__version__).set(1)

    def _start_watch(self) -> None:
        for kind in Kind:
            self.condition.labels(kind=kind.value)
        for ping in PINGS:
            self.heartbeats.labels(outcome=ping)

    def _start_channel(self, channel: str) -> None:
        for outcome in OUTCOMES:
            self.deliveries.labels(channel=channel, outcome=outcome)
        for reason in REASONS:
            self.attempts.labels(channel=channel, reason=reason)
        for status in STATUSES:
            self.queue_depth.labels(channel=channel, status=status)
        for state in DESTINATION_STATES:
            self.destinations.labels(channel=channel, state=state)
        for each in (self.delivery_seconds, self.claims, self.coalesced, self.oldest_due_seconds, self.in_flight):
            each.labels(channel=channel)
