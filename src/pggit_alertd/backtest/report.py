"""What a backtest found, added up: alerts per day, operation and type; messages per setting; accuracy."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from pggit_alertd.backtest.accuracy import Accuracy
from pggit_alertd.backtest.coverage import Coverage
from pggit_alertd.backtest.messages import messages
from pggit_alertd.backtest.model import TYPES, Pair, Period, Raised, Setting, Thresholds

APPROXIMATIONS = (
    "Anomalies are looked for a day at a time, with the profile of the days before; the daemon looks every minute.",
    "Threshold alerts go by the baselines that the nightly recalculation would have kept, read from histograms (1 %).",
    "A baseline that would be held is never approved; trials and baselines of branches are left out.",
    "Routing is that of today's settings; a window counts if it was recorded, and its occurrences still are.",
    "Every destination takes each message at once; reminders, acknowledged and resolved events are left out.",
    "Grouping by branch or user is left out, and so is what still fires when a window ends.",
)
"""What differs from what would have happened, sentence by sentence, for whoever reads the figures."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A setting, and what it would have said: of how many alerts, how many of them muted, in how many messages."""

    setting: Setting
    alerts: int
    muted: int
    messages: int
    busiest_day: date | None
    busiest_day_messages: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the period came to with some thresholds."""

    thresholds: Thresholds
    alerts: Sequence[Raised]
    per_day: Mapping[date, Counter[str]]
    per_operation: Mapping[tuple[str, str], int]
    voices: Sequence[Voice]
    unheard: int
    accuracy: Accuracy | None

    def total(self, alert_type: str | None = None) -> int:
        """Return how many alerts there were, of a type or of all."""
        return sum(1 for alert in self.alerts if alert_type in (None, alert.alert_type))


@dataclass(frozen=True, slots=True)
class Report:
    """A replayed period: before, with the thresholds in force, and after, with others, if others were asked for."""

    period: Period
    time_zone: str
    operations: int
    metrics: int
    before: Outcome
    after: Outcome | None
    labels: Coverage | None
    notes: Sequence[str]

    @property
    def warnings(self) -> Sequence[str]:
        """What makes precision and recall less than they seem."""
        return [] if self.labels is None else list(self.labels.warnings())

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """One or both."""
        return (self.before,) if self.after is None else (self.before, self.after)


def outcome(
    thresholds: Thresholds,
    alerts: Sequence[Raised],
    pairs: Sequence[Pair],
    settings: Sequence[Setting],
    *,
    period: Period,
    accuracy: Accuracy | None,
) -> Outcome:
    """Add up what was raised and what routing made of it."""
    last = period.end - timedelta(microseconds=1)
    per_day: dict[date, Counter[str]] = {day: Counter() for day in _days(period)}
    per_operation: Counter[tuple[str, str]] = Counter()
    for alert in alerts:
        # A look at the period's end is about the time before it.
        per_day[min(alert.at, last).date()][alert.alert_type] += 1
        per_operation[alert.operation_type, alert.alert_type] += 1
    heard: dict[int, list[Pair]] = defaultdict(list)
    unheard = 0
    for pair in pairs:
        if pair.setting_id is None:
            unheard += 1
        else:
            heard[pair.setting_id].append(pair)
    return Outcome(
        thresholds=thresholds,
        alerts=alerts,
        per_day=per_day,
        per_operation=dict(per_operation.most_common()),
        voices=[_voice(setting, heard[setting.setting_id]) for setting in settings],
        unheard=unheard,
        accuracy=accuracy,
    )


def _voice(setting: Setting, pairs: Sequence[Pair]) -> Voice:
    loud = [pair for pair in pairs if not pair.muted]
    per_day = Counter(moment.date() for moment in messages(loud, setting.min_interval))
    busiest = max(per_day.items(), key=lambda entry: entry[1], default=None)
    return Voice(
        setting=setting,
        alerts=len(pairs),
        muted=len(pairs) - len(loud),
        messages=sum(per_day.values()),
        busiest_day=busiest[0] if busiest else None,
        busiest_day_messages=busiest[1] if busiest else 0,
    )


def _days(period: Period) -> list[date]:
    """Return the days that the period touches."""
    last = (period.end - timedelta(microseconds=1)).date()
    return [period.start.date() + timedelta(days=n) for n in range((last - period.start.date()).days + 1)]


def content(report: Report) -> dict[str, Any]:
    """Return the report as a program is answered."""
    return {
        "ok": True,
        "period": {
            "from": report.period.start.isoformat(),
            "to": report.period.end.isoformat(),
            "days": round(report.period.days, 3),
            "time_zone": report.time_zone,
            "operations": report.operations,
            "metrics": report.metrics,
        },
        "before": _outcome_content(report.before, report.period),
        "after": None if report.after is None else _outcome_content(report.after, report.period),
        "labels": None if report.labels is None else asdict(report.labels),
        "warnings": list(report.warnings),
        "notes": list(report.notes),
        "approximations": list(APPROXIMATIONS),
    }


def _outcome_content(outcome: Outcome, period: Period) -> dict[str, Any]:
    days = period.days
    return {
        "thresholds": dict(outcome.thresholds.given()),
        "alerts": outcome.total(),
        "alerts_per_day": round(outcome.total() / days, 3),
        "by_type": {kind: outcome.total(kind) for kind in TYPES},
        "days": [
            {"day": day.isoformat(), **{kind: count[kind] for kind in TYPES}} for day, count in outcome.per_day.items()
        ],
        "operations": [
            {"operation_type": operation, "alert_type": kind, "alerts": count}
            for (operation, kind), count in outcome.per_operation.items()
        ],
        "settings": [
            {
                "setting_id": each.setting.setting_id,
                "name": each.setting.name,
                "channel": each.setting.channel,
                "recipient": each.setting.recipient,
                "alerts": each.alerts,
                "muted": each.muted,
                "messages": each.messages,
                "messages_per_day": round(each.messages / days, 3),
                "busiest_day": each.busiest_day,
                "busiest_day_messages": each.busiest_day_messages,
            }
            for each in outcome.voices
        ],
        "told_to_nobody": outcome.unheard,
        "accuracy": None if outcome.accuracy is None else _accuracy_content(outcome.accuracy),
    }


def _accuracy_content(accuracy: Accuracy) -> dict[str, Any]:
    return {"precision": accuracy.precision, "recall": accuracy.recall, **asdict(accuracy)}
