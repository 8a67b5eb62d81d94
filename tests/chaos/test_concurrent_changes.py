"""Everybody writes at once: recording, recalculating, retention, routing, delivering, settings, deletes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from support.alerts import Alerts
from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch, by_length

SECONDS = by_length(6, 60)
KEPT = "kept"

Work = Callable[[Alerts, int], Awaitable[object]]


async def record(alerts: Alerts, number: int) -> None:
    """Record a metric far beyond its baseline, through the function applications call."""
    await alerts.rows("SELECT pggit.record_performance_metric(%s, 900000)", f"recorded-{number % 7}")


async def keep(alerts: Alerts, number: int) -> None:
    """Raise an alert that nobody will delete; each is of an operation of its own."""
    await alerts.alert(f"{KEPT}-{number}", severity="INFO")


async def recalculate(alerts: Alerts, _number: int) -> None:
    """Recalculate every baseline, unless the daemon's own job is at it."""
    await alerts.rows("SELECT pggit.recalculate_all_baselines_rolling(7, 1, TRUE)")


async def purge(alerts: Alerts, _number: int) -> None:
    """Remove what is old, and make partitions."""
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET processed_at = now() - interval '100 days'"
        " WHERE queue_id = ANY(ARRAY(SELECT queue_id FROM pggit.alert_notification_queue"
        " WHERE status <> 'pending' AND setting_id <> 1 LIMIT 20 FOR UPDATE SKIP LOCKED))"
    )
    await alerts.rows("SELECT pggit.purge_notifications('90 days', 100)")
    await alerts.rows("SELECT pggit.maintain_log_partitions()")


async def route(alerts: Alerts, _number: int) -> None:
    """Route by hand, beside the daemons."""
    await alerts.route(50)


async def change(alerts: Alerts, number: int) -> None:
    """Switch the second setting off and on, and give it another name."""
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET enabled = %s, name = %s WHERE setting_id = 2",
        number % 2 == 0,
        f"name {number}",
    )


async def come_and_go(alerts: Alerts, number: int) -> None:
    """Add a setting and delete it, with whatever waits for it."""
    setting = await alerts.setting("pagerduty", pattern=f"recorded-{number % 7}")
    await alerts.alert(f"recorded-{number % 7}")
    await alerts.rows("DELETE FROM pggit.alert_notification_settings WHERE setting_id = %s", setting)


async def delete(alerts: Alerts, _number: int) -> None:
    """Delete alerts and their metrics, routed or not."""
    await alerts.rows(
        "DELETE FROM pggit.performance_alerts WHERE alert_id IN (SELECT alert_id FROM pggit.performance_alerts"
        " WHERE operation_type LIKE 'recorded-%%' ORDER BY random() LIMIT 5)",
    )


async def acknowledge(alerts: Alerts, _number: int) -> None:
    """Acknowledge alerts."""
    await alerts.rows(
        "SELECT pggit.acknowledge_performance_alert(alert_id, 'alice') FROM pggit.performance_alerts"
        " WHERE operation_type LIKE 'recorded-%%' ORDER BY random() LIMIT 1",
    )


WORKS: tuple[Work, ...] = (
    record,
    record,
    keep,
    keep,
    recalculate,
    purge,
    route,
    change,
    come_and_go,
    delete,
    acknowledge,
)


async def repeat(dsn: str, work: Work, stop: asyncio.Event, number: int) -> int:
    """Do the work again and again until told to stop; return how often it was done."""
    done = 0
    alerts = await Alerts.connect(dsn)
    try:
        while not stop.is_set():
            await work(alerts, number + done * 100)
            done += 1
    finally:
        await alerts.close()
    return done


@pytest.mark.timeout(120 + 2 * SECONDS)
async def test_everybody_writes_at_once(set_up: Stage, scores: Scores) -> None:
    """No deadlock, no error for anybody, no alert without a word in the log, and every kept one delivered once."""
    await set_up.alerts.rows(
        "SELECT pggit.record_performance_metric('recorded-' || n, 1000) FROM generate_series(0, 6) n"
    )
    await set_up.alerts.rows(
        "SELECT pggit.calculate_performance_baseline('recorded-' || n) FROM generate_series(0, 6) n"
    )
    await set_up.slack("KEPTKEPTKEPTKEPTKEPTKEPT", pattern=f"{KEPT}-*")
    await set_up.slack("OTHEROTHEROTHEROTHEROTHE", pattern="recorded-*")
    daemons = [await set_up.run(worker_name=f"worker-{number}", poll_interval=0.5) for number in range(2)]
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS, stop.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(repeat(set_up.dsn, work, stop, 1 + number)) for number, work in enumerate(WORKS)]
    assert all(task.result() > 0 for task in tasks)
    over = Stopwatch()
    kept = sum(task.result() for task, work in zip(tasks, WORKS, strict=True) if work is keep)
    await set_up.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = TRUE")
    await set_up.until(
        "SELECT count(*) FROM pggit.alert_outbox",
        0,
    )
    await set_up.until(
        "SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'pending' AND setting_id = 1",
        0,
        within=60,
    )
    recovery = over.seconds
    deadlocks = await set_up.alerts.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert deadlocks == 0
    assert not any(daemon.seen("crashed") for daemon in daemons)
    silent = await set_up.alerts.column(
        "SELECT alert_id FROM pggit.performance_alerts AS a WHERE NOT EXISTS (SELECT FROM pggit.alert_notification_log"
        " AS l WHERE l.alert_id = a.alert_id) AND NOT EXISTS (SELECT FROM pggit.alert_notification_queue AS q"
        " WHERE q.alert_id = a.alert_id)"
    )
    assert silent == []
    for daemon in daemons:
        assert await daemon.stop() == 0
    arrived = set_up.requests("KEPT")
    scores.record(
        "none: record, recalculate, purge, route, change, delete",
        rounds=sum(task.result() for task in tasks),
        sent=kept,
        lost=kept - len(arrived),
        duplicated=arrived.total() - len(arrived),
        recovery=recovery,
    )
