"""Scans for anomalies: one alert for each episode, whoever scans and however often, with its reasons beside it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import rows, scalar, wait_until_blocked
from database.latency_support import measure, undone

MINUTE = timedelta(minutes=1)
SCAN = "SELECT unusual, expected, episodes, alerts, over_cap FROM pggit.scan_anomalies()"
DAY_SCAN = "SELECT unusual, expected, episodes, alerts, over_cap FROM pggit.scan_anomalies('24 hours')"
ALERTS = "SELECT * FROM pggit.performance_alerts LEFT JOIN pggit.alert_finding USING (alert_id) ORDER BY alert_id"
NOTHING = {"unusual": 0, "expected": 0, "episodes": 0, "alerts": 0, "over_cap": 0}
QUIET: LiteralString = """
    INSERT INTO pggit.performance_metrics
        (operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start)
    SELECT operation, us, us / 1000.0, at - interval '1 us', at, 'tester', at, date_trunc('day', at)
    FROM unnest(ARRAY['commit', 'merge']) AS operation
    CROSS JOIN generate_series(1, 1000) AS n
    CROSS JOIN LATERAL (
        SELECT localtimestamp - interval '3 hours' - n * interval '11 minutes' AS at, 5000 + 37 * (n * 7919 % 50) AS us
    ) AS metric
"""


@pytest.fixture(scope="module")
def quiet(server: Any) -> Iterator[str]:
    """Yield the name of a database in which two operations took 5 to 7 ms for a week."""
    name = server.create(server.template())
    with psycopg.connect(server.server.dsn(name), autocommit=True) as connection:
        connection.execute(QUIET)
        connection.execute("SELECT pggit.refresh_performance_histograms()")
        connection.execute("SELECT pggit.refresh_latency_profiles()")
    yield name
    server.drop(name)


@pytest.fixture
async def connection(server: Any, quiet: str) -> AsyncIterator[AsyncConnection]:
    """Yield a connection whose changes are undone after the test."""
    async with undone(server.server.dsn(quiet)) as opened:
        yield opened


@pytest.fixture
def copy(server: Any, quiet: str) -> Iterator[str]:
    """Yield the connection string of a copy of that database, for tests that need more than one transaction."""
    name = server.create(quiet)
    yield server.server.dsn(name)
    server.drop(name)


async def now(connection: AsyncConnection) -> datetime:
    """Return the session's local time."""
    at: datetime = await scalar(connection, "SELECT localtimestamp")
    return at


@pytest.mark.servers
async def test_nothing_measured_is_nothing_found(empty_of_metrics: AsyncConnection) -> None:
    """On empty tables every function answers, raises nothing, and says insufficient."""
    for statement in (SCAN, DAY_SCAN, SCAN):
        assert await rows(empty_of_metrics, statement) == [NOTHING]
    assert await rows(empty_of_metrics, "SELECT * FROM pggit.detect_all_anomalies()") == []
    assert await scalar(
        empty_of_metrics, "SELECT bool_and(status = 'insufficient') FROM pggit.anomaly_detection_status()"
    )


@pytest.fixture
async def empty_of_metrics(database: str) -> AsyncIterator[AsyncConnection]:
    """Yield a connection to a database without metrics."""
    async with undone(database) as opened:
        yield opened


