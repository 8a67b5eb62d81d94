"""From findings to alerts: a detector that looks again and again raises one alert for what is one event."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from pggit_alertd.backtest.model import Raised


def episodes(findings: Iterable[Raised], gap: timedelta) -> Iterator[Raised]:
    """Yield one alert for each run of findings of an operation and type that are no more than `gap` apart.

    The alert is raised with the run's first finding, and speaks of all of the run; its severity is
    the first one's. Findings come in any order.
    """
    open_runs: dict[tuple[str, str], Raised] = {}
    for finding in sorted(findings, key=lambda each: (each.at, each.since)):
        key = (finding.operation_type, finding.alert_type)
        run = open_runs.get(key)
        if run is not None and finding.at - run.until <= gap:
            open_runs[key] = replace(run, until=max(run.until, finding.until))
            continue
        if run is not None:
            yield run
        open_runs[key] = finding
    yield from open_runs.values()
