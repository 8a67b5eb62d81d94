"""Each channel beside its receiver, and certificates for receivers with TLS."""

import ipaddress
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels.rig import BEARER, PASSWORD, RECIPIENTS, ROUTING_KEY, SIGNING_SECRET, TOKEN, Rig
from pggit_alertd.channels import NAMES, Channel, ChannelOptions, build
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.demo.sinks import HttpSink, SmtpSink


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
    folder = tmp_path_factory.mktemp("tls")
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway CA")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
    authority = (
        builder.subject_name(name)
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    for file, names in (
        ("server.pem", [x509.DNSName("localhost"), loopback]),
        ("misnamed.pem", [x509.DNSName("elsewhere.example")]),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        (folder / file).write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(pem)
        )
    return _contexts(folder)


def _contexts(folder: Path) -> Certificates:
    server, misnamed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    misnamed.load_cert_chain(folder / "misnamed.pem")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    return Certificates(server, client, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), misnamed)
