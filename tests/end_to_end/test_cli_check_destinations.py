"""`pggit-alertd check` on notification settings: who would be told, what can't be used, and which endpoints answer."""

import json
from typing import Any

import psycopg
import pytest

from pggit_alertd.checks import Status
from pggit_alertd.demo.sinks import HttpSink, SmtpSink
from support.checks import ADDRESS, ROUTING_KEY, TOKEN, add_setting, add_usual, checked, named, settings_for
from support.command_line import alertd


async def test_nobody_being_told_is_warned_of(database: str) -> None:
    """No setting, or none that is enabled, means that alerts reach nobody."""
    nothing = named(await checked(settings_for(database)), "notification settings")
    assert (nothing.status, "there is none" in nothing.message) == (Status.WARNING, True)
    add_setting(database, "slack", {"webhook": "https://hooks.slack.com/services/T0/B0/x"}, enabled=False)
    disabled = named(await checked(settings_for(database)), "notification settings")
    assert (disabled.status, "none is enabled" in disabled.message) == (Status.WARNING, True)


async def test_types_that_no_alert_has_are_warned_of_unless_they_have_a_use(database: str) -> None:
    """A typo in alert_type is named; SYSTEM and ESCALATION are for the daemon's own words and for chains."""
    for alert_type in ("TRESHOLD", "SYSTEM", "ESCALATION"):
        add_setting(database, "slack", {"webhook": "https://hooks.slack.com/services/T0/B0/x"}, alert_type=alert_type)
    found = [each.message for each in await checked(settings_for(database)) if "matches no alert" in each.message]
    assert len(found) == 1
    assert "alert_type TRESHOLD" in found[0]


async def test_one_destination_is_probed_once_however_many_settings_lead_there(database: str, http: HttpSink) -> None:
    """Settings that share an endpoint are one finding that names them all; a disabled one is not probed."""
    for name in ("one", "two"):
        add_setting(database, "slack", {"webhook": http.slack_url(TOKEN)}, name=name)
    add_setting(database, "slack", {"webhook": http.slack_url("another")}, enabled=False)
    destination = named(await checked(settings_for(database, http)), "destination")
    assert destination.status is Status.OK
    assert destination.name.endswith("(settings 1, 2)")
    assert http.connections_made == 1


def add_shift(dsn: str, setting_id: int, config: Any) -> None:
    """Put somebody on call for a setting now."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config)"
            " VALUES (%s, now(), 'infinity', %s)",
            (setting_id, json.dumps(config)),
        )


async def test_the_endpoint_of_the_shift_that_is_on_is_the_one_probed(database: str, http: HttpSink) -> None:
    """A setting is tested as it reaches somebody now, and the finding names the shift; its own endpoint rests."""
    add_setting(database, "slack", {"webhook": "http://127.0.0.1:9/services/T1/B1/nobody"})
    assert named(await checked(settings_for(database, http)), "destination").status is Status.FAILED
    add_shift(database, 1, {"webhook": http.slack_url(TOKEN)})
    found = await checked(settings_for(database, http))
    destination = named(found, "destination")
    assert destination.status is Status.OK, destination.message
    assert destination.name.endswith("(setting 1 by on-call shift 1)")
    assert named(found, "notification settings").message == "1 can be used; 1 by an on-call shift"
    assert http.connections_made == 1


async def test_a_setting_that_only_its_shift_can_use_is_warned_of(database: str, http: HttpSink) -> None:
    """A shift that can't deliver fails, with the row to mend; a setting that reaches nobody after it is a warning."""
    add_setting(database, "pagerduty", {"service_key": "short"})
    add_setting(database, "pagerduty", {"service_key": ROUTING_KEY})
    add_shift(database, 1, {"service_key": ROUTING_KEY})
    add_shift(database, 2, {"service_key": "short"})
    found = await checked(settings_for(database, http))
    own = named(found, "notification setting 1")
    assert (own.name, own.status) == ("notification setting 1", Status.WARNING)
    assert own.message.startswith("reaches nobody between on-call shifts: ")
    broken = named(found, "notification setting 2")
    assert (broken.name, broken.status) == ("notification setting 2 by on-call shift 2", Status.FAILED)
    assert broken.message.endswith("Mend the row in pggit.oncall_shift.")


