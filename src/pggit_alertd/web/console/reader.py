"""What the console knows of the database: figures of a moment ago, and never at the expense of deliveries.

One reading at a time for the whole console, on one connection, in a read-only transaction with a time limit. A page's
figures are kept for FRESH seconds, so any number of open browsers costs one reading in that time. While the database
is away a page gets its last figures with their age and the reason, and nobody asks again for FRESH seconds. No page
waits longer than PATIENCE: a reading that hangs is left to end by itself, and until it has, nobody starts another.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pggit_alertd import redaction
from pggit_alertd.clock import Clock
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError
from pggit_alertd.rendering.text import one_line

FRESH = 2.0
PATIENCE = 1.0
STATEMENT_SECONDS = 0.8
# Pages differ by their filters; the least recently looked at is forgotten.
MOST_PAGES = 64
TEXT_LIMIT = 2000
MASK = "***"

_ADDRESS = re.compile(r"([^\s<>\"',;:()\[\]@])[^\s<>\"',;:()\[\]@]{0,255}@([^\s<>\"',;:()\[\]@]{1,255})")

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
        self._trouble = ""
        self._failed = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def figures(self, asks: Sequence[Ask]) -> Figures:
        """Return the figures for a page. Never raises a DatabaseError, and returns within the patience."""
        key = tuple(ask.key for ask in asks)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience), self._turn:
                await self._renew(key, asks)
        kept = self._kept.get(key)
        late = f"PostgreSQL did not answer within {self._patience:g} s."
        trouble = "" if self._fresh(key) else self._trouble or masked(self._database.trouble) or late
        if kept is None:
            return Figures(trouble=trouble)
        return Figures(kept.tables, kept.at, self._clock.monotonic() - kept.monotonic, trouble)

    async def aclose(self) -> None:
        """Give up a reading that still hangs."""
        if self._reading is not None and self._reading.cancel():
            with suppress(asyncio.CancelledError):
                await self._reading

    async def _renew(self, key: Hashable, asks: Sequence[Ask]) -> None:
        """Read unless it was tried a moment ago. A reading outlives a page that has lost its patience.

        So its figures, or the reason that the pool finds only after a while, are there for whoever asks next.
        """
        now = self._clock.monotonic()
        if self._fresh(key) or now - self._failed < FRESH or (self._reading is not None and not self._reading.done()):
            return
        self._reading = asyncio.ensure_future(self._read(key, asks))
        await asyncio.shield(self._reading)

    async def _read(self, key: Hashable, asks: Sequence[Ask]) -> None:
        """Read and keep, or remember what went wrong."""
        began = self._clock.monotonic(), self._clock.now()
        asked = [(ask.query, ask.parameters) for ask in asks]
        try:
            tables = await self._database.read(asked, seconds=STATEMENT_SECONDS)
        except DatabaseError as error:
            self._trouble = masked(str(error))
            self._failed = self._clock.monotonic()
            return
        self._trouble = ""
        shown = {ask.query: _shown(rows) for ask, rows in zip(asks, tables, strict=True)}
        self._kept[key] = _Kept(shown, began[1], began[0])
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_PAGES:
            self._kept.popitem(last=False)

    def _fresh(self, key: Hashable) -> bool:
        kept = self._kept.get(key)
        return kept is not None and self._clock.monotonic() - kept.monotonic < FRESH


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
