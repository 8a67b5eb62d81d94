"""From the outbox to the queue: what is matched, written once, shared among routers, and never lost."""

import asyncio

import pytest
from psycopg import AsyncConnection

from support.alerts import Alerts

pytestmark = pytest.mark.servers


async def test_nothing_to_route_is_nothing_done(alerts: Alerts) -> None:
    """Empty tables, NULL and unknown ids give defined answers and write nothing but what they say."""
    assert await alerts.route() == (0, 0, 0)
    for unknown in ("NULL", "0", "-1", "9223372036854775807"):
        await alerts.rows(f"SELECT pggit.notify_on_alert({unknown})")
    assert len(alerts.notices) == 4
    assert all("there is no alert" in notice for notice in alerts.notices)
    assert await alerts.value("SELECT pggit.check_alert_escalation(NULL)") is None
    assert await alerts.value("SELECT pggit.check_alert_escalation(4711)") is None
    assert await alerts.queue() == []
    assert await alerts.log() == []
    for limit in ("NULL", "0", "-5"):
        with pytest.raises(Exception, match="it must be one at least"):
            await alerts.rows(f"SELECT pggit.route_alerts({limit})")
    await alerts.setting()
    await alerts.alert()
    assert await alerts.rows("SELECT alerts_routed FROM pggit.route_alerts(1, NULL, NULL, NULL)") == [(1,)]
    assert await alerts.queue("give_up_at - next_attempt_at > interval '3 hours'") == [(True,)]


async def test_the_row_is_a_whole_notification(alerts: Alerts) -> None:
    """The queue row holds text, snapshot, colour and horizon, so that a deleted alert is still delivered."""
    await alerts.setting()
    await alerts.setting("email")
    await alerts.rows("INSERT INTO pggit.branches (branch_name, created_by) VALUES ('feature/x', 'app')")
    alert = await alerts.alert(severity="CRITICAL", name="nightly build")
    await alerts.rows("UPDATE pggit.performance_alerts SET branch_id = (SELECT max(branch_id) FROM pggit.branches)")
    await alerts.route()
    await alerts.rows("DELETE FROM pggit.performance_metrics")
    slack, email = await alerts.queue(
        "alert_id, channel, message, urgency, alert, metadata, group_key, give_up_at > now() + '23 h', retry_count"
    )
    assert slack[:4] == (alert, "slack", "ALERT: commit exceeded baseline by 5.0x (250ms vs baseline 50ms)", 0)
    assert slack[4] == {
        "alert_id": alert,
        "operation_type": "commit",
        "alert_type": "THRESHOLD_EXCEEDED",
        "severity": "CRITICAL",
        "duration_us": 250_000,
        "baseline_p99_us": 50_000,
        "factor": 5.0,
        "operation_name": "nightly build",
        "branch": "feature/x",
        "user_name": "app",
        "metric_id": slack[4]["metric_id"],
        "episode": slack[4]["episode"],
    }
    assert slack[5:] == (
        {"slack_channel": "#pgit-alerts", "severity_color": "danger"},
        "commit/THRESHOLD_EXCEEDED",
        True,
        0,
    )
    assert email[4] == slack[4]
    assert email[5] is None


async def test_repetition_adds_nothing(alerts: Alerts) -> None:
    """notify_on_alert twice, the router after it, and a second event of the same kind queue one row per setting."""
    await alerts.setting()
    await alerts.setting("email", enabled=False)
    alert = await alerts.alert()
    for _ in range(3):
        await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    assert await alerts.outbox() == []
    await alerts.rows("INSERT INTO pggit.alert_outbox (alert_id) VALUES (%s)", alert)
    assert await alerts.route() == (1, 0, 0)
    assert await alerts.queue() == [(alert, "slack", "pending")]
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE")
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    assert await alerts.queue() == [(alert, "slack", "pending"), (alert, "email", "pending")]


async def test_an_alert_deleted_before_it_was_routed_is_logged(alerts: Alerts) -> None:
    """It can't be delivered any more, and the log says why; its neighbours are."""
    await alerts.setting()
    gone, kept = await alerts.alert(), await alerts.alert()
    await alerts.rows("DELETE FROM pggit.performance_alerts WHERE alert_id = %s", gone)
    assert await alerts.route() == (2, 1, 0)
    assert await alerts.queue() == [(kept, "slack", "pending")]
    assert await alerts.log() == [(gone, "suppressed", "alert_deleted")]
    assert await alerts.outbox() == []


