"""How good the alerts were, where the truth is known: precision, recall, false alarms per operation and day.

An alert is true if what it speaks of overlaps with a clear label of its operation, undecided if it overlaps with
unclear labels only, and false otherwise. A clear label is found if an alert speaks of its time. Precision and recall of
alerts are not those of single metrics: a run of slow calls is one alert, and true if one of them is labeled.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pggit_alertd.backtest.coverage import within
from pggit_alertd.backtest.model import Period, Raised
from pggit_alertd.workload import Label

SLACK = timedelta(hours=1)
"""Detectors of degradation work in hours: an alert this close to a labeled interval speaks of it."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What came of judging alerts by labels. A share of nothing is None.

    `found` and `to_find` count clear labels; `by_kind` has (found, to_find) of each kind, `by_type` has (true, false)
    of each type of alert.
    """

    true: int
    false: int
    undecided: int
    found: int
    to_find: int
    by_kind: dict[str, tuple[int, int]]
    by_type: dict[str, tuple[int, int]]
    false_per_operation_day: float | None

    @property
    def precision(self) -> float | None:
        """Which share of the alerts was true."""
        return _share(self.true, self.true + self.false)

    @property
    def recall(self) -> float | None:
        """Which share of the clear labels was found."""
        return _share(self.found, self.to_find)


class _Truth:
    """The labels of one operation: single metrics in order of time, and intervals."""

    def __init__(self) -> None:
        self.singles: list[Label] = []
        self.intervals: list[Label] = []
        self._times: list[datetime] = []

    def settle(self) -> None:
        """Prepare for questions."""
        self.singles.sort(key=lambda label: label.start)
        self._times = [label.start for label in self.singles]

    def spoken_of(self, alert: Raised) -> Sequence[Label]:
        """Return the labels that overlap with what an alert speaks of."""
        first = bisect_left(self._times, alert.since)
        spoken = []
        for label in self.singles[first:]:
            if label.start > alert.until:
                break
            spoken.append(label)
        spoken += [
            label for label in self.intervals if label.start - SLACK <= alert.until and alert.since <= label.end + SLACK
        ]
        return spoken


def judge(alerts: Iterable[Raised], labels: Iterable[Label], period: Period, operations: int) -> Accuracy:
    """Judge alerts by the labels of the period; `operations` is how many there are to raise false alarms for."""
    truth: dict[str, _Truth] = defaultdict(_Truth)
    to_find: Counter[str] = Counter()
    for label in labels:
        if not within(label, period):
            continue
        known = truth[label.operation_type]
        (known.singles if label.single else known.intervals).append(label)
        to_find[label.kind] += label.clear
    for known in truth.values():
        known.settle()
    found: set[int] = set()
    found_by_kind: Counter[str] = Counter()
    verdicts: dict[str, Counter[bool]] = defaultdict(Counter)
    undecided = 0
    for alert in alerts:
        spoken = truth[alert.operation_type].spoken_of(alert)
        clear = [label for label in spoken if label.clear]
        for label in clear:
            if id(label) not in found:
                found.add(id(label))
                found_by_kind[label.kind] += 1
        if spoken and not clear:
            undecided += 1
        else:
            verdicts[alert.alert_type][bool(clear)] += 1
    false = sum(each[False] for each in verdicts.values())
    return Accuracy(
        true=sum(each[True] for each in verdicts.values()),
        false=false,
        undecided=undecided,
        found=len(found),
        to_find=sum(to_find.values()),
        by_kind={str(kind): (found_by_kind[kind], count) for kind, count in sorted(to_find.items()) if count},
        by_type={kind: (each[True], each[False]) for kind, each in sorted(verdicts.items())},
        false_per_operation_day=_share(false, operations * period.days),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
