"""Whatever an alert says: limits hold, JSON and mail stay whole, nothing is injected. Arbitrary Unicode."""

import email
import email.policy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings

from channels.hostile import NASTY, notifications
from channels.rig import NOTIFICATION
from pggit_alertd.channels import NAMES, Channel, ChannelOptions, build
from pggit_alertd.channels.mail_message import Letterhead, compose
from pggit_alertd.demo.sinks.validation import pagerduty_complaints, slack_complaint
from pggit_alertd.model import Alert, Event, Notification, Severity
from pggit_alertd.rendering import apprise, digests, pagerduty, slack, webhook
from pggit_alertd.rendering import mail as mail_rendering
from pggit_alertd.rendering.facts import facts, footer, note
from pggit_alertd.rendering.headlines import headline


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


@settings(max_examples=150, deadline=None)
@given(notifications())
def test_slack_messages_keep_every_limit_and_address_nobody(notification: Notification) -> None:
    """Slack's own checks pass, the sum stays under 10,000, and no markup of the alert's survives."""
    for payload in (slack.message(notification, "#x"), slack.plain_message(notification)):
        assert slack_complaint(payload) is None
        texts = list(_strings(json.loads(payload)))
        assert sum(len(text) for text in texts) <= slack.TOTAL_LIMIT
        for text in texts:
            assert "<" not in text
            assert ">" not in text
            assert re.sub(r"&(amp|lt|gt);", "", text).count("&") == 0
            assert text.encode("utf-8")


@settings(max_examples=150, deadline=None)
@given(notifications())
def test_pagerduty_events_keep_every_limit(notification: Notification) -> None:
    """PagerDuty's own checks pass for the whole event and for the smallest, and both name the same incident."""
    keys = set()
    for payload in (
        pagerduty.event(notification, "k" * 32, "pggit"),
        pagerduty.minimal_event(notification, "k" * 32, "p"),
    ):
        event, complaints = pagerduty_complaints(payload)
        assert complaints == []
        assert len(payload) < 20_000
        assert all(text.encode("utf-8") for text in _strings(event) if text)
        keys.add(event["dedup_key"])
    assert len(keys) == 1


@settings(max_examples=100, deadline=None)
@given(notifications())
def test_mails_are_whole_and_have_only_our_headers(notification: Notification) -> None:
    """Python's parser finds no defect, no header but ours, no bare line end, no long line, and the text unharmed."""
    templates = mail_rendering.MailTemplates()
    letterhead = Letterhead("alertd@pggit.example", ("ops@example.com",), ("team@example.com",))
    text = mail_rendering.text(notification)
    data = compose(
        notification, letterhead, datetime(2026, 1, 1, tzinfo=UTC), text=text, html=templates.html(notification)
    )
    assert data.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", data) is None
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert message.defects == []
    names = [name.lower() for name in message.keys()]  # noqa: SIM118 - a mail's keys repeat, which iteration hides
    assert len(names) == len(set(names))
    assert set(names) == EXPECTED_HEADERS
    for name in names:
        assert message[name].defects == () or list(message[name].defects) == []
        assert "\n" not in str(message[name])
    assert str(message["Subject"]) == mail_rendering.subject(notification)
    assert (message["To"], message["Cc"]) == ("ops@example.com", "team@example.com")
    plain, html = message.iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert plain.get_content().replace("\r\n", "\n") == text
    assert "<script" not in html.get_content()


EXPECTED_HEADERS = {
    "auto-submitted",
    "cc",
    "content-type",
    "date",
    "from",
    "in-reply-to",
    "list-id",
    "message-id",
    "mime-version",
    "references",
    "subject",
    "to",
    "x-auto-response-suppress",
    "x-pggit-alert-id",
    "x-pggit-event",
    "x-pggit-severity",
}


@settings(max_examples=100, deadline=None)
@given(notifications())
def test_webhook_bodies_keep_their_limit_and_their_names(notification: Notification) -> None:
    """The body is JSON within the documented limit, its strings are clean, and its keys are the documented ones."""
    data = webhook.body(notification, "pggit")
    assert len(data) <= webhook.BODY_LIMIT
    body = json.loads(data)
    assert set(body) == {"type", "timestamp", "id", "data"}
    assert re.fullmatch(r"(alert|system)\.(triggered|acknowledged|resolved)", body["type"])
    assert re.fullmatch("msg_[0-9a-f]{24}", body["id"])
    for text in _strings(body):
        assert text
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
    assert webhook.body(notification, "pggit") == data


@settings(max_examples=100, deadline=None)
@given(notifications())
def test_apprise_texts_keep_their_limits_and_address_nobody(notification: Notification) -> None:
    """Title and body are bounded and hold nothing that a service could read as a tag, a mention or a code fence."""
    made = apprise.text(notification)
    assert 0 < len(made.title) <= apprise.TITLE_LIMIT
    assert 0 < len(made.body) <= apprise.BODY_LIMIT
    assert not set("<>@`") & set(made.title + made.body)
    assert "\n" not in made.title
    assert (made.title + made.body).encode()


