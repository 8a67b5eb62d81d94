"""The router on its tick: it counts what it suppressed, lets go what windows kept back, works out recurring ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from pggit_alertd import jobs, snoozes
from pggit_alertd.clock import SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import JobIncomplete
from pggit_alertd.liveness import Liveness
from pggit_alertd.metrics import SUPPRESSIONS, Metrics
from pggit_alertd.router import Router
from pggit_alertd.settings import Settings
from pggit_alertd.snoozes import Snoozes
from pggit_alertd.store import Store
from support.alerts import Alerts
from support.windows import Windows


class Ticks:
    """A router that goes round when told to."""

    def __init__(self, pool: Database, metrics: Metrics) -> None:
        self.metrics = metrics
        self._done = asyncio.Event()
        self._router = Router(
            Store(pool, "w1", SystemClock()),
            routed=self._done.set,
            metrics=metrics,
            beat=Liveness(SystemClock()).loop("router", 60),
            poll_interval=0.05,
            horizon_critical=86400,
            horizon=14400,
            snoozes=Snoozes(pool, still=900),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the router."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._router.run())
            try:
                yield
            finally:
                self._router.stop()

    async def until(self, name: str, value: float, **labels: str) -> None:
        """Return when a metric has this value, after whatever number of rounds."""
        async with asyncio.timeout(20):
            while self.metrics.registry.get_sample_value(f"pggit_alertd_{name}", labels) != value:
                self._done.clear()
                await self._done.wait()


async def test_the_router_counts_what_it_suppressed_and_lets_go(
    alerts: Alerts, windows: Windows, daemon_pool: Database
) -> None:
    """Reasons are counted as the database says, open windows are shown, and the end of one sends what it kept back."""
    await alerts.setting(pattern="commit")
    window = await windows.snooze("2 hours")
    await alerts.alert("commit", count=2)
    await alerts.alert("push")
    ticks = Ticks(daemon_pool, Metrics())
    async with ticks.running():
        await ticks.until("suppressed_total", 2, reason="snoozed")
        await ticks.until("suppressed_total", 1, reason="no_matching_setting")
        await ticks.until("active_snoozes", 1)
        lapse = ticks.metrics.registry.get_sample_value("pggit_alertd_snooze_lapse_seconds")
        assert lapse is not None
        assert 7000 < lapse <= 7200
        await alerts.rows("SELECT pggit.cancel_snooze(%s)", window)
        await ticks.until("released_alerts_total", 1)
        await ticks.until("active_snoozes", 0)
        await ticks.until("snooze_lapse_seconds", float("inf"))
    assert "The worst of 2 alerts" in (await alerts.queue("alert ->> 'note'"))[0][0]
    assert ticks.metrics.registry.get_sample_value("pggit_alertd_loop_errors_total", {"loop": "router"}) == 0


async def test_escalation_steps_that_a_window_puts_off_are_counted(
    alerts: Alerts, windows: Windows, daemon_pool: Database
) -> None:
    """Two steps that are due under an open window are counted as snoozed by the router's next round, once."""
    first = await alerts.setting(severity="CRITICAL")
    second = await alerts.setting("email", alert_type="ESCALATION")
    await alerts.rows(
        "INSERT INTO pggit.alert_escalation_step (chain, position, setting_id, wait)"
        " VALUES ('ops', 1, %s, '15 min'), ('ops', 2, %s, '15 min')",
        first,
        second,
    )
    for operation in ("commit", "merge"):
        await alerts.alert(operation, severity="CRITICAL")
    await alerts.route()
    await windows.snooze("1 hour")
    await alerts.rows("UPDATE pggit.alert_escalation SET due_at = now() - interval '1 s'")
    ticks = Ticks(daemon_pool, Metrics())
    async with ticks.running():
        await ticks.until("suppressed_total", 2, reason="snoozed")
    assert await alerts.value("SELECT count(*) FROM pggit.alert_notification_log WHERE reason = 'snoozed'") == 2


async def test_a_recurring_window_from_psql_is_worked_out_by_the_router(
    alerts: Alerts, windows: Windows, daemon_pool: Database
) -> None:
    """A window that begins every minute and lasts two is open within a round, and mutes."""
    await alerts.setting()
    await windows.snooze("2 minutes", cron="* * * * *", time_zone="Australia/Lord_Howe")
    ticks = Ticks(daemon_pool, Metrics())
    async with ticks.running():
        await ticks.until("active_snoozes", 1)
        await alerts.alert()
        await ticks.until("suppressed_total", 1, reason="maintenance")
    # The first one may end, at a full minute, between being worked out and being stored.
    stored = await alerts.value("SELECT count(*) FROM pggit.alert_snooze_occurrence")
    assert stored in {snoozes.MOST - 1, snoozes.MOST}


async def test_a_release_that_fails_does_not_stop_routing(alerts: Alerts, daemon_pool: Database) -> None:
    """With the function gone alerts are routed all the same, and the failure is counted."""
    await alerts.setting()
    await alerts.rows("DROP FUNCTION pggit.release_muted_alerts")
    await alerts.alert()
    ticks = Ticks(daemon_pool, Metrics())
    async with ticks.running():
        await ticks.until("routed_alerts_total", 1)
        await ticks.until("loop_errors_total", 1, loop="router")
    assert len(await alerts.queue()) == 1


async def test_the_job_keeps_windows_known_ahead_and_names_those_it_cannot_read(
    alerts: Alerts, windows: Windows, daemon_pool: Database
) -> None:
    """It renews what is known less than a week ahead, adds nothing twice, and one bad window holds up no other."""
    job = jobs.maintenance_windows(Settings(database_url=SecretStr("postgresql:///x")))
    assert job.at_start
    assert await job.work(daemon_pool, 20) == {"windows": 0, "added": 0, "unusable": []}
    # None of its starts goes by while the job is looked at.
    far = await alerts.value("SELECT extract(HOUR FROM now() AT TIME ZONE 'Europe/Berlin' + interval '6 h')::integer")
    await windows.snooze("1 hour", cron=f"0 {far} * * *", time_zone="Europe/Berlin")
    first = await job.work(daemon_pool, 20)
    assert first["added"] in {14, 15}
    assert await job.work(daemon_pool, 20) == {"windows": 0, "added": 0, "unusable": []}
    await alerts.rows("UPDATE pggit.alert_snooze SET expanded_until = now() + interval '6 days'")
    assert await job.work(daemon_pool, 20) == {"windows": 1, "added": 0, "unusable": []}
    bad = await windows.snooze("1 hour", cron="0 25 * * *")
    await alerts.rows("UPDATE pggit.alert_snooze SET expanded_until = NULL")
    with pytest.raises(JobIncomplete, match=f"mute nothing: {bad}; see"):
        await job.work(daemon_pool, 20)
    assert "hour field" in await alerts.value("SELECT problem FROM pggit.alert_snooze WHERE snooze_id = %s", bad)
    assert await alerts.value("SELECT expanded_until > now() FROM pggit.alert_snooze WHERE snooze_id <> %s", bad)


def test_every_reason_is_there_from_the_start() -> None:
    """rate() sees the first suppression of each kind, and the lapse of no window is infinitely far away."""
    text = Metrics().render().decode()
    for reason in SUPPRESSIONS:
        assert f'pggit_alertd_suppressed_total{{reason="{reason}"}} 0.0' in text
    assert "pggit_alertd_snooze_lapse_seconds +Inf" in text
