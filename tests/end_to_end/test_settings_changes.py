"""Settings that change while the daemon runs: each change holds for the next alert, without a restart."""

import json

from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage

FIRST, SECOND = "FIRSTFIRSTFIRSTFIRSTFIRS", "SECONDSECONDSECONDSECOND"


def arrived(set_up: Stage) -> list[str]:
    """Return which webhook each request went to, in order."""
    return [request.path.rpartition("/")[2] for request in set_up.http.requests]


async def test_changes_hold_for_the_next_alert(set_up: Stage) -> None:
    """Added, pointed elsewhere, disabled, enabled, deleted: each time the next alert goes where the settings say."""
    daemon = await set_up.run()
    await set_up.alerts.alert("nobody")
    await set_up.until("SELECT count(*) FROM pggit.alert_notification_log WHERE reason = 'no_matching_setting'", 1)

    setting = await set_up.slack(FIRST)
    await set_up.alerts.alert("added")
    await set_up.settled(1)
    await set_up.alerts.rows(
        "UPDATE pggit.alert_notification_settings SET config = %s::jsonb WHERE setting_id = %s",
        json.dumps(set_up.hook(SECOND)),
        setting,
    )
    await set_up.alerts.alert("moved")
    await set_up.settled(2)
    await set_up.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    await set_up.alerts.alert("disabled")
    await set_up.until("SELECT count(*) FROM pggit.alert_notification_log WHERE reason = 'no_matching_setting'", 2)
    await set_up.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE")
    await set_up.alerts.alert("enabled")
    await set_up.settled(3)
    await set_up.alerts.rows("DELETE FROM pggit.alert_notification_settings")
    await set_up.alerts.alert("deleted")
    await set_up.until("SELECT count(*) FROM pggit.alert_notification_log WHERE reason = 'no_matching_setting'", 3)
    assert arrived(set_up) == [FIRST, SECOND, SECOND]
    assert len(daemon.seen("starting")) == 1
    assert await daemon.stop() == 0


async def test_what_waits_is_held_and_goes_out_when_enabled(set_up: Stage) -> None:
    """Rows that wait for a retry when their setting goes off are held, not sent and not failed, until it is on."""
    await set_up.slack(FIRST)
    await set_up.slack(SECOND)
    set_up.http.always(Answer(503, "down"), FIRST)
    daemon = await set_up.run(retry_base=0.3)
    await set_up.storm(5)
    await daemon.wait_for_event("delivery", outcome="retry", count=5)
    await set_up.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = 1")
    held = (
        "SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'pending' AND next_attempt_at = 'infinity'"
    )
    await set_up.until(held, 5)
    set_up.http.always(None, FIRST)
    requests = set_up.http.received
    await set_up.alerts.alert("meanwhile")
    await set_up.until("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'sent'", 6)
    assert set_up.http.received == requests + 1
    assert await daemon.metric('pggit_alertd_queue_depth{channel="slack",status="held"}') == 5

    await set_up.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE WHERE setting_id = 1")
    await set_up.settled(11)
    assert await set_up.statuses() == {"sent": 11}


async def test_what_waits_for_a_deleted_setting_fails_and_says_so(set_up: Stage) -> None:
    """Deleting a setting ends its waiting rows as failed with setting_missing, and touches nobody else's."""
    await set_up.slack(FIRST)
    await set_up.slack(SECOND)
    set_up.http.always(Answer(503, "down"), FIRST)
    daemon = await set_up.run(retry_base=0.5)
    await set_up.storm(3)
    await daemon.wait_for_event("delivery", outcome="retry", count=3)
    await set_up.alerts.rows("DELETE FROM pggit.alert_notification_settings WHERE setting_id = 1")
    await set_up.settled(6)
    assert await set_up.statuses() == {"sent": 3, "failed": 3}
    failed = await set_up.alerts.queue("setting_id, error_message", "status = 'failed'")
    assert failed == [(1, "the notification setting was deleted; nothing says where to send this")] * 3
    assert len(daemon.seen("delivery", reason="setting_missing")) == 3


async def test_a_mended_config_is_used_by_the_next_attempt(set_up: Stage) -> None:
    """A row that is retried takes the setting as it is now: a webhook that is replaced gets what still waits."""
    await set_up.slack(FIRST)
    set_up.http.always(Answer(503, "down"), FIRST)
    daemon = await set_up.run(retry_base=0.3)
    await set_up.alerts.alert()
    await daemon.wait_for_event("delivery", outcome="retry")
    await set_up.alerts.rows(
        "UPDATE pggit.alert_notification_settings SET config = %s::jsonb", json.dumps(set_up.hook(SECOND))
    )
    await set_up.settled(1)
    assert await set_up.statuses() == {"sent": 1}
    assert arrived(set_up)[-1] == SECOND


async def test_a_channel_changed_while_queued(set_up: Stage) -> None:
    """A setting moved from Slack to PagerDuty sends what waits the new way."""
    await set_up.slack(FIRST)
    set_up.http.always(Answer(503, "down"), FIRST)
    daemon = await set_up.run(retry_base=0.3)
    await set_up.alerts.alert()
    await daemon.wait_for_event("delivery", outcome="retry")
    await set_up.alerts.rows(
        "UPDATE pggit.alert_notification_settings SET notification_channel = 'pagerduty', config = %s::jsonb",
        json.dumps({"service_key": "d" * 32}),
    )
    await set_up.settled(1)
    assert await set_up.statuses() == {"sent": 1}
    assert len(set_up.http.incidents) == 1
