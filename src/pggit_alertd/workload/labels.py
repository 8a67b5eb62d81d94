"""Labels as a file: what truly happened, one JSON object a line, for `backtest --labels` and for people to write.

    {"operation_type": "commit", "kind": "spike", "from": "2026-01-05T10:11:12.345678", "duration_microseconds": 64210}
    {"operation_type": "merge", "kind": "level", "from": "2026-01-06T09:00:00", "to": "2026-01-06T15:00:00",
     "factor": 1.5}

(the second stands on one line in a file)

| key | what | if it is missing |
|---|---|---|
| operation_type | as in performance_metrics | refused |
| from | when it began, compared with recorded_at: local to the database, without zone | refused |
| to | when it ended; the same as `from` for a single metric | `from` |
| kind | spike, burst, level, drift, tail, mix, faster, or a word of yours | "incident" |
| clear | whether a detector is held to finding it; false counts neither for nor against it | true |
| factor | how many times longer: the average calls of an interval | null |
| duration_microseconds | of a single metric, so that it is told from others recorded in the same instant | null |

Empty lines and lines that begin with # are skipped; unknown keys are refused, because a mistyped `clear` would turn the
truth around.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pggit_alertd.errors import LabelRefused
from pggit_alertd.workload.model import Label

_KEYS = frozenset({"operation_type", "kind", "from", "to", "factor", "clear", "duration_microseconds"})


def dumps(label: Label) -> str:
    """Return a label as one line, without the line's end."""
    entry: dict[str, object] = {"operation_type": label.operation_type, "kind": str(label.kind)}
    entry["from"] = label.start.isoformat()
    if not label.single:
        entry["to"] = label.end.isoformat()
    if label.factor is not None:
        entry["factor"] = label.factor
    entry["clear"] = label.clear
    if label.duration_microseconds is not None:
        entry["duration_microseconds"] = label.duration_microseconds
    return json.dumps(entry, ensure_ascii=False)


def loads(lines: Iterable[str]) -> Iterator[Label]:
    """Yield the labels of a file. Raises LabelRefused, naming the line, for what is not a label."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                yield _label(json.loads(text))
            except ValueError as error:
                raise LabelRefused(f"Line {number} of the labels: {error}") from error


def _label(entry: Any) -> Label:
    """Return the label that a line says. Raises ValueError, saying what to write instead."""
    if not isinstance(entry, dict):
        raise ValueError(  # noqa: TRY004 - as below
            'a label is an object such as {"operation_type": "commit", "from": "2026-01-05T10:00:00"}.'
        )
    if unknown := sorted(set(entry) - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}; a label has {', '.join(sorted(_KEYS))}.")
    start = _time(entry, "from")
    label = Label(
        operation_type=_text(entry, "operation_type"),
        kind=_text(entry, "kind", "incident"),
        start=start,
        end=_time(entry, "to") if entry.get("to") is not None else start,
        factor=_number(entry, "factor"),
        clear=_truth(entry, "clear"),
        duration_microseconds=_count(entry, "duration_microseconds"),
    )
    if label.end < label.start:
        raise ValueError(f"it ends at {label.end}, before it began at {label.start}.")
    return label


def _text(entry: dict[str, Any], key: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a text that is not empty.")
    return value


def _time(entry: dict[str, Any], key: str) -> datetime:
    try:
        at = datetime.fromisoformat(_text(entry, key))
    except ValueError:
        raise ValueError(f'{key} must be a time such as "2026-01-05T10:00:00".') from None
    if at.tzinfo is not None:
        raise ValueError(f"{key} must be local to the database, without zone, as recorded_at is.")
    return at


def _number(entry: dict[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number.")  # noqa: TRY004 - as below
    return float(value)


def _count(entry: dict[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{key} must be a whole number.")
    return value


def _truth(entry: dict[str, Any], key: str) -> bool:
    value = entry.get(key, True)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false.")  # noqa: TRY004 - the caller names the line for either
    return value
