"""What the past would have been: alerts, messages and their accuracy, with these thresholds or others."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pggit_alertd.cli.reporting import AsJson, answer, answering, load_settings, say

if TYPE_CHECKING:
    from pggit_alertd.backtest.accuracy import Accuracy
    from pggit_alertd.backtest.replay import Progress
    from pggit_alertd.backtest.report import Outcome, Report
    from pggit_alertd.workload import Label

APPLICATION = "pggit-alertd backtest"
PATIENCE_SECONDS = 90.0
MOST_OPERATIONS = 20
WIDTH = 46

_AGO = re.compile(r"(\d{1,5})\s*(h|d|w)", re.IGNORECASE | re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 168}


def moment(value: str) -> datetime | timedelta:
    """Return the time that an option names: a date, a date and time, or how long ago."""
    text = value.strip()
    if text.lower() == "now":
        return timedelta(0)
    if ago := _AGO.fullmatch(text):
        return timedelta(hours=int(ago[1]) * _HOURS[ago[2].lower()])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "write a date (2026-01-31), a date and time (2026-01-31T15:00), or how long ago (36h, 7d, 4w)"
        ) from None
    if at.tzinfo is not None:
        raise typer.BadParameter("write the time without an offset; it is local to the database, as recorded_at is")
    return at


def backtest(
    *,
    start: Annotated[
        Any, typer.Option("--from", parser=moment, metavar="TIME", help="Where to begin: 2026-01-31, or 30d for ago.")
    ] = "7d",
    end: Annotated[Any, typer.Option("--to", parser=moment, metavar="TIME", help="Where to end: as --from.")] = "now",
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What truly happened, one JSON object a line, to judge the alerts by."),
    ] = None,
    sigma: Annotated[
        float | None, typer.Option(min=0.5, max=20, help="Anomalies: how unusual, in sigmas of a normal distribution.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0.001, max=1000, help="Anomalies: false alarms that are accepted for an operation in a day."),
    ] = None,
    min_ratio: Annotated[
        float | None, typer.Option(min=1, max=1000, help="Anomalies: how many times slower than expected at least.")
    ] = None,
    degradation_percent: Annotated[
        float | None, typer.Option(min=1, max=10_000, help="Degradation: from how many percent slower on.")
    ] = None,
    multiplier: Annotated[
        float | None, typer.Option(min=0.1, max=1000, help="Thresholds: how many times the p99 a call may take.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a past period through the detectors and the routing, without sending anything.

    Says how many alerts and messages a day it would have been and, with labels, how many of them were right.
    With --sigma, --budget, --min-ratio, --degradation-percent or --multiplier it compares these, for every operation,
    with what is in force. Times are the database's, as recorded_at is. Nothing is written. Needs a role with
    pggit_alertd_operator.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd.backtest import Request, Thresholds, replay
        from pggit_alertd.backtest.report import content
        from pggit_alertd.database.visit import visiting

        changed = Thresholds(sigma, budget, min_ratio, degradation_percent, multiplier)
        request = Request(start, end, changed if changed.given() else None, _labels(labels))

        async def ask(progress: "Progress") -> "Report":
            async with visiting(settings, APPLICATION, patience=PATIENCE_SECONDS) as database:
                return await replay(database, request, progress)

        with _progress(visible=not as_json and sys.stderr.isatty()) as progress:
            report = asyncio.run(ask(progress))
    if as_json:
        answer(content(report))
    else:
        _tell(report)


def _labels(file: Path | None) -> "list[Label] | None":
    """Return the labels of a file, one at least. Raises LabelRefused, which names the line or the format."""
    if file is None:
        return None

    from pggit_alertd.errors import LabelRefused
    from pggit_alertd.workload.labels import loads

    try:
        with file.open(encoding="utf-8") as lines:
            labels = list(loads(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} can't be read: {error}", param_hint="--labels") from None
    if not labels:
        raise LabelRefused(
            f"{file} has no label, so nothing could be right. Write one JSON object a line, such as "
            '{"operation_type": "commit", "from": "2026-01-05T10:00:00", "to": "2026-01-05T11:00:00"}.'
        )
    return labels


@contextmanager
def _progress(*, visible: bool) -> Iterator["Progress"]:
    """Draw how far it is where somebody watches; the answer on standard output stays clean."""
    if not visible:
        yield lambda _done, _total: None
        return

    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(report: "Report") -> None:
    period, (before, *_) = report.period, report.outcomes
    say(
        f"Replayed {_shown(period.start)} to {_shown(period.end)} {report.time_zone}: {period.days:.3g} days, "
        f"{report.operations} operations, {report.metrics} metrics"
    )
    if report.after is not None:
        changes = ", ".join(f"{name} {value:g}" for name, value in report.after.thresholds.given().items())
        say(f"before: what is in force; after: {changes}")
    _table("alerts a day", report, [*_types(report), ("all", [each.total() for each in report.outcomes])], period.days)
    _table(
        "alerts by day",
        report,
        [(day.isoformat(), [sum(each.per_day[day].values()) for each in report.outcomes]) for day in before.per_day],
    )
    _table("alerts by operation", report, _operations(report.outcomes))
    _table("messages a day", report, _voices(report.outcomes), period.days)
    if before.accuracy is not None:
        _judged([each.accuracy for each in report.outcomes if each.accuracy is not None], report)
    for warning in report.warnings:
        say(f"warning: {warning}")
    for note in report.notes:
        say(f"note: {note}")

    from pggit_alertd.backtest.report import APPROXIMATIONS

    say("What is approximated:")
    for sentence in APPROXIMATIONS:
        say(f"  {sentence}")


def _table(title: str, report: "Report", lines: "Sequence[tuple[str, Sequence[float]]]", days: float = 0) -> None:
    """Print counts, or with `days` how many they are a day, with the change in percent where there is an after."""
    say()
    heads = ("before", "after") if report.after is not None else ("",)
    say(f"{title:<{WIDTH}}" + "".join(f"{head:>10}" for head in heads))
    for name, counts in lines:
        figures = "".join(f"{count / days:>10.2f}" if days else f"{count:>10}" for count in counts)
        change = f"{100 * (counts[1] / counts[0] - 1):>+8.0f} %" if len(counts) > 1 and counts[0] else ""
        say(f"  {name:<{WIDTH - 2}}{figures}{change}")
    if not lines:
        say("  none")


def _types(report: "Report") -> "list[tuple[str, Sequence[float]]]":
    from pggit_alertd.backtest.model import TYPES

    return [(kind, [each.total(kind) for each in report.outcomes]) for kind in TYPES]


def _operations(outcomes: "Sequence[Outcome]") -> "list[tuple[str, Sequence[float]]]":
    keys = list(dict.fromkeys(key for each in outcomes for key in each.per_operation))
    lines: list[tuple[str, Sequence[float]]] = [
        (" ".join(key), [each.per_operation.get(key, 0) for each in outcomes]) for key in keys[:MOST_OPERATIONS]
    ]
    if rest := keys[MOST_OPERATIONS:]:
        lines.append(
            (
                f"{len(rest)} more; --json has all",
                [sum(each.per_operation.get(key, 0) for key in rest) for each in outcomes],
            )
        )
    return lines


def _voices(outcomes: "Sequence[Outcome]") -> "list[tuple[str, Sequence[float]]]":
    lines: list[tuple[str, Sequence[float]]] = []
    for index, voice in enumerate(outcomes[0].voices):
        setting = voice.setting
        name = f"{setting.setting_id} {setting.channel} {setting.recipient or '(none)'}"
        lines.append(
            (name + (f" ({setting.name})" if setting.name else ""), [each.voices[index].messages for each in outcomes])
        )
        if any(each.voices[index].muted for each in outcomes):
            lines.append(("  alerts muted by a window", [each.voices[index].muted for each in outcomes]))
    lines.append(("alerts that nobody is told of", [each.unheard for each in outcomes]))
    return lines


def _judged(accuracies: "Sequence[Accuracy]", report: "Report") -> None:
    say()
    heads = ("before", "after") if report.after is not None else ("",)
    say(f"{'accuracy':<{WIDTH}}" + "".join(f"{head:>10}" for head in heads))
    for name, figures in (
        ("precision: alerts that were right", [each.precision for each in accuracies]),
        ("recall: labels that were found", [each.recall for each in accuracies]),
        ("false alarms for an operation in a day", [each.false_per_operation_day for each in accuracies]),
    ):
        shown = ("-" if each is None else f"{each:.3f}" for each in figures)
        say(f"  {name:<{WIDTH - 2}}" + "".join(f"{each:>10}" for each in shown))
    for kind in accuracies[0].by_kind:
        counts = ("{} of {}".format(*each.by_kind[kind]) for each in accuracies)
        say(f"  {'found of kind ' + kind:<{WIDTH - 2}}" + "".join(f"{each:>10}" for each in counts))


def _shown(at: datetime) -> str:
    return at.isoformat(" ", "minutes")
