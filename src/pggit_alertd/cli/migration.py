"""The schema: bring a database up to this release, or show what that would do."""

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pggit_alertd import __version__
from pggit_alertd.cli.reporting import AsJson, answer, answering, complain, load_settings, say

if TYPE_CHECKING:
    from pggit_alertd.database.migrate import Status, UpReport
    from pggit_alertd.database.schema_kind import Kind

_REPLACEABLE = ("functions", "views")
"""Folders whose files are applied again whenever they change; dozens of names that tell nobody anything."""
_EXPECTED = re.compile(r"NOTICE: .* does not exist, skipping")
"""What PostgreSQL says to DROP ... IF EXISTS where there is nothing to drop."""


class Action(StrEnum):
    """What to do with the schema."""

    UP = "up"
    STATUS = "status"
    DOWN = "down"


def migrate(
    action: Annotated[
        Action,
        typer.Argument(
            help="`up` applies what is missing, `status` lists what is and is not applied, `down` takes our functions, "
            "triggers and views away and keeps all data."
        ),
    ] = Action.UP,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="With `up` or `down`: print the SQL that would run, fit for psql, and change nothing."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With `up`: name every function and view, and print every notice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the schema to this release.

    In one transaction; run twice it changes nothing. Connects as PGGIT_ALERTD_DATABASE_URL says; the role must own
    schema pggit, or may create it.
    """
    import asyncio

    if dry_run and action is Action.STATUS:
        raise typer.BadParameter("goes with `up` and `down` only", param_hint="--dry-run")
    with answering(as_json=as_json):
        dsn = load_settings().database_url.get_secret_value()

        from pggit_alertd.database import migrate as schema

        if action is Action.STATUS:
            _tell_status(asyncio.run(schema.status(dsn)), as_json=as_json)
        elif action is Action.DOWN:
            _tell_down(asyncio.run(schema.dry_down(dsn) if dry_run else _withdrawn(dsn)), as_json=as_json)
        elif dry_run:
            asyncio.run(_rehearse(dsn, as_json=as_json))
        else:
            _tell_report(asyncio.run(schema.up(dsn)), as_json=as_json, verbose=verbose)


async def _withdrawn(dsn: str) -> Sequence[str]:
    from pggit_alertd.database import migrate as schema

    return await schema.down(dsn)


def _tell_down(done: "str | Sequence[str]", *, as_json: bool) -> None:
    """Print the SQL of a rehearsal, or what was taken away."""
    if isinstance(done, str):
        if as_json:
            answer({"ok": True, "release": __version__, "sql": done})
        else:
            typer.echo(done, nl=False)
    elif as_json:
        answer({"ok": True, "release": __version__, "changed": bool(done), "dropped": done})
    elif done:
        for each in done:
            say(f"  dropped {each}")
        say("Tables, rows and roles are kept; `pggit-alertd migrate up` puts the rest back.")
    else:
        say("Nothing to do: our functions and views are not installed.")


async def _rehearse(dsn: str, *, as_json: bool) -> None:
    from pggit_alertd.database import migrate as schema

    text = await schema.dry_run(dsn)
    if not as_json:
        typer.echo(text, nl=False)
        return
    plan = await schema.plan(dsn)
    due = [script.path for script in plan.due]
    answer({"ok": True, "release": __version__, "found": plan.kind.value, "pending": due, "sql": text})


def _tell_report(report: "UpReport", *, as_json: bool, verbose: bool) -> None:
    if as_json:
        answer(
            {
                "ok": True,
                "release": __version__,
                "found": report.kind.value,
                "changed": report.changed,
                "applied": report.applied,
                "notices": report.notices,
            }
        )
        return
    say(f"Found {_words(report.kind)}.")
    folders = Counter(path.partition("/")[0] for path in report.applied)
    for path in report.applied:
        if verbose or path.partition("/")[0] not in _REPLACEABLE:
            say(f"  applied sql/{path}")
    replaced = [_counted(folders[folder], folder) for folder in _REPLACEABLE if folders[folder]]
    if replaced and not verbose:
        say(f"  applied {' and '.join(replaced)}; --verbose names them")
    for notice in report.notices:
        if verbose or not _EXPECTED.fullmatch(notice):
            complain(notice)
    say(report.summary() if report.changed else f"Nothing to do. {report.summary()}")


def _counted(count: int, folder: str) -> str:
    """Return how many of a folder's files there are: 1 view, 70 functions."""
    return f"{count} {folder if count != 1 else folder.removesuffix('s')}"


def _tell_status(status: "Status", *, as_json: bool) -> None:
    if as_json:
        files = [
            {
                "kind": entry.kind,
                "name": entry.name,
                "state": entry.state,
                "release": entry.release,
                "applied_at": entry.applied_at,
            }
            for entry in status.entries
        ]
        answer(
            {
                "ok": True,
                "release": __version__,
                "found": status.kind.value,
                "up_to_date": status.up_to_date,
                "files": files,
            }
        )
        return
    say(f"Found {_words(status.kind)}.")
    for entry in status.entries:
        when = f"  {entry.applied_at[:19]} by release {entry.release}" if entry.applied_at else ""
        say(f"  {entry.state:<8} {entry.kind:<10} {entry.name}{when}")
    waiting = sum(entry.state in {"pending", "changed"} for entry in status.entries)
    if waiting:
        say(f"{waiting} of {len(status.entries)} files wait for `pggit-alertd migrate up`.")
    else:
        say(f"Nothing to do: the schema is that of release {__version__}.")


def _words(kind: "Kind") -> str:
    """Return what was found, for people."""
    return {
        "empty": "a database without pgGit's tables",
        "branch_id": "pgGit's tables, with branches(branch_id, branch_name)",
        "id": "pgGit's tables, with branches(id, name)",
    }[kind.value]
