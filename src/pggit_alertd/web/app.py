"""The Starlette application: four pages for programs, GET and HEAD only, never cached, JSON with the reason in it.

No page can wait for ever: what asks the program has a deadline, and what overruns it is answered as not ready. An
error inside is logged and answered by its name only, for these pages are read by anyone who reaches the port. The
console's pages for people are a package of their own.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from pggit_alertd import __version__, logs
from pggit_alertd.liveness import LoopReport
from pggit_alertd.metrics import CONTENT_TYPE, Metrics
from pggit_alertd.redaction import Redactor
from pggit_alertd.web.console import Console
from pggit_alertd.web.health import HealthSource, Readiness

_log = logs.get("web")
# Under the 5 s that probes usually wait, so that they get a reason and not a time-out.
DEADLINE = 3.0

Page = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


class Pages:
    """The pages, over the program they report on. `deadline` is the seconds that one answer may take."""

    def __init__(self, health: HealthSource, metrics: Metrics, *, deadline: float = DEADLINE) -> None:
        self._health = health
        self._metrics = metrics
        self._deadline = deadline
        self._redactor = Redactor()

    async def livez(self, _: Request) -> Response:
        """Answer 200 if every loop ticked within its limit."""
        report = self._health.live()
        return self._json(_status(report.ok), {"ok": report.ok, "reasons": report.reasons, "loops": _loops(report)})

    async def readyz(self, _: Request) -> Response:
        """Answer 200 if the work gets done."""
        readiness = await self._ready()
        return self._json(_status(readiness.ok), {"ok": readiness.ok, "reasons": readiness.reasons})

    async def healthz(self, _: Request) -> Response:
        """Answer 200 if live and ready, with the figures behind it."""
        report = self._health.live()
        readiness = await self._ready()
        ok = report.ok and readiness.ok
        body: dict[str, Any] = {
            "ok": ok,
            "version": __version__,
            "live": report.ok,
            "ready": readiness.ok,
            "reasons": (*report.reasons, *readiness.reasons),
            "loops": _loops(report),
        }
        detail, why = await self._asked("detail", self._health.detail())
        body["detail"] = {"unavailable": why} if detail is None else detail
        return self._json(_status(ok), body)

    async def metrics(self, _: Request) -> Response:
        """Answer Prometheus, with the gauges as fresh as they can be had."""
        await self._asked("refresh_gauges", self._health.refresh_gauges())
        return Response(self._metrics.render(), media_type=None, headers={"Content-Type": CONTENT_TYPE})

    async def missing(self, request: Request, error: Exception) -> Response:
        """Answer what the router refuses (404, 405) in JSON."""
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        reason = {
            HTTPStatus.NOT_FOUND: "there is no such page; there are /, /livez, /readyz, /healthz and /metrics",
            HTTPStatus.METHOD_NOT_ALLOWED: "this page can only be read; use GET or HEAD",
        }.get(HTTPStatus(status), HTTPStatus(status).phrase)
        response = self._json(status, {"ok": False, "reasons": [reason]})
        response.headers.update(getattr(error, "headers", None) or {})
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET, HEAD"
        return _finished(request, response)

    async def _ready(self) -> Readiness:
        readiness, why = await self._asked("ready", self._health.ready())
        return Readiness(ok=False, reasons=(why,)) if readiness is None else readiness

    async def _asked(self, what: str, answer: Awaitable[T]) -> tuple[T | None, str]:
        """Return the program's answer, or None and a sentence if it fails or takes too long."""
        try:
            async with asyncio.timeout(self._deadline):
                return await answer, ""
        except TimeoutError:
            return None, f"no answer within {self._deadline:g} s"
        except Exception as error:  # noqa: BLE001 - a page's edge: whatever the program's parts raise is a reason, not a crash
            _log.exception("health_question_failed", question=what)
            return None, f"the answer failed: {type(error).__name__}"

    def _json(self, status: int, body: dict[str, Any]) -> Response:
        text = json.dumps(self._redactor.value(body), separators=(",", ":"))
        return Response(f"{text}\n", status_code=status, media_type="application/json")


def create_app(
    health: HealthSource, metrics: Metrics, *, deadline: float = DEADLINE, console: Console | None = None
) -> Starlette:
    """Return the application. It holds no state of its own and starts nothing. Without `console` there is none."""
    pages = Pages(health, metrics, deadline=deadline)
    handlers: dict[Any, ExceptionHandler] = {HTTPException: pages.missing}
    routes = [
        Route(f"/{page.__name__}", _page(page), methods=["GET"])
        for page in (pages.livez, pages.readyz, pages.healthz, pages.metrics)
    ]
    if console is not None:
        routes += [Route(path, _page(console.answer), methods=["GET"]) for path in console.paths]
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def _page(page: Page) -> Page:
    async def answer(request: Request) -> Response:
        return _finished(request, await page(request))

    return answer


def _finished(request: Request, response: Response) -> Response:
    """Put on what every answer carries; HEAD gets the headers of GET and no body."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Date"] = formatdate(usegmt=True)
    if request.method == "HEAD":
        response.body = b""
    return response


def _status(ok: bool) -> int:
    return HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE


def _loops(report: LoopReport) -> list[dict[str, Any]]:
    return [
        {"name": loop.name, "ok": loop.alive, "seconds_since_tick": round(loop.age, 3), "limit": loop.limit}
        for loop in report.loops
    ]
