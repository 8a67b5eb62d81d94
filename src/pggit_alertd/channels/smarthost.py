"""The mail server all mail goes through, as PGGIT_ALERTD_SMTP_URL names it."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pggit_alertd.errors import SettingsError

VARIABLE = "PGGIT_ALERTD_SMTP_URL"
EXAMPLE = "smtp://user:password@mail.example.com:587"

Security = Literal["none", "starttls", "tls"]
_PORTS: dict[Security, int] = {"none": 25, "starttls": 587, "tls": 465}


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Where and how to hand mail over. `security` must hold before anything else is said; it is never "if offered"."""

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_smtp_url(url: str) -> Smarthost:
    """Return the smarthost. Raises SettingsError that says what to write instead; never shows the URL.

    smtp:// must be upgraded by STARTTLS unless ?tls=none says that clear text is meant; smtps:// is TLS from the start.
    Without a port: 587, 25 and 465. User and password are percent-decoded.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = parts.hostname
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise SettingsError(f"{VARIABLE} can't be read; write {EXAMPLE}, with %40 for @ and so on in it.") from None
    if parts.scheme not in {"smtp", "smtps"} or not host:
        raise SettingsError(f"{VARIABLE} must start with smtp:// or smtps:// and name a host, such as {EXAMPLE}.")
    if parts.path not in {"", "/"} or parts.fragment:
        raise SettingsError(
            f"{VARIABLE} has something behind the host; if the password holds / ? # or @, write %2F %3F %23 or %40."
        )
    if port == 0:
        raise SettingsError(f"{VARIABLE} names port 0; put the mail server's port, or none for the default.")
    if not host.isascii() or not all(char.isalnum() or char in ".-:_" for char in host):
        raise SettingsError(f"{VARIABLE} names a host with characters that can't be in one; write {EXAMPLE}.")
    security = _security(parts.scheme, options)
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if (username is None) != (password is None):
        raise SettingsError(f"{VARIABLE} has a user without a password or the reverse; write both or neither.")
    return Smarthost(host, port or _PORTS[security], security, username, password)


def _security(scheme: str, options: dict[str, str]) -> Security:
    tls = options.pop("tls", None)
    if options:
        raise SettingsError(f"{VARIABLE} has an option other than tls; write ?tls=none, ?tls=starttls or nothing.")
    if scheme == "smtps":
        if tls is not None:
            raise SettingsError(f"{VARIABLE} starts with smtps://, which is TLS already; leave ?tls= out.")
        return "tls"
    if tls in {None, "starttls"}:
        return "starttls"
    if tls == "none":
        return "none"
    raise SettingsError(f"{VARIABLE} has an unknown ?tls=; write none or starttls, or smtps:// for TLS at once.")
