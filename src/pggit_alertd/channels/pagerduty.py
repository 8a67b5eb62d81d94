"""PagerDuty's Events API v2: one POST, success is 202, and a stable dedup_key makes every repetition safe.

202 means queued, not that an incident exists. PagerDuty documents no Retry-After: after a 429 the key is paused for
30 s, and twice as long each time it says so again right after a pause. How long that is by now is for the database to
know, because replicas share the key and a restart must not begin anew.
"""

# ruff: noqa: PLR2004 - reply codes stand as the protocol writes them

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pggit_alertd.channels import configs
from pggit_alertd.channels.endpoints import Endpoint
from pggit_alertd.channels.http import HttpClient, Reply
from pggit_alertd.channels.masking import scrub, variants
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient
from pggit_alertd.rendering import pagerduty as rendering

EXAMPLE = '{"routing_key": "<the 32 characters of an Events API v2 integration>"}'
KEY_LENGTH = 32
SHORTEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class PagerDutyDestination:
    """The integration that events go to."""

    routing_key: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PagerDutyMessage:
    """The full event, and the notification from which the smallest one is made if it is ever needed."""

    payload: bytes
    notification: Notification


class PagerDutyChannel:
    """Posts events."""

    name = "pagerduty"
    keys = ("routing_key", "service_key")

    def __init__(
        self,
        client: HttpClient,
        enqueue: Endpoint,
        *,
        deadline: float,
        source: str = "pggit",
    ) -> None:
        self.deadline = deadline
        self._client = client
        self._enqueue = enqueue
        self._source = source

    def parse(self, config: Mapping[str, Any]) -> PagerDutyDestination:
        """Return the destination. Raises DestinationError naming the key that holds the routing key."""
        config = configs.mapping(config, EXAMPLE)
        name, key = configs.first_of(config, ("routing_key", "service_key"), EXAMPLE)
        if not isinstance(key, str):
            raise DestinationError(f'"{name}" must be text: the {KEY_LENGTH} characters of the integration key.')
        key = key.strip()
        if len(key) != KEY_LENGTH or not key.isascii() or not key.isalnum():
            raise DestinationError(
                f'"{name}" must be the {KEY_LENGTH} letters and digits of an Events API v2 integration key;'
                f" it has {len(key)} characters. Copy the key from the service's Integrations page."
            )
        return PagerDutyDestination(key, variants([key]))

    def render(self, notification: Notification, destination: PagerDutyDestination) -> PagerDutyMessage:
        """Return the event as bytes."""
        return PagerDutyMessage(rendering.event(notification, destination.routing_key, self._source), notification)

    async def send(self, destination: PagerDutyDestination, message: PagerDutyMessage) -> Receipt:
        """Post; what PagerDuty finds wrong with the event itself is answered once with the smallest one."""
        receipt = await self._post(destination, message.payload)
        if not isinstance(receipt, Permanent) or receipt.scope is not Scope.MESSAGE:
            return receipt
        smallest = rendering.minimal_event(message.notification, destination.routing_key, self._source)
        again = await self._post(destination, smallest)
        if isinstance(again, Delivered):
            return Delivered(
                again.code, f"sent in its smallest form, because the full event was refused: {receipt.detail}"
            )
        return again

    async def _post(self, destination: PagerDutyDestination, payload: bytes) -> Receipt:
        reply = await self._client.post(self._enqueue, payload)
        return classify(reply, destination.secrets) if isinstance(reply, Reply) else reply

    async def probe(self, destination: PagerDutyDestination) -> Receipt:
        """Connect to the host; the key's shape was judged by `parse`, and only an event could tell more."""
        receipt = await self._client.probe(self._enqueue)
        if isinstance(receipt, Delivered):
            return Delivered(detail=f"{receipt.detail}; the key has the right shape ({len(destination.routing_key)})")
        return receipt

    async def aclose(self) -> None:
        """Close the client, which is shared: closing twice does nothing."""
        await self._client.aclose()


def classify(reply: Reply, secrets: tuple[str, ...] = ()) -> Receipt:  # noqa: PLR0911 - one return a row of the table
    """Return what a reply means."""
    status = reply.status
    if status == 202:
        return Delivered(status)
    said = scrub(reply.body, secrets)
    detail = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status == 429:
        told = reply.retry_after
        return Transient(
            Reason.RATE_LIMITED, detail, status, SHORTEST_PAUSE if told is None else told, grows=told is None
        )
    if status >= 500:
        return Transient(Reason.SERVER_ERROR, detail, status, reply.retry_after if status == 503 else None)
    if status in {408, 425}:
        return Transient(Reason.TIMEOUT, detail, status)
    if status == 413 or (status == 400 and not _names_the_key(reply.body)):
        return Permanent(Reason.REFUSED_MESSAGE, detail, Scope.MESSAGE, status)
    if status in {400, 401, 403}:
        return Permanent(Reason.AUTH, detail, Scope.DESTINATION, status)
    if status in {404, 410}:
        return Permanent(Reason.DESTINATION_GONE, detail, Scope.DESTINATION, status)
    if 300 <= status < 500:
        return Permanent(Reason.CLIENT_ERROR, detail, Scope.DESTINATION, status)
    return Transient(Reason.UNEXPECTED_REPLY, detail, status, ambiguous=True)


def _names_the_key(body: bytes) -> bool:
    """Say whether a 400 blames the routing key. Errors are sentences such as "Length of 'routing_key' is incorrect"."""
    try:
        found = json.loads(body)
    except ValueError:
        return b"routing_key" in body
    return "routing_key" in json.dumps(found) or "service_key" in json.dumps(found)
