"""What people read of digests, notes, actors, folded events and the daemon's own words: pure."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pggit_alertd.model import Alert, Digest, Event, Notification, Severity
from pggit_alertd.rendering import digests, mail, pagerduty, slack
from pggit_alertd.rendering.facts import facts, footer
from pggit_alertd.rendering.headlines import headline

AT = datetime(2026, 3, 1, 2, 3, 4, tzinfo=UTC)
ALERT = Alert(
    alert_id=12,
    operation_type="commit",
    alert_type="THRESHOLD_EXCEEDED",
    severity=Severity.CRITICAL,
    message="ALERT: commit exceeded baseline by 8.2x",
    occurred_at=AT,
    duration_us=410_000,
    baseline_p99_us=50_000,
    factor=8.2,
    branch="main",
)
ONE = Notification("q1", "pggit-alert-12", ALERT)


def digest(count: int = 12, seconds: float = 300.0, *alerts: Alert, **changes: Any) -> Notification:
    """Return a notification about several alerts."""
    worst = (replace(ALERT, **changes), *alerts)
    return replace(ONE, alert=worst[0], digest=Digest(count, AT - timedelta(seconds=seconds), AT, worst))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "1 s"),
        (0, "1 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (299, "5 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (86_400 + 300, "1 d 5 min"),
    ],
)
def test_a_period_is_told_in_whole_minutes_as_far_as_there_are_any(seconds: float, shown: str) -> None:
    """Nobody needs the seconds of an hour, and nothing happens in no time."""
    found = digest(12, seconds).digest
    assert found is not None
    assert digests.period(found) == shown


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        (digest(), "12 alerts of commit in 5 min, worst 8.2x"),
        (digest(factor=None, baseline_p99_us=None), "12 alerts of commit in 5 min, worst 410 ms"),
        (digest(factor=None, baseline_p99_us=None, duration_us=None), "12 alerts of commit in 5 min"),
        (
            digest(2, 5, replace(ALERT, operation_type="merge")),
            "2 alerts of commit and others in 5 s, worst 8.2x",
        ),
        (replace(digest(), event=Event.RESOLVED), "Resolved: 12 alerts of commit in 5 min, worst 8.2x"),
        (replace(digest(), test=True), "[TEST] 12 alerts of commit in 5 min, worst 8.2x"),
        (digest(1), "commit exceeded its baseline by 8.2x (410 ms vs baseline 50.0 ms)"),
    ],
)
def test_a_digest_has_a_headline_of_its_own(what: Notification, shown: str) -> None:
    """Count, operation, period and the worst; one alert alone is told as one."""
    assert headline(what) == shown


def test_a_table_has_no_empty_column_and_says_what_it_leaves_out() -> None:
    """What no alert has is not a column, one operation is not repeated in every row, and the title counts."""
    plain = replace(ALERT, alert_id=13, branch=None, factor=2.0)
    table = digests.table(digest(12, 300, plain), 10)
    assert table is not None
    assert table.title == "The worst 2 of 12"
    assert table.columns == ("Factor", "Took", "Baseline p99", "Severity", "Branch", "At", "Alert")
    assert [row[4] for row in table.rows] == ["main", ""]
    mixed = digests.table(digest(2, 300, replace(plain, operation_type="merge")), 10)
    assert mixed is not None
    assert mixed.title == "All 2, worst first"
    assert "Operation" in mixed.columns
    assert digests.table(ONE, 10) is None
    assert digests.table(replace(ONE, digest=Digest(5, AT, AT, ())), 10) is None


def test_lists_end_at_their_limits() -> None:
    """However many alerts a digest brings, each channel lists its few."""
    many = digest(500, 300, *(replace(ALERT, alert_id=number) for number in range(100, 400)))
    assert slack.message(many).count(b"\\u2022") == slack.WORST
    assert (
        len(json.loads(pagerduty.event(many, "k" * 32, "s"))["payload"]["custom_details"]["worst"]) == pagerduty.WORST
    )
    assert mail.text(many).count("2026-03-01 02:03:04 UTC") == mail.WORST + 2  # and "Last", and the footer
    assert "The worst 5 of 500" in slack.message(many).decode()


def test_pagerdutys_summary_says_the_count_and_its_details_the_rest() -> None:
    """The note comes first in what is read aloud on the phone, and the details list the alerts."""
    noted = replace(digest(), alert=replace(digest().alert, note="was muted by deploy until 02:00"))
    payload = json.loads(pagerduty.event(noted, "k" * 32, "s"))["payload"]
    assert payload["summary"] == (
        "CRITICAL: was muted by deploy until 02:00 | 12 alerts of commit in 5 min, worst 8.2x"
    )
    assert next(iter(payload["custom_details"])) == "note"
    assert payload["custom_details"]["alerts"] == "12"
    assert payload["custom_details"]["worst"] == [
        "8.2x · 410 ms vs 50.0 ms · commit · main · 2026-03-01 02:03:04 UTC · Alert 12"
    ]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"event": Event.ACKNOWLEDGED}, "Acknowledged: commit exceeded"),
        ({"event": Event.ACKNOWLEDGED, "actor": "alice"}, "Acknowledged by alice: commit exceeded"),
        ({"event": Event.RESOLVED, "actor": " a\nb "}, "Resolved by a b: commit exceeded"),
        ({"event": Event.RESOLVED, "actor": "\u200b"}, "Resolved: commit exceeded"),
        ({"event": Event.TRIGGERED, "actor": "alice"}, "commit exceeded"),
    ],
)
def test_the_headline_names_who_did_it(changes: dict[str, Any], shown: str) -> None:
    """By whom, if that is known and makes sense for the event."""
    alert = replace(ALERT, actor=changes.pop("actor", None))
    assert headline(replace(ONE, alert=alert, **changes)).startswith(shown)


@pytest.mark.parametrize(
    ("event", "began", "shown"),
    [
        (
            Event.RESOLVED,
            AT - timedelta(hours=1),
            "; began at 2026-03-01 01:03:04 UTC, over at 2026-03-01 02:03:04 UTC",
        ),
        (Event.RESOLVED, None, "; over at 2026-03-01 02:03:04 UTC, before its beginning was told"),
        (
            Event.ACKNOWLEDGED,
            AT - timedelta(hours=1),
            "; began at 2026-03-01 01:03:04 UTC, acknowledged at 2026-03-01 02:03:04 UTC",
        ),
        (Event.TRIGGERED, AT - timedelta(hours=1), "(410 ms vs baseline 50.0 ms)"),
    ],
)
def test_an_event_without_its_trigger_tells_both(event: Event, began: datetime | None, shown: str) -> None:
    """Beginning and end in one line; a beginning that is not known is not made up."""
    folded = replace(ONE, event=event, folded=True, alert=replace(ALERT, began_at=began))
    assert headline(folded).endswith(shown)
    assert "began" not in headline(replace(folded, folded=False))


def test_the_daemons_own_words_stand_alone() -> None:
    """The message is the headline, there are no facts, and the subject names the program."""
    system = replace(ONE, alert=replace(ALERT, alert_id=None, alert_type="SYSTEM", message="Slack is broken: HTTP 404"))
    assert headline(system) == "Slack is broken: HTTP 404"
    assert facts(system) == []
    assert mail.subject(system) == "[CRITICAL] pggit-alertd: Slack is broken: HTTP 404"
    named = replace(system, alert=replace(system.alert, message="pggit-alertd: Slack is broken: HTTP 404"))
    assert mail.subject(named) == mail.subject(system), "who speaks is said once"
    assert footer(system) == "pggit-alertd · triggered · 2026-03-01 02:03:04 UTC"
    assert mail.text(system) == f"Slack is broken: HTTP 404\n\n{footer(system)}\n"
    (blocks,) = (each["blocks"] for each in json.loads(slack.message(system))["attachments"])
    assert [block["type"] for block in blocks] == ["context"]
    payload = json.loads(pagerduty.event(system, "k" * 32, "db-1"))["payload"]
    assert (payload["component"], payload["class"], payload["source"]) == ("pggit-alertd", "SYSTEM", "db-1")
    assert "custom_details" not in payload
    silent = replace(system, alert=replace(system.alert, message=" "))
    assert headline(silent) == "pggit-alertd needs attention"


def test_mail_puts_the_note_first_and_a_table_last() -> None:
    """The built-in text reads from what matters most to what matters least."""
    noted = digest(3, 300, replace(ALERT, alert_id=13, factor=2.0))
    noted = replace(noted, alert=replace(noted.alert, note="sent here because #ops is broken"))
    text = mail.text(noted)
    order = [
        "sent here because #ops is broken",
        "3 alerts of commit in 5 min",
        "Operation:",
        "The worst 2 of 3:",
        "Factor  Took    Baseline p99",
        "8.2x    410 ms  50.0 ms",
        "2.0x    410 ms  50.0 ms",
        "Alert 12 and 2 more · triggered",
    ]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    html = mail.MailTemplates().html(noted)
    assert html.index("sent here because #ops is broken") < html.index("<h1")
    assert html.count("<tr>") == 3 + len(facts(noted))


def test_a_snapshot_may_say_when_it_began() -> None:
    """ISO 8601 with a zone is read; anything else is nothing."""
    for given, expected in (
        ("2026-03-01T04:03:04+02:00", AT),
        ("2026-03-01T02:03:04Z", AT),
        ("2026-03-01T02:03:04", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        (7, None),
        (None, None),
    ):
        assert Alert.from_snapshot({"began_at": given}, "", AT).began_at == expected
