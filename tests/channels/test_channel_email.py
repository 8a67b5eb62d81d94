"""Mail against real SMTP servers: recipients one by one, kept connections, TLS and login, and every reply's meaning."""

import io
from dataclasses import replace
from typing import Any

import pytest

from channels.mail import ONE, THREE, TWO, deliver
from channels.rig import NOTIFICATION
from pggit_alertd import logs
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.channels.recipients import REFUSED, recipient_digest
from pggit_alertd.demo.sinks import SmtpReply, SmtpSink
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient


def again(receipt: Receipt, before: Notification = NOTIFICATION) -> Notification:
    """Return the notification as the next attempt gets it."""
    assert isinstance(receipt, Transient)
    return replace(before, settled=before.settled | receipt.settled)


async def test_one_message_goes_to_everybody_in_one_transaction(channel: EmailChannel, sink: SmtpSink) -> None:
    """To and Cc get the same message over one envelope."""
    destination = channel.parse({"to": [ONE, TWO], "cc": [THREE]})
    assert isinstance(await channel.send(destination, channel.render(NOTIFICATION, destination)), Delivered)
    (mail,) = sink.mails
    assert mail.recipients == (ONE, TWO, THREE)
    assert mail.message()["To"] == f"{ONE}, {TWO}"
    assert mail.message()["Cc"] == THREE


async def test_a_refused_mailbox_does_not_stop_the_others(channel: EmailChannel, sink: SmtpSink) -> None:
    """A 550 for one recipient is recorded, masked, and the others have the mail."""
    sink.script(SmtpReply("RCPT", "550 5.1.1 no such user <two@example.org>", match=TWO))
    receipt = await deliver(channel, ONE, TWO, THREE)
    assert isinstance(receipt, Delivered)
    assert receipt.refused == ("t***@example.org",)
    assert "two@" not in receipt.detail
    assert sink.mails[0].recipients == (ONE, THREE)


async def test_a_mailbox_that_says_later_is_tried_alone(channel: EmailChannel, sink: SmtpSink) -> None:
    """After a 450 for one of three the next attempt goes to that one only, and nobody gets two."""
    sink.script(SmtpReply("RCPT", "450 4.2.1 busy", match=TWO, times=1))
    first = await deliver(channel, ONE, TWO, THREE)
    assert isinstance(first, Transient)
    assert not first.ambiguous
    assert first.settled == {recipient_digest(ONE), recipient_digest(THREE)}
    assert isinstance(await deliver(channel, ONE, TWO, THREE, what=again(first)), Delivered)
    assert [mail.recipients for mail in sink.mails] == [(ONE, THREE), (TWO,)]


async def test_a_refused_mailbox_is_never_asked_again(channel: EmailChannel, sink: SmtpSink) -> None:
    """Over two attempts the 550 is seen once, and the last receipt still reports it."""
    sink.script(
        SmtpReply("RCPT", "550 5.1.1 unknown", match=ONE), SmtpReply("RCPT", "451 4.3.0 later", match=TWO, times=1)
    )
    first = await deliver(channel, ONE, TWO, THREE)
    assert isinstance(first, Transient)
    assert recipient_digest(ONE) + REFUSED in first.settled
    before = sink.commands.count("RCPT")
    second = await deliver(channel, ONE, TWO, THREE, what=again(first))
    assert sink.commands.count("RCPT") - before == 1
    assert isinstance(second, Delivered)
    assert second.refused == ("o***@example.com",)


async def test_the_last_open_mailbox_refusing_does_not_undo_the_others(channel: EmailChannel, sink: SmtpSink) -> None:
    """Somebody has the mail, so the notification is delivered, with the refusal on record."""
    sink.script(SmtpReply("RCPT", "450 4.2.1 later", match=TWO, times=1))
    first = await deliver(channel, ONE, TWO)
    sink.script(SmtpReply("RCPT", "550 5.1.1 gone", match=TWO))
    second = await deliver(channel, ONE, TWO, what=again(first))
    assert isinstance(second, Delivered)
    assert second.refused == ("t***@example.org",)


async def test_nobody_taking_the_mail_is_permanent_for_the_recipients(channel: EmailChannel, sink: SmtpSink) -> None:
    """When all say never, the receipt says so and the destination is not blamed."""
    sink.script(SmtpReply("RCPT", "550 5.1.1 unknown"))
    receipt = await deliver(channel, ONE, TWO)
    assert isinstance(receipt, Permanent)
    assert (receipt.reason, receipt.scope, receipt.code) == (Reason.REFUSED_RECIPIENT, Scope.RECIPIENT, 550)
    assert sink.mails == []


async def test_everybody_settled_means_no_conversation(channel: EmailChannel, sink: SmtpSink) -> None:
    """A notification all of whose recipients have it is delivered without a word to the server."""
    done = replace(NOTIFICATION, settled=frozenset({recipient_digest(ONE)}))
    assert isinstance(await deliver(channel, ONE, what=done), Delivered)
    refused = replace(NOTIFICATION, settled=frozenset({recipient_digest(ONE) + REFUSED}))
    assert isinstance(await deliver(channel, ONE, what=refused), Permanent)
    assert sink.connections_made == 0


async def test_a_sender_that_is_refused_condemns_no_recipient(channel: EmailChannel, sink: SmtpSink) -> None:
    """Servers that judge the sender at RCPT blame the destination, and nobody is written off for it."""
    sink.script(
        SmtpReply("RCPT", "550 5.1.8 <alertd@pggit.example>: sender address rejected: domain not found", times=1)
    )
    receipt = await deliver(channel, ONE, TWO)
    assert isinstance(receipt, Permanent)
    assert (receipt.reason, receipt.scope) == (Reason.CLIENT_ERROR, Scope.DESTINATION)
    assert isinstance(await deliver(channel, ONE, TWO), Delivered)
    assert sink.mails[0].recipients == (ONE, TWO)


async def test_five_mailboxes_with_five_fates(channel: EmailChannel, sink: SmtpSink) -> None:
    """Over three attempts everybody who will take the mail gets it once, a 550 is asked once, a 4yz until it yields."""
    people = {name: f"{name}@example.com" for name in ("fine", "gone", "busy", "busier", "other")}
    sink.script(
        SmtpReply("RCPT", "550 5.1.1 no such user", match="gone@"),
        SmtpReply("RCPT", "450 4.2.1 busy", match="busy@", times=1),
        SmtpReply("RCPT", "452 4.2.2 full", match="busier@", times=2),
    )
    asked: list[str] = []
    what, receipt = NOTIFICATION, await deliver(channel, *people.values())
    while isinstance(receipt, Transient):
        what = again(receipt, what)
        asked.append(f"{sink.commands.count('RCPT')}")
        receipt = await deliver(channel, *people.values(), what=what)
    assert isinstance(receipt, Delivered)
    assert receipt.refused == ("g***@example.com",)
    # Five at first; then the two that said later; then the one that said it again.
    assert (asked, sink.commands.count("RCPT")) == (["5", "7"], 8)
    taken = [address for mail in sink.mails for address in mail.recipients]
    assert sorted(taken) == sorted(people[name] for name in ("fine", "busy", "busier", "other"))
    assert len({str(mail.message()["Message-ID"]) for mail in sink.mails}) == 1


@pytest.mark.parametrize("stage", ["MAIL", "DATA"])
async def test_a_mail_that_is_announced_too_large_is_sent_as_text(
    channel: EmailChannel, sink: SmtpSink, stage: Any
) -> None:
    """A server that refuses the size before it has seen the message gets the smaller form at once."""
    sink.script(SmtpReply(stage, "552 5.3.4 message size exceeds the limit", times=1))
    receipt = await deliver(channel, ONE)
    assert isinstance(receipt, Delivered)
    assert sink.mails[0].message().get_content_type() == "text/plain"


async def test_a_failure_after_refusals_keeps_what_is_known(channel: EmailChannel, sink: SmtpSink) -> None:
    """A 451 to the message remembers who had refused for ever and claims nobody has it."""
    sink.script(SmtpReply("RCPT", "550 5.1.1 no", match=ONE), SmtpReply("BODY", "451 4.3.0 later", times=1))
    receipt = await deliver(channel, ONE, TWO)
    assert isinstance(receipt, Transient)
    assert receipt.settled == {recipient_digest(ONE) + REFUSED}


async def test_the_message_id_is_the_same_over_all_attempts(channel: EmailChannel, sink: SmtpSink) -> None:
    """A copy that a lost reply made us send twice can be recognised; another event gets another identifier."""
    sink.script(SmtpReply("BODY", cut=True, times=1, keep=True))
    first = await deliver(channel, ONE)
    assert isinstance(first, Transient)
    assert first.ambiguous
    assert first.settled == frozenset()
    await deliver(channel, ONE, what=again(first))
    await deliver(channel, ONE, what=replace(NOTIFICATION, key="q2"))
    ids = [str(mail.message()["Message-ID"]) for mail in sink.mails]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@pggit.example>")


async def test_a_mail_that_is_too_large_is_sent_as_text(channel: EmailChannel, sink: SmtpSink) -> None:
    """A 552 to the message is answered once with the plain text alone."""
    sink.script(SmtpReply("BODY", "552 5.3.4 too big", times=1))
    receipt = await deliver(channel, ONE)
    assert isinstance(receipt, Delivered)
    assert "text alone" in receipt.detail
    assert sink.mails[0].message().get_content_type() == "text/plain"
    sink.script(SmtpReply("BODY", "552 5.3.4 too big"))
    assert isinstance(await deliver(channel, ONE), Permanent)


async def test_a_line_with_a_single_dot_does_not_end_the_mail(channel: EmailChannel, sink: SmtpSink) -> None:
    """Leading dots are doubled on the wire, and what comes after them arrives."""
    alert = replace(NOTIFICATION.alert, operation_type=". .", duration_us=None, message=".\r\n.\r\nQUIT")
    assert isinstance(await deliver(channel, ONE, what=replace(NOTIFICATION, alert=alert)), Delivered)
    body = sink.mails[0].message().get_body(("plain",))
    assert body is not None
    assert ". . QUIT" in body.get_content()


async def test_templates_of_an_operator_are_used_and_a_broken_one_costs_only_itself(
    sink: SmtpSink, tmp_path: Any
) -> None:
    """A good template replaces the text; one that raises is reported, and the built-in text goes out."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    (tmp_path / "mail.txt.j2").write_text("own words: {{ headline }}")
    made = EmailChannel(sink.url, "alertd@pggit.example", deadline=5, templates=str(tmp_path))
    await deliver(made, ONE)
    await made.aclose()
    (tmp_path / "mail.txt.j2").write_text("{{ headline.nothing.here }}")
    broken = EmailChannel(sink.url, "alertd@pggit.example", deadline=5, templates=str(tmp_path))
    assert isinstance(await deliver(broken, ONE), Delivered)
    await broken.aclose()
    texts = [body.get_content() for mail in sink.mails if (body := mail.message().get_body(("plain",))) is not None]
    assert texts[0].startswith("own words: merge_branch exceeded")
    assert texts[1].startswith("merge_branch exceeded")
    assert "mail.txt.j2" in stream.getvalue()
