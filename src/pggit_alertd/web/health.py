"""What the health pages ask of the program, and what each of them means.

/livez    The loops of this process turn. It never looks at the database: restarting cures a hung loop, not an outage.
/readyz   The work gets done: database reachable, schema the right one, news coming in by LISTEN or by polling.
/healthz  Both of these for people, with the figures behind them.
/metrics  For Prometheus; always answered, also while nothing else works.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from pggit_alertd.liveness import LoopReport


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the work gets done, and if not why: whole sentences without secrets."""

    ok: bool
    reasons: tuple[str, ...] = ()


class HealthSource(Protocol):
    """The program as the health pages see it; the daemon implements it."""

    def live(self) -> LoopReport:
        """Return the loops' pulses. Must not wait for anything."""

    async def ready(self) -> Readiness:
        """Return whether the work gets done."""

    async def detail(self) -> dict[str, Any]:
        """Return figures for people, as JSON types, without secrets; called also while the database is away."""

    async def refresh_gauges(self) -> None:
        """Bring the gauges that mirror the database up to date, or leave them if it is away."""