@pytest.mark.servers
async def test_an_episode_raises_one_alert_with_its_reasons(connection: AsyncConnection) -> None:
    """Three slow metrics within the hour are one alert about the worst of them; scanning again adds nothing."""
    at = await now(connection)
    await scalar(connection, "SELECT pggit.calculate_performance_baseline('commit')")
    ids = await measure(
        connection, "commit", [(at - n * MINUTE, us) for n, us in ((3, 20_000), (2, 80_000), (1, 14_000))]
    )
    assert await rows(connection, SCAN) == [{**NOTHING, "unusual": 3, "episodes": 1, "alerts": 1}]
    for statement in (
        SCAN,
        DAY_SCAN,
        "SELECT unusual, expected, episodes, alerts, over_cap FROM pggit.scan_anomalies('2 h')",
    ):
        assert await rows(connection, statement) == [{**NOTHING, "unusual": 3}]
    [alert] = await rows(connection, ALERTS)
    assert (alert["metric_id"], alert["severity"]) == (ids[1], "CRITICAL"), "over five times the upper end"
    assert alert["actual_duration_microseconds"] == 80_000
    assert alert["baseline_id"] is not None
    assert alert["baseline_p99_microseconds"] > 6000
    assert 12 < alert["violation_multiplier"] < 16, "times what is typical, not z"
    assert alert["began_at"] == at - 3 * MINUTE
    assert alert["expected_low_microseconds"] < 5500 < alert["expected_high_microseconds"] < 14_000
    assert alert["zscore"] > 4
    [episode] = await rows(connection, "SELECT * FROM pggit.anomaly_episode")
    assert (episode["metrics"], episode["alert_id"], episode["outcome"]) == (3, alert["alert_id"], "alerted")
    assert (episode["began_at"], episode["last_at"]) == (at - 3 * MINUTE, at - MINUTE)
    note = await scalar(connection, "SELECT pggit.anomaly_note(%s)", alert["alert_id"])
    assert "z = " in note
    assert "expected between" in note
    assert "no breach of its threshold" in note


async def test_the_message_says_that_it_is_no_breach(connection: AsyncConnection) -> None:
    """A routed anomaly's snapshot carries z and the expected range; other alerts carry no note."""
    at = await now(connection)
    await connection.execute(
        "INSERT INTO pggit.alert_notification_settings (alert_type, severity, notification_channel, config)"
        " VALUES ('*', '*', 'email', '{\"to\": [\"ops@example.com\"]}')"
    )
    [slow] = await measure(connection, "commit", [(at, 20_000)])
    await rows(connection, SCAN)
    await connection.execute(
        "INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, actual_duration_microseconds)"
        " VALUES (%s, 'commit', 'THRESHOLD_EXCEEDED', 20000)",
        (slow,),
    )
    await rows(connection, "SELECT * FROM pggit.route_alerts()")
    notes = await rows(
        connection,
        "SELECT alert ->> 'alert_type' AS type, alert ->> 'note' AS note"
        " FROM pggit.alert_notification_queue ORDER BY 1",
    )
    assert [row["type"] for row in notes] == ["ANOMALY", "THRESHOLD_EXCEEDED"]
    assert "expected between" in notes[0]["note"]
    assert notes[1]["note"] is None


async def test_metrics_an_hour_apart_are_two_episodes(connection: AsyncConnection) -> None:
    """Each run of unusual metrics without a pause of an hour raises its own alert, and operations don't mix."""
    at = await now(connection)
    await measure(connection, "commit", [(at - n * MINUTE, 20_000) for n in (150, 130, 40, 5)])
    await measure(connection, "merge", [(at - 40 * MINUTE, 20_000)])
    assert await rows(connection, DAY_SCAN) == [{**NOTHING, "unusual": 5, "episodes": 3, "alerts": 3}]
    began = await rows(connection, "SELECT operation_type, began_at, metrics FROM pggit.anomaly_episode ORDER BY 1, 2")
    assert began == [
        {"operation_type": "commit", "began_at": at - 150 * MINUTE, "metrics": 2},
        {"operation_type": "commit", "began_at": at - 40 * MINUTE, "metrics": 2},
        {"operation_type": "merge", "began_at": at - 40 * MINUTE, "metrics": 1},
    ]


