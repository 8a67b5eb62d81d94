"""Conditions: what is wrong with the alerting itself."""

from typing import TYPE_CHECKING, Annotated

import typer

from pggit_alertd.cli.reporting import AsJson, ExitStatus, answer, answering, load_settings, say

if TYPE_CHECKING:
    from pggit_alertd.conditions import Condition
    from pggit_alertd.settings import Settings


def conditions(
    days: Annotated[
        int, typer.Option("--days", help="Also list those that were over in the last days.", min=0, max=3650)
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """List what is wrong with the alerting itself.

    What the last self-check found, with the runbook that says what to do. The status is 1 while anything is wrong.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()
        found = asyncio.run(_load(settings, days))
    there = [each for each in found if each.resolved_at is None]
    if as_json:
        answer({"ok": not there, "conditions": [each.as_json() for each in found]})
    else:
        for each in found:
            say(_line(each))
        say(f"{len(there) or 'no'} condition{'' if len(there) == 1 else 's'}")
    if there:
        raise typer.Exit(ExitStatus.FAILED)


async def _load(settings: "Settings", days: int) -> "list[Condition]":
    """Ask the database. Raises DatabaseError."""
    from pggit_alertd.conditions import Condition
    from pggit_alertd.database.pool import Database, connect

    database = Database(
        settings.database_url.get_secret_value(),
        size=1,
        connect_timeout=settings.database_connect_timeout,
        application="pggit-alertd conditions",
    )
    try:
        # Once by hand, because a pool would only say that it waited.
        await (await connect(database.conninfo)).close()
        await database.open()
        return [Condition.read(row) for row in await database.fetch("conditions", {"days": days})]
    finally:
        await database.close()


def _line(each: "Condition") -> str:
    from pggit_alertd.conditions import Kind

    name = f"{each.kind} {each.subject}".rstrip()
    if each.resolved_at is not None:
        state = f"over since {each.resolved_at:%Y-%m-%d %H:%M} UTC"
    else:
        state = "told" if each.notifications else "nobody was told yet"
    return (
        f"{each.severity:<8} {name}: {each.detail} (since {each.since:%Y-%m-%d %H:%M} UTC, {state}; "
        f"{Kind(each.kind).runbook})"
    )
