"""The scheduled jobs: thin callers of SQL functions, each safe to run again after it died half way."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pggit_alertd import logs, snoozes
from pggit_alertd.cron import Schedule
from pggit_alertd.database.pool import Database
from pggit_alertd.detection_jobs import anomalies, degradation, profiles
from pggit_alertd.errors import JobIncomplete
from pggit_alertd.job import Job, Result, rows, transaction
from pggit_alertd.metrics import Metrics
from pggit_alertd.settings import Settings
from pggit_alertd.slots import JobState

RETENTION_BATCH = 10_000

_log = logs.get("jobs")


def baselines(settings: Settings) -> Job:
    """Return the job that recalculates every tracked operation's baseline."""

    async def work(database: Database, seconds: float) -> Result:
        """Recalculate all; an operation that fails is named, and does not undo the others."""
        parameters = {
            "days": settings.baseline_lookback_days,
            "min_samples": settings.baseline_min_samples,
            "shadow_days": settings.baseline_shadow_days,
        }
        async with transaction(database, seconds) as connection:
            await rows(connection, "session_local", {"name": "pggit.baseline_reason", "value": "scheduled"})
            await rows(connection, "job_baselines", parameters)
            outcomes = await rows(connection, "job_baselines_outcome")
        named: dict[str, list[str]] = dict(outcomes)
        failed, held = named.get("failed", []), named.get("held", [])
        result = {
            "changed": len(named.get("applied", [])),
            "held": held,
            "shadow": named.get("shadow", []),
            "failed": failed,
        }
        if held:
            _log.warning("baselines_held", operations=held, mend="SELECT * FROM pggit.held_baselines(), then decide")
        if failed:
            raise JobIncomplete(
                f"The baseline of {', '.join(failed)} could not be recalculated; "
                "see error_message in pggit.performance_baseline_history.",
                result,
            )
        return result

    return Job(
        name="baselines",
        description="Recalculates the baseline of every tracked operation",
        schedule=settings.baseline_schedule,
        grace=12 * 3600,
        lease=1800,
        statement_timeout=1200,
        work=work,
    )


def retention(settings: Settings) -> Job:
    """Return the job that removes what is older than the limit."""
    limits = {
        "days": settings.retention_days,
        "audit_days": settings.settings_audit_days,
        "batch": RETENTION_BATCH,
    }

    async def work(database: Database, seconds: float) -> Result:
        """Remove batch after batch, each in a transaction of its own, until a batch finds nothing."""
        removed: Counter[str] = Counter()
        while True:
            async with transaction(database, seconds) as connection:
                batch = await rows(connection, "job_retention", limits)
            counts = {str(relation): int(deleted) for relation, deleted in batch if deleted}
            if not counts:
                return dict(removed)
            removed.update(counts)

    return Job(
        name="retention",
        description="Removes notifications, logs and history older than the limit",
        schedule=settings.retention_schedule,
        grace=12 * 3600,
        lease=3600,
        statement_timeout=300,
        work=work,
    )


def partitions(settings: Settings) -> Job:
    """Return the job that makes the delivery log's monthly partitions ahead."""

    async def work(database: Database, seconds: float) -> Result:
        """Make what is missing, and say what was made or could not be."""
        async with transaction(database, seconds) as connection:
            upkeep = await rows(connection, "job_partitions")
        blocked = [f"{name} ({action})" for name, action, _ in upkeep if action != "created"]
        return {
            "created": [name for name, action, _ in upkeep if action == "created"],
            "rows_moved": sum(moved for _, _, moved in upkeep),
            "not_created": blocked,
        }

    return Job(
        name="partitions",
        description="Makes the monthly partitions of the delivery log ahead",
        schedule=settings.partition_schedule,
        grace=3000,
        lease=300,
        statement_timeout=120,
        work=work,
        at_start=True,
    )


def merge_rollup(settings: Settings) -> Job:
    """Return the job that sums up merges, so that the merge dashboards stay fast however many there are."""

    async def work(database: Database, seconds: float) -> Result:
        """Sum up if the sums lack enough; 0 says that they were good."""
        async with transaction(database, seconds) as connection:
            summed_up = (await rows(connection, "job_merge_rollup"))[0][0]
        return {"summed_up": summed_up}

    return Job(
        name="merge_rollup",
        description="Sums up merges for the dashboards",
        schedule=settings.merge_rollup_schedule,
        grace=300,
        lease=120,
        statement_timeout=60,
        work=work,
        at_start=True,
        quiet=True,
    )


