"""Templates of an operator's own: docs/templates.md is true, and one that fails costs only itself."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from channels.rig import NOTIFICATION, notification
from pggit_alertd import logs
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.demo.sinks import SmtpSink
from pggit_alertd.model import Delivered, Digest, Notification
from pggit_alertd.rendering.mail import BODY_LIMIT, MailTemplates, context, text

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "templates.md").read_text()
AT = NOTIFICATION.alert.occurred_at
SEVERAL = replace(
    notification(note="was muted by deploy"),
    digest=Digest(3, AT, AT, (NOTIFICATION.alert, replace(NOTIFICATION.alert, alert_id=13, factor=2.0))),
)
EVERY_KIND = [NOTIFICATION, SEVERAL, notification(alert_type="SYSTEM", alert_id=None)]


async def bodies(sink: SmtpSink, folder: Path, what: Notification = SEVERAL) -> dict[str, str]:
    """Send through a channel with this folder of templates and return the mail's parts by type."""
    channel = EmailChannel(sink.url, "alertd@pggit.example", deadline=5, templates=str(folder))
    destination = channel.parse({"to": "ops@example.com"})
    assert isinstance(await channel.send(destination, channel.render(what, destination)), Delivered)
    await channel.aclose()
    message = sink.mails[-1].message()
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


def test_the_document_lists_exactly_what_templates_may_use() -> None:
    """Every name in the table exists, and no name exists that is not in it."""
    documented = set(re.findall(r"^\| `([a-z]+)` \|", DOCUMENT, flags=re.MULTILINE))
    assert documented == set(context(NOTIFICATION))


@pytest.mark.parametrize("what", EVERY_KIND, ids=["one", "several", "system"])
async def test_the_documented_example_renders_every_kind_of_message(
    sink: SmtpSink, tmp_path: Path, what: Notification
) -> None:
    """What people copy from the document works for an alert, for a digest and for the daemon's own words."""
    (example,) = re.findall(r"```jinja\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    (tmp_path / "mail.txt.j2").write_text(example)
    found = (await bodies(sink, tmp_path, what))["text/plain"].replace("\r\n", "\n")
    assert "Runbook: https://wiki.example.com/slow-queries" in found
    assert found.startswith("was muted by deploy\n\n3 alerts" if what is SEVERAL else "merge_branch exceeded")
    assert ("The worst 2 of 3:" in found) == (what is SEVERAL)


async def test_html_of_an_operators_own_is_escaped_and_replaces_only_itself(sink: SmtpSink, tmp_path: Path) -> None:
    """The HTML part is theirs with values escaped, the text part stays built in."""
    (tmp_path / "mail.html.j2").write_text("<p>mine: {{ headline }} {{ note }}</p>")
    hostile = replace(SEVERAL, alert=replace(SEVERAL.alert, note="<script>alert(1)</script>"))
    found = await bodies(sink, tmp_path, hostile)
    assert found["text/html"].startswith("<p>mine: 3 alerts of merge_branch")
    assert "&lt;script&gt;" in found["text/html"]
    assert found["text/plain"].replace("\r\n", "\n") == text(hostile)


@pytest.mark.parametrize("file", ["mail.html.j2", "mail.txt.j2"])
@pytest.mark.parametrize(
    "template",
    [
        "{{ no_such_name }}",
        "{% for %}",
        "{{ facts[99].value }}",
        "{{ ''.__class__.__mro__ }}",
        "{% include 'elsewhere' %}",
        "{{ 1 / 0 }}",
        "{{ 'x' * 300000 }}",
        b"\xff\xfe not UTF-8",
    ],
)
async def test_a_template_that_fails_costs_only_itself_and_is_reported(
    sink: SmtpSink, tmp_path: Path, file: str, template: str | bytes
) -> None:
    """The mail arrives with the built-in text alone, and the log names the template."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    (tmp_path / file).write_bytes(template if isinstance(template, bytes) else template.encode())
    found = await bodies(sink, tmp_path)
    assert set(found) == {"text/plain"}
    assert found["text/plain"].replace("\r\n", "\n") == text(SEVERAL)
    assert file in stream.getvalue()


def test_the_built_in_template_is_never_too_long_for_itself() -> None:
    """The limit on what a template may give is far above what ours gives for the longest digest."""
    longest = replace(SEVERAL, digest=Digest(10**6, AT, AT, (replace(NOTIFICATION.alert, branch="x" * 500),) * 50))
    assert len(MailTemplates().html(longest)) < BODY_LIMIT / 5
