"""Dead letters: list them, show one, send them again, discard them."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pggit_alertd.cli.dead_letter_filters import takes_filters
from pggit_alertd.cli.reporting import (
    EPILOG,
    AsJson,
    ExitStatus,
    answer,
    answering,
    complain,
    load_settings,
    missing,
    plain,
    say,
)
from pggit_alertd.cli.times import moment
from pggit_alertd.errors import AlertdError

if TYPE_CHECKING:
    from pggit_alertd.database.pool import Database
    from pggit_alertd.dead_letters import DeadLetter, Filters, Story, Tally

app = typer.Typer(
    help="Notifications that were given up: list, show, replay, discard.", no_args_is_help=True, rich_markup_mode=None
)

Answer = TypeVar("Answer")

APPLICATION = "pggit-alertd deadletter"
MOST_CAUSES = 10
BAR = 30
LARGEST_ID = 2**63 - 1

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[QUEUE_ID]", min=1, max=LARGEST_ID, help="Numbers from `list`.")
]
All = Annotated[bool, typer.Option("--all", help="All dead letters, or all that match the filters.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@app.command("list", epilog=EPILOG)
@takes_filters
def list_(
    *,
    filters: "Filters",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first.

    These are notifications that were given up, by the receiver's refusal or because their time ran out, and that nobody
    has replayed or discarded since.
    """
    from pggit_alertd import dead_letters

    # One more than is shown tells whether there are more.
    found = _run(lambda database: dead_letters.find(database, filters, limit + 1), as_json=as_json)
    more = len(found) > limit
    if as_json:
        answer({"ok": True, "more": more, "dead_letters": [asdict(each) for each in found[:limit]]})
        return
    for each in found[:limit]:
        say(_line(each))
    if not found:
        say("There is no dead letter." if not filters.given else "No dead letter matches.")
    elif more:
        say(f"... and more; --limit {limit} was reached.")


@app.command(epilog=EPILOG)
def show(
    queue_id: Annotated[int, typer.Argument(metavar="QUEUE_ID", min=1, max=LARGEST_ID, help="A number from `list`.")],
    as_json: AsJson = False,
) -> None:
    """Show one notification with every attempt, in order, and what happens next."""
    from pggit_alertd import dead_letters

    story = _run(lambda database: dead_letters.show(database, queue_id), as_json=as_json)
    if story is None:
        missing(f"There is no notification {queue_id}; retention may have removed it.", as_json=as_json)
    if as_json:
        answer({"ok": True, "notification": asdict(story)})
    else:
        _tell(story)


