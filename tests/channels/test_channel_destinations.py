"""Which destinations are accepted: addresses at parse and at connect, recipients, the mail server's URL."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.rig import NOTIFICATION, ROUTING_KEY
from pggit_alertd.channels import ChannelOptions, build, recipient_digest
from pggit_alertd.channels.endpoints import endpoint, is_public
from pggit_alertd.channels.recipients import parse_recipients
from pggit_alertd.channels.slack import SlackDestination
from pggit_alertd.channels.smarthost import Smarthost, parse_smtp_url
from pggit_alertd.demo.sinks import HttpSink
from pggit_alertd.errors import DestinationError, SettingsError
from pggit_alertd.model import Permanent, Reason, Scope

PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0.0.0.0",  # noqa: S104 - a destination, not a binding
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "localhost",
    "LOCALHOST.",
    "db.localhost",
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_private_and_local_addresses_are_refused(host: str) -> None:
    """No spelling of an address inside the network passes, and the error names the key and the way out."""
    with pytest.raises(DestinationError, match=r'"webhook".*PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS'):
        endpoint(f"https://{host}/services/x", key='"webhook"', allow_insecure=False)
    assert endpoint(f"http://{host}/services/x", key='"webhook"', allow_insecure=True).tls is False


@pytest.mark.parametrize("host", ["hooks.slack.com", "8.8.8.8", "[2606:4700::1111]", "events.eu.pagerduty.com:8443"])
def test_public_hosts_are_accepted(host: str) -> None:
    """Https to anything on the open internet passes."""
    assert endpoint(f"https://{host}/services/T/B/x", key="webhook", allow_insecure=False).tls


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/x",
        "ftp://hooks.slack.com/x",
        "file:///etc/passwd",
        "hooks.slack.com/services/x",
        "https://",
        "https:///services",
        "https://user:password@hooks.slack.com/x",
        "https://user@hooks.slack.com/x",
        "https://hooks.slack.com:0/x",
        "https://hooks.slack.com:99999/x",
        "https://hooks.slack.com/a b",
        "https://hooks.slack.com/\r\nHost: evil",
        "https://hooks.slack.com/\u2028x",
        "https://0177.0.0.1/x",
        "https://[::1/x",
        "//hooks.slack.com/x",
        "",
        "   ",
        "x" * 5000,
        None,
        7,
        ["https://hooks.slack.com/x"],
    ],
)
def test_urls_of_any_other_kind_are_refused(url: Any) -> None:
    """The error names the key, never the URL."""
    with pytest.raises(DestinationError, match=r'^"webhook"') as caught:
        endpoint(url, key='"webhook"', allow_insecure=False)
    assert "services" not in str(caught.value)
    assert "password@" not in str(caught.value)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_the_same_in_every_ipv6_wrapping(number: int) -> None:
    """Mapped, NAT64 and 6to4 forms are as public as the address they carry."""
    inner = ipaddress.IPv4Address(number)
    wrapped = (0xFFFF << 32 | number, (0x64FF9B << 96) | number, 0x2002 << 112 | number << 80)
    assert {is_public(ipaddress.IPv6Address(form)) for form in wrapped} == {is_public(inner)}


@given(st.integers(0, 2**128 - 1))
def test_no_address_makes_the_policy_fail(number: int) -> None:
    """Any IPv6 address gets a yes or a no."""
    assert is_public(ipaddress.IPv6Address(number)) in {True, False}


async def test_a_name_that_resolves_inside_is_refused_when_it_is_connected_to(http_sink: HttpSink) -> None:
    """The check sits where the name is resolved for the connection, so a name can't change its mind in between."""
    made = build(ChannelOptions(http_deadline=5))
    channel = made["slack"]
    # `localhost` itself is refused by parse; the destination is made as if the name had looked harmless.
    inside = endpoint(f"http://localhost:{http_sink.port}/services/x", key="x", allow_insecure=True)
    destination = SlackDestination(inside)
    receipts = [
        await channel.send(destination, channel.render(NOTIFICATION, destination)),
        await channel.probe(destination),
    ]
    for each in made.values():
        await each.aclose()
    for receipt in receipts:
        assert isinstance(receipt, Permanent)
        assert (receipt.reason, receipt.scope) == (Reason.INVALID_SETTING, Scope.DESTINATION)
    assert http_sink.connections_made == 0


