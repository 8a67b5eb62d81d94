"""The life of an incident through the real daemon: opened, folded, acknowledged, escalated, resolved, opened anew."""

import pytest

from support.daemon import ROUTING_KEY, Stage

BASELINE = """
INSERT INTO pggit.performance_baselines (operation_type, baseline_date, sample_count, min_microseconds,
    max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
    mean_microseconds, stddev_microseconds, is_active)
VALUES ('commit', current_date, 100, 10000, 60000, 20000, 30000, 40000, 45000, 50000, 21000, 5000, TRUE)
"""
RECORD = "SELECT pggit.record_performance_metric('commit', %s)"
RECOVERED = "SELECT recovered FROM pggit.resolve_recovered_episodes('0 seconds', NULL)"


def incidents(stage: Stage) -> list[list[str]]:
    """Return what was done to each of PagerDuty's incidents, the oldest first."""
    return list(stage.http.incidents.values())


@pytest.mark.servers
async def test_a_run_of_alerts_is_one_incident_from_its_first_alert_to_its_recovery(set_up: Stage) -> None:
    """Two alerts fold, acknowledgement and recovery reach the same incident, and the next alert opens another."""
    await set_up.pagerduty()
    await set_up.slack()
    await set_up.alerts.rows(BASELINE)
    # The test looks for recoveries itself; what the daemon's job has in hand at a full minute it would pass over.
    await set_up.alerts.rows("UPDATE pggit.scheduled_job SET enabled = FALSE WHERE job = 'recovery'")
    daemon = await set_up.run()
    await set_up.alerts.rows(RECORD, 250_000)
    await set_up.settled(2)
    await set_up.alerts.rows(RECORD, 300_000)
    await set_up.settled(4)
    assert incidents(set_up) == [["trigger", "trigger"]]
    await set_up.alerts.rows(
        "SELECT pggit.acknowledge_performance_alert(min(alert_id), 'ann') FROM pggit.performance_alerts"
    )
    await set_up.settled(6)
    assert incidents(set_up) == [["trigger", "trigger", "acknowledge"]]
    assert await set_up.alerts.column(RECOVERED) == [0], "nothing was measured since"
    await set_up.alerts.rows(RECORD, 20_000)
    assert await set_up.alerts.column(RECOVERED) == [1]
    await set_up.settled(8)
    assert incidents(set_up) == [["trigger", "trigger", "acknowledge", "resolve"]]
    await set_up.alerts.rows(RECORD, 250_000)
    await set_up.settled(10)
    assert incidents(set_up) == [["trigger", "trigger", "acknowledge", "resolve"], ["trigger"]]
    assert await set_up.statuses() == {"sent": 10}
    assert {key for key, _ in set_up.http.incidents} == {ROUTING_KEY}
    assert await daemon.stop() == 0


async def test_the_daemon_resolves_by_itself(set_up: Stage) -> None:
    """Its job finds the operation normal again, without anybody calling it, and keeps to the times that were set."""
    await set_up.pagerduty()
    await set_up.alerts.rows(BASELINE)
    await set_up.alerts.rows(RECORD, 250_000)
    await set_up.alerts.route()
    await set_up.alerts.rows(RECORD, 20_000)
    daemon = await set_up.run(recovery_after=0, episode_silence=7200)
    await set_up.settled(2)
    assert incidents(set_up) == [["trigger", "resolve"]]
    assert await set_up.alerts.value("SELECT silence_after::text FROM pggit.alert_lifecycle_policy") == "02:00:00"
    assert await daemon.stop() == 0


async def test_an_escalation_survives_a_restart_and_is_taken_once_by_two_replicas(set_up: Stage) -> None:
    """What was begun under one daemon goes on under the next two: each step one message, none after acknowledgement."""
    steps = [
        await set_up.slack("FIRSTXXXXXXXXXXXXXXXXXXX", severity="CRITICAL"),
        await set_up.slack("SECONDXXXXXXXXXXXXXXXXXX", alert_type="ESCALATION"),
        await set_up.slack("THIRDXXXXXXXXXXXXXXXXXXX", alert_type="ESCALATION"),
    ]
    await set_up.alerts.rows(
        "INSERT INTO pggit.alert_escalation_step (chain, position, setting_id, wait)"
        " SELECT 'ops', n, s, '1 hour' FROM unnest(%s::integer[]) WITH ORDINALITY AS step (s, n)",
        steps,
    )
    daemon = await set_up.run()
    alert = await set_up.alerts.alert(severity="CRITICAL")
    await set_up.settled(1)
    assert await daemon.stop() == 0
    await set_up.alerts.rows("UPDATE pggit.alert_escalation SET due_at = now()")
    daemons = [await set_up.run(worker_name=f"replica-{number}") for number in (1, 2)]
    await set_up.settled(2)
    assert set_up.requests("SECOND").total() == 1
    await set_up.alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", alert)
    await set_up.settled(4)
    await set_up.alerts.rows("UPDATE pggit.alert_escalation SET due_at = now()")
    await set_up.alerts.rows("NOTIFY pggit_alert")
    await set_up.until("SELECT ended_reason FROM pggit.alert_escalation", "acknowledged")
    assert [set_up.requests(name).total() for name in ("FIRST", "SECOND", "THIRD")] == [2, 2, 0]
    for each in daemons:
        assert await each.stop() == 0
