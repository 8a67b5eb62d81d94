"""How one value is read: each kind of setting with its parser, and the words that describe it to people.

A parser raises ValueError with "<what is wrong>; write <the mend>". The variable's name and, where it is no secret,
the value are put in front by whoever reports it. Parsers of secrets never repeat what they were given.
"""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cronsim import CronSim, CronSimError
from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h|d)?", re.ASCII)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_CONNINFO = re.compile(r"""(?:\s*[a-z_]+\s*=\s*(?:'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)+|(?=\s|$)))+\s*""", re.DOTALL)
_PAIRS = re.compile(r"""(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))""")
# What libpq 18 knows; in a URL it takes ssl too, for JDBC's sake. An older one says itself what it does not know.
LIBPQ_OPTIONS = frozenset(
    {
        "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
        "fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr", "keepalives",
        "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts",
        "max_protocol_version", "min_protocol_version", "oauth_client_id", "oauth_client_secret", "oauth_issuer",
        "oauth_scope", "options", "passfile", "password", "port", "replication", "require_auth", "requirepeer",
        "scram_client_key", "scram_server_key", "service", "ssl_max_protocol_version", "ssl_min_protocol_version",
        "sslcert", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile", "sslmode",
        "sslnegotiation", "sslpassword", "sslrootcert", "sslsni", "target_session_attrs", "tcp_user_timeout", "user",
    }
)  # fmt: skip
_ESCAPES = "if the password holds one of @ : / ? # %, write that as %40 %3A %2F %3F %23 %25"
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value, put on a field by `Annotated`.

    `words` is what the reference says it may hold; `show` writes a value as a person would.
    """

    words: str
    parse: Callable[[Any], Any]
    show: Callable[[Any], str] = str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Run the parser before pydantic's own check of the type."""
        return core_schema.no_info_before_validator_function(self.parse, handler(source))


def whole(low: int, high: int) -> Kind:
    """Return the kind for whole numbers within bounds, both included."""

    def parse(value: Any) -> int:
        mend = f"write one from {low} to {high}"
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,18}", str(value).strip(), re.ASCII):
            raise ValueError(f"is not a whole number; {mend}")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"is too {'small' if number < low else 'large'}; {mend}")
        return number

    return Kind(f"whole number, {low} to {high}", parse)


def amount(low: float, high: float) -> Kind:
    """Return the kind for a number, whole or not."""

    def parse(value: Any) -> float:
        try:
            number = float(str(value).strip())
        except ValueError:
            raise ValueError(f"is not a number; write {low:g} to {high:g}") from None
        if not math.isfinite(number) or not low <= number <= high:
            raise ValueError(f"is too {'small' if number < low else 'large'}; write {low:g} to {high:g}")
        return number

    return Kind(f"number, {low:g} to {high:g}", parse, "{:g}".format)


