"""The only module that imports Apprise, and the policy that can be kept around plugins nobody here wrote.

What is checked: the service is reached over TLS and its certificate verified, a host that the URL names has public
addresses only, redirects are not followed. A plugin may still do what it likes with the rest of its URL, and resolves
the name again; docs/apprise.md says so to operators. Blocking, so everything here runs in a thread.
"""

import ipaddress
import logging
import socket
import threading
from typing import Any

import apprise
from apprise.common import OverflowMode

from pggit_alertd.channels.endpoints import is_public
from pggit_alertd.errors import DestinationError
from pggit_alertd.rendering.apprise import Text

SWITCH = "PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS"
CONNECT_SECONDS = 5.0


class _Complaints(logging.Handler):
    """Keeps what a plugin complains of in the thread that listens, and lets no line of the library get any further.

    Its own log names URLs with their secrets, and those of requests and urllib3 name paths, which for a webhook is the
    same. What a plugin said reaches the receipt, and only after it was scrubbed.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard = threading.local()

    def begin(self) -> None:
        """Forget what this thread heard before."""
        self._heard.last = ""

    def last(self) -> str:
        """Return the last complaint heard in this thread."""
        return str(getattr(self._heard, "last", ""))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self._heard.last = record.getMessage()


_complaints = _Complaints()
for _name in ("apprise", "urllib3", "requests"):
    _logger = logging.getLogger(_name)
    _logger.propagate = False
    _logger.setLevel(logging.WARNING)
    _logger.addHandler(_complaints if _name == "apprise" else logging.NullHandler())


def notify(url: str, seconds: float, text: Text, *, allow_insecure: bool) -> tuple[bool, str]:
    """Send, and return whether the service took it and what the plugin complained of. Raises DestinationError."""
    _complaints.begin()
    sender = apprise.Apprise()
    sender.add(service(url, seconds, allow_insecure=allow_insecure))
    taken = sender.notify(
        title=text.title,
        body=text.body,
        notify_type=apprise.NotifyType(text.kind),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return bool(taken), _complaints.last()


def service(url: str, seconds: float, *, allow_insecure: bool) -> Any:
    """Return the plugin for a URL, kept to the deadline and the policy. Raises DestinationError naming the mend."""
    scheme = url.partition("://")[0]
    try:
        # In this thread and no other, without a time limit of its own: both would leave threads behind.
        asset = apprise.AppriseAsset(async_mode=False, service_timeout=0, http_redirects=allow_insecure)
    except (TypeError, apprise.exception.AppriseException):
        raise DestinationError(
            "The installed Apprise is too old; run: pip install -U 'pggit-alertd[apprise]'"
        ) from None
    plugin = apprise.Apprise.instantiate(url, asset=asset)
    if plugin is None:
        raise DestinationError(f"Apprise does not understand this {scheme}:// URL; compare it with its documentation")
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, CONNECT_SECONDS, seconds)
    plugin.socket_read_timeout = seconds
    plugin.retry = 0  # retries are the queue's
    if "overflow=" not in url:
        plugin.overflow_mode = OverflowMode.TRUNCATE
    if not allow_insecure:
        plugin.redirects = False
        _require_safe(plugin, scheme)
    return plugin


def _require_safe(plugin: Any, scheme: str) -> None:
    secure = plugin.secure_protocol or ()
    if scheme not in ((secure,) if isinstance(secure, str) else secure):
        raise DestinationError(f"{scheme}:// is not encrypted; use the service's secure scheme, or set {SWITCH}=true")
    if not plugin.verify_certificate:
        raise DestinationError(f"{scheme}:// with verify=no trusts anybody; leave it out, or set {SWITCH}=true")
    if "host" in plugin.template_tokens and plugin.host and not _all_public(str(plugin.host)):
        raise DestinationError(f"{scheme}:// names a private or local address; set {SWITCH}=true if that is meant")


def _all_public(host: str) -> bool:
    """Say whether a name leads to public addresses only; one that can't be resolved is the plugin's to fail on."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None)
    except OSError:
        return True
    return all(is_public(ipaddress.ip_address(str(each[4][0]).partition("%")[0])) for each in found)
