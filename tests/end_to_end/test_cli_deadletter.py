"""`pggit-alertd deadletter` and `explain`: what operators type, on a real database, with a login of their own."""

import asyncio
import os
import pty
import sys
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from support.alerts import EMAIL, Alerts
from support.command_line import Ended, alertd, environment

WEBHOOK = "https://hooks.slack.com/services/T0/B0/canaryTokenVq07aaZk81QmX"
ADDRESS = "canary.ops@example.com"
LOGIN = "test_operator"


class Desk:
    """A database with dead letters, and an operator who is no superuser."""

    def __init__(self, dsn: str, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self.alerts = Alerts(connection)
        self.url = make_conninfo(dsn, user=LOGIN)

    async def run(self, *arguments: str) -> Ended:
        """Run the command; whatever it says, it says no secret and no traceback."""
        ended = await alertd(*arguments, database_url=self.url)
        assert not any(secret in ended.said for secret in ("canaryToken", ADDRESS, "Traceback")), ended.said
        return ended

    async def deadletter(self, *arguments: str) -> Ended:
        """Run a command on dead letters."""
        return await self.run("deadletter", *arguments)

    async def dead(self, count: int = 1, **alert: Any) -> list[int]:
        """Raise alerts for each setting, give their notifications up, and return the new numbers."""
        before = await self.alerts.value("SELECT coalesce(max(queue_id), 0) FROM pggit.alert_notification_queue")
        await self.alerts.alert(count=count, alert_type="ANOMALY", **alert)
        while await self.alerts.outbox():
            await self.alerts.route()
        await self.alerts.rows(
            """
            WITH died AS (
                UPDATE pggit.alert_notification_queue
                SET status = 'failed', attempt = 2, processed_at = now(), error_message = 'HTTP 404: no_service'
                WHERE queue_id > %s
                RETURNING *
            )
            INSERT INTO pggit.alert_notification_log (alert_id, queue_id, claim_no, setting_id, event, channel,
                recipient, attempt, status, reason, error_message, response_code, worker, sent_at)
            SELECT alert_id, queue_id, 2, setting_id, event, channel, recipient, 2, 'failed', 'destination_gone',
                error_message, 404, 'w1', processed_at
            FROM died
            """,
            before,
        )
        return [row[0] for row in await self.alerts.queue("queue_id", f"queue_id > {before}")]

    async def states(self) -> dict[str, int]:
        """Return how many notifications are in each state."""
        rows = await self.alerts.rows(
            "SELECT CASE WHEN discarded_at IS NULL THEN status ELSE 'discarded' END, count(*)"
            " FROM pggit.alert_notification_queue GROUP BY 1"
        )
        return {str(state): int(count) for state, count in rows}


@pytest.fixture
async def desk(database: str, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> AsyncIterator[Desk]:
    """Yield a database with one setting for Slack, and the operator's login."""
    desk = Desk(database, connection)
    await desk.alerts.rows(f"DROP ROLE IF EXISTS {LOGIN}")
    await desk.alerts.rows(f"CREATE ROLE {LOGIN} LOGIN IN ROLE pggit_alertd_operator")
    await desk.alerts.setting("slack", {"webhook": WEBHOOK, "channel": "#ops"})
    yield desk
    await desk.alerts.rows(f"DROP ROLE {LOGIN}")


async def test_dead_letters_are_listed_newest_first(desk: Desk) -> None:
    """A line has number, time, channel, masked recipient, alert, reason, attempts and error; --json has the same."""
    nothing = await desk.deadletter("list")
    assert (nothing.status, nothing.out) == (0, "There is no dead letter.\n")
    (old,) = await desk.dead(operation="merge")
    (new,) = await desk.dead(severity="CRITICAL")
    listed = await desk.deadletter("list")
    first, second = listed.out.splitlines()
    assert first.startswith(f"{new}: ")
    assert "s ago) slack #ops, alert 2 CRITICAL ANOMALY commit: destination_gone, 2 attempts: HTTP 404" in first
    assert second.startswith(f"{old}: ")
    assert [each["queue_id"] for each in (await desk.deadletter("list", "--json")).json["dead_letters"]] == [new, old]
    limited = await desk.deadletter("list", "--limit", "1", "--json")
    assert (limited.json["more"], len(limited.json["dead_letters"])) == (True, 1)
    assert "--limit 1 was reached" in (await desk.deadletter("list", "--limit", "1")).out
    filtered = await desk.deadletter(
        "list", "--since", "2h", "--channel", "slack", "--setting", "1", "--destination", "#o*", "--reason",
        "destination_gone", "--severity", "critical", "--operation", "com*",
    )  # fmt: skip
    assert [line.split(":")[0] for line in filtered.out.splitlines()] == [str(new)]
    assert (await desk.deadletter("list", "--channel", "email")).out == "No dead letter matches.\n"
    assert (await desk.deadletter("list", "--since", "soon")).status == 2
    for slip in (("--severity", "CRITCAL"), ("--reason", "gone")):
        refused = await desk.deadletter("list", *slip)
        assert (refused.status, refused.out, f"there is no '{slip[1]}'" in refused.err) == (2, "", True)


async def test_one_is_shown_with_every_attempt(desk: Desk) -> None:
    """The notification, its log in order, and what happens next; an unknown number ends with 1 and a sentence."""
    (number,) = await desk.dead()
    await desk.deadletter("replay", str(number))
    shown = await desk.deadletter("show", str(number))
    assert shown.status == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == f"Notification {number}: slack #ops, setting 1, triggered, pending"
    assert "given up: destination gone, attempt 2, answer 404, by w1: HTTP 404: no_service" in lines[3]
    assert f"put back into the queue by hand, by {LOGIN}" in lines[4]
    assert lines[5].startswith("  next: due for ")
    story = (await desk.deadletter("show", str(number), "--json")).json["notification"]
    assert [row["status"] for row in story["log"]] == ["failed", "released"]
    unknown = await desk.deadletter("show", "4711")
    assert (unknown.status, unknown.err) == (1, "There is no notification 4711; retention may have removed it.\n")
    assert (await desk.deadletter("show", "4711", "--json")).json["error"]["kind"] == "NotFound"


async def test_named_ones_are_replayed_and_the_rest_is_told(desk: Desk) -> None:
    """What can be sent is due again at once; what can't is named with its cause, and makes the command fail."""
    first, second = await desk.dead(2)
    done = await desk.deadletter("replay", str(first))
    assert (done.status, done.out) == (0, "Replayed: 1 notification.\n")
    mixed = await desk.deadletter("replay", str(first), str(second), "4711")
    assert mixed.status == 1
    assert mixed.out == "Replayed: 1 notification.\nNot replayed: 2 notifications.\n"
    assert f"1 x is pending, not failed ({first})" in mixed.err
    assert "1 x there is no notification 4711 (4711)" in mixed.err
    assert await desk.states() == {"pending": 2}


async def test_what_is_replayed_for_a_disabled_setting_is_said_to_wait(desk: Desk) -> None:
    """It is put back and the command succeeds, but nobody is left to think that it is on its way."""
    first, second = await desk.dead(2)
    await desk.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = FALSE")
    done = await desk.deadletter("replay", str(first))
    assert (done.status, done.out) == (0, "Replayed: 1 notification.\n")
    waits = "waits: setting 1 is disabled, and it is sent when that is enabled"
    assert f"1 x {waits} ({first})" in done.err
    told = await desk.deadletter("replay", str(second), "--json")
    assert told.json["waiting"] == [{"queue_id": second, "waits": f"notification {second} {waits}"}]
    assert (told.json["ok"], told.json["replayed"]) == (True, [second])


async def test_all_are_replayed_only_after_a_yes(desk: Desk) -> None:
    """Without anybody to ask nothing is done; --yes does it, in batches, and broken settings keep theirs."""
    await desk.dead(600)
    broken = await desk.alerts.setting("email", EMAIL)
    await desk.dead(3)
    await desk.alerts.rows("UPDATE pggit.alert_notification_settings SET config = '{}' WHERE setting_id = %s", broken)
    asked = await desk.deadletter("replay", "--all")
    assert asked.status == 2
    assert "Send 606 notifications again? Nobody can be asked here" in asked.err
    assert await desk.states() == {"failed": 606}
    done = await desk.deadletter("replay", "--all", "--yes")
    assert done.out == "Replayed: 603 notifications.\nNot replayed: 3 notifications.\n"
    assert "3 x can't be sent: setting 2 is broken: config names no recipient" in done.err
    assert await desk.states() == {"pending": 603, "failed": 3}


async def test_what_was_done_before_an_error_stays_done_and_is_told(desk: Desk) -> None:
    """An error in the second batch ends the command with its reason; the first batch is sent again, and counted."""
    numbers = await desk.dead(600)
    await desk.alerts.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = 'lock_not_available'; END $$"
    )
    await desk.alerts.rows(
        "CREATE TRIGGER refuse BEFORE UPDATE ON pggit.alert_notification_queue"
        f" FOR EACH ROW WHEN (old.queue_id = {min(numbers)}) EXECUTE FUNCTION refuse()"
    )
    ended = await desk.deadletter("replay", "--all", "--yes")
    assert ended.status == 1
    assert "500 notifications of 600 done before this; run it again for the rest." in ended.err
    assert "not this one" in ended.err
    assert await desk.states() == {"pending": 500, "failed": 100}


async def test_a_filter_chooses_what_is_replayed(desk: Desk) -> None:
    """Only what matches is sent again; a filter that matches nothing is no failure."""
    await desk.dead(2, operation="merge")
    await desk.dead(3)
    done = await desk.deadletter("replay", "--since", "2h", "--operation", "merge", "--json")
    assert (done.status, len(done.json["replayed"]), done.json["problems"]) == (0, 2, [])
    assert await desk.states() == {"pending": 2, "failed": 3}
    nothing = await desk.deadletter("replay", "--channel", "email")
    assert (nothing.status, nothing.out) == (0, "Replayed: 0 notifications.\n")


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["1", "--channel", "slack"], ["0"], ["x"], [str(2**63)]])
async def test_a_command_that_does_not_say_what_it_is_about_is_refused(desk: Desk, arguments: list[str]) -> None:
    """Neither numbers nor filters, or both, or what is no number, ends with 2 and changes nothing."""
    await desk.dead()
    for command in (["replay"], ["discard", "--reason-text", "why"]):
        assert (await desk.deadletter(*command, *arguments)).status == 2
    assert await desk.states() == {"failed": 1}


