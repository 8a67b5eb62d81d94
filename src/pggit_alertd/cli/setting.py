"""Notification settings: who changed which, and when."""

from typing import Annotated, Any

import typer

from pggit_alertd.cli.reporting import EPILOG, AsJson, answer, answering, load_settings, say
from pggit_alertd.cli.times import moment

app = typer.Typer(help="Notification settings: who changed them.", no_args_is_help=True, rich_markup_mode=None)

LARGEST_SETTING = 2**31 - 1
COLUMNS = (
    "audit_id",
    "changed_at",
    "setting_id",
    "action",
    "session_user",
    "current_user",
    "application_name",
    "changed",
    "before",
    "after",
    "age",
)


@app.callback()
def _noun() -> None:
    """Keep `history` a word of its own."""


@app.command(epilog=EPILOG)
def history(
    setting_id: Annotated[
        int | None, typer.Argument(metavar="[ID]", min=1, max=LARGEST_SETTING, help="One setting; without, all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many changes at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List changes of notification settings, newest first.

    Who, when, from where and what; of secrets only that they changed.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd.database.visit import visiting

        async def ask() -> list[dict[str, Any]]:
            async with visiting(settings, "pggit-alertd settings") as database:
                rows = await database.fetch("settings_history", {"setting_id": setting_id, "limit": limit})
                return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

        changes = asyncio.run(ask())
    if as_json:
        answer({"ok": True, "changes": changes})
        return
    for change in changes:
        say(_line(change))
    if not changes:
        say("No change is on record." if setting_id is None else f"No change of setting {setting_id} is on record.")


def _line(change: dict[str, Any]) -> str:
    acted = change["current_user"]
    who = change["session_user"] + (f" as {acted}" if acted != change["session_user"] else "")
    source = f" ({change['application_name']})" if change["application_name"] else ""
    what = f"setting {change['setting_id']}" if change["setting_id"] is not None else "settings"
    line = f"{moment(change['changed_at'], change['age'])}  {what} {change['action']} by {who}{source}"
    before, after = change["before"] or {}, change["after"] or {}
    if change["action"] == "UPDATE":
        parts = [
            f"{name}: {before[name]} -> {after[name]}" if before.get(name) != after.get(name) else name
            for name in change["changed"]
        ]
        return f"{line}: {', '.join(parts)}"
    if change["action"] == "ERASE":
        return f"{line}: an address was erased; rows touched: {after}"
    kept = after or before
    if kept:
        line += f": {kept['notification_channel']} to {kept['recipient']}, {kept['alert_type']} {kept['severity']}"
    return line
