"""Who changed which notification setting is kept; what was secret in it is kept nowhere, the server's log included."""

from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from support.alerts import SLACK, Alerts

pytestmark = pytest.mark.servers

CANARY = "canaryTokenVq07aaZk81QmX"
WEBHOOK = f"https://hooks.slack.com/services/T0/B0/{CANARY}"
AUDIT = "SELECT setting_id, action, changed FROM pggit.notification_settings_audit"


async def test_every_kind_of_change_is_kept(alerts: Alerts) -> None:
    """Creation, change, deletion and TRUNCATE leave a row each; what changes nothing leaves none."""
    setting = await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE, name = 'ops'")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE WHERE setting_id = -1")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET setting_id = 70")
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    await alerts.rows("TRUNCATE pggit.alert_notification_settings CASCADE")
    expected = [
        (setting, "INSERT", []),
        (setting, "UPDATE", ["enabled", "name"]),
        (setting, "DELETE", ["setting_id"]),
        (70, "INSERT", ["setting_id"]),
        (70, "DELETE", []),
        (None, "TRUNCATE", []),
    ]
    assert sorted(await alerts.rows(AUDIT), key=str) == sorted(expected, key=str)
    rows = await alerts.rows(
        "SELECT before ->> 'enabled', after ->> 'enabled', after ->> 'name', after ->> 'recipient'"
        " FROM pggit.notification_settings_audit WHERE action = 'UPDATE'"
    )
    assert rows == [("true", "false", "ops", "#pgit-alerts")]


async def test_who_changed_it_is_named(alerts: Alerts) -> None:
    """The login, the role it acted in and the program are kept, not the owner of the trigger."""
    await alerts.rows("DROP ROLE IF EXISTS test_settings_keeper")
    await alerts.rows("CREATE ROLE test_settings_keeper LOGIN IN ROLE pggit_alertd_operator")
    try:
        await alerts.rows("SET application_name = 'psql of Ann'")
        await alerts.rows("SET SESSION AUTHORIZATION test_settings_keeper")
        await alerts.setting()
        await alerts.rows("SET ROLE pggit_alertd_operator")
        await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    finally:
        await alerts.rows("RESET SESSION AUTHORIZATION")
        await alerts.rows("DROP ROLE test_settings_keeper")
    assert await alerts.rows(
        "SELECT action, session_user_name, current_user_name, application_name, changed_at <= clock_timestamp()"
        " FROM pggit.notification_settings_audit ORDER BY audit_id"
    ) == [
        ("INSERT", "test_settings_keeper", "test_settings_keeper", "psql of Ann", True),
        ("DELETE", "test_settings_keeper", "pggit_alertd_operator", "psql of Ann", True),
    ]


@pytest.mark.parametrize(
    "config",
    [
        {"webhook": WEBHOOK, "channel": "#ops"},
        {"to": [f"{CANARY}@example.com"], "cc": f"{CANARY}@example.com"},
        {WEBHOOK: "pasted as a key", CANARY: 1},
        {"nested": {"deep": [WEBHOOK]}},
        [WEBHOOK],
        WEBHOOK,
        None,
        7,
    ],
    ids=["webhook", "addresses", "keys", "nested", "list", "text", "null", "number"],
)
@pytest.mark.parametrize("channel", ["slack", "email", "carrier pigeon"])
async def test_no_part_of_a_config_is_kept(alerts: Alerts, channel: str, config: object) -> None:
    """Whatever stands in config, no value of it is in the audit, and a change of it still shows as one."""
    await alerts.setting(channel, config)
    await alerts.rows("UPDATE pggit.alert_notification_settings SET config = %s", Jsonb({"webhook": f"{WEBHOOK}2"}))
    await alerts.rows("UPDATE pggit.alert_notification_settings SET config_sealed = %s", CANARY.encode())
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    audit = await alerts.everything(["pggit.notification_settings_audit"])
    assert CANARY not in audit
    assert CANARY.encode().hex() not in audit
    changed = await alerts.column(
        "SELECT changed FROM pggit.notification_settings_audit WHERE action = 'UPDATE' ORDER BY audit_id"
    )
    assert {"config", "config.webhook"} & set(changed[0])
    assert changed[1] == ["config_sealed"]


async def test_thousands_of_settings_in_one_statement_stay_quick(alerts: Alerts) -> None:
    """5,000 rows written, changed and deleted are audited by one statement each, row by row."""
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config)"
        " SELECT '*', '*', 'slack', %s FROM generate_series(1, 5000)",
        Jsonb(SLACK),
    )
    await alerts.rows("SET statement_timeout = '20s'")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET severity = 'INFO'")
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    assert await alerts.rows(
        "SELECT action, count(*) FROM pggit.notification_settings_audit GROUP BY action ORDER BY action"
    ) == [("DELETE", 5000), ("INSERT", 5000), ("UPDATE", 5000)]


COLUMNS = ["alert_type", "severity", "notification_channel", "operation_pattern", "group_by", "created_at"]
COLUMNS += ["send_acknowledged", "send_resolved"]


@pytest.mark.parametrize("column", [*COLUMNS, "setting_id", "min_interval"])
async def test_a_refused_row_is_not_in_the_servers_log(alerts: Alerts, server: Any, column: str) -> None:
    """What a constraint would refuse is refused first, naming column and mend; the log has the error and no webhook."""
    await alerts.rows("SET log_min_messages = 'warning'")
    await alerts.setting("slack", {"webhook": WEBHOOK})
    value, kind = ("'-1 hour'", "CheckViolation") if column == "min_interval" else ("NULL", "NotNullViolation")
    before = len(server.server.log.read_bytes())
    with pytest.raises(getattr(psycopg.errors, kind)) as caught:
        await alerts.rows(f"UPDATE pggit.alert_notification_settings SET {column} = {value}")  # noqa: S608
    assert caught.value.diag.column_name == column
    assert caught.value.diag.message_hint
    assert "Failing row" not in str(caught.value)
    row: dict[str, Any] = {"alert_type": "*", "severity": "*", "notification_channel": "slack"}
    row |= {"config": Jsonb({"webhook": WEBHOOK}), column: None if value == "NULL" else "-1 hour"}
    insert = sql.SQL("INSERT INTO pggit.alert_notification_settings ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join([sql.Placeholder()] * len(row))
    )
    with pytest.raises(getattr(psycopg.errors, kind)):
        await alerts.connection.execute(insert, list(row.values()))
    logged = server.server.log.read_bytes()[before:].decode()
    assert "must not be" in logged
    assert "Failing row" not in logged
    assert CANARY not in logged


async def test_every_constraint_is_one_that_the_trigger_knows(alerts: Alerts) -> None:
    """A column that becomes NOT NULL, or a new CHECK, must be added to check_notification_setting."""
    source = await alerts.value("SELECT prosrc FROM pg_proc WHERE proname = 'check_notification_setting'")
    columns = await alerts.column(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'pggit.alert_notification_settings'::regclass"
        " AND attnotnull AND attnum > 0"
    )
    checks = await alerts.column(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'pggit.alert_notification_settings'::regclass"
        " AND contype = 'c'"
    )
    assert [name for name in (*columns, *checks) if name not in source] == []
