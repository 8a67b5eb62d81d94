"""The merge dashboards: what they say of any merges, and that the sums they are read from never show."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from migrations.databases import load
from pggit_alertd.database import migrate
from support.merges import (
    DASHBOARDS,
    Merge,
    Row,
    bottlenecks,
    conflicts,
    insert,
    merges,
    some,
    successes,
    timeline,
)

pytestmark = pytest.mark.servers

Connection = psycopg.Connection[Row]
BRANCHES = """
INSERT INTO pggit.branches (branch_name, created_by)
VALUES ('main', 'ann'), ('feature', 'ann'), ('fix', 'ann'), ('idle', 'ann')
"""
BRANCHES_BY_ID = "INSERT INTO pggit.branches (name) VALUES ('main'), ('feature'), ('fix'), ('idle')"


def look(connection: Connection, view: str) -> list[Row]:
    """Return a dashboard's rows in its own order."""
    return connection.execute(f"SELECT * FROM pggit.{view}".encode()).fetchall()  # noqa: S608 - names of ours


def one(connection: Connection, statement: str) -> Any:
    """Return the only value of a statement."""
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def refresh(connection: Connection) -> int:
    """Sum up whatever the sums lack, and make sure that they may be used."""
    summed_up = int(one(connection, "SELECT pggit.refresh_merge_rollup(TRUE)"))
    assert usable(connection)
    return summed_up


def usable(connection: Connection) -> bool:
    """Return whether the dashboards may use the sums."""
    return bool(one(connection, "SELECT usable FROM pggit.merge_coverage"))


