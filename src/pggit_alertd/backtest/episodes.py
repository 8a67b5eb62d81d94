"""From findings to alerts: a detector that looks again and again raises one alert for what is one event."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from pggit_alertd.backtest.model import Raised

HOUR = timedelta(hours=1)


class Sight(NamedTuple):
    """A degradation as one look found it: how many percent slower, and from how many more on it is told again."""

    finding: Raised
    percent: float
    worse_percent: float


def episodes(findings: Iterable[Raised], gap: timedelta) -> Iterator[Raised]:
    """Yield one alert for each run of findings of an operation and type that are no more than `gap` apart.

    The alert is raised with the run's first finding, and speaks of all of the run; its severity is the first one's.
    Findings come in any order.
    """
    runs: dict[tuple[str, str], Raised] = {}
    for finding in sorted(findings, key=lambda each: (each.at, each.since)):
        key = (finding.operation_type, finding.alert_type)
        run = runs.get(key)
        if run is not None and finding.at - run.until <= gap:
            runs[key] = replace(run, until=max(run.until, finding.until))
            continue
        if run is not None:
            yield run
        runs[key] = finding
    yield from runs.values()


def capped(alerts: Iterable[Raised], per_hour: int) -> Iterator[Raised]:
    """Yield the alerts of one operation, in order of time, without those that an hour has no more room for."""
    recent: deque[Raised] = deque()
    for alert in alerts:
        while recent and alert.at - recent[0].at >= HOUR:
            recent.popleft()
        if len(recent) < per_hour:
            recent.append(alert)
            yield alert


def told(sights: Iterable[Sight]) -> list[Raised]:
    """Return the alerts about degradations, seen in order of time: each is told once, and again when it got worse.

    What began before an operation was last seen degraded is the same degradation, as in the job that the daemon runs.
    """
    alerts: list[Raised] = []
    latest: dict[str, tuple[int, Sight]] = {}
    for sight in sights:
        finding = sight.finding
        place, known = latest.get(finding.operation_type, (0, None))
        if (
            known is None
            or finding.since > alerts[place].until
            or 1 + sight.percent / 100 >= (1 + known.percent / 100) * (1 + sight.worse_percent / 100)
        ):
            latest[finding.operation_type] = (len(alerts), sight)
            alerts.append(finding)
        else:
            alerts[place] = replace(alerts[place], until=finding.until)
    return alerts
