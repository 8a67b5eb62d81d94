"""Alerts, settings and routing for tests, on a real database: short words for what the application would do."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Self

from psycopg import AsyncConnection
from psycopg.errors import Diagnostic

WEBHOOK = "https://hooks.slack.com/services/T00/B00/x"
SLACK: dict[str, Any] = {"webhook": WEBHOOK, "channel": "#pgit-alerts"}
EMAIL: dict[str, Any] = {"to": ["ops@example.com"]}
PAGERDUTY: dict[str, Any] = {"service_key": "0123456789abcdef0123456789abcdef"}
HOOK: dict[str, Any] = {"url": "https://example.com/hooks/T00B00x"}
APPRISE: dict[str, Any] = {"urls": ["tgram://123456:token/42", "discord://id/token"]}

EVENT = """
INSERT INTO pggit.alert_notification_queue
    (alert_id, channel, recipient, message, setting_id, destination_key, group_key, event, alert)
SELECT %s, 'slack', 'x', %s, s.setting_id, s.destination_key, 'g', %s, %s::jsonb
FROM pggit.alert_notification_settings AS s WHERE s.setting_id = %s RETURNING queue_id
"""


class Alerts:
    """One database, seen through an autocommit connection that remembers its warnings."""

    def __init__(self, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        self.connection = connection
        self.notices: list[str] = []
        connection.add_notice_handler(self._hear)

    def _hear(self, diagnostic: Diagnostic) -> None:
        self.notices.append(f"{diagnostic.severity}: {diagnostic.message_primary} {diagnostic.message_hint}")

    @classmethod
    async def connect(cls, dsn: str) -> Self:
        """Open a connection of its own; close it with `close`."""
        return cls(await AsyncConnection.connect(dsn, autocommit=True))

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.close()

    async def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        cursor = await self.connection.execute(statement.encode(), parameters or None)
        return await cursor.fetchall() if cursor.description else []

    async def value(self, statement: str, *parameters: object) -> Any:
        """Run a statement and return the only value of its only row."""
        rows = await self.rows(statement, *parameters)
        assert len(rows) == 1, rows
        return rows[0][0]

    async def column(self, statement: str, *parameters: object) -> list[Any]:
        """Run a statement and return the first value of every row."""
        return [row[0] for row in await self.rows(statement, *parameters)]

    async def metric(self, operation: str = "commit", microseconds: int = 250_000, name: str | None = None) -> int:
        """Insert a metric without any alert."""
        return int(
            await self.value(
                """
                INSERT INTO pggit.performance_metrics (operation_type, operation_name, duration_microseconds,
                    duration_ms, start_time, end_time, user_name, period_start)
                VALUES (%s, %s, %s::bigint, %s::bigint / 1000.0, localtimestamp - interval '1 s', localtimestamp, 'app',
                    current_date)
                RETURNING metric_id
                """,
                operation,
                name,
                microseconds,
                microseconds,
            )
        )

    async def alert(
        self,
        operation: str = "commit",
        *,
        alert_type: str = "THRESHOLD_EXCEEDED",
        severity: str | None = "WARNING",
        microseconds: int = 250_000,
        baseline: int | None = 50_000,
        ago: str = "0 seconds",
        name: str | None = None,
        count: int = 1,
    ) -> int:
        """Insert `count` alerts in one statement and return the id of the last."""
        metric = await self.metric(operation, max(microseconds, 1), name)
        rows = await self.rows(
            """
            INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, user_name,
                actual_duration_microseconds, baseline_p99_microseconds, created_at)
            SELECT %s, %s, %s, %s, 'app', %s, %s, now() - %s::interval FROM generate_series(1, %s)
            RETURNING alert_id
            """,
            metric,
            operation,
            alert_type,
            severity,
            microseconds,
            baseline,
            ago,
            count,
        )
        return int(rows[-1][0])

    async def setting(
        self,
        channel: str = "slack",
        config: object = ...,
        *,
        alert_type: str = "*",
        severity: str = "*",
        pattern: str = "*",
        enabled: bool | None = True,
    ) -> int:
        """Insert a notification setting; `config` is any JSON value (None is null), by default one that works."""
        working = {
            "slack": SLACK,
            "email": EMAIL,
            "pagerduty": PAGERDUTY,
            "webhook": HOOK,
            "apprise": APPRISE,
        }.get(channel)
        return int(
            await self.value(
                """
                INSERT INTO pggit.alert_notification_settings
                    (alert_type, severity, notification_channel, enabled, config, operation_pattern)
                VALUES (%s, %s, %s, %s, %s::jsonb, %s) RETURNING setting_id
                """,
                alert_type,
                severity,
                channel,
                enabled,
                json.dumps(working if config is ... else config),
                pattern,
            )
        )

    async def event(self, setting: int, alert_id: int, name: str, alert: str = "{}") -> int:
        """Queue one event of group g, as if it had been routed."""
        return int(await self.value(EVENT, alert_id, f"ALERT: {alert_id}", name, alert, setting))

    async def route(self, limit: int = 500) -> tuple[int, int, int]:
        """Call the router; return alerts, notifications queued, notifications refused."""
        routed, queued, refused = (await self.rows("SELECT * FROM pggit.route_alerts(%s)", limit))[0][:3]
        return routed, queued, refused

    async def routed_alert(self, operation: str = "commit", **alert: Any) -> int:
        """Insert alerts as `alert` does, route them, and return the id of the last."""
        last = await self.alert(operation, **alert)
        await self.route()
        return last

    async def queue(self, columns: str = "alert_id, channel, status", where: str = "TRUE") -> list[tuple[Any, ...]]:
        """Return the queue in order."""
        return await self.rows(
            f"SELECT {columns} FROM pggit.alert_notification_queue WHERE {where} ORDER BY queue_id"  # noqa: S608
        )

    async def log(self, columns: str = "alert_id, status, reason") -> list[tuple[Any, ...]]:
        """Return the log in order."""
        return await self.rows(f"SELECT {columns} FROM pggit.alert_notification_log ORDER BY log_id")  # noqa: S608

    async def outbox(self) -> list[int]:
        """Return the alerts that wait to be routed."""
        return await self.column("SELECT alert_id FROM pggit.alert_outbox ORDER BY alert_id")

    async def everything(self, tables: Sequence[str]) -> str:
        """Return all text of all rows of the tables, for a search."""
        found = []
        for table in tables:
            found += await self.column(f"SELECT t::text FROM {table} AS t")  # noqa: S608
        return "\n".join(found)

    async def somebody_waits(self) -> None:
        """Return as soon as some session of the server waits for a lock."""
        async with asyncio.timeout(20):
            while not await self.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
