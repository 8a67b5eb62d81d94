"""What could not be sent or queued is sent after all, and who may ask for it."""

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from support.alerts import Alerts

pytestmark = pytest.mark.servers


async def failed(alerts: Alerts) -> int:
    """Return a notification that failed long ago, after some attempts."""
    await alerts.setting()
    await alerts.routed_alert()
    return int(
        await alerts.value(
            "UPDATE pggit.alert_notification_queue SET status = 'failed', attempt = 7, lost_count = 5, claim_no = 9,"
            " give_up_at = now() - interval '1 day', processed_at = now(), error_message = 'why' RETURNING queue_id"
        )
    )


async def test_a_failed_notification_is_due_again(alerts: Alerts) -> None:
    """It has its attempts and its horizon again, the fence stays, and the log says who asked."""
    queue_id = await failed(alerts)
    assert await alerts.value("SELECT pggit.replay_notification(%s)", queue_id) is True
    assert await alerts.queue(
        "status, attempt, lost_count, claim_no, processed_at, next_attempt_at <= now(), give_up_at > now()"
    ) == [("pending", 0, 0, 9, None, True, True)]
    assert await alerts.log("queue_id, status, reason, worker") == [(queue_id, "released", "replayed", "postgres")]


async def test_what_can_not_be_replayed_is_left_and_said(alerts: Alerts) -> None:
    """Unknown ids, NULL, what isn't failed, and settings that are gone or broken change nothing."""
    assert await alerts.value("SELECT pggit.replay_notification(NULL)") is False
    assert await alerts.value("SELECT pggit.replay_notification(-1)") is False
    queue_id = await failed(alerts)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET config = '{}'")
    assert await alerts.value("SELECT pggit.replay_notification(%s)", queue_id) is False
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    assert await alerts.value("SELECT pggit.replay_notification(%s)", queue_id) is False
    assert await alerts.queue("status, attempt") == [("failed", 7)]
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent'")
    assert await alerts.value("SELECT pggit.replay_notification(%s)", queue_id) is False
    assert await alerts.log("status") == []


async def test_an_alert_raised_while_the_outbox_is_locked_is_queued_later(alerts: Alerts, database: str) -> None:
    """The writer goes on after half a second; the alert is noted, fetched once, and routed."""
    await alerts.setting()
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("LOCK TABLE pggit.alert_outbox IN ACCESS EXCLUSIVE MODE")
        alert_id = await alerts.alert()
        assert await alerts.log("alert_id, status, reason") == [(alert_id, "suppressed", "not_queued")]
    assert await alerts.value("SELECT pggit.requeue_missed_alerts()") == 1
    assert await alerts.value("SELECT pggit.requeue_missed_alerts()") == 0
    assert await alerts.route() == (1, 1, 0)
    assert await alerts.value("SELECT pggit.requeue_missed_alerts()") == 0


async def test_nothing_missed_is_nothing_requeued(alerts: Alerts) -> None:
    """Alerts that took the usual way, routed or suppressed, are left alone."""
    assert await alerts.value("SELECT pggit.requeue_missed_alerts()") == 0
    await alerts.routed_alert()
    assert await alerts.value("SELECT pggit.requeue_missed_alerts()") == 0
    assert await alerts.outbox() == []


async def test_a_role_can_do_without_notify(alerts: Alerts, database: str) -> None:
    """Where PREPARE TRANSACTION is used NOTIFY can be switched off, and the outbox still has the alert."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as listener:
        await listener.execute("LISTEN pggit_alert")
        await alerts.rows("SET pggit_alertd.notify = 'off'")
        await alerts.alert()
        assert [heard async for heard in listener.notifies(timeout=0.2)] == []
        await alerts.rows("SET pggit_alertd.notify = 'on'")
        await alerts.alert()
        assert [heard.channel async for heard in listener.notifies(timeout=5, stop_after=1)] == ["pggit_alert"]
    assert len(await alerts.outbox()) == 2


@pytest.mark.parametrize("call", ["SELECT pggit.notify_on_alert(1)", "SELECT pggit.check_alert_escalation(1)"])
async def test_who_may_not_read_alerts_may_not_page_for_them(alerts: Alerts, database: str, call: str) -> None:
    """A role with nothing but the schema is refused; with the grant of weeks 1 and 2 it is served."""
    await alerts.rows("DROP ROLE IF EXISTS test_passer_by")
    await alerts.rows("CREATE ROLE test_passer_by")
    await alerts.rows("GRANT USAGE ON SCHEMA pggit TO test_passer_by")
    try:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as caller:
            await caller.execute("SET ROLE test_passer_by")
            with pytest.raises(InsufficientPrivilege, match="test_passer_by may not read"):
                await caller.execute(call.encode())
            await alerts.rows("GRANT SELECT ON pggit.performance_alerts TO test_passer_by")
            await caller.execute(call.encode())
    finally:
        await alerts.rows("DROP OWNED BY test_passer_by")
        await alerts.rows("DROP ROLE test_passer_by")


async def test_time_on_hold_is_not_held_against_a_row(alerts: Alerts) -> None:
    """A setting that was off for longer than the horizon finds its notifications with a whole horizon again."""
    setting = await alerts.setting()
    await alerts.routed_alert()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", setting)
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue"
        " SET created_at = now() - interval '9 hours', give_up_at = now() - interval '5 hours'"
    )
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE WHERE setting_id = %s", setting)
    assert await alerts.queue("next_attempt_at <= now(), give_up_at > now() + interval '3 hours 59 minutes'") == [
        (True, True)
    ]
