"""The trigger on performance_alerts: what it hands over, and that no fault of ours ever reaches the writer."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict

from support.alerts import Alerts

pytestmark = pytest.mark.servers


async def heard(listener: AsyncConnection[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """Return the notifications that have reached a connection: a round trip brings whatever is on its way."""
    await listener.execute("SELECT")
    return [(notice.channel, notice.payload) async for notice in listener.notifies(timeout=0)]


async def test_a_statement_hands_over_all_its_alerts_with_one_notify(alerts: Alerts, database: str) -> None:
    """One statement of 1, 500 or 0 rows makes as many outbox rows and one NOTIFY, or none; updates make nothing."""
    async with await AsyncConnection.connect(database, autocommit=True) as listener:
        await listener.execute("LISTEN pggit_alert")
        first = await alerts.alert()
        assert await heard(listener) == [("pggit_alert", "")]
        last = await alerts.alert(count=500)
        assert await heard(listener) == [("pggit_alert", "")]
        assert await alerts.outbox() == list(range(first, last + 1))
        await alerts.rows("INSERT INTO pggit.performance_alerts SELECT * FROM pggit.performance_alerts WHERE FALSE")
        await alerts.rows("UPDATE pggit.performance_alerts SET user_name = 'somebody'")
        await alerts.rows("DELETE FROM pggit.performance_alerts WHERE alert_id = %s", first)
        assert await heard(listener) == []
        assert len(await alerts.outbox()) == 501


async def test_what_is_rolled_back_was_never_there(alerts: Alerts, database: str) -> None:
    """A rolled-back metric leaves no alert, no outbox row and no NOTIFY, also by savepoint."""
    async with (
        await AsyncConnection.connect(database, autocommit=True) as listener,
        await AsyncConnection.connect(database) as writer,
    ):
        await listener.execute("LISTEN pggit_alert")
        work = Alerts(writer)
        await work.alert(severity="CRITICAL")
        await writer.rollback()
        kept = await work.alert()
        async with writer.transaction(force_rollback=True):
            await work.alert()
        await writer.commit()
        assert await alerts.outbox() == [kept]
        assert await heard(listener) == [("pggit_alert", "")]
    await alerts.setting()
    assert await alerts.route() == (1, 1, 0)


async def test_a_metric_beyond_its_baseline_is_queued_without_any_further_call(alerts: Alerts) -> None:
    """record_performance_metric alone puts the alert where the router finds it."""
    for _ in range(20):
        await alerts.metric("commit", 5_000)
    await alerts.rows("SELECT pggit.calculate_performance_baseline('commit')")
    await alerts.setting()
    await alerts.rows("SELECT pggit.record_performance_metric('commit', 5000)")
    assert await alerts.outbox() == []
    await alerts.rows("SELECT pggit.record_performance_metric('commit', 25000)")
    assert await alerts.route() == (1, 1, 0)
    assert await alerts.queue("message") == [("ALERT: commit exceeded baseline by 5.0x (25ms vs baseline 5ms)",)]


async def test_writers_need_no_grant_of_ours(alerts: Alerts, database: str) -> None:
    """A role with rights on weeks 1 and 2 only records metrics and raises alerts, and sees none of our tables."""
    role = sql.Identifier(f"app_of_{conninfo_to_dict(database)['dbname']}")
    await alerts.connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    await alerts.connection.execute(sql.SQL("GRANT USAGE ON SCHEMA pggit TO {}").format(role))
    for table in ["performance_metrics", "performance_alerts", "performance_baselines", "branches"]:
        await alerts.connection.execute(
            sql.SQL("GRANT SELECT, INSERT ON pggit.{} TO {}").format(sql.Identifier(table), role)
        )
    await alerts.connection.execute(
        sql.SQL(
            "GRANT USAGE ON SEQUENCE pggit.performance_metrics_metric_id_seq, "
            "pggit.performance_alerts_alert_id_seq TO {}"
        ).format(role)
    )
    async with await AsyncConnection.connect(database, autocommit=True) as session:
        application = Alerts(session)
        await session.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(role))
        alert = await application.alert()
        assert application.notices == []
        for statement in [
            "SELECT FROM pggit.alert_outbox",
            "SELECT FROM pggit.alert_notification_queue",
            "SELECT FROM pggit.alert_notification_settings",
            "SELECT pggit.route_alerts()",
        ]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await application.rows(statement)
    assert await alerts.outbox() == [alert]
    await alerts.connection.execute(sql.SQL("DROP OWNED BY {0}").format(role))
    await alerts.connection.execute(sql.SQL("DROP ROLE {}").format(role))


BREAKAGES = {
    "dropped": "DROP TABLE pggit.alert_outbox CASCADE",
    "renamed": "ALTER TABLE pggit.alert_outbox RENAME TO elsewhere",
    "another shape": "ALTER TABLE pggit.alert_outbox DROP COLUMN alert_id",
    "a constraint": "ALTER TABLE pggit.alert_outbox ADD CHECK (alert_id < 0) NOT VALID",
    "a trigger": """
        CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''refused''; END';
        CREATE TRIGGER refuse BEFORE INSERT ON pggit.alert_outbox FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()""",
    "division": "ALTER TABLE pggit.alert_outbox ALTER COLUMN occurred_at SET DEFAULT now() + interval '1 s' * (1 / 0)",
}


async def test_no_fault_of_ours_fails_the_writer(alerts: Alerts) -> None:
    """Whatever happened to the outbox, the alert is stored, and a warning says what it missed and how to mend it."""
    stored = 0
    for name, breakage in BREAKAGES.items():
        async with alerts.connection.transaction(force_rollback=True):
            for statement in breakage.split(";\n"):
                await alerts.connection.execute(statement.encode())
            alerts.notices.clear()
            await alerts.alert()
            assert await alerts.value("SELECT count(*) FROM pggit.performance_alerts") == stored + 1, name
            assert len(alerts.notices) == 1, (name, alerts.notices)
            assert alerts.notices[0].startswith("WARNING: pgGit alert recorded but not queued"), name
            assert "notify_on_alert" in alerts.notices[0]


async def test_a_locked_outbox_holds_the_writer_up_for_half_a_second_at_most(alerts: Alerts, database: str) -> None:
    """An ACCESS EXCLUSIVE lock costs a warning and not the writer's patience; notify_on_alert makes up for it."""
    async with await AsyncConnection.connect(database) as locker:
        await locker.execute("LOCK TABLE pggit.alert_outbox")
        async with asyncio.timeout(20):
            alert = await alerts.alert()
        assert ["lock timeout" in notice for notice in alerts.notices] == [True]
        assert await alerts.value("SHOW lock_timeout") == "0"
    await alerts.setting()
    assert await alerts.outbox() == []
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    assert await alerts.queue() == [(alert, "slack", "pending")]


