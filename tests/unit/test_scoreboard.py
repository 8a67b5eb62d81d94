"""The chaos scoreboard: a broken promise fails the run, whoever swallows the assertion."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.scoreboard import PROPERTY, Scoreboard, Scores, table


def report(**figures: Any) -> Any:
    """Return what pytest passes on of a test that recorded these figures, right or wrong."""
    properties: list[tuple[str, object]] = []
    try:
        Scores(properties).record("a fault", **figures)
    except AssertionError:
        properties.append(("swallowed", True))
    assert properties[0][0] == PROPERTY
    return SimpleNamespace(when="call", user_properties=properties)


def finish(board: Scoreboard) -> int:
    """Return the exit status of a run whose tests have all passed."""
    session: Any = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    board.pytest_sessionfinish(session)
    return int(session.exitstatus)


@pytest.mark.parametrize(
    ("figures", "status"),
    [
        ({"sent": 5, "lost": 0}, 0),
        ({"sent": 5, "lost": 0, "duplicated": 2, "allowed": 2}, 0),
        ({"sent": 5, "lost": 1}, 1),
        ({"sent": 5, "lost": 0, "duplicated": 3, "allowed": 2}, 1),
        ({"sent": 0, "lost": 0}, 1),
    ],
)
def test_the_exit_status_tells_the_truth(tmp_path: Path, figures: dict[str, Any], status: int) -> None:
    """Anything lost, more duplicates than allowed, or a row that shows nothing makes the run fail."""
    board = Scoreboard(tmp_path / "build" / "chaos.json")
    board.pytest_runtest_logreport(report(**figures))
    assert finish(board) == status


def test_a_run_that_was_asked_for_rows_and_has_none_fails(tmp_path: Path) -> None:
    """An empty report is no proof."""
    assert finish(Scoreboard(tmp_path / "chaos.json")) == 1
    assert finish(Scoreboard(None)) == 0


def test_the_file_holds_a_row_for_each_fault(tmp_path: Path) -> None:
    """Readers find the agreed keys, and the table has the same rows."""
    file = tmp_path / "build" / "chaos.json"
    board = Scoreboard(file)
    board.pytest_runtest_logreport(report(sent=5, lost=0, duplicated=1, allowed=3, rounds=2, recovery=0.123))
    finish(board)
    expected = {
        "fault": "a fault",
        "rounds": 2,
        "sent": 5,
        "lost": 0,
        "duplicated": 1,
        "recovery_seconds": 0.12,
    }
    assert json.loads(file.read_text()) == [expected]
    heading, line = table(board._rows)
    assert line.split() == ["a", "fault", "2", "5", "0", "1", "3", "0.12", "s"]
    assert len(heading) > len("fault")
