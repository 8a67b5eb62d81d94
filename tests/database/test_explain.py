"""explain_alert: every line that can stand in an explanation, in order, and nothing secret in any."""

from decimal import Decimal

import pytest

from support.alerts import Alerts
from support.windows import Windows

pytestmark = pytest.mark.servers


async def lines(alerts: Alerts, alert_id: int | None) -> list[tuple[str, str]]:
    """Return kind and sentence of each line."""
    rows = await alerts.rows("SELECT kind, sentence FROM pggit.explain_alert(%s) ORDER BY step", alert_id)
    return [(str(kind), str(sentence)) for kind, sentence in rows]


async def outlook(alerts: Alerts, change: str = "created_at = created_at") -> str:
    """Change the only queue row and return what happens next to it."""
    await alerts.rows(f"UPDATE pggit.alert_notification_queue SET {change}")  # noqa: S608
    return str(await alerts.value("SELECT pggit.notification_outlook(queue_id) FROM pggit.alert_notification_queue"))


async def test_unknown_alerts_have_no_lines(alerts: Alerts) -> None:
    """NULL and ids that neither the tables nor the log know yield nothing."""
    assert await lines(alerts, None) == []
    assert await lines(alerts, 4711) == []
    assert await alerts.value("SELECT pggit.notification_outlook(NULL)") is None
    assert await alerts.value("SELECT pggit.notification_outlook(4711)") is None


async def test_an_alert_is_told_from_beginning_to_end(alerts: Alerts) -> None:
    """Raised, settings, queued, each attempt with answer and worker, acknowledged, and what happens next, in order."""
    await alerts.setting()
    alert_id = await alerts.alert()
    assert [kind for kind, _ in await lines(alerts, alert_id)] == ["raised", "setting", "outbox"]
    await alerts.route()
    queue_id = (await alerts.queue("queue_id"))[0][0]
    for attempt, (status, reason, detail, code, took) in enumerate(
        [("retry", "rate_limited", "slow down", 429, 12), ("sent", None, None, 200, 7)], start=1
    ):
        await alerts.rows(
            "INSERT INTO pggit.alert_notification_log (alert_id, queue_id, claim_no, channel, recipient, attempt,"
            " status, reason, error_message, response_code, delivery_time_ms, worker, sent_at)"
            " VALUES (%s, %s, %s, 'slack', '#pgit-alerts', %s, %s, %s, %s, %s, %s, %s, now() + %s * interval '1 s')",
            *(alert_id, queue_id, attempt, attempt, status, reason, detail, code, took, f"w{attempt}", attempt),
        )
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'sent', sent_at = now() - interval '5 s'")
    await alerts.rows(
        "UPDATE pggit.performance_alerts SET is_acknowledged = TRUE, acknowledged_by = 'ann',"
        " acknowledged_at = now() + interval '9 s'"
    )
    told = await lines(alerts, alert_id)
    assert [kind for kind, _ in told] == [
        "raised",
        "setting",
        "queued",
        "retry",
        "sent",
        "acknowledged",
        "outbox",
        "next",
    ]
    said = dict(told)
    assert said["raised"].startswith("WARNING THRESHOLD_EXCEEDED of commit: ")
    assert said["setting"] == "now matches"
    assert (
        said["retry"] == "failed, to be tried again: rate limited, attempt 1, answer 429, took 12 ms, by w1: slow down"
    )
    assert said["sent"] == "sent, attempt 2, answer 200, took 7 ms, by w2"
    assert said["acknowledged"] == "acknowledged by ann"
    assert said["next"] == "sent 5 s ago; nothing more happens"


