"""Latency histograms: what they hold, when they are made afresh, and what they lose with the metrics."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from math import log
from statistics import median
from typing import Any, LiteralString

import pytest
from psycopg import AsyncConnection, errors

from database.baseline_support import rows, scalar
from database.latency_support import WIDTH, bucket, histogram, local_hour, measure, undone

pytestmark = pytest.mark.servers


@pytest.fixture
async def connection(shared: str) -> AsyncIterator[AsyncConnection]:
    """Yield a connection whose changes are undone after the test."""
    async with undone(shared) as opened:
        yield opened


REFRESH = "SELECT pggit.refresh_performance_histograms()"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def test_nothing_measured_is_nothing_refreshed(connection: AsyncConnection) -> None:
    """On empty tables both refreshes report 0, and a profile has no row, for whatever operation is asked."""
    assert await scalar(connection, REFRESH) == 0
    assert await scalar(connection, "SELECT pggit.refresh_latency_profiles()") == 0
    for operation in ("commit", "unknown", None):
        assert await rows(connection, "SELECT * FROM pggit.latency_hours(%s, '-infinity', 'infinity')", operation) == []
        assert (
            await rows(connection, "SELECT * FROM pggit.latency_profile(%s, '2020-01-01', now()::timestamp)", operation)
            == []
        )
    assert await rows(connection, "SELECT * FROM pggit.latency_profile(NULL, NULL, NULL)") == []


async def test_an_hour_is_counted_by_bucket(connection: AsyncConnection) -> None:
    """Hours and days hold count, extremes, sums and one count per bucket of exactly their metrics."""
    hour = await local_hour(connection, 3)
    source = random.Random(1)  # noqa: S311 - sample data
    durations = [1, 2, 2**62, *(int(source.lognormvariate(8, 1)) + 1 for _ in range(200))]
    await measure(connection, "commit", [(hour + n * timedelta(seconds=10), us) for n, us in enumerate(durations)])
    await measure(connection, "merge", [(hour + 59 * MINUTE, 5000)])
    assert await scalar(connection, REFRESH) == 2

    assert await histogram(connection, "commit") == {hour: Counter(map(bucket, durations))}
    statements: tuple[LiteralString, ...] = (
        "SELECT * FROM pggit.performance_metric_histogram WHERE operation_type = 'commit'",
        "SELECT * FROM pggit.performance_metric_histogram_day WHERE operation_type = 'commit'",
    )
    for statement in statements:
        [stored] = await rows(connection, statement)
        assert stored["sample_count"] == sum(stored["counts"]) == len(durations)
        assert (stored["min_microseconds"], stored["max_microseconds"]) == (1, 2**62)
        assert stored["sum_microseconds"] == pytest.approx(sum(durations))
        assert stored["sum_squares"] == pytest.approx(sum(us * us for us in durations))
        assert stored["buckets"] == sorted(stored["buckets"])


async def test_a_bucket_stands_for_its_durations_within_one_per_cent(connection: AsyncConnection) -> None:
    """Bucket numbers are those of the definition, and a bucket's middle is off by 1 % at most, from 1 us to 2^62."""
    durations = sorted({1, 2, 3, 7, *(int(1.07**n) for n in range(40, 635)), 2**62})
    found = await rows(
        connection,
        "SELECT us, pggit.latency_bucket(us) AS bucket, pggit.latency_of_bucket(pggit.latency_bucket(us)) AS middle"
        " FROM unnest(%s::bigint[]) AS us",
        durations,
    )
    assert [row["bucket"] for row in found] == [bucket(us) for us in durations]
    assert all(abs(row["middle"] / row["us"] - 1) <= 0.0100001 for row in found)
    assert await rows(connection, "SELECT pggit.latency_bucket(NULL) AS b, pggit.latency_of_bucket(NULL) AS m") == [
        {"b": None, "m": None}
    ]


async def test_a_tail_probability_becomes_the_z_of_a_normal_distribution(connection: AsyncConnection) -> None:
    """Known quantiles are met within 5e-4, far tails don't underflow, and above a half z is 0."""
    known: Sequence[tuple[float | None, float | None]] = [
        (-0.6931471805599453, 0.0),
        (-2.302585092994046, 1.2815516),
        (-6.607650687, 3.0),
        (-15.064998394, 5.0),
        (-1.0, 0.3374751),
        (0.0, 0.0),
        (None, None),
    ]
    for log_probability, expected in known:
        z = await scalar(connection, "SELECT pggit.zscore_of_tail(%s)", log_probability)
        assert z == (expected if expected is None else pytest.approx(expected, abs=1e-3))
    assert await scalar(connection, "SELECT pggit.zscore_of_tail(-5005.5243)") == pytest.approx(100, abs=1e-3)