async def test_the_examples_of_the_design_document_are_parsed() -> None:
    """What people copy from the document is either a destination or an error that says what to put."""
    made = build(ChannelOptions(smtp_url="smtp://mail.example.com?tls=none", email_from="alertd@example.com"))
    email = made["email"].parse({"to": ["ops@company.com", "oncall@company.com"], "cc": ["team@company.com"]})
    assert (email.to, email.cc) == (("ops@company.com", "oncall@company.com"), ("team@company.com",))
    with pytest.raises(DestinationError, match=r'"webhook" is a placeholder'):
        made["slack"].parse({"webhook": "https://hooks.slack.com/...", "channel": "#pgit-alerts"})
    slack = made["slack"].parse({"webhook": "https://hooks.slack.com/services/T/B/x", "channel": "#pgit-alerts"})
    assert slack.channel == "#pgit-alerts"
    with pytest.raises(DestinationError, match=r'"service_key".*32'):
        made["pagerduty"].parse({"service_key": "..."})
    for each in made.values():
        await each.aclose()


@pytest.mark.parametrize("key", ["routing_key", "service_key"])
async def test_both_names_of_the_integration_key_work(key: str) -> None:
    """Events API v2 says routing_key, older examples say service_key."""
    made = build(ChannelOptions())
    assert made["pagerduty"].parse({key: f" {ROUTING_KEY} "}).routing_key == ROUTING_KEY
    for each in made.values():
        await each.aclose()


async def test_mail_without_a_server_is_refused_with_the_variable_to_set() -> None:
    """A mail setting on a daemon without PGGIT_ALERTD_SMTP_URL or _EMAIL_FROM says which is missing."""
    for options, variable in (
        (ChannelOptions(email_from="a@b.example"), "PGGIT_ALERTD_SMTP_URL"),
        (ChannelOptions(smtp_url="smtp://m.example"), "PGGIT_ALERTD_EMAIL_FROM"),
    ):
        made = build(options)
        with pytest.raises(DestinationError, match=variable):
            made["email"].parse({"to": "ops@example.com"})
        for each in made.values():
            await each.aclose()


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        (ChannelOptions(pagerduty_url="http://events.pagerduty.com"), "PGGIT_ALERTD_PAGERDUTY_URL"),
        (ChannelOptions(pagerduty_url="https://10.0.0.1"), "PGGIT_ALERTD_PAGERDUTY_URL"),
        (ChannelOptions(smtp_url="mail.example.com"), "PGGIT_ALERTD_SMTP_URL"),
        (ChannelOptions(email_from="nobody"), "PGGIT_ALERTD_EMAIL_FROM"),
    ],
)
def test_options_that_can_not_work_are_refused_at_start(options: ChannelOptions, variable: str) -> None:
    """The error names the variable."""
    with pytest.raises(SettingsError, match=variable):
        build(options)


@pytest.mark.parametrize(
    ("config", "to", "cc"),
    [
        ({"to": "a@b.example"}, ("a@b.example",), ()),
        ({"email": "a@b.example"}, ("a@b.example",), ()),
        ({"to": "a@b.example, c@d.example; e@f.example"}, ("a@b.example", "c@d.example", "e@f.example"), ()),
        ({"to": ["Ops <a@b.example>"], "cc": "a@B.example, x@y.example"}, ("a@b.example",), ("x@y.example",)),
        ({"to": ["a@b.example", "a@b.example"]}, ("a@b.example",), ()),
        ({"to": ["a@b.example"], "email": "c@d.example"}, ("a@b.example", "c@d.example"), ()),
        ({"to": "root@localhost"}, ("root@localhost",), ()),
        ({"to": "ops@bücher.example"}, ("ops@xn--bcher-kva.example",), ()),
    ],
)
def test_recipients_are_read_from_every_form(config: Any, to: tuple[str, ...], cc: tuple[str, ...]) -> None:
    """A list, a string, several in a string, names around them, and the single `email` key; each address once."""
    assert parse_recipients(config) == (to, cc)


