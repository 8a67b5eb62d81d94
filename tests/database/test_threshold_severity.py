"""From which multiple of its p99 a threshold alert is CRITICAL, and what that does on its way."""

import pytest
from psycopg import errors

from support.alerts import Alerts

pytestmark = pytest.mark.servers


async def rule(alerts: Alerts, pattern: str, multiple: object) -> None:
    """Set the multiple for a pattern of operations."""
    await alerts.rows(
        "INSERT INTO pggit.alert_severity_rule (operation_pattern, critical_multiple) VALUES (%s, %s)"
        " ON CONFLICT (operation_pattern) DO UPDATE SET critical_multiple = excluded.critical_multiple",
        pattern,
        multiple,
    )


async def critical(alerts: Alerts, operation: str | None, kind: str | None, took: int | None, p99: int | None) -> bool:
    """Ask the rule."""
    found = await alerts.value("SELECT pggit.threshold_is_critical(%s, %s, %s, %s)", operation, kind, took, p99)
    assert isinstance(found, bool)
    return found


async def test_ten_times_p99_is_critical_by_default(alerts: Alerts) -> None:
    """The bound belongs to it; what is NULL, of no p99 or of another type is not; no figure overflows."""
    cases: list[tuple[str | None, str | None, int | None, int | None, bool]] = [
        ("commit", "THRESHOLD_EXCEEDED", 10_000, 1000, True),
        ("commit", "THRESHOLD_EXCEEDED", 9_999, 1000, False),
        ("commit", "ANOMALY", 10_000, 1000, False),
        ("commit", "THRESHOLD_EXCEEDED", 10_000, 0, False),
        ("commit", "THRESHOLD_EXCEEDED", 10_000, None, False),
        ("commit", "THRESHOLD_EXCEEDED", None, 1000, False),
        ("commit", None, 10_000, 1000, False),
        (None, "THRESHOLD_EXCEEDED", 10_000, 1000, True),
        ("commit", "THRESHOLD_EXCEEDED", 2**63 - 1, 2**62, False),
        ("no such operation", "THRESHOLD_EXCEEDED", 2**63 - 1, 1, True),
    ]
    for operation, kind, took, p99, expected in cases:
        assert await critical(alerts, operation, kind, took, p99) is expected, (operation, kind, took, p99)


async def test_the_longest_pattern_that_matches_decides(alerts: Alerts) -> None:
    """A rule per pattern, a pattern that switches it off, and none at all."""
    kind = "THRESHOLD_EXCEEDED"
    await rule(alerts, "merge*", 3)
    await rule(alerts, "merge_b*", None)
    assert await critical(alerts, "merge", kind, 3000, 1000) is True
    assert await critical(alerts, "commit", kind, 3000, 1000) is False
    assert await critical(alerts, "merge_branch", kind, 90_000, 1000) is False
    await alerts.rows("DELETE FROM pggit.alert_severity_rule")
    assert await critical(alerts, "commit", kind, 90_000, 1000) is False


async def test_a_multiple_is_a_number_above_one(alerts: Alerts) -> None:
    """What could make every alert CRITICAL, or compare with nothing, is refused."""
    for multiple in ("1", "0", "-3", "NaN", "Infinity"):
        with pytest.raises(errors.CheckViolation, match="alert_severity_rule_multiple_is_above_one"):
            await rule(alerts, "x", multiple)


async def test_an_alert_far_beyond_its_threshold_is_routed_as_critical(alerts: Alerts) -> None:
    """It is stored and routed once, as CRITICAL, and is not said to keep coming back; others stay WARNING."""
    await alerts.setting(severity="CRITICAL")
    far = await alerts.alert(microseconds=500_000, baseline=50_000)
    near = await alerts.routed_alert("merge", microseconds=499_999, baseline=50_000)
    assert await alerts.queue("alert_id, urgency, alert ->> 'severity', alert ->> 'escalated'") == [
        (far, 0, "CRITICAL", None)
    ]
    severities = "SELECT severity FROM pggit.performance_alerts WHERE alert_id = ANY (%s) ORDER BY alert_id"
    assert await alerts.column(severities, [far, near]) == ["CRITICAL", "WARNING"]
    assert await alerts.outbox() == []


async def test_an_alert_that_also_keeps_coming_back_says_so(alerts: Alerts) -> None:
    """Both reasons make one CRITICAL, and the message names the repetition."""
    await alerts.setting()
    await alerts.routed_alert(ago="10 minutes", count=3)
    await alerts.alert(microseconds=500_000, baseline=50_000)
    await alerts.route()
    assert (await alerts.queue("alert ->> 'severity', alert ->> 'escalated'"))[-1] == ("CRITICAL", "true")


async def test_checking_one_alert_follows_the_rule(alerts: Alerts) -> None:
    """check_alert_escalation raises it and has it routed again for those who hear of CRITICAL only."""
    await alerts.setting(severity="CRITICAL")
    await alerts.rows("DELETE FROM pggit.alert_severity_rule")
    alert = await alerts.routed_alert(microseconds=500_000, baseline=50_000)
    assert await alerts.queue("alert_id") == []
    await rule(alerts, "commit", 5)
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", alert) == "CRITICAL"
    await alerts.route()
    assert await alerts.queue("alert_id") == [(alert,)]


async def test_what_pggit_records_becomes_critical_on_its_way(alerts: Alerts) -> None:
    """The record_performance_metric of pgGit writes WARNING; ten times the p99 arrives as CRITICAL."""
    await alerts.setting()
    await alerts.rows("SELECT pggit.record_performance_metric('commit', 1000) FROM generate_series(1, 12)")
    await alerts.rows("SELECT * FROM pggit.recalculate_baseline('commit')")
    await alerts.rows("SELECT pggit.record_performance_metric('commit', 10000)")
    assert await alerts.column("SELECT severity FROM pggit.performance_alerts") == ["WARNING"]
    await alerts.route()
    assert await alerts.column("SELECT severity FROM pggit.performance_alerts") == ["CRITICAL"]
