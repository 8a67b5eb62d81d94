"""Dead letters in SQL: which there are, how they are found, and what may be done to them."""

from typing import Any

import psycopg
import pytest

from pggit_alertd.database import queries
from support.alerts import Alerts

pytestmark = pytest.mark.servers


async def dead(alerts: Alerts, *, reason: str = "expired", ago: str = "0 s", **alert: Any) -> int:
    """Raise and route an alert for the only setting; return its notification, given up as the daemon gives up."""
    await alerts.routed_alert(**alert)
    return int(
        await alerts.value(
            """
            WITH died AS (
                UPDATE pggit.alert_notification_queue
                SET status = 'failed', attempt = 3, processed_at = now() - %s::interval, error_message = 'no answer'
                WHERE queue_id = (SELECT max(queue_id) FROM pggit.alert_notification_queue)
                RETURNING *
            )
            INSERT INTO pggit.alert_notification_log
                (alert_id, queue_id, claim_no, setting_id, event, channel, recipient, attempt, status, reason, sent_at)
            SELECT alert_id, queue_id, 3, setting_id, event, channel, recipient, 3, 'failed', %s, processed_at FROM died
            RETURNING queue_id
            """,
            ago,
            reason,
        )
    )


async def found(alerts: Alerts, arguments: str = "") -> list[int]:
    """Return the numbers that dead_letters finds, in its order."""
    return await alerts.column(f"SELECT queue_id FROM pggit.dead_letters({arguments})")  # noqa: S608


async def test_where_nothing_failed_there_is_no_dead_letter(alerts: Alerts) -> None:
    """Empty tables, and rows that wait or are sent, yield nothing with any filter."""
    assert await found(alerts) == []
    await alerts.setting()
    await alerts.routed_alert()
    assert await found(alerts) == []
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent', processed_at = now()")
    assert await found(alerts, "p_channel => 'slack'") == []


async def test_every_filter_narrows_the_list(alerts: Alerts) -> None:
    """Each filter finds what it names, all of them together too, and unknown values find nothing."""
    setting = await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET name = 'ops'")
    old = await dead(alerts, ago="3 hours", operation="merge_branches", severity="CRITICAL")
    new = await dead(alerts, reason="auth", operation="commit")
    key = await alerts.value("SELECT destination_key FROM pggit.alert_notification_settings")
    assert await found(alerts) == [new, old]
    assert await found(alerts, "p_limit => 1") == [new]
    for arguments, expected in [
        ("p_since => now() - interval '2 h'", [new]),
        ("p_channel => ' Slack '", [new, old]),
        ("p_channel => 'email'", []),
        (f"p_setting => '{setting}'", [new, old]),
        ("p_setting => 'ops'", [new, old]),
        ("p_setting => 'nobody'", []),
        (f"p_destination => '{key}'", [new, old]),
        ("p_destination => '#pgit*'", [new, old]),
        ("p_destination => '#else'", []),
        ("p_reason => 'auth'", [new]),
        ("p_severity => 'critical'", [old]),
        ("p_operation => 'merge*'", [old]),
        (f"now() - interval '1 d', 'slack', 'ops', '{key}', 'expired', 'CRITICAL', 'merge_*', 5", [old]),
    ]:
        assert await found(alerts, arguments) == expected, arguments


async def test_what_routing_refused_is_listed_with_its_reason(alerts: Alerts) -> None:
    """An alert whose setting is broken is a dead letter from the start, and the log's reason is found."""
    await alerts.setting(config={})
    await alerts.routed_alert()
    assert await alerts.rows("SELECT reason, attempts, severity FROM pggit.dead_letters()") == [
        ("invalid_setting", 0, "WARNING")
    ]
    await alerts.rows("DELETE FROM pggit.alert_notification_log")
    assert await alerts.column("SELECT reason FROM pggit.dead_letters()") == ["unknown"]


async def test_a_bulk_replay_says_of_each_what_became_of_it(alerts: Alerts) -> None:
    """Good ones are due again once; unknown, NULL, unfinished and repeated numbers are named and change nothing."""
    await alerts.setting()
    first, second = await dead(alerts), await dead(alerts)
    await alerts.routed_alert()
    waiting = (await alerts.queue("queue_id"))[-1][0]
    rows = await alerts.rows(
        "SELECT * FROM pggit.replay_notifications(%s)", [second, first, first, waiting, 10**9, None]
    )
    assert rows == [
        (first, True, None),
        (second, True, None),
        (waiting, False, f"notification {waiting} is pending, not failed"),
        (10**9, False, "there is no notification 1000000000"),
        (None, False, "there is no notification NULL"),
    ]
    assert await alerts.queue("status") == [("pending",)] * 3
    assert [row for row in await alerts.log("queue_id, status, reason, worker") if row[1] == "released"] == [
        (first, "released", "replayed", "postgres"),
        (second, "released", "replayed", "postgres"),
    ]
    for nothing in ("NULL", "'{}'"):
        assert await alerts.rows(f"SELECT * FROM pggit.replay_notifications({nothing})") == []  # noqa: S608


