"""Windows that mute, for tests: short words for what an operator would do, and for time going by."""

from typing import Any

from support.alerts import Alerts


class Windows:
    """The windows of one database."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    async def snooze(self, duration: str = "2 hours", reason: str = "upgrade", **matcher: Any) -> int:
        """Mute from now on; `matcher` are further arguments of snooze_alerts without their p_."""
        named = "".join(f", p_{name} => %s" for name in matcher)
        return int(
            await self._alerts.value(
                f"SELECT pggit.snooze_alerts(%s, %s::interval{named})",
                reason,
                duration,
                *matcher.values(),
            )
        )

    async def recurring(self, reason: str = "backups", duration: str = "3 hours", **matcher: Any) -> int:
        """Make a recurring window that is open now."""
        number = await self.snooze(duration, reason, cron="0 2 * * *", time_zone="Europe/Berlin", **matcher)
        await self._alerts.rows(
            "SELECT pggit.expand_snooze(%s, ARRAY[now() - interval '1 min'], now() + interval '14 days')", number
        )
        return number

    async def pass_by(self, snooze_id: int, *, ago: str = "1 second") -> None:
        """Let a window's end lie in the past, with what it muted: as if the time had gone by."""
        shift = "interval '300 days'"
        await self._alerts.rows("ALTER TABLE pggit.alert_snooze DISABLE TRIGGER keep_snooze_history")
        await self._alerts.rows(
            f"UPDATE pggit.alert_snooze SET starts_at = starts_at - {shift}, ends_at = now() - %s::interval"  # noqa: S608
            " WHERE snooze_id = %s AND ends_at IS NOT NULL",
            ago,
            snooze_id,
        )
        await self._alerts.rows("ALTER TABLE pggit.alert_snooze ENABLE TRIGGER keep_snooze_history")
        await self._alerts.rows(
            f"UPDATE pggit.alert_snooze_occurrence SET starts_at = starts_at - {shift}, ends_at = now() - %s::interval"  # noqa: S608
            " WHERE snooze_id = %s AND settled_at IS NULL",
            ago,
            snooze_id,
        )
        await self._alerts.rows(
            "UPDATE pggit.alert_muted SET muted_until = now() - %s::interval"
            " WHERE snooze_id = %s AND released_at IS NULL",
            ago,
            snooze_id,
        )

    async def release(self, still: str = "15 minutes") -> tuple[int, int, dict[str, int]]:
        """Do what the router does on its tick; return sent, refused, suppressed again."""
        released, refused, suppressed = (
            await self._alerts.rows("SELECT * FROM pggit.release_muted_alerts(%s::interval)", still)
        )[0]
        return released, refused, suppressed

    async def muted(self, columns: str = "alert_id, outcome") -> list[tuple[Any, ...]]:
        """Return what is or was kept back, in order."""
        return await self._alerts.rows(f"SELECT {columns} FROM pggit.alert_muted ORDER BY alert_id, setting_id, event")  # noqa: S608