def recovery(settings: Settings) -> Job:
    """Return the job that resolves alerts whose operation is back to normal."""

    async def work(database: Database, seconds: float) -> Result:
        """Look at the open episodes, and say what was resolved."""
        parameters = {"recovery_after": settings.recovery_after, "silence_after": settings.episode_silence}
        async with transaction(database, seconds) as connection:
            checked, recovered, silent = (await rows(connection, "job_recovery", parameters))[0]
        return {"checked": checked, "recovered": recovered, "silent": silent}

    return Job(
        name="recovery",
        description="Resolves alerts whose operation is back to normal",
        schedule=settings.recovery_schedule,
        grace=600,
        lease=120,
        statement_timeout=60,
        work=work,
        at_start=True,
        quiet=True,
    )


def self_check(settings: Settings) -> Job:
    """Return the job that looks for what is wrong with the alerting itself, and has the operators told."""
    thresholds = {
        "queue_depth": settings.watch_queue_depth,
        "queue_hold": settings.watch_queue_hold,
        "oldest_due": settings.watch_oldest_due,
        "success_percent": settings.watch_success_percent,
        "success_minimum": settings.watch_success_minimum,
        "job_failures": settings.watch_job_failures,
        "worker_silence": settings.watch_worker_silence,
        "worker_forgotten": settings.watch_worker_forgotten,
        "hold": settings.watch_hold,
        "repeat": settings.watch_repeat,
        "clear": settings.watch_clear,
        "destination_paused": settings.watch_destination_paused,
    }

    async def work(database: Database, seconds: float) -> Result:
        """Check once; what is told to nobody, because no destination is left, is told to the log as an error."""
        async with transaction(database, seconds) as connection:
            due = _should_be_done(await rows(connection, "scheduled_job_state"), settings.watch_job_overdue)
            parameters = {**thresholds, "jobs": list(due), "slots": list(due.values())}
            changes = await rows(connection, "job_self_check", parameters)
        for stage, kind, subject, severity, detail, told in changes:
            event, tell = _CONDITION_EVENTS[stage]
            tell(event, kind=kind, subject=subject, severity=severity, detail=detail, settings_told=told)
        return dict(Counter(str(stage) for stage, *_ in changes))

    return Job(
        name="self_check",
        description="Looks for what is wrong with the alerting itself, and tells",
        schedule=settings.watch_schedule,
        grace=120,
        lease=60,
        statement_timeout=40,
        work=work,
        at_start=True,
        quiet=True,
    )


_CONDITION_EVENTS: Mapping[str, tuple[str, Callable[..., None]]] = {
    "new": ("condition_began", _log.warning),
    "still": ("condition_lasts", _log.warning),
    "over": ("condition_over", _log.info),
    "unheard": ("condition_unheard", _log.error),
}


def _should_be_done(states: Sequence[tuple[Any, ...]], seconds: float) -> dict[str, datetime]:
    """Return each job's last slot that lies so far back that it should have succeeded.

    A schedule that can't be read has no slots; the scheduler tells of it.
    """
    slots = {}
    for row in states:
        state = JobState.read(row)
        with contextlib.suppress(ValueError):
            slots[state.job] = Schedule.parse(state.schedule).latest_slot(state.now - timedelta(seconds=seconds))
    return slots


def maintenance_windows(settings: Settings) -> Job:
    """Return the job that works out when recurring maintenance windows are next."""

    async def work(database: Database, _seconds: float) -> Result:
        """Expand what is not known a week ahead; each statement ends by the pool's own time-out."""
        result = await snoozes.expand(database)
        if result["unusable"]:
            raise JobIncomplete(
                "These recurring windows can't be worked out and mute nothing: "
                f"{', '.join(str(number) for number in result['unusable'])}; see `pggit-alertd snooze list`.",
                result,
            )
        return result

    return Job(
        name="maintenance_windows",
        description="Works out when recurring maintenance windows are next",
        schedule=settings.window_schedule,
        grace=3000,
        lease=300,
        statement_timeout=120,
        work=work,
        at_start=True,
    )


def registry(settings: Settings, metrics: Metrics) -> tuple[Job, ...]:
    """Return every job there is."""
    return (
        baselines(settings),
        retention(settings),
        partitions(settings),
        maintenance_windows(settings),
        merge_rollup(settings),
        recovery(settings),
        self_check(settings),
        anomalies(settings, metrics),
        profiles(settings, metrics),
        degradation(settings),
    )