async def test_routers_share_the_outbox_without_doubling_or_losing(alerts: Alerts, database: str) -> None:
    """Four routers at once, with a writer and notify_on_alert between them, leave one row per alert and setting."""
    await alerts.setting()
    await alerts.setting("email")
    last = await alerts.alert(count=600, alert_type="ANOMALY")

    async def route(limit: int) -> int:
        async with await AsyncConnection.connect(database, autocommit=True) as own:
            done = 0
            while routed := (await Alerts(own).route(limit))[0]:
                done += routed
            return done

    async def by_hand() -> None:
        async with await AsyncConnection.connect(database, autocommit=True) as own:
            for alert in range(last, last - 60, -1):
                await own.execute("SELECT pggit.notify_on_alert(%s)", (alert,))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for limit in (7, 20, 33, 50):
            group.create_task(route(limit))
        group.create_task(by_hand())
    await alerts.route()
    assert await alerts.outbox() == []
    assert await alerts.rows(
        "SELECT count(*), count(DISTINCT (alert_id, setting_id)) FROM pggit.alert_notification_queue"
    ) == [(1200, 1200)]


async def test_notify_on_alert_and_a_router_never_wait_for_each_other_in_a_ring(alerts: Alerts, database: str) -> None:
    """The one that comes second waits for the outbox row or passes by it; neither holds what the other needs next."""
    await alerts.setting()
    first, second = await alerts.alert(), await alerts.alert(operation="b")
    async with await AsyncConnection.connect(database) as by_hand, await AsyncConnection.connect(database) as router:
        await by_hand.execute("SELECT pggit.notify_on_alert(%s)", (second,))
        assert await Alerts(router).route() == (1, 1, 0)
        waiting = asyncio.create_task(by_hand.execute("SELECT pggit.notify_on_alert(%s)", (first,)))
        await alerts.somebody_waits()
        await router.commit()
        async with asyncio.timeout(20):
            await waiting
        await by_hand.commit()
    assert await alerts.queue("alert_id") == [(second,), (first,)]


async def test_a_users_open_transaction_on_alerts_stops_nobody(alerts: Alerts, database: str) -> None:
    """Updates and deletes of alerts and metrics left open make the router neither wait nor fail nor forget."""
    await alerts.setting()
    await alerts.setting("email", severity="CRITICAL")
    for statement in (
        "UPDATE pggit.performance_alerts SET user_name = 'somebody'",
        "SELECT FROM pggit.performance_alerts FOR UPDATE",
        "DELETE FROM pggit.performance_alerts",
        "DELETE FROM pggit.performance_metrics",
    ):
        await alerts.rows("TRUNCATE pggit.performance_alerts, pggit.alert_notification_queue")
        last = await alerts.alert(count=5)
        async with await AsyncConnection.connect(database) as user:
            await user.execute(statement.encode())
            await alerts.rows("SET lock_timeout = '1ms'")
            assert await alerts.route() == (5, 7, 0), statement
            assert await alerts.route() == (0, 0, 0)
            assert await alerts.outbox() == [last - 1, last], "their severity is still to be stored"
            await user.commit()
        await alerts.rows("UPDATE pggit.alert_outbox SET routed_at = routed_at - interval '2 seconds'")
        assert await alerts.route() == (0, 0, 0)
        assert await alerts.outbox() == []
        left = await alerts.column("SELECT severity FROM pggit.performance_alerts ORDER BY alert_id")
        assert left in ([], ["WARNING"] * 3 + ["CRITICAL"] * 2)
        assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_queue WHERE urgency = 0") == 4


async def test_locked_alerts_do_not_starve_those_behind_them(alerts: Alerts, database: str) -> None:
    """A bulk update left open over more alerts than a batch holds doesn't keep later alerts from being routed."""
    await alerts.setting()
    await alerts.alert(count=30)
    async with await AsyncConnection.connect(database) as user:
        await user.execute("UPDATE pggit.performance_alerts SET user_name = 'somebody'")
        later = await alerts.alert(operation="merge")
        rounds = [await alerts.route(10) for _ in range(4)]
        assert [routed for routed, *_ in rounds] == [10, 10, 10, 1]
        assert await alerts.queue("alert_id", f"alert_id = {later}") == [(later,)]
        await alerts.rows("UPDATE pggit.alert_outbox SET routed_at = routed_at - interval '2 seconds'")
        newest = await alerts.alert(operation="merge")
        assert (await alerts.route(1))[0] == 1
        assert await alerts.queue("alert_id", f"alert_id = {newest}") == [(newest,)]


