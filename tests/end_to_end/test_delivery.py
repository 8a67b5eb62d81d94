"""From a recorded metric to three receivers, and what receivers that misbehave do to it."""

import pytest

from pggit_alertd.demo.sinks import Answer
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
    episode_id = await set_up.alerts.value("SELECT episode_id FROM pggit.alert_episode")
    assert event["routing_key"] == ROUTING_KEY
    assert event["dedup_key"].startswith("pggit-")
    assert event["dedup_key"].endswith(f"-episode-{episode_id}")
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


async def test_an_escalated_alert_is_routed_by_its_new_severity_once(set_up: Stage) -> None:
    """The fourth alert of an operation within the hour is CRITICAL: who wants CRITICAL hears of it, once."""
    await set_up.slack("TEAMTEAMTEAMTEAMTEAMTEAM", severity="WARNING")
    await set_up.pagerduty(severity="CRITICAL")
    daemon = await set_up.run()
    for _ in range(3):
        await set_up.alerts.alert()
    await set_up.settled(3)
    last = await set_up.alerts.alert()
    await set_up.settled(4)
    assert await set_up.alerts.queue("alert_id, channel, status", f"alert_id = {last}") == [(last, "pagerduty", "sent")]
    assert (
        await set_up.alerts.value("SELECT severity FROM pggit.performance_alerts WHERE alert_id = %s", last)
        == "CRITICAL"
    )
    (key,) = set_up.http.incidents
    assert set_up.http.incidents[key] == ["trigger"]
    assert set_up.http.received == 4
    assert await daemon.stop() == 0


async def test_a_rolled_back_alert_sends_nothing(set_up: Stage) -> None:
    """What was never committed is never sent, and the next alert is not held up by it."""
    await set_up.slack()
    await set_up.run()
    await set_up.alerts.rows("BEGIN")
    await set_up.alerts.alert("phantom")
    await set_up.alerts.rows("ROLLBACK")
    await set_up.alerts.alert("real")
    await set_up.settled(1)
    assert ["phantom" in request.body.decode() for request in set_up.http.requests] == [False]


async def test_an_alert_deleted_while_queued_is_still_delivered(set_up: Stage) -> None:
    """The queue row carries all that is to be said, so deleting the alert and its metric changes nothing."""
    await set_up.slack()
    await set_up.alerts.alert("vanishing")
    await set_up.alerts.route()
    await set_up.alerts.rows("TRUNCATE pggit.performance_alerts, pggit.performance_metrics CASCADE")
    await set_up.run()
    await set_up.settled(1)
    assert await set_up.statuses() == {"sent": 1}
    assert "vanishing" in set_up.http.requests[0].body.decode()


async def test_retry_after_pauses_the_destination(set_up: Stage) -> None:
    """After 429 no request reaches the destination before its time, no attempt is charged, then all is delivered."""
    pause = 2
    await set_up.slack("LIMITEDLIMITEDLIMITEDLIM")
    await set_up.slack("OTHEROTHEROTHEROTHEROTHE")
    daemon = await set_up.run()
    set_up.http.script(Answer(429, "rate_limited", {"Retry-After": str(pause)}), path="LIMITED")
    await set_up.alerts.alert("first")
    await daemon.wait_for_event("delivery", reason="rate_limited")
    await set_up.storm(10)
    await set_up.settled(22)
    assert await set_up.statuses() == {"sent": 22}

    refused, *later = [each.arrived for each in set_up.http.requests if "LIMITED" in each.path]
    assert len(later) == 11
    assert min(later) - refused >= pause
    others = [each.arrived for each in set_up.http.requests if "OTHER" in each.path]
    assert max(others) - refused < pause
    assert set(await set_up.alerts.queue("attempt")) == {(1,)}
    assert {reason for (reason,) in await set_up.alerts.log("reason")} <= {None, "rate_limited", "paused"}


