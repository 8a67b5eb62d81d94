"""plpgsql bodies are only looked at when they run; plpgsql_check looks at every path of every function."""

from pathlib import Path

import psycopg
import pytest

from conftest import Cluster

EXTENSION = Path("/usr/share/postgresql/15/extension/plpgsql_check.control")
TRIGGERS = """
SELECT DISTINCT t.tgfoid::regprocedure::text, t.tgrelid::regclass::text, t.tgoldtable::text, t.tgnewtable::text
FROM pg_trigger AS t INNER JOIN pg_proc AS p ON t.tgfoid = p.oid
WHERE p.pronamespace = 'pggit'::regnamespace AND NOT t.tgisinternal AND t.tgparentid = 0
"""
FUNCTIONS = """
SELECT p.oid::regprocedure::text, '0', NULL, NULL
FROM pg_proc AS p INNER JOIN pg_language AS l ON p.prolang = l.oid
INNER JOIN pggit.alertd_migration AS m ON p.proname = m.name AND m.kind = 'function'
WHERE p.pronamespace = 'pggit'::regnamespace AND l.lanname = 'plpgsql' AND p.prorettype <> 'trigger'::regtype
"""
CHECK = """
SELECT c.level, c.sqlstate, c.lineno, c.message, c.detail
FROM plpgsql_check_function_tb(
    %s::regprocedure, %s::regclass, oldtable => %s::text, newtable => %s::text,
    fatal_errors => FALSE, performance_warnings => FALSE, extra_warnings => TRUE
) AS c
"""


@pytest.mark.skipif(not EXTENSION.exists(), reason="this machine has no plpgsql_check for PostgreSQL 15")
def test_every_function_is_clean(clusters: dict[str, Cluster]) -> None:
    """No function of ours has an error or a warning: no unknown name, no unused variable, no value lost in a cast."""
    if "15" not in clusters:
        clusters["15"] = Cluster("15")
    server = clusters["15"]
    database = server.server.dsn(server.create(server.template()))
    found: dict[str, set[tuple[object, ...]]] = {}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION plpgsql_check")
        ours = connection.execute(FUNCTIONS).fetchall() + connection.execute(TRIGGERS).fetchall()
        assert len(ours) > 60
        for name, *where in ours:
            said = {tuple(row) for row in connection.execute(CHECK, (name, *where)).fetchall()}
            # A trigger function that looks at TG_OP is right if each statement of it is for one of its triggers.
            found[name] = found.get(name, said) & said
    assert {name: said for name, said in found.items() if said} == {}
