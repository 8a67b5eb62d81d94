"""Statements timed beside one another, and the table and the file in which the figures end."""

import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

ROUNDS = 9
FEWEST = 3
PATIENCE_SECONDS = 6.0
"""A statement is run ROUNDS times, or as often as this allows, and FEWEST times at least."""

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of build/bench-sql.json: medians in milliseconds of wall time, the document's beside ours.

    `cpu_ms` and `document_cpu_ms` are what the server's process used: with other work on the machine they say more.
    `aim` is the most milliseconds it may take; None where nothing was promised. `note` is for people.
    """

    what: str
    size: str
    ms: float
    document_ms: float | None = None
    cpu_ms: float | None = None
    document_cpu_ms: float | None = None
    aim: float | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether an aim was stated and is not met."""
        return self.aim is not None and self.ms > self.aim


@dataclass(frozen=True, slots=True)
class Time:
    """Medians of one statement's runs, in milliseconds."""

    wall: float
    cpu: float


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a server process has used, from the kernel's scheduler."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(connection: psycopg.Connection, statement: str, parameters: Parameters | None = None) -> Time:
    """Return the medians of a statement's runs after one that warms up. Its rows are fetched, as anybody would."""
    pid = connection.info.backend_pid
    walls: list[float] = []
    loads: list[float] = []
    connection.execute(statement.encode(), parameters)
    started = time.perf_counter()
    while len(walls) < FEWEST or (len(walls) < ROUNDS and time.perf_counter() - started < PATIENCE_SECONDS):
        cpu, wall = cpu_seconds(pid), time.perf_counter()
        connection.execute(statement.encode(), parameters)
        walls.append(1000 * (time.perf_counter() - wall))
        loads.append(1000 * (cpu_seconds(pid) - cpu))
    return Time(round(statistics.median(walls), 3), round(statistics.median(loads), 3))


def beside(
    connection: psycopg.Connection,
    what: str,
    size: str,
    ours: str,
    document: str | None = None,
    *,
    aim: float | None = None,
    note: str = "",
) -> Figure:
    """Time ours and then the document's statement for the same thing."""
    mine = measure(connection, ours)
    theirs = measure(connection, document) if document else None
    return Figure(
        what,
        size,
        mine.wall,
        theirs.wall if theirs else None,
        cpu_ms=mine.cpu,
        document_cpu_ms=theirs.cpu if theirs else None,
        aim=aim,
        note=note,
    )


def show(figures: Iterable[Figure]) -> None:
    """Print the table; what misses its aim is marked."""
    print(f"{'what':<48}{'size':>15}{'ms':>10}{'cpu':>9}{'document':>11}{'cpu':>9}{'factor':>8}{'aim':>6}")
    for each in figures:
        factor = f"{each.document_ms / each.ms:.1f}" if each.document_ms is not None and each.ms else ""
        line = (
            f"{each.what:<48}{each.size:>15}{each.ms:>10.2f}{_amount(each.cpu_ms):>9}{_amount(each.document_ms):>11}"
            f"{_amount(each.document_cpu_ms):>9}{factor:>8}{'' if each.aim is None else f'{each.aim:g}':>6}"
        )
        if each.missed:
            line += "  MISSED" + (", CPU within" if each.cpu_ms is not None and each.cpu_ms <= (each.aim or 0) else "")
        print(line + (f"  {each.note}" if each.note else ""), flush=True)


def _amount(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.1f}"


def store(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as a list of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n")
