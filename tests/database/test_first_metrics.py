"""What detectors make of the first metrics, when what they stored before was made of nothing."""

import random
from datetime import datetime, timedelta

import pytest
from psycopg import AsyncConnection

from database.baseline_support import listen_to_warnings, rows, scalar
from database.latency_support import measure

pytestmark = pytest.mark.servers

MINUTE = timedelta(minutes=1)
STATUS = "SELECT status, sample_count FROM pggit.anomaly_detection_status('commit')"
DETECT = "SELECT metric_id FROM pggit.detect_anomalies_statistical('commit', 1)"


async def refresh(connection: AsyncConnection) -> datetime:
    """Fold and describe what there is, as the hourly job does, and return the database's time."""
    await connection.execute("SELECT pggit.refresh_performance_histograms()")
    await connection.execute("SELECT pggit.refresh_latency_profiles()")
    now: datetime = await scalar(connection, "SELECT localtimestamp")
    return now


async def status(connection: AsyncConnection) -> tuple[str, int]:
    """Return what is said of the operation, named and in the list of all."""
    [row] = await rows(connection, STATUS)
    listed = await rows(connection, "SELECT * FROM pggit.anomaly_detection_status() WHERE operation_type = 'commit'")
    assert [(each["status"], each["sample_count"]) for each in listed] == [(row["status"], row["sample_count"])]
    return row["status"], row["sample_count"]


async def test_the_first_metrics_count_before_the_hour_is_over(connection: AsyncConnection) -> None:
    """Profiles that were made of an empty table judge nobody: a minute of metrics is known and searched at once."""
    now = await refresh(connection)
    assert await status(connection) == ("insufficient", 0)
    chance = random.Random(1)  # noqa: S311 - sample data
    quiet = [(now - n * MINUTE / 10, round(1000 * chance.lognormvariate(0, 0.2))) for n in range(1, 400)]
    ids = await measure(connection, "commit", [(now - MINUTE / 30, 90_000), *quiet])
    assert await status(connection) == ("watched", 400)
    assert [row["metric_id"] for row in await rows(connection, DETECT)] == [ids[0]]
    await connection.execute("SELECT * FROM pggit.scan_anomalies()")
    raised = await rows(connection, "SELECT metric_id FROM pggit.performance_alerts WHERE alert_type = 'ANOMALY'")
    assert [row["metric_id"] for row in raised] == [ids[0]]


async def test_a_profile_of_a_handful_gives_way_to_more(connection: AsyncConnection) -> None:
    """Twelve equal metrics make a narrow profile; once there are others, they are what is usual."""
    now: datetime = await scalar(connection, "SELECT localtimestamp")
    await measure(connection, "commit", [(now - timedelta(hours=3), 1000)] * 12)
    await refresh(connection)
    assert await status(connection) == ("young", 12)
    await measure(connection, "commit", [(now - n * MINUTE / 2, 900 + 50 * (n % 40)) for n in range(1, 61)])
    assert await status(connection) == ("young", 72)
    assert await rows(connection, DETECT) == []


async def test_a_past_that_is_loaded_counts_at_once(connection: AsyncConnection) -> None:
    """Metrics of last week that come after the profiles were made are known, of other operations too."""
    now = await refresh(connection)
    for operation in ("commit", "merge"):
        await measure(connection, operation, [(now - n * timedelta(hours=1), 1000 + n) for n in range(30, 100)])
    assert await status(connection) == ("young", 70)


async def test_a_profile_of_enough_is_kept_for_its_hour(connection: AsyncConnection) -> None:
    """What was made of fifty metrics or more holds until it is made afresh, so that scans stay cheap."""
    now: datetime = await scalar(connection, "SELECT localtimestamp")
    await measure(connection, "commit", [(now - n * timedelta(hours=2), 1000 + n) for n in range(13, 70)])
    await refresh(connection)
    assert await status(connection) == ("young", 57)
    await measure(connection, "commit", [(now - n * timedelta(hours=2), 1000 + n) for n in range(14, 70)])
    assert await status(connection) == ("young", 57)
    assert await scalar(connection, "SELECT pggit.outgrown_profiles(NULL, '-infinity', 'infinity')") == []


@pytest.mark.parametrize("operation", [None, "no such operation", "commit"])
async def test_nothing_measured_outgrows_nothing(connection: AsyncConnection, operation: str | None) -> None:
    """Empty tables, NULL and unknown names give an empty list and no profile."""
    span = "localtimestamp - interval '7 days', localtimestamp"
    assert await scalar(connection, f"SELECT pggit.outgrown_profiles(%s, {span})", operation) == []
    assert (
        await rows(
            connection,
            f"SELECT * FROM pggit.anomaly_profile_of(%s, {span}, localtimestamp)",  # noqa: S608
            operation,
        )
        == []
    )


async def test_a_call_that_takes_long_says_why(connection: AsyncConnection) -> None:
    """Where nothing is stored yet, who asks about all operations is told what is being made on the spot."""
    heard = listen_to_warnings(connection)
    calls = ("SELECT * FROM pggit.degradation_scan()", "SELECT * FROM pggit.detect_all_anomalies()")
    for call in calls:
        await connection.execute(call)
    assert heard == [], "an empty table takes no time"
    now: datetime = await scalar(connection, "SELECT localtimestamp")
    await measure(connection, "commit", [(now - n * timedelta(hours=1), 1000) for n in range(1, 9)])
    for call in calls:
        await connection.execute(call)
    assert [message.partition(",")[0] for message in heard] == [
        "no scores are stored for a window of 24 hours that ends now",
        "no profiles are stored for the last 24 hours",
    ]
    async with connection.transaction():  # no day ends between what is stored and what is asked
        await refresh(connection)
        # The hour that is in its last second counts for the scan, so it has to for the scores.
        await connection.execute("SELECT pggit.refresh_hour_scores(localtimestamp + interval '1 second')")
        for call in calls:
            await connection.execute(call)
    assert len(heard) == 2
    await connection.execute("SELECT * FROM pggit.degradation_scan(p_as_of => localtimestamp - interval '2 days')")
    await connection.execute("SELECT * FROM pggit.degradation_scan(p_window_hours => 48)")
    assert len(heard) == 3