async def test_the_hour_that_is_not_over_waits(connection: AsyncConnection) -> None:
    """Metrics of the current hour and of the future are in no histogram, and in no profile before their time."""
    now_hour = await local_hour(connection)
    await measure(connection, "commit", [(now_hour - MINUTE, 1000), (now_hour, 2000), (now_hour + 30 * HOUR, 3000)])
    assert await scalar(connection, REFRESH) == 1
    assert set(await histogram(connection, "commit")) == {now_hour - HOUR}
    assert await scalar(connection, "SELECT pggit.refresh_performance_histograms(NULL, 'infinity')") == 1
    hours = "SELECT hour_start, buckets FROM pggit.latency_hours('commit', '-infinity', %s) ORDER BY 1"
    assert await rows(connection, hours, now_hour + MINUTE) == [
        {"hour_start": now_hour - HOUR, "buckets": [bucket(1000)]},
        {"hour_start": now_hour, "buckets": [bucket(2000)]},
    ]
    assert await rows(connection, hours, now_hour - 2 * MINUTE) == []


async def test_late_rows_are_taken_in(connection: AsyncConnection) -> None:
    """A row that appears late in one of the last two refreshed hours is counted by the next refresh."""
    now_hour = await local_hour(connection)
    await measure(connection, "commit", [(now_hour - n * HOUR + MINUTE, 1000) for n in (1, 2, 3)])
    await scalar(connection, REFRESH)
    await measure(connection, "commit", [(now_hour - 2 * HOUR + 2 * MINUTE, 9000), (now_hour - HOUR, 8000)])
    assert await scalar(connection, REFRESH) == 2
    stored = await histogram(connection, "commit")
    assert stored[now_hour - 2 * HOUR] == {bucket(1000): 1, bucket(9000): 1}
    assert stored[now_hour - HOUR] == {bucket(1000): 1, bucket(8000): 1}


async def test_a_refresh_without_news_writes_nothing(connection: AsyncConnection) -> None:
    """Hours that hold the same as before keep their row version, also when a range is named."""
    hour = await local_hour(connection, 2)
    await measure(connection, "commit", [(hour, 1000)])
    await scalar(connection, REFRESH)
    versions = (
        "SELECT (SELECT ctid FROM pggit.performance_metric_histogram)::text"
        " || (SELECT ctid FROM pggit.performance_metric_histogram_day)"
    )
    before = await scalar(connection, versions)
    assert await scalar(connection, "SELECT pggit.refresh_performance_histograms('2020-01-01')") == 1
    assert await scalar(connection, versions) == before


async def test_the_day_before_is_made_afresh_once_a_day(connection: AsyncConnection) -> None:
    """The refresh that takes in a new day's first hour looks at the whole day before; the next one does not."""
    today = (await local_hour(connection)).replace(hour=0)
    yesterday, before = today - DAY, today - 2 * DAY
    await measure(connection, "commit", [(before + n * HOUR, 1000) for n in range(24)])
    await scalar(connection, "SELECT pggit.refresh_performance_histograms(NULL, %s)", yesterday)
    await measure(connection, "commit", [(before + HOUR, 9000), (yesterday, 1000)])
    await scalar(connection, "SELECT pggit.refresh_performance_histograms(NULL, %s)", yesterday + HOUR)
    assert (await histogram(connection, "commit"))[before + HOUR] == {bucket(1000): 1, bucket(9000): 1}
    await measure(connection, "commit", [(before + 2 * HOUR, 9000)])
    assert await scalar(connection, "SELECT pggit.refresh_performance_histograms(NULL, %s)", yesterday + 2 * HOUR) == 2
    assert (await histogram(connection, "commit"))[before + 2 * HOUR] == {bucket(1000): 1}


