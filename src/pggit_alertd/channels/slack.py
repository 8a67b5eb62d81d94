"""Slack, and whatever speaks its incoming webhooks: one POST, success is 200 with the body `ok`.

Sources of every word below: docs.slack.dev and the changelog of 2016-05-17 for the official errors, and reports from
Alertmanager, Grafana and healthchecks for the rest.
"""

# ruff: noqa: PLR2004 - reply codes stand as the protocol writes them

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pggit_alertd.channels import configs
from pggit_alertd.channels.endpoints import Endpoint, endpoint
from pggit_alertd.channels.http import HttpClient, Reply, parse_retry_after
from pggit_alertd.channels.masking import scrub
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient
from pggit_alertd.rendering import slack as rendering

EXAMPLE = '{"webhook": "<the URL of an incoming webhook>"}'
DEFAULT_RETRY_AFTER = 30.0
CHANNEL_LIMIT = 80

GONE = frozenset(
    {
        "action_prohibited",
        "channel_is_archived",
        "channel_not_found",
        "invalid_token",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "posting_to_general_channel_denied",
        "team_disabled",
        "user_not_found",
    }
)
"""Words that condemn the webhook: nothing will arrive there until somebody mends it."""

REFUSED = frozenset(
    {
        "invalid_attachments",
        "invalid_blocks",
        "invalid_payload",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
"""Words that condemn this message only: a plainer one may pass."""


@dataclass(frozen=True, slots=True)
class SlackDestination:
    """Where the webhook points, and the channel a legacy webhook is asked to post to."""

    endpoint: Endpoint
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """The full message, and the notification from which the plain one is made if it is ever needed."""

    payload: bytes
    notification: Notification


class SlackChannel:
    """Posts to incoming webhooks."""

    name = "slack"
    keys = ("webhook", "webhook_url", "channel")

    def __init__(self, client: HttpClient, *, deadline: float, allow_insecure: bool = False) -> None:
        self.deadline = deadline
        self._client = client
        self._allow_insecure = allow_insecure

    def parse(self, config: Mapping[str, Any]) -> SlackDestination:
        """Return the destination. Raises DestinationError naming `webhook` or `channel`."""
        config = configs.mapping(config, EXAMPLE)
        key, url = configs.first_of(config, ("webhook", "webhook_url"), EXAMPLE)
        if isinstance(url, str) and "..." in url:
            raise DestinationError(f'"{key}" is a placeholder: put the URL of an incoming webhook in its place.')
        channel = config.get("channel")
        if channel is not None and (not isinstance(channel, str) or len(channel) > CHANNEL_LIMIT):
            raise DestinationError(
                f'"channel" must be a name such as "#alerts" of at most {CHANNEL_LIMIT} characters; or leave it out.'
            )
        return SlackDestination(
            endpoint(url, key=f'"{key}"', allow_insecure=self._allow_insecure), (channel or "").strip() or None
        )

    def render(self, notification: Notification, destination: SlackDestination) -> SlackMessage:
        """Return the message as bytes."""
        return SlackMessage(rendering.message(notification, destination.channel), notification)

    async def send(self, destination: SlackDestination, message: SlackMessage) -> Receipt:
        """Post; what Slack finds wrong with the message itself is answered once with a plain one."""
        receipt = await self._post(destination, message.payload)
        if not isinstance(receipt, Permanent) or receipt.scope is not Scope.MESSAGE:
            return receipt
        plain = await self._post(destination, rendering.plain_message(message.notification, destination.channel))
        if isinstance(plain, Delivered):
            return Delivered(plain.code, f"sent as plain text, because the full message was refused: {receipt.detail}")
        return plain

    async def _post(self, destination: SlackDestination, payload: bytes) -> Receipt:
        reply = await self._client.post(destination.endpoint, payload)
        return classify(reply, destination.endpoint.secrets) if isinstance(reply, Reply) else reply

    async def probe(self, destination: SlackDestination) -> Receipt:
        """Connect to the host; a webhook offers nothing that could be asked without posting."""
        return await self._client.probe(destination.endpoint)

    async def aclose(self) -> None:
        """Close the client, which is shared: closing twice does nothing."""
        await self._client.aclose()


def classify(reply: Reply, secrets: tuple[str, ...] = ()) -> Receipt:  # noqa: PLR0911 - one return a row of the table
    """Return what a reply means."""
    status = reply.status
    if status == 200 and reply.body == b"ok":
        return Delivered(status)
    said = scrub(reply.body, secrets)
    detail = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status == 429:
        told = reply.retry_after if reply.retry_after is not None else _body_retry_after(reply.body)
        return Transient(Reason.RATE_LIMITED, detail, status, DEFAULT_RETRY_AFTER if told is None else told)
    if status >= 500:
        return Transient(Reason.SERVER_ERROR, detail, status, reply.retry_after if status == 503 else None)
    if status in {408, 425}:
        return Transient(Reason.TIMEOUT, detail, status)
    word = _word(reply.body)
    if word in GONE:
        return Permanent(Reason.DESTINATION_GONE, detail, Scope.DESTINATION, status)
    if word in REFUSED or status in {400, 413}:
        return Permanent(Reason.REFUSED_MESSAGE, detail, Scope.MESSAGE, status)
    if status in {404, 410}:
        return Permanent(Reason.DESTINATION_GONE, detail, Scope.DESTINATION, status)
    if status in {401, 403}:
        return Permanent(Reason.AUTH, detail, Scope.DESTINATION, status)
    if 300 <= status < 500:
        return Permanent(Reason.CLIENT_ERROR, detail, Scope.DESTINATION, status)
    # A 2xx without "ok" comes from something between us and Slack; it may have passed the message on.
    return Transient(Reason.UNEXPECTED_REPLY, detail, status, ambiguous=True)


def _word(body: bytes) -> str:
    text = body[:4096].decode("utf-8", "replace").strip()
    if text.startswith("{"):
        try:
            error = json.loads(text).get("error")
        except ValueError:
            return ""
        return error if isinstance(error, str) else ""
    return text.split(":", 1)[0].strip()


def _body_retry_after(body: bytes) -> float | None:
    try:
        found = json.loads(body[:4096])
    except ValueError:
        return None
    return parse_retry_after(found.get("retry_after")) if isinstance(found, dict) else None