async def test_the_verdicts_are_those_of_routing(alerts: Alerts) -> None:
    """Of every kind of setting, exactly those that are said to match get a queue row."""
    await alerts.setting()
    await alerts.setting(alert_type=" anomaly ", severity="critical")
    await alerts.setting(severity="warning")
    await alerts.setting(pattern="merge*")
    await alerts.setting(pattern="c?mmit")
    await alerts.setting(enabled=False)
    await alerts.setting(enabled=None, severity="INFO")
    await alerts.setting(config={})
    alert_id = await alerts.routed_alert()
    verdicts = await alerts.rows(
        "SELECT setting_id, delivers, verdict FROM pggit.setting_verdicts('commit', 'THRESHOLD_EXCEEDED', 'WARNING')"
        " ORDER BY setting_id"
    )
    said = {number: verdict for number, _, verdict in verdicts}
    assert {number for number, delivers, _ in verdicts if delivers} == {
        row[0] for row in await alerts.queue("setting_id", "status = 'pending'")
    }
    assert {number for number, verdict in said.items() if verdict.startswith("matches")} == {
        row[0] for row in await alerts.queue("setting_id")
    }
    assert said[2] == "does not match: it is for alert type  anomaly ; it is for severity critical"
    assert said[4] == "does not match: its pattern is merge*"
    assert said[6] == "would match, but is disabled"
    assert said[7] == "does not match: it is for severity INFO; disabled"
    assert said[8].startswith('matches; broken: config needs "webhook"')
    assert sum(kind == "setting" for kind, _ in await lines(alerts, alert_id)) == 8
    nothing = await alerts.rows("SELECT delivers FROM pggit.setting_verdicts(NULL, NULL, NULL)")
    assert len(nothing) == 8


async def test_what_happens_next_names_the_first_thing_in_the_way(alerts: Alerts) -> None:
    """Each state a notification can be in has its own words, with the time it is about."""
    setting = await alerts.setting()
    await alerts.routed_alert()
    assert "no daemon has given a sign of life" in await outlook(alerts)
    await alerts.rows("INSERT INTO pggit.alertd_worker (worker, hostname, version) VALUES ('w', 'h', '1')")
    assert await outlook(alerts, "next_attempt_at = now() + interval '42 s'") == (
        "next attempt in 42 s; given up in 4 h"
    )
    assert await outlook(alerts, "next_attempt_at = now() - interval '3 min'") == "due for 3 min"
    await alerts.rows(
        "INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_until)"
        " SELECT destination_key, channel, recipient, now() + interval '2 h' FROM pggit.alert_notification_queue"
    )
    paused = await outlook(alerts)
    assert paused.startswith("waiting: destination paused until 2")
    assert paused.endswith("Z (in 2 h)")
    await alerts.rows(
        "UPDATE pggit.alert_destination"
        " SET opened_at = now(), open_until = now() + interval '30 s', open_reason = 'HTTP 500'"
    )
    broken = await outlook(alerts)
    assert broken.startswith("waiting: destination broken since 2")
    assert broken.endswith("Z: HTTP 500; tried again in 30 s")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET config = '{}'")
    assert (await outlook(alerts)).startswith("setting 1 is broken, so the next attempt ends it: config needs")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    assert await outlook(alerts) == "held: setting 1 is disabled; it is sent when the setting is enabled"
    await alerts.rows("DELETE FROM pggit.alert_notification_settings WHERE setting_id = %s", setting)
    assert await outlook(alerts) == "its setting was deleted, so the next attempt ends it as a dead letter"
    assert (await outlook(alerts, "claimed_by = 'w', next_attempt_at = now() + interval '1 min'")).startswith(
        "being sent now by w; if that worker vanishes"
    )
    assert "has vanished with it" in await outlook(alerts, "next_attempt_at = now() - interval '1 s'")
    failed = await outlook(alerts, "status = 'failed', processed_at = now()")
    assert "pggit-alertd deadletter replay 1" in failed
    assert failed.endswith("now notification 1 can't be sent: its setting was deleted")
    assert (await outlook(alerts, "discarded_at = now()")).startswith("discarded 0 s ago")


