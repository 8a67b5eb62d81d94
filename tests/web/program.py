"""A program behind the pages whose health the test decides, and a clock that it moves."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pggit_alertd.liveness import Liveness, LoopReport
from pggit_alertd.web import Readiness


class HandClock:
    """The wall's time as it is, and a monotonic one that moves when told."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        """Return the wall time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return where the hand stands."""
        return self.at


@dataclass
class Program:
    """A program whose health the test decides."""

    clock: HandClock = field(default_factory=HandClock)
    readiness: Readiness = field(default_factory=lambda: Readiness(ok=True))
    fault: Exception | None = None
    held: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    refreshed: int = 0

    def __post_init__(self) -> None:
        self.liveness = Liveness(self.clock)
        self.beat = self.liveness.loop("router", 10.0)

    def live(self) -> LoopReport:
        """Return the pulses."""
        return self.liveness.report()

    async def _answer(self) -> None:
        self.asked.set()
        if self.fault is not None:
            raise self.fault
        if self.held is not None:
            await self.held.wait()

    async def ready(self) -> Readiness:
        """Return what the test says."""
        await self._answer()
        return self.readiness

    async def detail(self) -> dict[str, Any]:
        """Return figures, and by mistake a secret."""
        await self._answer()
        return {"queue": {"pending": 3}, "database_url": "postgresql://u:geheim@db/app"}

    async def refresh_gauges(self) -> None:
        """Count the calls."""
        await self._answer()
        self.refreshed += 1
