"""Lists as PostgreSQL's array literals, for statements that take whole columns and cast them themselves.

psycopg turns a list into an array value by value in Python: 20 µs of CPU for the 24 columns of one ack, against 5 this
way, and 2 where a column says the same in every row. It also names the array's type by the widest number in it, and
each combination of types is a statement to prepare and plan anew. A literal has no type of its own; the cast that the
statement has anyway decides.
"""

from collections.abc import Sequence
from datetime import datetime


def numbers(values: Sequence[float | None]) -> str:
    """Return integers, floats or booleans, not mixed; None becomes NULL."""
    if _alike(values):
        return _repeated("NULL" if values[0] is None else repr(values[0]), len(values))
    return _array(["NULL" if value is None else repr(value) for value in values])


def texts(values: Sequence[str | None]) -> str:
    """Return any text, quoted; None becomes NULL."""
    if _alike(values):
        return _repeated("NULL" if values[0] is None else _quoted(values[0]), len(values))
    return _array(["NULL" if value is None else _quoted(value) for value in values])


def instants(values: Sequence[datetime]) -> str:
    """Return aware instants to the microsecond."""
    if _alike(values):
        return _repeated(f'"{values[0].isoformat()}"', len(values))
    return _array([f'"{value.isoformat()}"' for value in values])


def _alike(values: Sequence[object]) -> bool:
    """Tell whether all values are the same, and there are any."""
    return bool(values) and values.count(values[0]) == len(values)


def _repeated(element: str, times: int) -> str:
    return "{" + ",".join([element] * times) + "}"


def _array(elements: list[str]) -> str:
    return "{" + ",".join(elements) + "}"


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
