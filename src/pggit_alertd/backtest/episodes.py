"""From findings to alerts: a detector that looks again and again raises one alert for what is one event."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from pggit_alertd.backtest.model import Raised

HOUR = timedelta(hours=1)


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