async def test_a_late_commit_is_found_by_the_overlap_and_by_the_hourly_scan(connection: AsyncConnection) -> None:
    """A metric that appears minutes late raises its alert at the next scan, one that is an hour late at the hourly."""
    at = await now(connection)
    assert await rows(connection, SCAN) == [NOTHING]
    await measure(connection, "commit", [(at - 4 * MINUTE, 20_000)])
    await measure(connection, "merge", [(at - 80 * MINUTE, 20_000)])
    assert await rows(connection, SCAN) == [{**NOTHING, "unusual": 1, "episodes": 1, "alerts": 1}]
    late = await rows(connection, "SELECT alerts FROM pggit.scan_anomalies('2 hours')")
    assert late == [{"alerts": 1}]
    operations = await rows(connection, "SELECT operation_type FROM pggit.performance_alerts ORDER BY 1")
    assert operations == [{"operation_type": "commit"}, {"operation_type": "merge"}]


async def test_what_is_over_the_cap_is_kept_and_counted(connection: AsyncConnection) -> None:
    """With a cap of two an hour, the third and fourth episode raise nothing and are in the table and the result."""
    at = await now(connection)
    await connection.execute(
        "UPDATE pggit.anomaly_detection_settings SET alerts_per_hour = 2, episode_gap = '1 minute'"
    )
    await measure(connection, "commit", [(at - n * MINUTE, 20_000) for n in (5, 20, 35, 50)])
    assert await rows(connection, DAY_SCAN) == [
        {"unusual": 4, "expected": 0, "episodes": 4, "alerts": 2, "over_cap": 2}
    ]
    assert await rows(connection, DAY_SCAN) == [{**NOTHING, "unusual": 4}]
    kept = await rows(
        connection, "SELECT outcome, count(alert_id) AS alerts FROM pggit.anomaly_episode GROUP BY 1 ORDER BY 1"
    )
    assert kept == [{"outcome": "alerted", "alerts": 2}, {"outcome": "over_cap", "alerts": 0}]
    await measure(connection, "commit", [(at, 20_000)])
    assert (await rows(connection, DAY_SCAN))[0]["over_cap"] == 1, "the cap is that of the hour, not of the scan"


WHITELIST: list[tuple[LiteralString, bool]] = [
    ("('commit', NULL, NULL, NULL, NULL, NULL, NULL, 'known', NULL)", True),
    ("('com*', NULL, NULL, NULL, NULL, NULL, NULL, 'known', NULL)", True),
    ("('merge', NULL, NULL, NULL, NULL, NULL, NULL, 'known', NULL)", False),
    ("('*', now() - interval '1 h', now() + interval '1 h', NULL, NULL, NULL, NULL, 'window', NULL)", True),
    ("('*', now() - interval '3 h', now() - interval '2 h', NULL, NULL, NULL, NULL, 'past', NULL)", False),
    ("('*', NULL, NULL, NULL, NULL, 15000, 25000, 'known duration', NULL)", True),
    ("('*', NULL, NULL, NULL, NULL, NULL, 15000, 'shorter ones', NULL)", False),
    ("('*', NULL, NULL, localtime - interval '1 h', localtime + interval '1 h', NULL, NULL, 'nightly', NULL)", True),
    ("('*', NULL, NULL, localtime + interval '1 h', localtime + interval '2 h', NULL, NULL, 'nightly', NULL)", False),
    ("('*', NULL, NULL, localtime + interval '2 h', localtime + interval '1 h', NULL, NULL, 'all but', NULL)", True),
    ("('commit', NULL, NULL, NULL, NULL, NULL, NULL, 'until today', now() - interval '1 s')", False),
    ("('commit', NULL, NULL, NULL, NULL, NULL, NULL, 'until tomorrow', now() + interval '1 d')", True),
]


