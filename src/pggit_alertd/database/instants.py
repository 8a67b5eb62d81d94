"""Instants that Python's calendar has no room for, as the nearest one it has.

PostgreSQL knows infinity, years before Christ and years of five digits, and an application can put any of them into
`created_at`. Python's datetime ends at both, and psycopg refuses the whole row: one odd alert would take a page of good
ones with it.
"""

from datetime import UTC, datetime

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestampLoader, TimestamptzLoader

# A day short of the ends, so that no time zone carries them over.
EARLIEST = datetime(1, 1, 2)  # noqa: DTZ001 - what has no zone in the database has none here
LATEST = datetime(9999, 12, 30)  # noqa: DTZ001


def admit_all_instants(context: psycopg.AsyncCursor[dict[str, object]]) -> None:
    """Have this cursor return the nearest instant there is. It costs microseconds a value, so deliveries do without."""
    context.adapters.register_loader("timestamp", _Timestamp)
    context.adapters.register_loader("timestamptz", _Timestamptz)


class _Timestamp(TimestampLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            return _nearest(bytes(data))


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            return _nearest(bytes(data)).replace(tzinfo=UTC)


def _nearest(text: bytes) -> datetime:
    return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST
