"""How email meets a mail server's connections: reuse, loss, hanging, TLS, login, and what each reply code means."""

import asyncio
from typing import Any, Literal

import aiosmtplib
import pytest

from channels.conftest import Certificates
from channels.mail import ONE, TWO, deliver
from channels.rig import PASSWORD
from pggit_alertd.channels import smtp_pool
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.channels.smtp_replies import Step, judge
from pggit_alertd.demo.sinks import SmtpReply, SmtpSink
from pggit_alertd.model import Delivered, Permanent, Reason, Receipt, Scope, Transient


async def test_one_connection_carries_many_mails(channel: EmailChannel, sink: SmtpSink) -> None:
    """A refusal or a failure in between does not cost the connection."""
    for script in (
        None,
        SmtpReply("RCPT", "550 5.1.1 no", times=1),
        SmtpReply("BODY", "451 4.3.0 later", times=1),
        None,
    ):
        if script is not None:
            sink.script(script)
        await deliver(channel, ONE)
    assert sink.connections_made == 1
    assert len(sink.mails) == 2


@pytest.mark.parametrize("way", ["closed", "421", "silent"])
async def test_a_connection_that_died_while_idle_costs_no_attempt(
    channel: EmailChannel, sink: SmtpSink, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed by the server, about to be closed, or forgotten by a firewall: a new one takes its place at once."""
    await deliver(channel, ONE)
    if way == "closed":
        sink.drop_connections()
    elif way == "421":
        sink.script(SmtpReply("MAIL", "421 4.4.2 idle too long", times=1, close=True))
    else:
        monkeypatch.setattr(smtp_pool, "TRUSTED_IDLE", -1.0)
        monkeypatch.setattr(smtp_pool, "ASK_TIMEOUT", 0.05)
        sink.script(SmtpReply("RSET", hang=True))
    assert isinstance(await deliver(channel, ONE), Delivered)
    assert sink.connections_made == 2


async def test_a_new_connection_that_dies_is_not_tried_for_ever(channel: EmailChannel, sink: SmtpSink) -> None:
    """A server that breaks every connection at MAIL gives one Transient receipt that is certain."""
    sink.script(SmtpReply("MAIL", cut=True))
    receipt = await deliver(channel, ONE)
    assert isinstance(receipt, Transient)
    assert not receipt.ambiguous
    assert sink.connections_made == 1


async def test_idle_connections_are_closed_with_a_farewell(
    channel: EmailChannel, sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After IDLE_LIMIT an unused connection is given up by us."""
    monkeypatch.setattr(smtp_pool, "IDLE_LIMIT", 0.05)
    assert isinstance(await deliver(channel, ONE), Delivered)
    async with asyncio.timeout(5):
        await sink.deserted()
    assert "QUIT" in sink.commands


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "BODY"])
@pytest.mark.parametrize("broken", ["cut", "later"])
async def test_trouble_at_any_step_is_transient(stage: Any, broken: str) -> None:
    """Where the connection breaks or the server says 421, trying again can help; it is in doubt only after the dot."""
    async with SmtpSink(credentials=("alertd", "secret-word")) as server:
        made = EmailChannel(server.url, "alertd@pggit.example", deadline=5)
        server.script(
            SmtpReply(stage, cut=True) if broken == "cut" else SmtpReply(stage, "421 4.3.2 going down", close=True)
        )
        receipt = await deliver(made, ONE)
        await made.aclose()
    assert isinstance(receipt, Transient)
    assert receipt.ambiguous == (stage == "BODY" and broken == "cut")
    assert "secret-word" not in receipt.detail


async def test_a_server_that_is_not_ready_to_be_greeted_is_tried_again() -> None:
    """A 4xx to EHLO on a connection that stays is transient, and no reason to think that the server offers no login."""
    async with SmtpSink(credentials=("alertd", "secret-word")) as server:
        made = EmailChannel(server.url, "alertd@pggit.example", deadline=5)
        server.script(SmtpReply("EHLO", "451 4.3.0 not now", times=1))
        assert isinstance(await deliver(made, ONE), Transient)
        assert isinstance(await deliver(made, ONE), Delivered)
        await made.aclose()


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY"])
async def test_a_server_that_hangs_at_any_step_ends_with_the_deadline(stage: Any) -> None:
    """The attempt ends by itself, and is in doubt only when the message had been sent."""
    async with SmtpSink() as server:
        made = EmailChannel(server.url, "alertd@pggit.example", deadline=0.3)
        server.script(SmtpReply(stage, hang=True))
        receipt = await deliver(made, ONE)
        await made.aclose()
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.TIMEOUT
    assert receipt.ambiguous == (stage == "BODY")


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_mail_travels_over_every_kind_of_connection_with_a_login(
    certificates: Certificates, security: Literal["none", "starttls", "tls"]
) -> None:
    """Clear text, STARTTLS and TLS from the start, each with AUTH, deliver and probe."""
    async with SmtpSink(security=security, tls=certificates.server, credentials=("alertd", "pw")) as server:
        made = EmailChannel(server.url, "alertd@pggit.example", deadline=10, tls_context=certificates.client)
        for _ in range(2):
            assert isinstance(await deliver(made, ONE), Delivered)
        assert isinstance(await made.probe(made.parse({"to": ONE})), Delivered)
        await made.aclose()
        assert {mail.user for mail in server.mails} == {"alertd"}
        assert {mail.tls for mail in server.mails} == {security != "none"}
        assert server.connections_made == 2


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_we_do_not_trust_stops_the_mail(
    certificates: Certificates, security: Literal["starttls", "tls"]
) -> None:
    """Neither mail nor password goes to a server that can't prove who it is."""
    async with SmtpSink(security=security, tls=certificates.server, credentials=("alertd", "pw")) as server:
        made = EmailChannel(server.url, "alertd@pggit.example", deadline=10, tls_context=certificates.stranger)
        receipt = await deliver(made, ONE)
        await made.aclose()
        assert isinstance(receipt, Transient)
        assert (receipt.reason, receipt.ambiguous) == (Reason.TLS, False)
        assert "AUTH" not in server.commands
        assert server.mails == []


async def test_a_server_without_starttls_gets_nothing(sink: SmtpSink) -> None:
    """A proxy that strips STARTTLS from the offer does not get the password or the mail in clear text."""
    made = EmailChannel(f"smtp://alertd:pw@127.0.0.1:{sink.port}", "alertd@pggit.example", deadline=5)
    receipt = await deliver(made, ONE)
    await made.aclose()
    assert isinstance(receipt, Permanent)
    assert (receipt.reason, receipt.scope) == (Reason.TLS, Scope.DESTINATION)
    assert "AUTH" not in sink.commands
    assert "MAIL" not in sink.commands


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("535 5.7.8 wrong c4n4ry-Passw0rd/@:", Permanent),
        ("534 5.7.9 too weak", Permanent),
        ("538 5.7.11 encrypt", Permanent),
        ("454 4.7.0 later", Transient),
    ],
)
async def test_a_login_that_fails_is_classed_by_its_code(said: str, kind: type[Receipt]) -> None:
    """454 may pass; 535 and its kin condemn the destination until somebody mends the credentials."""
    async with SmtpSink(credentials=("alertd", PASSWORD)) as server:
        url = server.url.replace(PASSWORD, "c4n4ry-Passw0rd%2F%40%3A")
        made = EmailChannel(url, "alertd@pggit.example", deadline=5)
        server.script(SmtpReply("AUTH", said))
        receipt = await deliver(made, ONE)
        probed = await made.probe(made.parse({"to": ONE}))
        await made.aclose()
    assert isinstance(receipt, kind)
    assert isinstance(probed, kind)
    assert isinstance(receipt, (Permanent, Transient))
    assert receipt.reason is Reason.AUTH
    assert PASSWORD not in receipt.detail
    if isinstance(receipt, Permanent):
        assert receipt.scope is Scope.DESTINATION


async def test_a_wrong_password_is_permanent_for_the_destination() -> None:
    """Aiosmtpd's own refusal is read like anybody's."""
    async with SmtpSink(credentials=("alertd", "right")) as server:
        made = EmailChannel(server.url.replace("right", "wrong"), "alertd@pggit.example", deadline=5)
        receipt = await deliver(made, ONE)
        await made.aclose()
    assert isinstance(receipt, Permanent)
    assert (receipt.reason, receipt.scope) == (Reason.AUTH, Scope.DESTINATION)


async def test_the_sink_speaks_smtp_with_an_unmodified_client(sink: SmtpSink) -> None:
    """What the tests rely on is a real server: another client's mail is taken as well."""
    await aiosmtplib.send("Subject: x\n\ny", sender=ONE, recipients=[TWO], hostname="127.0.0.1", port=sink.port)
    assert sink.mails[0].recipients == (TWO,)


@pytest.mark.parametrize(
    ("step", "code", "text", "reason", "scope"),
    [
        (Step.CONNECT, 421, "4.3.2 busy", Reason.SERVER_ERROR, None),
        (Step.CONNECT, 554, "5.7.1 blocked", Reason.DESTINATION_GONE, Scope.DESTINATION),
        (Step.HELLO, 550, "no", Reason.DESTINATION_GONE, Scope.DESTINATION),
        (Step.STARTTLS, 454, "4.7.0 no TLS now", Reason.TLS, None),
        (Step.STARTTLS, 502, "no", Reason.TLS, Scope.DESTINATION),
        (Step.AUTH, 454, "4.7.0 later", Reason.AUTH, None),
        (Step.AUTH, 535, "5.7.8 wrong", Reason.AUTH, Scope.DESTINATION),
        (Step.MAIL, 530, "5.7.0 login first", Reason.AUTH, Scope.DESTINATION),
        (Step.MAIL, 553, "5.1.8 sender", Reason.CLIENT_ERROR, Scope.DESTINATION),
        (Step.MAIL, 550, "5.7.1 not allowed", Reason.AUTH, Scope.DESTINATION),
        (Step.MAIL, 501, "bad", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.MAIL, 452, "4.3.1 full", Reason.SERVER_ERROR, None),
        (Step.RCPT, 450, "4.2.0 greylisted", Reason.SERVER_ERROR, None),
        (Step.RCPT, 451, "", Reason.SERVER_ERROR, None),
        (Step.RCPT, 452, "4.5.3 too many", Reason.SERVER_ERROR, None),
        (Step.RCPT, 552, "too many recipients", Reason.SERVER_ERROR, None),
        (Step.RCPT, 552, "5.2.2 mailbox full", Reason.REFUSED_RECIPIENT, Scope.RECIPIENT),
        (Step.RCPT, 550, "5.1.1 unknown", Reason.REFUSED_RECIPIENT, Scope.RECIPIENT),
        (Step.RCPT, 551, "", Reason.REFUSED_RECIPIENT, Scope.RECIPIENT),
        (Step.RCPT, 553, "5.1.3", Reason.REFUSED_RECIPIENT, Scope.RECIPIENT),
        (Step.RCPT, 530, "5.7.0 login first", Reason.AUTH, Scope.DESTINATION),
        (Step.RCPT, 550, "5.1.8 sender's domain not found", Reason.CLIENT_ERROR, Scope.DESTINATION),
        (Step.RCPT, 553, "5.1.7 sender's address", Reason.CLIENT_ERROR, Scope.DESTINATION),
        (Step.RCPT, 554, "5.7.1 relay access denied", Reason.REFUSED_RECIPIENT, Scope.RECIPIENT),
        (Step.RCPT, 421, "4.7.0 slow down", Reason.SERVER_ERROR, None),
        (Step.RCPT, 252, "perhaps", Reason.UNEXPECTED_REPLY, None),
        (Step.CONNECT, 450, "4.7.1 come back", Reason.SERVER_ERROR, None),
        (Step.CONNECT, 521, "no mail here", Reason.DESTINATION_GONE, Scope.DESTINATION),
        (Step.HELLO, 421, "4.3.2 going down", Reason.SERVER_ERROR, None),
        (Step.AUTH, 432, "4.7.12 change your password", Reason.AUTH, None),
        (Step.AUTH, 504, "5.5.4 no such mechanism", Reason.AUTH, Scope.DESTINATION),
        (Step.AUTH, 534, "5.7.9", Reason.AUTH, Scope.DESTINATION),
        (Step.AUTH, 538, "5.7.11", Reason.AUTH, Scope.DESTINATION),
        (Step.MAIL, 451, "4.3.0", Reason.SERVER_ERROR, None),
        (Step.MAIL, 454, "4.7.0", Reason.SERVER_ERROR, None),
        (Step.DATA, 552, "5.2.2 quota", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.DATA, 421, "4.3.2", Reason.SERVER_ERROR, None),
        (Step.BODY, 452, "4.3.1 full", Reason.SERVER_ERROR, None),
        (Step.BODY, 550, "5.1.8 sender", Reason.CLIENT_ERROR, Scope.DESTINATION),
        (Step.BODY, 553, "", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.DATA, 451, "", Reason.SERVER_ERROR, None),
        (Step.DATA, 554, "5.5.1 no", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.BODY, 451, "4.7.1", Reason.SERVER_ERROR, None),
        (Step.BODY, 552, "5.3.4 too big", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.BODY, 554, "5.6.0 content", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.BODY, 550, "5.7.1 spam", Reason.REFUSED_MESSAGE, Scope.MESSAGE),
        (Step.BODY, 999, "what", Reason.UNEXPECTED_REPLY, None),
        (Step.MAIL, -1, "", Reason.UNEXPECTED_REPLY, None),
    ],
)
def test_smtp_replies_mean_what_the_table_says(
    step: Step, code: int, text: str, reason: Reason, scope: Scope | None
) -> None:
    """Step, code and enhanced code give reason and scope."""
    verdict = judge(step, code, text)
    assert (verdict.reason, verdict.scope) == (reason, scope)
    assert verdict.smaller == (code == 552 and step in {Step.DATA, Step.BODY})