async def test_discarding_needs_a_reason_which_the_log_keeps(desk: Desk) -> None:
    """What is discarded leaves the list; the log has who and why, without a secret that was pasted into the reason."""
    first, *_ = await desk.dead(3)
    assert (await desk.deadletter("discard", str(first))).status == 2
    assert (await desk.deadletter("discard", str(first), "--reason-text", " ")).status == 2
    done = await desk.deadletter("discard", str(first), "--reason-text", f"old hook {WEBHOOK}")
    assert (done.status, done.out) == (0, "Discarded: 1 notification.\n")
    again = await desk.deadletter("discard", str(first), "--reason-text", "why")
    assert again.status == 1
    assert f"1 x was discarded already ({first})" in again.err
    assert "Nobody can be asked" in (await desk.deadletter("discard", "--all", "--reason-text", "why")).err
    rest = await desk.deadletter("discard", "--channel", "slack", "--yes", "--reason-text", "why", "--json")
    assert len(rest.json["discarded"]) == 2
    assert await desk.states() == {"discarded": 3}
    assert (await desk.deadletter("list")).out == "There is no dead letter.\n"
    log = await desk.alerts.log("reason, worker, error_message")
    assert log[-3][:2] == ("discarded", LOGIN)
    assert log[-3][2].startswith("old hook https://hooks.slack.com/***")


