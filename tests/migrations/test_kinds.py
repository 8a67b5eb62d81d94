"""Which databases we install on, which we refuse, and that neither changes what was there."""

import pytest

from migrations.databases import load, picture, run, value
from pggit_alertd.database import migrate
from pggit_alertd.database.schema_kind import Kind
from pggit_alertd.errors import SchemaRefused

MERGE = """
    SELECT pggit.record_merge_performance(
        (SELECT min(branch_id) FROM pggit.branch_ref), (SELECT max(branch_id) FROM pggit.branch_ref), 75000
    )
"""
BRANCHES = {
    "a": "INSERT INTO pggit.branches (branch_name, created_by) VALUES ('main', 'ann'), ('feature', 'ann')",
    "b": "INSERT INTO pggit.branches (branch_name, created_by) VALUES ('main', 'ann'), ('feature', 'ann')",
    "d": "INSERT INTO pggit.branches (name) VALUES ('main'), ('feature')",
}


@pytest.mark.servers
@pytest.mark.parametrize(
    ("letter", "kind"), [("a", Kind.EMPTY), ("b", Kind.BRANCH_ID), ("d", Kind.ID)], ids=["empty", "branch_id", "id"]
)
async def test_a_metric_beyond_its_baseline_reaches_the_outbox_on_every_kind(
    empty_database: str, letter: str, kind: Kind
) -> None:
    """On each kind we install on, weeks 1 and 2 work as before, branches have one name, and an alert is handed over."""
    if letter != "a":
        load(empty_database, letter)
    report = await migrate.up(empty_database)
    assert report.kind is kind
    assert report.changed
    run(
        empty_database,
        BRANCHES[letter],
        "SELECT pggit.record_performance_metric('commit', 1000 + n) FROM generate_series(1, 20) AS n",
        "SELECT pggit.calculate_performance_baseline('commit')",
        "SELECT pggit.record_performance_metric('commit', 9000)",
        MERGE,
    )
    assert value(empty_database, "SELECT array_agg(branch_name ORDER BY branch_id) FROM pggit.branch_ref") == [
        "main",
        "feature",
    ]
    assert value(empty_database, "SELECT count(*) FROM pggit.performance_alerts") == 1
    assert value(empty_database, "SELECT count(*) FROM pggit.alert_outbox") == 1
    assert value(empty_database, "SELECT count(*) FROM pggit.merge_performance_metrics") == 1


@pytest.mark.servers
@pytest.mark.parametrize("letter", ["b", "d"])
async def test_nothing_of_weeks_1_and_2_is_changed(empty_database: str, letter: str) -> None:
    """Every column, constraint, index, function, view, row and grant that was there is there unchanged afterwards."""
    load(empty_database, letter)
    before = picture(empty_database)
    await migrate.up(empty_database)
    after = picture(empty_database)

    versioned = {"objects", "history"}  # pgGit's own record of DDL grows by what we create: that is its purpose
    for part in set(before) - {"rows", "schemas"}:
        assert before[part] <= after[part], part
    assert {row for row in before["rows"] if row[0] not in versioned} <= after["rows"]

    tables = {row[0] for row in before["columns"]}
    assert {row for row in after["columns"] if row[0] in tables} == before["columns"]
    qualified = {row[0] for row in before["constraints"]}
    assert {row for row in after["constraints"] if row[0] in qualified} == before["constraints"]
    new_indexes = {row[1] for row in after["indexes"] - before["indexes"] if row[0] in tables}
    assert all(name.startswith("alertd_") for name in new_indexes)
    functions = {row[0] for row in before["functions"]}
    assert {row for row in after["function_grants"] if row[0] in functions} == before["function_grants"]
    new_grants = {row for row in after["grants"] - before["grants"] if row[0] in tables}
    assert {(row[1].startswith("pggit_alertd_"), row[2]) for row in new_grants} == {(True, "SELECT")}
    assert after["event_triggers"] == before["event_triggers"]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("letter", "named"),
    [
        ("c", ["pggit.performance_metrics.metric_id is uuid", "bigint"]),
        ("e", ["pggit.alert_notification_", "another notification system"]),
    ],
)
async def test_tables_that_only_look_like_ours_are_refused(empty_database: str, letter: str, named: list[str]) -> None:
    """A refusal names table, column and type, says what to do, and leaves catalogs and rows exactly as they were."""
    load(empty_database, letter)
    before = picture(empty_database)
    for call in (migrate.up, migrate.plan, migrate.dry_run, migrate.status):
        with pytest.raises(SchemaRefused) as refusal:
            await call(empty_database)
        message = str(refusal.value)
        assert all(part in message for part in named), message
        assert "Nothing was changed." in message
        assert "another database" in message or "PGGIT_ALERTD_DATABASE_URL" in message
    assert picture(empty_database) == before


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE pggit.branches (branch_id serial, branch_name text)", "pggit.performance_metrics doesn't"),
        ("CREATE TABLE pggit.performance_metrics (metric_id bigint)", "pggit.branches doesn't"),
        ("CREATE TABLE pggit.commits (commit_hash text)", "pggit.commits.commit_hash is text"),
        ("CREATE TABLE pggit.alert_outbox (id uuid)", "pggit.alert_outbox.id (uuid)"),
        ("CREATE TABLE pggit.alertd_migration (id integer)", "pggit.alertd_migration.kind is missing"),
        ("CREATE VIEW pggit.branch_ref AS SELECT 1 AS x", "pggit.branch_ref.x is integer"),
        (
            "CREATE FUNCTION pggit.notify_on_alert(p_alert_id bigint) RETURNS text LANGUAGE sql AS 'SELECT NULL'",
            "pggit.notify_on_alert(bigint)",
        ),
        (
            "CREATE FUNCTION pggit.check_performance_baseline(p bigint) RETURNS text LANGUAGE sql AS 'SELECT NULL'",
            "check_performance_baseline",
        ),
    ],
    ids=[
        "branches",
        "metrics",
        "commits",
        "our table",
        "our ledger",
        "our view",
        "our function",
        "a foundation function",
    ],
)
async def test_half_a_schema_is_refused(empty_database: str, statement: str, named: str) -> None:
    """Part of pgGit, or one object under a name of ours, is refused by name and nothing is changed."""
    run(empty_database, "CREATE SCHEMA pggit", statement)
    before = picture(empty_database)
    with pytest.raises(SchemaRefused) as refusal:
        await migrate.up(empty_database)
    assert named in str(refusal.value)
    assert "Nothing was changed." in str(refusal.value)
    assert picture(empty_database) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE pggit.branches RENAME COLUMN branch_id TO code", "pggit.branches.code is integer"),
        (
            "ALTER TABLE pggit.performance_baselines RENAME COLUMN is_active TO live",
            "pggit.performance_baselines.is_active is missing",
        ),
        ("DROP TABLE pggit.merge_performance_metrics", "is missing with its whole table"),
    ],
)
async def test_an_altered_pggit_is_refused(empty_database: str, change: str, named: str) -> None:
    """Weeks 1 and 2 with a column renamed or a table gone are refused, naming what is missing."""
    load(empty_database, "b")
    run(empty_database, change)
    with pytest.raises(SchemaRefused) as refusal:
        await migrate.up(empty_database)
    assert named in str(refusal.value)


