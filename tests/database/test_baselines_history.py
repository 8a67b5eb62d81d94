"""The history of baselines: one row for every change of the baseline in use, by whatever path."""

from decimal import Decimal
from itertools import pairwise
from typing import LiteralString

import pytest
from psycopg import AsyncConnection, sql

from database.baseline_support import (
    PGGIT_CALCULATION,
    Row,
    active,
    add_branch,
    history,
    listen_to_warnings,
    recalculate,
    record,
    replace_metrics,
    rows,
    scalar,
    settle,
)

pytestmark = pytest.mark.servers

COPY_OF_ACTIVE: LiteralString = """
    INSERT INTO pggit.performance_baselines (
        operation_type, branch_id, baseline_date, calculation_timestamp, sample_count, min_microseconds,
        max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
        mean_microseconds
    )
    SELECT operation_type, branch_id, baseline_date, calculation_timestamp + interval '1 second', sample_count,
        min_microseconds, 5000, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, 5000,
        mean_microseconds
    FROM pggit.performance_baselines WHERE baseline_id = ANY (%s) RETURNING baseline_id
"""
DEACTIVATE: LiteralString = "UPDATE pggit.performance_baselines SET is_active = FALSE WHERE baseline_id = ANY (%s)"


def change(row: Row) -> tuple[str, int | None, int | None]:
    """Return what a history row says happened."""
    return row["status"], row["old_baseline_id"], row["new_baseline_id"]


async def test_each_path_writes_one_row(connection: AsyncConnection) -> None:
    """Our run, a forced one, pgGit's own calculation: one row each, chained, with reason, figures and user."""
    await record(connection, "commit", [1000] * 12)
    [first] = await recalculate(connection)
    await replace_metrics(connection, "commit", [1500] * 12)
    async with connection.transaction():
        await connection.execute("SELECT set_config('pggit.baseline_reason', 'scheduled', TRUE)")
        [second] = await recalculate(connection)
    [third] = await recalculate(connection, force=True)
    fourth = await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    recorded = await history(connection, "commit")
    ids = [None, first["baseline_id"], second["baseline_id"], third["baseline_id"], fourth]
    assert [change(row) for row in recorded] == [("applied", old, new) for old, new in pairwise(ids)]
    assert [row["reason"] for row in recorded] == ["manual", "scheduled", "force", "manual"]
    assert [row["percent_change"] for row in recorded] == [None, Decimal("50.00"), Decimal("0.00"), Decimal("0.00")]
    assert [row["sample_count"] for row in recorded] == [12] * 4
    assert {row["changed_by"] for row in recorded} == {"postgres"}
    assert all(row["error_message"] is None and row["decided_at"] is None for row in recorded)


async def test_reason_lasts_no_longer_than_its_run(connection: AsyncConnection) -> None:
    """A forced run leaves the transaction's own reason as it was; an unknown reason counts as manual."""
    async with connection.transaction():
        await connection.execute("SELECT set_config('pggit.baseline_reason', 'scheduled', TRUE)")
        await record(connection, "commit", [1000] * 12)
        await recalculate(connection, force=True)
        await settle(connection, "merge", 1000)
        await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    assert [row["reason"] for row in await history(connection, "commit")] == ["force", "scheduled"]
    async with connection.transaction():
        await connection.execute("SELECT set_config('pggit.baseline_reason', 'because', TRUE)")
        await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    assert (await history(connection, "commit"))[-1]["reason"] == "manual"


@pytest.mark.parametrize("order", ["deactivate first", "insert first", "one statement"])
async def test_plain_sql_replacement_is_one_row(connection: AsyncConnection, order: str) -> None:
    """Switching the old one off and storing a new one is one change, in either order and in one statement."""
    old = await settle(connection, "commit", 1000)
    async with connection.transaction():
        if order == "one statement":
            statement = sql.SQL("WITH switched_off AS ({}) {}").format(sql.SQL(DEACTIVATE), sql.SQL(COPY_OF_ACTIVE))
            new = (await (await connection.execute(statement, ([old], [old]))).fetchall())[0][0]
        elif order == "insert first":
            new = await scalar(connection, COPY_OF_ACTIVE, [old])
            await connection.execute(DEACTIVATE, ([old],))
        else:
            await connection.execute(DEACTIVATE, ([old],))
            new = await scalar(connection, COPY_OF_ACTIVE, [old])
    recorded = await history(connection, "commit")
    assert [change(row) for row in recorded] == [("applied", None, old), ("applied", old, new)]
    assert (recorded[-1]["old_p99_microseconds"], recorded[-1]["new_p99_microseconds"]) == (1000, 5000)
    assert recorded[-1]["percent_change"] == Decimal("400.00")


