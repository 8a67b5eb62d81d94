"""Each channel beside its receiver, and certificates for receivers with TLS."""

import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from channels.rig import BEARER, PASSWORD, RECIPIENTS, ROUTING_KEY, SIGNING_SECRET, TOKEN, Rig
from pggit_alertd.channels import NAMES, Channel, ChannelOptions, build
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.demo.sinks import HttpSink, SmtpSink
from support.certificates import Authority


@dataclass(frozen=True)
class Certificates:
    """A server's and a client's TLS contexts that trust each other, and a client's that knows nothing of the server.

    `misnamed` is a server's that the client trusts, but not under the name it connects to.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    stranger: ssl.SSLContext
    misnamed: ssl.SSLContext


@pytest.fixture(scope="session", autouse=True)
def apprise_loaded() -> None:
    """Load Apprise and all of its plugins once, which takes a second, past the deprecations in what they import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pggit_alertd.channels import apprise_library

        apprise_library.service("json://127.0.0.1/x", 1.0, allow_insecure=True)


@pytest.fixture
async def http_sink() -> AsyncIterator[HttpSink]:
    """Return a receiver of webhooks and events."""
    async with HttpSink() as sink:
        yield sink


@pytest.fixture
async def mail_sink() -> AsyncIterator[SmtpSink]:
    """Return a mail server that wants a login, in clear text."""
    async with SmtpSink(credentials=("alertd", PASSWORD)) as sink:
        yield sink


@pytest.fixture
async def sink() -> AsyncIterator[SmtpSink]:
    """Return a mail server that takes everything."""
    async with SmtpSink() as made:
        yield made


@pytest.fixture
async def channel(sink: SmtpSink) -> AsyncIterator[EmailChannel]:
    """Return a channel aimed at that server."""
    made = EmailChannel(sink.url, "alertd@pggit.example", deadline=5)
    yield made
    await made.aclose()


@pytest.fixture
async def channels(
    http_sink: HttpSink, mail_sink: SmtpSink, certificates: Certificates
) -> AsyncIterator[dict[str, Channel[Any, Any]]]:
    """Return all channels, aimed at the receivers on loopback, with deadlines short enough to wait for."""
    made = build(
        ChannelOptions(
            smtp_url=mail_sink.url.replace(PASSWORD, "c4n4ry-Passw0rd%2F%40%3A"),
            email_from="alertd@pggit.example",
            pagerduty_url=http_sink.url,
            allow_insecure_destinations=True,
            http_deadline=2.0,
            smtp_deadline=3.0,
            tls_context=certificates.client,  # the system's trust store takes 50 ms to load
        )
    )
    yield made
    for channel in made.values():
        await channel.aclose()


@pytest.fixture
def configs(http_sink: HttpSink) -> dict[str, dict[str, Any]]:
    """Return a config for each channel."""
    return {
        "slack": {"webhook": http_sink.slack_url(TOKEN), "channel": "#pgit-alerts"},
        "pagerduty": {"service_key": ROUTING_KEY},
        "email": {"to": [RECIPIENTS[0]], "cc": [RECIPIENTS[1]]},
        "webhook": {
            "url": http_sink.hook_url(TOKEN),
            "secret": SIGNING_SECRET,
            "headers": {"Authorization": f"Bearer {BEARER}"},
        },
        "apprise": {"url": f"json://127.0.0.1:{http_sink.port}/hooks/{TOKEN}"},
    }


@pytest.fixture(params=NAMES)
def rig(
    request: pytest.FixtureRequest,
    channels: dict[str, Channel[Any, Any]],
    configs: dict[str, dict[str, Any]],
    http_sink: HttpSink,
    mail_sink: SmtpSink,
) -> Rig:
    """Return each channel in turn with its receiver."""
    return Rig(request.param, channels[request.param], configs[request.param], http_sink, mail_sink, channels)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a throwaway CA's work: a certificate for 127.0.0.1 and localhost."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    return Certificates(
        authority.server("localhost", "127.0.0.1"),
        ssl.create_default_context(cafile=str(authority.file)),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        authority.server("elsewhere.example"),
    )