async def test_the_writer_never_waits_for_the_router_or_a_worker(alerts: Alerts, database: str) -> None:
    """With routing and a claim uncommitted, an insert, an update and a delete of alerts need no lock that they hold."""
    await alerts.setting()
    routed = await alerts.alert(count=3)
    async with await AsyncConnection.connect(database) as router:
        assert await Alerts(router).route() == (3, 3, 0)
        await router.execute("UPDATE pggit.alert_notification_queue SET claim_no = 1, claimed_by = 'w'")
        await router.execute("SELECT FROM pggit.alert_notification_settings FOR SHARE")
        await alerts.rows("SET lock_timeout = '1ms'")
        fresh = await alerts.alert(count=2)
        await alerts.rows("UPDATE pggit.performance_alerts SET user_name = 'somebody' WHERE alert_id = %s", routed)
        await alerts.rows(
            "DELETE FROM pggit.performance_metrics AS m WHERE NOT EXISTS (SELECT FROM pggit.performance_alerts AS a"
            " WHERE a.metric_id = m.metric_id AND a.alert_id = 1)"
        )
        await alerts.rows("DELETE FROM pggit.performance_alerts")
        assert alerts.notices == []
        await router.commit()
    assert await alerts.outbox() == [fresh - 1, fresh]


async def test_a_full_notify_queue_fails_nobody(alerts: Alerts, database: str) -> None:
    """When a stuck listener lets the NOTIFY queue fill up, alerts are stored without a NOTIFY; COMMIT never fails."""
    await alerts.rows(
        "CREATE OR REPLACE FUNCTION public.pg_notification_queue_usage() RETURNS float8 LANGUAGE sql AS 'SELECT 0.6'"
    )
    await alerts.rows("ALTER FUNCTION pggit.publish_alerts() SET search_path = public, pg_catalog, pggit, pg_temp")
    async with await AsyncConnection.connect(database, autocommit=True) as listener:
        await listener.execute("LISTEN pggit_alert")
        await alerts.alert()
        assert await heard(listener) == []
    assert len(await alerts.outbox()) == 1
    assert alerts.notices == []
