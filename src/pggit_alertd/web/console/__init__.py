"""The operator's console: HTML pages on the daemon's own port, read-only, made on the server.

Nothing of it is loaded before somebody looks: templates, charts and pages are imported with the first request, which
keeps an unwatched daemon small. `Reader` is its only way to the database.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from pggit_alertd import logs
from pggit_alertd.clock import Clock
from pggit_alertd.web.console.reader import Reader

if TYPE_CHECKING:
    from pggit_alertd.web.console.pages import Pages

PATHS = (
    "/",
    "/alerts",
    "/alerts/{alert_id:int}",
    "/latency",
    "/deliveries",
    "/dead-letters",
    "/baselines",
    "/schedule",
    "/console/{asset}",
)

_log = logs.get("web")

__all__ = ["PATHS", "Console", "Process", "Reader"]


class Process(Protocol):
    """This replica as the console shows it. Neither method may wait for anything."""

    def state(self) -> dict[str, Any]:
        """Return the process's own figures, as JSON types, without secrets."""

    def troubles(self) -> tuple[str, ...]:
        """Return what stands in the way of its work, in sentences."""


@dataclass
class Console:
    """What the pages are made from."""

    reader: Reader
    process: Process
    clock: Clock
    paths: tuple[str, ...] = PATHS
    _pages: "Pages | None" = None

    async def answer(self, request: Request) -> Response:
        """Answer any of the paths; a fault inside is logged, and told without its text."""
        if self._pages is None:
            from pggit_alertd.web.console.pages import Pages

            self._pages = Pages(self.reader, self.process, self.clock)
        try:
            return await self._pages.answer(request)
        except Exception:  # noqa: BLE001 - a page's edge: a page that can't be made must not end as a broken connection
            _log.exception("console_page_failed", path=request.url.path)
            return PlainTextResponse("This page could not be made. The daemon's log says why.\n", status_code=500)
