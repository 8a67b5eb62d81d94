"""`pggit-alertd backtest`: what operators type, with an operator's rights, on a past that is known."""

import asyncio
import os
import pty
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from support.alerts import Alerts
from support.backtests import day, record, refresh
from support.command_line import Ended, alertd, environment

WEBHOOK = "https://hooks.slack.com/services/T0/B0/canaryTokenVq07aaZk81QmX"
Backtest = Callable[..., Awaitable[Ended]]
TYPES = {"ANOMALY", "DEGRADATION", "THRESHOLD_EXCEEDED"}


@pytest.fixture
def backtest(database: str) -> Backtest:
    """Return the command, run with an operator's rights; it never says a secret or a traceback."""

    async def run(*arguments: str) -> Ended:
        url = make_conninfo(database, options="-c role=pggit_alertd_operator")
        ended = await alertd("backtest", *arguments, database_url=url)
        assert not any(secret in ended.said for secret in ("canaryToken", "Traceback")), ended.said
        return ended

    return run


@pytest.fixture
async def past(connection: psycopg.AsyncConnection[Any]) -> None:
    """Record nine days of an even operation, with three slow calls on the ninth day, and one setting."""
    await record(connection, "commit", 10_000, start=day(0), end=day(9))
    await record(connection, "commit", 25_000, start=day(8.5), end=day(8.6), every="1 hour")
    await Alerts(connection).setting("slack", {"webhook": WEBHOOK, "channel": "#ops"})
    await refresh(connection)


@pytest.mark.usefixtures("past")
async def test_before_and_after_are_told_side_by_side(backtest: Backtest) -> None:
    """The report has alerts a day by type, day and operation, messages by setting, and what is approximated."""
    ended = await backtest("--from", "2025-03-11", "--to", "2025-03-12", "--multiplier", "3")
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "Replayed 2025-03-11 00:00 to 2025-03-12 00:00 Etc/UTC: 1 days, 1 operations, 291 metrics"
    assert lines[1] == "before: what is in force; after: multiplier 3"
    for title in ("alerts a day", "alerts by day", "alerts by operation", "messages a day", "What is approximated:"):
        assert any(line.startswith(title) for line in lines), title
    (thresholds,) = (line.split() for line in lines if line.startswith("  THRESHOLD_EXCEEDED"))
    assert thresholds == ["THRESHOLD_EXCEEDED", "3.00", "0.00", "-100", "%"]
    assert any(line.split()[:3] == ["1", "slack", "#ops"] for line in lines)
    assert "accuracy" not in ended.out


@pytest.mark.usefixtures("past")
async def test_a_program_is_answered_with_every_figure(backtest: Backtest) -> None:
    """--json has one object: counts of types, days and operations agree, and nothing else is printed."""
    ended = await backtest("--from", "2025-03-10", "--to", "2025-03-12", "--multiplier", "3", "--json")
    assert (ended.status, ended.err) == (0, "")
    found = ended.json
    assert found["ok"] is True
    assert (found["period"]["from"], found["period"]["days"]) == ("2025-03-10T00:00:00", 2.0)
    assert (found["before"]["thresholds"], found["after"]["thresholds"]) == ({}, {"multiplier": 3.0})
    for outcome in (found["before"], found["after"]):
        assert set(outcome["by_type"]) == TYPES
        assert sum(outcome["by_type"].values()) == outcome["alerts"]
        assert (
            sum(count for each in outcome["days"] for kind, count in each.items() if kind in TYPES) == outcome["alerts"]
        )
        assert sum(each["alerts"] for each in outcome["operations"]) == outcome["alerts"]
        assert [each["day"] for each in outcome["days"]] == ["2025-03-10", "2025-03-11"]
        assert outcome["settings"][0]["alerts"] + outcome["told_to_nobody"] == outcome["alerts"]
        assert outcome["accuracy"] is None
    assert found["before"]["by_type"]["THRESHOLD_EXCEEDED"] == 3
    assert found["after"]["by_type"]["THRESHOLD_EXCEEDED"] == 0
    assert found["approximations"]


@pytest.mark.usefixtures("past")
async def test_labels_are_what_alerts_are_judged_by(backtest: Backtest, tmp_path: Path) -> None:
    """With a label file the report has precision, recall and false alarms."""
    labels = tmp_path / "labels.jsonl"
    labels.write_text(
        '# what happened\n{"operation_type": "commit", "kind": "lock", "from": "2025-03-11T12:00", "to":'
        ' "2025-03-11T14:30"}\n'
        '{"operation_type": "merge", "from": "2025-03-11T12:00:00"}\n'
    )
    ended = await backtest("--from", "2025-03-11", "--to", "2025-03-12", "--labels", str(labels), "--json")
    judged = ended.json["before"]["accuracy"]
    assert (judged["found"], judged["to_find"], judged["recall"]) == (1, 2, 0.5)
    assert judged["by_kind"] == {"incident": [0, 1], "lock": [1, 1]}
    assert judged["by_type"]["THRESHOLD_EXCEEDED"] == [3, 0]
    shown = await backtest("--from", "2025-03-11", "--to", "2025-03-12", "--labels", str(labels))
    assert "precision: alerts that were right" in shown.out
    assert "found of kind lock                              1 of 1" in shown.out


