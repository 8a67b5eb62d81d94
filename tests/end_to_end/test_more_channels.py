"""The webhook and Apprise through the whole daemon: claimed in lanes of their own, delivered, logged."""

import json

import pytest

from pggit_alertd.demo.sinks import Answer, HttpRequest
from support.daemon import Stage

SECRET = "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5LW9mLTMyLWJ5dGVz"
CANARY = "c4n4ryT0kenOfTheWebhook"


@pytest.mark.servers
async def test_an_alert_reaches_a_webhook_and_apprise(set_up: Stage) -> None:
    """Each gets the alert once, one after a retry; the log has every attempt, and no table or log line a secret."""
    hook = await set_up.alerts.setting("webhook", {"url": set_up.http.hook_url(CANARY), "secret": SECRET})
    apprise = await set_up.alerts.setting(
        "apprise", {"url": f"json://127.0.0.1:{set_up.http.port}/hooks/apprise-{CANARY}"}
    )
    set_up.http.script(Answer(503, f"busy: {CANARY}"), path=f"/hooks/{CANARY}")
    daemon = await set_up.run()
    alert = await set_up.alerts.alert("commit")
    await set_up.settled(2)
    assert await set_up.statuses() == {"sent": 2}
    requests: dict[str, list[HttpRequest]] = {}
    for request in set_up.http.requests:
        requests.setdefault(request.path, []).append(request)
    first, second = requests[f"/hooks/{CANARY}"]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.json()["data"]["alert"]["alert_id"] == alert
    (posted,) = requests[f"/hooks/apprise-{CANARY}"]
    assert "commit exceeded its baseline by 5.0x" in posted.json()["title"]
    log = await set_up.alerts.log("setting_id, channel, status, response_code, recipient LIKE channel || ' %%'")
    assert sorted(log) == sorted(
        [
            (hook, "webhook", "retry", 503, True),
            (hook, "webhook", "sent", 200, True),
            (apprise, "apprise", "sent", None, True),
        ]
    )
    told = await set_up.alerts.everything(
        ["pggit.alert_notification_queue", "pggit.alert_notification_log", "pggit.alert_destination"]
    )
    assert await daemon.stop() == 0
    for text in (told, json.dumps(daemon.events)):
        assert CANARY not in text
        assert SECRET.removeprefix("whsec_") not in text