@app.command(epilog=EPILOG)
@takes_filters
def replay(
    *,
    queue_ids: Numbers = None,
    everything: All = False,
    filters: "Filters",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, with a whole new horizon.

    Mend the cause first. Needs a login with the role pggit_alertd_operator; the delivery log keeps its name.
    """
    from pggit_alertd import dead_letters

    _choose(queue_ids, filters, everything=everything)
    tally = _run(
        lambda database: _work(
            database,
            queue_ids,
            filters,
            lambda numbers: dead_letters.replay(database, numbers),
            question=None if yes or not everything else "Send {} again?",
            as_json=as_json,
        ),
        as_json=as_json,
    )
    _report(tally, "replayed", as_json=as_json)


@app.command(epilog=EPILOG)
@takes_filters
def discard(
    *,
    reason_text: Annotated[
        str, typer.Option("--reason-text", metavar="WHY", help="Why they are not to be sent; kept in the delivery log.")
    ],
    queue_ids: Numbers = None,
    everything: All = False,
    filters: "Filters",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Decide that dead letters are not to be sent any more.

    They leave the list and the metrics; the delivery log keeps who decided it and why. One that is named by its number
    can still be replayed.
    """
    from pggit_alertd import dead_letters
    from pggit_alertd.redaction import text

    if not reason_text.strip():
        raise typer.BadParameter("say why", param_hint="--reason-text")
    _choose(queue_ids, filters, everything=everything)
    why = text(plain(reason_text))
    tally = _run(
        lambda database: _work(
            database,
            queue_ids,
            filters,
            lambda numbers: dead_letters.discard(database, numbers, why),
            question=None if yes or queue_ids else "Discard {}?",
            as_json=as_json,
        ),
        as_json=as_json,
    )
    _report(tally, "discarded", as_json=as_json)


def _run(ask: "Callable[[Database], Awaitable[Answer]]", *, as_json: bool) -> Answer:
    """Ask the database one thing."""
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd.database.visit import visiting

        async def visit() -> Answer:
            async with visiting(settings, APPLICATION) as database:
                return await ask(database)

        return asyncio.run(visit())


def _choose(queue_ids: Sequence[int] | None, filters: "Filters", *, everything: bool) -> None:
    """Refuse a command that doesn't say what it is about, or says it twice."""
    if queue_ids and (filters.given or everything):
        raise typer.BadParameter("give numbers or filters, not both", param_hint="QUEUE_ID")
    if not queue_ids and not filters.given and not everything:
        raise typer.BadParameter("give numbers, filters such as --since 2h, or --all", param_hint="QUEUE_ID")


async def _work(
    database: "Database",
    queue_ids: Sequence[int] | None,
    filters: "Filters",
    do: "Callable[[Sequence[int]], AsyncIterator[Tally]]",
    *,
    question: str | None,
    as_json: bool,
) -> "Tally":
    """Find out which are meant, ask if there is a question, and do it with a progress bar where somebody watches."""
    from pggit_alertd import dead_letters

    numbers = list(queue_ids or [])
    if not numbers:
        numbers = [each.queue_id for each in await dead_letters.find(database, filters)]
        if numbers and question:
            _confirm(question.format(_count(len(numbers))), as_json=as_json)
    tally = dead_letters.Tally()
    try:
        async for tally in do(numbers):
            _progress(tally.seen, len(numbers))
    except AlertdError:
        if tally.done:
            complain(f"{_count(len(tally.done))} of {len(numbers)} done before this; run it again for the rest.")
        raise
    return tally


def _confirm(question: str, *, as_json: bool) -> None:
    """Ask on the terminal. Where nobody can answer, nothing is done."""
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody can be asked here, so nothing was done; add --yes to do it.")
    typer.confirm(question, abort=True, err=True)


def _progress(done: int, total: int) -> None:
    """Draw how far it is, on a terminal and for work that takes longer than a blink."""
    from pggit_alertd.dead_letters import BATCH

    if total <= BATCH or not sys.stderr.isatty():
        return
    filled = BAR * done // total
    typer.echo(f"\r[{'#' * filled}{'.' * (BAR - filled)}] {done} of {total}", err=True, nl=done >= total)


def _report(tally: "Tally", verb: str, *, as_json: bool) -> None:
    """Say what was done and why the rest was not; a rest makes the command fail."""
    if as_json:
        problems = [{"queue_id": number, "problem": problem} for number, problem in tally.problems.items()]
        waiting = [{"queue_id": number, "waits": why} for number, why in tally.waiting.items()]
        answer({"ok": not problems, verb: tally.done, "waiting": waiting, "problems": problems})
    else:
        say(f"{verb.capitalize()}: {_count(len(tally.done))}.")
        _tell_causes(tally, tally.waiting)
        if tally.problems:
            say(f"Not {verb}: {_count(len(tally.problems))}.")
        _tell_causes(tally, tally.problems)
    if tally.problems:
        raise typer.Exit(ExitStatus.FAILED)


def _tell_causes(tally: "Tally", problems: Mapping[int, str]) -> None:
    causes = tally.causes(problems)
    for cause, count in causes[:MOST_CAUSES]:
        numbers = [number for number, problem in problems.items() if problem.endswith(cause)]
        named = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > len(numbers[:5]) else "")
        complain(f"  {count} x {cause} ({named})")
    if len(causes) > MOST_CAUSES:
        complain(f"  and {len(causes) - MOST_CAUSES} more causes; --json names each")


def _count(number: int) -> str:
    return "1 notification" if number == 1 else f"{number} notifications"


def _line(each: "DeadLetter") -> str:
    alert = f"alert {each.alert_id}" if each.alert_id is not None else "no alert"
    tries = _tries(each.attempts)
    head = f"{each.queue_id}: {moment(each.died_at, each.age)} {each.channel} {each.recipient}, {alert}"
    what = " ".join(word for word in (each.severity, each.alert_type, each.operation_type) if word)
    return f"{head} {what}: {each.reason}, {tries}" + (f": {each.error_message}" if each.error_message else "")


def _tell(story: "Story") -> None:
    what = " ".join(word for word in (story.severity, story.alert_type, story.operation_type) if word)
    setting = f"setting {story.setting_id}" + (f" ({story.setting_name})" if story.setting_name else "")
    say(f"Notification {story.queue_id}: {story.channel} {story.recipient}, {setting}, {story.event}, {story.status}")
    say(f"  alert {story.alert_id}: {what}: {story.message}")
    say(f"  queued {moment(story.created_at, None)}, {_tries(story.attempts)}")
    for attempt in story.log:
        say(f"  {moment(attempt.at, attempt.age)}  {attempt.sentence}")
    if not story.log:
        say("  nothing in the delivery log yet")
    say(f"  next: {story.next}")


def _tries(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"
