"""What a secret looks like, and what is shown in its place: one set of rules for logs, settings and error texts.

Two nets, because either alone has holes: the *name* a value stands under (`password`, `webhook_url`, `config`) and the
*shape* of the value itself wherever it turns up, which is how a secret gets into a log in practice: inside an
exception's text. Both err on the side of masking too much. Everything here is pure and linear in its input.
"""

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "***"

# Longest text looked at. What lies beyond is dropped, together with the last TAIL characters of what is kept, so that
# a secret cut in two by the limit (and therefore no longer of a known shape) goes with it.
LIMIT = 16_384
TAIL = 512
DEPTH = 6
# A known secret shorter than this can't be told from an ordinary word ("postgres"), so only the shapes guard it.
SHORTEST_KNOWN = 10
# pwd=x: nothing shorter has a shape.
SHORTEST_SHAPE = 5
KEY_LENGTH = 32
LONGEST_NAME = 128
MOST_NAMES = 1024

_HIDDEN_NAME = re.compile(
    r"passw|pwd|secret|token|credential|authorization|cookie|sealed|private_?key|encryption_?key"
    r"|(?:api|routing|service|integration|access|signing)[_-]?key|(?:^|_)(?:dsn|conninfo|config)$",
    re.IGNORECASE,
)
# A webhook is a URL, so a number under its name is no secret but a count of webhooks; one under `password` may be both.
_HOOK_NAME = re.compile(r"webhook", re.IGNORECASE)
_COUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_URL_NAME = re.compile(r"(?:^|_)ur[il]s?$", re.IGNORECASE)
_TREATMENTS = {"hide": _HIDDEN_NAME, "hook": _HOOK_NAME, "url": _URL_NAME}

_NAMED = (
    r"(?:passw(?:or)?d|passwd|pwd|secret|token|credentials?|authorization|cookie|webhook(?:_url)?"
    r"|(?:api|routing|service|integration|access|signing|private|encryption)[_-]?key|config(?:_sealed)?)"
)
# The examples in our own hints: exactly these words, and nothing that only looks like them.
PLACEHOLDERS = (
    "<the URL of an incoming webhook>",
    "<the 32 characters of an Events API v2 integration>",
    "<the secret you share with the receiver>",
)
_PLACEHOLDER = "|".join(re.escape(f'"{each}"') for each in PLACEHOLDERS)
_QUOTED = r""""(?:[^"\\]|\\.){0,4096}"?|'(?:[^'\\]|\\.){0,4096}'?"""