def duration(low: float, high: float) -> Kind:
    """Return the kind for seconds as a float; text may carry a unit. Bounds are included."""

    def parse(value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
        else:
            match = _DURATION.fullmatch(str(value).strip())
            if match is None:
                raise ValueError(
                    "is not a length of time; write seconds, or a number with a unit: 500ms, 20s, 15m, 4h, 7d"
                )
            number = float(match[1]) * _UNITS[match[2] or "s"]
        if not math.isfinite(number) or not low <= number <= high:
            raise ValueError(f"is too {'short' if number < low else 'long'}; write {span(low)} to {span(high)}")
        return number

    return Kind(f"duration, {span(low)} to {span(high)}", parse, span)


def span(seconds: float) -> str:
    """Return seconds as a person would write them: 0.02 → 20ms, 14400 → 4h, 90 → 90s."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("is neither yes nor no; write true or false")


def one_of(*words: str, upper: bool = False) -> Kind:
    """Return the kind for one of a few words, in any case."""

    def parse(value: Any) -> str:
        word = str(value).strip()
        word = word.upper() if upper else word.lower()
        if word not in words:
            raise ValueError(f"is not one of the words known here; write {', '.join(words[:-1])} or {words[-1]}")
        return word

    return Kind(" or ".join(f"`{word}`" for word in words), parse)


def line(most: int) -> Kind:
    """Return the kind for plain text on one line."""

    def parse(value: Any) -> str:
        text = str(value).strip()
        if not text or len(text) > most or not text.isprintable():
            raise ValueError(f"is not one line of plain text; write 1 to {most} printable characters")
        return text

    return Kind(f"text, up to {most} characters", parse)


def _host(value: Any) -> str:
    text = str(value).strip().removeprefix("[").removesuffix("]")
    if not re.fullmatch(r"[0-9A-Za-z_.:%-]{1,255}", text):
        raise ValueError(
            "is not an address to listen at; write an address of this machine, like 127.0.0.1, 0.0.0.0 or ::"
        )
    return text


def _schedule(value: Any) -> str:
    text = " ".join(str(value).split())
    mend = 'write five fields (minute hour day month weekday), like "0 2 * * *" for 02:00 UTC every day'
    if len(text.split(" ")) != 5:  # noqa: PLR2004 - cron has five fields
        raise ValueError(f"is not a cron expression; {mend}")
    try:
        first = next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValueError(f"is not a cron expression ({error}); {mend}") from None
    if first is None:
        raise ValueError(f"names a day that never comes; {mend}")
    return text


def _secret(parse: Callable[[str], str]) -> Callable[[Any], Any]:
    def unwrapped(value: Any) -> Any:
        if value is None:
            return None
        return SecretStr(parse(value.get_secret_value() if isinstance(value, SecretStr) else str(value)))

    return unwrapped


def _database(text: str) -> str:
    mend = 'write postgresql://user:password@host:5432/database or "host=… dbname=… user=…"'
    text = text.strip()
    if "://" not in text:
        if not _CONNINFO.fullmatch(text):
            raise ValueError(f"is neither a postgresql:// URL nor key=value pairs; {mend}")
        _options_known([name for name, _, _ in _PAIRS.findall(text)], LIBPQ_OPTIONS, mend)
        return text
    scheme = text.partition("://")[0]
    if scheme not in {"postgresql", "postgres"}:
        raise ValueError(f"does not begin with postgresql://; {mend}")
    if re.search(r"\s", text):
        raise ValueError(f"holds a space or a line break; {_ESCAPES}, and a space as %20")
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(f"holds a % that is not an escape; {_ESCAPES}")
    authority, _, rest = text.partition("://")[2].partition("/")
    if authority.count("@") > 1 or "@" in rest.partition("?")[0]:
        raise ValueError(f"holds more than one @; {_ESCAPES}")
    for place in authority.rpartition("@")[2].partition("?")[0].split(","):
        port = re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::(\d*))?", place)
        if port is None or int(port[1] or 0) > HIGHEST_PORT:
            raise ValueError(f"has no host:port where one belongs; {mend}; {_ESCAPES}")
    query = text.partition("?")[2]
    _options_known(
        [unquote(each.partition("=")[0]) for each in query.split("&") if each], {*LIBPQ_OPTIONS, "ssl"}, mend
    )
    return text


def _options_known(names: Iterable[str], known: Collection[str], mend: str) -> None:
    """Raise ValueError for an option that libpq would refuse. It is not repeated: it may be a piece of a password."""
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name.lower(), sorted(known), n=1)
            raise ValueError(f"has an option that PostgreSQL doesn't know; {f'write {close[0]}=…' if close else mend}")


def _mail_server(text: str) -> str:
    mend = "write smtp://user:password@host:587?tls=starttls, smtp://host:25?tls=none or smtps://user:password@host:465"
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"is not a mail server's URL; {mend}; {_ESCAPES}") from None
    if parts.scheme not in {"smtp", "smtps"}:
        raise ValueError(f"does not begin with smtp:// or smtps://; {mend}")
    if not host or re.search(r"\s", text) or parts.path not in {"", "/"} or parts.fragment or "@" in parts.query:
        raise ValueError(f"is not a mail server's URL; {mend}; {_ESCAPES}")
    if (parts.username is None) != (parts.password is None):
        raise ValueError(f"has a user without a password or a password without a user; {mend}")
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(name != "tls" for name, _ in query) or len(query) > 1:
        raise ValueError(f"has something other than tls= behind the question mark; {mend}")
    if query and query[0][1] not in {"none", "starttls"}:
        raise ValueError(
            "has a tls= that is not known; write tls=none or tls=starttls, or use smtps:// for TLS at once"
        )
    if query and parts.scheme == "smtps":
        raise ValueError("has both smtps:// and tls=; smtps:// means TLS at once, so write it without tls=")
    return text


def _sender(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value).strip()
    _, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if not text.isprintable() or not local or not domain or " " in address or text.count("@") != 1:
        raise ValueError('is not a mail address; write alerts@example.com or "pgGit alerts <alerts@example.com>"')
    return text


def _service(value: Any) -> str:
    text = str(value).strip().rstrip("/")
    mend = "write https://host, like https://events.pagerduty.com"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"is not a URL; {mend}") from None
    if parts.scheme not in {"https", "http"} or not host or re.search(r"\s", text):
        raise ValueError(f"is not an https:// URL; {mend}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"holds more than a host and a path; {mend}")
    return text


def _ping(text: str) -> str:
    mend = "write the https:// URL that the service gave you for this check"
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"is not a URL; {mend}") from None
    if parts.scheme not in {"https", "http"} or not host or re.search(r"\s", text):
        raise ValueError(f"is not an https:// URL; {mend}")
    if parts.username is not None:
        raise ValueError(f"holds a user name or a password before the host; {mend}")
    return text


def ping_host(text: str) -> str:
    """Return what may be shown of a heartbeat URL that has passed its check: everything behind the host is the key."""
    parts = urlsplit(text)
    return f"{parts.scheme}://{parts.netloc}/***"


def ping_secrets(text: str) -> set[str]:
    """Return the parts of a heartbeat URL that must not be shown: the whole, and what stands behind the host."""
    parts = urlsplit(text)
    behind = text.partition(parts.netloc)[2].strip("/")
    return {form for form in (text, behind, parts.path.rsplit("/", 1)[-1]) if form}


def passwords(text: str) -> set[str]:
    """Return the passwords in a connection string that has passed its check, as written and as meant."""
    if "://" in text:
        parts = urlsplit(text)
        userinfo = parts.netloc.rpartition("@")[0]
        found = {userinfo.partition(":")[2]} | {value for name, value in parse_qsl(parts.query) if "password" in name}
        return {form for password in found if password for form in (password, unquote(password))}
    pairs = _PAIRS.finditer(text)
    written = {pair[2] if pair[3] is None else pair[3] for pair in pairs if "password" in pair[1]}
    return {form for password in written if password for form in (password, re.sub(r"\\(.)", r"\1", password))}


SWITCH = Kind("`true` or `false`", _switch)
HOST = Kind("address or host name of this machine", _host)
CRON = Kind("cron expression, five fields, UTC", _schedule)
DATABASE = Kind("`postgresql://` URL or key=value pairs", _secret(_database))
MAIL_SERVER = Kind("`smtp://` or `smtps://` URL", _secret(_mail_server))
SENDER = Kind("mail address", _sender)
PING = Kind("`https://` URL", _secret(_ping))
SERVICE = Kind("`https://` URL", _service)