async def test_server_errors_are_retried_ever_later(set_up: Stage) -> None:
    """5xx is tried again, each time after a longer wait, and ends as sent with every attempt in the log."""
    await set_up.slack()
    set_up.http.script(*[Answer(503, "upstream down")] * 4)
    daemon = await set_up.run(retry_base=0.1, retry_cap=60)
    await set_up.alerts.alert()
    await set_up.settled(1)
    retries = [event["retry_in"] for event in daemon.seen("delivery", outcome="retry")]
    assert len(retries) == 4
    for number, told in enumerate(retries):
        assert 0.05 * 2**number - 0.05 <= told <= 0.1 * 2**number + 0.05
    times = [each.arrived for each in set_up.http.requests]
    for number in range(4):
        assert times[number + 1] - times[number] >= 0.05 * 2**number
    assert await set_up.alerts.log("status, attempt, response_code") == [
        *[("retry", number, 503) for number in range(1, 5)],
        ("sent", 5, 200),
    ]
    assert await daemon.metric('pggit_alertd_delivery_attempts_total{channel="slack",reason="server_error"}') == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Answer(404, "no_service"), "destination_gone"), (Answer(403, "invalid_token"), "destination_gone")],
)
async def test_permanent_refusals_end_as_failed(set_up: Stage, answer: Answer, reason: str) -> None:
    """A webhook that is gone is not asked twice; the row says what the receiver said."""
    await set_up.slack()
    set_up.http.always(answer)
    daemon = await set_up.run()
    await set_up.alerts.alert()
    await set_up.settled(1)
    assert set_up.http.received == 1
    assert await set_up.alerts.queue("status, attempt, error_message") == [
        ("failed", 1, f"HTTP {answer.status}: {answer.body!s}")
    ]
    assert await set_up.alerts.log("status, reason, response_code") == [("failed", reason, answer.status)]
    assert await daemon.metric("pggit_alertd_dead_letters") == 1


async def test_a_dead_channel_holds_up_no_other(set_up: Stage) -> None:
    """With Slack hanging and a long queue behind it, mail and pages arrive as fast as ever."""
    await set_up.slack()
    await set_up.email(severity="CRITICAL")
    await set_up.pagerduty(severity="CRITICAL")
    set_up.http.always(Answer(hang=True), "/services/")
    daemon = await set_up.run(concurrency=5)
    await set_up.storm(500)
    await set_up.until("SELECT count(*) FROM pggit.alert_notification_queue WHERE claimed_by IS NOT NULL", 5)
    await set_up.alerts.alert("urgent", severity="CRITICAL")
    await set_up.mail.wait_for(1)
    await daemon.wait_for_event("delivery", channel="pagerduty", outcome="sent")
    dwell = [event["dwell_ms"] for event in daemon.seen("delivery", outcome="sent")]
    assert max(dwell) < 2000


async def test_the_horizon_ends_in_failure(set_up: Stage) -> None:
    """A receiver that stays down longer than the retry horizon: failed, saying how often it was tried and why."""
    await set_up.slack()
    set_up.http.always(Answer(500, "down"))
    daemon = await set_up.run(horizon=1, horizon_critical=1, retry_base=0.2)
    await set_up.alerts.alert()
    await set_up.settled(1)
    ((status, error),) = await set_up.alerts.queue("status, error_message")
    assert status == "failed"
    assert "the retry horizon is over: HTTP 500: down" in error
    assert len(daemon.seen("delivery", outcome="retry")) >= 1


async def test_dry_run_sends_nothing_and_logs_everything(set_up: Stage) -> None:
    """With PGGIT_ALERTD_DRY_RUN everything happens but the send, and the log says so."""
    await set_up.slack()
    await set_up.email()
    await set_up.pagerduty()
    await set_up.run(dry_run="true")
    await set_up.alerts.alert()
    await set_up.settled(3)
    assert set_up.http.connections_made == 0
    assert set_up.mail.connections_made == 0
    assert sorted(await set_up.alerts.log("channel, status, reason")) == [
        (channel, "sent", "dry_run") for channel in ("email", "pagerduty", "slack")
    ]
