"""Settings of anomaly detection that count for nothing: they are stored, and whoever writes them is told."""

from typing import LiteralString

import pytest
from psycopg import AsyncConnection

from database.baseline_support import listen_to_warnings, rows

pytestmark = pytest.mark.servers

LIST = "SELECT * FROM pggit.idle_anomaly_settings()"


async def test_a_setting_for_an_operation_that_nobody_knows_is_told(connection: AsyncConnection) -> None:
    """It is stored with a warning, listed, and forgotten once the operation is there; * and known ones are silent."""
    heard = listen_to_warnings(connection)
    for operation in ("comit", "commit"):
        await connection.execute(
            "INSERT INTO pggit.anomaly_detection_settings (operation_type, enabled) VALUES (%s, FALSE)", (operation,)
        )
    await connection.execute(
        "UPDATE pggit.anomaly_detection_settings SET sigma_threshold = 4 WHERE operation_type = '*'"
    )
    [warning] = heard
    assert warning.startswith("row comit of anomaly_detection_settings: no operation type has this name")
    assert [row["subject"] for row in await rows(connection, LIST)] == ["anomaly_detection_settings comit"]
    await connection.execute("INSERT INTO pggit.performance_operation_types (operation_type) VALUES ('comit')")
    assert await rows(connection, LIST) == []
    await connection.execute("UPDATE pggit.performance_operation_types SET is_tracked = FALSE")
    assert len(await rows(connection, LIST)) == 2


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("'comit*', NULL, NULL, 80000, NULL, NULL, NULL", "no operation type matches its operation_pattern"),
        ("'commit', '02:00', '02:00', NULL, NULL, NULL, NULL", "daily_from and daily_to are the same"),
        ("'commit', NULL, NULL, 0, NULL, NULL, NULL", "no metric takes less than a microsecond"),
        ("'commit', NULL, NULL, NULL, now() + interval '1 day', NULL, now()", "expires before it starts"),
        ("'commit', NULL, NULL, NULL, NULL, NULL, now() - interval '1 hour'", "it has expired"),
    ],
)
async def test_an_entry_that_can_match_nothing_is_told(
    connection: AsyncConnection, columns: LiteralString, problem: str
) -> None:
    """Whatever makes it useless, it is stored with a warning that says why, and listed."""
    heard = listen_to_warnings(connection)
    await connection.execute(
        "INSERT INTO pggit.anomaly_whitelist (operation_pattern, daily_from, daily_to, max_microseconds, starts_at,"
        " ends_at, expires_at, reason) SELECT " + columns + ", 'a test'"
    )
    [warning] = heard
    assert warning.startswith("entry 1 of anomaly_whitelist: ")
    assert problem in warning
    [listed] = await rows(connection, LIST)
    assert listed["subject"].startswith("anomaly_whitelist 1 (com")
    assert problem in listed["problem"]


@pytest.mark.parametrize(
    "columns",
    [
        "'commit', NULL, NULL, 80000, NULL, NULL, NULL",
        "'c?mmit', '23:00', '02:00', NULL, NULL, NULL, NULL",
        "'*', NULL, NULL, NULL, now(), now() + interval '1 hour', NULL",
        "'gone', NULL, NULL, NULL, NULL, NULL, now() - interval '8 days'",
    ],
)
async def test_what_counts_or_was_meant_to_end_is_silent(connection: AsyncConnection, columns: LiteralString) -> None:
    """Entries that can match, and those that ended a week ago, are nobody's business."""
    heard = listen_to_warnings(connection)
    await connection.execute(
        "INSERT INTO pggit.anomaly_whitelist (operation_pattern, daily_from, daily_to, max_microseconds, starts_at,"
        " ends_at, expires_at, reason) SELECT " + columns + ", 'a test'"
    )
    assert heard == []
    assert await rows(connection, LIST) == []


async def test_nothing_set_is_nothing_idle(connection: AsyncConnection) -> None:
    """As installed, and for NULL, there is no problem."""
    assert await rows(connection, LIST) == []
    [row] = await rows(connection, "SELECT pggit.idle_whitelist_problem(NULL) AS problem")
    assert row["problem"] is not None, "a pattern of NULL matches nothing"