@pytest.mark.parametrize(("entry", "covers"), WHITELIST)
async def test_the_whitelist_covers_what_it_says(
    connection: AsyncConnection, entry: LiteralString, covers: bool
) -> None:
    """An entry mutes by operation, time, time of day and duration, until it expires, and remembers who made it."""
    at = await now(connection)
    await measure(connection, "commit", [(at, 20_000)])
    columns: LiteralString = (
        "(operation_pattern, starts_at, ends_at, daily_from, daily_to, min_microseconds, max_microseconds, reason,"
        " expires_at)"
    )
    await connection.execute("INSERT INTO pggit.anomaly_whitelist " + columns + " VALUES " + entry)  # noqa: S608
    assert await scalar(connection, "SELECT created_by = session_user FROM pggit.anomaly_whitelist")
    expected = {**NOTHING, "expected": 1} if covers else {**NOTHING, "unusual": 1, "episodes": 1, "alerts": 1}
    assert await rows(connection, SCAN) == [expected]


BY_ENTRY = "SELECT expected, whitelisted_by FROM pggit.scan_anomalies()"
HELD_BACK = "SELECT metric_id, whitelist_id, duration_microseconds, reason FROM pggit.whitelisted_metric"


@pytest.mark.servers
async def test_the_whitelist_says_which_entry_held_back_what(connection: AsyncConnection) -> None:
    """Each entry is named with its reason and counts; a metric is fresh once, and stays on record without its entry."""
    at = await now(connection)
    assert await rows(connection, BY_ENTRY) == [{"expected": 0, "whitelisted_by": []}]
    await connection.execute(
        "INSERT INTO pggit.anomaly_whitelist (whitelist_id, operation_pattern, reason) VALUES"
        " (8, 'commit', 'not asked'), (7, 'com*', 'nightly export'), (9, 'merge', 'agreed'), (10, 'get_*', 'unused')"
    )
    [commit] = await measure(connection, "commit", [(at - MINUTE, 20_000)])
    [merge] = await measure(connection, "merge", [(at - MINUTE, 30_000)])
    export = {"whitelist_id": 7, "reason": "nightly export"}
    agreed = {"whitelist_id": 9, "reason": "agreed", "metrics": 1}
    assert await rows(connection, BY_ENTRY) == [
        {"expected": 2, "whitelisted_by": [{**export, "metrics": 1, "fresh": 1}, {**agreed, "fresh": 1}]}
    ]
    [later] = await measure(connection, "commit", [(at, 21_000)])
    assert await rows(connection, BY_ENTRY) == [
        {"expected": 3, "whitelisted_by": [{**export, "metrics": 2, "fresh": 1}, {**agreed, "fresh": 0}]}
    ]
    await connection.execute("DELETE FROM pggit.anomaly_whitelist WHERE whitelist_id = 7")
    assert [tuple(row.values()) for row in await rows(connection, f"{HELD_BACK} ORDER BY metric_id")] == [
        (commit, 7, 20_000, "nightly export"),
        (merge, 9, 30_000, "agreed"),
        (later, 7, 21_000, "nightly export"),
    ]
    await connection.execute(
        "UPDATE pggit.whitelisted_metric SET found_at = now() - interval '100 days' WHERE metric_id <> %s", (later,)
    )
    await rows(connection, "SELECT * FROM pggit.purge_notifications('90 days', 100)")
    assert [row["metric_id"] for row in await rows(connection, HELD_BACK)] == [later]


async def test_an_operator_can_ask_which_entry_covers_a_metric(connection: AsyncConnection) -> None:
    """The first entry that covers it is named; what none covers, is unknown or NULL has no entry."""
    ask = "SELECT pggit.whitelist_entry(%s, localtimestamp::timestamp, %s)"
    assert await scalar(connection, ask, "commit", 20_000) is None
    await connection.execute(
        "INSERT INTO pggit.anomaly_whitelist (whitelist_id, operation_pattern, max_microseconds, reason)"
        " VALUES (4, 'commit', 30000, 'larger'), (3, 'commit', 15000, 'smaller')"
    )
    covered = [await scalar(connection, ask, "commit", us) for us in (10_000, 20_000, 40_000)]
    assert covered == [3, 4, None]
    for operation, us in (("unheard_of", 10_000), (None, 10_000), ("commit", None)):
        assert await scalar(connection, ask, operation, us) is None
        assert await scalar(connection, ask.replace("whitelist_entry", "whitelisted"), operation, us) is False


