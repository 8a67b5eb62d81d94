"""The generic webhook: a POST of documented JSON to anybody's URL, signed as Standard Webhooks describes.

The receiver verifies with a few lines in any language (docs/webhook.md) and drops what it has seen by `webhook-id`,
which is the same over all attempts. Success is any 2xx: what the body of the reply says is the receiver's own affair.
"""

# ruff: noqa: PLR2004 - reply codes stand as the protocol writes them

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pggit_alertd.channels import configs
from pggit_alertd.channels.endpoints import Endpoint, endpoint
from pggit_alertd.channels.http import HttpClient, Reply
from pggit_alertd.channels.masking import scrub, variants
from pggit_alertd.channels.signing import parse_secrets, signature
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient
from pggit_alertd.rendering import webhook as rendering

EXAMPLE = '{"url": "https://example.com/hooks/pggit", "secret": "<the secret you share with the receiver>"}'
DEFAULT_RETRY_AFTER = 30.0
HEADERS_LIMIT = 20
VALUE_LIMIT = 4096

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SET_BY_US = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


@dataclass(frozen=True, slots=True)
class WebhookDestination:
    """Where to post, what to sign with, and the headers that the receiver wants. `secrets` must never be shown."""

    endpoint: Endpoint
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """The body, and the name it has over all attempts."""

    message_id: str
    payload: bytes


class WebhookChannel:
    """Posts signed JSON."""

    name = "webhook"
    keys = ("url", "secret", "headers")

    def __init__(
        self,
        client: HttpClient,
        *,
        deadline: float,
        source: str = "pggit",
        allow_insecure: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.deadline = deadline
        self._client = client
        self._source = source
        self._allow_insecure = allow_insecure
        self._now = now

    def parse(self, config: Mapping[str, Any]) -> WebhookDestination:
        """Return the destination. Raises DestinationError naming `url`, `secret` or `headers`."""
        config = configs.mapping(config, EXAMPLE)
        key, url = configs.first_of(config, ("url",), EXAMPLE)
        where = endpoint(url, key=f'"{key}"', allow_insecure=self._allow_insecure)
        secret = config.get("secret")
        keys = parse_secrets(secret) if secret is not None else ()
        headers = _headers(config.get("headers"))
        written = [secret] if isinstance(secret, str) else list(secret or ())
        bare = [each.strip().removeprefix("whsec_") for each in written]
        hidden = variants([*written, *bare, *(value for _, value in headers)])
        return WebhookDestination(where, keys, headers, (*where.secrets, *hidden))

    def render(self, notification: Notification, destination: WebhookDestination) -> WebhookMessage:  # noqa: ARG002 - the protocol's
        """Return the message as bytes."""
        source = notification.source or self._source
        return WebhookMessage(rendering.message_id(notification), rendering.body(notification, source))

    async def send(self, destination: WebhookDestination, message: WebhookMessage) -> Receipt:
        """Post once; the timestamp is this attempt's, which is what lets a receiver refuse an old request."""
        timestamp = int(self._now())
        headers = dict(destination.headers)
        headers["webhook-id"] = message.message_id
        headers["webhook-timestamp"] = str(timestamp)
        if destination.keys:
            headers["webhook-signature"] = signature(destination.keys, message.message_id, timestamp, message.payload)
        reply = await self._client.post(destination.endpoint, message.payload, headers)
        return classify(reply, destination.secrets) if isinstance(reply, Reply) else reply

    async def probe(self, destination: WebhookDestination) -> Receipt:
        """Connect to the host; only a post could tell more."""
        return await self._client.probe(destination.endpoint)

    async def aclose(self) -> None:
        """Close the client, which is shared: closing twice does nothing."""
        await self._client.aclose()


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    """Return the extra headers of a config. Raises DestinationError."""
    if value is None:
        return ()
    if not isinstance(value, Mapping) or len(value) > HEADERS_LIMIT:
        raise DestinationError(f'"headers" must be an object of at most {HEADERS_LIMIT} names with text behind them.')
    seen: set[str] = set()
    for name, text in value.items():
        lowered = name.lower()
        if not _NAME.fullmatch(name) or lowered in seen:
            raise DestinationError('"headers" has a name that no header can have, or one of them twice; mend it.')
        seen.add(lowered)
        if lowered in _SET_BY_US or lowered.startswith(("webhook-", "proxy-")):
            raise DestinationError(f'"headers" names {lowered}, which this program sets itself; leave it out.')
        if (
            not isinstance(text, str)
            or len(text) > VALUE_LIMIT
            or not (text.isascii() and (text.isprintable() or not text))
        ):
            raise DestinationError(
                f'"headers" has a value that is not one line of ASCII text of at most {VALUE_LIMIT} characters.'
            )
    return tuple(value.items())


def classify(reply: Reply, secrets: tuple[str, ...] = ()) -> Receipt:  # noqa: PLR0911 - one return a row of the table
    """Return what a reply means."""
    status = reply.status
    if 200 <= status < 300:
        return Delivered(status)
    said = scrub(reply.body, secrets)
    detail = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status == 429:
        told = reply.retry_after
        return Transient(Reason.RATE_LIMITED, detail, status, DEFAULT_RETRY_AFTER if told is None else told)
    if status >= 500:
        return Transient(Reason.SERVER_ERROR, detail, status, reply.retry_after if status == 503 else None)
    if status in {408, 425}:
        return Transient(Reason.TIMEOUT, detail, status)
    if status in {401, 403}:
        return Permanent(Reason.AUTH, detail, Scope.DESTINATION, status)
    if status in {404, 410}:
        return Permanent(Reason.DESTINATION_GONE, detail, Scope.DESTINATION, status)
    if 300 <= status < 400:
        return Permanent(Reason.CLIENT_ERROR, f"{detail} (redirects are not followed)", Scope.DESTINATION, status)
    if 400 <= status < 500:
        return Permanent(Reason.REFUSED_MESSAGE, detail, Scope.MESSAGE, status)
    return Transient(Reason.UNEXPECTED_REPLY, detail, status, ambiguous=True)
