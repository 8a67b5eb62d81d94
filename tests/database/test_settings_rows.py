"""Notification settings as people write them: the design document's own, the odd, the broken and the enormous."""

import json
import secrets
from typing import Any

import psycopg
import pytest

from pggit_alertd.channels import NAMES
from support.alerts import APPRISE, EMAIL, HOOK, PAGERDUTY, SLACK, WEBHOOK, Alerts

pytestmark = pytest.mark.servers

DESIGN_DOCUMENT = """
INSERT INTO pggit.alert_notification_settings VALUES
    (DEFAULT, 'THRESHOLD_EXCEEDED', 'CRITICAL', 'email',
     TRUE, '{"to": ["ops@company.com", "oncall@company.com"], "cc": ["team@company.com"]}'),
    (DEFAULT, 'THRESHOLD_EXCEEDED', 'WARNING', 'slack',
     TRUE, '{"webhook": "https://hooks.slack.com/...", "channel": "#pgit-alerts"}'),
    (DEFAULT, 'ANOMALY', 'CRITICAL', 'pagerduty',
     TRUE, '{"service_key": "..."}');
"""

JUNK: list[Any] = [
    {},
    [],
    "text",
    7,
    True,
    None,
    [[["deep"]]],
    {"to": None, "webhook": None, "service_key": None},
    {"to": 5, "webhook": 5, "service_key": 5, "url": 5, "urls": 5},
    {"to": [], "cc": [], "email": [], "webhook": "", "service_key": ""},
    {"to": {}, "webhook": {}, "service_key": {}, "url": {}},
    {"url": None, "urls": []},
    {"url": None, "urls": [None]},
    {"url": [], "urls": ["discord://id/token"]},
    {"url": "no scheme", "urls": "no scheme"},
    {"to": [[]], "webhook": [WEBHOOK], "service_key": ["k"]},
    {"to": [None], "webhook": "   ", "service_key": " \t\n"},
    {"to": ["ops@example.com", 5], "webhook": "ftp://example.com/x", "service_key": False},
    {"to": "no at sign", "webhook": "hooks.slack.com/services", "service_key": None},
    {"to": "a@b, c@d", "webhook": "https:///path", "service_key": []},
    {"to": "a@b\nBcc: c@d", "webhook": "https:// example.com", "service_key": 0},
    {"TO": ["ops@example.com"], "Webhook": WEBHOOK, "Service_Key": "k"},
]
"""No channel can use any of these."""


async def test_the_design_documents_examples_work_as_they_stand(alerts: Alerts) -> None:
    """The examples are accepted unchanged, and each hears exactly of its own alert type and severity."""
    await alerts.connection.execute(DESIGN_DOCUMENT.encode())
    assert alerts.notices == []
    assert await alerts.rows(
        "SELECT setting_id, enabled, recipient FROM pggit.alert_notification_settings ORDER BY setting_id"
    ) == [
        (1, True, "o***@company.com, o***@company.com, t***@company.com"),
        (2, True, "#pgit-alerts"),
        (3, True, await alerts.value("SELECT pggit.masked_recipient('pagerduty', '{\"service_key\": \"...\"}')")),
    ]
    warning = await alerts.alert(severity="WARNING")
    critical = await alerts.alert(severity="CRITICAL")
    anomaly = await alerts.alert(severity="CRITICAL", alert_type="ANOMALY")
    await alerts.alert(severity="WARNING", alert_type="ANOMALY")
    await alerts.alert(severity="INFO", alert_type="DEGRADATION")
    assert await alerts.route() == (5, 3, 0)
    assert await alerts.queue() == [
        (warning, "slack", "pending"),
        (critical, "email", "pending"),
        (anomaly, "pagerduty", "pending"),
    ]
    assert [row[1:] for row in await alerts.log()] == [("suppressed", "no_matching_setting")] * 2


