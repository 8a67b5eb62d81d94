"""The log's monthly partitions on real PostgreSQL: made ahead, in UTC, and beside whoever reads or writes the log."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from support.upkeep import LOG, Connection, all_rows, month, named, one, open_session, partitions

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/St_Johns"])
async def test_months_are_utc_months_in_any_session(database: str, zone: str) -> None:
    """Names and bounds are the same whatever the session's TimeZone and DateStyle."""
    async with await open_session(database, timezone=zone, datestyle="German") as connection:
        made = await all_rows(connection, "SELECT partition_name, action FROM pggit.maintain_log_partitions(13)")
        assert made == [(named(month(n)), "created") for n in range(14)]
        assert await all_rows(connection, "SELECT * FROM pggit.maintain_log_partitions(13)") == []
        assert await one(connection, "SHOW timezone") == zone
        assert str(await one(connection, "SHOW datestyle")).startswith("German")
    async with await open_session(database, timezone="UTC") as connection:
        for index, (name, bounds) in enumerate(await partitions(connection)):
            assert name == named(month(index))
            first, last = (f"'{month(n):%Y-%m-%d} 00:00:00+00'" for n in (index, index + 1))
            assert bounds == f"FOR VALUES FROM ({first}) TO ({last})"


async def test_rows_around_midnight_of_the_new_year_land_in_their_own_months(connection: Connection) -> None:
    """The last microsecond of December and the first of January are parted, UTC, also when they come from default."""
    turn = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)
    for instant in (turn - timedelta(microseconds=1), turn):
        await connection.execute(LOG.encode(), (instant - timedelta(seconds=1), 1))
    await connection.execute("SELECT pggit.maintain_log_partitions()")
    where = await all_rows(
        connection, "SELECT tableoid::regclass::text FROM pggit.alert_notification_log ORDER BY sent_at"
    )
    december = turn - timedelta(days=1)
    assert where == [(f"pggit.{named(december)}",), (f"pggit.{named(turn)}",)]


async def test_rows_in_the_default_partition_move_into_their_month_unchanged(connection: Connection) -> None:
    """Nothing is lost, doubled or altered, the identity goes on, and the default partition is empty afterwards."""
    await connection.execute(LOG.encode(), (month(0), 1000))
    await connection.execute(LOG.encode(), (month(-1), 10))
    before = await all_rows(connection, "SELECT log::text FROM pggit.alert_notification_log AS log ORDER BY log_id")
    made = await all_rows(connection, "SELECT * FROM pggit.maintain_log_partitions(1)")
    assert made == [
        (named(month(-1)), "created", 10),
        (named(month(0)), "created", 1000),
        (named(month(1)), "created", 0),
    ]
    after = await all_rows(connection, "SELECT log::text FROM pggit.alert_notification_log AS log ORDER BY log_id")
    assert after == before
    assert await one(connection, "SELECT count(*) FROM pggit.alert_notification_log_default") == 0
    await connection.execute(LOG.encode(), (month(0), 1))
    assert await one(connection, "SELECT max(log_id) FROM pggit.alert_notification_log") == 1011
    indexes = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass"
    assert await one(connection, indexes, f"pggit.{named(month(0))}") == 5


async def test_a_month_too_big_to_move_at_once_stays_and_is_reported(connection: Connection) -> None:
    """More rows than can be moved in a moment are left where they are, and the other months are made."""
    await connection.execute(LOG.encode(), (month(0), 100_001))
    made = await all_rows(connection, "SELECT * FROM pggit.maintain_log_partitions(1)")
    assert made == [(named(month(0)), "left in the default partition", 0), (named(month(1)), "created", 0)]
    assert await one(connection, "SELECT count(*) FROM pggit.alert_notification_log_default") == 100_001


async def test_a_table_that_only_has_a_partitions_name_is_reported_and_left_alone(connection: Connection) -> None:
    """Somebody else's table is not touched, and the other months are made."""
    await connection.execute(f"CREATE TABLE pggit.{named(month(0))} (theirs integer)".encode())
    made = await all_rows(connection, "SELECT * FROM pggit.maintain_log_partitions(1)")
    assert made == [(named(month(0)), "in the way", 0), (named(month(1)), "created", 0)]


async def test_upkeep_twice_at_once_makes_every_partition_once(database: str) -> None:
    """Eight calls at the same time, rows in the default partition: no error, and each month is made by one of them."""
    sessions = [await open_session(database) for _ in range(8)]
    try:
        await sessions[0].execute(LOG.encode(), (month(0), 100))
        made = await asyncio.gather(
            *(all_rows(session, "SELECT * FROM pggit.maintain_log_partitions()") for session in sessions)
        )
        assert sorted(row for rows in made for row in rows) == [
            (named(month(n)), "created", 100 if n == 0 else 0) for n in range(4)
        ]
    finally:
        for session in sessions:
            await session.close()


async def test_writers_that_meet_the_upkeep_lose_no_row_and_see_no_error(database: str) -> None:
    """Log rows written while their month is moved out of the default partition all arrive, each exactly once."""
    sessions = [await open_session(database) for _ in range(6)]
    done = asyncio.Event()
    written = [0] * len(sessions)

    async def write(number: int) -> None:
        while not done.is_set():
            await sessions[number].execute(LOG.encode(), (month(0), 1))
            written[number] += 1

    try:
        await sessions[0].execute(LOG.encode(), (month(0), 20_000))
        async with asyncio.TaskGroup() as tasks, await open_session(database) as upkeep:
            for number in range(len(sessions)):
                tasks.create_task(write(number))
            for ahead in range(4):
                await upkeep.execute("SELECT pggit.maintain_log_partitions(%s)", (ahead,))
                seen = list(written)
                while any(now == then for now, then in zip(written, seen, strict=True)):
                    await upkeep.execute("SELECT 1")
            done.set()
        total = await one(sessions[0], "SELECT count(*) FROM pggit.alert_notification_log")
        assert total == 20_000 + sum(written)
        assert await one(sessions[0], "SELECT count(*) FROM pggit.alert_notification_log_default") == 0
    finally:
        for session in sessions:
            await session.close()


async def test_upkeep_gives_way_to_a_long_reader_soon(database: str) -> None:
    """Somebody who holds the log for long makes the upkeep fail with 55P03 and change nothing; later it succeeds."""
    async with await open_session(database) as reader, await open_session(database) as upkeep:
        async with reader.transaction():
            await reader.execute(LOG.encode(), (month(0), 1))
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await upkeep.execute("SELECT pggit.maintain_log_partitions()")
            assert await partitions(upkeep) == []
            await reader.execute(LOG.encode(), (month(0), 1))
        made = await all_rows(upkeep, "SELECT * FROM pggit.maintain_log_partitions(0)")
        assert made == [(named(month(0)), "created", 2)]
