"""What tests of plans do with statements at 100,000 rows: fill a database, run them in either mode, read the plan."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

MODES = ("force_custom_plan", "force_generic_plan")
Database = psycopg.Connection[tuple[Any, ...]]
Node = dict[str, Any]


@contextmanager
def filled(server: Any, *statements: str, parameters: dict[str, Any] | None = None) -> Iterator[Database]:
    """Lend a connection to a database of the caller's own, filled by the statements, then vacuumed and analyzed."""
    name = server.create(server.template())
    with psycopg.connect(server.server.dsn(name), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode(), parameters)
        connection.execute("VACUUM ANALYZE")
        yield connection
    server.drop(name)


def nodes(plan: Node) -> Iterator[Node]:
    """Yield every node of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explain(connection: Database, mode: str, statement: str, parameters: dict[str, Any]) -> list[Node]:
    """Run a statement prepared under a plan mode, in a transaction that is rolled back; return its executed nodes."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        cursor = connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode(), parameters, prepare=True
        )
        found = cursor.fetchall()[0][0][0]["Plan"]
    return list(nodes(found))


def explain_prepared(connection: Database, mode: str, statement: str, parameters: dict[str, Any]) -> list[Node]:
    """Explain what EXECUTE runs: EXPLAIN with parameters of its own plans for their values, whatever the mode."""
    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    prepared = re.sub(r"%\((\w+)\)s", numbered, statement).replace("%%", "%")
    given = sql.SQL(" (") + sql.SQL(", ").join(sql.Literal(parameters[name]) for name in names) + sql.SQL(")")
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        connection.execute(f"PREPARE measured AS {prepared}".encode())
        try:
            cursor = connection.execute(
                sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE measured") + (given if names else sql.SQL(""))
            )
            found = cursor.fetchall()[0][0][0]["Plan"]
        finally:
            connection.execute("DEALLOCATE measured")
    return list(nodes(found))


def explain_inside(
    connection: Database, mode: str, statement: str, parameters: dict[str, Any]
) -> tuple[list[Node], int]:
    """Run a statement that calls functions; return the executed nodes of what they ran inside, and the rows returned.

    The functions choose between plans themselves, so the mode is also put in the place of their own setting.
    """
    plans: list[Node] = []

    def collect(notice: psycopg.errors.Diagnostic) -> None:
        text = notice.message_primary or ""
        if "plan:" in text:
            plans.extend(nodes(json.loads(text[text.index("{") :])["Plan"]))

    with connection.transaction(force_rollback=True):
        for name in ("claim_notifications", "gather_digests", "alert_escalation_due"):
            connection.execute(
                sql.SQL(
                    "DO $$ BEGIN EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = {}', "
                    "(SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.proname = {})); END $$"
                ).format(sql.SQL(mode), sql.Literal(name))
            )
        connection.execute("LOAD 'auto_explain'")
        for setting in ("min_duration = 0", "analyze = on", "buffers = on", "nested_statements = on", "format = json"):
            connection.execute(f"SET LOCAL auto_explain.log_{setting}".encode())
        connection.execute("SET LOCAL client_min_messages = log")
        connection.add_notice_handler(collect)
        try:
            rows = connection.execute(statement.encode(), parameters).fetchall()
        finally:
            connection.remove_notice_handler(collect)
    return plans, len(rows)


def blocks(plan: list[Node]) -> int:
    """Return how many blocks the statement touched."""
    return int(plan[0]["Shared Hit Blocks"] + plan[0]["Shared Read Blocks"])


def scans(plan: list[Node], relation: str) -> dict[str, int]:
    """Return rows read from a relation per index (or the kind of scan), counting those a filter threw away."""
    found: dict[str, int] = {}
    for node in plan:
        named = node.get("Relation Name") == relation or str(node.get("Index Name", "")).startswith(relation)
        if named and "Scan" in node["Node Type"]:
            thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows = (node["Actual Rows"] + thrown) * node["Actual Loops"]
            key = str(node.get("Index Name", node["Node Type"]))
            found[key] = found.get(key, 0) + round(rows)
    return found
