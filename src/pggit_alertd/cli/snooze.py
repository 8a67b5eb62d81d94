"""Windows that mute notifications: make one, list them, end one."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pggit_alertd.cli.reporting import EPILOG, AsJson, answer, answering, load_settings, say

if TYPE_CHECKING:
    from pggit_alertd.snooze_requests import Window

app = typer.Typer(
    help="Mute notifications for a while: once, or again and again.\n\n"
    "What still fires when a window ends is sent then. Needs a role with pggit_alertd_operator; list only a reader's.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=EPILOG,
)

Text = str | None


@app.command("add", epilog=EPILOG)
def add(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; for those who wonder why nobody was told.")],
    length: Annotated[
        Text, typer.Option("--for", metavar="LENGTH", help="How long, from now or --from: 90m, 2h.")
    ] = None,
    starts: Annotated[Text, typer.Option("--from", metavar="TIME", help="When it starts; now if left out.")] = None,
    ends: Annotated[Text, typer.Option("--to", metavar="TIME", help="When it ends, instead of --for.")] = None,
    cron: Annotated[Text, typer.Option("--cron", help="When it starts again and again: '0 2 * * 0'.")] = None,
    duration: Annotated[Text, typer.Option("--duration", metavar="LENGTH", help="How long, with --cron.")] = None,
    timezone: Annotated[
        Text, typer.Option("--timezone", metavar="ZONE", help="Zone of --cron, and of times without offset; UTC.")
    ] = None,
    operation: Annotated[Text, typer.Option("--operation", metavar="GLOB", help="Operations: 'merge*'; all.")] = None,
    alert_type: Annotated[Text, typer.Option("--type", metavar="TYPE", help="ANOMALY, DEGRADATION, …; all.")] = None,
    severity: Annotated[Text, typer.Option("--severity", help="CRITICAL, WARNING or INFO; all.")] = None,
    setting: Annotated[
        int | None, typer.Option("--setting", metavar="ID", help="One notification setting; all.")
    ] = None,
    channel: Annotated[Text, typer.Option("--channel", help="One channel: slack; all.")] = None,
    spare_critical: Annotated[bool, typer.Option("--spare-critical", help="Go on telling of CRITICAL alerts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Mute notifications in a window.

    CRITICAL alerts are muted too, unless --spare-critical says otherwise. What is muted is in the delivery log, and
    what still fires at the end is sent then.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd import snooze_requests

        options = {
            "for": length,
            "from": starts,
            "to": ends,
            "cron": cron,
            "duration": duration,
            "timezone": timezone,
            "operation": operation,
            "type": alert_type,
            "severity": severity,
            "channel": channel,
        }
        request = snooze_requests.read(options, reason=reason, setting_id=setting, mutes_critical=not spare_critical)
        made = asyncio.run(snooze_requests.add(settings, request))
    if as_json:
        following = [{"starts_at": _shown(start), "ends_at": _shown(end)} for start, end in made.following]
        answer({"ok": True, "snooze": made.window.content(), "following": following, "notes": made.notes})
        return
    say(f"window {made.window.snooze_id}: mutes {made.window.scope}")
    for start, end in made.following or ((made.window.starts_at, made.window.ends_at),):
        say(f"  from {_shown(start)} to {_shown(end)}")
    for note in made.notes:
        say(f"note: {note}")


@app.command("list", epilog=EPILOG)
def listed(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over or were cancelled.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the windows that are open or to come, with the time they have left."""
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd import snooze_requests

        windows = asyncio.run(snooze_requests.listed(settings, everything=everything))
    if as_json:
        answer({"ok": True, "snoozes": [window.content() for window in windows]})
        return
    if not windows:
        say("no window; everything is told")
    for window in windows:
        say(f"{window.snooze_id:>5}  {_when(window)}  mutes {window.scope}: {window.reason} ({window.created_by})")
        if window.muted:
            critical = f", {window.muted_critical} of them CRITICAL" if window.muted_critical else ""
            say(f"       {window.muted} muted so far{critical}; what still fires is sent at the end")
        if window.problem:
            say(f"       can't be used: {window.problem}; cancel it and add another")


@app.command("cancel", epilog=EPILOG)
def cancel(
    snooze_id: Annotated[int, typer.Argument(metavar="ID", help="The window's number.")],
    reason: Annotated[Text, typer.Option("--reason", help="Why.")] = None,
    as_json: AsJson = False,
) -> None:
    """End a window now, a recurring one for good. What it muted and still fires is sent within seconds."""
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd import snooze_requests

        window = asyncio.run(snooze_requests.cancel(settings, snooze_id, reason))
    if as_json:
        answer({"ok": True, "snooze": window.content()})
        return
    say(f"window {window.snooze_id} is cancelled; {window.muted} muted so far")


def _when(window: "Window") -> str:
    """Return the state and the times, in one phrase."""
    again = "" if window.schedule is None else f"{window.schedule!r} {window.time_zone}, "
    match window.state:
        case "active":
            return f"{again}open until {_shown(window.ends_at)}, {_left(window.left_seconds or 0.0)} left,"
        case "pending":
            return f"{again}from {_shown(window.starts_at)} to {_shown(window.ends_at)},"
        case "cancelled":
            return f"{again}cancelled by {window.cancelled_by} at {_shown(window.cancelled_at)},"
        case "unknown":
            return f"{again}not worked out yet,"
    return f"{again}over since {_shown(window.ends_at)},"


def _left(seconds: float) -> str:
    """Return how long that is, in the two largest units."""
    minutes = max(round(seconds / 60), 1)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {rest}m" if hours else f"{rest}m"


def _shown(instant: datetime | None) -> str:
    return "?" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