async def test_a_deleted_alert_is_explained_from_what_is_left(alerts: Alerts) -> None:
    """With its queue row the snapshot tells it; with nothing but log rows these do."""
    await alerts.setting()
    alert_id = await alerts.routed_alert()
    await alerts.rows("DELETE FROM pggit.performance_alerts")
    told = await lines(alerts, alert_id)
    assert [kind for kind, _ in told] == ["raised", "setting", "queued", "next"]
    assert "deleted since" in told[0][1]
    await alerts.rows("DELETE FROM pggit.alert_notification_queue")
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_log (alert_id, channel, recipient, status, reason, error_message)"
        " VALUES (%s, 'none', '(none)', 'suppressed', 'a_reason_of_tomorrow', 'rule 7: x')",
        alert_id,
    )
    told = await lines(alerts, alert_id)
    assert told[0][0] == "deleted"
    assert told[1] == ("suppressed", "not sent: a reason of tomorrow: rule 7: x")
    assert told[2] == ("next", "nobody is told: no notification was queued")


async def test_every_status_of_the_log_has_words(alerts: Alerts) -> None:
    """No row of the log, however bare, becomes an empty or missing line."""
    statuses = ["sent", "retry", "failed", "released", "held", "superseded", "lost", "suppressed", "test"]
    for status in statuses:
        await alerts.rows(
            "INSERT INTO pggit.alert_notification_log (alert_id, channel, recipient, status) VALUES (7, 'x', 'y', %s)",
            status,
        )
    told = [sentence for kind, sentence in await lines(alerts, 7) if kind in statuses]
    assert len(told) == len(set(told)) == len(statuses)
    assert all(told)


async def test_an_escalated_alert_says_why(alerts: Alerts) -> None:
    """The fourth alert of an hour is CRITICAL, and the explanation names the rule."""
    await alerts.setting()
    alert_id = await alerts.routed_alert(count=4)
    told = await lines(alerts, alert_id)
    assert [kind for kind, _ in told][:2] == ["raised", "escalated"]
    assert told[0][1].startswith("CRITICAL ")


async def test_the_history_counts_what_became_of_each_alert(alerts: Alerts) -> None:
    """Sent, failed, waiting and suppressed are counted alert by alert; one without any notification has zeros."""
    assert await alerts.rows("SELECT * FROM pggit.v_alert_history") == []
    nobody = await alerts.routed_alert()
    await alerts.setting()
    await alerts.setting("email")
    await alerts.setting("pagerduty")
    told = await alerts.routed_alert("merge")
    for channel, status in [("slack", "sent"), ("email", "failed")]:
        await alerts.rows(
            "UPDATE pggit.alert_notification_queue SET status = %s, sent_at = now() WHERE channel = %s", status, channel
        )
    await alerts.rows("UPDATE pggit.performance_alerts SET is_acknowledged = TRUE, acknowledged_by = 'ann'")
    assert await alerts.rows(
        "SELECT alert_id, sent, failed, pending, suppressed, first_sent_at IS NOT NULL, channels, acknowledged_by"
        " FROM pggit.v_alert_history ORDER BY alert_id"
    ) == [
        (nobody, 0, 0, 0, 1, False, [], "ann"),
        (told, 1, 1, 1, 0, True, ["email", "pagerduty", "slack"], "ann"),
    ]


async def test_the_history_says_what_a_detector_found(alerts: Alerts) -> None:
    """Branch and finding stand beside the alert they belong to; an alert without either has NULL there."""
    plain = await alerts.alert()
    found = await alerts.alert("merge")
    await alerts.rows("INSERT INTO pggit.branches (branch_id, branch_name, created_by) VALUES (7, 'main', 'ann')")
    await alerts.rows("UPDATE pggit.performance_alerts SET branch_id = 7 WHERE alert_id = %s", found)
    await alerts.rows(
        "INSERT INTO pggit.alert_finding (alert_id, operation_type, alert_type, zscore, percent_change, together)"
        " VALUES (%s, 'merge', 'DEGRADATION', 4.5, 30, '{commit}')",
        found,
    )
    assert await alerts.rows(
        "SELECT alert_id, branch_name, zscore, expected_high_microseconds, percent_change, began_at, together"
        " FROM pggit.v_alert_history ORDER BY alert_id"
    ) == [(plain, *[None] * 6), (found, "main", Decimal("4.5"), None, Decimal(30), None, ["commit"])]


