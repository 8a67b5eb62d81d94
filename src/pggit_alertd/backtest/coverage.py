"""How far a label file fits the period and the operations that are replayed: what does not is said, not passed over."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pggit_alertd.backtest.model import Period
from pggit_alertd.workload import Label

SHOWN = 5


def within(label: Label, period: Period) -> bool:
    """Return whether any of what a label speaks of lies in the period."""
    return label.end >= period.start and label.start < period.end


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many labels were given, how many of them lie outside the period, and which can't be found.

    `unwatched` has the clear labels of the period, by operation, of operations that no detector looks at.
    """

    given: int
    outside: int
    unwatched: Mapping[str, int]

    def warnings(self) -> Iterator[str]:
        """Yield what whoever reads precision and recall must know."""
        if self.outside == self.given:
            yield (
                f"None of the {self.given} labels lies in the period, so every alert counts as false; choose --from "
                "and --to around them, and see that their times are local to the database."
            )
        elif self.outside:
            yield f"{self.outside} of {self.given} labels lie outside the period and are left out."
        if self.unwatched:
            names = [f"{name!r} ({count})" for name, count in sorted(self.unwatched.items())]
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield (
                "Labels of operations that no detector looks at count as missed: "
                f"{', '.join(names[:SHOWN])}{more}. Compare their operation_type with "
                "pggit.performance_operation_types, and is_tracked there."
            )


def coverage(labels: Sequence[Label], period: Period, watched: Collection[str]) -> Coverage:
    """Return how far labels fit; `watched` are the operations that detectors look at."""
    inside = [label for label in labels if within(label, period)]
    unwatched = Counter(label.operation_type for label in inside if label.clear and label.operation_type not in watched)
    return Coverage(given=len(labels), outside=len(labels) - len(inside), unwatched=dict(unwatched))