@pytest.mark.parametrize(
    "config",
    [
        {"to": "nobody"},
        {"to": "a@"},
        {"to": "@b.example"},
        {"to": "a b@c.example"},
        {"to": "a@b..example"},
        {"to": "a@-b.example"},
        {"to": "a..b@c.example"},
        {"to": "a@b.example\r\nBcc: x@y.example"},
        {"to": "a@b.example>\r\nDATA"},
        {"to": "jürgen@example.com"},
        {"to": "x" * 65 + "@example.com"},
        {"to": "a@" + "b." * 130 + "example"},
        {"cc": "a@b.example"},
        {"to": "=?utf-8?q?=0D=0Ax?=@b.example"},
        {"to": [f"a{number}@b.example" for number in range(101)]},
    ],
)
def test_addresses_that_can_not_work_are_refused(config: Any) -> None:
    """The error names the key and never repeats the address."""
    with pytest.raises(DestinationError, match=r'"(to|cc)"') as caught:
        parse_recipients(config)
    assert "jürgen" not in str(caught.value)


@given(st.text())
def test_an_accepted_address_is_one_plain_word(text: str) -> None:
    """Whatever is accepted can be written into an SMTP command and a header as it stands."""
    try:
        to, _ = parse_recipients({"to": text})
    except DestinationError:
        return
    for address in to:
        assert address.isascii()
        assert address.isprintable()
        assert not set(address) & set(' <>"(),:;[]\\')


def test_digests_name_mailboxes_without_showing_them() -> None:
    """Spellings of one mailbox share a digest, others don't, and none holds the address."""
    assert recipient_digest("Ops@Example.com ") == recipient_digest("ops@example.com")
    assert recipient_digest("ops@example.com") != recipient_digest("ops@example.org")
    assert "ops" not in recipient_digest("ops@example.com")


@pytest.mark.parametrize(
    ("url", "smarthost"),
    [
        ("smtp://m.example", Smarthost("m.example", 587, "starttls")),
        ("smtp://m.example?tls=starttls", Smarthost("m.example", 587, "starttls")),
        ("smtp://m.example/?tls=none", Smarthost("m.example", 25, "none")),
        ("smtps://m.example", Smarthost("m.example", 465, "tls")),
        ("smtp://m.example:2525", Smarthost("m.example", 2525, "starttls")),
        ("smtp://u%40x:p%2F%3A%40@m.example", Smarthost("m.example", 587, "starttls", "u@x", "p/:@")),
        ("smtps://[::1]:1465", Smarthost("::1", 1465, "tls")),
    ],
)
def test_the_mail_server_is_read_from_its_url(url: str, smarthost: Smarthost) -> None:
    """Scheme and option give the security, which gives the default port; user and password are percent-decoded."""
    assert parse_smtp_url(url) == smarthost


@pytest.mark.parametrize(
    "url",
    [
        "",
        "m.example",
        "http://m.example",
        "smtp://",
        "smtp://:25",
        "smtp://m.example:99999",
        "smtp://m.example:0",
        "smtp://m.example:abc",
        "smtp://m.example?tls=maybe",
        "smtp://m.example?ssl=1",
        "smtp://m.example?tls",
        "smtps://m.example?tls=none",
        "smtp://user@m.example",
        "smtp://:secret@m.example",
        "smtp://u:pa/ss@m.example",
        "smtp://u:pa#ss@m.example",
        "smtp://u:p@m exa\r\nmple",
        "smtp://[::1",
    ],
)
def test_a_mail_server_url_that_can_not_work_is_refused(url: str) -> None:
    """The error names the variable, shows an example or the mend, and holds no password."""
    with pytest.raises(SettingsError, match="PGGIT_ALERTD_SMTP_URL") as caught:
        parse_smtp_url(url)
    assert "secret" not in str(caught.value)
    assert "ss@m" not in str(caught.value)
