"""The jobs that look for trouble in the metrics: what is unusual, what became slower, and what is usual at all."""

from collections.abc import Sequence
from typing import Any

from pggit_alertd import logs
from pggit_alertd.database.pool import Database
from pggit_alertd.job import Job, Result, rows, transaction
from pggit_alertd.metrics import Metrics
from pggit_alertd.settings import Settings

LATE_SECONDS = 7200.0  # transactions that last longer are not looked for

_log = logs.get("jobs")


def anomalies(settings: Settings, metrics: Metrics) -> Job:
    """Return the job that looks for unusual metrics among those recorded since it last did, and raises alerts."""

    async def work(database: Database, seconds: float) -> Result:
        """Scan once, and say what was seen."""
        async with transaction(database, seconds) as connection:
            scanned = await rows(connection, "job_anomalies", {"lookback": None})
        return _scanned(scanned, metrics)

    return Job(
        name="anomalies",
        description="Looks for unusual metrics, and raises alerts about them",
        schedule=settings.anomaly_schedule,
        grace=120,
        lease=60,
        statement_timeout=40,
        work=work,
        quiet=True,
    )


def profiles(settings: Settings, metrics: Metrics) -> Job:
    """Return the job that learns what is usual, and looks once more for what appeared late."""

    async def work(database: Database, seconds: float) -> Result:
        """Fold the finished hours, describe each operation, and scan two hours for rows that were committed late."""
        async with transaction(database, seconds) as connection:
            hours, operations = (await rows(connection, "job_profiles"))[0]
        async with transaction(database, seconds) as connection:
            scanned = await rows(connection, "job_anomalies", {"lookback": LATE_SECONDS})
        late = _scanned(scanned, metrics)
        return {"hours": hours, "operations": operations, "late_alerts": late["alerts"]}

    return Job(
        name="profiles",
        description="Learns what is usual for each operation",
        schedule=settings.profile_schedule,
        grace=3000,
        lease=600,
        statement_timeout=240,
        work=work,
    )


def _scanned(scanned: Sequence[tuple[Any, ...]], metrics: Metrics) -> Result:
    """Name what a scan that is committed returned; log and count what the whitelist held back for the first time.

    Scans overlap, so most of what one sees was seen before.
    """
    names = ("unusual", "whitelisted", "episodes", "alerts", "over_cap", "whitelisted_by")
    result = dict(zip(names, scanned[0], strict=True))
    fresh = [entry for entry in result["whitelisted_by"] if entry["fresh"]]
    if fresh:
        _log.info("anomalies_whitelisted", entries=fresh)
        metrics.whitelisted.inc(sum(entry["fresh"] for entry in fresh))
    return result


def degradation(settings: Settings) -> Job:
    """Return the job that looks for operations that became slower, and raises alerts about them."""

    async def work(database: Database, seconds: float) -> Result:
        """Bring histograms and scores up to the metrics, then judge; each step is committed by itself."""
        async with transaction(database, seconds) as connection:
            await rows(connection, "job_histograms")
        async with transaction(database, seconds) as connection:
            scored = (await rows(connection, "job_hour_scores"))[0][0]
        async with transaction(database, seconds) as connection:
            judged, insufficient, degraded, told = (await rows(connection, "job_degradation"))[0]
        return {"scored": scored, "judged": judged, "insufficient": insufficient, "degraded": degraded, "told": told}

    return Job(
        name="degradation",
        description="Looks for operations that became slower, and raises alerts",
        schedule=settings.degradation_schedule,
        grace=3000,
        lease=900,
        statement_timeout=240,
        work=work,
    )
