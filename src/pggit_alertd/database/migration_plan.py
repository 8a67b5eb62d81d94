"""What a database holds and what `migrate up` would therefore do to it: reads catalogs and ledger, changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from pggit_alertd import __version__
from pggit_alertd.database import queries
from pggit_alertd.database.migrations import FOUND, Applied, Release, Script, ScriptKind, downgrades, pending
from pggit_alertd.database.schema_kind import Columns, Kind, detect, has_ledger
from pggit_alertd.errors import SchemaTooNew


@dataclass(frozen=True)
class Step:
    """One file to run, and the rows of the ledger that remember it."""

    path: str
    text: str
    rows: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Plan:
    """What `up` would do here: `due` of all `scripts`, given what the `ledger` says is applied."""

    kind: Kind
    due: tuple[Script, ...]
    scripts: tuple[Script, ...]
    ledger: tuple[Applied, ...]
    steps: tuple[Step, ...]


async def survey(connection: AsyncConnection[Any], release: Release) -> Plan:
    """Look at the catalogs and the ledger, and decide. Raises SchemaError, and psycopg.Error as it comes."""
    columns = await _read_columns(connection)
    ledger = await read_ledger(connection) if has_ledger(columns) else ()
    routines: Mapping[str, str] = dict(await rows(connection, "migration_routines"))
    kind = detect(columns, release, routines, installed=bool(ledger))
    found = any(row.checksum == FOUND for row in ledger)
    ours = kind is Kind.EMPTY or (bool(ledger) and not found)
    scripts = release.scripts(kind.branch_key, foundation=ours)
    due = pending(scripts, ledger, absent=_dropped_views(release, columns))
    newer = downgrades(due, ledger, __version__)
    if newer:
        raise SchemaTooNew(
            f"sql/{newer[0].path} was applied by a newer release than this one ({__version__}), and ours would "
            "undo its work. Upgrade this program. Nothing was changed."
        )
    # Grants name functions and tables, so whatever was applied, roles.sql follows.
    if due or (await rows(connection, "migration_roles_due"))[0][0]:
        due = (*(script for script in due if script.kind is not ScriptKind.ROLES), *release.roles)
    steps = _steps(due, kind, release, first=not ledger, ledger_exists=has_ledger(columns))
    return Plan(kind=kind, due=due, scripts=scripts, ledger=ledger, steps=steps)


async def read_ledger(connection: AsyncConnection[Any]) -> tuple[Applied, ...]:
    """Return what is applied, from a ledger that exists."""
    known = {kind.value for kind in ScriptKind}
    applied: list[Applied] = []
    for kind, name, checksum, release, applied_at in await rows(connection, "migration_ledger"):
        if kind not in known:
            raise SchemaTooNew(
                f"pggit.alertd_migration has a row of kind {kind!r}, written by release {release}, which this program "
                f"doesn't know. Install pggit-alertd {release} or later. Nothing was changed."
            )
        applied.append(Applied(ScriptKind(kind), name, checksum, release, applied_at))
    return tuple(applied)


def _dropped_views(release: Release, columns: Columns) -> frozenset[str]:
    """Return the views of this release that are not there: not applied yet, or dropped on purpose to hide them."""
    return frozenset(view for view in release.view_names() if view not in columns)


async def run(connection: AsyncConnection[Any], query: str, parameters: Mapping[str, str] | None = None) -> None:
    """Run a named query for its effect."""
    await connection.execute(queries.load(query).encode(), parameters or {})


async def rows(connection: AsyncConnection[Any], query: str) -> list[Any]:
    """Run a named query without parameters and return its rows."""
    cursor = await connection.execute(queries.load(query).encode(), {})
    return await cursor.fetchall()


async def _read_columns(connection: AsyncConnection[Any]) -> Columns:
    columns: dict[str, dict[str, str]] = {}
    for relation, attribute, type_name in await rows(connection, "migration_columns"):
        columns.setdefault(relation, {})[attribute] = type_name
    return columns


def _steps(
    due: tuple[Script, ...], kind: Kind, release: Release, *, first: bool, ledger_exists: bool
) -> tuple[Step, ...]:
    """Return the files in order, each followed by its row in the ledger.

    The first time, the ledger's own table comes between the foundation, which makes the schema, and the rest; the
    foundation's rows follow it, or the one row which says that pgGit's own tables were found.
    """
    if not due:
        return ()
    if not first:
        return tuple(Step(script.path, script.text, (_row(script),)) for script in due)
    foundation = [script for script in due if script.kind is ScriptKind.FOUNDATION]
    rest = [script for script in due if script.kind is not ScriptKind.FOUNDATION]
    found = {"kind": "foundation", "name": kind.value, "checksum": FOUND, "release": __version__}
    ledger = Step(
        path="ledger.sql",
        text="" if ledger_exists else release.ledger,
        rows=tuple(_row(script) for script in foundation) if kind is Kind.EMPTY else (found,),
    )
    return (
        *(Step(script.path, script.text, ()) for script in foundation),
        ledger,
        *(Step(script.path, script.text, (_row(script),)) for script in rest),
    )


def _row(script: Script) -> Mapping[str, str]:
    return {"kind": script.kind.value, "name": script.name, "checksum": script.checksum, "release": __version__}
