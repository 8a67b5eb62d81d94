"""Episodes: which alerts belong together, race-free among routers, and that no open transaction holds up a page."""

import asyncio

import pytest
from psycopg import AsyncConnection

from support.alerts import Alerts

pytestmark = pytest.mark.servers

EPISODES = """
SELECT ep.episode_id, ep.operation_type, ep.alert_type, ep.closed_reason, ep.apart, count(m.alert_id)
FROM pggit.alert_episode AS ep LEFT JOIN pggit.alert_episode_member AS m USING (episode_id)
GROUP BY ep.episode_id ORDER BY ep.episode_id
"""


async def age(alerts: Alerts, interval: str) -> None:
    """Let time pass for everything that was routed so far."""
    await alerts.rows("UPDATE pggit.alert_episode_member SET occurred_at = occurred_at - %s::interval", interval)
    await alerts.rows("UPDATE pggit.alert_episode SET started_at = started_at - %s::interval", interval)


async def test_alerts_of_one_operation_and_type_are_one_episode(alerts: Alerts) -> None:
    """Branches don't matter, operation and type do, and the queue row carries the number."""
    await alerts.setting()
    await alerts.alert(count=3)
    await alerts.alert(alert_type="ANOMALY")
    await alerts.routed_alert(operation="merge")
    await alerts.alert()
    await alerts.rows("INSERT INTO pggit.branches (branch_name, created_by) VALUES ('feature/x', 'app')")
    await alerts.rows(
        "UPDATE pggit.performance_alerts SET branch_id = 1 WHERE alert_id IN (SELECT alert_id FROM pggit.alert_outbox)"
    )
    await alerts.route()
    found = await alerts.rows(EPISODES)
    assert sorted((operation, kind, count) for _, operation, kind, _, _, count in found) == [
        ("commit", "ANOMALY", 1),
        ("commit", "THRESHOLD_EXCEEDED", 4),
        ("merge", "THRESHOLD_EXCEEDED", 1),
    ]
    assert await alerts.value(
        "SELECT bool_and((q.alert ->> 'episode')::bigint = m.episode_id) FROM pggit.alert_notification_queue AS q"
        " LEFT JOIN pggit.alert_episode_member AS m USING (alert_id)"
    )


async def test_an_alert_that_is_routed_again_keeps_its_episode(alerts: Alerts) -> None:
    """Escalation and notify_on_alert route an alert once more; also after its episode is over it stays in there."""
    await alerts.setting()
    alert = await alerts.routed_alert()
    assert await alerts.value("SELECT pggit.resolve_alert(%s)", alert) is True
    await alerts.route()
    await alerts.rows("SELECT pggit.notify_on_alert(%s)", alert)
    await alerts.rows("INSERT INTO pggit.alert_outbox (alert_id) VALUES (%s)", alert)
    await alerts.route()
    assert [(row[3], row[5]) for row in await alerts.rows(EPISODES)] == [("by_hand", 1)]


async def test_the_next_alert_after_the_end_opens_a_new_episode(alerts: Alerts) -> None:
    """Resolved by hand, or silent for longer than the policy says: then the next alert is another incident."""
    await alerts.setting()
    first = await alerts.routed_alert()
    assert await alerts.value("SELECT pggit.resolve_alert(%s, 'ann', 'restarted')", first) is True
    await alerts.routed_alert()
    await age(alerts, "23 hours")
    await alerts.routed_alert()
    assert [row[5] for row in await alerts.rows(EPISODES)] == [1, 2], "within the silence it goes on"
    await age(alerts, "24 hours 1 second")
    await alerts.routed_alert()
    assert [(row[3], row[5]) for row in await alerts.rows(EPISODES)] == [("by_hand", 1), ("silent", 2), (None, 1)]
    await alerts.route()
    notes = await alerts.column("SELECT note FROM pggit.alert_lifecycle_event ORDER BY lifecycle_event_id")
    assert notes[0].startswith("restarted. It began at ")
    assert notes[0].endswith(" UTC: 1 alert in 0 s, the worst 5.0 times the baseline.")
    assert "nothing more was heard for 1 d, which is no proof of recovery" in notes[1]
    assert "2 alerts in 23 h" in notes[1]


async def test_routers_that_meet_a_storm_at_once_open_one_episode(alerts: Alerts, database: str) -> None:
    """Four routers on 400 alerts of two operations open one episode for each, and every alert is in it once."""
    await alerts.setting()
    await alerts.alert(count=200, alert_type="ANOMALY")
    await alerts.alert(count=200, operation="merge", alert_type="ANOMALY")

    async def route(limit: int) -> None:
        async with await AsyncConnection.connect(database, autocommit=True) as own:
            while (await Alerts(own).route(limit))[0]:
                pass

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for limit in (5, 10, 15, 20):
            group.create_task(route(limit))
    assert sorted((row[1], row[4], row[5]) for row in await alerts.rows(EPISODES)) == [
        ("commit", False, 200),
        ("merge", False, 200),
    ]


