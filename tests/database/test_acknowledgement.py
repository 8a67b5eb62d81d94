"""Acknowledging and resolving by hand: who may, who is recorded, who hears of it, and that the writer never suffers."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict

from support.alerts import Alerts

pytestmark = pytest.mark.servers

EVENTS = "SELECT alert_id, event, actor, role_name, note FROM pggit.alert_lifecycle_event ORDER BY lifecycle_event_id"
ACKNOWLEDGED = "alert_id, setting_id, alert ->> 'actor', alert ->> 'note'"


async def test_those_who_were_told_hear_who_acknowledged(alerts: Alerts) -> None:
    """Sent or still waiting counts as told; failed, declining and unmatched settings hear nothing."""
    told = await alerts.setting("pagerduty")
    waiting = await alerts.setting()
    failed = await alerts.setting("email")
    declines = await alerts.setting("email")
    await alerts.setting(severity="CRITICAL")
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET send_acknowledged = FALSE WHERE setting_id = %s", declines
    )
    alert = await alerts.routed_alert()
    for setting, status in ((told, "sent"), (failed, "failed")):
        await alerts.rows(
            "UPDATE pggit.alert_notification_queue SET status = %s WHERE setting_id = %s", status, setting
        )
    await alerts.rows("SELECT pggit.acknowledge_performance_alert(%s, 'ann', 'on it')", alert)
    assert await alerts.outbox() == [alert]
    assert await alerts.route() == (1, 2, 0)
    assert await alerts.queue(ACKNOWLEDGED, "event = 'acknowledged'") == [
        (alert, told, "ann", "on it"),
        (alert, waiting, "ann", "on it"),
    ]
    assert await alerts.value("SELECT acknowledged_by FROM pggit.alert_episode") == "ann"


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("broken", ["notification_channel = 'pigeon'", "config = '{}'"])
async def test_a_setting_that_can_not_work_any_more_is_a_dead_letter_at_once(
    alerts: Alerts, broken: str, enabled: bool
) -> None:
    """What no lane would ever claim fails with a log row, switched off or not; the other settings hear as ever."""
    told, gone = await alerts.setting(), await alerts.setting("email")
    alert = await alerts.routed_alert()
    await alerts.rows(
        f"UPDATE pggit.alert_notification_settings SET {broken}, enabled = %s WHERE setting_id = %s",  # noqa: S608
        enabled,
        gone,
    )
    await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", alert)
    assert await alerts.route() == (1, 1, 0)
    assert await alerts.queue("setting_id, status, processed_at IS NULL", "event = 'acknowledged'") == [
        (told, "pending", True),
        (gone, "failed", False),
    ]
    row = (await alerts.log("setting_id, event, status, reason, error_message, queue_id"))[-1]
    assert row[:4] == (gone, "acknowledged", "failed", "invalid_setting")
    assert row[4].startswith(f"setting {gone}: ")
    assert await alerts.queue("setting_id, event", f"queue_id = {row[5]}") == [(gone, "acknowledged")]


async def test_the_real_user_is_recorded_beside_the_name_given(alerts: Alerts, database: str) -> None:
    """A role with its grants of weeks 1 and 2 acknowledges under any name; the log says which role it was."""
    await alerts.setting()
    alert = await alerts.alert()
    role = f"app_of_{conninfo_to_dict(database)['dbname']}"
    name = sql.Identifier(role)
    for statement in (
        "CREATE ROLE {} LOGIN",
        "GRANT USAGE ON SCHEMA pggit TO {}",
        "GRANT SELECT, UPDATE ON pggit.performance_alerts TO {}",
    ):
        await alerts.connection.execute(sql.SQL(statement).format(name))
    async with await AsyncConnection.connect(database, autocommit=True) as session:
        application = Alerts(session)
        await session.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(name))
        await application.rows("SELECT pggit.acknowledge_performance_alert(%s, 'the boss', NULL)", alert)
        assert application.notices == []
        for call in ("acknowledge_alert(1)", "resolve_alert(1)", "escalate_unacknowledged()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await application.rows(f"SELECT pggit.{call}")
    assert await alerts.rows(EVENTS) == [(alert, "acknowledged", "the boss", role, None)]
    await alerts.connection.execute(sql.SQL("DROP OWNED BY {0}").format(name))
    await alerts.connection.execute(sql.SQL("DROP ROLE {}").format(name))


async def test_operators_acknowledge_and_resolve_without_rights_on_the_table(alerts: Alerts) -> None:
    """The operator's role is enough, defaults name the role that is logged in, and saying it twice does nothing."""
    await alerts.setting()
    alert = await alerts.routed_alert()
    await alerts.rows("SET ROLE pggit_alertd_operator")
    assert await alerts.value("SELECT pggit.acknowledge_alert(%s)", alert) is True
    assert await alerts.value("SELECT pggit.acknowledge_alert(%s, 'bob')", alert) is False
    assert await alerts.value("SELECT pggit.resolve_alert(%s, 'bob', 'disk replaced')", alert) is True
    assert await alerts.value("SELECT pggit.resolve_alert(%s)", alert) is False
    await alerts.rows("RESET ROLE")
    me = await alerts.value("SELECT session_user::text")
    events = await alerts.rows(EVENTS)
    assert [row[:4] for row in events] == [(alert, "acknowledged", me, me), (alert, "resolved", "bob", me)]
    assert events[1][4].startswith("disk replaced. It began at ")
    assert "was acknowledged by" in alerts.notices[0]
    assert "was resolved before" in alerts.notices[1]


