"""Candidates that are held for a human: how they come up, how they are decided, who decided."""

from decimal import Decimal
from typing import LiteralString

import pytest
from psycopg import AsyncConnection, errors, sql

from database.baseline_support import (
    SNAPSHOT,
    active,
    history,
    hold,
    listen_to_warnings,
    recalculate,
    replace_metrics,
    rows,
    scalar,
    settle,
)

DECISIONS: tuple[LiteralString, ...] = ("SELECT pggit.approve_baseline(%s)", "SELECT pggit.reject_baseline(%s)")


@pytest.mark.parametrize("new", [2001, 499])
async def test_more_than_double_or_less_than_half_is_held(connection: AsyncConnection, new: int) -> None:
    """The old baseline stays in use, the candidate is stored inactive, a WARNING says so, the report has no row."""
    old = await settle(connection, "commit", 1000)
    await replace_metrics(connection, "commit", [new] * 12)
    heard = listen_to_warnings(connection)
    assert await recalculate(connection) == []
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [old]
    [held] = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    assert (held["operation_type"], held["p99_old_ms"]) == ("commit", Decimal("1.000"))
    assert held["p99_new_ms"] == Decimal(new) / 1000
    assert [message for message in heard if message.startswith("baseline of commit is held")]
    [candidate] = await rows(
        connection, "SELECT * FROM pggit.performance_baselines WHERE baseline_id = %s", held["baseline_id"]
    )
    assert (candidate["is_active"], candidate["p99_microseconds"]) == (False, new)
    recorded = (await history(connection, "commit"))[-1]
    assert (recorded["status"], recorded["old_baseline_id"], recorded["decided_at"]) == ("held", old, None)


@pytest.mark.servers
async def test_approval_applies_the_candidate_with_who_and_when(connection: AsyncConnection) -> None:
    """The approved candidate is the one active baseline; one row says who, when, why and which held row."""
    held = await hold(connection, "commit")
    [old] = await active(connection, "commit")
    rows_before = len(await history(connection, "commit"))
    used = await scalar(connection, "SELECT pggit.approve_baseline(%s, 'alice', 'new storage')", held)
    [baseline] = await active(connection, "commit")
    assert (baseline["baseline_id"], baseline["p99_microseconds"]) == (used, 9000)
    recorded = await history(connection, "commit")
    assert len(recorded) == rows_before + 1
    approved = recorded[-1]
    assert (approved["status"], approved["held_history_id"]) == ("approved", held)
    assert (approved["old_baseline_id"], approved["new_baseline_id"]) == (old["baseline_id"], used)
    assert (approved["decided_by"], approved["note"], approved["changed_by"]) == ("alice", "new storage", "postgres")
    assert approved["percent_change"] == Decimal("800.00")
    assert approved["decided_at"] is not None
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []
    assert await recalculate(connection) == []


@pytest.mark.servers
async def test_rejection_keeps_the_old_baseline_with_who_and_when(connection: AsyncConnection) -> None:
    """Nothing that is in use changes; one row says who rejected what, and the candidate stays inactive."""
    held = await hold(connection, "commit")
    before = await active(connection, "commit")
    kept = await scalar(connection, "SELECT pggit.reject_baseline(%s, p_note => 'disk was full')", held)
    assert await active(connection, "commit") == before
    assert kept == before[0]["baseline_id"]
    rejected = (await history(connection, "commit"))[-1]
    assert (rejected["status"], rejected["held_history_id"]) == ("rejected", held)
    assert (rejected["decided_by"], rejected["note"]) == ("postgres", "disk was full")
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []


