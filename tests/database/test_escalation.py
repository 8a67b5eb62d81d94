"""Three earlier alerts of one operation and type within an hour make one CRITICAL: the bounds, the races, the cost."""

import asyncio

import pytest
from psycopg import AsyncConnection

from support.alerts import Alerts

pytestmark = pytest.mark.servers

NOON = "2026-03-10 12:00:00"


async def at(alerts: Alerts, *times: str, operation: str = "commit", alert_type: str = "ANOMALY") -> int:
    """Insert one alert per time and return the id of the last."""
    metric = await alerts.metric(operation)
    ids = [
        await alerts.value(
            "INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity,"
            " actual_duration_microseconds, created_at) VALUES (%s, %s, %s, 'WARNING', 5, %s::timestamp)"
            " RETURNING alert_id",
            metric,
            operation,
            alert_type,
            time,
        )
        for time in times
    ]
    return int(ids[-1])


async def severity(alerts: Alerts, alert: int) -> str:
    """Return the stored severity of an alert."""
    return str(await alerts.value("SELECT severity FROM pggit.performance_alerts WHERE alert_id = %s", alert))


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], "WARNING"),
        (["11:10", "11:20"], "WARNING"),
        (["11:10", "11:20", "11:30"], "CRITICAL"),
        (["11:00:00", "11:20", "11:30"], "CRITICAL"),
        (["10:59:59.999999", "11:20", "11:30"], "WARNING"),
        (["12:00", "12:00", "12:00"], "CRITICAL"),
        (["12:00:00.000001", "11:20", "11:30"], "WARNING"),
        (["11:00", "11:00", "11:00"], "CRITICAL"),
    ],
    ids=["none", "two", "three", "exactly an hour", "a microsecond more", "ties", "a later one", "three at the bound"],
)
async def test_three_earlier_alerts_within_an_hour_escalate(alerts: Alerts, earlier: list[str], expected: str) -> None:
    """The bound of an hour counts, a later alert doesn't, and of alerts with one time smaller ids are earlier."""
    if earlier:
        await at(alerts, *(f"2026-03-10 {time}" for time in earlier))
    alert = await at(alerts, NOON)
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", alert) == expected
    assert await severity(alerts, alert) == expected
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", alert) == expected


async def test_only_the_same_operation_and_type_count(alerts: Alerts) -> None:
    """Other operations, other types and later alerts of the same kind are no reason to escalate."""
    await at(alerts, *["2026-03-10 11:30"] * 5, operation="merge")
    await at(alerts, *["2026-03-10 11:30"] * 5, alert_type="DEGRADATION")
    alert = await at(alerts, NOON)
    await at(alerts, *["2026-03-10 12:30"] * 5)
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", alert) == "WARNING"


async def test_in_a_row_of_alerts_the_first_three_stay_as_they_are(alerts: Alerts) -> None:
    """Routed together or one by one, as one statement or many, alerts four and on escalate and those before don't."""
    await alerts.setting()
    for operation, batch in (("one statement", 500), ("routed in pieces", 2)):
        await alerts.alert(operation, count=6)
        while (await alerts.route(batch))[0]:
            pass
        assert (
            await alerts.column(
                "SELECT severity FROM pggit.performance_alerts WHERE operation_type = %s ORDER BY alert_id", operation
            )
            == ["WARNING"] * 3 + ["CRITICAL"] * 3
        )
    assert (
        await alerts.queue("urgency, alert ->> 'severity', alert ->> 'escalated'")
        == ([(1, "WARNING", None)] * 3 + [(0, "CRITICAL", "true")] * 3) * 2
    )


async def test_threshold_and_window_can_be_given(alerts: Alerts) -> None:
    """Tests and operators may choose both; what makes no sense is refused with the defaults named."""
    await at(alerts, "2026-03-10 11:59:58", "2026-03-10 09:00")
    alert = await at(alerts, NOON)
    check = "SELECT pggit.check_alert_escalation(%s, %s, %s::interval)"
    for threshold, window, expected in (
        (1, "1 s", "WARNING"),
        (2, "1 h", "WARNING"),
        (3, "1000000 years", "WARNING"),
        (2, "3 h", "CRITICAL"),
    ):
        assert await alerts.value(check, alert, threshold, window) == expected
    refused: list[tuple[int | None, str | None]] = [(0, "1 h"), (None, "1 h"), (1, None), (1, "-1 s")]
    for odd_threshold, odd_window in refused:
        with pytest.raises(Exception, match=r"(p_threshold is (0|NULL)|p_window is (NULL|-00:00:01)), it must"):
            await alerts.value(check, alert, odd_threshold, odd_window)
    due = "SELECT pggit.alert_escalation_due(%s, 'commit', 'ANOMALY', %s::timestamp, %s)"
    assert await alerts.value(due, None, None, None) is not True
    assert await alerts.value(due, alert, NOON, 0) is False
    assert await alerts.value(due, alert, "4714-11-24 BC", 1) is False
    assert await alerts.value(due, alert, "infinity", 1) is False


