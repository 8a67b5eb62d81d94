"""What the program runs with: its settings, its surroundings, its version."""

from typing import Annotated

import typer

from pggit_alertd import __version__
from pggit_alertd.cli.reporting import (
    AsJson,
    ExitStatus,
    answer,
    answering,
    complain,
    exit_status,
    load_settings,
    say,
)


def config(as_json: AsJson = False) -> None:
    """Print the settings in force.

    Each with where it comes from: default, environment, or the file that was named. Secrets are masked. What the
    daemon would refuse at its start is refused here.
    """
    from pggit_alertd import channels
    from pggit_alertd.channel_options import channel_options

    with answering(as_json=as_json):
        settings = load_settings()
        channels.build(channel_options(settings))
    rows = settings.effective()
    if as_json:
        listed = [{"variable": row.variable, "value": row.value, "origin": row.origin} for row in rows]
        answer({"ok": True, "settings": listed, "warnings": settings.warnings})
        return
    widths = [max(len(row.variable) for row in rows), max(len(row.value) for row in rows)]
    for row in rows:
        say(f"{row.variable:<{widths[0]}}  {row.value:<{widths[1]}}  {row.origin}")
    for warning in settings.warnings:
        complain(f"warning: {warning}")


def check(
    no_destinations: Annotated[
        bool, typer.Option("--no-destinations", help="Connect to no mail server and no receiver.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at all that the daemon depends on.

    Changes nothing and tells nobody anything: settings, connection, server, pooler, schema, privileges, time zones,
    clocks, LISTEN, jobs, notification settings, mail server and receivers. A warning doesn't fail the check.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

    from pggit_alertd.checks import Status, run_checks

    found = asyncio.run(run_checks(settings, destinations=not no_destinations))
    failures = [each for each in found if each.status is Status.FAILED]
    if as_json:
        rows = [{"name": each.name, "status": each.status.value, "message": each.message} for each in found]
        answer({"ok": not failures, "checks": rows})
    else:
        for each in found:
            shown = each.status.value.upper() if each.status is Status.FAILED else each.status.value
            say(f"{shown:<8} {each.name}: {each.message}")
        counts = ((status.value, sum(each.status is status for each in found)) for status in Status)
        say(", ".join(f"{count} {name}" for name, count in counts if count))
    if failures:
        first = next((each.error for each in failures if each.error is not None), None)
        raise typer.Exit(ExitStatus.FAILED if first is None else exit_status(first))


def version() -> None:
    """Print the version."""
    say(f"pggit-alertd {__version__}")