async def test_destinations_are_left_alone_when_asked(database: str, http: HttpSink, mail: SmtpSink) -> None:
    """--no-destinations opens no connection to any receiver, and says that it left them out."""
    add_usual(database, http)
    ended = await alertd("check", "--no-destinations", **settings_for(database, http, mail))
    assert ended.status == 0
    assert "skipped  destinations: left out by --no-destinations" in ended.out
    assert (http.connections_made, mail.connections_made) == (0, 0)


async def test_a_receiver_that_can_not_be_reached_fails(database: str) -> None:
    """A closed port is a failed check that names the destination, and no other is affected by it."""
    async with HttpSink() as gone:
        pass
    async with HttpSink() as there:
        add_setting(database, "slack", {"webhook": gone.slack_url(TOKEN)})
        add_setting(database, "pagerduty", {"service_key": ROUTING_KEY})
        found = await checked(settings_for(database, there))
    assert named(found, "destination slack").status is Status.FAILED
    assert named(found, "destination pagerduty").status is Status.OK


async def test_mail_settings_without_a_mail_server_fail(database: str) -> None:
    """An email setting can't be used while no mail server is set; the message names the variable."""
    add_setting(database, "email", {"email": ADDRESS})
    setting = named(await checked(settings_for(database)), "notification setting 1")
    assert setting.status is Status.FAILED
    assert "set PGGIT_ALERTD_SMTP_URL" in setting.message
    assert "Mend the row" not in setting.message


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (None, "null"),
        ("text", "a string"),
        ([], "an array"),
        (7, "a number"),
        (0.5, "a number"),
        (True, "true or false"),
    ],
)
async def test_a_config_that_is_no_object_is_named_in_json_s_words(database: str, config: Any, word: str) -> None:
    """People wrote JSON, so they are not told of Python's types; the row is what needs mending."""
    add_setting(database, "slack", config)
    setting = named(await checked(settings_for(database)), "notification setting 1")
    assert setting.message.startswith(f"The config is {word}; put a JSON object such as ")
    assert "Mend the row" in setting.message


async def test_an_enormous_config_is_told_in_the_same_words_as_by_sql(database: str) -> None:
    """A key of 1 MB is one problem with one name, in `check` as in the warning at the INSERT."""
    config = {"service_key": "k" * 1_000_000}
    add_setting(database, "pagerduty", config)
    setting = named(await checked(settings_for(database)), "notification setting 1")
    with psycopg.connect(database) as connection:
        statement = "SELECT pggit.notification_setting_problem('pagerduty', %s)"
        row = connection.execute(statement, (json.dumps(config),)).fetchone()
    assert row is not None
    assert setting.message.startswith(f"{row[0]}. ")


async def test_keys_that_no_channel_looks_at_are_named(database: str, http: HttpSink) -> None:
    """A misspelt key is a warning that lists the known ones, and shows nothing secret that stands in its place."""
    webhook = http.slack_url(TOKEN)
    add_setting(database, "slack", {"webhook": webhook, "chanel": "#ops"})
    add_setting(database, "pagerduty", {"service_key": ROUTING_KEY, webhook: 1, **dict.fromkeys("abcdef", 1)})
    add_setting(database, "slack", {"webhok": webhook})
    add_setting(database, "slack", {"webhook": webhook, "chanel": "#ops"}, enabled=False)
    found = await checked(settings_for(database, http))
    said = {each.name: each.message for each in found if "keys that are ignored" in each.message}
    assert said["notification setting 1"] == (
        "config has keys that are ignored: chanel; slack knows webhook, webhook_url and channel"
    )
    assert "and 2 more; pagerduty knows routing_key and service_key" in said["notification setting 2"]
    assert "webhok" in said["notification setting 3"]
    assert "notification setting 4" not in said


async def test_a_setting_whose_enabled_is_null_is_told_to_be_disabled(database: str) -> None:
    """NULL is neither yes nor no; what it amounts to is said."""
    add_setting(database, "slack", {"webhook": "https://hooks.slack.com/services/T0/B0/x"}, enabled=None)
    setting = named(await checked(settings_for(database)), "notification setting 1")
    assert (setting.status, "treated as disabled" in setting.message) == (Status.WARNING, True)
