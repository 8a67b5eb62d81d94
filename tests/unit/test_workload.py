import math
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from statistics import fmean, median

import pytest

from pggit_alertd.workload import Event, Kind, Operation, Row, Workload, fleets, rows, trials
from pggit_alertd.workload.families import CacheMiss, Family, Gamma, HeavyTail, LogNormal, Weibull, exponential
from pggit_alertd.workload.generation import interval_labels, labels
from pggit_alertd.workload.seasons import STEADY, Season

MONDAY = datetime(2026, 1, 5)  # noqa: DTZ001 - workloads are local to the database
FAMILIES = (
    LogNormal(0.05),
    LogNormal(1.0),
    Weibull(0.7),
    Weibull(1.5),
    exponential(),
    Gamma(1),
    Gamma(4),
    CacheMiss(0.1),
    CacheMiss(0.006),
    HeavyTail(),
)


def one(*events: Event, days: float = 2, seed: int = 1, season: Season = STEADY) -> list[Row]:
    """Return the rows of one log-normal operation with 2,000 calls a day."""
    operation = Operation("commit", LogNormal(0.3), 10_000, 2000, season, events)
    return list(rows(Workload(seed, MONDAY, days, (operation,))))


def day(number: float) -> datetime:
    """Return the moment so many days after the workload's start."""
    return MONDAY + timedelta(days=number)


def test_the_same_seed_gives_the_same_rows_and_another_seed_other_ones() -> None:
    """A workload is a function of its seed."""
    assert list(rows(fleets.everyday(5, MONDAY, 0.3))) == list(rows(fleets.everyday(5, MONDAY, 0.3)))
    assert {row[2] for row in one(seed=1)} != {row[2] for row in one(seed=2)}


def test_rows_come_in_order_of_time_and_within_the_span() -> None:
    """Each row is recorded at or after the one before it, and none outside the workload's days."""
    workload = fleets.everyday(5, MONDAY + timedelta(hours=7, minutes=3), 0.37)
    times = [row.recorded_at for row in rows(workload)]
    assert all(before <= after for before, after in pairwise(times))
    assert workload.start <= times[0]
    assert times[-1] < workload.end


