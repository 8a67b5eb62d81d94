"""Databases of every kind, and a picture of what is in one that two moments can be compared by."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

KINDS = Path(__file__).parent / "kinds"

_B = ("b_branch_id.sql", "performance.sql", "b_operations.sql", "versioning.sql")
SCRIPTS = {
    "b": _B,
    "c": ("c_uuid.sql",),
    "d": ("d_id.sql", "performance.sql", "d_operations.sql", "versioning.sql"),
    "e": (*_B, "e_foreign.sql"),
}

_PICTURE = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = to_regnamespace('pggit') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = to_regnamespace('pggit')
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'pggit'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'pggit'",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('pggit'))
    """,
    "functions": """
        SELECT p.oid::regprocedure::text, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), prosrc,
            prosecdef, provolatile, proconfig::text
        FROM pg_proc AS p WHERE pronamespace = to_regnamespace('pggit')
    """,
    "grants": """
        SELECT c.relname, g.grantee::regrole::text, g.privilege_type, g.is_grantable
        FROM pg_class AS c
        CROSS JOIN aclexplode(
            coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
        ) AS g
        WHERE c.relnamespace = to_regnamespace('pggit') AND c.relkind IN ('r', 'p', 'v', 'S')
    """,
    "function_grants": """
        SELECT p.oid::regprocedure::text, g.grantee::regrole::text, g.privilege_type
        FROM pg_proc AS p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS g
        WHERE p.pronamespace = to_regnamespace('pggit')
    """,
    "schemas": "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname = 'pggit'",
    "event_triggers": "SELECT evtname, evtevent, evtenabled::text FROM pg_event_trigger",
}

_TABLES = b"SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('pggit') AND relkind = 'r'"
_ROWS = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t")

Picture = dict[str, set[tuple[Any, ...]]]


def load(dsn: str, kind: str) -> None:
    """Turn the empty database into one of the given kind."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in SCRIPTS[kind]:
            connection.execute((KINDS / name).read_bytes())


def picture(dsn: str) -> Picture:
    """Return everything the catalogs and the tables of schema pggit hold, part by part."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        parts: Picture = {part: set(connection.execute(query.encode()).fetchall()) for part, query in _PICTURE.items()}
        parts["rows"] = {
            (table, row)
            for (table,) in connection.execute(_TABLES).fetchall()
            for (row,) in connection.execute(_ROWS.format(sql.Identifier("pggit", table))).fetchall()
        }
        return parts


def run(dsn: str, *statements: str) -> None:
    """Run statements in one session, each in a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def value(dsn: str, statement: str) -> Any:
    """Return the first column of the first row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]