async def test_statement_over_many_operations_is_one_row_each(connection: AsyncConnection) -> None:
    """A statement that changes many operations writes a row for each of them, and merges each with its own."""
    operations = ("commit", "merge", "rollback")
    old = {operation: await settle(connection, operation, 1000) for operation in operations}
    ids = list(old.values())
    async with connection.transaction():
        await connection.execute(DEACTIVATE, (ids,))
        created = await rows(connection, COPY_OF_ACTIVE, ids)
    assert len(created) == 3
    for operation in operations:
        [current] = await active(connection, operation)
        assert [change(row) for row in await history(connection, operation)] == [
            ("applied", None, old[operation]),
            ("applied", old[operation], current["baseline_id"]),
        ]


async def test_separate_transactions_are_separate_changes(connection: AsyncConnection) -> None:
    """A deactivation that is committed is a removal; what comes later is a new start."""
    old = await settle(connection, "commit", 1000)
    await connection.execute(DEACTIVATE, ([old],))
    new = await scalar(connection, COPY_OF_ACTIVE, [old])
    assert [change(row) for row in await history(connection, "commit")] == [
        ("applied", None, old),
        ("removed", old, None),
        ("applied", None, new),
    ]


async def test_two_runs_in_one_transaction_are_two_changes(connection: AsyncConnection) -> None:
    """Only a removal is merged with what replaces it; a replacement of a replacement has a row of its own."""
    async with connection.transaction():
        first = await settle(connection, "commit", 1000)
        second = await settle(connection, "commit", 1100)
    assert [change(row) for row in await history(connection, "commit")] == [
        ("applied", None, first),
        ("applied", first, second),
    ]


async def test_rolled_back_change_leaves_no_row(connection: AsyncConnection) -> None:
    """History tells what happened, not what was tried."""
    await settle(connection, "commit", 1000)
    before = await history(connection, "commit")
    async with connection.transaction(force_rollback=True):
        await recalculate(connection, force=True)
    assert await history(connection, "commit") == before


async def test_edit_in_place_is_one_row_that_names_the_figures(connection: AsyncConnection) -> None:
    """A change of the active row's own figures is a change; one of an inactive row, or to the same, is none."""
    await settle(connection, "commit", 1000)
    current = await settle(connection, "commit", 1000)
    before = len(await history(connection, "commit"))
    await connection.execute("UPDATE pggit.performance_baselines SET mean_microseconds = 7 WHERE NOT is_active")
    await connection.execute("UPDATE pggit.performance_baselines SET sample_count = sample_count")
    assert len(await history(connection, "commit")) == before
    await connection.execute(
        "UPDATE pggit.performance_baselines SET p99_microseconds = 3000, max_microseconds = 3000,"
        " alert_threshold_multiplier = 4 WHERE is_active"
    )
    recorded = await history(connection, "commit")
    assert len(recorded) == before + 1
    assert change(recorded[-1]) == ("applied", current, current)
    assert (recorded[-1]["old_p99_microseconds"], recorded[-1]["new_p99_microseconds"]) == (1000, 3000)
    assert recorded[-1]["note"] == ("edited in place: alert_threshold_multiplier, max_microseconds, p99_microseconds")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM pggit.performance_baselines", "TRUNCATE pggit.performance_baselines CASCADE"]
)
async def test_removed_rows_are_recorded(connection: AsyncConnection, statement: LiteralString) -> None:
    """Deleting or truncating baselines is a removal of each one in use; spare and inactive ones don't count."""
    await settle(connection, "commit", 900)
    commit = await settle(connection, "commit", 1000)
    merge = await settle(connection, "merge", 1000)
    await connection.execute(statement)
    assert change((await history(connection, "commit"))[-1]) == ("removed", commit, None)
    assert change((await history(connection, "merge"))[-1]) == ("removed", merge, None)
    assert await scalar(connection, "SELECT count(*) FROM pggit.performance_baseline_history") == 5


async def test_deleted_branch_takes_its_baseline_with_it_on_record(connection: AsyncConnection) -> None:
    """A branch can be deleted whatever the history says of it, and the cascade is recorded with the branch's id."""
    branch = await add_branch(connection, "feature")
    await record(connection, "commit", [1000] * 12, branch_id=branch)
    await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit', %s)", branch)
    await connection.execute("DELETE FROM pggit.branches WHERE branch_id = %s", (branch,))
    recorded = await history(connection, "commit")
    assert [(row["status"], row["branch_id"]) for row in recorded] == [("applied", branch), ("removed", branch)]


async def test_branches_have_histories_of_their_own(connection: AsyncConnection) -> None:
    """The baseline of all branches and that of one branch are two things; pgGit's way with both is recorded."""
    await connection.execute(PGGIT_CALCULATION)
    branch = await add_branch(connection, "feature")
    await record(connection, "commit", [1000] * 12, branch_id=branch)
    own = await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit', %s)", branch)
    of_all = await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    recorded = {(row["branch_id"], *change(row)) for row in await history(connection, "commit")}
    assert recorded == {
        (branch, "applied", None, own),
        (branch, "removed", own, None),
        (None, "applied", None, of_all),
    }


