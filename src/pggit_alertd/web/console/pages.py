"""The console's pages: which figures each one asks for, and what it makes of them for its template."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pggit_alertd import __version__
from pggit_alertd.clock import Clock
from pggit_alertd.rendering.text import one_line
from pggit_alertd.web.console import Process, charts
from pggit_alertd.web.console.reader import Ask, Figures, Reader, Row, masked
from pggit_alertd.web.console.view import View, asset, query

# One row more is read than shown: that is how a page knows that there are older ones.
PAGE = 100
BUCKETS = 72
SPANS = {"1h": 3600.0, "6h": 21600.0, "24h": 86400.0, "7d": 604800.0}
TYPES = ("THRESHOLD_EXCEEDED", "ANOMALY", "DEGRADATION", "SYSTEM")
SEVERITIES = ("CRITICAL", "WARNING", "INFO")
STATUSES = ("sent", "retry", "failed", "released", "held", "superseded", "lost", "suppressed", "test")
CHANNELS = ("email", "slack", "pagerduty", "webhook", "apprise")
NAVIGATION = (
    ("/", "Overview"),
    ("/alerts", "Alerts"),
    ("/latency", "Latency"),
    ("/deliveries", "Deliveries"),
    ("/dead-letters", "Dead letters"),
    ("/baselines", "Baselines"),
    ("/schedule", "Schedule"),
)
_BIGGEST = 2**63 - 1
_LONGEST_FILTER = 500

Handler = Callable[[Request], Awaitable[Response]]


class Pages:
    """The pages, over the figures and over this process's own state."""

    def __init__(self, reader: Reader, process: Process, clock: Clock) -> None:
        self._reader = reader
        self._process = process
        self._clock = clock
        self._view = View()
        self._handlers: Mapping[str, Handler] = {
            "/": self.overview,
            "/alerts": self.alerts,
            "/alerts/{alert_id:int}": self.alert,
            "/latency": self.latency,
            "/deliveries": self.deliveries,
            "/dead-letters": self.dead_letters,
            "/baselines": self.baselines,
            "/schedule": self.schedule,
            "/console/{asset}": self.asset,
        }

    async def answer(self, request: Request) -> Response:
        """Answer the route that the request has found."""
        return await self._handlers[request.scope["route"].path](request)

    async def overview(self, _: Request) -> Response:
        """Show what is firing, what waits and for how long, and who does the work."""
        names = (
            "console_firing",
            "queue_depth",
            "outbox_depth",
            "console_destinations",
            "console_workers",
            "console_jobs",
            "console_delivery_hours",
        )
        figures = await self._reader.figures([Ask(name) for name in names])
        firing = figures.rows("console_firing")
        hours = charts.hours(figures.rows("console_delivery_hours"), figures.at or self._clock.now())
        return self._page(
            "overview.html.j2",
            "/",
            "Overview",
            figures,
            firing=firing,
            firing_alerts=firing[0]["alerts_in_all"] if firing else 0,
            firing_groups=firing[0]["groups_in_all"] if firing else 0,
            queue=_queue(figures.rows("queue_depth")),
            outbox=sum(next(iter(row.values())) for row in figures.rows("outbox_depth")),
            destinations=figures.rows("console_destinations"),
            workers=figures.rows("console_workers"),
            jobs=figures.rows("console_jobs"),
            hours=hours,
            outcomes=charts.OUTCOMES,
        )

    async def alerts(self, request: Request) -> Response:
        """Show the newest alerts that fit the filters."""
        operation = _word(request, "operation")
        kind = _choice(request, "type", TYPES)
        severity = _choice(request, "severity", SEVERITIES)
        open_only = request.query_params.get("unacknowledged") == "1"
        filters = {
            "operation": operation,
            "type": kind,
            "severity": severity,
            "unacknowledged": open_only,
            "before": _number(request, "before"),
        }
        figures = await self._reader.figures([Ask("console_alerts", filters), Ask("console_operations")])
        rows = figures.rows("console_alerts")
        chosen = {
            "operation": operation,
            "type": kind,
            "severity": severity,
            "unacknowledged": "1" if open_only else None,
        }
        return self._page(
            "alerts.html.j2",
            "/alerts",
            "Alerts",
            figures,
            alerts=rows[:PAGE],
            older=_older("/alerts", chosen, rows, "alert_id"),
            filters=filters,
            filtered=any(chosen.values()),
            types=TYPES,
            severities=SEVERITIES,
            operations=_operations(figures),
        )

    async def alert(self, request: Request) -> Response:
        """Show one alert and its trail."""
        alert_id = request.path_params["alert_id"]
        if alert_id > _BIGGEST:
            return self._missing("There is no such alert.")
        asked = {"alert_id": alert_id}
        names = ("console_alert", "console_alert_notifications", "console_alert_trail")
        figures = await self._reader.figures([Ask(name, asked) for name in names])
        found = figures.rows("console_alert")
        trail = figures.rows("console_alert_trail")
        if figures.known and not found and not trail:
            return self._missing(f"There is no alert {alert_id}, and the delivery log holds nothing about it.")
        return self._page(
            "alert.html.j2",
            "/alerts",
            f"Alert {alert_id}",
            figures,
            alert=found[0] if found else None,
            alert_id=alert_id,
            notifications=figures.rows("console_alert_notifications"),
            trail=trail,
        )

    async def latency(self, request: Request) -> Response:
        """Show how long one operation took over time, with its alerts as marks."""
        operation = _word(request, "operation")
        chosen = request.query_params.get("span", "")
        span = chosen if chosen in SPANS else "24h"
        asks = [Ask("console_operations")]
        if operation is not None:
            period = {"operation": operation, "seconds": SPANS[span]}
            asks += [
                Ask("console_latency", {**period, "buckets": BUCKETS}),
                Ask("console_latency_alerts", period),
                Ask("console_latency_baseline", {"operation": operation}),
            ]
        figures = await self._reader.figures(asks)
        baselines = figures.rows("console_latency_baseline")
        alerts = figures.rows("console_latency_alerts")
        chart = charts.latency(
            figures.rows("console_latency"),
            alerts,
            baselines[0] if baselines else None,
            at=figures.at or self._clock.now(),
            seconds=SPANS[span],
            buckets=BUCKETS,
        )
        return self._page(
            "latency.html.j2",
            "/latency",
            "Latency",
            figures,
            operation=operation,
            shown=masked(operation or ""),
            operations=_operations(figures),
            span=span,
            spans=SPANS,
            chart=chart,
            alerts=alerts,
        )

    async def deliveries(self, request: Request) -> Response:
        """Show the newest rows of the delivery log."""
        channel = _choice(request, "channel", CHANNELS)
        status = _choice(request, "status", STATUSES)
        asked = {"channel": channel, "status": status, "before": _number(request, "before")}
        figures = await self._reader.figures([Ask("console_deliveries", asked)])
        rows = figures.rows("console_deliveries")
        return self._page(
            "deliveries.html.j2",
            "/deliveries",
            "Deliveries",
            figures,
            deliveries=rows[:PAGE],
            older=_older("/deliveries", {"channel": channel, "status": status}, rows, "log_id"),
            filters=asked,
            filtered=bool(channel or status),
            channels=CHANNELS,
            statuses=STATUSES,
        )

    async def dead_letters(self, request: Request) -> Response:
        """Show what was given up."""
        figures = await self._reader.figures([Ask("console_dead_letters", {"before": _moment(request, "before")})])
        rows = figures.rows("console_dead_letters")
        return self._page(
            "dead_letters.html.j2",
            "/dead-letters",
            "Dead letters",
            figures,
            letters=rows[:PAGE],
            older=_older("/dead-letters", {}, rows, "processed_at"),
        )

    async def baselines(self, request: Request) -> Response:
        """Show the baselines in use, those that wait for a decision, and what changed."""
        operation = _word(request, "operation")
        asks = [
            Ask("console_baselines"),
            Ask("console_baselines_held"),
            Ask("console_baseline_history", {"operation": operation}),
        ]
        if operation is not None:
            asks.append(Ask("console_baseline_course", {"operation": operation}))
        figures = await self._reader.figures(asks)
        return self._page(
            "baselines.html.j2",
            "/baselines",
            "Baselines",
            figures,
            baselines=figures.rows("console_baselines"),
            held=figures.rows("console_baselines_held"),
            history=figures.rows("console_baseline_history")[:PAGE],
            operation=operation,
            shown=masked(operation or ""),
            operations=sorted({row["operation_type"] for row in figures.rows("console_baselines")}),
            chart=charts.course(figures.rows("console_baseline_course"), figures.at or self._clock.now()),
        )

    async def schedule(self, request: Request) -> Response:
        """Show the built-in jobs and their runs."""
        job = _word(request, "job")
        figures = await self._reader.figures([Ask("console_jobs"), Ask("console_runs", {"job": job})])
        return self._page(
            "schedule.html.j2",
            "/schedule",
            "Schedule",
            figures,
            jobs=figures.rows("console_jobs"),
            runs=figures.rows("console_runs")[:PAGE],
            job=job,
        )

    async def asset(self, request: Request) -> Response:
        """Answer the style sheet, the script and the icon."""
        return asset(request.path_params["asset"]) or self._missing("There is no such file.")

    def _page(self, template: str, path: str, title: str, figures: Figures, **values: Any) -> Response:
        """Return a page with what every page shows; 503 only where there is nothing to show at all."""
        status = HTTPStatus.OK if figures.known else HTTPStatus.SERVICE_UNAVAILABLE
        return self._view.page(template, {**self._common(path, title, figures), **values}, status)

    def _missing(self, sentence: str) -> Response:
        common = self._common("", "Not found", Figures(at=self._clock.now()))
        return self._view.page("missing.html.j2", {**common, "sentence": sentence}, HTTPStatus.NOT_FOUND)

    def _common(self, path: str, title: str, figures: Figures) -> dict[str, Any]:
        return {
            "path": path,
            "title": title,
            "figures": figures,
            "now": self._clock.now(),
            "navigation": NAVIGATION,
            "state": self._process.state(),
            "troubles": [masked(trouble) for trouble in self._process.troubles()],
            "version": __version__,
        }