@pytest.mark.parametrize("channel", NAMES)
async def test_a_broken_setting_is_accepted_with_a_warning_and_spoils_nothing(alerts: Alerts, channel: str) -> None:
    """Each broken row warns with a mend, its alert is kept as failed with that reason, and a good setting delivers."""
    for config in JUNK:
        await alerts.setting(channel, config)
    await alerts.connection.execute(
        "INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config)"
        " VALUES ('*', '*', %s, NULL)",
        (channel,),
    )
    broken = len(JUNK) + 1
    warnings = [notice for notice in alerts.notices if notice.startswith("WARNING")]
    assert len(warnings) == broken
    assert all("can't deliver" in warning and "Mend it with UPDATE" in warning for warning in warnings)
    good = await alerts.setting(channel)
    assert len(alerts.notices) == broken
    alert = await alerts.alert()
    assert await alerts.route() == (1, 1, broken)
    rows = await alerts.queue("setting_id, status, error_message, processed_at IS NOT NULL, alert_id")
    assert [row[0] for row in rows if row[1] == "pending"] == [good]
    assert all(
        text.startswith(f"setting {number}: ") and done for number, status, text, done, _ in rows if status == "failed"
    )
    log = await alerts.log("alert_id, status, reason, error_message")
    assert [row[:3] for row in log] == [(alert, "failed", "invalid_setting")] * broken
    assert all(row[3] for row in log)


async def test_a_megabyte_of_config_costs_one_look_per_call_and_not_one_per_alert(alerts: Alerts) -> None:
    """A huge setting is refused with a reason, and 200 alerts are routed past it about as fast as one is."""
    await alerts.setting("slack", {**SLACK, "note": secrets.token_hex(500_000)})
    await alerts.setting("email", {"to": ["ops@example.com"] * 60_000})
    await alerts.setting("slack", {"webhook": "https://" + secrets.token_hex(500_000)})
    good = await alerts.setting("slack")
    assert sum("longer than 65536 bytes" in notice for notice in alerts.notices) == 3
    await alerts.alert(count=200, alert_type="ANOMALY")
    plan = await alerts.column(
        "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) SELECT * FROM pggit.route_alerts()"
    )
    blocks = plan[0][0]["Plan"]["Shared Hit Blocks"] + plan[0][0]["Plan"]["Shared Read Blocks"]
    assert blocks < 200 * 200, "a megabyte is 500 blocks: looked at for every alert, they would be 200 * 1,000"
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE setting_id = %s", good) == 200
    assert await alerts.value("SELECT max(octet_length(q::text)) FROM pggit.alert_notification_queue AS q") < 2_000


async def test_unknown_channels_types_and_severities_are_warned_about(alerts: Alerts) -> None:
    """A typo is accepted, named in a warning, and harms nobody; its alerts are kept where the channel is at fault."""
    for channel in ["carrier pigeon", "", "SLACKK", "c" * 500]:
        await alerts.setting(channel, SLACK)
    assert sum("must be email, slack, pagerduty, webhook or apprise" in notice for notice in alerts.notices) == 4
    await alerts.setting(alert_type="TRESHOLD", severity="BAD")
    assert sum("matches no alert" in notice for notice in alerts.notices) == 2
    await alerts.alert()
    assert await alerts.route() == (1, 0, 4)
    assert all(len(row[0]) <= 60 for row in await alerts.queue("channel"))


async def test_case_and_blanks_do_not_matter(alerts: Alerts) -> None:
    """' Slack ', 'warning' and ' threshold_exceeded' are what they look like."""
    await alerts.setting(" Slack ", SLACK, alert_type=" threshold_exceeded", severity="Warning ")
    await alerts.setting("EMAIL", EMAIL, alert_type="*", severity=" * ")
    await alerts.setting("PagerDuty", PAGERDUTY, alert_type="Anomaly")
    assert alerts.notices == []
    await alerts.alert()
    assert await alerts.route() == (1, 2, 0)
    assert [row[0] for row in await alerts.queue("channel")] == ["slack", "email"]


