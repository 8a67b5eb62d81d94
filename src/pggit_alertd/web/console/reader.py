"""What the console knows of the database: figures of a moment ago, and never at the expense of deliveries.

One reading at a time for the whole console, on one connection, in a read-only transaction with a time limit. A page's
figures are kept for FRESH seconds, so any number of open browsers costs one reading in that time. While the database
is away a page gets its last figures with their age and the reason. No page waits longer than PATIENCE: a reading that
hangs is left to end by itself, and until it has, nobody starts another.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pggit_alertd import logs, redaction
from pggit_alertd.clock import Clock
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError
from pggit_alertd.rendering.text import one_line

FRESH = 2.0
PATIENCE = 1.5
STATEMENT_SECONDS = 1.0
# Pages differ by their filters; the least recently looked at is forgotten.
MOST_PAGES = 64
TEXT_LIMIT = 2000
MASK = "***"

_ADDRESS = re.compile(r"([^\s<>\"',;:()\[\]@])[^\s<>\"',;:()\[\]@]{0,255}@([^\s<>\"',;:()\[\]@]{1,255})")
_log = logs.get("web")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement of sql/queries and what it is given."""

    query: str
    parameters: Mapping[str, Hashable] = field(default_factory=dict)

    @property
    def key(self) -> Hashable:
        """Return what two asks for the same figures have in common."""
        return self.query, tuple(sorted(self.parameters.items()))


@dataclass(frozen=True, slots=True)
class Figures:
    """A page's rows, by query. `at` is when they were read, None if they never were; `trouble` is why they are old."""

    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    at: datetime | None = None
    age: float = 0.0
    trouble: str = ""

    def rows(self, query: str) -> Sequence[Row]:
        """Return the rows of a query, none if they are not known."""
        return self.tables.get(query, ())

    @property
    def known(self) -> bool:
        """Whether there are figures at all."""
        return self.at is not None


@dataclass(frozen=True, slots=True)
class _Kept:
    tables: Mapping[str, Sequence[Row]]
    at: datetime
    monotonic: float


class Reader:
    """The console's only way to the database."""

    def __init__(self, database: Database, clock: Clock, *, patience: float = PATIENCE) -> None:
        self._database = database
        self._clock = clock
        self._patience = patience
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._turn = asyncio.Lock()
        self._hanging: asyncio.Task[list[list[dict[str, Any]]]] | None = None

    async def figures(self, asks: Sequence[Ask]) -> Figures:
        """Return the figures for a page. Never raises, and returns within the patience."""
        key = tuple(ask.key for ask in asks)
        trouble = ""
        try:
            async with asyncio.timeout(self._patience), self._turn:
                if not self._fresh(key):
                    trouble = await self._read(key, asks)
        except TimeoutError:
            trouble = self._database.trouble or f"PostgreSQL did not answer within {self._patience:g} s."
        kept = self._kept.get(key)
        if kept is None:
            return Figures(trouble=trouble)
        return Figures(kept.tables, kept.at, self._clock.monotonic() - kept.monotonic, trouble)

    def _fresh(self, key: Hashable) -> bool:
        kept = self._kept.get(key)
        return kept is not None and self._clock.monotonic() - kept.monotonic < FRESH

    async def _read(self, key: Hashable, asks: Sequence[Ask]) -> str:
        """Read and keep; return what went wrong, if anything did."""
        if self._hanging is not None and not self._hanging.done():
            return self._database.trouble or "An earlier question to PostgreSQL has not been answered yet."
        began = self._clock.monotonic(), self._clock.now()
        asked = [(ask.query, ask.parameters) for ask in asks]
        # A task, so that a cancellation which has to wait for the server's own answer doesn't hold up the page.
        self._hanging = task = asyncio.ensure_future(self._database.read(asked, seconds=STATEMENT_SECONDS))
        try:
            tables = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(_forget)
            raise
        except DatabaseError as error:
            return masked(str(error))
        shown = {ask.query: _shown(rows) for ask, rows in zip(asks, tables, strict=True)}
        self._kept[key] = _Kept(shown, began[1], began[0])
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_PAGES:
            self._kept.popitem(last=False)
        return ""


def masked(text: str) -> str:
    """Return a text as a page may show it: one line, without secrets, mail addresses cut to letter and domain."""
    shown = redaction.text(one_line(text, TEXT_LIMIT))
    return _ADDRESS.sub(rf"\1{MASK}@\2", shown) if "@" in shown else shown


def _shown(rows: Sequence[Row]) -> Sequence[Row]:
    return [{name: _value(value) for name, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    """Return what pages and charts work with: texts that may be shown, and times in UTC."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return [masked(each) if isinstance(each, str) else each for each in value] if isinstance(value, list) else value


def _forget(task: asyncio.Task[list[list[dict[str, Any]]]]) -> None:
    """Take note of how an abandoned reading ended, so that nothing is reported as never retrieved."""
    with suppress(asyncio.CancelledError):
        if task.exception() is not None:
            _log.debug("console_reading_abandoned", error=str(task.exception()))
