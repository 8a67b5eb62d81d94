"""Webhooks misbehave in every way a network offers: each notification arrives once the receiver is well again."""

import json
from pathlib import Path

from pggit_alertd.demo.sinks import Answer, HttpSink
from support.certificates import Authority
from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch, by_length

ALERTS = by_length(3, 20)
DEADLINE = 1.0

# A breaker opens after failures in a row, so every fault plays fewer than that and is followed by a good answer.
FAULTS: dict[str, tuple[Answer, bool]] = {
    "hangs after the request": (Answer(hang=True), True),
    "resets before its answer": (Answer(cut="head"), True),
    "resets in mid-body": (Answer(cut="body"), True),
    "drips its answer": (Answer(body="x" * 400, drip=0.05), True),
    "answers with 1 MB": (Answer(body="x" * 1_000_000), True),
    "200 with a wrong body": (Answer(body="<html>Please log in</html>"), True),
    "503": (Answer(503, "come back later"), False),
    "429 with Retry-After": (Answer(429, "rate_limited", {"Retry-After": "1"}), False),
    "429 without Retry-After": (Answer(429, json.dumps({"retry_after": 1})), False),
}
"""By name: what the receiver does to the first request, and whether its people may have seen the message then."""


async def test_webhooks_misbehave(set_up: Stage, scores: Scores) -> None:
    """Nine receivers, each with a fault of its own for its first request, and a healthy one: all notifications arrive.

    Twice arrives only what met its fault after the receiver had the message.
    """
    paths = {fault: f"FAULT{number}".ljust(24, "X") for number, fault in enumerate(FAULTS)}
    await set_up.slack("HEALTHYHEALTHYHEALTHYHEA")
    for fault, path in paths.items():
        await set_up.slack(path)
        set_up.http.script(FAULTS[fault][0], path=path)
    daemon = await set_up.run(http_deadline=DEADLINE, smtp_deadline=DEADLINE, lease=3)
    await set_up.storm(1, operation="first")
    await daemon.wait_for_event("delivery", outcome="retry", count=len(FAULTS))
    met = Stopwatch()
    await set_up.storm(ALERTS)
    each = ALERTS + 1
    await set_up.settled(each * (len(FAULTS) + 1))
    recovery = met.seconds
    assert await set_up.statuses() == {"sent": each * (len(FAULTS) + 1)}
    assert len(set_up.requests("HEALTHY")) == each
    assert set(set_up.requests("HEALTHY").values()) == {1}
    for fault, path in paths.items():
        arrived = set_up.requests(path)
        ambiguous = FAULTS[fault][1]
        refused = 0 if ambiguous else 1
        scores.record(
            f"receiver: {fault}",
            sent=each,
            lost=each - len(arrived),
            duplicated=arrived.total() - len(arrived) - refused,
            allowed=1 if ambiguous else 0,
            recovery=recovery,
        )


async def test_webhooks_can_not_be_reached(set_up: Stage, scores: Scores, tmp_path: Path) -> None:
    """Nothing is sent to somebody else or given up; when the settings name right addresses, all arrives, once."""
    authority = Authority(tmp_path)
    async with HttpSink(tls=authority.server("elsewhere.example")) as wrong, HttpSink() as gone:
        await gone.stop()
        addresses = {
            "wrong TLS name": ("tls", wrong.slack_url()),
            "DNS gone": ("connection", "https://hooks.invalid/services/T00/B00/XXXX"),
            "connection refused": ("connection", gone.slack_url()),
        }
        settings = [await set_up.alerts.setting("slack", {"webhook": url}) for _, url in addresses.values()]
        daemon = await set_up.run(inherited={"SSL_CERT_FILE": str(authority.file)}, http_deadline=4, smtp_deadline=4)
        await set_up.storm(ALERTS)
        await daemon.wait_for_event("delivery", outcome="retry", count=3 * ALERTS)
        reasons = [(setting, reason) for setting, (reason, _) in zip(settings, addresses.values(), strict=True)]
        await set_up.look(
            lambda rows: rows == reasons,
            "SELECT DISTINCT setting_id, reason FROM pggit.alert_notification_log ORDER BY 1",
            str(reasons),
        )
        for number, setting in enumerate(settings):
            await set_up.alerts.rows(
                "UPDATE pggit.alert_notification_settings SET config = %s::jsonb WHERE setting_id = %s",
                json.dumps(set_up.hook(f"MENDED{number}".ljust(24, "X"))),
                setting,
            )
        mended = Stopwatch()
        await set_up.settled(3 * ALERTS)
        recovery = mended.seconds
        assert wrong.received == 0
    for number, fault in enumerate(addresses):
        arrived = set_up.requests(f"MENDED{number}")
        scores.record(
            f"receiver: {fault}, then the setting is mended",
            sent=ALERTS,
            lost=ALERTS - len(arrived),
            duplicated=arrived.total() - len(arrived),
            recovery=recovery,
        )
