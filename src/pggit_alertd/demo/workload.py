"""A pgGit in use: operations recorded through record_performance_metric, with occasional spikes.

The spikes follow a script, so that a short demo shows everything: a few operations are slow now and then, and one is
slow again and again, which escalates it.
"""

import itertools
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from pggit_alertd import workload
from pggit_alertd.workload.families import LogNormal

# Typical durations in milliseconds: reference figures of pgGit's own operations.
TYPICAL_MS = {
    "commit": (2, 7),
    "merge_branches": (50, 100),
    "get_history": (5, 50),
    "branch_create": (1, 4),
    "rollback_commit": (20, 200),
}
REPEATER = "merge_branches"
BURSTING = "get_history"
HISTORY_PER_DAY = 130
HISTORY_DAYS = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation that ended: its type, how long it took (microseconds), and whether it is meant to be noticed."""

    name: str
    microseconds: int
    spike: bool


def operations(seed: int, spike_every: int) -> Iterator[Operation]:
    """Yield operations for ever; each `spike_every`-th is a spike, and every other spike hits the same operation."""
    source = random.Random(seed)  # noqa: S311 - sample data
    names = list(TYPICAL_MS)
    others = itertools.cycle([name for name in names if name != REPEATER])
    for number in itertools.count(1):
        spike = number % spike_every == 0
        name = source.choice(names)
        if spike:
            name = REPEATER if (number // spike_every) % 2 else next(others)
        low, high = TYPICAL_MS[name]
        usual = source.uniform(low, high) * 1000
        factor = source.uniform(3, 12) * high * 1000 / usual if spike else 1.0
        yield Operation(name, round(usual * factor), spike)


def slow(seed: int, count: int) -> list[Operation]:
    """Return operations of one type that are all several times slower than usual, as when a disk is full."""
    source = random.Random(seed)  # noqa: S311 - sample data
    high = TYPICAL_MS[BURSTING][1]
    return [Operation(BURSTING, round(source.uniform(4, 12) * high * 1000), spike=True) for _ in range(count)]


def seed_history(connection: psycopg.Connection, seed: int) -> int:
    """Record a few days of ordinary work and make the first baselines from it; return how many baselines."""
    ((now,),) = connection.execute("SELECT localtimestamp").fetchall()
    history = tuple(
        # Ninety-five of a hundred calls take what is typical.
        workload.Operation(name, LogNormal(math.log(high / low) / 4), 1000 * math.sqrt(low * high), HISTORY_PER_DAY)
        for name, (low, high) in TYPICAL_MS.items()
    )
    workload.store(connection, workload.Workload(seed, now - timedelta(days=HISTORY_DAYS), HISTORY_DAYS, history))
    return connection.execute("SELECT pggit.recalculate_all_baselines_rolling()").rowcount


def record(connection: psycopg.Connection, operation: Operation) -> float:
    """Record one operation as an application does; return the Unix time just after the commit."""
    connection.execute(
        "SELECT pggit.record_performance_metric(%s, %s, %s)",
        (operation.name, operation.microseconds, f"demo {operation.name}"),
    )
    return time.time()


def record_together(connection: psycopg.Connection, several: Sequence[Operation]) -> float:
    """Record operations in one transaction, as a batch job does; return the Unix time just after the commit."""
    with connection.transaction():
        for operation in several:
            record(connection, operation)
    return time.time()
