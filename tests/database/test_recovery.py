"""Recovery: what counts as normal for each type of alert, never silence alone, and who hears of it."""

from typing import Any

import pytest

from support.alerts import Alerts

pytestmark = pytest.mark.servers

BASELINE = """
INSERT INTO pggit.performance_baselines (operation_type, branch_id, baseline_date, sample_count, min_microseconds,
    max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
    mean_microseconds, stddev_microseconds, is_active)
VALUES ('commit', NULL, current_date, 100, 10000, 60000, 20000, 30000, 40000, 45000, 50000, 21000, 5000, TRUE)
"""
RESOLVE = "SELECT checked, recovered, silent FROM pggit.resolve_recovered_episodes()"


async def raised(alerts: Alerts, ago: str = "16 minutes", **more: Any) -> int:
    """Raise and route an alert of `commit` that came in some time ago."""
    alert = await alerts.alert(**more)
    await alerts.rows("UPDATE pggit.alert_outbox SET occurred_at = now() - %s::interval", ago)
    await alerts.route()
    return alert


async def test_empty_tables_and_wrong_arguments_have_defined_answers(alerts: Alerts) -> None:
    """Nothing open is nothing done; limits and times that make no sense are refused; NULL keeps the policy."""
    assert await alerts.rows(RESOLVE) == [(0, 0, 0)]
    for arguments, named in (
        ("NULL, NULL, 0", "p_limit is 0"),
        ("NULL, NULL, NULL", "p_limit is NULL"),
        ("'-1 s'", "p_recovery_after is -00:00:01"),
        ("NULL, '0 s'", "p_silence_after is 00:00:00"),
    ):
        with pytest.raises(Exception, match=f"{named}, it must"):
            await alerts.rows(f"SELECT pggit.resolve_recovered_episodes({arguments})")
    await alerts.rows("SELECT pggit.resolve_recovered_episodes('1 min', '2 hours')")
    await alerts.rows("SELECT pggit.resolve_recovered_episodes(NULL, NULL)")
    assert await alerts.rows("SELECT recovery_after::text, silence_after::text FROM pggit.alert_lifecycle_policy") == [
        ("00:01:00", "02:00:00")
    ]
    await alerts.rows("DELETE FROM pggit.alert_lifecycle_policy")
    await alerts.setting()
    await raised(alerts)
    assert await alerts.rows(RESOLVE) == [(1, 0, 0)]
    for arguments in ("NULL, NULL, NULL", "'x', 'ANOMALY', 0", "'commit', NULL, NULL", "NULL, 'ANOMALY', 1, 5"):
        assert await alerts.value(f"SELECT pggit.operation_recovered({arguments})") is False


async def test_silence_alone_is_no_recovery(alerts: Alerts) -> None:
    """Without a metric since the alert the episode stays open for a day, and is then closed by a note that says so."""
    await alerts.rows(BASELINE)
    await alerts.setting()
    await alerts.metric("commit", 20_000)
    alert = await raised(alerts, "23 hours")
    await alerts.metric("merge", 20_000)
    await alerts.metric("commit", 100_001)
    assert await alerts.rows(RESOLVE) == [(1, 0, 0)]
    await alerts.rows("UPDATE pggit.alert_episode_member SET occurred_at = occurred_at - interval '1 hour 1 second'")
    assert await alerts.rows(RESOLVE) == [(1, 0, 1)]
    assert await alerts.route() == (1, 1, 0)
    (note,) = await alerts.queue("alert ->> 'note'", "event = 'resolved'")
    assert "no proof of recovery" in note[0]
    assert await alerts.queue("alert_id", "event = 'resolved'") == [(alert,)]
    assert await alerts.rows(RESOLVE) == [(0, 0, 0)]


@pytest.mark.parametrize(
    ("alert_type", "durations", "over"),
    [
        ("THRESHOLD_EXCEEDED", [100_000], True),
        ("THRESHOLD_EXCEEDED", [100_001], False),
        ("THRESHOLD_EXCEEDED", [900_000, 100_000, 900_000], True),
        ("ANOMALY", [50_000], True),
        ("ANOMALY", [50_001], False),
        ("DEGRADATION", [24_000] * 10, True),
        ("DEGRADATION", [24_000] * 9, False),
        ("DEGRADATION", [24_001] * 10, False),
        ("DEGRADATION", [24_000] * 6 + [90_000] * 5, True),
    ],
)
async def test_what_counts_as_normal(alerts: Alerts, alert_type: str, durations: list[int], over: bool) -> None:
    """The limits are inclusive: p99 times the multiplier, p99, or a median of ten at most a fifth above p50."""
    await alerts.rows(BASELINE)
    await alerts.setting()
    await raised(alerts, alert_type=alert_type, baseline=None)
    for duration in durations:
        await alerts.metric("commit", duration)
    assert await alerts.rows(RESOLVE) == [(1, int(over), 0)]


