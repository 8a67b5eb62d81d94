"""Which URLs may be posted to: https, a public address, nothing hidden in the URL.

A setting can be written by people who are not the daemon's operator, and the daemon stands inside the network. Without
this policy a webhook could aim at a cloud's metadata service or at a neighbour's admin port. Literal addresses are
judged here; names are judged when they are resolved for the connection (`http`), so that a name which resolves to
something else the second time gains nothing.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass, field

from pggit_alertd.channels.masking import variants
from pggit_alertd.errors import DestinationError
from pggit_alertd.lean import hidden

with hidden("rich", "pygments"):
    import httpx

URL_LIMIT = 2048
_SECRET_PART = 6

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that passed the policy. `secrets` are the parts of it that must never be shown."""

    url: httpx.URL = field(repr=False)
    host: str
    port: int
    tls: bool
    secrets: tuple[str, ...] = field(repr=False, default=())


def endpoint(text: object, *, key: str, allow_insecure: bool, secret: bool = True) -> Endpoint:
    """Return the endpoint a URL names. Raises DestinationError saying what `key` should hold; never shows the URL."""
    if not isinstance(text, str) or not text.strip():
        raise DestinationError(f"{key} must hold a URL that starts with https://.")
    text = text.strip()
    if len(text) > URL_LIMIT:
        raise DestinationError(f"{key} is {len(text)} characters long; put a URL of at most {URL_LIMIT}.")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise DestinationError(f"{key} holds a blank or a character that has no place in a URL; copy the URL again.")
    try:
        url = httpx.URL(text).copy_with(fragment=None)
        port = url.port
    except (httpx.InvalidURL, ValueError, TypeError):
        raise DestinationError(f"{key} is not a URL; put one that starts with https://.") from None
    if url.scheme not in {"https", "http"} or not url.host:
        raise DestinationError(f"{key} must be a URL that starts with https:// and names a host.")
    if url.scheme == "http" and not allow_insecure:
        raise DestinationError(
            f"{key} uses http, which would send the secret in the clear; use https,"
            " or set PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS=true for a test."
        )
    if url.userinfo:
        raise DestinationError(f"{key} must not hold a user name or password before the host; remove them.")
    if port is not None and not 0 < port < 65536:  # noqa: PLR2004
        raise DestinationError(f"{key} names port {port}; put one from 1 to 65535.")
    if not allow_insecure and not _may_be_public(url.host):
        raise DestinationError(
            f"{key} names a private or local address; use a public host,"
            " or set PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS=true if that is meant."
        )
    tls = url.scheme == "https"
    return Endpoint(url, url.host, port or (443 if tls else 80), tls, _secrets(url) if secret else ())


def is_public(address: IPAddress) -> bool:
    """Say whether an address is one on the open internet, also when it is wrapped in an IPv6 transition address."""
    inner: IPAddress | None = None
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def _may_be_public(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        return is_public(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        # "127.1", "0x7f000001" and "2130706433" are addresses too, for every C library that resolves them.
        try:
            return is_public(ipaddress.IPv4Address(socket.inet_aton(name)))
        except OSError:
            return True


def _secrets(url: httpx.URL) -> tuple[str, ...]:
    path = url.raw_path.decode("ascii")
    parts = re.split("[/?&=]", path)
    return variants([str(url), path.strip("/"), *(part for part in parts if len(part) >= _SECRET_PART)])