async def test_one_statement_switches_all_anomaly_alerts_off(connection: AsyncConnection) -> None:
    """With the row * off nothing is found, whatever the operation's own row says; on again, the next scan finds it."""
    at = await now(connection)
    await measure(connection, "commit", [(at, 20_000)])
    await connection.execute("INSERT INTO pggit.anomaly_detection_settings (operation_type) VALUES ('commit')")
    await connection.execute("UPDATE pggit.anomaly_detection_settings SET enabled = FALSE WHERE operation_type = '*'")
    assert await rows(connection, SCAN) == [NOTHING]
    await connection.execute("UPDATE pggit.anomaly_detection_settings SET enabled = TRUE WHERE operation_type = '*'")
    assert (await rows(connection, SCAN))[0]["alerts"] == 1


async def test_two_scans_at_once_raise_one_alert(copy: str) -> None:
    """The second scan waits for the first, sees its episode and raises nothing."""
    async with (
        await AsyncConnection.connect(copy) as first,
        await AsyncConnection.connect(copy, autocommit=True) as second,
    ):
        at = await now(second)
        await measure(second, "commit", [(at, 20_000)])
        assert (await rows(first, SCAN))[0]["alerts"] == 1
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(rows(second, SCAN))
            async with await AsyncConnection.connect(copy, autocommit=True) as watcher:
                await wait_until_blocked(watcher, second.info.backend_pid)
            await first.commit()
        assert waiting.result() == [{**NOTHING, "unusual": 1}]
        assert await scalar(second, "SELECT count(*) FROM pggit.performance_alerts") == 1
        await first.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        with pytest.raises(errors.FeatureNotSupported, match="READ COMMITTED"):
            await first.execute("SELECT * FROM pggit.scan_anomalies()")


async def test_a_scan_after_a_long_silence_looks_back_a_day(connection: AsyncConnection) -> None:
    """Missing, ancient and future marks of the last scan all lead to a bounded span that ends now."""
    spans = []
    for mark in (None, "2001-01-01", "2999-01-01"):
        await connection.execute("UPDATE pggit.anomaly_scan_state SET scanned_to = %s", (mark,))
        [span] = await rows(connection, "SELECT scanned_to - scanned_from AS length FROM pggit.scan_anomalies()")
        spans.append(span["length"])
    assert spans == [65 * MINUTE, timedelta(hours=24), 5 * MINUTE]


async def test_an_alert_by_hand_is_made_once(connection: AsyncConnection) -> None:
    """It is WARNING up to z = 4 and CRITICAL above; asked again, the function returns the alert there is."""
    at = await now(connection)
    ids = await measure(connection, "commit", [(at, 20_000), (at, 2**62), (at, 21_000)])
    calls = "SELECT pggit.create_anomaly_alert(%s, %s, %s)"
    first = await scalar(connection, calls, ids[0], "STATISTICAL", 4)
    assert await scalar(connection, calls, ids[0], "ANOMALY", 99) == first
    await scalar(connection, calls, ids[1], "ANOMALY", Decimal("4.01"))
    await scalar(connection, calls, ids[2], "anomaly", Decimal(99_999))
    found = await rows(connection, ALERTS)
    assert [row["severity"] for row in found] == ["WARNING", "CRITICAL", "CRITICAL"]
    assert [row["zscore"] for row in found] == [Decimal(4), Decimal("4.01"), Decimal(99_999)]
    assert found[1]["violation_multiplier"] == Decimal("9999.99")
    assert found[0]["expected_high_microseconds"] < 20_000


