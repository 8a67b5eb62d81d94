"""Every way to reach people, by name. `build` makes them from plain values, so that nothing here reads settings."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from pggit_alertd import __version__
from pggit_alertd.channels.apprise import AppriseChannel
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.channels.endpoints import endpoint
from pggit_alertd.channels.http import HttpClient, tls_defaults
from pggit_alertd.channels.pagerduty import PagerDutyChannel
from pggit_alertd.channels.protocol import Channel
from pggit_alertd.channels.recipients import recipient_digest
from pggit_alertd.channels.slack import SlackChannel
from pggit_alertd.channels.webhook import WebhookChannel
from pggit_alertd.errors import DestinationError, SettingsError

__all__ = ["NAMES", "Channel", "ChannelOptions", "build", "recipient_digest"]

NAMES = ("email", "slack", "pagerduty", "webhook", "apprise")


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What the channels are made of. Deadlines in seconds.

    `smtp_connections` bounds the kept mail connections; it should be what the dispatcher may have in flight, so that
    a page never waits behind routine mail; `apprise_threads` bounds that library's threads alike. `source` is what
    PagerDuty shows as the system concerned. `templates` is a folder with an operator's own mail templates.
    """

    smtp_url: str | None = field(default=None, repr=False)
    email_from: str | None = None
    pagerduty_url: str = "https://events.pagerduty.com"
    allow_insecure_destinations: bool = False
    http_deadline: float = 20.0
    smtp_deadline: float = 60.0
    smtp_connections: int = 40
    apprise_threads: int = 40
    source: str = "pggit"
    templates: str | None = None
    user_agent: str = f"pggit-alertd/{__version__}"
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)


def build(options: ChannelOptions) -> dict[str, Channel[Any, Any]]:
    """Return all channels. Raises SettingsError naming the variable that can't be used. Opens no connection."""
    try:
        enqueue = endpoint(
            f"{options.pagerduty_url.rstrip('/')}/v2/enqueue",
            key="PGGIT_ALERTD_PAGERDUTY_URL",
            allow_insecure=options.allow_insecure_destinations,
            secret=False,
        )
    except DestinationError as error:
        raise SettingsError(str(error)) from None
    tls = options.tls_context or tls_defaults()
    client = HttpClient(
        deadline=options.http_deadline,
        user_agent=options.user_agent,
        allow_insecure=options.allow_insecure_destinations,
        tls_context=tls,
    )
    return {
        "email": EmailChannel(
            options.smtp_url,
            options.email_from,
            deadline=options.smtp_deadline,
            connections=options.smtp_connections,
            tls_context=tls,
            templates=options.templates,
        ),
        "slack": SlackChannel(
            client, deadline=options.http_deadline, allow_insecure=options.allow_insecure_destinations
        ),
        "pagerduty": PagerDutyChannel(client, enqueue, deadline=options.http_deadline, source=options.source),
        "webhook": WebhookChannel(
            client,
            deadline=options.http_deadline,
            source=options.source,
            allow_insecure=options.allow_insecure_destinations,
        ),
        "apprise": AppriseChannel(
            deadline=options.http_deadline,
            threads=options.apprise_threads,
            allow_insecure=options.allow_insecure_destinations,
        ),
    }
