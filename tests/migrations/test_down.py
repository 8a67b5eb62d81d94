"""Taking our functions and views away, and putting them back."""

import psycopg
import pytest

from migrations.databases import load, picture, run, value
from pggit_alertd.database import migrate
from pggit_alertd.database.migrations import bundled
from pggit_alertd.database.pool import connect
from pggit_alertd.errors import SchemaMissing, SchemaOutdated
from support.merges import DASHBOARDS


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["a", "b", "d"])
async def test_down_keeps_all_data_and_up_puts_the_rest_back(empty_database: str, kind: str) -> None:
    """Only functions, triggers and views go; measurements and alerts go on being recorded; then all is as before."""
    if kind != "a":
        load(empty_database, kind)
    theirs = picture(empty_database)
    await migrate.up(empty_database)
    before = picture(empty_database)

    dropped = await migrate.down(empty_database)
    assert "function pggit.route_alerts" in dropped
    after = picture(empty_database)
    assert after["functions"] <= before["functions"]
    for part in ("functions", "views", "triggers"):
        assert theirs[part] <= after[part]
    if kind != "a":
        assert after["functions"] == theirs["functions"]
        assert after["triggers"] == theirs["triggers"]
    tables = {row for row in before["columns"] if row[0] not in bundled().view_names()}
    assert after["columns"] == tables
    for part in ("constraints", "indexes"):
        assert after[part] == before[part]

    run(empty_database, "INSERT INTO pggit.performance_operation_types (operation_type) VALUES ('down')")
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("SELECT pggit.record_performance_metric('commit', 2000) FROM generate_series(1, 30)")
        connection.execute("SELECT pggit.calculate_performance_baseline('commit')")
        connection.execute("SELECT pggit.record_performance_metric('commit', 900000)")
    assert value(empty_database, "SELECT count(*) FROM pggit.performance_alerts") == 1
    async with await connect(empty_database) as connection:
        with pytest.raises(SchemaOutdated, match="migrate up"):
            await migrate.verify(connection)

    assert await migrate.down(empty_database) == ()
    assert (await migrate.up(empty_database)).changed
    again = picture(empty_database)
    for part in ("functions", "views", "triggers", "columns", "constraints", "indexes", "grants", "function_grants"):
        assert again[part] == before[part], part
    run(empty_database, "SELECT pggit.record_performance_metric('commit', 900000)")
    assert value(empty_database, "SELECT count(*) FROM pggit.alert_outbox") == 1


async def test_a_rehearsed_down_changes_nothing(database: str) -> None:
    """The SQL is printed, can be run in psql, and is not run."""
    before = picture(database)
    text = await migrate.dry_down(database)
    assert picture(database) == before
    run(database, text)
    assert await migrate.down(database) == ()
    assert "nothing to run" in await migrate.dry_down(database)


async def test_where_nothing_is_installed_down_says_so(empty_database: str) -> None:
    """A database without our ledger is left alone."""
    with pytest.raises(SchemaMissing, match="nothing to take away"):
        await migrate.down(empty_database)


HIDE = """
    DROP VIEW pggit.v_merge_bottleneck_analysis, pggit.v_merge_success_tracking, pggit.v_merge_phase_timeline,
        pggit.v_merge_conflict_analysis
"""


async def test_the_merge_dashboards_can_be_hidden_alone_and_come_back(database: str) -> None:
    """One statement drops them, the daemon goes on, merges and their sums are kept, and up puts them back."""
    run(
        database,
        "INSERT INTO pggit.branches (branch_name, created_by) VALUES ('main', 'ann'), ('feature', 'ann')",
        "SELECT pggit.record_merge_performance(2, 1, 75000) FROM generate_series(1, 7)",
        "SELECT pggit.refresh_merge_rollup(TRUE)",
    )
    before = picture(database)
    run(database, HIDE)
    hidden = picture(database)
    assert hidden["rows"] == before["rows"]
    assert hidden["functions"] == before["functions"]
    assert len(before["views"] - hidden["views"]) == len(DASHBOARDS)
    async with await connect(database) as connection:
        await migrate.verify(connection)
    run(database, "SELECT pggit.record_merge_performance(2, 1, 75000)", "SELECT pggit.refresh_merge_rollup(TRUE)")

    report = await migrate.up(database)
    assert set(report.applied) == {*(f"views/{view}.sql" for view in DASHBOARDS), "roles.sql"}
    again = picture(database)
    for part in ("views", "columns", "grants", "functions"):
        assert again[part] == before[part], part
    assert value(database, "SELECT merge_count FROM pggit.v_merge_bottleneck_analysis") == 8
    assert not (await migrate.up(database)).changed
