"""Workloads into pggit.performance_metrics, as if the operations had been recorded when they ended.

`store` keeps every constraint of pgGit's table and streams: a week of seven million rows needs no more memory than a
thousand. `fill` is for benches that want a size and no truth; the server makes up the rows by itself.
"""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import psycopg

from pggit_alertd.database import queries
from pggit_alertd.workload.generation import interval_labels, metric_label, rows
from pggit_alertd.workload.model import Label, Operation, Row, Workload

CHUNK = 2000  # rows in one write: COPY's cost per call vanishes, and memory stays below a megabyte
USER = "workload"


def store(connection: psycopg.Connection, workload: Workload) -> list[Label]:
    """Register the workload's operations, copy its rows, and return the truth about them. One transaction."""
    truth = list(interval_labels(workload))

    def noted() -> Iterator[Row]:
        for row in rows(workload):
            if (label := metric_label(row)) is not None:
                truth.append(label)
            yield row

    with connection.transaction():
        register(connection, workload.operations)
        copy_rows(connection, noted())
    return truth


def register(connection: psycopg.Connection, operations: Iterable[Operation]) -> None:
    """Make the operations' types known and tracked; those that are there already keep their descriptions."""
    known = list(operations)
    connection.execute(
        queries.load("workload_register"),
        {
            "names": [each.name for each in known],
            "typical": [each.scale * each.family.quantile(0.5) / 1000 for each in known],
        },
    )


def copy_rows(connection: psycopg.Connection, metrics: Iterable[Row]) -> int:
    """Copy rows into performance_metrics; return how many. Their operation types need no registration."""
    count = 0
    remaining = iter(metrics)
    with connection.cursor() as cursor, cursor.copy(queries.load("workload_copy")) as copy:
        while chunk := list(itertools.islice(remaining, CHUNK)):
            copy.write("".join(map(_line, chunk)))
            count += len(chunk)
    return count


def fill(
    connection: psycopg.Connection, metrics: int, *, days: float = 7, end: datetime | None = None, seed: int = 1
) -> int:
    """Let the server make up `metrics` rows of all tracked operations in the `days` before `end` (default: now).

    Log-normal durations around typical_duration_ms, volumes unequal as they are in life: each operation in the order of
    its id has about 1/n of the first one's. The same seed gives the same rows on the same release of PostgreSQL.
    """
    with connection.transaction():
        connection.execute(queries.load("workload_seed"), {"seed": seed})
        return connection.execute(
            queries.load("workload_fill"), {"metrics": metrics, "days": days, "end": end}
        ).rowcount


def _line(row: Row) -> str:
    """Return a row in COPY's text format: it ended when it was recorded, and began its duration before."""
    name, at, us = row[:3]
    if "\\" in name or "\t" in name or "\n" in name or "\r" in name:
        name = name.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
    end = at.isoformat(" ")
    begin = (at - timedelta(0, 0, us)).isoformat(" ")
    return f"{name}\t{us}\t{us // 1000}.{us % 1000:03d}\t{begin}\t{end}\t{USER}\t{end}\t{end[:10]}\n"
