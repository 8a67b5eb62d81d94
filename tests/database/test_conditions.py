"""What counts as a condition of the alerting itself, what does not, and in which words it is told."""

import pytest
from psycopg import AsyncConnection

from pggit_alertd.conditions import Kind
from support.alerts import Alerts
from support.troubles import LOG, OUTBOX, QUEUE, RUN, WORKER

pytestmark = pytest.mark.servers


async def test_a_held_baseline_says_what_it_crept_away_from(alerts: Alerts) -> None:
    """A candidate that is near the old baseline, but far from that of four weeks ago, names the latter."""
    await alerts.rows("""
        INSERT INTO pggit.performance_baseline_history (operation_type, status, branch_id, old_p99_microseconds,
            new_p99_microseconds, reference_p99_microseconds)
        VALUES ('commit', 'held', 3, 9000, 11000, 5000)
    """)
    [detail] = await alerts.column("SELECT detail FROM pggit.current_conditions()")
    assert "of commit on branch 3 waits for a decision: p99 11ms instead of 9ms, and it was 5ms before" in detail


async def test_a_job_that_fails_fewer_times_or_recovered_is_no_condition(alerts: Alerts) -> None:
    """Two failures are none, and neither are five before a success; a run that goes on counts its failed attempts."""
    await alerts.rows(RUN, "retention", "9 hours", "failed", 5, "9 hours", None)
    await alerts.rows(RUN, "retention", "8 hours", "succeeded", 1, "8 hours", None)
    await alerts.rows(RUN, "retention", "1 hour", "failed", 2, "50 min", None)
    assert await alerts.rows("SELECT * FROM pggit.current_conditions()") == []
    lease = await alerts.value("SELECT now() + interval '1 min'")
    await alerts.rows(RUN, "retention", "1 min", "running", 2, "1 min", lease)
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["job_failing"]


async def test_only_finished_deliveries_of_the_last_hour_count(alerts: Alerts) -> None:
    """Retries, suppressed ones and yesterday's failures don't lower the rate; too few deliveries say nothing."""
    await alerts.rows(LOG, "failed", "expired", "61 min", 50)
    await alerts.rows(LOG, "retry", "timeout", "1 min", 50)
    await alerts.rows(LOG, "suppressed", "no_matching_setting", "1 min", 50)
    await alerts.rows(LOG, "failed", "invalid_setting", "1 min", 19)
    assert await alerts.rows("SELECT * FROM pggit.current_conditions()") == []
    await alerts.rows(LOG, "failed", "invalid_setting", "1 min", 1)
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["delivery_success"]


async def test_a_worker_that_said_goodbye_was_replaced_or_is_long_gone_is_not_silent(alerts: Alerts) -> None:
    """Only a worker that vanished, has no successor on its machine, and may still come back is reported."""
    await alerts.rows(WORKER, "stopped:1", "stopped", "1 day", "1 hour", "1 hour")
    await alerts.rows(WORKER, "host:1", "host", "1 day", "1 hour", None)
    await alerts.rows(WORKER, "host:2", "host", "30 min", "5 s", None)
    await alerts.rows(WORKER, "old:1", "old", "9 days", "25 hours", None)
    assert await alerts.rows("SELECT * FROM pggit.current_conditions()") == []
    await alerts.rows(WORKER, "lost:1", "lost", "1 day", "1 hour", None)
    assert await alerts.column("SELECT subject FROM pggit.current_conditions()") == ["lost:1"]


async def test_a_baseline_that_was_never_recalculated_is_overdue(alerts: Alerts) -> None:
    """Without a success since the slot that should be done, the recalculation is overdue; switched off, it is not."""
    await alerts.rows("UPDATE pggit.scheduled_job SET updated_at = now() - interval '1 day'")
    overdue = (
        "SELECT kind FROM pggit.current_conditions(p_jobs => '{baselines}', p_slots => ARRAY[now() - interval '3 h'])"
    )
    assert await alerts.column(overdue) == ["recalculation"]
    await alerts.rows(RUN, "baselines", "3 hours", "succeeded", 1, "170 min", None)
    assert await alerts.column(overdue) == []
    await alerts.rows("DELETE FROM pggit.scheduled_job_run")
    await alerts.rows("UPDATE pggit.scheduled_job SET enabled = FALSE WHERE job = 'baselines'")
    assert await alerts.column(overdue) == []