@given(notifications())
def test_facts_are_single_lines_without_gaps(notification: Notification) -> None:
    """Every line is one line, nothing in it is empty, and what is unknown is not mentioned."""
    lines = [headline(notification), footer(notification), *(part for fact in facts(notification) for part in fact)]
    lines += digests.lines(notification, 10)
    if notification.alert.note and (sentence := note(notification)):
        lines.append(sentence)
    if (table := digests.table(notification, 10)) is not None:
        lines += [table.title, *table.columns]
        assert {len(row) for row in table.rows} == {len(table.columns)}
    for line in lines:
        assert line
        assert line == line.strip()
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", line)
    labels = {fact.label for fact in facts(notification)}
    if notification.alert.duration_us is None:
        assert not labels & {"Took", "Worst took"}
    assert len(labels) == len(facts(notification)) <= slack.FIELDS_LIMIT


def test_a_mail_has_the_headers_that_keep_robots_and_threads_in_order() -> None:
    """Out-of-office answers are held off, the list has its identifier, and all mails about an alert share a thread."""
    letterhead = Letterhead("alertd@pggit.example", ("ops@example.com",))
    parsed = [
        email.message_from_bytes(
            compose(replace(NOTIFICATION, event=event), letterhead, datetime(2026, 1, 1, tzinfo=UTC), text="x"),
            policy=email.policy.default,
        )
        for event in Event
    ]
    first = parsed[0]
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["X-Auto-Response-Suppress"] == "All"
    assert re.fullmatch(r"pgGit alerts <alerts\.pggit\.example>", str(first["List-Id"]))
    assert first["X-Pggit-Alert-Id"] == "12"
    assert first["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert len({str(each["References"]) for each in parsed}) == 1
    assert len({str(each["In-Reply-To"]) for each in parsed}) == 1
    assert len({str(each["Message-ID"]) for each in parsed}) == 3
    assert len({re.sub(r"\[.*?\] ?", "", str(each["Subject"])) for each in parsed}) == 1


def test_mails_of_one_group_share_a_thread() -> None:
    """Alerts of one operation and type answer one root, others another."""
    letterhead = Letterhead("alertd@pggit.example", ("ops@example.com",))

    def root(**changes: str) -> str:
        mail = compose(replace(NOTIFICATION, **changes), letterhead, datetime(2026, 1, 1, tzinfo=UTC), text="x")  # type: ignore[arg-type]
        return str(email.message_from_bytes(mail, policy=email.policy.default)["References"])

    assert root(dedup_key="a", group="db/commit/ANOMALY") == root(dedup_key="b", group="db/commit/ANOMALY")
    assert root(dedup_key="a", group="db/commit/ANOMALY") != root(dedup_key="a", group="db/merge/ANOMALY")


def test_a_subject_that_looks_encoded_is_not_decoded() -> None:
    """An encoded word in an alert's text, with a line break inside, is shown as it was written."""
    alert = replace(NOTIFICATION.alert, operation_type="=?utf-8?q?=0D=0ABcc:_victim=40example.com?=", factor=None)
    data = compose(
        replace(NOTIFICATION, alert=alert),
        Letterhead("alertd@pggit.example", ("o@example.com",)),
        datetime(2026, 1, 1, tzinfo=UTC),
        text="x",
    )
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert message["Bcc"] is None
    assert "=?utf-8?q?=0D=0ABcc:_victim=40example.com?=" in str(message["Subject"])


def test_identifiers_survive_a_domain_of_any_length() -> None:
    """A Message-ID longer than a line is neither folded nor encoded."""
    domain = "a." * 100 + "example"
    data = compose(
        NOTIFICATION, Letterhead(f"alertd@{domain}", ("o@example.com",)), datetime(2026, 1, 1, tzinfo=UTC), text="x"
    )
    message = email.message_from_bytes(data, policy=email.policy.default)
    for name in ("Message-ID", "In-Reply-To", "References", "List-Id"):
        assert str(message[name]).endswith(f"{domain}>")


@pytest.mark.parametrize("name", NAMES)
async def test_no_channel_raises_while_rendering(name: str) -> None:
    """Rendering is defined for the nastiest texts we know, in every field at once."""
    made = build(ChannelOptions(smtp_url="smtp://m.example", email_from="a@b.example"))
    channel: Channel[Any, Any] = made[name]
    destination = channel.parse(
        {
            "to": "ops@example.com",
            "webhook": "https://hooks.slack.com/services/x",
            "routing_key": "k" * 31 + "1",
            "url": "discord://id/token" if name == "apprise" else "https://example.com/hook",
        }
    )
    for text in NASTY:
        alert = Alert(
            None, text, text, Severity.INFO, text, datetime(2026, 1, 1, tzinfo=UTC), branch=text, user_name=text
        )
        channel.render(Notification(text, text, alert), destination)
    for each in made.values():
        await each.aclose()
