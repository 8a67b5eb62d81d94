"""What may be told about a destination: masked addresses, and replies with every known secret taken out.

Receivers like to echo what they were sent ("Invalid key: …", "<ops@example.com>: user unknown"), and a receipt's detail
ends in the delivery log and on a screen. So what a receiver says is quoted only after it went through `scrub`.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from pggit_alertd.rendering.text import one_line

MASK = "***"
DETAIL_LIMIT = 300
# Only so much of a reply is looked at; the tail that a secret could straddle is dropped before anything is shown.
SCAN_LIMIT = 4096

# A piece of a secret is as bad as the whole: any run of this many characters that occurs in a secret goes.
_RUN = re.compile(r"[A-Za-z0-9_+/=%~-]{8,}")
_ADDRESS = re.compile(r"[^\s<>\"',;:()\[\]@]{1,256}@[^\s<>\"',;:()\[\]@]{1,255}")
_SHORTEST = 4


def mask_address(address: str) -> str:
    """Return a mail address as people may see it: first letter and domain."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}{MASK}@{domain}" if at else MASK


def variants(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in every spelling a receiver could echo them in, longest first."""
    known = {spelling for secret in secrets for spelling in (secret, unquote(secret)) if len(spelling) >= _SHORTEST}
    return tuple(sorted(known, key=len, reverse=True))


def scrub(text: str | bytes, secrets: tuple[str, ...] = (), limit: int = DETAIL_LIMIT) -> str:
    """Return what a receiver said as one short line without any of the secrets, parts of them, or mail addresses."""
    if isinstance(text, bytes):
        text = text[: 4 * SCAN_LIMIT].decode("utf-8", "replace")
    if len(text) > SCAN_LIMIT:
        longest = max((len(secret) for secret in secrets), default=0)
        text = text[: max(SCAN_LIMIT - longest, 0)]
    lowered = tuple(secret.lower() for secret in secrets)
    for secret in secrets:
        text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
    if lowered:
        text = _RUN.sub(lambda run: MASK if any(run[0].lower() in secret for secret in lowered) else run[0], text)
    text = _ADDRESS.sub(lambda found: mask_address(found[0]), text)
    return one_line(text, limit)
