"""Point anomalies: every metric of a fleet is scored once, a day at a time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg

import _oracle
from _arena import Arena
from _score import Board
from pggit_alertd.workload import Workload, fleets, labels, store

TITLE = "Point anomalies, 24 h lookback, scored daily (spikes and bursts of at least 1.5 x the true p99.9)"
START = datetime(2026, 1, 5)  # noqa: DTZ001 - as pgGit's columns: without zone
DAYS = 14
FIRST = 4
"""The first day that is scored is the fourth: there are three days of history then, and seven from the eighth on."""
SHORT_DAYS = 9
SHORT_FIRST = 8
SHORT_RATE = 1500
"""In short only operations with at most so many calls a day take part, and two days are scored."""
DETECTORS = {
    "ours": """
        SELECT m.operation_type, m.recorded_at
        FROM unnest(%(operations)s::text []) AS o (name)
        CROSS JOIN LATERAL pggit.detect_anomalies_statistical(o.name, 24, 3.0, p_as_of => %(as_of)s) AS found
        INNER JOIN pggit.performance_metrics AS m ON found.metric_id = m.metric_id
    """,
    "document": """
        SELECT m.operation_type, m.recorded_at
        FROM unnest(%(operations)s::text []) AS o (name)
        CROSS JOIN LATERAL document.detect_anomalies_statistical(o.name, 24, 3.0, p_as_of => %(as_of)s) AS found
        INNER JOIN pggit.performance_metrics AS m ON found.metric_id = m.metric_id
    """,
}
ORACLE = "oracle"
COUNTS = """
    SELECT operation_type, count(*)
    FROM pggit.performance_metrics
    WHERE recorded_at > %s AND recorded_at <= %s
    GROUP BY operation_type
"""
ALL = "all families"
FAMILY = "  "
SINGLE = 12 * " "
HEALTHY = "healthy fleet, nothing wrong"


def boards(arena: Arena, seeds: Sequence[int], *, short: bool) -> dict[str, Board]:
    """Score each detector on a fleet for each seed, and on a healthy one; and one that knows the truth beside them."""
    result = {name: Board() for name in (*DETECTORS, ORACLE)}
    if short:
        fleet = fleets.everyday(seeds[0], START, SHORT_DAYS)
        quiet = tuple(each for each in fleet.operations if each.per_day <= SHORT_RATE)
        _play(arena, replace(fleet, operations=quiet), f"points_{seeds[0]}_short", result, first=SHORT_FIRST)
        return result
    for seed in seeds:
        _play(arena, fleets.everyday(seed, START, DAYS), f"points_{seed}", result)
    _play(arena, fleets.healthy(seeds[0], START, DAYS), f"healthy_{seeds[0]}", result, total=HEALTHY)
    for board in result.values():
        board.scores = dict(sorted(board.scores.items(), key=lambda each: each[0].startswith(SINGLE)))
    return result


def _play(
    arena: Arena,
    workload: Workload,
    name: str,
    result: dict[str, Board],
    *,
    first: int = FIRST,
    total: str = ALL,
) -> None:
    """Let every detector look at every day from the `first` on, and count."""

    def fill(connection: psycopg.Connection) -> tuple[datetime, datetime]:
        connection.execute("CREATE TABLE public.truth (label text NOT NULL)")
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO public.truth VALUES (%s)", [(labels.dumps(each),) for each in store(connection, workload)]
            )
        return workload.start, workload.end

    connection = arena.database(name, fill)
    begin = workload.start + timedelta(days=first - 1)
    truth = {
        (each.operation_type, each.start): each
        for each in labels.loads(line for (line,) in connection.execute("SELECT label FROM public.truth"))
        if begin < each.start <= workload.end
    }
    metrics: dict[str, int] = dict(connection.execute(COUNTS, (begin, workload.end)).fetchall())
    answers: dict[str, set[tuple[str, datetime]]] = {ORACLE: _oracle.find(connection, workload, begin)}
    for detector, statement in DETECTORS.items():
        answers[detector] = set()
        for day in range(first, int(workload.days) + 1):
            asked = {"operations": list(metrics), "as_of": workload.start + timedelta(days=day)}
            answers[detector].update(connection.execute(statement, asked).fetchall())
    for detector, found in answers.items():
        for operation in workload.operations:
            family = f"{FAMILY}{operation.group}"
            headings = (total, family, f"{SINGLE}{operation.name}") if total == ALL else (total,)
            true = {key: each for key, each in truth.items() if key[0] == operation.name}
            said = {key for key in found if key[0] == operation.name}
            for score in result[detector].under(*headings):
                clear = {key for key, each in true.items() if each.clear}
                score.found += len(clear & said)
                score.missed += len(clear - said)
                score.false += len(said - true.keys())
                score.silent += metrics.get(operation.name, 0) - len(true) - len(said - true.keys())
                score.operation_days += workload.days + 1 - first


def aims(board: Board) -> list[tuple[str, bool]]:
    """Return what is asked of us, and whether it is reached."""
    total = board.scores[ALL]
    families = {f"{FAMILY}{each.group}" for each in fleets.FLEET} & board.scores.keys()
    worst = max(board.scores[each].false_a_day or 0 for each in families)
    result = [
        ("spikes: precision >= 0.93", (total.precision or 0) >= 0.93),
        ("spikes: recall >= 0.92", (total.recall or 0) >= 0.92),
        ("spikes: at most 0.1 false alarms per operation and day in each family", worst <= 0.1),
        ("spikes: right about >= 95 % of metrics (R-070)", (total.accuracy or 0) >= 0.95),
    ]
    if (healthy := board.scores.get(HEALTHY)) is not None:
        rate = healthy.false_positive_rate
        result.append(("healthy fleet: < 1 % false positives (R-071)", rate is not None and rate < 0.01))
    return result
