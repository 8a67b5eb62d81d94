"""Answers to "why": of an alert, and of a notification setting."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pggit_alertd.cli.reporting import AsJson, answer, answering, load_settings, missing, say
from pggit_alertd.cli.times import moment

if TYPE_CHECKING:
    from pggit_alertd.explanation import Line

LARGEST_ID = 2**63 - 1
MOST_OTHERS = 20
"""How many settings that don't match are named; --json has all."""


def explain(
    alert_id: Annotated[int, typer.Argument(metavar="ALERT_ID", min=1, max=LARGEST_ID, help="A pgGit alert.")],
    as_json: AsJson = False,
) -> None:
    """Explain what became of an alert.

    When it was raised, which settings match it as they are now and why others don't, what was sent, suppressed or tried
    and what came of it, and what happens next. One line for each, in order, without any secret.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd import explanation
        from pggit_alertd.database.visit import visiting

        async def ask() -> "list[Line]":
            async with visiting(settings, "pggit-alertd explain") as database:
                return await explanation.explain(database, alert_id)

        lines = asyncio.run(ask())
    if not lines:
        missing(
            f"There is no alert {alert_id}, and the delivery log has nothing about one. It may have been removed by "
            "retention, or the number is another database's.",
            as_json=as_json,
        )
    if as_json:
        answer({"ok": True, "alert_id": alert_id, "lines": [asdict(line) for line in lines]})
        return
    say(f"Alert {alert_id}")
    _tell(lines)


def _tell(lines: "Sequence[Line]") -> None:
    others = 0
    for line in lines:
        if line.kind == "setting" and line.sentence.startswith("now does not match"):
            others += 1
            if others > MOST_OTHERS:
                continue
        elif others > MOST_OTHERS:
            say(f"  now  and {others - MOST_OTHERS} more settings that don't match")
            others = 0
        queue = f" [{line.queue_id}]" if line.queue_id is not None else ""
        say(f"  {_when(line)}  {line.subject}{queue}: {line.sentence.removeprefix('now ')}")


def _when(line: "Line") -> str:
    return "next" if line.kind == "next" else moment(line.at, line.age)
