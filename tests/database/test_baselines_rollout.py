"""Baselines on trial: what runs in shadow, what it would have alerted, and how a trial ends."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import (
    SNAPSHOT,
    Row,
    active,
    add_branch,
    history,
    listen_to_warnings,
    recalculate,
    record,
    replace_metrics,
    rows,
    scalar,
    settle,
)
from pggit_alertd import jobs
from pggit_alertd.database.pool import Database
from pggit_alertd.settings import Settings

pytestmark = pytest.mark.servers


async def nightly(connection: AsyncConnection, days: int = 7) -> list[Row]:
    """Run the nightly recalculation in shadow mode."""
    return await rows(connection, "SELECT * FROM pggit.recalculate_all_baselines_rolling(p_shadow_days => %s)", days)


async def report(connection: AsyncConnection, trial: int | None = None) -> list[Row]:
    """Return the report of one trial, or of all that are on."""
    return await rows(connection, "SELECT * FROM pggit.shadow_report(%s)", trial)


async def begin(connection: AsyncConnection, old: int = 1000, new: int = 1500) -> int:
    """Bring the operation to a trial that the nightly run began, and return its history id."""
    await settle(connection, "commit", old)
    await replace_metrics(connection, "commit", [new] * 12)
    assert await nightly(connection) == []
    return int((await report(connection))[0]["history_id"])


async def let_pass(connection: AsyncConnection, days: int) -> None:
    """Let so many days pass for the trials, and for nothing else."""
    await connection.execute(
        "UPDATE pggit.performance_baseline_history SET calculated_at = calculated_at - make_interval(days => %(days)s),"
        " promote_at = promote_at - make_interval(days => %(days)s)",
        {"days": days},
    )


async def test_a_trial_leaves_the_old_baseline_in_use(connection: AsyncConnection) -> None:
    """In shadow mode a replacement is stored inactive and recorded; nothing else changes, however often it runs."""
    trial = await begin(connection)
    [baseline] = await active(connection, "commit")
    assert baseline["p99_microseconds"] == 1000
    recorded = (await history(connection, "commit"))[-1]
    assert (recorded["history_id"], recorded["status"], recorded["method"]) == (trial, "shadow", "exact")
    assert recorded["promote_at"] - recorded["calculated_at"] == timedelta(days=7)
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []
    assert await rows(connection, "SELECT * FROM pggit.current_conditions()") == []
    before = await (await connection.execute(SNAPSHOT)).fetchone()
    await replace_metrics(connection, "commit", [1700] * 12)
    for days in (7, 0):
        assert await nightly(connection, days) == []
    assert await (await connection.execute(SNAPSHOT)).fetchone() == before


async def test_first_baselines_and_leaps_are_not_tried(connection: AsyncConnection) -> None:
    """What has no baseline gets one at once, and what needs a human is held, in shadow mode too."""
    await record(connection, "merge", [1000] * 12)
    assert [row["operation_type"] for row in await nightly(connection)] == ["merge"]
    await replace_metrics(connection, "merge", [9000] * 12)
    assert await nightly(connection) == []
    assert len(await rows(connection, "SELECT * FROM pggit.held_baselines()")) == 1
    assert await report(connection) == []


async def test_the_report_says_what_would_have_been_alerted(connection: AsyncConnection) -> None:
    """Per day: how many the baseline in use alerts, how many the candidate would, and which; of its operation only."""
    # One transaction is one moment: no midnight falls between what is recorded and the report.
    async with connection.transaction():
        trial = await begin(connection)
        await let_pass(connection, 2)
        await record(connection, "commit", [2000, 2001, 2999, 3000, 3001, 9000], age="1 day")
        await record(connection, "commit", [2500], age="0")
        await record(connection, "commit", [9000], age="3 days")
        await record(connection, "merge", [9000], age="0")
        found = await report(connection, trial)
        today = await scalar(connection, "SELECT CURRENT_DATE")
        assert [(row["day"], row["alerts_in_use"], row["alerts_shadow"]) for row in found] == [
            (today - timedelta(days=2), 0, 0),
            (today - timedelta(days=1), 5, 2),
            (today, 1, 0),
        ]
        durations = await rows(
            connection,
            "SELECT duration_microseconds AS us FROM pggit.performance_metrics WHERE metric_id = ANY (%s) ORDER BY 1",
            found[1]["metric_ids"],
        )
        assert [row["us"] for row in durations] == [3001, 9000]
        assert (found[0]["p99_in_use_ms"], found[0]["p99_shadow_ms"]) == (Decimal("1.000"), Decimal("1.500"))
        assert {row["outcome"] for row in found} == {"running"}
        assert await report(connection) == found


async def test_recorded_days_outlive_their_metrics(connection: AsyncConnection) -> None:
    """The nightly run records; when metrics go and the trial is over, the report still tells."""
    trial = await begin(connection)
    await let_pass(connection, 1)
    await record(connection, "commit", [9000] * 103, age="0")
    await nightly(connection)
    await scalar(connection, "SELECT pggit.reject_baseline(%s, 'alice', 'too slow')", trial)
    await replace_metrics(connection, "commit", [1000] * 12)
    days = await report(connection, trial)
    [told] = [row for row in days if row["alerts_in_use"]]
    assert (told["alerts_in_use"], told["alerts_shadow"], len(told["metric_ids"])) == (103, 103, 100)
    assert {row["outcome"] for row in days} == {"rejected"}
    assert await report(connection) == []


async def test_a_trial_that_is_over_is_promoted(connection: AsyncConnection) -> None:
    """The first run after the last day puts the tried figures into use, as the run's own change, in either mode."""
    trial = await begin(connection)
    await let_pass(connection, 7)
    await replace_metrics(connection, "commit", [1600] * 12)
    [foretold] = await rows(
        connection, "SELECT * FROM pggit.preview_baselines_rolling() WHERE operation_type = 'commit'"
    )
    assert foretold["verdict"] == "promote"
    [row] = await recalculate(connection)
    assert (row["p99_old_ms"], row["p99_new_ms"]) == (Decimal("1.000"), Decimal("1.500"))
    [baseline] = await active(connection, "commit")
    assert (baseline["baseline_id"], baseline["p99_microseconds"]) == (row["baseline_id"], 1500)
    applied = (await history(connection, "commit"))[-1]
    assert (applied["status"], applied["held_history_id"], applied["method"]) == ("applied", trial, "exact")
    assert applied["note"].startswith("promoted after 7 d")
    assert (await report(connection, trial))[0]["outcome"] == "promoted"
    assert await scalar(connection, "SELECT pggit.baseline_reference('commit')") == 1000, "nobody decided"


