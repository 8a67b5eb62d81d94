"""`pggit-alertd send-test`: one [TEST] message through a setting to a real receiver, with the receiver's answer."""

import json
from typing import Any

import psycopg
import pytest

from pggit_alertd.demo.sinks import Answer, HttpSink, SmtpReply, SmtpSink
from support.checks import ADDRESS, PASSWORD, ROUTING_KEY, TOKEN
from support.command_line import Ended, alertd


class Bench:
    """A migrated database, receivers, and the command between them."""

    def __init__(self, dsn: str, connection: psycopg.AsyncConnection, http: HttpSink, mail: SmtpSink) -> None:
        self.connection = connection
        self.http = http
        self.settings = {
            "database_url": dsn,
            "smtp_url": mail.url,
            "email_from": "alertd@pggit.example",
            "pagerduty_url": http.url,
            "allow_insecure_destinations": "true",
        }

    async def setting(self, channel: str, config: Any = None, *, name: str | None = None, enabled: bool = True) -> int:
        """Insert a notification setting and return its number."""
        usual = {
            "email": {"to": [ADDRESS]},
            "slack": {"webhook": self.http.slack_url(TOKEN), "channel": "#ops"},
            "pagerduty": {"service_key": ROUTING_KEY},
            "webhook": {"url": self.http.hook_url(TOKEN), "secret": "a phrase that is long enough"},
            "apprise": {"url": f"json://127.0.0.1:{self.http.port}/hooks/{TOKEN}"},
        }
        cursor = await self.connection.execute(
            "INSERT INTO pggit.alert_notification_settings "
            "(alert_type, severity, notification_channel, config, name, enabled) "
            "VALUES ('*', '*', %s, %s, %s, %s) RETURNING setting_id",
            (channel, json.dumps(usual[channel] if config is None else config), name, enabled),
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def send(self, setting: int | str, *options: str, **settings: str) -> Ended:
        """Run send-test; whatever it says, it says no secret."""
        ended = await alertd("send-test", str(setting), *options, **(self.settings | settings))
        assert not any(secret in ended.said for secret in (TOKEN, ROUTING_KEY, PASSWORD, ADDRESS))
        assert "Traceback" not in ended.err
        return ended

    async def log(self) -> list[tuple[Any, ...]]:
        """Return the delivery log: status, event, reason, code."""
        cursor = await self.connection.execute(
            "SELECT status, event, reason, response_code FROM pggit.alert_notification_log ORDER BY log_id"
        )
        return await cursor.fetchall()


@pytest.fixture
def bench(database: str, connection: psycopg.AsyncConnection, http: HttpSink, mail: SmtpSink) -> Bench:
    """Put database and receivers together."""
    return Bench(database, connection, http, mail)


async def test_a_test_mail_arrives_and_is_marked(bench: Bench, mail: SmtpSink) -> None:
    """The mail has [TEST] in its subject, and the server's 250 is printed and logged."""
    ended = await bench.send(await bench.setting("email"))
    assert ended.status == 0, ended.err
    assert "delivered, answer 250" in ended.out
    (received,) = mail.mails
    assert received.message()["Subject"].startswith("[TEST] ")
    assert received.recipients == (ADDRESS,)
    assert await bench.log() == [("test", "triggered", None, 250)]


async def test_a_test_for_slack_arrives_and_is_marked(bench: Bench, http: HttpSink) -> None:
    """The message has [TEST] in the text that phones show, also from a setting that is not enabled."""
    ended = await bench.send(await bench.setting("slack", name="ops", enabled=False), "--json")
    assert ended.status == 0, ended.err
    assert (ended.json["ok"], ended.json["logged"], ended.json["recipient"]) == (True, True, "#ops")
    (attempt,) = ended.json["attempts"]
    assert (attempt["outcome"], attempt["code"], attempt["reason"]) == ("delivered", 200, None)
    (request,) = http.requests
    assert "[TEST]" in request.json()["text"]
    assert await bench.log() == [("test", "triggered", None, 200)]


async def test_a_test_that_arrives_lets_a_broken_destination_be_probed_now(bench: Bench, http: HttpSink) -> None:
    """Who has mended a webhook does not wait a quarter of an hour; a test that is refused changes nothing."""
    setting = await bench.setting("slack")
    await bench.connection.execute(
        """
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, open_reason)
        SELECT s.destination_key, 'slack', s.recipient, now(), now() + interval '15 minutes', 'auth'
        FROM pggit.alert_notification_settings AS s
        """
    )

    async def due() -> bool:
        """Whether the probe is due."""
        cursor = await bench.connection.execute("SELECT open_until <= now() FROM pggit.alert_destination")
        return (await cursor.fetchall()) == [(True,)]

    http.script(Answer(403, "invalid_token"))
    assert (await bench.send(setting)).status == 1
    assert not await due()
    assert (await bench.send(setting)).status == 0
    assert await due()


async def test_a_test_goes_to_the_shift_that_is_on_and_says_so(bench: Bench, http: HttpSink) -> None:
    """It arrives at the endpoint of the shift and is logged there; a shift that is over changes nothing."""
    setting = await bench.setting("slack", name="ops")
    other = "anotherCanaryToken8f2b"
    shift = (
        "INSERT INTO pggit.oncall_shift (shift_id, setting_id, starts_at, ends_at, config)"
        " VALUES (%s, %s, now() + %s::interval, now() + %s::interval, %s)"
    )
    config = json.dumps({"webhook": http.slack_url(other), "channel": "#on-call"})
    await bench.connection.execute(shift, (6, setting, "-2 hours", "-1 hour", config))
    ended = await bench.send(setting)
    assert "(setting 1 (ops))" in ended.out
    assert TOKEN in http.requests[-1].path
    await bench.connection.execute(shift, (7, setting, "-1 hour", "1 hour", config))
    ended = await bench.send(setting)
    assert "slack #on-call (setting 1 (ops) by on-call shift 7), triggered: delivered" in ended.out
    assert other not in ended.said
    assert other in http.requests[-1].path
    answer = (await bench.send(setting, "--json")).json
    assert (answer["shift_id"], answer["recipient"]) == (7, "#on-call")
    cursor = await bench.connection.execute("SELECT recipient FROM pggit.alert_notification_log ORDER BY log_id")
    assert await cursor.fetchall() == [("#ops",), ("#on-call",), ("#on-call",)]


async def test_a_test_for_pagerduty_opens_an_incident_and_resolves_it(bench: Bench, http: HttpSink) -> None:
    """Trigger and resolve have one dedup_key, so nothing stays open; both replies are printed and logged."""
    ended = await bench.send(await bench.setting("pagerduty"))
    assert ended.status == 0, ended.err
    assert "triggered: delivered, answer 202" in ended.out
    assert "resolved: delivered, answer 202" in ended.out
    assert list(http.incidents.values()) == [["trigger", "resolve"]]
    assert "[TEST]" in http.requests[0].json()["payload"]["summary"]
    assert http.requests[0].json()["payload"]["severity"] == "info"
    assert await bench.log() == [("test", "triggered", None, 202), ("test", "resolved", None, 202)]


async def test_a_test_for_a_webhook_and_for_apprise_is_marked(bench: Bench, http: HttpSink) -> None:
    """The webhook's body says so in a key of its own, Apprise's title in words; the log has both."""
    for channel in ("webhook", "apprise"):
        ended = await bench.send(await bench.setting(channel))
        assert ended.status == 0, ended.err
        assert "triggered: delivered" in ended.out
    hook, apprise = (request.json() for request in http.requests)
    assert hook["data"]["test"] is True
    assert "[TEST]" in hook["data"]["headline"]
    assert apprise["title"].startswith("INFO: [TEST] ")
    assert await bench.log() == [("test", "triggered", None, 200), ("test", "triggered", None, None)]


async def test_each_test_is_a_new_incident(bench: Bench, http: HttpSink) -> None:
    """A second test is not folded into the first."""
    number = await bench.setting("pagerduty")
    await bench.send(number)
    await bench.send(number)
    assert len(http.incidents) == 2


async def test_what_the_receiver_refuses_is_printed_and_logged(bench: Bench, http: HttpSink, mail: SmtpSink) -> None:
    """A refusal fails the command with the receiver's words; a PagerDuty trigger that was refused is not resolved."""
    http.always(Answer(404, "no_service"), "/services/")
    slack = await bench.send(await bench.setting("slack"))
    assert slack.status == 1
    assert "not delivered, destination_gone: HTTP 404: no_service; make a new webhook" in slack.out
    http.always(Answer(400, '{"status":"invalid event","errors":["routing_key is invalid"]}'), "/v2/enqueue")
    pagerduty = await bench.send(await bench.setting("pagerduty"))
    assert pagerduty.status == 1
    assert "not delivered, auth: HTTP 400" in pagerduty.out
    assert "resolved" not in pagerduty.out
    mail.script(SmtpReply("RCPT", "550 5.1.1 no such user"))
    email = await bench.send(await bench.setting("email"), "--json")
    assert email.status == 1
    assert (email.json["ok"], email.json["attempts"][0]["reason"]) == (False, "refused_recipient")
    assert await bench.log() == [
        ("test", "triggered", "destination_gone", 404),
        ("test", "triggered", "auth", 400),
        ("test", "triggered", "refused_recipient", 550),
    ]


async def test_a_receiver_that_never_answers_is_not_waited_for(bench: Bench, http: HttpSink) -> None:
    """The delivery deadline holds for tests too, and says that the message may have arrived."""
    http.always(Answer(hang=True))
    ended = await bench.send(await bench.setting("slack"), http_deadline="1s")
    assert ended.status == 1
    assert "not delivered, timeout" in ended.out
    assert await bench.log() == [("test", "triggered", "timeout", None)]


async def test_settings_are_found_by_name_and_number(bench: Bench, http: HttpSink) -> None:
    """A name that only one setting has will do; a name that two have is answered with their numbers."""
    await bench.setting("slack", name="ops")
    assert (await bench.send("ops")).status == 0
    first, second = await bench.setting("slack", name="twins"), await bench.setting("slack", name="twins")
    ended = await bench.send("twins")
    assert ended.status == 1
    assert f"use a number: {first}, {second}." in ended.err
    assert http.received == 1


async def test_an_unknown_setting_is_answered_with_those_there_are(bench: Bench, http: HttpSink) -> None:
    """The error lists number, name, channel and masked recipient; with no setting at all it says so."""
    none = await bench.send("7")
    assert none.status == 1
    assert "There is no notification setting" in none.err
    number = await bench.setting("slack", name="on\x1b[2Jcall")
    ended = await bench.send("nobody")
    assert ended.status == 1
    assert f"  {number} (on [2Jcall): slack to #ops" in ended.err
    assert "\x1b" not in ended.err
    assert http.received == 0


@pytest.mark.parametrize(
    ("channel", "config", "says"),
    [
        ("slack", {"webhook": "no URL at all"}, '"webhook"'),
        ("slack", {}, 'no "webhook"'),
        ("pagerduty", {"service_key": "short"}, "it has 5 characters"),
        ("email", [], "The config is an array"),
    ],
    ids=["no URL", "empty", "short key", "array"],
)
async def test_a_setting_that_can_not_be_used_says_what_to_mend(
    bench: Bench, channel: str, config: Any, says: str
) -> None:
    """A broken config ends with 78, the setting's number and the key to mend, before anything is sent."""
    number = await bench.setting(channel, config)
    ended = await bench.send(number)
    assert ended.status == 78
    assert f"Notification setting {number} can't be used." in ended.err
    assert says in ended.err
    assert await bench.log() == []


async def test_a_dry_run_sends_nothing_and_says_so(bench: Bench, http: HttpSink) -> None:
    """With PGGIT_ALERTD_DRY_RUN the message is rendered and logged, and no receiver hears of it."""
    ended = await bench.send(await bench.setting("pagerduty"), dry_run="true")
    assert ended.status == 0
    assert ended.out.count("not sent, this is a dry run") == 2
    assert http.connections_made == 0
    assert await bench.log() == [("test", "triggered", "dry_run", None), ("test", "resolved", "dry_run", None)]


async def test_a_log_that_can_not_be_written_does_not_hide_what_was_sent(bench: Bench, http: HttpSink) -> None:
    """The message is out, so the command succeeds, and warns that the log lacks it."""
    number = await bench.setting("slack")
    await bench.connection.execute(
        "ALTER TABLE pggit.alert_notification_log DROP CONSTRAINT alert_notification_log_status_is_known"
    )
    await bench.connection.execute("ALTER TABLE pggit.alert_notification_log ADD CHECK (status <> 'test')")
    ended = await bench.send(number)
    assert ended.status == 0
    assert "warning: the delivery log could not be written" in ended.err
    assert http.accepted == 1


async def test_without_a_schema_it_says_what_to_do(empty_database: str) -> None:
    """A database that was never migrated ends with 78 and the command that migrates it."""
    ended = await alertd("send-test", "1", database_url=empty_database)
    assert ended.status == 78
    assert "Run `pggit-alertd migrate up`" in ended.err
