"""From a recorded metric to three receivers, and what receivers that misbehave do to it."""

import pytest

from support.daemon import ROUTING_KEY, Stage

BASELINE = """
INSERT INTO pggit.performance_baselines (operation_type, baseline_date, sample_count, min_microseconds,
    max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
    mean_microseconds, stddev_microseconds, is_active)
VALUES ('commit', current_date, 100, 10000, 60000, 20000, 30000, 40000, 45000, 50000, 21000, 5000, TRUE)
"""


@pytest.mark.servers
async def test_a_slow_operation_reaches_all_three_channels(set_up: Stage) -> None:
    """One call of record_performance_metric, and each receiver gets the alert in its own form, once."""
    await set_up.slack()
    await set_up.email()
    await set_up.pagerduty()
    await set_up.alerts.rows(BASELINE)
    daemon = await set_up.run()
    await set_up.alerts.rows("SELECT pggit.record_performance_metric('commit', 250000)")
    await set_up.settled(3)
    assert await set_up.statuses() == {"sent": 3}

    by_path = {request.path: request.json() for request in set_up.http.requests}
    slack = by_path["/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"]
    assert "commit" in slack["text"]
    assert "5.0x" in slack["text"]
    event = by_path["/v2/enqueue"]
    alert_id = await set_up.alerts.value("SELECT alert_id FROM pggit.performance_alerts")
    assert event["routing_key"] == ROUTING_KEY
    assert event["dedup_key"].startswith("pggit-")
    assert event["dedup_key"].endswith(f"-alert-{alert_id}")
    assert event["payload"]["severity"] in {"warning", "error", "critical"}
    assert len(set_up.http.requests) == 2

    (mail,) = set_up.mail.mails
    assert mail.recipients == ("oncall@example.com", "team@example.com")
    body = mail.message().get_body(("plain",))
    assert body is not None
    for part in ("commit", "250", "50", "5.0"):
        assert part in body.get_content()

    log = await set_up.alerts.log("channel, status, attempt, response_code, delivery_time_ms IS NOT NULL")
    assert sorted(log) == [
        ("email", "sent", 1, 250, True),
        ("pagerduty", "sent", 1, 202, True),
        ("slack", "sent", 1, 200, True),
    ]
    assert await daemon.stop() == 0
