"""Malformed settings rows of every kind beside good ones: the good ones work, the bad ones fail and say the mend."""

import json

from support.daemon import Stage

BROKEN: list[tuple[str | None, str | None]] = [
    ("slack", None),
    ("slack", "null"),
    ("slack", "[]"),
    ("slack", '"https://hooks.slack.com/services/x"'),
    ("slack", "{}"),
    ("slack", '{"webhook": 7}'),
    ("slack", '{"webhook": ""}'),
    ("slack", '{"webhook": "ftp://127.0.0.1/x"}'),
    ("slack", '{"webhook": "http://"}'),
    ("slack", '{"webhook": "http://user:pw@127.0.0.1/x"}'),
    ("slack", '{"webhook": "http://127.0.0.1:99999/x"}'),
    ("slack", '{"webhook": "http://127.0.0.1/x", "channel": ["#a"]}'),
    ("slack", json.dumps({"webhook": "http://127.0.0.1/" + "x" * 1_000_000})),
    ("slack", json.dumps({"webhook": "http://127.0.0.1/x", "note": "y" * 1_000_000})),
    ("slack", '{"webhook": "http://127.0.0.1/x", "n": 1e5000}'),
    # Later Pythons can read it, so something else is wrong with it too.
    ("slack", '{"webhook": 7, "n": ' + "[" * 3000 + "]" * 3000 + "}"),
    ("email", "{}"),
    ("email", '{"to": []}'),
    ("email", '{"to": [""]}'),
    ("email", '{"to": [null]}'),
    ("email", '{"to": {"a": 1}}'),
    ("email", '{"to": ["nobody"]}'),
    ("email", '{"to": ["a@b.example\\r\\nBcc: all@b.example"]}'),
    ("email", '{"cc": 5, "to": ["a@b.example"]}'),
    ("pagerduty", "{}"),
    ("pagerduty", '{"service_key": null}'),
    ("pagerduty", '{"service_key": "short"}'),
    ("pagerduty", '{"service_key": {"a": "b"}}'),
    ("webhook", "{}"),
    ("webhook", '{"url": 7}'),
    ("webhook", '{"url": "http://127.0.0.1/x", "secret": "short"}'),
    ("webhook", '{"url": "http://127.0.0.1/x", "headers": {"Host": "x"}}'),
    ("apprise", "{}"),
    ("apprise", '{"urls": []}'),
    ("apprise", '{"url": "https://example.com/x"}'),
    ("carrier pigeon", "{}"),
    ("", "{}"),
    ("x" * 1_000_000, "{}"),
]
UNMATCHED = (
    ("NO SUCH TYPE", "*", "*"),
    ("*", "NO SUCH SEVERITY", "*"),
    ("*", "*", ""),
    ("*", "*", "[a-"),
    ("*", "*", "x" * 100_000),
)


async def test_broken_settings_harm_nobody_else(set_up: Stage) -> None:
    """Among dozens of broken rows three good ones deliver at once; each broken row ends as failed, naming the mend."""
    for channel, config in BROKEN:
        await set_up.alerts.rows(
            "INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config) "
            "VALUES ('*', '*', %s, %s::jsonb)",
            channel,
            config,
        )
    for alert_type, severity, pattern in UNMATCHED:
        await set_up.slack(alert_type=alert_type, severity=severity, pattern=pattern)
    good = {await set_up.slack(), await set_up.email(), await set_up.pagerduty()}
    daemon = await set_up.run()
    await set_up.alerts.alert()
    await set_up.settled(len(BROKEN) + 3)
    rows = await set_up.alerts.queue("setting_id, status, error_message, attempt")
    assert {setting for setting, status, _, _ in rows if status == "sent"} == good
    for setting, status, error, attempt in rows:
        if setting not in good:
            assert status == "failed"
            assert error.startswith(f"setting {setting}: ")
            assert len(error) < 500
            assert attempt <= 1
    reasons = {reason for status, reason in await set_up.alerts.log("status, reason") if status == "failed"}
    assert reasons == {"invalid_setting"}
    assert len(set_up.mail.mails) == 1
    assert set_up.http.received == 2
    assert not daemon.seen("delivery_crashed")
    assert (await daemon.page("/readyz")).status_code == 200
    assert await daemon.stop() == 0


async def test_settings_spoiled_while_queued(set_up: Stage) -> None:
    """A setting that is broken after its rows were queued fails them with the mend; its neighbor delivers."""
    spoiled, good = await set_up.slack("FIRSTFIRSTFIRSTFIRSTFIRS"), await set_up.slack()
    await set_up.alerts.alert()
    await set_up.alerts.route()
    await set_up.alerts.rows(
        'UPDATE pggit.alert_notification_settings SET config = \'{"webhook": 7, "n": 1e5000}\' WHERE setting_id = %s',
        spoiled,
    )
    await set_up.run()
    await set_up.settled(2)
    ((error,),) = await set_up.alerts.queue("error_message", "status = 'failed'")
    assert error.startswith(f"setting {spoiled}: ")
    assert await set_up.alerts.queue("setting_id", "status = 'sent'") == [(good,)]


async def test_rows_written_by_hand_harm_nobody(set_up: Stage) -> None:
    """Queue rows that somebody inserts by hand, however odd, end one way or another, and the rest is delivered."""
    setting = await set_up.slack()
    for alert in (
        "{}",
        '{"severity": 7, "duration_us": "long", "factor": {"a": 1}, "operation_type": ["x"]}',
        '{"alert_id": "seven", "operation_type": "odd"}',
        '{"alert_id": 99999999999999999999999}',
        '{"factor": 1e5000}',
        '{"n": ' + "[" * 3000 + "]" * 3000 + "}",
        json.dumps({"operation_type": "y" * 1_000_000, "branch": "z" * 1_000_000}),
    ):
        await set_up.alerts.rows(
            "INSERT INTO pggit.alert_notification_queue (channel, recipient, message, setting_id, alert) "
            "VALUES ('slack', '#x', 'by hand', %s, %s::jsonb)",
            setting,
            alert,
        )
    await set_up.alerts.rows(
        "INSERT INTO pggit.alert_notification_queue (channel, recipient, message) VALUES ('slack', '#x', 'no setting')"
    )
    daemon = await set_up.run(lease=2.5, http_deadline=1, smtp_deadline=1, horizon=5)
    await set_up.alerts.alert("ordinary")
    await set_up.settled(9)
    assert daemon.running
    assert not daemon.seen("crashed")
    assert await set_up.alerts.queue("status", "alert_id IS NOT NULL") == [("sent",)]
    assert len(daemon.seen("lease_taken_over")) == 0
