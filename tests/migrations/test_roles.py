"""Who may do what: the daemon everything it runs, operators and readers their part, PUBLIC nothing of ours."""

import re
from collections.abc import Set as AbstractSet
from typing import Any

import psycopg
import pytest
from psycopg import sql

from migrations.databases import value
from pggit_alertd.database import queries
from pggit_alertd.database.files import sql_directory
from pggit_alertd.database.migrations import Release

RELEASE = Release(sql_directory())
# Migrations and made-up workloads are written by whoever owns the tables.
OWNERS = ("migration_", "workload_")
NAMES = sorted(path.stem for path in (sql_directory() / "queries").glob("*.sql") if not path.stem.startswith(OWNERS))
# What only an operator may do, from the command line.
DECISIONS = {"snooze_add", "snooze_cancel"}
FORBIDDEN = [
    ("pggit_alertd_reader", "SELECT config FROM pggit.alert_notification_settings"),
    ("pggit_alertd_reader", "DELETE FROM pggit.alert_notification_log"),
    ("pggit_alertd_reader", "SELECT pggit.approve_baseline(1)"),
    ("pggit_alertd_reader", "SELECT pggit.shadow_baseline('commit')"),
    ("pggit_alertd_daemon", "SELECT pggit.shadow_baseline('commit')"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.preview_baselines_rolling()"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.shadow_report()"),
    ("pggit_alertd_daemon", "UPDATE pggit.alert_severity_rule SET critical_multiple = 2"),
    ("pggit_alertd_operator", "DELETE FROM pggit.baseline_rollout_day"),
    ("pggit_alertd_reader", "SELECT pggit.discard_notifications('{1}', 'why')"),
    ("pggit_alertd_reader", "SELECT pggit.replay_notifications('{1}')"),
    ("pggit_alertd_daemon", "SELECT pggit.replay_notifications('{1}')"),
    ("pggit_alertd_daemon", "SELECT pggit.erase_recipient('a@example.com')"),
    ("pggit_alertd_operator", "DELETE FROM pggit.notification_settings_audit"),
    ("pggit_alertd_operator", "INSERT INTO pggit.notification_settings_audit VALUES (1)"),
    ("pggit_alertd_reader", "SELECT pggit.notify_operators('drill', 'INFO', 'm')"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.self_check()"),
    ("pggit_alertd_operator", "DELETE FROM pggit.alertd_condition"),
    ("pggit_alertd_reader", "UPDATE pggit.alert_notification_queue SET status = 'sent'"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_notification_queue SET status = 'sent'"),
    ("pggit_alertd_operator", "UPDATE pggit.performance_baselines SET is_active = FALSE"),
    ("pggit_alertd_operator", "DELETE FROM pggit.alert_notification_log"),
    ("pggit_alertd_reader", "SELECT pggit.snooze_alerts('r', '1 hour')"),
    ("pggit_alertd_reader", "SELECT pggit.cancel_snooze(1)"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_snooze SET reason = 'other'"),
    ("pggit_alertd_operator", "DELETE FROM pggit.alert_snooze"),
    ("pggit_alertd_operator", "SELECT pggit.release_muted_alerts()"),
    ("pggit_alertd_daemon", "SELECT pggit.snooze_alerts('r', '1 hour')"),
    ("pggit_alertd_daemon", "SELECT pggit.cancel_snooze(1)"),
    ("pggit_alertd_reader", "SELECT config FROM pggit.oncall_shift"),
    ("pggit_alertd_daemon", "DELETE FROM pggit.oncall_shift"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL"),
    ("pggit_alertd_reader", "UPDATE pggit.alert_destination SET paused_until = NULL"),
    ("pggit_alertd_reader", "SELECT config FROM pggit.effective_notification_config"),
    ("pggit_alertd_reader", "SELECT pggit.acknowledge_alert(1)"),
    ("pggit_alertd_reader", "SELECT pggit.resolve_alert(1)"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_episode SET closed_at = NULL"),
    ("pggit_alertd_operator", "DELETE FROM pggit.alert_lifecycle_event"),
    ("pggit_alertd_daemon", "SELECT pggit.resolve_alert(1)"),
    ("pggit_alertd_daemon", "DELETE FROM pggit.performance_metrics"),
    ("pggit_alertd_reader", "SELECT pggit.refresh_merge_rollup()"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.merge_performance_metrics"),
    ("pggit_alertd_operator", "UPDATE pggit.merge_pair_rollup SET failed = 0"),
    ("pggit_alertd_operator", "SELECT pggit.purge_settings_audit()"),
    ("pggit_alertd_daemon", "UPDATE pggit.anomaly_detection_settings SET enabled = FALSE"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.scan_anomalies()"),
    ("pggit_alertd_reader", "DELETE FROM pggit.anomaly_whitelist"),
    ("pggit_alertd_operator", "DELETE FROM pggit.whitelisted_metric"),
    ("pggit_alertd_reader", "SELECT pggit.create_anomaly_alert(1, 'ANOMALY', 5)"),
    ("pggit_alertd_daemon", "DELETE FROM pggit.alert_notification_settings"),
    ("pggit_alertd_daemon", "UPDATE pggit.performance_alerts SET is_acknowledged = TRUE"),
]
ALLOWED = [
    ("pggit_alertd_reader", "SELECT * FROM pggit.alert_notification_queue, pggit.alert_notification_log"),
    ("pggit_alertd_reader", "SELECT setting_id, recipient, enabled FROM pggit.alert_notification_settings"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.dead_letters()"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.explain_alert(1)"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_alert_history, pggit.notification_settings_audit"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.replay_notifications('{1}')"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.discard_notifications('{1}', 'why')"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_system_health, pggit.v_notification_delivery"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_notification_failures, pggit.alertd_condition"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_merge_bottleneck_analysis, pggit.v_merge_success_tracking"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_merge_phase_timeline, pggit.v_merge_conflict_analysis"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_baseline_health"),
    ("pggit_alertd_operator", "SELECT pggit.refresh_merge_rollup()"),
    ("pggit_alertd_daemon", "SELECT pggit.refresh_merge_rollup(), pggit.purge_settings_audit()"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.current_conditions()"),
    ("pggit_alertd_operator", "SELECT pggit.notify_operators('drill', 'INFO', 'm')"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.v_active_snoozes, pggit.alert_snooze, pggit.alert_muted"),
    ("pggit_alertd_operator", "SELECT pggit.snooze_alerts('r', '1 hour', p_setting_id => NULL)"),
    ("pggit_alertd_operator", "SELECT pggit.cancel_snooze(1, 'done')"),
    ("pggit_alertd_operator", "SELECT pggit.expand_snooze(1, '{}', now())"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.release_muted_alerts()"),
    ("pggit_alertd_daemon", "SELECT pggit.expand_snooze(1, '{}', now())"),
    ("pggit_alertd_operator", "SELECT config FROM pggit.alert_notification_settings"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_notification_settings SET enabled = FALSE"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.recalculate_all_baselines_rolling(7, 10, FALSE)"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.preview_baselines_rolling()"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.held_baselines(), pggit.check_baseline_quality(1)"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.held_baselines()"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.held_baselines(), pggit.shadow_report()"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.preview_baselines_rolling()"),
    (
        "pggit_alertd_reader",
        "SELECT * FROM pggit.detect_anomalies_statistical('commit'), pggit.idle_anomaly_settings()",
    ),
    ("pggit_alertd_reader", "SELECT * FROM pggit.detect_all_anomalies(), pggit.anomaly_detection_status()"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.shadow_report()"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.recalculate_baseline('commit', 1)"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_severity_rule SET critical_multiple = 2"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.baseline_rollout_day, pggit.alert_severity_rule"),
    ("pggit_alertd_operator", "UPDATE pggit.scheduled_job SET enabled = FALSE"),
    ("pggit_alertd_operator", "SELECT pggit.notify_on_alert(1)"),
    (
        "pggit_alertd_operator",
        """INSERT INTO pggit.alert_notification_settings VALUES (DEFAULT, 'ANOMALY', 'CRITICAL', 'pagerduty', TRUE,
                '{"service_key": "0123456789abcdef0123456789abcdef"}')""",
    ),
    ("pggit_alertd_operator", "SELECT pggit.acknowledge_alert(1), pggit.resolve_alert(1)"),
    ("pggit_alertd_operator", "DELETE FROM pggit.alert_escalation_step"),
    ("pggit_alertd_operator", "DELETE FROM pggit.oncall_shift"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_destination SET open_until = now() WHERE opened_at IS NOT NULL"),
    ("pggit_alertd_operator", "UPDATE pggit.alert_destination SET paused_until = NULL"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.alert_episode, pggit.alert_lifecycle_event, pggit.alert_escalation"),
    ("pggit_alertd_reader", "SELECT send_acknowledged, send_resolved FROM pggit.alert_notification_settings"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.effective_notification_config"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.effective_notification_config"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.resolve_recovered_episodes()"),
    ("pggit_alertd_daemon", "SELECT pggit.escalate_unacknowledged(), pggit.take_escalation_steps()"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.route_alerts(10)"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.recalculate_all_baselines_rolling()"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.maintain_log_partitions(1)"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.purge_notifications()"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.self_check()"),
    ("pggit_alertd_daemon", "SELECT pggit.refresh_performance_histograms(), pggit.refresh_latency_profiles()"),
    ("pggit_alertd_daemon", "SELECT * FROM pggit.scan_anomalies()"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.detect_all_anomalies(), pggit.anomaly_detection_status()"),
    ("pggit_alertd_operator", "SELECT * FROM pggit.detect_anomalies_statistical('commit')"),
    ("pggit_alertd_operator", "UPDATE pggit.anomaly_detection_settings SET enabled = FALSE"),
    ("pggit_alertd_operator", "DELETE FROM pggit.anomaly_whitelist"),
    ("pggit_alertd_operator", "SELECT pggit.whitelist_entry('commit', NULL, 1), pggit.whitelisted('commit', NULL, 1)"),
    ("pggit_alertd_reader", "SELECT * FROM pggit.anomaly_episode, pggit.anomaly_whitelist, pggit.whitelisted_metric"),
]
WRITTEN = (
    "performance_metrics", "performance_alerts", "performance_baselines", "alert_notification_settings", "oncall_shift",
    "anomaly_detection_settings", "anomaly_whitelist",
)  # fmt: skip
WRITES = (
    """INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time, end_time,
            user_name, period_start) VALUES ('commit', 9, 0.009, now() - interval '1 s', now(), 'app', current_date)""",
    """INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, user_name,
            actual_duration_microseconds) SELECT metric_id, 'commit', 'ANOMALY', 'WARNING', 'app', 9
            FROM pggit.performance_metrics""",
    "UPDATE pggit.performance_alerts SET is_acknowledged = TRUE",
    """INSERT INTO pggit.performance_baselines (operation_type, baseline_date, sample_count, min_microseconds,
            max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
            mean_microseconds) VALUES ('commit', current_date, 9, 1, 9, 5, 6, 7, 8, 9, 5)""",
    "UPDATE pggit.performance_baselines SET is_active = FALSE",
    """INSERT INTO pggit.alert_notification_settings (name, alert_type, severity, notification_channel, config)
            VALUES ('new', '*', '*', 'webhook', '{"url": "https://hooks.example.com/x"}')""",
    "UPDATE pggit.alert_notification_settings SET enabled = FALSE",
    """INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config)
            SELECT max(setting_id), now(), now() + interval '1 hour', '{"url": "https://hooks.example.com/y"}'
            FROM pggit.alert_notification_settings""",
    "UPDATE pggit.anomaly_detection_settings SET enabled = FALSE",
    "INSERT INTO pggit.anomaly_whitelist (operation_pattern, reason) VALUES ('commit', 'r')",
)
OPERATORS = ("backtest_", "deadletter_", "settings_history")
"""Statements that people run, with an operator's login."""
READERS = (
    "explain_alert",
    "deadletter_list",
    "deadletter_show",
    "deadletter_attempts",
    "settings_history",
    "snooze_list",
)
"""Those of people's statements that only look, with any login of ours."""
PARAMETER = re.compile(r"%\((\w+)\)s")
CALL = re.compile(r"(\w+)\s*\(")


def called(text: str, ours: AbstractSet[str]) -> set[str]:
    """Return the functions of ours that an SQL text calls."""
    return set(ours) & set(CALL.findall(re.sub(r"--[^\n]*", "", text)))


async def as_role(connection: psycopg.AsyncConnection[Any], role: str) -> None:
    """Continue with the rights of one of the group roles."""
    await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


async def test_the_daemon_may_run_every_query(connection: psycopg.AsyncConnection[Any]) -> None:
    """Each statement of sql/queries can be planned and started with the daemon's role alone, or its operator's."""
    refused: list[str] = []
    for name in NAMES:
        await as_role(
            connection,
            "pggit_alertd_operator" if name.startswith(OPERATORS) or name in DECISIONS else "pggit_alertd_daemon",
        )
        text = queries.load(name)
        if re.match(r"(?i)\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", text):
            try:
                await connection.execute(f"EXPLAIN {text}".encode(), dict.fromkeys(PARAMETER.findall(text)))
            except psycopg.errors.InsufficientPrivilege as error:
                refused.append(f"{name}: {error.diag.message_primary}")
    assert refused == []


@pytest.mark.parametrize("role", ["pggit_alertd_operator", "pggit_alertd_reader"])
async def test_whoever_may_read_may_run_what_only_looks(connection: psycopg.AsyncConnection[Any], role: str) -> None:
    """The statements of explain, of the lists of dead letters and windows, and of the audit run with these roles."""
    await as_role(connection, role)
    for name in READERS:
        text = queries.load(name)
        given = dict.fromkeys(PARAMETER.findall(text))
        await connection.execute(f"EXPLAIN {text}".encode(), given)


def test_public_has_nothing_on_our_tables(database: str) -> None:
    """No table or view of ours grants PUBLIC anything, and the log's partitions neither."""
    ours = [*RELEASE.tables(), *RELEASE.view_names(), "alertd_migration", "alert_notification_log_default"]
    statement = sql.SQL(
        "SELECT array_agg(c.relname) FROM pg_class AS c, aclexplode(c.relacl) AS g"
        " WHERE c.relnamespace = 'pggit'::regnamespace AND g.grantee = 0 AND c.relname = ANY ({})"
    ).format(sql.Literal(ours))
    assert value(database, statement.as_string(None)) is None


def test_default_privileges_do_not_open_our_tables(empty_database: str) -> None:
    """Where the database grants PUBLIC every new table by default, roles.sql takes ours back."""
    release = "\n".join(script.text for script in (*RELEASE.foundation, *RELEASE.migrations))
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
        connection.execute("SET check_function_bodies = off")
        connection.execute(release.encode())
        connection.execute(RELEASE.ledger.encode())
        for script in (*RELEASE.functions, *RELEASE.views("branch_id"), *RELEASE.roles):
            connection.execute(script.text.encode())
    test_public_has_nothing_on_our_tables(empty_database)


def test_roles_name_every_table_of_ours() -> None:
    """A migration that adds a table must say in roles.sql who may use it."""
    text = RELEASE.roles[0].text
    for table in [*RELEASE.tables(), *RELEASE.view_names()]:
        assert f"pggit.{table}" in text, table


def test_public_may_call_two_functions_of_ours(database: str) -> None:
    """A new function says REVOKE ... FROM PUBLIC; the two that don't ask whether their caller may read alerts."""
    with psycopg.connect(database) as connection:
        statement = (
            "SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'pggit'::regnamespace AND p.proname = ANY (%s)"
            " AND has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY p.proname"
        )
        found = connection.execute(statement, (sorted(RELEASE.routine_names()),)).fetchall()
    assert found == [("check_alert_escalation",), ("notify_on_alert",)]


def test_a_role_may_call_whatever_its_functions_call_as_their_caller(database: str) -> None:
    """Whatever a role comes to from its functions, queries and views is granted to it; triggers need no grant."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT p.proname, p.prosecdef, p.prosrc, p.prorettype = 'trigger'::regtype,"
            " ARRAY (SELECT r.rolname::text FROM pg_roles AS r WHERE r.rolname LIKE 'pggit_alertd_%%'"
            " AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))"
            " FROM pg_proc AS p WHERE p.pronamespace = 'pggit'::regnamespace AND p.proname = ANY (%s)",
            (sorted(RELEASE.routine_names()),),
        ).fetchall()
        viewed = connection.execute(
            "SELECT pg_get_viewdef(c.oid), r.rolname::text FROM pg_class AS c CROSS JOIN pg_roles AS r"
            " WHERE c.relkind = 'v' AND c.relnamespace = 'pggit'::regnamespace AND r.rolname LIKE 'pggit_alertd_%'"
            " AND has_table_privilege(r.oid, c.oid, 'SELECT')"
        ).fetchall()
    ours = {name for name, *_ in rows}
    may = {name: set(roles) for name, _, _, _, roles in rows}
    calls = {name: called(source, ours) - {name} for name, _, source, _, _ in rows}
    as_caller = {name for name, definer, _, trigger, _ in rows if not definer and not trigger}
    lacking = [
        f"{role}: {name} calls {other}"
        for name in as_caller
        for role in may[name]
        for other in calls[name]
        if role not in may[other]
    ]
    for name in NAMES:
        role = "pggit_alertd_operator" if name.startswith(OPERATORS) or name in DECISIONS else "pggit_alertd_daemon"
        lacking += [f"{role}: {name}.sql" for other in called(queries.load(name), ours) if role not in may[other]]
    for name in READERS:
        lacking += [
            f"{name}.sql" for other in called(queries.load(name), ours) if "pggit_alertd_reader" not in may[other]
        ]
    for text, role in viewed:
        lacking += [f"{role}: a view calls {other}" for other in called(text, ours) if role not in may[other]]
    assert len(viewed) > 10
    assert lacking == []
    assert [
        name for name, definer, _, trigger, _ in rows if trigger and not definer and calls[name] - {"cancel_snooze"}
    ] == []


async def test_an_application_s_role_needs_no_grant_of_ours(connection: psycopg.AsyncConnection[Any]) -> None:
    """Who may write alerts, baselines or settings, and nothing else, sets off all our triggers and none is refused."""
    async with connection.transaction(force_rollback=True):
        await connection.execute("CREATE ROLE application_of_somebody")
        await connection.execute("GRANT USAGE ON SCHEMA pggit TO application_of_somebody")
        await connection.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA pggit TO application_of_somebody")
        for table in WRITTEN:
            grant = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON pggit.{} TO application_of_somebody")
            await connection.execute(grant.format(sql.Identifier(table)))
        await as_role(connection, "application_of_somebody")
        for statement in WRITES:
            await connection.execute(statement.encode())
        await connection.execute("RESET ROLE")
        traces = await connection.execute(
            "SELECT (SELECT count(*) FROM pggit.alert_outbox),"
            " (SELECT count(*) FROM pggit.notification_settings_audit),"
            " (SELECT count(*) FROM pggit.performance_baseline_history),"
            " (SELECT recipient LIKE 'webhook %' FROM pggit.alert_notification_settings WHERE name = 'new')"
        )
        assert await traces.fetchone() == (2, 2, 2, True)


async def test_what_a_role_may_not(connection: psycopg.AsyncConnection[Any]) -> None:
    """Readers see no address and change nothing, operators decide but don't rewrite, the daemon leaves pgGit alone."""
    for role, statement in FORBIDDEN:
        await as_role(connection, role)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())


async def test_what_a_role_may(connection: psycopg.AsyncConnection[Any]) -> None:
    """Each role can do its work with nothing but its own grants."""
    for role, statement in ALLOWED:
        await as_role(connection, role)
        await connection.execute(statement.encode())


def test_every_function_body_is_valid(database: str) -> None:
    """Migrate applies functions unchecked, so that their order is free; together they pass PostgreSQL's own check."""
    with psycopg.connect(database, autocommit=True) as connection:
        for script in RELEASE.functions:
            connection.execute(script.text.encode())