async def test_an_empty_schema_is_an_empty_database(empty_database: str) -> None:
    """A schema pggit with nothing in it gets the foundation, as if it weren't there."""
    run(empty_database, "CREATE SCHEMA pggit")
    assert (await migrate.up(empty_database)).kind is Kind.EMPTY


async def test_installed_tables_that_vanished_are_not_made_anew(empty_database: str) -> None:
    """If pgGit's tables are dropped behind our back, up says so instead of hiding the loss under empty tables."""
    load(empty_database, "b")
    await migrate.up(empty_database)
    run(empty_database, "DROP TABLE pggit.branches CASCADE", "DROP TABLE pggit.performance_metrics CASCADE")
    with pytest.raises(SchemaRefused, match=r"are gone"):
        await migrate.up(empty_database)


async def test_a_dialect_that_changes_later_gets_the_other_view(empty_database: str) -> None:
    """When an upgrade of pgGit renames the columns of branches, up puts the other text of branch_ref in place."""
    load(empty_database, "b")
    await migrate.up(empty_database)
    run(
        empty_database,
        "ALTER TABLE pggit.branches RENAME COLUMN branch_id TO id",
        "ALTER TABLE pggit.branches RENAME COLUMN branch_name TO name",
    )
    report = await migrate.up(empty_database)
    assert "views/branch_ref.id.sql" in report.applied
    assert not (await migrate.up(empty_database)).changed


@pytest.mark.parametrize("letter", ["b", "d"])
async def test_event_triggers_version_our_tables(empty_database: str, letter: str) -> None:
    """The event triggers of pgGit run on our DDL: its history knows our tables and functions afterwards."""
    load(empty_database, letter)
    await migrate.up(empty_database)
    versioned = value(empty_database, "SELECT array_agg(object_name) FROM pggit.objects")
    assert "pggit.alert_notification_queue" in versioned
    assert "pggit.branch_ref" in versioned


@pytest.mark.servers
@pytest.mark.parametrize("letter", ["b", "d"])
async def test_writers_need_no_new_grant(empty_database: str, letter: str) -> None:
    """A role with its weeks 1-2 grants alone records metrics and raises alerts as before; it can't read our tables."""
    load(empty_database, letter)
    run(
        empty_database,
        "DROP ROLE IF EXISTS writer_of_metrics",
        "CREATE ROLE writer_of_metrics",
        "GRANT USAGE ON SCHEMA pggit TO writer_of_metrics",
        "GRANT SELECT, INSERT ON pggit.performance_metrics, pggit.performance_alerts TO writer_of_metrics",
        "GRANT SELECT, INSERT, UPDATE ON pggit.performance_baselines TO writer_of_metrics",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA pggit TO writer_of_metrics",
    )
    await migrate.up(empty_database)
    run(
        empty_database,
        "SET ROLE writer_of_metrics",
        "SELECT pggit.record_performance_metric('commit', 1000 + n) FROM generate_series(1, 20) AS n",
        "SELECT pggit.calculate_performance_baseline('commit')",
        "SELECT pggit.record_performance_metric('commit', 9000)",
    )
    assert value(empty_database, "SELECT count(*) FROM pggit.alert_outbox") == 1
    assert value(empty_database, "SELECT user_name FROM pggit.performance_alerts") == "writer_of_metrics"
    for table in ("alert_outbox", "alert_notification_queue", "alert_notification_settings", "alert_notification_log"):
        privileges = "SELECT has_table_privilege('writer_of_metrics', 'pggit.{}', 'SELECT, INSERT, UPDATE, DELETE')"
        assert value(empty_database, privileges.format(table)) is False
    run(empty_database, "DROP OWNED BY writer_of_metrics", "DROP ROLE writer_of_metrics")
