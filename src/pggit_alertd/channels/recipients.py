"""Mail recipients: reading them from a config, naming them in the queue, and remembering which need no further attempt.

The queue stores only digests. A digest with REFUSED behind it stands for a recipient that said no for ever; without,
for one that took the message. So a later attempt knows whom to leave out and what to report in the end.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pggit_alertd.channels import configs
from pggit_alertd.errors import DestinationError

EXAMPLE = '{"to": ["ops@example.com"], "cc": ["team@example.com"]}'
RECIPIENTS_LIMIT = 100
ADDRESS_LIMIT = 254
CONFIG_LIMIT = 64 * 1024
REFUSED = "!"

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})*)")
_BRACKETED = re.compile(r"[^<>]*<([^<>]*)>")


def recipient_digest(address: str) -> str:
    """Return the name a recipient has in the queue; the same for every spelling that reaches the same mailbox."""
    return hashlib.sha256(address.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def parse_recipients(config: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the addresses of To and Cc, each once. Raises DestinationError naming the key to mend."""
    found = configs.mapping(config, EXAMPLE)
    configs.first_of(found, ("to", "email"), EXAMPLE)
    to = dict.fromkeys(_addresses(found, "to") + _addresses(found, "email"))
    if not to:
        raise DestinationError(f'"to" is empty; put at least one mail address, such as {EXAMPLE}.')
    known = {address.lower() for address in to}
    cc = dict.fromkeys(address for address in _addresses(found, "cc") if address.lower() not in known)
    if len(to) + len(cc) > RECIPIENTS_LIMIT:
        raise DestinationError(
            f'"to" and "cc" hold {len(to) + len(cc)} addresses; use a mailing list for more than {RECIPIENTS_LIMIT}.'
        )
    return tuple(to), tuple(cc)


def _addresses(config: Mapping[str, Any], key: str) -> list[str]:
    value = config.get(key)
    if value is None:
        return []
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise DestinationError(f'"{key}" must be a mail address or a list of them, such as {EXAMPLE}.')
    if sum(len(entry) for entry in entries) > CONFIG_LIMIT:
        raise DestinationError(f'"{key}" is longer than {CONFIG_LIMIT} characters; put mail addresses only.')
    parts = [part.strip() for entry in entries for part in re.split(r"[,;\n]", entry)]
    return [parse_address(part, key) for part in parts if part]


def parse_address(text: str, key: str) -> str:
    """Return the bare address in `ops@example.com` or `Ops <ops@example.com>`, its domain in ASCII.

    Letters outside ASCII are fine in the domain. Before the @ they would need SMTPUTF8 on every server on the way,
    which can't be known beforehand: an alert must not depend on it.
    """
    text = text.strip()
    bracketed = _BRACKETED.fullmatch(text)
    address = bracketed[1].strip() if bracketed else text
    local, at, domain = address.rpartition("@")
    if at and not local.isascii():
        raise DestinationError(
            f'"{key}" holds an address with letters outside ASCII before the @ (domain {domain[:80]!a});'
            " not every mail server takes those, so put an ASCII alias of the mailbox."
        )
    if at and not domain.isascii():
        try:
            address = f"{local}@{domain.encode('idna').decode('ascii')}"
        except UnicodeError:
            address = ""
    match = _ADDRESS.fullmatch(address) if len(address) <= ADDRESS_LIMIT else None
    # What looks like an encoded word would be decoded by Python's header classes, whatever it then holds.
    if match is None or len(match["local"]) > 64 or "=?" in address:  # noqa: PLR2004 - RFC 5321 4.5.3.1.1
        raise DestinationError(f'"{key}" holds something that is not a mail address; put one such as ops@example.com.')
    return f"{match['local']}@{match['domain'].lower()}"