async def test_held_candidates_do_not_pile_up(connection: AsyncConnection) -> None:
    """Nights that find the same change nothing; another finding takes the old one's place and alone can be decided."""
    first = await hold(connection, "commit")
    before = await (await connection.execute(SNAPSHOT)).fetchone()
    for _ in range(3):
        assert await recalculate(connection) == []
    assert await (await connection.execute(SNAPSHOT)).fetchone() == before
    await replace_metrics(connection, "commit", [9400] * 12)
    await recalculate(connection)
    assert await (await connection.execute(SNAPSHOT)).fetchone() == before, "within 5 % of what is held"
    await replace_metrics(connection, "commit", [20_000] * 12)
    await recalculate(connection)
    [held] = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    assert held["history_id"] > first
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="superseded by a later recalculation"):
        await connection.execute("SELECT pggit.approve_baseline(%s)", (first,))
    assert await scalar(connection, "SELECT pggit.approve_baseline(%s)", held["history_id"]) == held["baseline_id"]


async def test_a_rejected_finding_is_not_brought_up_again(connection: AsyncConnection) -> None:
    """What was rejected is kept out until the figures move on by more than 5 %, or another baseline is in use."""
    held = await hold(connection, "commit")
    await scalar(connection, "SELECT pggit.reject_baseline(%s)", held)
    for new in (9000, 9400):
        await replace_metrics(connection, "commit", [new] * 12)
        assert await recalculate(connection) == []
        assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []
    await replace_metrics(connection, "commit", [9600] * 12)
    await recalculate(connection)
    [again] = await rows(connection, "SELECT * FROM pggit.held_baselines()")
    await scalar(connection, "SELECT pggit.reject_baseline(%s)", again["history_id"])
    await settle(connection, "commit", 1200)
    await replace_metrics(connection, "commit", [9600] * 12)
    await recalculate(connection)
    assert len(await rows(connection, "SELECT * FROM pggit.held_baselines()")) == 1


@pytest.mark.parametrize(("new", "applied"), [(1010, 0), (1500, 1)])
async def test_candidate_is_closed_when_the_metrics_come_back(
    connection: AsyncConnection, new: int, applied: int
) -> None:
    """A run that finds a baseline within bounds leaves no stale candidate to approve."""
    await hold(connection, "commit")
    await replace_metrics(connection, "commit", [new] * 12)
    assert len(await recalculate(connection)) == applied
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []


async def test_candidate_waits_while_there_are_too_few_metrics(connection: AsyncConnection) -> None:
    """A run that skips the operation leaves its candidate open."""
    held = await hold(connection, "commit")
    await replace_metrics(connection, "commit", [9000] * 3)
    await recalculate(connection)
    assert [row["history_id"] for row in await rows(connection, "SELECT * FROM pggit.held_baselines()")] == [held]


@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_decision_is_made_once(connection: AsyncConnection, decision: LiteralString) -> None:
    """What is approved or rejected can't be approved or rejected again, and nothing changes."""
    held = await hold(connection, "commit")
    await connection.execute(decision, (held,))
    before = await active(connection, "commit")
    recorded = await history(connection, "commit")
    for again in DECISIONS:
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="is closed since"):
            await connection.execute(again, (held,))
    assert await active(connection, "commit") == before
    assert await history(connection, "commit") == recorded


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("unknown", [None, -1, 4711])
async def test_unknown_candidate_is_refused(
    connection: AsyncConnection, decision: LiteralString, unknown: int | None
) -> None:
    """NULL and ids that aren't held are refused with P0002 and a pointer to the list."""
    with pytest.raises(errors.NoDataFound, match="there is no held baseline with history_id") as refused:
        await connection.execute(decision, (unknown,))
    assert "held_baselines()" in (refused.value.diag.message_hint or "")


@pytest.mark.parametrize("decision", DECISIONS)
async def test_applied_change_is_not_a_candidate(connection: AsyncConnection, decision: LiteralString) -> None:
    """A history row that isn't held can't be decided."""
    await settle(connection, "commit", 1000)
    [applied] = await history(connection, "commit")
    with pytest.raises(errors.NoDataFound):
        await connection.execute(decision, (applied["history_id"],))


