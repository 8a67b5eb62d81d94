"""Secrets and addresses with a recognizable string in them, while everything goes wrong: nobody ever sees them."""

import json
import signal

from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.demo.sinks import Answer, SmtpReply
from support.daemon import Stage, as_url
from support.scoreboard import Scores

TOKEN = "canaryWEBHOOKtoken7f3a9c"
GONE = "canaryWEBHOOKgone7f3a9c1"
ROUTING_KEY = "ca9a4ca9a4ca9a4ca9a4ca9a4ca9a4ca"
PASSWORD = "canary-Passw0rd-7f3a9c"
MAILBOXES = ("canary.oncall@example.com", "canary.team@example.org", "canary.gone@example.net")
DATABASE_PASSWORD = "canary-database-7f3a9c"
CANARIES = (
    TOKEN,
    GONE,
    ROUTING_KEY,
    PASSWORD,
    DATABASE_PASSWORD,
    *MAILBOXES,
    *(box.partition("@")[0] for box in MAILBOXES),
)
TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'pggit' ORDER BY 1
"""
PAGES = ("/livez", "/readyz", "/healthz", "/metrics", "/", "/nowhere")


def assert_clean(where: str, text: str) -> None:
    """Fail if any canary is in the text, without printing it."""
    found = [number for number, canary in enumerate(CANARIES) if canary in text]
    assert not found, f"canaries {found} are in {where}"


async def test_canaries_appear_nowhere(set_up: Stage, crashable: EmbeddedServer, scores: Scores) -> None:
    """No log line, table, metric, page or traceback holds a token, key, password or address, whatever breaks."""
    set_up.mail.credentials = ("alertd", PASSWORD)
    settings = [
        await set_up.alerts.setting("slack", {"webhook": set_up.http.slack_url(TOKEN), "channel": "#ops"}),
        await set_up.alerts.setting("slack", {"webhook": set_up.http.slack_url(GONE), "channel": "#gone"}),
        await set_up.alerts.setting("pagerduty", {"service_key": ROUTING_KEY}),
        await set_up.alerts.setting("email", {"to": list(MAILBOXES[:1]), "cc": list(MAILBOXES[1:])}),
        # Settings that can't work, each with a secret where it is likely to be quoted.
        await set_up.alerts.setting("slack", {"webhook": f"ftp://{TOKEN}.example/{TOKEN}"}),
        await set_up.alerts.setting("slack", {"webhook": TOKEN}),
        await set_up.alerts.setting("pagerduty", {"service_key": ROUTING_KEY[:-1] + "!"}),
        await set_up.alerts.setting("email", {"to": [f"{MAILBOXES[0]}, {MAILBOXES[1]}", 7]}),
    ]
    # Receivers that repeat what they were told, in every way they can fail.
    echo = f"no {PASSWORD} {' '.join(MAILBOXES)}"
    set_up.http.script(
        Answer(503, f"no {TOKEN}"),
        Answer(500, json.dumps({"error": f"bad /services/T00000000/B00000000/{TOKEN}"})),
        Answer(200, f"<html>{TOKEN}</html>"),
        Answer(cut="body", body=TOKEN),
        path=TOKEN,
    )
    set_up.http.always(Answer(404, f"no_service {GONE}"), GONE)
    set_up.http.script(Answer(503, f"no {ROUTING_KEY}"), Answer(cut="head"), path="/v2/enqueue")
    set_up.mail.script(
        SmtpReply("AUTH", f"454 4.7.0 not {PASSWORD}", times=2),
        SmtpReply("RCPT", f"550 5.1.1 <{MAILBOXES[2]}> is not here", match=MAILBOXES[2]),
        SmtpReply("RCPT", f"451 4.2.2 <{MAILBOXES[1]}> is full", match=MAILBOXES[1], times=1),
        SmtpReply("BODY", f"451 4.3.0 {echo}", times=1),
    )
    url = f"{as_url(set_up.dsn)}&password={DATABASE_PASSWORD}"
    daemon = await set_up.spawn(
        database_url=url, log_level="DEBUG", http_deadline=2, smtp_deadline=4, database_connect_timeout=1
    )
    await daemon.ready()
    await set_up.storm(5, severity="CRITICAL")
    taken = {}
    await daemon.wait_for_event("delivery", outcome="retry", count=4)
    for path in PAGES:
        taken[f"{path} while receivers fail"] = (await daemon.page(path)).text
    crashable.halt(signal.SIGQUIT)
    await daemon.until_page("/readyz", 503)
    for path in PAGES:
        taken[f"{path} without a database"] = (await daemon.page(path)).text
    crashable.resume()
    await set_up.reconnect()
    await set_up.look(
        lambda rows: rows == [(0, 15)],
        "SELECT count(*) FILTER (WHERE status = 'pending' AND setting_id IN (1, 3, 4)),"
        " count(*) FILTER (WHERE status = 'sent') FROM pggit.alert_notification_queue",
        "what can work is sent",
        within=60,
    )
    assert len(set_up.requests(TOKEN)) == 5
    assert {key for key, _ in set_up.http.incidents} == {ROUTING_KEY}
    assert {box for mail in set_up.mail.mails for box in mail.recipients} == set(MAILBOXES[:2])
    for path in PAGES:
        taken[f"{path} afterwards"] = (await daemon.page(path)).text
    assert await daemon.stop() == 0

    for path, text in taken.items():
        assert_clean(path, text)
    for event in daemon.events:
        assert_clean(f"log event {event.get('event')}", json.dumps(event, ensure_ascii=False))
    searched = 0
    for table in await set_up.alerts.column(TABLES):
        if table != "pggit.alert_notification_settings":
            assert_clean(table, await set_up.alerts.everything([table]))
            searched += 1
    assert searched > 10
    columns = "setting_id, alert_type, name, recipient, destination_key"
    shown = await set_up.alerts.rows(f"SELECT {columns} FROM pggit.alert_notification_settings")  # noqa: S608
    assert len(shown) == len(settings)
    assert_clean("alert_notification_settings beside config", str(shown))
    # The search would find a canary where one is: in the column that holds them.
    held = await set_up.alerts.everything(["pggit.alert_notification_settings"])
    assert all(canary in held for canary in (TOKEN, GONE, ROUTING_KEY, *MAILBOXES))
    assert_clean("PostgreSQL's log", crashable.log.read_text(errors="replace"))
    arrived = set_up.requests(TOKEN)
    scores.record(
        "everything at once, canary secrets in no log, table or page",
        sent=15,
        lost=15 - (await set_up.statuses())["sent"],
        duplicated=arrived.total() - len(arrived) - 2,  # two were refused
        allowed=2 + 20,  # two answers nobody could read, and what the crash of PostgreSQL undid
    )