@pytest.mark.usefixtures("past")
async def test_labels_that_fit_badly_are_told(backtest: Backtest, tmp_path: Path) -> None:
    """Labels of operations that nothing looks at, and outside the period, are counted, in words and in JSON."""
    labels = tmp_path / "labels.jsonl"
    labels.write_text(
        '{"operation_type": "commit", "from": "2025-03-11T12:00"}\n'
        '{"operation_type": "comit", "from": "2025-03-11T12:00"}\n'
        '{"operation_type": "comit", "from": "2025-03-11T13:00", "clear": false}\n'
        '{"operation_type": "commit", "from": "2025-03-12T00:00"}\n'
    )
    arguments = ("--from", "2025-03-11", "--to", "2025-03-12", "--labels", str(labels))
    found = (await backtest(*arguments, "--json")).json
    assert found["labels"] == {"given": 4, "outside": 1, "unwatched": {"comit": 1}}
    assert len(found["warnings"]) == 2
    warnings = [line for line in (await backtest(*arguments)).out.splitlines() if line.startswith("warning: ")]
    assert warnings == [f"warning: {each}" for each in found["warnings"]]
    assert "1 of 4 labels lie outside the period" in warnings[0]
    assert "'comit' (1)" in warnings[1]

    labels.write_text('{"operation_type": "commit", "from": "2024-03-11T12:00"}\n')
    outside = (await backtest(*arguments, "--json")).json
    assert (outside["before"]["accuracy"]["recall"], outside["before"]["accuracy"]["precision"]) == (None, 0.0)
    assert "None of the 1 labels lies in the period" in outside["warnings"][0]

    labels.write_text("# nothing happened\n\n")
    empty = await backtest(*arguments)
    assert empty.status == 2
    assert "has no label" in empty.err
    assert '{"operation_type": "commit", "from": "2026-01-05T10:00:00"' in empty.err


async def test_what_cannot_be_replayed_says_what_to_do(backtest: Backtest, tmp_path: Path) -> None:
    """Each mistake has a sentence with the mend, an exit status, and an object for programs."""
    empty = await backtest("--from", "7d")
    assert (empty.status, "No metric was recorded from" in empty.err, "There are none at all" in empty.err) == (
        1,
        True,
        True,
    )
    assert (await backtest("--json")).json["error"]["kind"] == "BacktestEmpty"
    backwards = await backtest("--from", "2025-03-12", "--to", "2025-03-11")
    assert backwards.status == 2
    assert "--from 2025-03-12 00:00:00 is not before --to 2025-03-11 00:00:00" in backwards.err
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"operation_type": "commit", "from": "2025-03-11T12:00:00"}\n{"operation_type": "commit"}\n')
    wrong = await backtest("--labels", str(labels))
    assert (wrong.status, "Line 2 of the labels: from must be" in wrong.err) == (2, True)
    for arguments, words in (
        (("--labels", str(tmp_path / "none")), "can't be read"),
        (("--from", "soon"), "write a date (2026-01-31)"),
        (("--to", "2026-01-01T00:00+02:00"), "without an offset"),
        (("--sigma", "0"), "greater than or equal to 0.5"),
    ):
        ended = await backtest(*arguments)
        assert (ended.status, words in " ".join(ended.err.split())) == (2, True), ended.err


@pytest.mark.usefixtures("past")
async def test_a_reader_is_refused_by_the_database(database: str) -> None:
    """A role that may not read metrics is told so, with the status for a refusal."""
    url = make_conninfo(database, options="-c role=pggit_alertd_reader")
    ended = await alertd("backtest", "--from", "2025-03-10", "--to", "2025-03-12", database_url=url)
    assert (ended.status, "permission denied" in ended.err) == (77, True), ended.said


@pytest.mark.usefixtures("past")
async def test_a_terminal_sees_how_far_it_is(database: str) -> None:
    """Where somebody watches, a bar is drawn on standard error, and the report goes to standard output alone."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pggit_alertd", "backtest", "--from", "2025-03-10", "--to", "2025-03-12"),
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
        env=environment(database_url=database, TERM="xterm"),
    )
    os.close(theirs)
    out, _ = await process.communicate()
    drawn = os.read(ours, 65_536).decode(errors="replace")  # it may end within a character of the bar
    os.close(ours)
    assert process.returncode == 0
    assert "replaying" in drawn
    assert out.startswith(b"Replayed 2025-03-10")
    assert b"replaying" not in out