async def test_on_a_terminal_it_asks_and_draws_how_far_it_is(desk: Desk) -> None:
    """Somebody who sits there is asked, and sees a bar when there is much to do; "n" does nothing."""
    await desk.dead(600)
    for reply, states in [("n", {"failed": 600}), ("y", {"pending": 600})]:
        said = await on_a_terminal(desk.url, reply, "deadletter", "replay", "--all")
        assert "Send 600 notifications again? [y/N]" in said
        assert ("500 of 600" in said) is ("600 of 600" in said) is (reply == "y")
        assert await desk.states() == states


async def on_a_terminal(url: str, reply: str, *arguments: str) -> str:
    """Run the command on a pseudo-terminal, type the reply, and return all that was shown."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pggit_alertd", *arguments,
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(database_url=url), cwd="/",
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, f"{reply}\n".encode())
    shown = bytearray()
    loop = asyncio.get_running_loop()
    while True:
        try:
            chunk = await loop.run_in_executor(None, os.read, ours, 4096)
        except OSError:  # how a terminal says that its last user has gone
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    await process.wait()
    return shown.decode()


async def test_a_role_without_the_right_is_told_which_it_lacks(desk: Desk) -> None:
    """The daemon's role may look and not touch; the refusal ends with 77 and names the operators' role."""
    (number,) = await desk.dead()
    await desk.alerts.rows(f"REVOKE pggit_alertd_operator FROM {LOGIN}")
    await desk.alerts.rows(f"GRANT pggit_alertd_daemon TO {LOGIN}")
    assert (await desk.deadletter("list")).out.startswith(f"{number}: ")
    refused = await desk.deadletter("replay", str(number))
    assert refused.status == 77
    assert "Only pggit_alertd_operator may send again or discard" in refused.err


async def test_an_alert_is_explained_line_by_line(desk: Desk) -> None:
    """Raised, settings, attempts and what happens next, each on a line with its times; nothing secret."""
    await desk.alerts.setting("email", {"to": [ADDRESS]}, severity="CRITICAL")
    (number,) = await desk.dead()
    told = await desk.run("explain", "1")
    assert told.status == 0, told.err
    lines = told.out.splitlines()
    assert lines[0] == "Alert 1"
    assert "Z (0 s ago)  alert: WARNING ANOMALY of commit" in lines[1].replace("(1 s", "(0 s").replace("(2 s", "(0 s")
    assert lines[2] == "  now  slack #ops (setting 1): matches"
    assert lines[3] == "  now  email c***@example.com (setting 2): does not match: it is for severity CRITICAL"
    assert f"slack #ops [{number}]: queued: triggered as a routine notification" in lines[4]
    assert f"slack #ops [{number}]: given up: destination gone, attempt 2, answer 404" in lines[5]
    assert lines[6].startswith(f"  next  slack #ops [{number}]: a dead letter")
    content = (await desk.run("explain", "1", "--json")).json
    assert [line["kind"] for line in content["lines"]] == ["raised", "setting", "setting", "queued", "failed", "next"]


async def test_an_unknown_alert_ends_with_one_and_a_sentence(desk: Desk) -> None:
    """What neither tables nor log know is said so; a number that can't be one is a usage error."""
    unknown = await desk.run("explain", "4711")
    assert unknown.status == 1
    assert unknown.err.startswith("There is no alert 4711, and the delivery log has nothing about one.")
    assert (await desk.run("explain", "4711", "--json")).json["error"]["exit_status"] == 1
    assert (await desk.run("explain", str(2**63))).status == 2