async def test_one_alert_that_cannot_be_routed_is_logged_and_holds_up_nobody(alerts: Alerts) -> None:
    """An error that one alert's data causes costs that alert its routing, with the reason in the log, and no other."""
    await alerts.setting()
    await alerts.rows(
        "ALTER TABLE pggit.alert_notification_queue ADD CONSTRAINT odd CHECK (message NOT LIKE '%poison%')"
    )
    before, bad, after = await alerts.alert(), await alerts.alert(operation="poison"), await alerts.alert(operation="x")
    assert await alerts.route() == (3, 2, 1)
    assert await alerts.outbox() == []
    assert await alerts.queue("alert_id") == [(before,), (after,)]
    assert await alerts.log() == [(bad, "failed", "internal")]
    assert "could not be routed" in (await alerts.log("error_message"))[0][0]
    await alerts.rows("ALTER TABLE pggit.alert_notification_queue DROP CONSTRAINT odd")
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", bad)
    assert len(await alerts.queue()) == 3


async def test_alerts_from_anywhere_in_time_are_routed(alerts: Alerts) -> None:
    """Dates before the calendar, infinite ones and those of a writer in another zone stay readable for the worker."""
    await alerts.setting()
    metric = await alerts.metric()
    for at in ("4714-11-24 00:00 BC", "-infinity", "infinity", "294276-12-31", "0001-01-01", "2999-01-01"):
        for kind in ("ANOMALY", "THRESHOLD_EXCEEDED"):
            await alerts.rows(
                "INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type,"
                " actual_duration_microseconds, created_at) VALUES (%s, 'commit', %s, -5, %s)",
                metric,
                kind,
                at,
            )
    ids = await alerts.outbox()
    for alert in ids[::2]:
        await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    assert await alerts.route() == (6, 6, 0)
    occurred = await alerts.column("SELECT occurred_at FROM pggit.alert_notification_queue")
    assert len(occurred) == 12
    assert all(1970 <= at.year < 2999 for at in occurred)


HOSTILE = [
    "'; DROP TABLE pggit.alert_notification_queue; --",
    '"quoted" \\ back\\slash \\n',
    "100% %s %I %L %1$s {0}",
    "<!channel> <https://evil.example|click> &amp; *bold* `code`",
    "tab\there\r\nnewline\x01\x1b[31m\x7f\u202e\u0000".replace("\u0000", ""),
    "emoji \U0001f4a5 and \u00e9\u0301",
    " leading and trailing ",
]


async def test_hostile_names_are_carried_as_they_are_and_long_ones_are_cut(alerts: Alerts) -> None:
    """Quotes, format signs, control characters and a megabyte of text go through routing as plain data."""
    await alerts.setting()
    await alerts.setting("email", pattern="*%*")
    for name in HOSTILE:
        await alerts.alert(operation=name, name=name)
    await alerts.alert(name="n" * 1_000_000)
    await alerts.alert(operation="o" * 2_000)
    routed, queued, refused = await alerts.route()
    assert (routed, refused) == (len(HOSTILE) + 2, 0)
    assert queued == routed + 1, "only one name holds a per cent sign"
    snapshots = await alerts.queue(
        "alert ->> 'operation_type', alert ->> 'operation_name', message, length(alert::text)", "channel = 'slack'"
    )
    assert [row[0] for row in snapshots[: len(HOSTILE)]] == HOSTILE
    assert [row[1] for row in snapshots[: len(HOSTILE)]] == HOSTILE
    assert all(row[2].startswith(f"ALERT: {name}") for row, name in zip(snapshots, HOSTILE, strict=False))
    assert all(row[3] < 2_000 and len(row[2]) < 400 for row in snapshots)