async def test_what_is_held_and_what_is_routed_does_not_wait(alerts: Alerts) -> None:
    """Notifications of a setting that is switched off make no queue deep, routed alerts no outbox late."""
    kinds = "SELECT kind FROM pggit.current_conditions()"
    await alerts.rows(QUEUE, "1 hour", 501)
    await alerts.rows(OUTBOX)
    assert await alerts.column(kinds) == ["queue_depth", "outbox"]
    await alerts.rows("UPDATE pggit.alert_notification_queue SET next_attempt_at = 'infinity' WHERE queue_id = 1")
    await alerts.rows("UPDATE pggit.alert_outbox SET routed_at = now()")
    assert await alerts.column(kinds) == []


async def test_an_open_destination_explains_what_waits_for_it(alerts: Alerts) -> None:
    """Old notifications of a destination that is open are no second condition."""
    await alerts.rows(QUEUE, "-1 hour", 3)
    assert await alerts.column("SELECT kind FROM pggit.current_conditions()") == ["queue_age"]
    await alerts.rows("""
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, last_error)
        VALUES ('slack:one', 'slack', '#ops', now(), now() + interval '1 min', 'no answer')
    """)
    rows = await alerts.rows("SELECT kind, detail, destination_key FROM pggit.current_conditions()")
    assert rows == [("destination_open", "nothing is sent to slack #ops: no answer", "slack:one")]


async def test_a_pause_is_told_by_its_length_in_all(alerts: Alerts) -> None:
    """It counts from its beginning to its announced end; one that is shorter, over, or behind a breaker is none."""
    kinds = "SELECT kind FROM pggit.current_conditions()"
    await alerts.rows("""
        INSERT INTO pggit.alert_destination (destination_key, channel, recipient, paused_since, paused_until)
        VALUES ('slack:one', 'slack', '#ops', now() - interval '14 min', now() + interval '30 s')
    """)
    assert await alerts.column(kinds) == []
    assert await alerts.column(f"{kinds[:-1]}p_destination_paused => '14 min')") == ["destination_paused"]
    await alerts.rows("UPDATE pggit.alert_destination SET paused_until = now() + interval '2 min'")
    (row,) = await alerts.rows("SELECT kind, detail, destination_key FROM pggit.current_conditions()")
    assert row[::2] == ("destination_paused", "slack:one")
    assert row[1].startswith("nothing is sent to slack #ops until 2")
    assert row[1].endswith(" UTC, a pause of 16 min in all: it asked us to wait")
    await alerts.rows(
        "UPDATE pggit.alert_destination SET opened_at = now(), open_until = now() WHERE destination_key = 'slack:one'"
    )
    assert await alerts.column(kinds) == ["destination_open"]
    await alerts.rows("UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL, paused_until = now()")
    assert await alerts.column(kinds) == []
    await alerts.rows("UPDATE pggit.alert_destination SET paused_until = now() + interval '1 day', paused_since = NULL")
    assert await alerts.column(kinds) == [], "how long a pause from before the upgrade lasts is not known"


async def test_the_kinds_are_those_the_database_knows(alerts: Alerts) -> None:
    """Python and the table's CHECK name the same kinds."""
    for kind in Kind:
        await alerts.rows(
            "INSERT INTO pggit.alertd_condition (kind, subject, severity, detail) VALUES (%s, '', 'INFO', 'm')", kind
        )
    known = await alerts.value(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'alertd_condition_kind_is_known'"
    )
    assert known.count("::text") == len(Kind)


async def test_a_held_baseline_s_two_durations_read_differently(connection: AsyncConnection) -> None:
    """What differs by less than rounding shows gets the decimals that tell it apart; other pairs don't."""
    await connection.execute(
        "INSERT INTO pggit.performance_baseline_history (operation_type, old_p99_microseconds, new_p99_microseconds,"
        " reference_p99_microseconds, percent_change, reason, status)"
        " VALUES ('commit', 10600, 11200, 5100, 5.66, 'scheduled', 'held')"
    )
    [[detail]] = await (
        await connection.execute("SELECT detail FROM pggit.current_conditions() WHERE kind = 'baseline_held'")
    ).fetchall()
    assert "p99 11.2ms instead of 10.6ms, and it was 5.1ms before it crept" in detail
    pairs = [(250_400, 250_100), (250_040, 250_010), (250_001, 250_000), (250_000, 100_000), (250_000, 250_000)]
    for pair, text in zip(pairs, ("250.4ms", "250.04ms", "250.001ms", "250ms", "250ms"), strict=True):
        found = await connection.execute("SELECT pggit.milliseconds_apart(%s, %s)", pair)
        assert await found.fetchone() == (text,)
    unknown = await connection.execute(
        "SELECT pggit.milliseconds_apart(NULL, 1), pggit.milliseconds_apart(250000, NULL)"
    )
    assert await unknown.fetchone() == (None, "250ms")