async def test_an_alert_by_hand_needs_no_history(connection: AsyncConnection) -> None:
    """A metric of an operation nobody knows gets its alert, without an expected range and without a note."""
    [metric_id] = await measure(connection, "brand_new", [(await now(connection), 20_000)])
    alert_id = await scalar(connection, "SELECT pggit.create_anomaly_alert(%s, 'ANOMALY', 3.5)", metric_id)
    [alert] = await rows(connection, ALERTS)
    assert (alert["alert_id"], alert["violation_multiplier"]) == (alert_id, None)
    assert alert["expected_high_microseconds"] is None
    assert await scalar(connection, "SELECT pggit.anomaly_note(%s)", alert_id) is None


async def test_an_alert_by_hand_scores_what_nobody_scored(connection: AsyncConnection) -> None:
    """Without p_z_score the detector's own z counts: none of an unknown operation, none that was not slow."""
    at = await now(connection)
    ids = await measure(connection, "commit", [(at, 200_000), (at, 1), (at, 21_000)])
    [unknown] = await measure(connection, "brand_new", [(at, 20_000)])
    call = "SELECT pggit.create_anomaly_alert(%s, 'ANOMALY')"
    await scalar(connection, call, ids[0])
    await scalar(connection, call, unknown)
    await scalar(connection, "SELECT pggit.create_anomaly_alert(%s, 'ANOMALY', p_z_score => 3)", ids[2])
    with pytest.raises(errors.InvalidParameterValue, match="no longer than usual"):
        async with connection.transaction():
            await connection.execute(call, (ids[1],))
    scored, plain, given = await rows(connection, ALERTS)
    assert (scored["severity"], scored["zscore"] > 4) == ("CRITICAL", True)
    assert (plain["severity"], plain["zscore"]) == ("WARNING", None)
    assert (given["severity"], given["zscore"]) == ("WARNING", Decimal(3))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((-1, "ANOMALY", 5), "P0002", "metric -1 does not exist"),
        ((None, "ANOMALY", 5), "22023", "p_metric_id"),
        ((1, None, 5), "22023", "p_anomaly_type"),
        ((1, "DEGRADATION", 5), "22023", "p_anomaly_type"),
        ((1, "ANOMALY", 0), "22023", "p_z_score"),
        ((1, "ANOMALY", -4), "22023", "p_z_score"),
        ((1, "ANOMALY", Decimal("NaN")), "22023", "p_z_score"),
        ((1, "ANOMALY", Decimal(10) ** 300), "22023", "p_z_score"),
    ],
)
async def test_an_alert_by_hand_refuses_by_name(
    connection: AsyncConnection, arguments: tuple[object, ...], code: str, words: str
) -> None:
    """Unknown metrics, missing arguments and metrics that were not slow are errors that say so."""
    with pytest.raises(psycopg.Error, match=words) as raised:
        await connection.execute("SELECT pggit.create_anomaly_alert(%s, %s, %s)", arguments)
    assert raised.value.sqlstate == code


async def test_a_scan_of_no_span_is_refused(connection: AsyncConnection) -> None:
    """A lookback of nothing or of more than a day, and an endless end, are errors that name the argument."""
    for arguments, words in (("'0'", "p_lookback"), ("'25 hours'", "p_lookback"), ("NULL, 'infinity'", "p_as_of")):
        with pytest.raises(errors.InvalidParameterValue, match=words):
            async with connection.transaction():
                await connection.execute(f"SELECT * FROM pggit.scan_anomalies({arguments})".encode())  # noqa: S608


async def test_episodes_go_with_the_log(connection: AsyncConnection) -> None:
    """Retention removes episodes older than its limit and no others."""
    at = await now(connection)
    await measure(connection, "commit", [(at, 20_000)])
    await measure(connection, "merge", [(at, 20_000)])
    await rows(connection, SCAN)
    await connection.execute(
        "UPDATE pggit.anomaly_episode SET found_at = now() - interval '100 days' WHERE operation_type = 'merge'"
    )
    await rows(connection, "SELECT * FROM pggit.purge_notifications('90 days', 100)")
    left = await rows(connection, "SELECT operation_type FROM pggit.anomaly_episode")
    assert left == [{"operation_type": "commit"}]