def _queue(depths: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one row per channel: how much waits, is held and has failed, and for how long the oldest is due."""
    found: dict[str, dict[str, Any]] = {}
    for row in depths:
        channel = found.setdefault(row["channel"], {"pending": 0, "held": 0, "failed": 0, "oldest": 0.0})
        channel[row["status"]] = row["depth"]
        channel["oldest"] = max(channel["oldest"], row["oldest_due_seconds"])
    return [{"channel": channel, **figures} for channel, figures in sorted(found.items())]


def _operations(figures: Figures) -> list[str]:
    return [row["operation_type"] for row in figures.rows("console_operations")]


def _older(path: str, chosen: Mapping[str, object], rows: Sequence[Row], column: str) -> str | None:
    """Return the address of the next page, if there is one."""
    if len(rows) <= PAGE:
        return None
    last = rows[PAGE - 1][column]
    return f"{path}?{query(**chosen, before=last.isoformat() if isinstance(last, datetime) else last)}"


def _word(request: Request, name: str) -> str | None:
    """Return a filter's text, None if it is empty; what PostgreSQL or a page can't hold is taken out."""
    return one_line(request.query_params.get(name, ""), _LONGEST_FILTER) or None


def _choice(request: Request, name: str, choices: Sequence[str]) -> str | None:
    value = request.query_params.get(name)
    return value if value in choices else None


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return (
        min(int(text), _BIGGEST) if text.isascii() and text.isdigit() and len(text) < len(str(_BIGGEST)) + 1 else None
    )


def _moment(request: Request, name: str) -> datetime | None:
    """Return a time with a zone, None for anything else."""
    try:
        moment = datetime.fromisoformat(request.query_params.get(name, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
