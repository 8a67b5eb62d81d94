"""The mail server refuses at each step of the conversation, to some, or breaks off when it has the message."""

from collections import Counter

from pggit_alertd.demo.sinks import SmtpReply
from support.daemon import Stage
from support.impatience import until_nothing_waits
from support.scoreboard import Scores, Stopwatch

TRANSIENT: dict[str, SmtpReply] = {
    "connect": SmtpReply("CONNECT", "421 4.3.2 not now", times=1, close=True),
    "EHLO": SmtpReply("EHLO", "451 4.3.0 not now", times=1),
    "AUTH": SmtpReply("AUTH", "454 4.7.0 not now", times=2),
    "MAIL": SmtpReply("MAIL", "451 4.3.0 not now", times=1),
    "RCPT": SmtpReply("RCPT", "451 4.7.1 not now", times=2),
    "DATA": SmtpReply("DATA", "451 4.3.0 not now", times=1),
    "final dot": SmtpReply("BODY", "451 4.3.0 not now", times=1),
}
"""Two at AUTH, for PLAIN and LOGIN, and two at RCPT, for both recipients."""
PERMANENT: dict[str, SmtpReply] = {
    "connect": SmtpReply("CONNECT", "554 5.3.2 go away", close=True),
    "AUTH": SmtpReply("AUTH", "535 5.7.8 wrong password"),
    "MAIL": SmtpReply("MAIL", "550 5.7.1 not from you"),
    "RCPT": SmtpReply("RCPT", "550 5.1.1 nobody here"),
    "DATA": SmtpReply("DATA", "554 5.7.1 no"),
    "final dot": SmtpReply("BODY", "554 5.6.0 no"),
}
REPLAY = "SELECT pggit.replay_notification(queue_id) FROM pggit.alert_notification_queue WHERE status = 'failed'"


def copies(set_up: Stage, since: int = 0) -> Counter[str]:
    """Return how many mails each recipient has got, leaving out the first ones."""
    return Counter(recipient for mail in set_up.mail.mails[since:] for recipient in mail.recipients)


def demand_login(set_up: Stage) -> None:
    """Let the server want a password, so that there is an AUTH to refuse."""
    set_up.mail.credentials = ("alertd", "secret")


async def test_the_mail_server_refuses_for_now(set_up: Stage, scores: Scores) -> None:
    """A 4xx at any step is retried, and each recipient gets one mail."""
    demand_login(set_up)
    await set_up.email()
    daemon = await set_up.run(smtp_deadline=4, http_deadline=4)
    for number, (step, reply) in enumerate(TRANSIENT.items()):
        set_up.mail.drop_connections()  # so that the conversation begins anew
        set_up.mail.script(reply)
        await set_up.storm(1, operation=step)
        await daemon.wait_for_event("delivery", outcome="retry", count=number + 1)
        refused = Stopwatch()
        await set_up.settled(number + 1)
        got = copies(set_up, since=number)
        scores.record(
            f"mail server: 4xx at {step}",
            sent=2,
            lost=2 - len(got),
            duplicated=got.total() - len(got),
            recovery=refused.seconds,
        )
    assert await set_up.statuses() == {"sent": len(TRANSIENT)}


async def test_the_mail_server_refuses_for_good(set_up: Stage, scores: Scores) -> None:
    """A 5xx at any step is not tried again but kept as a dead letter, and a replay after the mend delivers it once."""
    demand_login(set_up)
    await set_up.email()
    await set_up.run(smtp_deadline=4, http_deadline=4)
    for number, (step, reply) in enumerate(PERMANENT.items()):
        set_up.mail.drop_connections()
        set_up.mail.script(reply)
        await set_up.storm(1, operation=step)
        await set_up.until("SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'failed'", 1)
        assert len(set_up.mail.mails) == number
        set_up.mail.clear()
        mended = Stopwatch()
        await set_up.alerts.rows(REPLAY)
        await until_nothing_waits(set_up)
        got = copies(set_up, since=number)
        scores.record(
            f"mail server: 5xx at {step}, replayed after the mend",
            sent=2,
            lost=2 - len(got),
            duplicated=got.total() - len(got),
            recovery=mended.seconds,
        )
    assert await set_up.statuses() == {"sent": len(PERMANENT)}
    assert len(await set_up.logged("failed")) == len(PERMANENT)
    assert set((await set_up.logged("failed")).values()) == {1}


async def test_one_mailbox_is_refused_and_one_deferred(set_up: Stage, scores: Scores) -> None:
    """A 550 is never tried again, a 4xx is, alone: everybody else gets the mail once, at the first attempt."""
    to = ["good@example.com", "gone@example.com", "busy@example.com", "fine@example.com"]
    await set_up.alerts.setting("email", {"to": to})
    set_up.mail.script(
        SmtpReply("RCPT", "550 5.1.1 nobody here", match="gone@"),
        SmtpReply("RCPT", "451 4.2.2 mailbox full", match="busy@", times=2),
    )
    await set_up.run(smtp_deadline=4, http_deadline=4)
    await set_up.storm(1)
    await set_up.settled(1)
    assert [mail.recipients for mail in set_up.mail.mails] == [
        ("good@example.com", "fine@example.com"),
        ("busy@example.com",),
    ]
    assert set_up.mail.commands.count("RCPT") == 4 + 2
    assert await set_up.statuses() == {"sent": 1}
    found = copies(set_up)
    scores.record(
        "mail server: one mailbox refused, one deferred",
        sent=3,
        lost=3 - len(found),
        duplicated=found.total() - len(found),
    )


async def test_the_mail_server_breaks_off_after_the_final_dot(set_up: Stage, scores: Scores) -> None:
    """Nobody can know whether it was taken, so it is sent again, with the same Message-ID."""
    set_up.mail.script(SmtpReply("BODY", cut=True, keep=True, times=1))
    await set_up.email()
    daemon = await set_up.run(smtp_deadline=4, http_deadline=4)
    await set_up.storm(1)
    await daemon.wait_for_event("delivery", outcome="retry")
    broken = Stopwatch()
    await set_up.settled(1)
    assert len({mail.message()["Message-ID"] for mail in set_up.mail.mails}) == 1
    assert [row for row in await set_up.alerts.log("status, maybe_duplicate") if row[1]] == [("retry", True)]
    scores.record(
        "mail server: breaks off after the final dot",
        sent=1,
        lost=1 - min(len(set_up.mail.mails), 1),
        duplicated=len(set_up.mail.mails) - 1,
        allowed=1,
        recovery=broken.seconds,
    )