async def test_unknown_alerts_are_named_in_a_notice(alerts: Alerts) -> None:
    """NULL and unknown ids return false and say so; an alert that is not routed yet can't be resolved."""
    for unknown in ("NULL", "0", "9223372036854775807"):
        assert await alerts.value(f"SELECT pggit.acknowledge_alert({unknown})") is False
        assert await alerts.value(f"SELECT pggit.resolve_alert({unknown})") is False
    assert len(alerts.notices) == 6
    assert all("there is no alert" in notice for notice in alerts.notices)
    unrouted = await alerts.alert()
    assert await alerts.value("SELECT pggit.resolve_alert(%s, NULL, NULL)", unrouted) is False
    assert await alerts.rows("SELECT * FROM pggit.queue_lifecycle_notifications(NULL, NULL, NULL)") == [(0, [], {})]
    assert await alerts.rows(
        "SELECT * FROM pggit.queue_lifecycle_notifications('{4711, NULL}', '{acknowledged, resolved}', '{NULL}')"
    ) == [(0, [], {"nobody_was_told": 2})]
    assert await alerts.rows("SELECT * FROM pggit.latest_lifecycle_event(NULL, NULL)") == []


async def test_only_the_change_to_acknowledged_counts(alerts: Alerts, database: str) -> None:
    """One NOTIFY a statement; other updates, a second acknowledgement and taking one back publish nothing."""
    async with await AsyncConnection.connect(database, autocommit=True) as listener:
        await alerts.routed_alert(count=5)
        await listener.execute("LISTEN pggit_alert")

        async def heard() -> int:
            await listener.execute("SELECT")
            return len([notice async for notice in listener.notifies(timeout=0)])

        await alerts.rows("UPDATE pggit.performance_alerts SET user_name = 'x'")
        await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = NULL")
        assert (await heard(), await alerts.outbox()) == (0, [])
        await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE")
        assert (await heard(), len(await alerts.outbox())) == (1, 5)
        await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE, acknowledged_by = 'y'")
        await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = FALSE")
        assert (await heard(), len(await alerts.outbox())) == (0, 5)
        assert len(await alerts.rows(EVENTS)) == 5


@pytest.mark.parametrize("table", ["alert_outbox", "alert_lifecycle_event"])
async def test_no_fault_or_lock_of_ours_reaches_who_acknowledges(alerts: Alerts, database: str, table: str) -> None:
    """With our tables locked or gone the acknowledgement is stored within the time-out, with a warning, and logged."""
    await alerts.setting()
    first = await alerts.alert()
    second = await alerts.routed_alert(operation="merge")
    async with await AsyncConnection.connect(database) as other:
        await other.execute(sql.SQL("LOCK TABLE pggit.{}").format(sql.Identifier(table)))
        async with asyncio.timeout(20):
            await alerts.rows("SELECT pggit.acknowledge_performance_alert(%s, 'ann')", first)
    assert "WARNING: acknowledged, but" in alerts.notices[-1]
    assert await alerts.value("SELECT is_acknowledged FROM pggit.performance_alerts WHERE alert_id = %s", first) is True
    assert await alerts.log("alert_id, event, reason") == [(first, "acknowledged", "not_queued")]
    assert await alerts.value("SELECT pggit.requeue_missed_alerts()") == 1
    assert await alerts.route() == (1, 1, 0)
    await alerts.connection.execute(sql.SQL("ALTER TABLE pggit.{0} RENAME TO gone").format(sql.Identifier(table)))
    await alerts.rows("SELECT pggit.acknowledge_performance_alert(%s, 'ann')", second)
    assert "WARNING: acknowledged, but" in alerts.notices[-1]
    assert await alerts.value("SELECT bool_and(is_acknowledged) FROM pggit.performance_alerts") is True


