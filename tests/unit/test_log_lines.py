"""Lines of a declared kind are the lines that any logger would have written, masked alike."""

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from pggit_alertd import logs
from pggit_alertd.redaction import Redactor

SECRET = "canary-pw-7c1f"
NAMES = ("alert_id", "recipient", "detail", "seconds", "more")
TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "#ops",
        f"refused: {SECRET}",
        "https://hooks.slack.com/services/T0CANARY/B0CANARY/canaryXYZ",
        "password=canary x",
        "cafe0123456789abcdef0123456789ab",
        "x" * 20_000,
    ]
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.lists(TEXTS, max_size=2)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines, without their times."""
    rows = [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    for row in rows:
        assert row.pop("ts").endswith("Z")
    return rows


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(*[VALUES] * len(NAMES)), min_size=1, max_size=3))
def test_they_say_what_any_logger_says(rows: list[tuple[Any, ...]]) -> None:
    """Names, order, types, masks and escapes are the same, the first time and when a text comes again."""
    stream, usual = io.StringIO(), io.StringIO()
    kind = logs.Lines("a", "said", NAMES)
    logs.configure("INFO", "json", usual, secrets=[SECRET])
    for row in rows * 2:
        logs.get("a").info("said", **dict(zip(NAMES, row, strict=True)))
    logs.configure("INFO", "json", stream, secrets=[SECRET])
    for row in rows * 2:
        kind.info(*row)
    assert [str(row) for row in written(stream)] == [str(row) for row in written(usual)]
    assert "canary" not in stream.getvalue().lower()


@pytest.mark.parametrize("name", ["webhook_url", "token", "proxy_url", "level", "event", "exc_info", "x" * 200])
def test_a_name_that_asks_for_more_is_refused(name: str) -> None:
    """Values under a secret's name are to be hidden, and a line has one head: neither can be a declared name."""
    with pytest.raises(ValueError, match="names"):
        logs.Lines("a", "said", ("alert_id", name))


def test_a_context_and_the_text_form_are_not_lost() -> None:
    """Bound context stands on the line, the console form stays, and levels filter."""
    kind, stream, text = logs.Lines("a", "said", ("alert_id",)), io.StringIO(), io.StringIO()
    logs.configure("WARNING", "json", stream)
    with logs.bound_contextvars(queue_id=5):
        kind.warning(1)
        kind.info(2)
    kind.info(3)
    kind.warning(4)
    assert [(row["alert_id"], row.get("queue_id"), row["level"]) for row in written(stream)] == [
        (1, 5, "warning"),
        (4, None, "warning"),
    ]
    logs.configure("INFO", "console", text)
    kind.info(6)
    assert text.getvalue().endswith("info     said alert_id=6 (a)\n")


class Writes(io.StringIO):
    """A stream that counts how often it is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        """Count, and write."""
        self.writes += 1
        return super().write(text)


async def test_lines_of_one_turn_are_written_together_and_in_order() -> None:
    """They are out when the turn of the loop is over, and never after a line that came later."""
    stream, kind = Writes(), logs.Lines("a", "said", ("alert_id",))
    output = logs.configure("INFO", "json", stream)
    for number in range(3):
        kind.info(number)
    assert stream.writes == 0
    await asyncio.sleep(0)
    assert stream.writes == 1
    kind.info(3)
    logs.get("a").info("other", alert_id=4)
    for number in range(5, 5 + logs.HELD_LINES):
        kind.info(number)
    assert [row["alert_id"] for row in written(stream)] == list(range(5 + logs.HELD_LINES)), "a full hold is written"
    kind.info(100)
    logs.configure("INFO", "json", io.StringIO())
    assert written(stream)[-1]["alert_id"] == 100, "a new configuration leaves none behind"
    kind.info(101)
    stream.close()
    assert output.lost == 0


async def test_a_closed_stream_costs_as_many_lines_as_were_held() -> None:
    """Each line that could not be written is counted."""
    stream, kind = io.StringIO(), logs.Lines("a", "said", ("alert_id",))
    output = logs.configure("INFO", "json", stream)
    stream.close()
    kind.info(1)
    kind.info(2)
    await asyncio.sleep(0)
    assert output.lost == 2


def test_texts_are_kept_to_a_bound() -> None:
    """However many different texts come, no more than so many are kept, and long ones never."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    formatter = logs.Formatter("json", Redactor())
    for number in range(logs.KEPT_TEXTS + 10):
        formatter.known(("x",), "info", (f"text {number}",))
    formatter.known(("x",), "info", ("y" * (logs.KEPT_LENGTH + 1),))
    assert 0 < formatter.kept_texts <= logs.KEPT_TEXTS
    assert formatter.known(('"x": ',), "info", ("text 3",)).endswith('"x": "text 3"}')
