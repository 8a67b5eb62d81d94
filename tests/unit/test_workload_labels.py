from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.errors import LabelRefused
from pggit_alertd.workload import Label, labels

TIMES = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1))  # noqa: DTZ001
TEXTS = st.text(min_size=1).filter(str.strip)


@given(
    TEXTS,
    TEXTS,
    TIMES,
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
    st.none() | st.integers(1, 10**12),
)
def test_a_label_comes_back_from_its_line(  # noqa: PLR0917 - drawn by hypothesis, one by one
    name: str,
    kind: str,
    start: datetime,
    lasts: timedelta,
    factor: float | None,
    clear: bool,
    microseconds: int | None,
) -> None:
    """Whatever a label says, reading its line says the same, and the line is one line."""
    label = Label(name, kind, start, start + lasts, factor, clear, microseconds)
    line = labels.dumps(label)
    assert "\n" not in line
    assert list(labels.loads([line + "\n"])) == [label]


def test_people_may_leave_out_all_but_operation_and_time() -> None:
    """Two keys make a label, an incident that detectors are held to; comments and empty lines are skipped."""
    lines = ["# last week", "", '{"operation_type": "commit", "from": "2026-01-05T10:00"}']
    moment = datetime(2026, 1, 5, 10)  # noqa: DTZ001
    assert list(labels.loads(lines)) == [Label("commit", "incident", moment, moment)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "a label is an object"),
        ("{", "Line 2"),
        ('{"operation_type": "a"}', "from must be a time"),
        ('{"operation_type": "a", "from": "yesterday"}', "from must be a time"),
        ('{"operation_type": "a", "from": 5}', "from must be a time"),
        ('{"operation_type": "a", "from": "2026-01-05T10:00:00Z"}', "without zone"),
        ('{"operation_type": " ", "from": "2026-01-05"}', "operation_type must be a text"),
        ('{"operation_type": "a", "from": "2026-01-05", "to": "2026-01-04"}', "before it began"),
        ('{"operation_type": "a", "from": "2026-01-05", "claer": false}', "unknown key 'claer'"),
        ('{"operation_type": "a", "from": "2026-01-05", "clear": "no"}', "clear must be true or false"),
        ('{"operation_type": "a", "from": "2026-01-05", "factor": true}', "factor must be a number"),
        ('{"operation_type": "a", "from": "2026-01-05", "duration_microseconds": 1.5}', "must be a whole number"),
    ],
)
def test_a_line_that_is_no_label_is_named(line: str, said: str) -> None:
    """The error has the number of the line and what to write instead."""
    with pytest.raises(LabelRefused, match="Line 2") as refused:
        list(labels.loads(['{"operation_type": "a", "from": "2026-01-05"}', line]))
    assert said in str(refused.value)
