"""The replay itself: a past period through the detectors and the routing, on one connection, changing nothing.

A production database must not feel it. Every statement is a read-only transaction of its own with a limit to its time,
so no snapshot is held that would keep vacuum from its work; only one statement runs at any time, without parallel
workers; a day is read through the indexes that the detectors use themselves. The server refuses writes. Nothing is
queued, so nothing can be sent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pggit_alertd.backtest import report
from pggit_alertd.backtest.accuracy import judge
from pggit_alertd.backtest.coverage import coverage
from pggit_alertd.backtest.detectors import Detectors, ask
from pggit_alertd.backtest.model import IN_FORCE, Pair, Period, Raised, Setting, Thresholds
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import BacktestEmpty, BacktestRefused
from pggit_alertd.workload import Label

Progress = Callable[[int, int], None]

LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be replayed. Times are without zone, as recorded_at is; a timedelta is that long before now.

    `after` is compared with the thresholds in force; None for no comparison. Without `labels` nothing is judged.
    """

    start: datetime | timedelta
    end: datetime | timedelta
    after: Thresholds | None = None
    labels: Sequence[Label] | None = None


async def replay(database: Database, request: Request, progress: Progress) -> report.Report:
    """Replay the period. Raises BacktestError, saying what to do, where there is nothing to replay.

    `progress` is told how many of how many steps are done.
    """
    facts, period = await _subject(database, request)
    variants = [IN_FORCE] if request.after is None else [IN_FORCE, request.after]
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, len(variants) * (detectors.steps + 1))

    detectors = Detectors(database, period, step)
    settings = [Setting(**row) for row in await ask(database, "backtest_settings", {})]
    fit = None
    if request.labels is not None:
        watched = {row["operation_type"] for row in await ask(database, "backtest_operations", {})}
        fit = coverage(request.labels, period, watched)
    outcomes = []
    for thresholds in variants:
        alerts = await detectors.alerts(thresholds)
        pairs = await route(database, alerts)
        accuracy = None if request.labels is None else judge(alerts, request.labels, period, facts["operations"])
        outcomes.append(report.outcome(thresholds, alerts, pairs, settings, period=period, accuracy=accuracy))
        step()
    return report.Report(
        period=period,
        time_zone=facts["time_zone"],
        operations=facts["operations"],
        metrics=facts["metrics"],
        before=outcomes[0],
        after=outcomes[1] if len(outcomes) > 1 else None,
        labels=fit,
        notes=[*_notes(facts, period), _looks(detectors.look_hours)],
    )


async def _subject(database: Database, request: Request) -> tuple[Mapping[str, Any], Period]:
    """Return what there is to replay, and the period with both ends known and not in the future."""
    (clock,) = await ask(database, "backtest_clock", {})
    now: datetime = clock["database_time"]
    start = now - request.start if isinstance(request.start, timedelta) else request.start
    end = min(now, now - request.end if isinstance(request.end, timedelta) else request.end)
    if start >= end:
        raise BacktestRefused(
            f"--from {_shown(start)} is not before --to {_shown(end)}; nothing is replayed after the database's "
            f"present, {_shown(now)} {clock['time_zone']}. Write an earlier --from, such as --from 7d."
        )
    if end - start > timedelta(days=LONGEST_DAYS):
        raise BacktestRefused(f"A year is replayed at most; write a --from within {LONGEST_DAYS} days of --to.")
    (facts,) = await ask(database, "backtest_period", {"from": start, "to": end})
    if facts["first_in_period"] is None:
        there = (
            "There are none at all: see that applications call pggit.record_performance_metric."
            if facts["oldest"] is None
            else f"There are some from {_shown(facts['oldest'])} to {_shown(facts['newest'])}: choose --from and --to "
            "within that."
        )
        raise BacktestEmpty(
            f"No metric was recorded from {_shown(start)} to {_shown(end)} {clock['time_zone']}. {there}"
        )
    return {**clock, **facts}, Period(start, end)


async def route(database: Database, alerts: Sequence[Raised]) -> list[Pair]:
    """Return what routing would make of alerts, given in order of time: one pair for each setting that matches."""
    rows = await ask(
        database,
        "backtest_routing",
        {
            "times": [alert.at for alert in alerts],
            "operations": [alert.operation_type for alert in alerts],
            "types": [alert.alert_type for alert in alerts],
            "severities": [alert.severity for alert in alerts],
        },
    )
    return [
        Pair(alerts[row["place"] - 1], row["severity"], row["setting_id"], row["group_key"] or "", row["muted"])
        for row in rows
    ]


def _notes(facts: Mapping[str, Any], period: Period) -> Iterator[str]:
    """Yield what whoever reads the report should know about the data."""
    refreshed: datetime | None = facts["refreshed_to"]
    if refreshed is None or refreshed < min(period.end, facts["newest"]) - timedelta(hours=2):
        upto = "nothing" if refreshed is None else f"all before {_shown(refreshed)}"
        yield (
            f"The latency histograms hold {upto}, so baselines are missing and detectors read every metric: run "
            "SELECT pggit.refresh_performance_histograms() first, or let the daemon do it."
        )
    week = facts["oldest"] + timedelta(days=7)
    if week > period.start:
        yield (
            f"Metrics begin on {_shown(facts['oldest'])}: before {_shown(week)} detectors know less than the week "
            "they want, and say less."
        )


def _looks(hours: int) -> str:
    if hours == 1:
        return "Degradation was looked for every hour, as the daemon does."
    return f"Degradation was looked for every {hours} h; the daemon looks every hour."


def _shown(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")