async def test_operation_patterns_know_star_and_question_mark_only(alerts: Alerts) -> None:
    """Everything else in a pattern is literal, also what LIKE would take for a wildcard or an escape."""
    cases = [
        ("*", "anything", True),
        ("", "commit", False),
        ("merge*", "merge_branches", True),
        ("merge*", "a_merge", False),
        ("*base*", "merge_base_find", True),
        ("get_?bjects", "get_objects", True),
        ("get_?bjects", "get_bjects", False),
        ("a_b", "axb", False),
        ("100%", "100 percent", False),
        ("100%", "100%", True),
        ("back\\slash", "back\\slash", True),
        ("back\\*", "back\\slash", True),
        ("'; DROP TABLE x; --", "'; DROP TABLE x; --", True),
        ("*a*a*a*a*a*a*a*a*b", "a" * 3000, False),
    ]
    for pattern, text, expected in cases:
        assert await alerts.value("SELECT pggit.glob_matches(%s, %s)", text, pattern) is expected, (pattern, text[:20])
    assert await alerts.rows("SELECT pggit.glob_matches(NULL, '*'), pggit.glob_matches('x', NULL)") == [(True, None)]


async def test_the_functions_that_describe_a_setting_take_anything(alerts: Alerts) -> None:
    """NULL, unknown channels and every kind of JSON give a defined answer, never an error."""
    channels: list[str | None] = [None, "", "carrier pigeon", *NAMES]
    working = {"email": EMAIL, "slack": SLACK, "pagerduty": PAGERDUTY, "webhook": HOOK, "apprise": APPRISE}
    for channel in channels:
        for config in [*JUNK, *working.values()]:
            problem, recipient, _key = (
                await alerts.rows(
                    "SELECT pggit.notification_setting_problem(%(c)s, %(j)s), pggit.masked_recipient(%(c)s, %(j)s),"
                    " pggit.destination_key(%(c)s, %(j)s)".replace("%(c)s", "%s::text").replace("%(j)s", "%s::jsonb"),
                    *(value for _ in range(3) for value in (channel, json.dumps(config))),
                )
            )[0]
            usable = channel is not None and config is working.get(channel, ...)
            assert (problem is None) is usable, (channel, config, problem)
            assert recipient
        assert await alerts.rows(
            "SELECT pggit.notification_setting_problem(%s, NULL) IS NULL, pggit.masked_recipient(%s, NULL)",
            channel,
            channel,
        ) == [(False, "(none)")]
    assert await alerts.rows(
        "SELECT pggit.mail_addresses(NULL), pggit.mail_addresses('[]'), pggit.mail_addresses_problem('to', NULL)"
    ) == [([], [], None)]


async def test_webhooks_and_apprise_are_described_without_their_secrets(alerts: Alerts) -> None:
    """Recipient and key name the endpoint by a digest, the same for the same endpoint, and show nothing of it."""
    hook = {"url": "https://example.com/hooks/c4n4ry", "secret": "c4n4ry" * 5, "headers": {"Authorization": "c4n4ry"}}
    for channel, config, other in (
        ("webhook", hook, {"url": "https://example.com/hooks/other"}),
        ("Apprise", {"url": "tgram://c4n4ry/1"}, {"urls": ["tgram://c4n4ry/1", "tgram://c4n4ry/2"]}),
    ):
        described = [
            (
                await alerts.rows(
                    "SELECT pggit.notification_setting_problem(%s, %s::jsonb), pggit.masked_recipient(%s, %s::jsonb),"
                    " pggit.destination_key(%s, %s::jsonb)",
                    *(value for _ in range(3) for value in (channel, json.dumps(each))),
                )
            )[0]
            for each in (config, {**config, "note": 1}, other)
        ]
        first, same, different = described
        assert first == same
        assert first[1:] != different[1:]
        assert first[0] is None
        assert first[2].startswith(f"{channel.lower()}:")
        assert first[1] == f"{channel.lower()} {first[2][-6:]}"
        assert "c4n4ry" not in str(described)


