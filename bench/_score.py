"""What a detector found against what was true, in the three figures that say something about it.

Accuracy is kept beside them for those who ask: a detector that finds nothing has 99.9 % of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Score:
    """Hits and misses, over a number of operation-days."""

    found: int = 0
    missed: int = 0
    false: int = 0
    silent: int = 0
    """Healthy metrics, cases or pairs about which nothing was said."""
    operation_days: float = 0.0

    def __iadd__(self, other: Self) -> Self:
        self.found += other.found
        self.missed += other.missed
        self.false += other.false
        self.silent += other.silent
        self.operation_days += other.operation_days
        return self

    def note(self, *, said: bool, true: bool) -> None:
        """Count one answer."""
        if true:
            self.found += said
            self.missed += not said
        else:
            self.false += said
            self.silent += not said

    @property
    def precision(self) -> float | None:
        """Of what was said, the share that is true."""
        return _share(self.found, self.false)

    @property
    def recall(self) -> float | None:
        """Of what is true, the share that was said."""
        return _share(self.found, self.missed)

    @property
    def false_positive_rate(self) -> float | None:
        """Of what is healthy, the share that was called sick."""
        return _share(self.false, self.silent)

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, silence about the healthy included."""
        return _share(self.found + self.silent, self.missed + self.false)

    @property
    def false_a_day(self) -> float | None:
        """False alarms per operation and day."""
        return self.false / self.operation_days if self.operation_days else None

    def report(self) -> dict[str, Any]:
        """Return it for build/accuracy.json."""
        return {
            "precision": _rounded(self.precision, 4),
            "recall": _rounded(self.recall, 4),
            "false_alarms_per_operation_and_day": _rounded(self.false_a_day, 4),
            "false_positive_rate": _rounded(self.false_positive_rate, 6),
            "accuracy": _rounded(self.accuracy, 5),
            "found": self.found,
            "missed": self.missed,
            "false": self.false,
            "silent": self.silent,
        }


@dataclass(slots=True)
class Board:
    """Scores under several headings, for one detector."""

    scores: dict[str, Score] = field(default_factory=dict)

    def under(self, *headings: str) -> Iterable[Score]:
        """Return the scores under these headings, new ones included."""
        return [self.scores.setdefault(each, Score()) for each in headings]

    def report(self) -> dict[str, Any]:
        """Return it for build/accuracy.json."""
        return {heading: score.report() for heading, score in self.scores.items()}


def table(title: str, boards: dict[str, Board]) -> None:
    """Print the boards side by side, a heading a line."""
    print(f"\n{title}")
    print(f"{'':<30}" + "".join(f"{name:^35}" for name in boards))
    print(f"{'':<30}" + "".join(f"{'prec':>7}{'recall':>8}{'false/op/day':>14}{'FP':>6}" for _ in boards))
    for heading in next(iter(boards.values())).scores:
        cells = []
        for board in boards.values():
            score = board.scores.get(heading, Score())
            figures = (score.precision, 7), (score.recall, 8), (score.false_a_day, 14)
            cells.append("".join(f"{'-' if each is None else f'{each:.3f}':>{width}}" for each, width in figures))
            cells.append(f"{score.false:>6}")
        print(f"{heading:<30}" + "".join(cells), flush=True)


def _share(these: int, others: int) -> float | None:
    return these / (these + others) if these + others else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
