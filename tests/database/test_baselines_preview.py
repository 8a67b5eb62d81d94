"""The dry run: what a recalculation would do, without doing it."""

from decimal import Decimal

import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import SNAPSHOT, recalculate, record, replace_metrics, rows, settle

pytestmark = pytest.mark.servers


async def test_says_what_a_run_would_do_and_changes_nothing(connection: AsyncConnection) -> None:
    """Each verdict is foretold; baselines and history stay byte for byte; the run then does just that."""
    for operation in ("commit", "merge", "rollback"):
        await settle(connection, operation, 1000)
    await replace_metrics(connection, "merge", [1500] * 12)
    await replace_metrics(connection, "rollback", [5000] * 12)
    await record(connection, "branch_create", [10] * 12)
    await record(connection, "branch_delete", [10] * 3)
    before = await (await connection.execute(SNAPSHOT)).fetchone()
    preview = {
        row["operation_type"]: row for row in await rows(connection, "SELECT * FROM pggit.preview_baselines_rolling()")
    }
    assert await (await connection.execute(SNAPSHOT)).fetchone() == before
    assert len(preview) == 33
    verdicts = {name: row["verdict"] for name, row in preview.items() if row["verdict"] != "skip"}
    assert verdicts == {"branch_create": "create", "commit": "keep", "merge": "replace", "rollback": "hold"}
    assert preview["branch_delete"]["sample_count"] == 3
    assert preview["get_history"]["sample_count"] == 0
    assert preview["rollback"]["percent_change"] == Decimal("400.00")
    report = await recalculate(connection)
    assert [row["operation_type"] for row in report] == ["branch_create", "merge"]
    for row in report:
        foretold = preview[row["operation_type"]]
        assert {key: row[key] for key in ("sample_count", "p99_old_ms", "p99_new_ms", "percent_change")} == {
            key: foretold[key] for key in ("sample_count", "p99_old_ms", "p99_new_ms", "percent_change")
        }


async def test_works_in_a_read_only_transaction(connection: AsyncConnection) -> None:
    """PostgreSQL itself vouches for the dry run."""
    await record(connection, "commit", [1000] * 12)
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ ONLY")
        assert len(await rows(connection, "SELECT * FROM pggit.preview_baselines_rolling()")) == 33


async def test_bad_arguments_are_refused_alike(connection: AsyncConnection) -> None:
    """The preview refuses what the run refuses."""
    with pytest.raises(errors.InvalidParameterValue, match="p_lookback_days is 0"):
        await connection.execute("SELECT pggit.preview_baselines_rolling(0)")
