"""The filters of `deadletter`, written down once: options that several commands take alike."""

import inspect
import re
from collections.abc import Callable, Collection
from functools import wraps
from typing import Annotated, Any

import typer

from pggit_alertd.model import Reason, Severity

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|min|m|h|d|w)?", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604_800}


def span(value: str) -> float:
    """Return the seconds of a span such as 90s, 30m, 2h or 7d; a bare number is seconds."""
    found = _SPAN.fullmatch(value.strip())
    if found is None:
        raise typer.BadParameter("write a span such as 90s, 30m, 2h, 7d or 1w")
    return float(found[1]) * _UNITS[(found[2] or "s").lower()]


def one_of(known: Collection[str]) -> Callable[[str], str]:
    """Return a parser that takes these words in any case, and no other: a slip of the pen must not read as "none"."""

    def parse(value: str) -> str:
        found = next((word for word in known if word.lower() == value.strip().lower()), None)
        if found is None:
            raise typer.BadParameter(f"there is no {value.strip()[:40]!r}; write one of {', '.join(known)}")
        return found

    return parse


REASONS = (*(reason.value for reason in Reason if reason), "unknown")
Since = typer.Option(parser=span, metavar="SPAN", help="Given up within this time: 90s, 30m, 2h, 7d.")
FILTERS: dict[str, Any] = {
    "since": Annotated[float | None, Since],
    "channel": Annotated[str | None, typer.Option(help="email, slack, pagerduty and so on.")],
    "setting": Annotated[str | None, typer.Option(metavar="ID|NAME", help="The notification setting.")],
    "destination": Annotated[
        str | None, typer.Option(help="The destination's key or masked name; * and ? stand for any text.")
    ],
    "reason": Annotated[
        str | None,
        typer.Option(
            parser=one_of(REASONS), metavar="REASON", help="Why it was given up: expired, auth, client_error and so on."
        ),
    ],
    "severity": Annotated[
        str | None,
        typer.Option(parser=one_of(tuple(Severity)), metavar="LEVEL", help="CRITICAL, WARNING or INFO."),
    ],
    "operation": Annotated[
        str | None, typer.Option(metavar="PATTERN", help="The operation; * and ? stand for any text.")
    ],
}
"""The fields of dead_letters.Filters as options; None is no such filter."""


def takes_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, and hand them over as its one argument `filters`."""

    @wraps(command)
    def filtered(**given: Any) -> None:
        from pggit_alertd.dead_letters import Filters

        command(filters=Filters(**{name: given.pop(name) for name in FILTERS}), **given)

    own = [each for each in inspect.signature(command).parameters.values() if each.name != "filters"]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in FILTERS.items()
    ]
    parameters = [*own, *options]
    filtered.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(filtered)["__signature__"] = inspect.Signature(parameters)
    return filtered