def test_one_operation_more_changes_no_other() -> None:
    """Operations draw from sources of their own."""
    few = Workload(3, MONDAY, 1, fleets.FLEET[:3])
    more = Workload(3, MONDAY, 1, fleets.FLEET[2::-1] + fleets.FLEET[5:8])
    names = {each.name for each in few.operations}
    assert sorted(rows(few)) == sorted(row for row in rows(more) if row.operation_type in names)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_draws_of_a_family_follow_its_survival_function(family: Family) -> None:
    """The share of draws beyond each true quantile is what the quantile says, to five standard errors."""
    draw = family.sampler(Random(1))  # noqa: S311 - sample data
    sample = [draw() for _ in range(4000)]
    for probability in (0.1, 0.5, 0.9, 0.99):
        cut = family.quantile(probability)
        beyond = sum(each > cut for each in sample)
        error = math.sqrt(4000 * probability * (1 - probability))
        assert abs(beyond - 4000 * (1 - probability)) < 5 * error


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_a_quantile_is_where_survival_says_it_is(family: Family) -> None:
    """Quantile and survival are inverse to each other, far into the tail."""
    for probability in (0.001, 0.25, 0.5, 0.95, 0.999, 0.99999):
        assert family.survival(family.quantile(probability)) == pytest.approx(1 - probability, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_the_mean_of_a_family_is_the_mean_of_its_quantiles(family: Family) -> None:
    """The closed form of the mean agrees with integrating the quantile function."""
    count = 1000
    integral = fmean(family.quantile((index + 0.5) / count) for index in range(count))
    assert family.mean == pytest.approx(integral, rel=0.03)


def test_an_event_changes_the_rows_it_touches_and_no_other() -> None:
    """With and without an event, everything else is the same, row by row."""
    touched = one(Event(Kind.SPIKE, MONDAY, day(2), 2.0, 20.0, 0.05))
    quiet = one()
    assert len(touched) == len(quiet)
    assert [row[:3] for row in touched if row.cause is None] == [
        without[:3] for row, without in zip(touched, quiet, strict=True) if row.cause is None
    ]
    assert 100 < sum(row.cause is Kind.SPIKE for row in touched) < 300


def test_a_spike_is_as_many_times_slower_as_it_says() -> None:
    """Each spike takes between 2 and 20 times what the call would have taken, and all of that range occurs."""
    event = Event(Kind.SPIKE, MONDAY, day(2), 2.0, 20.0, 0.05)
    ratios = [
        row.duration_microseconds / without.duration_microseconds
        for row, without in zip(one(event), one(), strict=True)
        if row.cause is Kind.SPIKE
    ]
    assert 1.999 < min(ratios) < 2.5
    assert 15 < max(ratios) < 20.001
    assert median(ratios) == pytest.approx(math.sqrt(40), rel=0.25)


def test_a_metric_is_clear_from_half_beyond_the_true_extreme() -> None:
    """Clear are exactly the spikes of at least 1.5 times the family's p99.9 at that time of day."""
    season = Season(batch_hour=3, batch_minutes=60, batch_factor=4.0)
    extreme = 10_000 * LogNormal(0.3).quantile(0.999)
    for row in one(Event(Kind.SPIKE, MONDAY, day(2), 2.0, 20.0, 0.2), season=season):
        factor = 4 if row.recorded_at.hour == 3 else 1
        assert row.clear == (row.cause is Kind.SPIKE and row.duration_microseconds >= 1.5 * extreme * factor)


def test_a_burst_slows_every_call_of_its_minutes() -> None:
    """Inside a burst each row is a burst's, outside none is."""
    begin = day(1.3)
    for row in one(Event(Kind.BURST, begin, begin + timedelta(minutes=40), 8.0)):
        assert (row.cause is Kind.BURST) == (begin <= row.recorded_at < begin + timedelta(minutes=40))


@pytest.mark.parametrize(("kind", "factor"), [(Kind.LEVEL, 1.5), (Kind.FASTER, 0.6)])
def test_a_level_shift_multiplies_every_call_from_its_moment_on(kind: Kind, factor: float) -> None:
    """After the moment each call takes exactly the factor of what it would have, before it the same."""
    for row, without in zip(one(Event(kind, day(1), day(2), factor)), one(), strict=True):
        expected = factor if row.recorded_at >= day(1) else 1
        assert row.duration_microseconds == pytest.approx(expected * without.duration_microseconds, abs=2)


def test_a_drift_grows_evenly_until_its_factor() -> None:
    """Half way through its time a drift has the square root of its factor, at the end all of it."""
    for row, without in zip(one(Event(Kind.DRIFT, MONDAY, day(2), 4.0)), one(), strict=True):
        part = (row.recorded_at - MONDAY) / timedelta(days=2)
        assert row.duration_microseconds == pytest.approx(4.0**part * without.duration_microseconds, abs=3)


def test_a_tail_shift_touches_its_share_of_the_calls() -> None:
    """A tenth of the calls becomes six times slower, the others stay."""
    ratios = [
        round(row.duration_microseconds / without.duration_microseconds)
        for row, without in zip(one(Event(Kind.TAIL, MONDAY, day(2), 6.0, share=0.1)), one(), strict=True)
    ]
    assert set(ratios) == {1, 6}
    assert ratios.count(6) / len(ratios) == pytest.approx(0.1, abs=0.025)


@pytest.mark.parametrize(
    ("event", "ratio"),
    [
        (Event(Kind.LEVEL, MONDAY, day(1), 1.5), 1.5),
        (Event(Kind.TAIL, MONDAY, day(1), 6.0, share=0.1), 1.5),
        (Event(Kind.SPIKE, MONDAY, day(1), 2.0, 20.0, 0.001), 1 + 0.001 * (18 / math.log(10) - 1)),
        (Event(Kind.FASTER, MONDAY, day(1), 0.6), 0.6),
    ],
)
def test_the_ratio_of_an_event_is_how_much_longer_calls_take_on_average(event: Event, ratio: float) -> None:
    """Share and factor together say what the mean becomes."""
    assert event.ratio == pytest.approx(ratio)


def test_interval_labels_are_clear_from_a_ratio_of_one_point_three() -> None:
    """A step of 1.1 and an operation that got faster are events nobody is held to finding."""
    events = [Event(Kind.LEVEL, MONDAY, day(1), factor) for factor in (1.1, 1.3, 2.0)]
    operation = Operation("commit", LogNormal(0.3), 1000, 10, events=(*events, Event(Kind.FASTER, MONDAY, day(1), 0.5)))
    told = list(interval_labels(Workload(1, MONDAY, 2, (operation,))))
    assert [(each.factor, each.clear) for each in told] == [(1.1, False), (1.3, True), (2.0, True), (0.5, False)]


def test_every_slowed_metric_has_one_label_and_no_other_metric_has() -> None:
    """Labels of single metrics are exactly the rows with a spike or a burst for a cause."""
    workload = fleets.everyday(5, MONDAY, 1)
    told = {(each.operation_type, each.start, each.duration_microseconds, each.clear) for each in labels(workload)}
    true = {(row[0], row[1], row[2], row.clear) for row in rows(workload) if row.cause is not None}
    assert told == true
    assert len(told) > 20


def test_durations_follow_the_clock() -> None:
    """A daily operation is about e^(2 x swing) times slower at its peak than at night; weekends have a factor."""
    season = Season(daily=0.5, peak_hour=14, weekend=0.5)
    found = one(days=7, season=season)

    def typical(hours: range, weekend: bool) -> float:
        chosen = [row[2] for row in found if row[1].hour in hours and (row[1].weekday() >= 5) == weekend]
        return median(chosen)

    peak, trough = typical(range(13, 15), weekend=False), typical(range(1, 3), weekend=False)
    assert peak / trough == pytest.approx(math.e, rel=0.15)
    assert typical(range(24), weekend=True) / typical(range(24), weekend=False) == pytest.approx(0.5, rel=0.1)


def test_calls_come_at_their_rate_and_more_often_when_it_is_busy() -> None:
    """A Poisson process with the rate that was asked for, swinging with the day."""
    found = one(days=7, season=Season(busy=0.6))
    assert abs(len(found) - 14_000) < 5 * math.sqrt(14_000)
    noon = sum(row[1].hour in range(10, 18) for row in found)
    night = sum(row[1].hour in (22, 23, 0, 1, 2, 3, 4, 5) for row in found)
    assert noon > 2 * night


def test_load_that_wanders_is_alike_from_hour_to_hour() -> None:
    """Wandering has memory: levels of hours that follow each other are correlated, those of a steady one are not."""

    def memory(season: Season) -> float:
        hours: dict[datetime, list[float]] = {}
        for row in one(days=14, season=season):
            hours.setdefault(row[1].replace(minute=0, second=0, microsecond=0), []).append(math.log(row[2]))
        levels = [fmean(hours[hour]) for hour in sorted(hours)]
        center = fmean(levels)
        lagged = sum((one - center) * (next_ - center) for one, next_ in pairwise(levels))
        return lagged / sum((each - center) ** 2 for each in levels)

    assert memory(Season(wander=0.3)) > 0.5
    assert abs(memory(Season())) < 0.3


def test_durations_come_in_whole_steps_of_the_clock_that_measured_them() -> None:
    """A resolution of one millisecond gives whole milliseconds, and never nothing."""
    operation = Operation("commit", LogNormal(1.0), 900, 2000, resolution=1000)
    found = [row[2] for row in rows(Workload(1, MONDAY, 1, (operation,)))]
    assert all(each > 0 and each % 1000 == 0 for each in found)


def test_the_fleet_has_what_fools_detectors() -> None:
    """All families are there, in 22 operations, with a few microseconds here and ten calls a day there."""
    assert len(fleets.FLEET) == 22
    assert {type(each.family) for each in fleets.FLEET} == {LogNormal, Gamma, Weibull, CacheMiss, HeavyTail}
    found = list(rows(fleets.healthy(1, MONDAY, 1)))
    assert max(row[2] for row in found if row[0] == "few_microseconds") < 10
    assert 1 < sum(row[0] == "ten_a_day" for row in found) < 30
    assert all(row.cause is None for row in found)


def test_an_everyday_fleet_has_one_spike_in_a_thousand_calls() -> None:
    """Spikes are as rare as they should be, and bursts lie inside the span."""
    workload = fleets.everyday(5, MONDAY, 14, prefix="a_")
    spikes = [event for each in workload.operations for event in each.events if event.kind is Kind.SPIKE]
    assert {(event.start, event.end, event.share) for event in spikes} == {(MONDAY, workload.end, 0.001)}
    bursts = [event for each in workload.operations for event in each.events if event.kind is Kind.BURST]
    assert bursts
    assert all(MONDAY <= event.start < workload.end for event in bursts)
    assert all(each.name.startswith("a_") for each in workload.operations)


def test_trials_know_the_answer() -> None:
    """Each shape and volume has seven degraded trials and five that are not, and the ailment says which."""
    workload, cases = trials.degradations(1, MONDAY, prefix="x ")
    assert len(cases) == len(trials.SHAPES) * len(trials.VOLUMES) * 12
    healthy = {"nothing", "nothing again", "spikes", "faster", "step 1.1"}
    assert all(case.degraded == (case.ailment not in healthy) for case in cases)
    assert all(event.end == workload.end for case in cases for event in case.operation.events)


def test_a_bottleneck_slows_its_group_at_one_moment() -> None:
    """Pairs that are true changed at the same moment; pairs that coincide otherwise are not asked about."""
    for number in range(12):
        scenario = trials.bottleneck(1, MONDAY, number)
        events = {each.name: each.events for each in scenario.workload.operations}
        size = trials.GROUPS[number % len(trials.GROUPS)]
        assert len(scenario.together) == size * (size - 1) // 2
        assert scenario.together <= scenario.pairs
        for one_, other in scenario.together:
            assert events[one_][0].start == events[other][0].start
        for one_, other in scenario.unasked:
            assert abs(events[one_][0].start - events[other][0].start) < trials.COINCIDENCE
            assert events[one_][0].start != events[other][0].start


@pytest.mark.parametrize(
    "make",
    [
        lambda: Event(Kind.LEVEL, day(1), day(1), 2.0),
        lambda: Event(Kind.LEVEL, MONDAY, day(1), 0.0),
        lambda: Event(Kind.SPIKE, MONDAY, day(1), 2.0, share=0.0),
        lambda: Operation(" ", LogNormal(1), 1, 1),
        lambda: Operation("commit", LogNormal(1), 0, 1),
        lambda: Operation("commit", LogNormal(1), 1, 0),
        lambda: Workload(1, MONDAY, 0, ()),
        lambda: Workload(1, datetime.fromisoformat("2026-01-05T00:00:00+00:00"), 1, ()),
        lambda: Workload(1, MONDAY, 1, (Operation("a", LogNormal(1), 1, 1),) * 2),
    ],
)
def test_what_can_not_be_generated_is_refused(make: object) -> None:
    """Impossible events, operations and workloads raise a sentence instead of making odd rows."""
    assert callable(make)
    with pytest.raises(ValueError, match=r"\.$"):
        make()
