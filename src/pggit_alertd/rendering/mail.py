"""A notification as mail: subject, text, and HTML made by a template.

A note stands first, then the headline, then the facts, and a digest's worst alerts in a table. Text is built here and
can't fail. HTML comes from `templates/mail.html.j2`, and operators may put a `mail.html.j2` or
`mail.txt.j2` of their own in a folder; a template that can't be rendered raises RenderingError, and the mail goes out
with the built-in text alone.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox

from pggit_alertd.errors import RenderingError
from pggit_alertd.model import Event, Notification, Severity
from pggit_alertd.rendering import digests
from pggit_alertd.rendering.facts import PROGRAM, facts, footer, is_system, note
from pggit_alertd.rendering.headlines import actor, headline, summary
from pggit_alertd.rendering.slack import color
from pggit_alertd.rendering.text import truncate

SUBJECT_LIMIT = 200
SUBJECT_NAME_LIMIT = 80
BODY_LIMIT = 200_000
WORST = 10

HTML = "mail.html.j2"
TEXT = "mail.txt.j2"
_COLORS = {"danger": "#b42318", "warning": "#b54708", "good": "#027a48"}
_SEVERITY_WORDS = {Severity.CRITICAL: "Critical", Severity.WARNING: "Warning", Severity.INFO: "Information"}


def subject(notification: Notification) -> str:
    """Return the subject. What changes over an alert's life is in brackets, which mail programs ignore to thread."""
    alert = notification.alert
    state = alert.severity.value if notification.event is Event.TRIGGERED else notification.event.value.upper()
    test = "[TEST] " if notification.test else ""
    who = PROGRAM if is_system(alert) else "pgGit"
    said = summary(notification, SUBJECT_NAME_LIMIT).removeprefix(f"{who}: ")
    return truncate(f"{test}[{state}] {who}: {said}", SUBJECT_LIMIT)


def text(notification: Notification) -> str:
    """Return the built-in plain text: the headline at the top, because resolved mails may be folded into a thread."""
    sentence = note(notification)
    known = facts(notification)
    width = max((len(fact.label) for fact in known), default=0) + 1
    parts = [
        [sentence] if sentence else [],
        [headline(notification)],
        [f"{fact.label + ':':<{width}} {fact.value}" for fact in known],
        _text_table(digests.table(notification, WORST)),
        [footer(notification)],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _text_table(table: digests.Table | None) -> list[str]:
    if table is None:
        return []
    rows = [table.columns, *table.rows]
    widths = [max(len(row[number]) for row in rows) for number in range(len(table.columns))]
    return [
        f"{table.title}:",
        *("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
    ]


class MailTemplates:
    """The templates, compiled once at first use. Rendered in a sandbox: an operator's folder is not our code."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = Path(folder) if folder is not None else None

    def html(self, notification: Notification) -> str:
        """Return the HTML part. Raises RenderingError."""
        return self._render(HTML, self._environment, notification)

    def text(self, notification: Notification) -> str:
        """Return the text part: the operator's template if there is one. Raises RenderingError."""
        if self._folder is None or not (self._folder / TEXT).is_file():
            return text(notification)
        return self._render(TEXT, self._environment, notification)

    @cached_property
    def _environment(self) -> jinja2.Environment:
        built_in = jinja2.PackageLoader("pggit_alertd.rendering", "templates")
        own = [jinja2.FileSystemLoader(self._folder)] if self._folder is not None else []
        return jinja2.sandbox.ImmutableSandboxedEnvironment(
            loader=jinja2.ChoiceLoader([*own, built_in]),
            autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def _render(self, name: str, environment: jinja2.Environment, notification: Notification) -> str:
        try:
            rendered = environment.get_template(name).render(context(notification))
        except Exception as error:  # a template is somebody else's program and can raise anything
            raise RenderingError(
                f"{name} can't be rendered: {type(error).__name__}: {truncate(str(error), 200)}"
            ) from error
        if len(rendered) > BODY_LIMIT:
            raise RenderingError(f"{name} gives {len(rendered)} characters; keep it under {BODY_LIMIT}")
        return rendered


def context(notification: Notification) -> Mapping[str, Any]:
    """Return what templates may use: only finished, single-line values. docs/templates.md lists them for operators."""
    name = color(notification)
    return {
        "note": note(notification),
        "headline": headline(notification),
        "actor": actor(notification),
        "facts": facts(notification),
        "worst": digests.table(notification, WORST),
        "footer": footer(notification),
        "color": _COLORS.get(name, "#175cd3"),
        "severity": _SEVERITY_WORDS[notification.alert.severity],
        "event": notification.event.value,
        "test": notification.test,
    }
