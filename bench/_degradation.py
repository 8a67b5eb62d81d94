"""Degradation: one question for each operation at the end of the workload, whether it is slower than it was."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg

from _arena import Arena
from _score import Board
from pggit_alertd.workload import store, trials

TITLE = "Degradation, 24 h window (at least 1.3 x slower on average)"
STARTS = (datetime(2026, 1, 5, 0, 0), datetime(2026, 1, 6, 8, 37), datetime(2026, 1, 7, 16, 13))  # noqa: DTZ001
"""Workloads end at different times of day, in and out of the full hour."""
SHORT = ("daily",)
DETECTORS = {
    "ours": """
        SELECT o.name, found.severity = 'DEGRADATION_DETECTED'
        FROM unnest(%(operations)s::text []) AS o (name)
        CROSS JOIN LATERAL pggit.detect_performance_degradation(o.name, 24, 20.0, p_as_of => %(as_of)s) AS found
    """,
    "document": """
        SELECT o.name, found.severity = 'DEGRADATION_DETECTED'
        FROM unnest(%(operations)s::text []) AS o (name)
        CROSS JOIN LATERAL document.detect_performance_degradation(o.name, 24, 20.0, p_as_of => %(as_of)s) AS found
    """,
}


def boards(arena: Arena, seeds: Sequence[int], *, short: bool) -> dict[str, Board]:
    """Ask every detector about every trial of every seed."""
    result = {name: Board() for name in DETECTORS}
    for seed, start in zip(seeds, STARTS, strict=False):
        workload, cases = trials.degradations(seed, start, shapes=SHORT if short else tuple(trials.SHAPES))

        def fill(connection: psycopg.Connection) -> tuple[datetime, datetime]:
            store(connection, workload)  # noqa: B023 - called before the next round
            return workload.start, workload.end  # noqa: B023

        connection = arena.database(f"degradation_{seed}{'_short' if short else ''}", fill)
        last = workload.end - timedelta(microseconds=1)
        for detector, statement in DETECTORS.items():
            names = [each.operation.name for each in cases]
            said: dict[str, bool] = dict(connection.execute(statement, {"operations": names, "as_of": last}).fetchall())
            for case in cases:
                headings = [f"  {case.shape}", f"{case.volume:>6,} calls a day", f"{'':9}{case.ailment}"]
                for score in result[detector].under("all", *headings):
                    score.note(said=bool(said.get(case.operation.name)), true=case.degraded)
                    score.operation_days += 1
    for board in result.values():
        board.scores = dict(
            sorted(board.scores.items(), key=lambda each: (each[0][:9] != "all", each[0][:9] == " " * 9))
        )
    return result


def aims(board: Board) -> list[tuple[str, bool]]:
    """Return what is asked of us, and whether it is reached."""
    total, busy = board.scores["all"], board.scores[" 1,200 calls a day"]
    return [
        ("degradation: precision >= 0.98", (total.precision or 0) >= 0.98),
        ("degradation: recall >= 0.70", (total.recall or 0) >= 0.70),
        ("degradation: recall >= 0.93 at 1,200 calls a day", (busy.recall or 0) >= 0.93),
    ]