async def test_a_range_that_is_named_leaves_no_gap(connection: AsyncConnection) -> None:
    """Whatever range is asked for, every hour up to the newest is stored; history that is added later comes in too."""
    hour = await local_hour(connection, 100)
    await measure(connection, "commit", [(hour + n * HOUR, 1000) for n in range(100)])
    await scalar(connection, "SELECT pggit.refresh_performance_histograms(%s, %s)", hour + 40 * HOUR, hour + 50 * HOUR)
    assert set(await histogram(connection, "commit")) == {hour + n * HOUR for n in range(50)}
    await scalar(connection, "SELECT pggit.refresh_performance_histograms(%s)", hour + 90 * HOUR)
    assert set(await histogram(connection, "commit")) == {hour + n * HOUR for n in range(100)}
    await measure(connection, "merge", [(hour - 20 * HOUR, 1000)])
    await scalar(connection, REFRESH)
    assert set(await histogram(connection, "merge")) == {hour - 20 * HOUR}
    days = await rows(connection, "SELECT sum(sample_count) AS n FROM pggit.performance_metric_histogram_day")
    assert days == [{"n": 101}]


async def test_clocks_that_are_set_back_lose_nothing(connection: AsyncConnection) -> None:
    """Where hours ahead are stored already, an hour is made afresh when it is over again."""
    now_hour = await local_hour(connection)
    await measure(connection, "commit", [(now_hour - HOUR, 1000)])
    await scalar(connection, REFRESH)
    ahead = "UPDATE pggit.performance_metric_histogram SET hour_start = %s"
    await connection.execute(ahead, (now_hour + 5 * HOUR,))
    await measure(connection, "commit", [(now_hour - HOUR, 2000)])
    await scalar(connection, REFRESH)
    assert (await histogram(connection, "commit"))[now_hour - HOUR] == {bucket(1000): 1, bucket(2000): 1}


async def test_histograms_go_with_their_metrics(connection: AsyncConnection) -> None:
    """What retention deletes leaves hours, days and profiles; an hour it cut in two is counted again."""
    hour = await local_hour(connection, 80)
    await measure(connection, "commit", [(hour + n * 30 * MINUTE, 1000) for n in range(140)])
    await measure(connection, "merge", [(hour + n * HOUR, 1000) for n in range(60)])
    await scalar(connection, REFRESH)
    await scalar(connection, "SELECT pggit.refresh_latency_profiles()")
    await connection.execute(
        "DELETE FROM pggit.performance_metrics WHERE recorded_at <= %s OR operation_type = 'merge'", (hour + 40 * HOUR,)
    )
    await scalar(connection, REFRESH)
    stored = await histogram(connection, "commit")
    assert min(stored) == hour + 40 * HOUR
    assert stored[hour + 40 * HOUR] == {bucket(1000): 1}
    assert await histogram(connection, "merge") == {}
    days = await rows(
        connection,
        "SELECT operation_type, sum(sample_count) AS n FROM pggit.performance_metric_histogram_day GROUP BY 1",
    )
    assert days == [{"operation_type": "commit", "n": 59}]
    assert await rows(connection, "SELECT operation_type FROM pggit.performance_latency_profile") == [
        {"operation_type": "commit"}
    ]
    await connection.execute("DELETE FROM pggit.performance_metrics")
    assert await scalar(connection, REFRESH) == 0
    assert await histogram(connection, "commit") == {}
    assert await scalar(connection, "SELECT count(*) FROM pggit.performance_metric_histogram_day") == 0


async def test_metrics_deleted_in_the_middle_go_when_their_hours_are_named(connection: AsyncConnection) -> None:
    """A refresh of a range forgets hours and days that have no metric any more."""
    hour = await local_hour(connection, 100)
    await measure(connection, "commit", [(hour + n * HOUR, 1000) for n in range(90)])
    await scalar(connection, REFRESH)
    gone = (hour + 30 * HOUR, hour + 60 * HOUR)
    await connection.execute("DELETE FROM pggit.performance_metrics WHERE recorded_at >= %s AND recorded_at < %s", gone)
    await scalar(connection, "SELECT pggit.refresh_performance_histograms(%s, %s)", *gone)
    assert set(await histogram(connection, "commit")) == {hour + n * HOUR for n in (*range(30), *range(60, 90))}
    assert await scalar(connection, "SELECT sum(sample_count) FROM pggit.performance_metric_histogram_day") == 60


