"""Sessions, months and old rows for tests of retention and of the log's partitions."""

from datetime import UTC, datetime

from psycopg import AsyncConnection

Connection = AsyncConnection[tuple[object, ...]]


async def open_session(database: str, **parameters: str) -> Connection:
    """Open an autocommit connection with session parameters."""
    options = " ".join(f"-c {name}={value}" for name, value in parameters.items())
    return await AsyncConnection.connect(database, autocommit=True, options=options)


async def all_rows(connection: Connection, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Run a statement and return its rows."""
    return await (await connection.execute(statement.encode(), parameters)).fetchall()


async def one(connection: Connection, statement: str, *parameters: object) -> object:
    """Run a statement and return its only value."""
    return (await all_rows(connection, statement, *parameters))[0][0]


async def purge_all(connection: Connection, limit: str = "90 days", batch: int = 10_000) -> dict[str, int]:
    """Call purge_notifications until it has nothing more to do."""
    removed: dict[str, int] = {}
    while True:
        rows = await all_rows(connection, "SELECT * FROM pggit.purge_notifications(%s::interval, %s)", limit, batch)
        found = {str(relation): int(str(deleted)) for relation, deleted in rows if deleted}
        if not found:
            return removed
        for relation, deleted in found.items():
            removed[relation] = removed.get(relation, 0) + deleted


async def partitions(connection: Connection) -> list[tuple[object, ...]]:
    """Return the log's monthly partitions with their bounds in UTC."""
    async with connection.transaction():
        await connection.execute("SET LOCAL timezone = 'UTC'")
        return await all_rows(
            connection,
            """
            SELECT part.relname, pg_get_expr(part.relpartbound, part.oid)
            FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
            WHERE inhparent = 'pggit.alert_notification_log'::regclass AND part.relname NOT LIKE '%%default'
            ORDER BY 1
            """,
        )


LOG = """
INSERT INTO pggit.alert_notification_log (channel, recipient, status, sent_at)
SELECT 'slack', 'masked', 'sent', %s::timestamptz + n * interval '1 second' FROM generate_series(1, %s) AS n
"""
QUEUE = """
INSERT INTO pggit.alert_notification_queue (channel, recipient, message, status, created_at, processed_at)
SELECT 'slack', 'masked', 'm', %s, now() - %s::interval, CASE WHEN %s THEN now() - %s::interval END
FROM generate_series(1, %s)
"""


async def fill_queue(connection: Connection, status: str, age: str, count: int, *, processed: bool = True) -> None:
    """Insert queue rows of one status and age."""
    await connection.execute(QUEUE.encode(), (status, age, processed, age, count))


def month(offset: int) -> datetime:
    """Return the start of a UTC month, counted from this one."""
    today = datetime.now(UTC)
    index = today.year * 12 + today.month - 1 + offset
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def named(start: datetime) -> str:
    """Return the name of a month's partition."""
    return f"alert_notification_log_y{start:%Y}m{start:%m}"
