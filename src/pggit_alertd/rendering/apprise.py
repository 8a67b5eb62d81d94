"""A notification as title and text for Apprise, which puts them into whatever form each of its services takes.

Nobody knows here what markup the service at the other end reads: Slack's, HTML, Markdown, or none. So the characters
that open markup or call everybody (`<!channel>`, `@everyone`, tags) are replaced by ones that look alike and do
nothing.
"""

from dataclasses import dataclass

from pggit_alertd.model import Event, Notification, Severity
from pggit_alertd.rendering import digests
from pggit_alertd.rendering.facts import facts, footer, note
from pggit_alertd.rendering.headlines import headline
from pggit_alertd.rendering.text import truncate

TITLE_LIMIT = 250
BODY_LIMIT = 8000
WORST = 5

_HARMLESS = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "ˋ"})  # noqa: RUF001 - look alike on purpose
KINDS = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}


@dataclass(frozen=True, slots=True)
class Text:
    """What Apprise is given. `kind` is its notify type: info, success, warning or failure."""

    title: str
    body: str
    kind: str


def text(notification: Notification) -> Text:
    """Return title and body: the headline is the title, the body has the note first, the facts, a digest's worst."""
    sentence = note(notification)
    severity = notification.alert.severity
    worst = digests.lines(notification, WORST)
    parts = [
        [sentence] if sentence else [],
        [f"{label}: {value}" for label, value in facts(notification)],
        [f"{digests.title(notification, WORST)}:", *worst] if worst else [],
        [footer(notification)],
    ]
    body = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return Text(
        title=truncate(harmless(f"{severity.value}: {headline(notification)}"), TITLE_LIMIT),
        body=truncate(harmless(body), BODY_LIMIT),
        kind="success" if notification.event is Event.RESOLVED else KINDS[severity],
    )


def harmless(value: str) -> str:
    """Return the text without a character that any service could read as markup that links, tags or calls people."""
    return value.translate(_HARMLESS)