async def test_without_a_baseline_the_alerts_own_p99_is_the_measure(alerts: Alerts) -> None:
    """A baseline that is gone is stood in for by what the alert was raised with; without that nothing is proven."""
    await alerts.setting()
    await raised(alerts, baseline=40_000)
    await raised(alerts, operation="merge", baseline=None)
    await alerts.metric("commit", 80_001)
    await alerts.metric("merge", 1)
    assert await alerts.rows(RESOLVE) == [(2, 0, 0)]
    await alerts.metric("commit", 80_000)
    assert await alerts.rows(RESOLVE) == [(2, 1, 0)]


async def test_a_branchs_own_baseline_judges_its_metrics(alerts: Alerts) -> None:
    """A metric is held against the newest baseline that is its branch's or everybody's, as when alerts are raised."""
    await alerts.rows("INSERT INTO pggit.branches (branch_name, created_by) VALUES ('x', 'app')")
    branch = await alerts.value("SELECT max(branch_id) FROM pggit.branches")
    await alerts.rows(BASELINE)
    await alerts.rows(
        BASELINE.replace("NULL, current_date", f"{branch}, current_date").replace("50000", "45000")
        + "RETURNING baseline_id"
    )
    await alerts.rows("UPDATE pggit.performance_baselines SET calculation_timestamp = 'today' WHERE branch_id IS NULL")
    await alerts.setting()
    await raised(alerts)
    metric = await alerts.metric("commit", 95_000)
    await alerts.rows("UPDATE pggit.performance_metrics SET branch_id = %s WHERE metric_id = %s", branch, metric)
    assert await alerts.rows(RESOLVE) == [(1, 0, 0)]
    await alerts.metric("commit", 95_000)
    assert await alerts.rows(RESOLVE) == [(1, 1, 0)]


async def test_recovery_waits_for_its_time(alerts: Alerts) -> None:
    """An operation that is normal again is not called recovered before the time that was set."""
    await alerts.setting()
    await raised(alerts, "14 minutes 50 seconds")
    await alerts.metric("commit", 50)
    assert await alerts.rows(RESOLVE) == [(1, 0, 0)]
    await alerts.rows("UPDATE pggit.alert_episode_member SET occurred_at = occurred_at - interval '11 seconds'")
    assert await alerts.rows(RESOLVE) == [(1, 1, 0)]


async def test_who_was_told_hears_that_it_is_over(alerts: Alerts) -> None:
    """Told settings get one 'resolved' for the episode, held ones later, those that decline or were not told none."""
    told = await alerts.setting("pagerduty")
    declines = await alerts.setting("email")
    off = await alerts.setting()
    other = await alerts.setting(severity="INFO")
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET send_resolved = FALSE WHERE setting_id = %s", declines
    )
    await raised(alerts, microseconds=400_000)
    last = await raised(alerts)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", off)
    await alerts.metric("commit", 50)
    assert await alerts.rows(RESOLVE) == [(1, 1, 0)]
    assert await alerts.route() == (1, 2, 0)
    assert await alerts.queue(
        "alert_id, setting_id, group_key, next_attempt_at = 'infinity', alert ->> 'episode', alert -> 'actor', urgency",
        "event = 'resolved'",
    ) == [
        (last, told, "commit/THRESHOLD_EXCEEDED", False, "1", None, 1),
        (last, off, "commit/THRESHOLD_EXCEEDED", True, "1", None, 1),
    ]
    assert other not in await alerts.column("SELECT setting_id FROM pggit.alert_notification_queue")
    (note,) = set(await alerts.queue("alert ->> 'note'", "event = 'resolved'"))
    assert note[0].startswith("Back to normal. It began at ")
    assert note[0].endswith("2 alerts in 0 s, the worst 8.0 times the baseline.")
    assert await alerts.outbox() == []
