"""The command line. Each module holds the commands of one noun; what they do is done elsewhere.

Help is plain text: no markup is interpreted, so nothing that comes from data can inject any, and nothing slow is
imported for it. Commands import what they need when they run.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from pggit_alertd import __version__
from pggit_alertd.cli import (
    backtest,
    condition,
    configuration,
    daemon,
    deadletter,
    demonstration,
    explanation,
    migration,
    notification,
    reporting,
    setting,
    snooze,
)
from pggit_alertd.errors import AlertdError

__all__ = ["main"]

app = typer.Typer(
    name=reporting.PROGRAM,
    help="Delivers pgGit performance alerts from PostgreSQL to email, Slack and PagerDuty.\n\n"
    f"Settings come from the environment; `{reporting.PROGRAM} config` lists them.",
    epilog=reporting.EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        reporting.say(f"{reporting.PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command("run", epilog=reporting.EPILOG)(daemon.run)
app.command("migrate", epilog=reporting.EPILOG)(migration.migrate)
app.command("check", epilog=reporting.EPILOG)(configuration.check)
app.command("config", epilog=reporting.EPILOG)(configuration.config)
app.command("send-test", epilog=reporting.EPILOG)(notification.send_test)
app.command("explain", epilog=reporting.EPILOG)(explanation.explain)
app.command("backtest", epilog=reporting.EPILOG)(backtest.backtest)
app.add_typer(deadletter.app, name="deadletter")
app.add_typer(setting.app, name="settings")
app.command("conditions", epilog=reporting.EPILOG)(condition.conditions)
app.add_typer(snooze.app, name="snooze")
app.command("healthcheck", epilog=reporting.EPILOG)(daemon.healthcheck)
app.command("demo", epilog=reporting.EPILOG)(demonstration.demo)
app.command("version", epilog=reporting.EPILOG)(configuration.version)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit status; what people see is never a traceback of ours."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        typer.main.get_command(app).main(args=arguments, prog_name=reporting.PROGRAM)
    except AlertdError as error:
        status = reporting.failed(error)
    except Exception as error:  # noqa: BLE001 - the process's edge: shown with every secret masked
        status = reporting.crashed(error)
    sys.exit(status)