async def test_a_range_that_is_none_is_refused_by_name(connection: AsyncConnection) -> None:
    """An end before the beginning, and a history of no days, are errors that name the argument."""
    with pytest.raises(errors.InvalidParameterValue, match=r"p_from is .* and p_to is .* must be before"):
        async with connection.transaction():
            await connection.execute("SELECT pggit.refresh_performance_histograms('2026-01-02', '2026-01-01')")
    for days in (0, -1, 367, None):
        with pytest.raises(errors.InvalidParameterValue, match="p_days"):
            async with connection.transaction():
                await connection.execute("SELECT pggit.refresh_latency_profiles(NULL, %s)", (days,))


def quantile(counts: Counter[int], fraction: float) -> int:
    """Return the smallest value that this share of the counted ones does not exceed."""
    so_far = 0
    for value in sorted(counts):
        so_far += counts[value]
        if so_far >= fraction * counts.total():
            return value
    raise AssertionError("nothing was counted")


def growth(share: float, shape: float) -> float:
    """Return how far out a share of calls lies: the tail of this shape and of scale 1."""
    depth = -log(share)
    return log(depth) if shape == 0 else (depth**shape - 1) / shape


@pytest.mark.parametrize("bad_day", [False, True])
async def test_a_profile_is_centers_and_tail_of_the_days_before(connection: AsyncConnection, *, bad_day: bool) -> None:
    """Centers, quantiles, mean excesses and the tail's shape are those of a plain computation; a bad day has no say."""
    end = (await local_hour(connection)).replace(hour=0) - DAY
    source = random.Random(7)  # noqa: S311 - sample data
    metrics: list[tuple[datetime, int]] = []
    for hour in range(7 * 24):
        at = end - 7 * DAY + hour * HOUR
        level = 9.0 if at.hour < 12 else 10.0
        metrics.extend(
            (
                at + n * timedelta(minutes=4),
                int(source.lognormvariate(level, 0.4)) * (6 if bad_day and hour in (50, 51) else 1),
            )
            for n in range(15 if at.hour != 5 else 0)
        )
    metrics += [(end - n * DAY + 5 * HOUR, 500_000) for n in (1, 2)]
    await measure(connection, "commit", metrics)
    [profile] = await rows(connection, "SELECT * FROM pggit.latency_profile('commit', %s, %s)", end - 7 * DAY, end)
    await scalar(connection, REFRESH)
    [stored] = await rows(connection, "SELECT * FROM pggit.latency_profile(NULL, %s, %s)", end - 7 * DAY, end)
    assert {**stored, "refreshed_at": None} == {**profile, "refreshed_at": None}, "raw or folded, it is the same"

    overall = quantile(Counter(bucket(us) for _, us in metrics), 0.5)
    centers = []
    for hour_of_day in range(24):
        counts = Counter(bucket(us) for at, us in metrics if at.hour == hour_of_day)
        n = counts.total()
        drawn = round((n * quantile(counts, 0.5) + 12 * overall) / (n + 12))
        centers.append(drawn if hour_of_day != 5 else overall)
    assert profile["hour_centers"] == pytest.approx([center * WIDTH for center in centers])
    days: dict[Any, Counter[int]] = {}
    for at, us in metrics:
        days.setdefault(at.date(), Counter())[bucket(us) - centers[at.hour]] += 1
    edge = quantile(sum(days.values(), Counter[int]()), 0.99)
    shares = [(sum(n for value, n in day.items() if value > edge) + 5) / (day.total() + 500) for day in days.values()]
    ordinary = [day for day, share in zip(days.values(), shares, strict=True) if share <= 2 * median(shares)]
    assert len(ordinary) == 7 - bad_day
    residuals = sum(ordinary, Counter[int]())
    total = residuals.total()

    middle = {fraction: (quantile(residuals, fraction) - 0.5) * WIDTH for fraction in (0.5, 0.75)}
    assert profile["q50"] == pytest.approx(middle[0.5])
    assert profile["spread"] == pytest.approx(1.4826 * (middle[0.75] - middle[0.5]))
    for fraction, name in ((0.95, "95"), (0.99, "99")):
        edge = quantile(residuals, fraction)
        assert profile[f"q{name}"] == pytest.approx(edge * WIDTH)
        above = sorted(value - edge for value in residuals.elements() if value > edge)
        assert profile[f"share{name}"] == pytest.approx(len(above) / total)
        middle_one = above[(len(above) - 1) // 2]
        slower = sum(value > middle_one for value in above)
        mean = middle_one * WIDTH / min(2, log((len(above) + 0.5) / (slower + 0.5)))
        assert profile[f"excess{name}"] == pytest.approx(mean * (1 + len(above) ** -0.5))
    assert profile["q9975"] == pytest.approx(quantile(residuals, 0.9975) * WIDTH)
    assert profile["q99865"] == pytest.approx(quantile(residuals, 0.99865) * WIDTH)
    assert (profile["sample_count"], profile["day_count"], profile["computed_to"]) == (len(metrics), 7, end)

    quarter = max(value for value in residuals if sum(n for v, n in residuals.items() if v <= value) <= 0.75 * total)
    share75 = sum(n for value, n in residuals.items() if value > quarter) / total
    shape = profile["tail_shape"]
    assert shape == pytest.approx(
        await scalar(
            connection,
            "SELECT pggit.tail_shape(%s, %s, %s)",
            [quarter * WIDTH, profile["q95"], profile["q99"]],
            [share75, profile["share95"], profile["share99"]],
            float(total),
        )
    )
    rise = growth(profile["share99"], shape) - growth(share75, shape)
    assert profile["tail_scale"] == pytest.approx((profile["q99"] - quarter * WIDTH) / rise)


@pytest.mark.parametrize("true_shape", [-0.2, 0.0, 0.45, 0.7])
async def test_the_shape_of_a_tail_is_known_from_three_of_its_points(
    connection: AsyncConnection, true_shape: float
) -> None:
    """A tail with many metrics keeps its own shape, one with few comes close to the ordinary one."""
    shares = [0.25, 0.05, 0.01]
    residuals = [0.3 * growth(share, true_shape) for share in shares]
    statement: LiteralString = "SELECT pggit.tail_shape(%s, %s, %s)"
    assert await scalar(connection, statement, residuals, shares, 1e9) == pytest.approx(true_shape, abs=0.001)
    few = await scalar(connection, statement, residuals, shares, 2e4)
    assert few == pytest.approx((true_shape + 0.4) / 2, abs=0.001)
    assert await scalar(connection, "SELECT pggit.tail_growth(%s, %s)", -log(0.05), true_shape) == pytest.approx(
        growth(0.05, true_shape)
    )


@pytest.mark.parametrize(
    ("residuals", "expected"),
    [
        pytest.param([0.3, 0.3, 0.5], 0.4, id="the first two are one step"),
        pytest.param([0.3, 0.5, 0.5], 0.4, id="the last two are one step"),
        pytest.param([0.5, 0.5, 0.5], None, id="all are one step"),
        pytest.param([0.3, 2.5, 2.6], None, id="two peaks"),
        pytest.param([0.3, 0.6, 1.5], None, id="a power law"),
        pytest.param([None, 0.6, 1.5], None, id="nothing below"),
    ],
)
async def test_what_is_no_smooth_tail_has_no_shape(
    connection: AsyncConnection, residuals: list[float | None], expected: float | None
) -> None:
    """Peaks and power laws are told from one tail that thins out; coarse steps leave the ordinary shape."""
    statement: LiteralString = "SELECT pggit.tail_shape(%s::float8 [], %s, 10000)"
    assert await scalar(connection, statement, residuals, [0.25, 0.05, 0.01]) == expected


async def test_stored_profiles_leave_the_last_day_out(connection: AsyncConnection) -> None:
    """An established operation is described without its last day, a young one by all it has, a forgotten one not."""
    now_hour = await local_hour(connection)
    for operation, hours_ago in (("commit", range(25, 100)), ("merge", range(1, 30)), ("rollback", range(250, 260))):
        await measure(connection, operation, [(now_hour - n * HOUR, 1000) for n in hours_ago])
    assert await scalar(connection, "SELECT pggit.refresh_latency_profiles(%s)", now_hour - 9 * DAY) == 1
    assert await scalar(connection, "SELECT pggit.refresh_latency_profiles()") == 2
    stored = await rows(
        connection, "SELECT operation_type, computed_to, sample_count FROM pggit.performance_latency_profile ORDER BY 1"
    )
    assert stored == [
        {"operation_type": "commit", "computed_to": now_hour - DAY, "sample_count": 75},
        {"operation_type": "merge", "computed_to": now_hour, "sample_count": 29},
    ]
    assert await scalar(connection, "SELECT min(spread) FROM pggit.performance_latency_profile") == 0.02