async def test_baselines_older_than_the_history_are_replaced_on_record(connection: AsyncConnection) -> None:
    """Where the history knows nothing yet, what was active is taken from the table."""
    old = await settle(connection, "commit", 1000)
    await connection.execute("TRUNCATE pggit.performance_baseline_history")
    new = await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    assert [change(row) for row in await history(connection, "commit")] == [("applied", old, new)]


@pytest.mark.parametrize("new", [1, 9_000_000_000_000_000])
async def test_history_takes_a_change_of_any_size(connection: AsyncConnection, new: int) -> None:
    """From a microsecond to centuries and back is a row, not an overflow."""
    for duration in (1000, new, 1):
        await settle(connection, "commit", duration)
    assert [row["percent_change"] for row in await history(connection, "commit")] == [
        None,
        (Decimal(new) - 1000) / 10,
        round((1 - Decimal(new)) * 100 / new, 2),
    ]


async def test_old_p99_of_zero_divides_nothing(connection: AsyncConnection) -> None:
    """Somebody's baseline of zero is replaced after approval, with no percentage and no error."""
    await settle(connection, "commit", 1000)
    await connection.execute(
        "UPDATE pggit.performance_baselines SET min_microseconds = 0, p50_microseconds = 0, p75_microseconds = 0,"
        " p90_microseconds = 0, p95_microseconds = 0, p99_microseconds = 0"
    )
    assert await recalculate(connection) == []
    held = await scalar(connection, "SELECT history_id FROM pggit.held_baselines()")
    await scalar(connection, "SELECT pggit.approve_baseline(%s)", held)
    assert (await history(connection, "commit"))[-1]["percent_change"] is None


async def test_design_document_s_columns_can_be_written_alone(connection: AsyncConnection) -> None:
    """A row with only the documented columns is accepted, the rest has defaults."""
    await connection.execute(
        "INSERT INTO pggit.performance_baseline_history (operation_type, old_baseline_id, new_baseline_id,"
        " old_p99_microseconds, new_p99_microseconds, percent_change, reason)"
        " VALUES ('commit', 1, 2, 1000, 101000, 10000.00, 'scheduled')"
    )
    [row] = await history(connection, "commit")
    assert (row["status"], row["percent_change"]) == ("applied", Decimal("10000.00"))
    assert row["calculated_at"].tzinfo is not None


class TestApplicationRole:
    """A role that has the grants of weeks 1 and 2 and nothing of ours."""

    @pytest.fixture
    async def application(self, connection: AsyncConnection) -> str:
        """Give a login role what pgGit's application needs, and return its name."""
        name = f"app_{connection.info.dbname}"
        role = sql.Identifier(name)
        for statement in (
            "CREATE ROLE {} LOGIN",
            "GRANT USAGE ON SCHEMA pggit TO {}",
            "GRANT SELECT, INSERT ON pggit.performance_metrics, pggit.performance_alerts TO {}",
            "GRANT SELECT, INSERT, UPDATE ON pggit.performance_baselines TO {}",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA pggit TO {}",
        ):
            await connection.execute(sql.SQL(statement).format(role))
        return name

    async def test_its_own_calculation_works_and_is_recorded(
        self, connection: AsyncConnection, application: str
    ) -> None:
        """Week 2's function runs as before for such a role, and the history knows who it was."""
        await record(connection, "commit", [1000] * 12)
        async with await AsyncConnection.connect(
            connection.info.dsn, host=connection.info.host, user=application, autocommit=True
        ) as app:
            heard = listen_to_warnings(app)
            first = await scalar(app, "SELECT pggit.calculate_performance_baseline('commit')")
            second = await scalar(app, "SELECT pggit.calculate_performance_baseline('commit')")
            for function in ("recalculate_all_baselines_rolling()", "approve_baseline(1)", "reject_baseline(1)"):
                allowed = await scalar(
                    connection,
                    "SELECT has_function_privilege(%s, oid, 'EXECUTE') FROM pg_proc WHERE proname = %s",
                    application,
                    function.split("(")[0],
                )
                assert not allowed
        assert heard == []
        recorded = await history(connection, "commit")
        assert [change(row) for row in recorded] == [("applied", None, first), ("applied", first, second)]
        assert {row["changed_by"] for row in recorded} == {application}

    async def test_a_broken_history_never_stops_a_baseline(self, connection: AsyncConnection, application: str) -> None:
        """If the history can't be written the baseline is changed all the same, and a WARNING tells."""
        await record(connection, "commit", [1000] * 12)
        await connection.execute("ALTER TABLE pggit.performance_baseline_history RENAME TO mislaid")
        async with await AsyncConnection.connect(
            connection.info.dsn, host=connection.info.host, user=application, autocommit=True
        ) as app:
            heard = listen_to_warnings(app)
            made = await scalar(app, "SELECT pggit.calculate_performance_baseline('commit')")
        assert [row["baseline_id"] for row in await active(connection, "commit")] == [made]
        assert any("was not recorded" in message for message in heard)
