"""What the chaos scenarios report: one row a fault, printed as a table and written as JSON when the session ends.

A row travels as a property of its test's report, so rows from the processes of pytest-xdist arrive as well. The bounds
are checked twice: in the test, and again over all rows at the end, where a broken one makes the exit status not 0 even
if somebody had swallowed the assertion.
"""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "chaos"
LONG = os.environ.get("CHAOS", "short") == "long"
"""Whether the long form was asked for, as `make chaos` does; `make test` and `make chaos SHORT=1` run the short one."""


def by_length(short: int, long: int) -> int:
    """Return the size of a scenario in the form that runs."""
    return long if LONG else short


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one fault.

    `sent` counts the notifications that had to arrive, `lost` those that did not, `duplicated` the arrivals beyond the
    first of each, `allowed` how many of these the contract lets happen. `recovery_seconds` is from the end of the
    fault, or from its cause where it has no end, to the next delivery or the empty queue, as the scenario says.
    """

    fault: str
    rounds: int
    sent: int
    lost: int
    duplicated: int
    recovery_seconds: float | None
    allowed: int

    def complaint(self) -> str:
        """Return what is wrong with the figures, or nothing."""
        if self.sent < 1:
            return f"{self.fault}: nothing was sent, so nothing is shown"
        if self.lost:
            return f"{self.fault}: {self.lost} of {self.sent} lost"
        if self.duplicated > self.allowed:
            return f"{self.fault}: {self.duplicated} duplicated, at most {self.allowed} may be"
        return ""

    def public(self) -> dict[str, Any]:
        """Return what build/chaos.json holds of it."""
        return {key: value for key, value in asdict(self).items() if key != "allowed"}


class Scores:
    """Where one test puts its rows."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def record(
        self,
        fault: str,
        *,
        sent: int,
        lost: int,
        duplicated: int = 0,
        rounds: int = 1,
        allowed: int = 0,
        recovery: float | None = None,
    ) -> None:
        """Report a row, and fail the test if its figures break what is promised."""
        row = Row(fault, rounds, sent, lost, duplicated, None if recovery is None else round(recovery, 2), allowed)
        self._properties.append((PROPERTY, asdict(row)))
        assert not row.complaint(), row.complaint()


class Scoreboard:
    """A plugin of pytest: gathers the rows, prints them, and writes them to `file` if one is named."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the rows of a test that has run."""
        if report.when == "call":
            self._rows += [_row(value) for name, value in report.user_properties if name == PROPERTY]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, and fail a run whose rows break a bound or that was asked for rows and has none."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps([row.public() for row in self._sorted()], indent=2) + "\n")
        wanting = self._file is not None and not self._rows
        if session.exitstatus == pytest.ExitCode.OK and (wanting or self._complaints()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if not self._rows:
            return
        terminalreporter.section("faults")
        for line in table(self._sorted()):
            terminalreporter.write_line(line)
        for complaint in self._complaints():
            terminalreporter.write_line(complaint, red=True)

    def _sorted(self) -> list[Row]:
        return sorted(self._rows, key=lambda row: row.fault)

    def _complaints(self) -> list[str]:
        return [row.complaint() for row in self._sorted() if row.complaint()]


def table(rows: Iterable[Row]) -> list[str]:
    """Return the rows as lines of text."""
    lines = [_line("fault", "rounds", "sent", "lost", "twice", "allowed", "recovery")]
    for row in rows:
        recovery = "" if row.recovery_seconds is None else f"{row.recovery_seconds:.2f} s"
        lines.append(_line(row.fault, row.rounds, row.sent, row.lost, row.duplicated, row.allowed, recovery))
    return lines


def _line(fault: str, *figures: object) -> str:
    return f"{fault:<56}" + "".join(f"{figure!s:>9}" for figure in figures)


class Stopwatch:
    """Seconds since it was made or restarted."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again."""
        self._begun = time.monotonic()

    @property
    def begun(self) -> float:
        """The moment it was started, by time.monotonic()."""
        return self._begun

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._begun


def _row(value: object) -> Row:
    assert isinstance(value, dict)
    return Row(**value)
