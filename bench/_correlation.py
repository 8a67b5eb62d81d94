"""Correlated degradation: pairs of operations that became slower together.

The scenarios lie one after the other in time, in one database: what is asked about one must not see the others.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg

from _arena import Arena
from _score import Board
from pggit_alertd.workload import store, trials

TITLE = "Correlated degradation, 24 h (pairs that a bottleneck slowed together)"
START = datetime(2026, 1, 5)  # noqa: DTZ001 - as pgGit's columns: without zone
EVERY = timedelta(days=trials.DAYS + 1)
SCENARIOS = 60
SHORT = 2
DETECTORS = {
    "ours": """
        SELECT op_a, op_b FROM pggit.detect_correlated_degradation(24, 0.7, p_as_of => %(as_of)s) WHERE both_degrading
    """,
    "document": "SELECT op_a, op_b FROM document.detect_correlated_degradation(24, 0.7, p_as_of => %(as_of)s)",
}
"""The document's both_degrading is never true; each pair that it returns counts as said."""


def boards(arena: Arena, seeds: Sequence[int], *, short: bool) -> dict[str, Board]:
    """Ask every detector about every scenario of the first seed."""
    count = SHORT if short else SCENARIOS
    scenarios = [trials.bottleneck(seeds[0], START + number * EVERY, number) for number in range(count)]

    def fill(connection: psycopg.Connection) -> tuple[datetime, datetime]:
        for scenario in scenarios:
            store(connection, scenario.workload)
        return START, scenarios[-1].workload.end

    connection = arena.database(f"correlation_{seeds[0]}_{count}", fill)
    result = {name: Board() for name in DETECTORS}
    for detector, statement in DETECTORS.items():
        for scenario in scenarios:
            last = scenario.workload.end - timedelta(microseconds=1)
            found = connection.execute(statement, {"as_of": last}).fetchall()
            said = {(min(pair), max(pair)) for pair in found}
            for score in result[detector].under("all pairs"):
                for pair in scenario.pairs:
                    score.note(said=pair in said, true=pair in scenario.together)
                score.operation_days += len(scenario.workload.operations)
    return result


def aims(board: Board) -> list[tuple[str, bool]]:
    """Return what is asked of us, and whether it is reached."""
    total = board.scores["all pairs"]
    return [
        ("correlated: precision >= 0.97", (total.precision or 0) >= 0.97),
        ("correlated: recall >= 0.85", (total.recall or 0) >= 0.85),
    ]