@pytest.mark.parametrize("function", ["approve_baseline", "reject_baseline"])
@pytest.mark.parametrize("nobody", [None, "", "  "])
async def test_a_decision_is_signed(connection: AsyncConnection, function: str, nobody: str | None) -> None:
    """A decision without a name is refused."""
    held = await hold(connection, "commit")
    with pytest.raises(errors.InvalidParameterValue, match="p_decided_by is empty"):
        await connection.execute(sql.SQL("SELECT pggit.{}(%s, %s)").format(sql.Identifier(function)), (held, nobody))


async def test_deleted_candidate_can_only_be_rejected(connection: AsyncConnection) -> None:
    """Approving a candidate that somebody deleted is refused and changes nothing; rejecting closes it."""
    held = await hold(connection, "commit")
    await connection.execute("DELETE FROM pggit.performance_baselines WHERE NOT is_active")
    before = await active(connection, "commit")
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="there is no baseline"):
        await connection.execute("SELECT pggit.approve_baseline(%s)", (held,))
    assert await active(connection, "commit") == before
    await connection.execute("SELECT pggit.reject_baseline(%s)", (held,))
    assert await rows(connection, "SELECT * FROM pggit.held_baselines()") == []


async def test_approval_that_can_not_be_recorded_is_not_applied(connection: AsyncConnection) -> None:
    """Without its trigger the history would miss the decision, so the decision fails and nothing changes."""
    held = await hold(connection, "commit")
    before = await active(connection, "commit")
    await connection.execute("ALTER TABLE pggit.performance_baselines DISABLE TRIGGER USER")
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="history did not take"):
        await connection.execute("SELECT pggit.approve_baseline(%s)", (held,))
    assert await active(connection, "commit") == before


async def test_approval_replaces_what_was_activated_meanwhile(connection: AsyncConnection) -> None:
    """An approval after somebody's own calculation still leaves one active baseline and a true history."""
    held = await hold(connection, "commit")
    meanwhile = await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    used = await scalar(connection, "SELECT pggit.approve_baseline(%s)", held)
    assert [row["baseline_id"] for row in await active(connection, "commit")] == [used]
    approved = (await history(connection, "commit"))[-1]
    assert (approved["old_baseline_id"], approved["new_baseline_id"]) == (meanwhile, used)


async def test_functions_that_change_baselines_are_not_for_everybody(connection: AsyncConnection) -> None:
    """PUBLIC may execute none of the functions that change baselines, nor those that would end at a table."""
    public = {
        row["proname"]
        for row in await rows(
            connection,
            "SELECT proname FROM pg_proc WHERE pronamespace = 'pggit'::regnamespace AND proname ~ 'baseline'"
            " AND has_function_privilege('pg_monitor', oid, 'EXECUTE')",
        )
    }
    assert public.isdisjoint(
        {
            "recalculate_all_baselines_rolling",
            "recalculate_baseline",
            "recalculate_baselines",
            "shadow_baseline",
            "promote_baseline",
            "record_baseline_shadows",
            "apply_baselines",
            "deactivate_spare_baselines",
            "fail_baseline",
            "lock_baselines",
            "open_held_baseline",
            "approve_baseline",
            "reject_baseline",
            "log_baseline_changes",
            "preview_baselines_rolling",
            "held_baselines",
            "check_baseline_quality",
        }
    )
    assert not await scalar(
        connection, "SELECT has_function_privilege('pg_monitor', 'pggit.shadow_report(bigint)', 'EXECUTE')"
    )


async def test_definer_functions_have_a_fixed_search_path(connection: AsyncConnection) -> None:
    """Nobody can slip a table or an operator of theirs under a function that runs with our rights."""
    definers = await rows(
        connection,
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'pggit'::regnamespace AND prosecdef"
        " AND proname ~ 'baseline'",
    )
    assert {row["proname"] for row in definers} == {
        "recalculate_all_baselines_rolling",
        "recalculate_baseline",
        "shadow_baseline",
        "approve_baseline",
        "reject_baseline",
        "log_baseline_changes",
    }
    assert all("search_path=pg_catalog, pggit, pg_temp" in row["proconfig"] for row in definers)
