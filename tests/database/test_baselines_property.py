"""Properties of baselines that hold for any figures and any sequence of operations."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from database.baseline_support import PGGIT_CALCULATION

SAME_DATABASE = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
P99 = st.one_of(st.integers(0, 5000), st.integers(0, 2**63 - 1))
RECORD: LiteralString = """
    INSERT INTO pggit.performance_metrics (
        operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, period_start
    )
    SELECT %s, %s, %s::numeric / 1000, LOCALTIMESTAMP - interval '1 hour', LOCALTIMESTAMP, 'tester', CURRENT_DATE
    FROM generate_series(1, 12)
"""


@pytest.fixture
def session(database: str) -> Iterator[Connection]:
    """Yield an autocommit connection to a database whose week 2 functions are pgGit's."""
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute(PGGIT_CALCULATION)
        yield opened


def one(session: Connection, statement: LiteralString, *parameters: object) -> object:
    """Return the first column of the first row."""
    row = session.execute(statement, parameters).fetchone()
    assert row is not None
    return row[0]


@settings(max_examples=60, deadline=None, suppress_health_check=SAME_DATABASE)
@given(old=P99, new=P99, force=st.booleans())
@example(old=0, new=0, force=False)
@example(old=2**63 - 1, new=1, force=False)
def test_verdict_follows_the_rules_exactly(session: Connection, old: int, new: int, *, force: bool) -> None:
    """Kept within 5 %, held above twice or below half, else replaced: in exact arithmetic, for any two p99s."""
    if force:
        expected = "replace"
    elif abs(Fraction(new) - old) <= Fraction(old) / 20:
        expected = "keep"
    elif new > 2 * old or Fraction(new) < Fraction(old) / 2:
        expected = "hold"
    else:
        expected = "replace"
    assert one(session, "SELECT pggit.baseline_verdict(%s, %s, %s)", old, new, force) == expected
    percent = one(session, "SELECT pggit.baseline_percent_change(%s, %s)", old, new)
    assert (percent is None) == (old == 0)


def record(session: Connection, operation: str, duration: int) -> None:
    """Store a dozen metrics."""
    session.execute(RECORD, (operation, duration, duration))


def recalculate(session: Connection, operation: str, duration: int) -> None:
    """Run for all operations; the arguments don't matter."""
    del operation, duration
    session.execute("SELECT * FROM pggit.recalculate_all_baselines_rolling()")


def force(session: Connection, operation: str, duration: int) -> None:
    """Run for one operation, forced."""
    del duration
    session.execute("SELECT * FROM pggit.recalculate_baseline(%s, p_force_recalc => TRUE)", (operation,))


def week_2(session: Connection, operation: str, duration: int) -> None:
    """Have pgGit calculate, where there is something to calculate from."""
    del duration
    session.execute(
        "SELECT pggit.calculate_performance_baseline(%s::text) FROM pggit.performance_metrics"
        " WHERE operation_type = %s LIMIT 1",
        (operation, operation),
    )


def approve(session: Connection, operation: str, duration: int) -> None:
    """Approve what is held for the operation."""
    del duration
    session.execute(
        "SELECT pggit.approve_baseline(history_id) FROM pggit.held_baselines() WHERE operation_type = %s", (operation,)
    )


def reject(session: Connection, operation: str, duration: int) -> None:
    """Reject what is held for the operation."""
    del duration
    session.execute(
        "SELECT pggit.reject_baseline(history_id) FROM pggit.held_baselines() WHERE operation_type = %s", (operation,)
    )


Step = Callable[[Connection, str, int], None]
STEPS: tuple[Step, ...] = (record, recalculate, force, week_2, approve, reject)


@settings(max_examples=20, deadline=None, suppress_health_check=SAME_DATABASE)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.sampled_from(("commit", "merge")),
            st.sampled_from((1, 1000, 1040, 1500, 2001, 90_000)),
            st.booleans(),
        ),
        max_size=14,
    )
)
def test_any_sequence_leaves_one_active_baseline_and_an_unbroken_history(
    session: Connection, steps: list[tuple[Step, str, int, bool]]
) -> None:
    """One active baseline from the first on, at most one candidate, and a history whose rows join end to end."""
    session.execute("TRUNCATE pggit.performance_metrics, pggit.performance_baselines, pggit.performance_alerts CASCADE")
    session.execute("TRUNCATE pggit.performance_baseline_history")
    started: set[str] = set()
    for step, operation, duration, undone in steps:
        with session.transaction(force_rollback=undone):
            step(session, operation, duration)
        actives: dict[str, int] = dict(
            session.execute(
                "SELECT operation_type, count(*) FROM pggit.performance_baselines WHERE is_active GROUP BY 1"
            ).fetchall()
        )
        assert set(actives.values()) <= {1}
        assert started <= set(actives)
        started |= set(actives)
        held = session.execute("SELECT operation_type FROM pggit.held_baselines()").fetchall()
        assert len(held) == len(set(held))
    for operation in started:
        changes = session.execute(
            "SELECT old_baseline_id, new_baseline_id FROM pggit.performance_baseline_history"
            " WHERE operation_type = %s AND status IN ('applied', 'approved') ORDER BY history_id",
            (operation,),
        ).fetchall()
        assert [old for old, _ in changes] == [None, *(new for _, new in changes[:-1])]
        current = one(session, "SELECT baseline_id FROM pggit.active_baseline(%s)", operation)
        assert changes[-1][1] == current