async def test_the_same_word_is_said_once_an_episode(alerts: Alerts) -> None:
    """A storm acknowledged at once is one message a setting, every alert has its log row, and a new word is sent."""
    setting = await alerts.setting()
    last = await alerts.routed_alert(count=120, alert_type="ANOMALY")
    await alerts.rows(
        "UPDATE pggit.performance_alerts SET is_acknowledged = TRUE, acknowledged_by = 'ann' WHERE alert_id < %s", last
    )
    while (await alerts.route(50))[0]:
        pass
    assert len(await alerts.queue(ACKNOWLEDGED, "event = 'acknowledged'")) == 1
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_log WHERE reason = 'already_told'") == 118
    await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'bob', 'taking over')", last)
    await alerts.route()
    assert (last, setting, "bob", "taking over") in await alerts.queue(ACKNOWLEDGED, "event = 'acknowledged'")


async def test_an_acknowledgement_never_overtakes_its_alert_in_routing(alerts: Alerts, database: str) -> None:
    """Acknowledged before it was routed: in one batch, in the next one, or while another router has the alert."""
    setting = await alerts.setting()
    one = await alerts.alert()
    await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", one)
    assert await alerts.route() == (2, 2, 0)
    two = await alerts.alert(operation="merge")
    await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", two)
    assert (await alerts.route(1))[:2] == (1, 0)
    assert (await alerts.route())[:2] == (1, 1)
    await alerts.rows("UPDATE pggit.alert_outbox SET routed_at = routed_at - interval '2 seconds'")
    assert (await alerts.route())[:2] == (0, 1)
    three = await alerts.alert(operation="branch_create")
    async with await AsyncConnection.connect(database) as router:
        assert (await Alerts(router).route())[:2] == (1, 1)
        await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", three)
        assert (await alerts.route())[:2] == (1, 0)
        await router.commit()
    await alerts.rows("UPDATE pggit.alert_outbox SET routed_at = routed_at - interval '2 seconds'")
    await alerts.route()
    assert await alerts.outbox() == []
    assert [row[:3] for row in await alerts.queue(ACKNOWLEDGED, "event = 'acknowledged'")] == [
        (alert, setting, "ann") for alert in (one, two, three)
    ]


async def test_acknowledging_what_is_over_or_was_told_to_nobody_is_logged(alerts: Alerts) -> None:
    """No message, but a log row with the reason."""
    nobody = await alerts.routed_alert(operation="merge")
    await alerts.setting()
    over = await alerts.routed_alert()
    await alerts.rows("SELECT pggit.resolve_alert(%s)", over)
    await alerts.route()
    for alert in (nobody, over):
        await alerts.rows("SELECT pggit.acknowledge_alert(%s)", alert)
    assert await alerts.route() == (2, 0, 0)
    assert {(nobody, "suppressed", "nobody_was_told"), (over, "suppressed", "already_resolved")} <= set(
        await alerts.log()
    )


async def test_two_sessions_that_acknowledge_and_resolve_at_once_take_turns(alerts: Alerts, database: str) -> None:
    """The second one waits, finds it done, and says so; one event of each kind is published."""
    await alerts.setting()
    alert = await alerts.routed_alert()
    for call in ("acknowledge_alert", "resolve_alert"):
        statement = f"SELECT pggit.{call}(%s, 'ann')"
        async with await AsyncConnection.connect(database) as one, await AsyncConnection.connect(database) as two:
            assert await Alerts(one).value(statement, alert) is True
            second = asyncio.create_task(Alerts(two).value(statement, alert))
            await alerts.somebody_waits()
            await one.commit()
            async with asyncio.timeout(20):
                assert await second is False
            await two.commit()
    assert [row[1] for row in await alerts.rows(EVENTS)] == ["acknowledged", "resolved"]
