"""Templates and headers: how the console's pages look to a browser, and what the browser lets them do.

The policy allows nothing but our own style sheet and script: no inline code, no foreign host, no frame, no form that
leads elsewhere. Whatever a hostile operation name could smuggle past the escaping would still not run.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup, escape
from starlette.responses import Response

from pggit_alertd.rendering.text import iso, milliseconds, span, utc
from pggit_alertd.store import COUNTED

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ASSETS = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_YEAR = "public, max-age=31536000, immutable"


class View:
    """The templates, compiled as they are used."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "ms": milliseconds,
            "took": _took,
            "about": about,
            "utc": utc,
            "count": _count,
            "depth": _depth,
            "percent": _percent,
        }
        self._environment.globals |= {"asset": asset_url, "when": when, "query": query}
        # A module of macros as a global: blocks of a template that extends another can't see its imports.
        self._environment.globals["parts"] = self._environment.get_template("parts.html.j2").module

    def page(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """Return a page as a response."""
        text = self._environment.get_template(template).render(values)
        return Response(text, status, HEADERS, media_type="text/html")


def when(moment: datetime | None, now: datetime) -> Markup:
    """Return how long ago a moment was or how far ahead it is, with the exact time for those who point at it."""
    if moment is None:
        return Markup('<span class="none">never</span>')
    distance = (now - moment).total_seconds()
    size = about(abs(distance))
    text = "now" if abs(distance) < 1 else f"{size} ago" if distance > 0 else f"in {size}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso(moment), utc(moment), text)


def query(**values: object) -> str:
    """Return values as the query of an address, the empty ones left out."""
    return urlencode({name: value for name, value in values.items() if value is not None and value != ""})


def asset_url(name: str) -> str:
    """Return where an asset is; the address changes with its content, so browsers may keep it."""
    return f"/console/{name}?v={_asset(name)[1]}"


def asset(name: str) -> Response | None:
    """Return an asset as a response, None if there is no such asset."""
    if name not in ASSETS:
        return None
    body, _ = _asset(name)
    return Response(body, headers={**HEADERS, "Cache-Control": _YEAR}, media_type=ASSETS[name])


@cache
def _asset(name: str) -> tuple[bytes, str]:
    body = (HERE / "static" / name).read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:12]


def about(seconds: float) -> str:
    """Return a span of time without tenths of seconds."""
    return f"{seconds:.0f} s" if seconds < 59.5 else span(seconds)  # noqa: PLR2004 - what rounds to 60 is a minute


def _took(milliseconds: float) -> str:
    """Return whole milliseconds, from ten seconds on in larger units."""
    return f"{milliseconds:,} ms" if milliseconds < 10_000 else about(milliseconds / 1000)  # noqa: PLR2004


def _count(value: float) -> str:
    return f"{value:,}"


def _depth(count: int) -> str:
    """Return how much waits; the queue's depth is counted to a bound, which then means at least so many."""
    return f"{_count(count)}{'+' if count >= COUNTED else ''}"


def _percent(value: float) -> Markup:
    """Return a place in a drawing."""
    return escape(f"{value:.2f}%")