async def test_hundreds_of_settings_that_do_not_match_are_summed_up(desk: Desk) -> None:
    """The lines that matter stay in sight; --json has every setting."""
    for _ in range(30):
        await desk.alerts.setting("slack", {"webhook": WEBHOOK}, severity="INFO")
    await desk.dead()
    told = await desk.run("explain", "1")
    assert "  now  and 10 more settings that don't match\n" in told.out
    assert told.out.count("does not match") == 20
    assert len((await desk.run("explain", "1", "--json")).json["lines"]) == 35


async def test_changes_of_settings_are_listed(desk: Desk) -> None:
    """Who, when, from where and what, newest first; of a webhook only that it changed."""
    await desk.alerts.rows(
        "UPDATE pggit.alert_notification_settings SET severity = 'CRITICAL',"
        """ config = '{"webhook": "https://hooks.slack.com/services/T0/B0/canaryTokenOther", "channel": "#ops"}'"""
    )
    listed = await desk.run("settings", "history")
    update, insert = listed.out.splitlines()
    assert "setting 1 UPDATE by postgres: config.webhook, destination_key: slack:" in update
    assert "severity: * -> CRITICAL" in update
    assert insert.endswith("setting 1 INSERT by postgres: slack to #ops, * *")
    assert [row["action"] for row in (await desk.run("settings", "history", "1", "--json")).json["changes"]] == [
        "UPDATE",
        "INSERT",
    ]
    assert (await desk.run("settings", "history", "7")).out == "No change of setting 7 is on record.\n"
