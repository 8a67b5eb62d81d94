"""`pggit-alertd snooze`: windows made, listed and ended from the command line, and what is said about mistakes."""

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from support.command_line import Ended, alertd


class Desk:
    """An operator at the command line."""

    def __init__(self, dsn: str, connection: psycopg.AsyncConnection[Any]) -> None:
        self.dsn = dsn
        self.connection = connection

    async def snooze(self, *arguments: str, role: str = "pggit_alertd_operator") -> Ended:
        """Run a snooze command with nothing but a group role's rights; whatever comes of it, no traceback does."""
        ended = await alertd("snooze", *arguments, database_url=make_conninfo(self.dsn, options=f"-c role={role}"))
        assert "Traceback" not in ended.err
        return ended

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what is in the database."""
        return await (await self.connection.execute(statement.encode())).fetchall()


@pytest.fixture
def desk(database: str, connection: psycopg.AsyncConnection[Any]) -> Desk:
    """Return an operator with a migrated database."""
    return Desk(database, connection)


async def test_a_window_is_made_listed_and_cancelled(desk: Desk) -> None:
    """Every command says what it did, with times in UTC and the time left, to people and to programs."""
    made = await desk.snooze(
        "add",
        "--for",
        "2h",
        "--operation",
        "merge*",
        "--severity",
        "warning",
        "--spare-critical",
        "--reason",
        "disk swap",
    )
    assert made.status == 0, made.said
    assert made.out.startswith("window 1: mutes merge*, WARNING, not CRITICAL\n  from 20")
    listed = await desk.snooze("list", role="pggit_alertd_reader")
    assert listed.status == 0
    assert "    1  open until 20" in listed.out
    assert ", 2h 0m left,  mutes merge*, WARNING, not CRITICAL: disk swap (postgres)" in listed.out
    as_json = (await desk.snooze("list", "--json")).json
    assert as_json["ok"] is True
    (window,) = as_json["snoozes"]
    assert (window["snooze_id"], window["state"], window["muted"], window["reason"]) == (1, "active", 0, "disk swap")
    assert 7000 < window["left_seconds"] <= 7200

    cancelled = await desk.snooze("cancel", "1", "--reason", "done early")
    assert (cancelled.status, cancelled.out) == (0, "window 1 is cancelled; 0 muted so far\n")
    assert (await desk.snooze("list")).out == "no window; everything is told\n"
    assert "cancelled by postgres at 20" in (await desk.snooze("list", "--all")).out
    again = await desk.snooze("cancel", "1", "--json")
    assert again.status == 1
    assert again.json["error"]["message"] == "Window 1 is cancelled already; nothing was changed."
    unknown = await desk.snooze("cancel", "99")
    assert unknown.status == 1
    assert "There is no window 99" in unknown.err
    assert await desk.rows("SELECT cancelled_by, cancel_reason FROM pggit.alert_snooze") == [("postgres", "done early")]


async def test_a_recurring_window_is_worked_out_at_once(desk: Desk) -> None:
    """Its next occurrences are shown and stored, three hours each in absolute time, two weeks ahead."""
    made = await desk.snooze(
        "add", "--cron", "0 4 * * 0", "--duration", "3h", "--timezone", "Europe/Berlin", "--reason", "backups", "--json"
    )
    assert made.status == 0, made.said
    assert made.json["snooze"]["state"] in {"pending", "active"}
    assert made.json["notes"] == []
    stored = await desk.rows(
        "SELECT to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        " (starts_at AT TIME ZONE 'Europe/Berlin')::time::text,"
        " extract(isodow FROM starts_at AT TIME ZONE 'Europe/Berlin'),"
        " ends_at - starts_at = interval '3 h' FROM pggit.alert_snooze_occurrence ORDER BY starts_at"
    )
    assert [row[0] for row in stored] == [each["starts_at"] for each in made.json["following"]]
    assert len(stored) >= 2
    assert all(row[1:] == ("04:00:00", 7, True) for row in stored)
    assert (await desk.rows("SELECT expanded_until > now() + interval '13 days' FROM pggit.alert_snooze")) == [(True,)]


async def test_an_open_occurrence_is_listed_though_the_next_is_nearer(desk: Desk) -> None:
    """A recurring window that mutes now is said to be open, though it began longer ago than it begins again."""
    await desk.snooze("add", "--cron", "0 2 * * *", "--duration", "20h", "--reason", "nights")
    await desk.rows("DELETE FROM pggit.alert_snooze_occurrence RETURNING snooze_id")
    await desk.rows(
        "INSERT INTO pggit.alert_snooze_occurrence (snooze_id, starts_at, ends_at)"
        " SELECT s.snooze_id, now() + v.starts, now() + v.ends FROM pggit.alert_snooze AS s CROSS JOIN"
        " (VALUES (interval '-19 h', interval '1 h'), (interval '5 h', interval '25 h')) AS v (starts, ends)"
        " RETURNING snooze_id"
    )
    (listed,) = (await desk.snooze("list", "--json")).json["snoozes"]
    assert listed["state"] == "active"


async def test_a_window_that_never_closes_is_allowed_and_said(desk: Desk) -> None:
    """A duration longer than the time between two starts mutes without a break, so the answer says so."""
    made = await desk.snooze("add", "--cron", "0 * * * *", "--duration", "90m", "--reason", "always")
    assert made.status == 0
    assert "note: it is longer than the time between its starts, so it mutes without a break" in made.out
    partly = await desk.snooze("add", "--cron", "0 2,3 * * *", "--duration", "2h", "--reason", "twice")
    assert "note: some of its occurrences begin before the one before has ended" in partly.out


async def test_mistakes_are_answered_with_the_mend(desk: Desk) -> None:
    """Whether the program or the database finds them: one line, the status of bad usage, and nothing is made."""
    for arguments, said in (
        (("--cron", "0 2 * *", "--duration", "1h"), "--cron '0 2 * *' has 4 fields"),
        (("--for", "1h", "--severity", "bad"), "There is no severity 'bad'; write CRITICAL, WARNING, INFO or all."),
        (("--for", "1h", "--operation", ""), "--operation is empty; give it a value, or leave it out."),
        (("--for", "1h", "--severity", " "), "--severity is empty"),
        (("--for", "1h", "--setting", "4711"), "There is no notification setting 4711."),
        (("--from", "2020-01-01", "--to", "2020-01-02"), "The window would be over already"),
    ):
        ended = await desk.snooze("add", "--reason", "r", *arguments)
        assert (ended.status, ended.out) == (2, "")
        assert said in ended.err
    assert await desk.rows("SELECT count(*) FROM pggit.alert_snooze") == [(0,)]


async def test_a_reason_is_required_and_readers_may_only_read(desk: Desk) -> None:
    """Without --reason nothing is made; the role of readers and the daemon's own may list but not mute."""
    assert (await desk.snooze("add", "--for", "1h")).status == 2
    blank = await desk.snooze("add", "--for", "1h", "--reason", " ", "--json")
    assert blank.status == 2
    assert "needs a reason" in blank.json["error"]["message"]
    for role in ("pggit_alertd_reader", "pggit_alertd_daemon"):
        assert (await desk.snooze("list", role=role)).status == 0
        refused = await desk.snooze("add", "--for", "1h", "--reason", "r", role=role)
        assert refused.status == 77
    assert await desk.rows("SELECT count(*) FROM pggit.alert_snooze") == [(0,)]