# Each shape: the pattern, and what replaces it. Quantifiers are bounded, so that no text costs quadratic time.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # user:password@ with everything up to the last @ of the word: people forget to escape @ and / in passwords.
    (
        re.compile(r"((?:postgres(?:ql)?|smtps?|amqps?|rediss?)://[^\s:@/]{0,256}):\S{0,512}@", re.IGNORECASE),
        rf"\1:{MASK}@",
    ),
    (re.compile(r"(://[^\s:@/]{0,256}):[^\s/]{0,512}@"), rf"\1:{MASK}@"),
    (re.compile(r"(https?://)[^\s:@/]{1,512}@", re.IGNORECASE), rf"\1{MASK}@"),
    (
        re.compile(r"(hooks\.slack(?:-gov)?\.com(?::\d{1,5})?/)[^\s\"'<>)\]]{1,512}", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"(/(?:services|workflows|triggers|webhooks)/)[\w-]{1,64}/[\w/-]{1,256}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(r"(\b(?:bearer|basic|geniekey|plain|login|xoauth2|cram-md5)\s+)[\w+/=.~-]{8,2048}", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (
        re.compile(
            rf"({_NAMED}\\?[\"']?\s{{0,4}}[=:]\s{{0,4}})(?!\*\*\*|(?:{_PLACEHOLDER}))"
            rf"(?:b?(?:{_QUOTED})|[^\s,;&}})\]]{{1,2048}})",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\bxox[a-z]-[\w-]{8,256}", re.IGNORECASE), MASK),
)
_HOOK_PATH = re.compile("/(?:services|workflows|triggers|webhooks)/")
# PagerDuty's keys: 32 letters and digits. The digit keeps long words and names out.
_KEY = re.compile(r"(?<![0-9A-Za-z])(?=[A-Za-z]{0,31}[0-9])[0-9A-Za-z]{32}(?![0-9A-Za-z])")

_DATABASE_URL = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_PAIR = re.compile(r"""([a-z_]{1,64})(\s{0,8}=\s{0,8})('(?:[^'\\]|\\.){0,1024}'|(?:[^\s'\\]|\\.){1,1024})""", re.DOTALL)
_PAIRS = re.compile(rf"\s{{0,8}}{_PAIR.pattern}(?:\s{{1,8}}{_PAIR.pattern})*\s{{0,8}}", re.DOTALL)
# host:port of a connection string, several with commas between them. Anything else may be a piece of a password.
_PLACE = r"(?:\[[^\]]{0,256}\]|[^:\[\],]{0,256})(?::\d{0,5})?"
_PLACES = re.compile(rf"{_PLACE}(?:,{_PLACE})*")
_OPEN_OPTIONS = frozenset(
    {
        "application_name", "connect_timeout", "dbname", "host", "hostaddr", "load_balance_hosts", "options", "port",
        "service", "ssl", "sslmode", "sslrootcert", "target_session_attrs", "tls", "user",
    }
)  # fmt: skip


def text(value: str) -> str:
    """Return the text with everything that has a secret's shape masked, cut at LIMIT."""
    if len(value) > LIMIT:
        return f"{_masked(value[:LIMIT])[:-TAIL]}… ({len(value)} characters)"
    return _masked(value)


def _suspicious(value: str) -> bool:
    """Tell whether the text may hold a secret's shape; False is certain, True is worth the patterns.

    This is what makes redaction cheap: plain searches at 0.1 µs each, against 2 to 15 µs for each pattern, and on the
    usual line none of them hits. Every pattern has its search here. A loop over the words would cost twice as much.
    """
    low = value.lower()
    return (
        "://" in low
        or "xox" in low
        or "private key" in low
        or ("/" in low and ("hooks.slack" in low or _HOOK_PATH.search(low) is not None))
        or "bearer" in low
        or "basic" in low
        or "geniekey" in low
        or "plain" in low
        or "login" in low
        or "xoauth2" in low
        or "cram-md5" in low
        or (
            ("=" in low or ":" in low)
            and (
                "passw" in low
                or "pwd" in low
                or "secret" in low
                or "token" in low
                or "credential" in low
                or "authoriz" in low
                or "cookie" in low
                or "webhook" in low
                or "key" in low
                or "config" in low
            )
        )
        or (len(low) >= KEY_LENGTH and max(map(len, low.split()), default=0) >= KEY_LENGTH)
    )


def _masked(value: str) -> str:
    if len(value) < SHORTEST_SHAPE or not _suspicious(value):
        return value
    for pattern, shown in _SHAPES:
        value = pattern.sub(shown, value)
    return _KEY.sub(MASK, value)


def url(value: str) -> str:
    """Return a URL cut down to scheme, host and port: what tells an operator where it points, and no more.

    Of a database's, in either form, database and user are left too: a socket's folder alone would tell little.
    """
    if _DATABASE_URL.match(value) or _PAIRS.fullmatch(value):
        return connection(value)
    try:
        parts = urlsplit(value)
        origin = parts.netloc.rpartition("@")[2]
    except ValueError:
        return MASK
    if not parts.scheme or not origin:
        return MASK
    bare = parts.path in {"", "/"} and not parts.query and not parts.fragment and "@" not in parts.netloc
    return f"{parts.scheme}://{origin}" if bare else f"{parts.scheme}://{origin}/{MASK}"


def connection(value: str) -> str:
    """Return a connection string with host, port, database, user and harmless options left to see, and nothing else."""
    shown = _masked(value)
    if "://" not in shown:
        return _PAIR.sub(lambda pair: _option(pair[1], pair[2], pair[3]), shown) if _PAIRS.fullmatch(shown) else MASK
    head, mark, query = shown.partition("?")
    if not _PLACES.fullmatch(head.partition("://")[2].partition("/")[0].rpartition("@")[2]):
        return MASK
    return head + mark + "&".join(_option(*each.partition("=")) for each in query.split("&"))


def _option(name: str, equals: str, value: str) -> str:
    """Return one option of a connection string, masked unless it is one of those that hold no secret."""
    if name in _OPEN_OPTIONS or not value:
        return f"{name}{equals}{value}"
    return f"{name}{equals}{MASK}" if name.endswith("password") else MASK


class Redactor:
    """Masks whole log events; it also knows some secrets by heart.

    `known` are values that must never be seen whatever stands around them (the passwords of the settings). They are
    looked for as they are and as they are written in a URL.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = {form for secret in known for form in (secret, quote(secret, safe=""), quote(secret), unquote(secret))}
        self._known = tuple(sorted((f for f in forms if len(f) >= SHORTEST_KNOWN), key=len, reverse=True))
        # What was decided about a name: a program has a few dozen, and each decision costs three patterns.
        self._treatments: dict[str, str] = {}

    def _treatment(self, name: str) -> str:
        """Return what a name asks for: hide, hook (a count is shown), url (cut), odd (mask the name too) or text."""
        if name in self._treatments:
            return self._treatments[name]
        if len(name) > LONGEST_NAME or self.text(name) != name:
            return "odd"
        treatment = next((word for word, names in _TREATMENTS.items() if names.search(name)), "text")
        if len(self._treatments) < MOST_NAMES:
            self._treatments[name] = treatment
        return treatment

    def text(self, value: str) -> str:
        """Return the text without known secrets and without anything shaped like one."""
        for secret in self._known:
            if secret in value:
                value = value.replace(secret, MASK)
        return text(value)

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return a log event with every value masked; masked names come last.

        The plain strings of an event are judged together, in one text: an innocent line, which is nearly every line,
        costs one look instead of one for each value.
        """
        shown: dict[str, Any] = dict(event)
        plain: list[str] = []
        treatments = self._treatments
        for name, value in event.items():
            treatment = treatments.get(name) or self._treatment(name)
            kind = type(value)
            if treatment != "text":
                del shown[name]
                shown[name if treatment != "odd" else self.text(name)[:LONGEST_NAME]] = self.named(name, value)
            elif kind is str:
                plain.append(value)
            elif kind is not int and not (kind is float and isfinite(value)):
                shown[name] = self.value(value)
        if self._tainted("\n".join(plain)):
            for name, value in shown.items():
                if type(value) is str:
                    shown[name] = self.text(value)
        return shown

    def _tainted(self, together: str) -> bool:
        if len(together) > LIMIT or _suspicious(together):
            return True
        for secret in self._known:  # noqa: SIM110 - any() with a generator costs four times this loop
            if secret in together:
                return True
        return False

    def named(self, name: str, value: Any, depth: int = DEPTH) -> Any:
        """Return what may be shown of the value that stands under this name."""
        if value is None or value is True or value is False or value == "":
            return value
        treatment = self._treatment(name)
        if treatment in {"hide", "odd"} or (treatment == "hook" and not _is_count(value)):
            return MASK
        if treatment == "url" and isinstance(value, str):
            return url(value)
        return self.value(value, depth)

    def value(self, value: Any, depth: int = DEPTH) -> Any:  # noqa: PLR0911 - one return for each kind of value
        """Return the value made of JSON's types only, masked all through; what lies too deep is left out."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int or kind is bool or value is None or (kind is float and isfinite(value)):
            return value
        if depth <= 0:
            return "…"
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.named(str(k), v, depth - 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(v, depth - 1) for v in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value).decode("utf-8", "backslashreplace"))
        return self.text(value if isinstance(value, str) else _shown(value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _COUNT.fullmatch(value) is not None)


def _shown(value: object) -> str:
    """Return str() of anything; an object whose __str__ fails must not take the log line with it."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - foreign __str__ may raise anything, and a log call must not
        return f"<{type(value).__name__}: unprintable, {type(error).__name__}>"