def check(connection: Connection) -> None:
    """See that each dashboard says of the merges that are there what plain Python says of them."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen = merges(connection)
        since = one(connection, "SELECT LOCALTIMESTAMP - interval '7 days'")
        assert set(look(connection, "v_merge_bottleneck_analysis")) == bottlenecks(seen)
        assert set(look(connection, "v_merge_success_tracking")) == successes(seen)
        assert set(look(connection, "v_merge_conflict_analysis")) == conflicts(seen)
        assert set(look(connection, "v_merge_phase_timeline")) == timeline(seen, since)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """Yield a connection to a database with four branches."""
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute(BRANCHES.encode())
        yield opened


def test_no_merges_give_empty_dashboards(connection: Connection) -> None:
    """Without a merge there is no row and no error, before and after the first summing up."""
    assert [look(connection, view) for view in DASHBOARDS] == [[], [], [], []]
    assert refresh(connection) == 0
    assert [look(connection, view) for view in DASHBOARDS] == [[], [], [], []]


def test_phases_that_were_not_measured_are_neither_zero_nor_balanced(connection: Connection) -> None:
    """The longest measured phase counts, ties are BALANCED, nothing measured is UNKNOWN, averages skip what is NULL."""
    insert(
        connection, [Merge(1, 2, (None, 3000, None)), Merge(1, 2, (1000, None, None)), Merge(1, 2, (5000, 1000, None))]
    )
    insert(connection, [Merge(1, 3, (None, None, None))])
    insert(connection, [Merge(2, 1, (7, 7, 3)), Merge(2, 1, (0, 0, 0)), Merge(2, 1, (1, 2, 9))])
    insert(connection, [Merge(3, 1, (9, 1, 1)), Merge(3, 1, (1, 9, 1))])
    rows = connection.execute("""
        SELECT source_branch, target_branch, merge_count, avg_lca_ms, avg_conflict_ms, avg_resolve_ms, bottleneck,
            pct_lca_bottleneck, pct_conflict_bottleneck, pct_resolve_bottleneck, pct_balanced, pct_unknown
        FROM pggit.v_merge_bottleneck_analysis ORDER BY 1, 2
    """).fetchall()
    assert [tuple(str(value) for value in row[6:]) for row in rows] == [
        ("BALANCED", "0.0", "0.0", "33.3", "66.7", "0.0"),
        ("BALANCED", "50.0", "50.0", "0.0", "0.0", "0.0"),
        ("LCA_CALCULATION", "66.7", "33.3", "0.0", "0.0", "0.0"),
        ("UNKNOWN", "0.0", "0.0", "0.0", "0.0", "100.0"),
    ]
    assert rows[2][:6] == ("main", "feature", 3, Decimal("3.0"), Decimal("2.0"), None)
    check(connection)


def test_days_and_thousands_fit(connection: Connection) -> None:
    """A merge of two days, a hundred thousand conflicts and the largest numbers of the table overflow nothing."""
    most = 2**63 - 1
    with connection.transaction():  # so that all began in one hour
        insert(connection, [Merge(total=2 * 86_400_000_000, phases=(1, 2, 86_400_000_000), conflicts=100_000)])
        insert(connection, [Merge(2, 1, (most, most, most), most, 2**31 - 1, 2**31 - 1, 2**31 - 1)] * 3)
    for sum_up in (False, True):
        if sum_up:
            refresh(connection)
        rows = look(connection, "v_merge_conflict_analysis")
        assert [(row[3], row[4]) for row in rows] == [(Decimal(2**31 - 1), 2**31 - 1), (Decimal(100_000), 100_000)]
        assert {row[6] for row in look(connection, "v_merge_bottleneck_analysis")} > {Decimal("172800000.0")}
        assert len(look(connection, "v_merge_success_tracking")) == 2
        assert len(look(connection, "v_merge_phase_timeline")) == 1


def test_abandoned_merges_count_and_date_the_last_merge(connection: Connection) -> None:
    """A merge that was abandoned and has no end lowers the success rate, and is the last merge if it began last."""
    insert(connection, [Merge(ago=timedelta(hours=9))] * 3)
    insert(connection, [Merge(status="ABANDONED", ago=timedelta(hours=2), lasted=None)])
    ((*_, rate, _, last, abandoned),) = look(connection, "v_merge_success_tracking")
    assert (rate, abandoned) == (Decimal("75.0"), 1)
    assert last == one(connection, "SELECT max(started_at) FROM pggit.merge_performance_metrics")


def test_conflicts_come_in_order_and_what_is_unknown_last(connection: Connection) -> None:
    """Most conflicts first, then by name; pairs whose conflicts nobody counted stand at the end, not at the top."""
    insert(connection, [Merge(1, 2, conflicts=None), Merge(2, 1, conflicts=3), Merge(3, 1, conflicts=9)])
    insert(connection, [Merge(3, 2, conflicts=3)])
    refresh(connection)
    assert [row[:4] for row in look(connection, "v_merge_conflict_analysis")] == [
        ("fix", "main", 1, Decimal("9.0")),
        ("feature", "main", 1, Decimal("3.0")),
        ("fix", "feature", 1, Decimal("3.0")),
        ("main", "feature", 1, None),
    ]


def test_the_timeline_is_seven_days_newest_first(connection: Connection) -> None:
    """What began more than seven days ago is not shown, not even with the rest of its hour."""
    for ago in (timedelta(days=6, hours=23, minutes=59), timedelta(days=7, minutes=1), timedelta(days=3), timedelta()):
        insert(connection, [Merge(ago=ago, lasted=timedelta())])
    for _ in range(2):
        shown = look(connection, "v_merge_phase_timeline")
        assert sum(row[2] for row in shown) == 3
        assert [row[:2] for row in shown] == sorted((row[:2] for row in shown), reverse=True)
        refresh(connection)


CHANGES: dict[str, Callable[[Connection], None]] = {
    "nothing": lambda _: None,
    "new": lambda connection: insert(connection, some(30, 2)),
    "late": lambda connection: insert(connection, [Merge(ago=timedelta(days=d)) for d in (1, 3, 6, 8, 200)]),
    "updated": lambda connection: run(
        connection,
        "UPDATE pggit.merge_performance_metrics SET completed_at = LOCALTIMESTAMP, merge_status = 'SUCCESS',"
        " auto_resolution_us = 77 WHERE completed_at IS NULL",
    ),
    "deleted": lambda connection: run(
        connection, "DELETE FROM pggit.merge_performance_metrics WHERE merge_metric_id % 7 = 0"
    ),
    "replaced": lambda connection: run(
        connection,
        "DELETE FROM pggit.merge_performance_metrics WHERE merge_metric_id = 1",
        "INSERT INTO pggit.merge_performance_metrics (merge_metric_id, source_branch_id, target_branch_id,"
        " total_merge_us, merge_status, user_name, started_at) VALUES (1, 4, 1, 5, 'FAILED', 'ann', LOCALTIMESTAMP)",
    ),
    "branch deleted": lambda connection: run(connection, "DELETE FROM pggit.branches WHERE branch_id = 2"),
    "branch renamed": lambda connection: run(
        connection, "UPDATE pggit.branches SET branch_name = 'trunk' WHERE branch_id = 1"
    ),
    "emptied": lambda connection: run(connection, "TRUNCATE pggit.merge_performance_metrics"),
    "rewritten": lambda connection: run(connection, "VACUUM FULL pggit.merge_performance_metrics"),
}


def run(connection: Connection, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    for statement in statements:
        connection.execute(statement.encode())


@pytest.mark.parametrize("change", list(CHANGES))
def test_dashboards_are_right_whatever_became_of_the_merges_since(connection: Connection, change: str) -> None:
    """At once, without any job: for merges that came since the summing up, late ones, changed and gone ones."""
    insert(connection, some(200, 1))
    check(connection)
    refresh(connection)
    check(connection)
    CHANGES[change](connection)
    check(connection)
    refresh(connection)
    check(connection)


def test_sums_are_what_is_read_and_only_while_they_hold(connection: Connection) -> None:
    """A falsified sum shows as long as the merges are those summed up, and no longer once one of them has changed."""
    insert(connection, some(50, 3))
    refresh(connection)
    run(
        connection,
        "UPDATE pggit.merge_pair_rollup SET failed = 4711",
        "UPDATE pggit.merge_hour_rollup SET total_us = 0",
    )
    assert {row[5] for row in look(connection, "v_merge_success_tracking")} == {4711}
    assert Decimal(0) in {row[6] for row in look(connection, "v_merge_phase_timeline")}
    run(connection, "UPDATE pggit.merge_performance_metrics SET user_name = 'bob' WHERE merge_metric_id = 1")
    assert not usable(connection)
    check(connection)


SPOILED = (
    "horizon = NULL",
    "horizon = (pg_current_xact_id()::text::bigint + 1000)::text::xid8",
    "horizon = '3'",
    "of_table = 1",
    "hours_from = 'infinity'",
    "merge_count = merge_count + 1",
)


def test_sums_of_another_time_or_cluster_are_not_believed(connection: Connection) -> None:
    """After a restore, or with a row that somebody spoiled, the dashboards do without the sums until the next run."""
    insert(connection, some(50, 4))
    for spoiled in SPOILED:
        refresh(connection)
        run(connection, f"UPDATE pggit.merge_rollup SET {spoiled}")  # noqa: S608 - the cases stand above
        check(connection)
    run(connection, "DELETE FROM pggit.merge_rollup")
    check(connection)
    refresh(connection)


def test_a_writer_whose_transaction_is_open_during_the_summing_up_is_counted(
    database: str, connection: Connection
) -> None:
    """Merges that become visible later, and those written after them, are neither lost nor counted twice."""
    insert(connection, some(40, 5))
    with psycopg.connect(database) as writer:
        insert(writer, some(5, 6))
        with writer.transaction():
            insert(writer, some(3, 7))
        insert(connection, some(4, 8))
        assert refresh(connection) == 40
        check(connection)
        writer.commit()
        check(connection)
        insert(writer, some(2, 9))
        writer.rollback()
    check(connection)
    assert refresh(connection) == 52
    check(connection)


def test_a_reader_sees_its_own_changes(connection: Connection) -> None:
    """Inside a transaction that changes merges, the dashboards show them as the transaction does."""
    insert(connection, some(40, 10))
    refresh(connection)
    with connection.transaction(force_rollback=True):
        insert(connection, [Merge(4, 1)])
        run(connection, "DELETE FROM pggit.merge_performance_metrics WHERE merge_metric_id = 2")
        seen = merges(connection)
        assert set(look(connection, "v_merge_success_tracking")) == successes(seen)
    check(connection)


def test_summing_up_waits_until_it_is_worth_while(connection: Connection) -> None:
    """Up to a hundred new merges are left to the views; more, or a changed one, are summed up by the next run."""
    assert one(connection, "SELECT pggit.refresh_merge_rollup()") == 0
    insert(connection, some(100, 11))
    assert one(connection, "SELECT pggit.refresh_merge_rollup()") == 0
    insert(connection, some(1, 12))
    assert one(connection, "SELECT pggit.refresh_merge_rollup()") == 101
    assert one(connection, "SELECT pggit.refresh_merge_rollup(NULL)") == 0
    run(connection, "UPDATE pggit.merge_performance_metrics SET user_name = 'bob' WHERE merge_metric_id = 1")
    assert one(connection, "SELECT pggit.refresh_merge_rollup()") == 101
    run(connection, "UPDATE pggit.merge_rollup SET hours_from = hours_from - interval '2 days'")
    assert one(connection, "SELECT pggit.refresh_merge_rollup()") == 101


def test_writers_and_the_summing_up_never_wait_for_each_other(database: str, connection: Connection) -> None:
    """Neither an open writer stops a run nor an open run a writer; a second run does wait for the first."""
    insert(connection, some(5, 13))
    run(connection, "SET lock_timeout = '1ms'")
    with psycopg.connect(database) as other:
        insert(other, some(2, 14))
        other.execute("DELETE FROM pggit.merge_performance_metrics WHERE merge_metric_id = 1")
        assert refresh(connection) == 5
        other.rollback()
        other.execute("SELECT pggit.refresh_merge_rollup(TRUE)")
        insert(connection, some(2, 15))
        run(connection, "DELETE FROM pggit.branches WHERE branch_id = 4")
        check(connection)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("SELECT pggit.refresh_merge_rollup()")


def test_hours_without_bounds_are_none(connection: Connection) -> None:
    """NULL bounds and windows that end before they begin have no hours."""
    insert(connection, some(5, 16))
    for bounds in ("NULL", "'-infinity', NULL", "'2026-01-02', '2026-01-01'"):
        assert connection.execute(f"SELECT * FROM pggit.merge_hours({bounds})".encode()).fetchall() == []  # noqa: S608


@pytest.mark.parametrize("kind", ["b", "d"])
def test_both_dialects_of_pggit_have_the_same_dashboards(empty_database: str, kind: str) -> None:
    """With branches(branch_id, branch_name) and with branches(id, name), through pgGit's own function."""
    load(empty_database, kind)
    asyncio.run(migrate.up(empty_database))
    with psycopg.connect(empty_database, autocommit=True) as connection:
        run(connection, "DELETE FROM pggit.branches", BRANCHES if kind == "b" else BRANCHES_BY_ID)
        names: dict[str, int] = dict(
            connection.execute("SELECT branch_name, branch_id FROM pggit.branch_ref").fetchall()
        )
        for _ in range(2):
            connection.execute(
                "SELECT pggit.record_merge_performance(%s, %s, 75000, NULL, 100, 900, 4, 500, 3, 1, 'PARTIAL_SUCCESS')",
                (names["feature"], names["main"]),
            )
            check(connection)
            ((source, target, *_),) = look(connection, "v_merge_bottleneck_analysis")
            assert (source, target) == ("feature", "main")
            refresh(connection)
        connection.execute(
            b"DELETE FROM pggit.branches WHERE " + (b"branch_name" if kind == "b" else b"name") + b" = 'fix'"
        )
        check(connection)