async def test_what_a_webhook_holds_beside_its_url_is_looked_at(alerts: Alerts) -> None:
    """A secret or headers of a kind that can't work are named, JSON null and absence are fine, nothing is echoed."""
    for more, complaint in (
        ({"secret": 7}, '"secret"'),
        ({"secret": {"c4n4ry": 1}}, '"secret"'),
        ({"headers": ["c4n4ry"]}, '"headers"'),
        ({"headers": "c4n4ry"}, '"headers"'),
        ({"secret": None, "headers": None}, None),
        ({"secret": ["a" * 30, "b" * 30], "headers": {}}, None),
    ):
        problem = await alerts.value(
            "SELECT pggit.notification_setting_problem('webhook', %s::jsonb)", json.dumps({**HOOK, **more})
        )
        assert (problem is None) if complaint is None else (complaint in problem)
        assert "c4n4ry" not in str(problem)
    for config in (None, "null", "[]", '"x"', "7"):
        rows = await alerts.rows(
            "SELECT pggit.webhook_setting_problem(%s::jsonb) IS NULL, pggit.apprise_setting_problem(%s::jsonb) IS NULL",
            config,
            config,
        )
        assert rows == [(False, False)]


async def test_all_three_ways_to_write_addresses_are_read(alerts: Alerts) -> None:
    """Lists under to and cc, single texts, and the design document's single "email" key all work, in that order."""
    config = {"email": "d@x.org", "cc": "c@x.org", "to": ["a@x.org", "b@x.org"]}
    assert await alerts.value("SELECT pggit.mail_addresses(%s::jsonb)", json.dumps(config)) == [
        "a@x.org",
        "b@x.org",
        "c@x.org",
        "d@x.org",
    ]
    assert await alerts.value("SELECT pggit.masked_recipient('email', %s::jsonb)", json.dumps(config)) == (
        "a***@x.org, b***@x.org, c***@x.org and 1 more"
    )


async def test_settings_with_one_endpoint_share_one_destination(alerts: Alerts) -> None:
    """The key follows the endpoint, not the row; and an UPDATE of config moves the setting to its new destination."""
    one, two = await alerts.setting(), await alerts.setting(config={"webhook_url": WEBHOOK})
    other = await alerts.setting(config={"webhook": WEBHOOK + "y"})
    keys = dict(await alerts.rows("SELECT setting_id, destination_key FROM pggit.alert_notification_settings"))
    assert keys[one] == keys[two] != keys[other]
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET config = %s::jsonb WHERE setting_id = %s",
        json.dumps(SLACK),
        other,
    )
    assert await alerts.value("SELECT count(DISTINCT destination_key) FROM pggit.alert_notification_settings") == 1


async def test_a_changed_setting_counts_from_the_next_alert(alerts: Alerts) -> None:
    """Nothing is remembered between calls: mended, disabled and deleted settings act at once."""
    setting = await alerts.setting("slack", {})
    await alerts.alert()
    assert await alerts.route() == (1, 0, 1)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET config = %s::jsonb", json.dumps(SLACK))
    await alerts.alert(operation="b")
    assert await alerts.route() == (1, 1, 0)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = NULL WHERE setting_id = %s", setting)
    await alerts.alert(operation="c")
    assert await alerts.route() == (1, 0, 0)
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    await alerts.alert(operation="d")
    assert await alerts.route() == (1, 0, 0)


async def test_settings_that_no_row_can_be_are_refused_by_name(alerts: Alerts) -> None:
    """A negative interval or an unknown fallback is an error that names the constraint."""
    for column, value, constraint in [
        ("min_interval", "-1 hour", "min_interval_not_negative"),
        ("fallback_setting_id", "4711", "fallback_fkey"),
    ]:
        with pytest.raises(psycopg.errors.IntegrityError, match=constraint):
            await alerts.rows(
                f"INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, {column})"  # noqa: S608
                " VALUES ('*', '*', 'slack', %s)",
                value,
            )
