"""Making any text safe to show: control characters out, lengths kept, markup escaped, durations for people.

Operation, branch and user names come from whoever can write a metric, so nothing here trusts them. Everything is pure,
and quick for the usual case of a short printable value: `str.isprintable` costs 40 ns and spares the patterns.
"""

import re
from datetime import UTC, datetime

ELLIPSIS = "…"

# What may not stand in one line of text: C0 and C1 controls (with CR, LF, NUL and ESC), the separators that count as
# line ends, marks that turn the direction of the text around them, and halves of surrogate pairs, which have no bytes.
_CONTROLS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_SURROGATES = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def one_line(value: object, limit: int) -> str:
    """Return the value as one line of at most `limit` characters without anything that could act as a control.

    Runs of white space and controls become one space. A value that is not text is turned into text first; a long one
    is cut before it is searched, so a megabyte costs no more than a few kilobytes.
    """
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if len(text) <= limit and text.isprintable() and "  " not in text:
        return text.strip(" ")
    text = text[: 4 * limit + 64]
    text = _SURROGATES.sub("\ufffd", _INVISIBLE.sub("", _CONTROLS.sub(" ", text)))
    return truncate(text.strip(), limit)


def truncate(text: str, limit: int) -> str:
    """Return the text, cut to at most `limit` characters with an ellipsis as the last of them."""
    if len(text) <= limit:
        return text
    return text[: max(limit - 1, 0)].rstrip() + ELLIPSIS[:limit]


def truncate_bytes(text: str, limit: int) -> str:
    """Return the text, cut so that its UTF-8 form has at most `limit` bytes; never cuts a character in two."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    room = max(limit - len(ELLIPSIS.encode()), 0)
    kept = encoded[:room].decode("utf-8", "ignore").rstrip()
    return kept + ELLIPSIS if limit >= len(ELLIPSIS.encode()) else kept


def escape_slack(text: str, limit: int | None = None) -> str:
    """Escape `&`, `<` and `>` and nothing else, which is all Slack asks for; the result keeps within `limit`.

    Unescaped `<!channel>` in an operation's name would page everybody. A cut never leaves half an entity behind.
    """
    if "&" in text or "<" in text or ">" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if limit is None or len(text) <= limit:
        return text
    text = text[: limit - 1]
    ampersand = text.rfind("&", max(len(text) - 4, 0))
    if ampersand >= 0 and ";" not in text[ampersand:]:
        text = text[:ampersand]
    return text + ELLIPSIS


def milliseconds(microseconds: object) -> str:
    """Return a duration in ms with three digits that mean something; from ten seconds on also in larger units.

    Empty for anything that is not a finite number, because a missing duration must leave no trace in the text.
    """
    if isinstance(microseconds, bool) or not isinstance(microseconds, (int, float)):
        return ""
    if not abs(microseconds) < 1e18:  # noqa: PLR2004 - 31,000 years; also false for NaN and infinity
        return ""
    ms = microseconds / 1000
    size = abs(ms)
    if size >= 99.95:  # noqa: PLR2004 - what rounds to 100.0 has three digits before the point
        text = f"{ms:.0f} ms"
    elif size >= 9.995:  # noqa: PLR2004
        text = f"{ms:.1f} ms"
    elif size >= 0.0995:  # noqa: PLR2004
        text = f"{ms:.2f} ms"
    else:
        text = f"{ms:.3f} ms"
    return f"{text} ({span(ms / 1000)})" if size >= 10_000 else text  # noqa: PLR2004


def span(seconds: float) -> str:
    """Return seconds in the two largest units that fit: `12.3 s`, `5 min 3 s`, `2 h 4 min`, `3 d 1 h`."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if round(seconds, 1) < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, next_size, next_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {unit} {rest} {next_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def utc(moment: datetime) -> str:
    """Return a moment in UTC to the second, for people; a moment without a zone is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(" ", "seconds")[:19] + " UTC"


def iso(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with milliseconds, for programs."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"