async def test_a_trial_ends_unused_when_the_figures_come_back(connection: AsyncConnection) -> None:
    """At the end of its days a candidate that is needed no more is withdrawn, and the old baseline stays."""
    trial = await begin(connection)
    await let_pass(connection, 7)
    await replace_metrics(connection, "commit", [1010] * 12)
    assert await nightly(connection) == []
    assert (await active(connection, "commit"))[0]["p99_microseconds"] == 1000
    assert (await report(connection, trial))[0]["outcome"] == "superseded by a later recalculation (withdraw)"


async def test_a_trial_can_be_decided_at_any_time(connection: AsyncConnection) -> None:
    """Approval promotes at once and is signed; a rejected finding is not tried again."""
    trial = await begin(connection)
    await scalar(connection, "SELECT pggit.approve_baseline(%s, 'alice', 'looks right')", trial)
    assert (await active(connection, "commit"))[0]["p99_microseconds"] == 1500
    approved = (await history(connection, "commit"))[-1]
    assert (approved["status"], approved["decided_by"], approved["held_history_id"]) == ("approved", "alice", trial)
    second = await begin(connection)
    await scalar(connection, "SELECT pggit.reject_baseline(%s)", second)
    assert await nightly(connection) == []
    assert await report(connection) == []
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match=r"shadow baseline .* is closed since"):
        await scalar(connection, "SELECT pggit.approve_baseline(%s)", second)


async def test_force_ends_a_trial(connection: AsyncConnection) -> None:
    """Who forces wants today's figures now."""
    trial = await begin(connection)
    await replace_metrics(connection, "commit", [1700] * 12)
    assert len(await recalculate(connection, force=True)) == 1
    assert (await active(connection, "commit"))[0]["p99_microseconds"] == 1700
    assert "superseded" in (await report(connection, trial))[0]["outcome"]


async def test_a_candidate_that_can_not_be_promoted_fails_visibly(connection: AsyncConnection) -> None:
    """A deleted candidate is a failed row that says so, the old baseline stays, other operations go on."""
    await begin(connection)
    await connection.execute("DELETE FROM pggit.performance_baselines WHERE NOT is_active")
    await let_pass(connection, 7)
    await record(connection, "merge", [1000] * 12)
    assert [row["operation_type"] for row in await nightly(connection)] == ["merge"]
    assert (await active(connection, "commit"))[0]["p99_microseconds"] == 1000
    failed = (await history(connection, "commit"))[-1]
    assert failed["status"] == "failed"
    assert "there is no baseline" in failed["error_message"]