async def test_two_first_alerts_at_once_agree_on_the_episode(alerts: Alerts, database: str) -> None:
    """A router that comes while another one is opening the episode waits for it and joins."""
    await alerts.setting()
    await alerts.alert()
    async with await AsyncConnection.connect(database) as one, await AsyncConnection.connect(database) as two:
        assert (await Alerts(one).route())[0] == 1
        await alerts.alert()
        await alerts.rows("SET lock_timeout = 0")
        second = asyncio.create_task(Alerts(two).route())
        await alerts.somebody_waits()
        await one.commit()
        async with asyncio.timeout(20):
            assert (await second)[0] == 1
        await two.commit()
    assert [(row[4], row[5]) for row in await alerts.rows(EPISODES)] == [(False, 2)]


async def test_an_open_transaction_that_holds_the_episode_delays_no_page(alerts: Alerts, database: str) -> None:
    """While somebody opens or resolves it and does not commit, alerts get an episode apart; later ones join again."""
    await alerts.setting()
    first = await alerts.alert()
    async with await AsyncConnection.connect(database) as user:
        await user.execute("SELECT pggit.notify_on_alert(%s)", (first,))
        await alerts.alert()
        assert await alerts.route() == (1, 1, 0)
        await user.commit()
    await alerts.routed_alert()
    assert [(row[4], row[5]) for row in await alerts.rows(EPISODES)] == [(False, 2), (True, 1)]
    async with await AsyncConnection.connect(database) as user:
        await user.execute("SELECT pggit.resolve_alert(%s)", (first,))
        await alerts.alert()
        assert await alerts.route() == (1, 1, 0)
        await user.rollback()
    await alerts.routed_alert()
    assert [(row[4], row[5]) for row in await alerts.rows(EPISODES)] == [(False, 3), (True, 1), (True, 1)]


async def test_an_alert_routed_while_its_episode_is_resolved_is_never_told_as_over(
    alerts: Alerts, database: str
) -> None:
    """An alert that joined and is not committed yet makes the recovery job leave the episode open."""
    await alerts.setting()
    await alerts.routed_alert()
    await age(alerts, "1 hour")
    await alerts.metric("commit", 50)
    await alerts.alert()
    async with await AsyncConnection.connect(database) as router:
        assert (await Alerts(router).route())[0] == 1
        assert await alerts.rows("SELECT recovered, silent FROM pggit.resolve_recovered_episodes()") == [(0, 0)]
        await router.commit()
    assert await alerts.rows("SELECT recovered, silent FROM pggit.resolve_recovered_episodes()") == [(0, 0)]
    assert [(row[3], row[5]) for row in await alerts.rows(EPISODES)] == [(None, 2)]


async def test_unknown_and_missing_alerts_open_nothing(alerts: Alerts) -> None:
    """NULL, unknown ids, empty arrays and deleted alerts leave no episode behind."""
    for ids in ("NULL", "'{}'", "'{NULL}'", "'{4711, NULL}'"):
        await alerts.rows(f"SELECT pggit.assign_alert_episodes({ids}, NULL)")
        await alerts.rows(f"SELECT pggit.assign_alert_episodes({ids}, '{{infinity, NULL}}')")
        await alerts.rows(f"SELECT pggit.open_alert_episodes({ids}, NULL, 'shared')")
        assert await alerts.value(f"SELECT pggit.close_alert_episodes({ids}, 'by_hand', NULL, NULL, NULL)") == 0
    await alerts.setting()
    gone = await alerts.alert()
    await alerts.rows("DELETE FROM pggit.performance_alerts WHERE alert_id = %s", gone)
    await alerts.route()
    assert await alerts.rows(EPISODES) == []
    texts = "SELECT pggit.interval_text(i) FROM unnest(%s::interval[]) AS i"
    given = ["0", "59.4 s", "15 min", "124 min 30 s", "73 h", None]
    assert await alerts.column(texts, given) == ["0 s", "59 s", "15 min", "2 h 4 min", "3 d 1 h", None]


async def test_retention_takes_old_episodes_and_leaves_open_ones(alerts: Alerts) -> None:
    """Members go by age, closed episodes once they are empty, acknowledgements and shifts too; what is young stays."""
    await alerts.setting()
    for operation in ("old", "open"):
        await alerts.alert(operation=operation)
    await alerts.route()
    await alerts.rows("SELECT pggit.resolve_alert(min(alert_id)) FROM pggit.performance_alerts")
    await age(alerts, "100 days")
    await alerts.rows("UPDATE pggit.alert_episode SET closed_at = closed_at - interval '100 days'")
    await alerts.rows("UPDATE pggit.alert_lifecycle_event SET occurred_at = occurred_at - interval '100 days'")
    young = await alerts.routed_alert(operation="young")
    await alerts.rows("SELECT pggit.resolve_alert(%s)", young)
    removed = dict(await alerts.rows("SELECT relation, deleted FROM pggit.purge_notifications() WHERE deleted > 0"))
    assert removed == {"alert_episode_member": 2, "alert_episode": 1, "alert_lifecycle_event": 1}
    assert [(row[1], row[5]) for row in await alerts.rows(EPISODES)] == [("open", 0), ("young", 1)]