async def test_what_is_critical_or_info_or_null_gets_a_defined_answer(alerts: Alerts) -> None:
    """CRITICAL stays and is not routed again; INFO and NULL escalate; NULL without cause reads WARNING."""
    await alerts.setting()
    already = await alerts.alert(severity="CRITICAL")
    none = await alerts.routed_alert("other", severity=None)
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", already) == "CRITICAL"
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", none) == "WARNING"
    assert await alerts.outbox() == []
    await alerts.alert(severity="INFO", count=3)
    last = await alerts.routed_alert(severity="INFO")
    assert await severity(alerts, last) == "CRITICAL"


async def test_two_checks_at_once_escalate_once(alerts: Alerts, database: str) -> None:
    """The second waits for the first, finds the alert CRITICAL, and both say so; it is routed once more, not twice."""
    await alerts.setting("slack", severity="WARNING")
    critical = await alerts.setting("email", severity="CRITICAL")
    alert = await alerts.routed_alert()
    await alerts.alert(ago="10 minutes", count=3)
    await alerts.rows("DELETE FROM pggit.alert_outbox")
    async with (
        await AsyncConnection.connect(database) as first,
        await AsyncConnection.connect(database, autocommit=True) as second,
    ):
        assert await Alerts(first).value("SELECT pggit.check_alert_escalation(%s)", alert) == "CRITICAL"
        waiting = asyncio.create_task(Alerts(second).value("SELECT pggit.check_alert_escalation(%s)", alert))
        await alerts.somebody_waits()
        await first.commit()
        async with asyncio.timeout(20):
            assert await waiting == "CRITICAL"
    assert await alerts.outbox() == [alert]
    assert await alerts.route() == (1, 1, 0)
    assert await alerts.queue("setting_id, urgency") == [(1, 1), (critical, 0)]


async def test_an_escalation_while_the_router_holds_the_alert_is_not_lost(alerts: Alerts, database: str) -> None:
    """A check that meets a router which has just read the old severity leaves the alert for another round."""
    await alerts.setting("slack", severity="WARNING")
    critical = await alerts.setting("email", severity="CRITICAL")
    await alerts.alert(ago="10 minutes")
    await alerts.rows("DELETE FROM pggit.alert_outbox")
    alert = await alerts.alert()
    async with (
        await AsyncConnection.connect(database) as router,
        await AsyncConnection.connect(database, autocommit=True) as user,
    ):
        await router.execute("SELECT FROM pggit.alert_outbox FOR UPDATE")
        checking = asyncio.create_task(Alerts(user).value("SELECT pggit.check_alert_escalation(%s, 1)", alert))
        await alerts.somebody_waits()
        assert await Alerts(router).route() == (1, 1, 0)
        await router.commit()
        async with asyncio.timeout(20):
            assert await checking == "CRITICAL"
    assert await alerts.outbox() == [alert]
    assert await alerts.route() == (1, 1, 0)
    assert await alerts.queue("setting_id", "alert_id = " + str(alert)) == [(1,), (critical,)]


async def test_an_escalated_alert_is_heard_of_once_per_setting(alerts: Alerts) -> None:
    """Settings for the new severity hear of it, those that match both severities don't hear twice."""
    everything = await alerts.setting()
    await alerts.setting("email", severity="WARNING")
    critical = await alerts.setting("pagerduty", severity="CRITICAL")
    alert = await alerts.routed_alert()
    await alerts.alert(ago="5 minutes", count=3)
    assert await alerts.value("SELECT pggit.check_alert_escalation(%s)", alert) == "CRITICAL"
    await alerts.route()
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    heard = await alerts.queue("setting_id", f"alert_id = {alert}")
    assert heard == [(everything,), (everything + 1,), (critical,)]


async def test_a_storm_costs_the_same_for_each_alert(alerts: Alerts) -> None:
    """Of 20,000 alerts of one operation the last batch touches as many blocks as an early one, give or take half."""
    await alerts.setting()
    await alerts.alert(count=20_000)
    await alerts.rows("ANALYZE pggit.performance_alerts")
    blocks = []
    while True:
        plan = (
            await alerts.column(
                "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT * FROM pggit.route_alerts(1000)"
            )
        )[0][0]["Plan"]
        if not await alerts.outbox():
            break
        blocks.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    assert len(blocks) == 19
    assert max(blocks[1:]) < 2 * min(blocks[1:]), blocks
    assert max(blocks) < 1000 * 80, blocks
    assert await alerts.value("SELECT count(*) FROM pggit.performance_alerts WHERE severity = 'CRITICAL'") == 19_997
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE urgency = 0") == 19_997