async def test_an_alert_whose_episode_is_over_is_not_told_any_more(alerts: Alerts) -> None:
    """Its trigger is refused, saying since when; its resolved, other events and open episodes are sent again."""
    await alerts.setting()
    still = await dead(alerts, operation="merge")
    over = await dead(alerts)
    alert = await alerts.value("SELECT max(alert_id) FROM pggit.performance_alerts")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent' WHERE queue_id = %s", over)
    await alerts.rows("SELECT pggit.resolve_alert(%s)", alert)
    await alerts.route()
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now()")
    resolved = (await alerts.queue("queue_id", "event = 'resolved'"))[0][0]
    since = "is over since 2026-01-02 03:04:05 UTC"
    await alerts.rows("UPDATE pggit.alert_episode SET closed_at = '2026-01-02 03:04:05Z' WHERE closed_at IS NOT NULL")
    assert await alerts.rows("SELECT * FROM pggit.replay_notifications(%s)", [still, over, resolved]) == [
        (still, True, None),
        (
            over,
            False,
            f"notification {over} can't be sent: its episode {since}; nothing fires any more",
        ),
        (resolved, True, None),
    ]
    await alerts.rows("DELETE FROM pggit.alert_episode")
    assert await alerts.value("SELECT pggit.replay_problem(%s)", over) is None
    assert await alerts.rows("SELECT discarded FROM pggit.discard_notifications(%s, 'over')", [over]) == [(True,)]


async def test_what_another_session_holds_is_passed_by(alerts: Alerts, database: str) -> None:
    """Bulk work waits for nobody: a locked row is named, the others are done."""
    await alerts.setting()
    held, free = await dead(alerts), await dead(alerts)
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("SELECT FROM pggit.alert_notification_queue WHERE queue_id = %s FOR UPDATE", (held,))
        problem = f"notification {held} is in use by another session; try it again"
        assert await alerts.rows("SELECT * FROM pggit.discard_notifications(%s, 'x')", [held]) == [
            (held, False, problem)
        ]
        assert await alerts.rows("SELECT * FROM pggit.replay_notifications(%s)", [held, free]) == [
            (held, False, problem),
            (free, True, None),
        ]
    assert await alerts.rows("SELECT * FROM pggit.replay_notifications(%s)", [held]) == [(held, True, None)]


async def test_a_discarded_notification_is_no_dead_letter_any_more(alerts: Alerts) -> None:
    """It leaves list and depth, stays failed, and the log says who discarded it and why; it can still be replayed."""
    await alerts.setting()
    queue_id, other = await dead(alerts), await dead(alerts)
    assert await alerts.rows("SELECT * FROM pggit.discard_notifications(%s, ' known outage ')", [queue_id]) == [
        (queue_id, True, None)
    ]
    assert await found(alerts) == [other]
    assert await alerts.rows(queries.load("queue_depth")) == [("slack", "failed", 1, 0.0)]
    assert await alerts.queue("status, discarded_at IS NOT NULL") == [("failed", True), ("failed", False)]
    assert (await alerts.log("queue_id, status, reason, worker, error_message"))[-1] == (
        queue_id,
        "suppressed",
        "discarded",
        "postgres",
        "known outage",
    )
    assert await alerts.rows("SELECT discarded, problem FROM pggit.discard_notifications(%s, 'again')", [queue_id]) == [
        (False, f"notification {queue_id} was discarded already")
    ]
    assert await alerts.value("SELECT pggit.replay_notification(%s)", queue_id) is True
    assert await alerts.queue("status, discarded_at", f"queue_id = {queue_id}") == [("pending", None)]


async def test_discarding_needs_a_reason_and_a_dead_letter(alerts: Alerts) -> None:
    """No reason is an error; numbers that are unknown, NULL or not failed are named and change nothing."""
    await alerts.setting()
    await alerts.routed_alert()
    waiting = (await alerts.queue("queue_id"))[0][0]
    for reason in (None, "", " \t"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="p_reason is empty, it must say why"):
            await alerts.rows("SELECT * FROM pggit.discard_notifications(%s, %s)", [waiting], reason)
    assert await alerts.rows("SELECT * FROM pggit.discard_notifications(%s, 'why')", [waiting, 10**9, None]) == [
        (waiting, False, f"notification {waiting} is pending, not failed"),
        (10**9, False, "there is no notification 1000000000"),
        (None, False, "there is no notification NULL"),
    ]
    assert await alerts.rows("SELECT * FROM pggit.discard_notifications(NULL, 'why')") == []
    assert await alerts.log() == []


async def test_the_log_names_who_logged_in_and_not_the_owner(alerts: Alerts) -> None:
    """A member of the operators' role is named as itself, whatever role it acts in."""
    await alerts.setting()
    first, second = await dead(alerts), await dead(alerts)
    await alerts.rows("DROP ROLE IF EXISTS test_night_shift")
    await alerts.rows("CREATE ROLE test_night_shift LOGIN IN ROLE pggit_alertd_operator")
    try:
        await alerts.rows("SET SESSION AUTHORIZATION test_night_shift")
        await alerts.rows("SET ROLE pggit_alertd_operator")
        await alerts.rows("SELECT * FROM pggit.replay_notifications(%s)", [first])
        await alerts.rows("SELECT * FROM pggit.discard_notifications(%s, 'why')", [second])
    finally:
        await alerts.rows("RESET SESSION AUTHORIZATION")
        await alerts.rows("DROP ROLE test_night_shift")
    assert [row[1] for row in await alerts.log("log_id, worker")][-2:] == ["test_night_shift"] * 2
