"""What the command line says and how it ends: exit statuses, errors as plain lines, JSON for programs.

Nothing here imports more than it must, because `healthcheck` starts every ten seconds.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pggit_alertd.errors import (
    AlertdError,
    BacktestRefused,
    DatabaseRefused,
    DatabaseUnavailable,
    DestinationError,
    LabelRefused,
    SchemaError,
    SettingsError,
    SnoozeRefused,
)

if TYPE_CHECKING:
    from pggit_alertd.settings import Settings

PROGRAM = "pggit-alertd"
LINE_LIMIT = 2000


class ExitStatus(IntEnum):
    """How a command ended; the numbers from 64 up are those of sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    FAULT = 70
    REFUSED = 77
    UNUSABLE = 78


# \b keeps the lines apart that belong apart.
EPILOG = """\b
Exit status:
   0  done, and all is well
   1  the operation failed, or a check did that is none of those below
   2  the command line can't be understood
  69  the database or the daemon can't be reached
  70  a fault of this program
  77  the database said no: password, role or privilege
  78  the settings, the notification setting or the schema can't be used
"""

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on standard output.")]


def exit_status(error: AlertdError) -> ExitStatus:
    """Return the exit status that tells what kind of error this is."""
    match error:
        case SettingsError() | SchemaError() | DestinationError():
            return ExitStatus.UNUSABLE
        case DatabaseUnavailable():
            return ExitStatus.UNAVAILABLE
        case DatabaseRefused():
            return ExitStatus.REFUSED
        case SnoozeRefused() | LabelRefused() | BacktestRefused():
            return ExitStatus.USAGE
    return ExitStatus.FAILED


def say(line: str = "") -> None:
    """Print a line of the answer. What data holds can't move the cursor or forge another line."""
    typer.echo(plain(line))


def complain(line: str) -> None:
    """Print a line for people to standard error, which leaves the answer clean."""
    typer.echo(plain(line), err=True)


def plain(line: str) -> str:
    """Return the line without characters that act on a terminal."""
    return "".join(char if char.isprintable() else " " for char in line)


def answer(content: Mapping[str, Any]) -> None:
    """Print one JSON object. ASCII, so that no terminal and no locale can spoil it."""
    typer.echo(json.dumps(content, indent=2, default=str))


@contextmanager
def answering(*, as_json: bool) -> Iterator[None]:
    """Let a program that asked for JSON have its object also when the command fails."""
    try:
        yield
    except AlertdError as error:
        if as_json:
            status = int(exit_status(error))
            answer({"ok": False, "error": {"kind": type(error).__name__, "message": str(error), "exit_status": status}})
        raise


def missing(message: str, *, as_json: bool) -> NoReturn:
    """End because what was asked for isn't there, with a sentence that says so."""
    if as_json:
        status = int(ExitStatus.FAILED)
        answer({"ok": False, "error": {"kind": "NotFound", "message": message, "exit_status": status}})
    else:
        complain(message)
    raise typer.Exit(ExitStatus.FAILED)


def failed(error: AlertdError) -> ExitStatus:
    """Print an error line by line and return the exit status."""
    first, *rest = str(error).splitlines() or [type(error).__name__]
    complain(f"{PROGRAM}: {first}")
    for line in rest:
        complain(line if line.startswith(" ") else f"{PROGRAM}: {line}")
    return exit_status(error)


def crashed(error: Exception) -> ExitStatus:
    """Print the traceback of an error nobody foresaw, with every secret masked, through the log's own redaction."""
    from pggit_alertd import logs

    if sys.excepthook is sys.__excepthook__:
        logs.configure("WARNING", "console")
    sys.excepthook(type(error), error, error.__traceback__)
    return ExitStatus.FAULT


def load_settings() -> "Settings":
    """Return the settings, with the log set up to mask what they hold. Raises SettingsError.

    Commands speak for themselves; only what libraries warn of goes to standard error.
    """
    from pggit_alertd import logs
    from pggit_alertd.settings import Settings

    settings = Settings.load()
    logs.configure("ERROR", "console", secrets=settings.secret_values())
    return settings