async def test_people_can_begin_a_trial(connection: AsyncConnection) -> None:
    """However near or far the new figures are; it takes the place of what was held; also of one branch."""
    await settle(connection, "commit", 1000)
    await replace_metrics(connection, "commit", [9000] * 12)
    await recalculate(connection)
    [held] = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    heard = listen_to_warnings(connection)
    trial = await scalar(connection, "SELECT pggit.shadow_baseline('commit', 3)")
    assert heard == [
        f"held candidate {held['history_id']}, which would have brought p99 to 9.000 ms, is closed by trial {trial}"
    ]
    [closed] = [row for row in await history(connection, "commit") if row["history_id"] == held["history_id"]]
    assert closed["note"] == f"superseded by trial {trial}, which {connection.info.user} began"
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []
    assert await recalculate(connection) == []
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == [], "it is being looked at"
    again = await scalar(connection, "SELECT pggit.shadow_baseline('commit', 3)")
    assert heard[1:] == [f"trial {trial}, which would have brought p99 to 9.000 ms, is closed by trial {again}"]
    assert {row["history_id"] for row in await report(connection)} == {again} != {trial}
    await let_pass(connection, 3)
    assert len(await recalculate(connection)) == 1
    branch = await add_branch(connection, "feature")
    await record(connection, "commit", [9000] * 12, branch_id=branch)
    await rows(connection, "SELECT * FROM pggit.recalculate_baseline('commit', %s)", branch)
    own = await scalar(connection, "SELECT pggit.shadow_baseline('commit', p_branch_id => %s)", branch)
    assert [(row["history_id"], row["branch_id"]) for row in await report(connection)] == [(own, branch)]


async def test_a_trial_that_makes_no_sense_is_refused(connection: AsyncConnection) -> None:
    """The error names the argument, or what is missing."""
    await record(connection, "merge", [1000] * 12)
    cases: list[tuple[str, type[Exception], str]] = [
        ("NULL", errors.InvalidParameterValue, "p_operation_type is NULL"),
        ("'commit', 0", errors.InvalidParameterValue, "p_shadow_days is 0"),
        ("'commit', -1", errors.InvalidParameterValue, "p_shadow_days is -1"),
        ("'commit', NULL", errors.InvalidParameterValue, "p_shadow_days is NULL"),
        ("'commit', 61", errors.InvalidParameterValue, "p_shadow_days is 61"),
        ("'commit', 7, NULL, 0", errors.InvalidParameterValue, "p_lookback_days is 0"),
        ("'no such operation'", errors.NoDataFound, "has fewer than 10 metrics"),
        ("'merge'", errors.ObjectNotInPrerequisiteState, "no baseline in use"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            await connection.execute(f"SELECT pggit.shadow_baseline({arguments})".encode())


async def test_unknown_trials_have_no_report(connection: AsyncConnection) -> None:
    """NULL without trials, ids that nobody knows, and rows that are no trial give no row."""
    await settle(connection, "commit", 1000)
    for trial in (None, -1, 4711, (await history(connection, "commit"))[0]["history_id"]):
        assert await report(connection, trial) == []
        assert await rows(connection, "SELECT * FROM pggit.count_shadow_alerts(%s, %s)", trial, date.min) == []


async def test_the_nightly_job_follows_the_setting(database: str, connection: AsyncConnection) -> None:
    """With baseline_shadow_days the job tries, and names the operations in its result; without, it replaces."""
    await settle(connection, "commit", 1000)
    await replace_metrics(connection, "commit", [1500] * 12)
    url = {"PGGIT_ALERTD_DATABASE_URL": database}
    trying = Settings.load({**url, "PGGIT_ALERTD_BASELINE_SHADOW_DAYS": "5"})
    pool = Database(database)
    await pool.open()
    try:
        result = await jobs.baselines(trying).work(pool, 10.0)
        assert result == {"changed": 0, "held": [], "shadow": ["commit"], "failed": []}
        # The report has one row for each day of the trial, and a midnight may just have gone by.
        await connection.execute(
            "SELECT pggit.reject_baseline(id) FROM (SELECT DISTINCT history_id FROM pggit.shadow_report()) AS t (id)"
        )
        await replace_metrics(connection, "commit", [1900] * 12)
        result = await jobs.baselines(Settings.load(url)).work(pool, 10.0)
        assert result == {"changed": 1, "held": [], "shadow": [], "failed": []}
    finally:
        await pool.close()


async def test_retention_keeps_trials_that_are_on(connection: AsyncConnection) -> None:
    """A trial that is on stays whatever its age; old days go with retention."""
    trial = await begin(connection)
    await connection.execute(
        "INSERT INTO pggit.baseline_rollout_day"
        " VALUES (%(id)s, CURRENT_DATE - 40, 1, 1, '{}'), (%(id)s, CURRENT_DATE, 1, 1, '{}')",
        {"id": trial},
    )
    await let_pass(connection, 40)
    purged = await rows(connection, "SELECT * FROM pggit.purge_notifications('30 days')")
    assert {row["relation"]: row["deleted"] for row in purged}["baseline_rollout_day"] == 1
    assert "shadow" in [row["status"] for row in await history(connection, "commit")]
