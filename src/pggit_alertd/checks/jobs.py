"""Check that the scheduled jobs have run when they should have."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pggit_alertd.checks.result import CheckResult, Status
from pggit_alertd.cron import Schedule
from pggit_alertd.database.pool import Database
from pggit_alertd.redaction import text


async def jobs(database: Database) -> Sequence[CheckResult]:
    """Return one finding for each job."""
    rows = await database.fetch("check_jobs")
    return [_job(row) for row in rows] or [
        CheckResult("jobs", Status.WARNING, "no job is known; start the daemon once, it announces them")
    ]


def _job(row: Sequence[Any], /) -> CheckResult:
    """Judge one row of check_jobs.sql."""
    job, schedule, enabled, grace, since, now, last_success, status, error = row
    name = f"job {job}"
    if not enabled:
        return CheckResult(name, Status.SKIPPED, "switched off: enabled is FALSE in pggit.scheduled_job")
    try:
        cron = Schedule.parse(schedule)
    except ValueError as problem:
        return CheckResult(
            name, Status.FAILED, f"its schedule can't be read: {problem}; start the daemon anew, it writes its own"
        )
    slot = cron.latest_slot(now)
    succeeded = f"last succeeded {_when(last_success)}" if last_success else "has never succeeded"
    if status == "failed":
        return CheckResult(
            name,
            Status.WARNING,
            f"its latest run failed: {text(error or 'no reason given')}; it {succeeded} (see pggit.scheduled_job_run)",
        )
    overdue = slot >= since and now - slot > grace and (last_success is None or last_success < slot)
    if overdue:
        return CheckResult(
            name,
            Status.WARNING,
            f"overdue since {_when(slot)}, it {succeeded}; see that a daemon runs, then pggit.scheduled_job_run",
        )
    if last_success is None and slot >= since:
        succeeded = f"has been due since {_when(slot)}, and {succeeded}"
    elif last_success is None:
        succeeded = f"has not been due yet; next {_when(cron.next_slot(now))}"
    return CheckResult(name, Status.OK, succeeded)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
