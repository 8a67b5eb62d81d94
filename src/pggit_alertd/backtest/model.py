"""What a backtest is about: the period, the thresholds that are tried, and the alerts that would have been raised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

ANOMALY = "ANOMALY"
DEGRADATION = "DEGRADATION"
THRESHOLD = "THRESHOLD_EXCEEDED"
TYPES = (ANOMALY, DEGRADATION, THRESHOLD)


@dataclass(frozen=True, slots=True)
class Period:
    """The time that is replayed, from `start` until before `end`, without zone, as recorded_at is."""

    start: datetime
    end: datetime

    @property
    def days(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds() / 86400


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds that replace those in force, for every operation; None leaves the one in force.

    `sigma`, `budget` and `min_ratio` are those of the anomaly detector, `degradation_percent` that of degradation, and
    `multiplier` is how many times its baseline's p99 a call may take.
    """

    sigma: float | None = None
    budget: float | None = None
    min_ratio: float | None = None
    degradation_percent: float | None = None
    multiplier: float | None = None

    def given(self) -> Mapping[str, float]:
        """Return those that are replaced."""
        return {
            name: value
            for name in ("sigma", "budget", "min_ratio", "degradation_percent", "multiplier")
            if (value := getattr(self, name)) is not None
        }


IN_FORCE = Thresholds()


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that a detector would have raised.

    It was raised at `at` and speaks of what happened from `since` to `until`: an anomaly of the slow calls that it
    stands for, a degradation of the time since it began.
    """

    at: datetime
    operation_type: str
    alert_type: str
    severity: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """An alert and a setting that matches it. Without a setting: an alert that nobody would have been told of.

    `severity` is the one after escalation; `muted` says that a window covered it.
    """

    alert: Raised
    severity: str
    setting_id: int | None
    group_key: str
    muted: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A notification setting as far as it decides how often it speaks. `min_interval` is in seconds."""

    setting_id: int
    name: str | None
    channel: str
    recipient: str | None
    min_interval: float