async def test_what_a_window_muted_is_told_with_what_became_of_it(alerts: Alerts) -> None:
    """While it is open the alert waits for its end; afterwards each alert names the message that told of it."""
    windows = Windows(alerts)
    setting = await alerts.setting()
    snooze = await windows.snooze(operation="commit")
    folded = await alerts.alert()
    worst = await alerts.routed_alert(severity="CRITICAL")
    until = "SELECT to_char(muted_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM pggit.alert_muted LIMIT 1"
    muted = f"muted by window {snooze} until {await alerts.value(until)} UTC; "
    assert (await lines(alerts, folded))[-1] == ("next", muted + "sent then if it still fires")
    await windows.pass_by(snooze)
    await windows.release()
    muted = f"muted by window {snooze} until {await alerts.value(until)} UTC; "
    told = await alerts.rows(
        "SELECT kind, setting_id, subject, sentence FROM pggit.explain_alert(%s) WHERE at IS NOT NULL", folded
    )
    assert told[-1] == (
        "window_ended",
        setting,
        "slack #pgit-alerts",
        f"{muted}told in the message for alert {worst} when the window ended",
    )
    assert "nobody is told" not in str(await lines(alerts, folded))
    assert ("window_ended", muted + "sent when the window ended") in await lines(alerts, worst)
    assert [kind for kind, _ in await lines(alerts, worst)][-1] == "next"
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    assert (await alerts.column("SELECT subject FROM pggit.explain_alert(%s) WHERE kind = 'window_ended'", folded)) == [
        f"setting {setting}"
    ]


async def test_every_outcome_of_a_muted_alert_has_words(alerts: Alerts) -> None:
    """Each says something else, and where nothing was sent the explanation ends with nobody being told."""
    windows = Windows(alerts)
    await alerts.setting()
    await windows.snooze()
    alert = await alerts.routed_alert()
    said = set()
    outcomes = ["sent", "folded", "over", "acknowledged", "resolved", "alert_deleted", "setting_off", "sent_by_hand"]
    for outcome in outcomes:
        await alerts.rows("UPDATE pggit.alert_muted SET outcome = %s, released_at = now()", outcome)
        told = await lines(alerts, alert)
        said.add(dict(told)["window_ended"])
        assert ("nobody is told" in told[-1][1]) is (outcome not in {"sent", "folded"})
    assert len(said) == len(outcomes)
    assert any(sentence.endswith("told in the message for its group when the window ended") for sentence in said)


async def test_what_was_sent_elsewhere_or_escalated_names_the_setting(alerts: Alerts) -> None:
    """A fallback and a step of a chain are not said to be handed back; a vanished worker is told at its claim."""
    for status, reason, detail in [
        ("released", "fallback", "also sent through setting 4 (email o***@example.com): HTTP 500"),
        ("released", "fallback", None),
        ("released", "escalated", "step 2 of escalation payments: Not acknowledged for 15 min by ops."),
        ("released", "shutdown", None),
        ("lost", "lease", None),
    ]:
        await alerts.rows(
            "INSERT INTO pggit.alert_notification_log"
            " (alert_id, setting_id, channel, recipient, status, reason, error_message)"
            " VALUES (7, 4, 'x', 'y', %s, %s, %s)",
            *(status, reason, detail),
        )
    assert [sentence for kind, sentence in await lines(alerts, 7) if kind in {"released", "lost"}] == [
        "also sent through setting 4 (email o***@example.com): HTTP 500",
        "also sent through setting 4",
        "escalated to setting 4: step 2 of escalation payments: Not acknowledged for 15 min by ops.",
        "handed back unsent: shutdown",
        "claimed by a worker that vanished before it could say what became of it",
    ]