async def test_nothing_secret_leaves_the_config(alerts: Alerts) -> None:
    """No address, webhook or key stands in any table but under the settings' config, whatever field it was put in."""
    await alerts.setting(
        "slack", {"webhook": "https://hooks.slack.com/services/TCANARY/BCANARY/wcanary", "channel": "#ops"}
    )
    await alerts.setting("slack", {"webhook": "nonsense-canary-webhook", "channel": "https://hooks.slack.com/canary"})
    await alerts.setting("slack", {"channel": {"canary": 1}})
    await alerts.setting("email", {"to": ["canary.one@example.com", "b@canary.two@x.org"], "cc": "c@example.com"})
    await alerts.setting("email", {"email": "canary.three@example.com"})
    await alerts.setting("pagerduty", {"service_key": "canarycanarycanarycanarycanary00"})
    await alerts.setting("pagerduty", {"routing_key": ["canary-key"]})
    await alerts.routed_alert()
    await alerts.rows("SELECT pggit.notify_on_alert(max(alert_id)) FROM pggit.performance_alerts")
    tables = await alerts.column(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'pggit'"
        " AND tablename <> 'alert_notification_settings'"
    )
    tables.append("(SELECT to_jsonb(s) - 'config' FROM pggit.alert_notification_settings AS s)")
    text = (await alerts.everything(tables)).lower()
    assert "hooks" not in text.replace("webhook", "")
    assert text.count("canary") == 0, text[max(0, text.find("canary") - 200) : text.find("canary") + 50]
    assert "canary" not in "\n".join(alerts.notices).lower()


async def test_a_setting_disabled_or_deleted_while_rows_wait_parks_or_frees_them(alerts: Alerts) -> None:
    """Disabled: parked; enabled again: due at once; deleted, even while disabled: due, to fail by name."""
    kept, toggled, dropped = await alerts.setting(), await alerts.setting(), await alerts.setting()
    await alerts.routed_alert()
    due = "setting_id, next_attempt_at <= now()"
    for setting in (toggled, dropped):
        await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", setting)
    assert await alerts.queue(due) == [(kept, True), (toggled, False), (dropped, False)]
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE WHERE setting_id = %s", toggled)
    await alerts.rows("DELETE FROM pggit.alert_notification_settings WHERE setting_id = %s", dropped)
    assert await alerts.queue(due) == [(kept, True), (toggled, True), (dropped, True)]
    assert await alerts.value("SELECT pggit.hold_disabled_notifications(NULL)") == 0
    assert await alerts.value("SELECT pggit.hold_disabled_notifications('{NULL, -1}')") == 0
    assert await alerts.value("SELECT pggit.hold_disabled_notifications(%s)", [kept, toggled, dropped]) == 0


async def test_holding_leaves_claimed_and_finished_rows_alone(alerts: Alerts, database: str) -> None:
    """Only rows nobody holds are parked, and a row somebody has locked is passed by instead of waited for."""
    setting = await alerts.setting()
    await alerts.routed_alert(count=4, alert_type="ANOMALY")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET claimed_by = 'w' WHERE queue_id = 1")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent' WHERE queue_id = 2")
    async with await AsyncConnection.connect(database) as other:
        await other.execute("SELECT FROM pggit.alert_notification_queue WHERE queue_id = 3 FOR UPDATE")
        await alerts.rows("SET lock_timeout = '1ms'")
        await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    assert await alerts.queue("queue_id", "next_attempt_at = 'infinity'") == [(4,)]
    assert await alerts.value("SELECT pggit.hold_disabled_notifications(%s)", [setting]) == 1


async def test_rows_no_worker_could_read_are_refused_by_the_table(alerts: Alerts) -> None:
    """Infinite times and snapshots that are no object can't be written by hand: they would stop every claim."""
    await alerts.setting()
    await alerts.routed_alert()
    for change in (
        "give_up_at = 'infinity'",
        "occurred_at = 'infinity'",
        "occurred_at = '12000-01-01'",
        "next_attempt_at = '-infinity'",
        "alert = '[]'",
        "alert = 'null'",
        "settled = '{{a},{b}}'",
    ):
        with pytest.raises(Exception, match="violates check constraint"):
            await alerts.rows(f"UPDATE pggit.alert_notification_queue SET {change}")  # noqa: S608
    with pytest.raises(Exception, match="pause_is_finite"):
        await alerts.rows("INSERT INTO pggit.alert_destination VALUES ('k', 'slack', 'r', 'infinity')")
