"""From settings to channels: the one place that knows both, because channels read no settings."""

from pggit_alertd.channels import ChannelOptions
from pggit_alertd.settings import Settings


def channel_options(settings: Settings) -> ChannelOptions:
    """Return what the channels are made of."""
    return ChannelOptions(
        smtp_url=settings.smtp_url.get_secret_value() if settings.smtp_url else None,
        email_from=settings.email_from,
        pagerduty_url=settings.pagerduty_url,
        allow_insecure_destinations=settings.allow_insecure_destinations,
        http_deadline=settings.http_deadline,
        smtp_deadline=settings.smtp_deadline,
        source=settings.source,
        templates=settings.mail_templates,
        smtp_connections=2 * settings.email_concurrency,
        apprise_threads=2 * settings.apprise_concurrency,
    )