async def test_what_min_interval_holds_back_waits_for_the_digest(alerts: Alerts) -> None:
    """Until the group is quiet no more, an unattempted row waits for its digest; a retry is a retry."""
    setting = await alerts.setting()
    await alerts.rows("UPDATE pggit.alert_notification_settings SET min_interval = '1 h'")
    await alerts.alert()
    await alerts.rows("INSERT INTO pggit.alertd_worker (worker, hostname, version) VALUES ('w', 'h', '1')")
    await alerts.rows(
        "INSERT INTO pggit.alert_group (setting_id, urgency, group_key, quiet_until, leader_id)"
        " VALUES (%s, 1, 'commit/THRESHOLD_EXCEEDED', now() + interval '1 h', 1)",
        setting,
    )
    await alerts.route()
    soon = "next_attempt_at = now() + interval '42 s'"
    assert await outlook(alerts, soon) == "waits for the digest of its group (min_interval), in 42 s"
    assert (await outlook(alerts, soon + ", attempt = 1")).startswith("next attempt in 42 s")
    await alerts.rows("UPDATE pggit.alert_group SET urgency = 0")
    assert (await outlook(alerts, soon + ", attempt = 0")).startswith("next attempt in 42 s"), "the other lane's"
    await alerts.rows("UPDATE pggit.alert_group SET urgency = 1, quiet_until = now() - interval '1 s'")
    assert (await outlook(alerts, soon + ", attempt = 0")).startswith("next attempt in 42 s")


async def test_spans_are_told_in_their_two_largest_units(alerts: Alerts) -> None:
    """From seconds to days, and NULL for NULL."""
    for span, text in [
        ("0 s", "0 s"),
        ("-42 s", "42 s"),
        ("3 min 20 s", "3 min"),
        ("125 min", "2 h 5 min"),
        ("3 h", "3 h"),
        ("2 d", "2 d"),
        ("76 h", "3 d 4 h"),
    ]:
        assert await alerts.value("SELECT pggit.duration_text(%s::interval)", span) == text
    assert await alerts.value("SELECT pggit.duration_text(NULL)") is None


async def test_a_chain_under_way_says_who_is_told_next_and_when(alerts: Alerts) -> None:
    """Until somebody acknowledges, what happens next has the next step: whom it tells, when, what is in its way."""
    first, second = await alerts.setting(severity="CRITICAL"), await alerts.setting("email", alert_type="ESCALATION")
    await alerts.rows(
        "INSERT INTO pggit.alert_escalation_step (chain, position, setting_id, wait) VALUES"
        " ('payments', 1, %s, '0'), ('payments', 2, %s, '2 hours')",
        first,
        second,
    )
    alert_id = await alerts.routed_alert(severity="CRITICAL")
    who = f"step 2, setting {second} (email o***@example.com), "
    (told,) = [sentence for _, sentence in await lines(alerts, alert_id) if sentence.startswith("step")]
    assert told in {f"{who}in {span} unless somebody acknowledges" for span in ("1 h 59 min", "2 h", "119 min")}
    await alerts.rows("UPDATE pggit.alert_escalation SET due_at = now(), snooze_id = 7")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE WHERE setting_id = %s", second)
    kind, sentence = (await lines(alerts, alert_id))[-1]
    assert (kind, sentence.split("; ")) == (
        "next",
        [
            f"{who}at the router's next round unless somebody acknowledges",
            "it is disabled now, so it would be passed over",
            "put off by window 7",
        ],
    )
    await alerts.rows("SELECT pggit.acknowledge_alert(%s, 'ann')", alert_id)
    await alerts.route()
    await alerts.rows("SELECT pggit.escalate_unacknowledged()")
    assert not [sentence for _, sentence in await lines(alerts, alert_id) if sentence.startswith("step")]
