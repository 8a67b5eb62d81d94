"""The pure parts of a backtest: runs of findings, messages of a setting, and how alerts are judged."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pggit_alertd.backtest.accuracy import judge
from pggit_alertd.backtest.episodes import Sight, capped, episodes, told
from pggit_alertd.backtest.messages import TOGETHER, messages, spoken
from pggit_alertd.backtest.model import Pair, Period, Raised
from pggit_alertd.workload import Label

NOON = datetime.fromisoformat("2026-01-05T12:00")
HOUR = timedelta(hours=1)
DAY = Period(NOON - 12 * HOUR, NOON + 12 * HOUR)


def raised(
    minutes: float, operation: str = "commit", *, kind: str = "ANOMALY", since: float | None = None, severity: str = ""
) -> Raised:
    """Return an alert of so many minutes after noon, which speaks of the time from `since` minutes on."""
    at = NOON + timedelta(minutes=minutes)
    begin = at if since is None else NOON + timedelta(minutes=since)
    return Raised(at, operation, kind, severity or "WARNING", begin, at)


def label(minutes: float, to: float | None = None, *, clear: bool = True, kind: str = "spike") -> Label:
    """Return a label of `commit` from so many minutes after noon."""
    start = NOON + timedelta(minutes=minutes)
    return Label("commit", kind, start, start if to is None else NOON + timedelta(minutes=to), clear=clear)


def test_findings_an_hour_apart_are_one_alert() -> None:
    """A run is raised with its first finding, goes on while the gaps are small, and is of one operation and type."""
    found = [
        raised(119),
        raised(0, severity="CRITICAL"),
        raised(60),
        raised(181),
        raised(30, "merge"),
        raised(5, kind="X"),
    ]
    runs = sorted(episodes(found, HOUR), key=lambda run: (run.operation_type, run.alert_type, run.at))
    assert [(run.operation_type, run.alert_type, run.at, run.until, run.severity) for run in runs] == [
        ("commit", "ANOMALY", NOON, NOON + 119 * HOUR / 60, "CRITICAL"),
        ("commit", "ANOMALY", NOON + 181 * HOUR / 60, NOON + 181 * HOUR / 60, "WARNING"),
        ("commit", "X", NOON + 5 * HOUR / 60, NOON + 5 * HOUR / 60, "WARNING"),
        ("merge", "ANOMALY", NOON + HOUR / 2, NOON + HOUR / 2, "WARNING"),
    ]
    assert list(episodes([], HOUR)) == []


def test_an_hour_has_room_for_so_many_alerts() -> None:
    """What is over the cap is left out, and counts for nothing; an hour later there is room again."""
    alerts = [raised(minutes) for minutes in (0, 10, 20, 59, 60, 69, 71)]
    assert [(each.at - NOON) / timedelta(minutes=1) for each in capped(alerts, 2)] == [0, 10, 60, 71]
    assert list(capped(alerts, 0)) == []


def test_a_degradation_is_told_once_and_again_when_it_gets_worse() -> None:
    """What began before it was last seen is the same one; half as slow again, or a later beginning, is told."""
    looks = [
        (0, "commit", -60, 30.0),
        (60, "commit", -50, 40.0),
        (60, "merge", 30, 40.0),
        (120, "commit", -60, 96.0),
        (180, "commit", 90, 190.0),
        (240, "commit", 200, 25.0),
    ]
    sights = [
        Sight(raised(at, name, kind="DEGRADATION", since=began), percent, 50.0) for at, name, began, percent in looks
    ]
    alerts = [
        (each.operation_type, *((moment - NOON) / timedelta(minutes=1) for moment in (each.at, each.since, each.until)))
        for each in told(sights)
    ]
    assert alerts == [
        ("commit", 0, -60, 60),
        ("merge", 60, 30, 60),
        ("commit", 120, -60, 180),
        ("commit", 240, 200, 240),
    ]


def test_the_first_goes_out_at_once_and_the_rest_in_digests() -> None:
    """After a message what comes within the interval waits for its end; a digest begins another interval."""
    minutes = [0, 1, 9, 10, 11, 19, 35, 60]
    times = [NOON + timedelta(minutes=each) for each in minutes]
    sent = [(moment - NOON) / timedelta(minutes=1) for moment in spoken(times, 600)]
    assert sent == [0, 10, 20, 35, 60]


def test_without_an_interval_only_what_is_due_together_travels_together() -> None:
    """Alerts of a group within a second are one message, others are messages of their own."""
    times = [NOON, NOON + TOGETHER / 2, NOON + TOGETHER, NOON + 3 * TOGETHER]
    assert list(spoken(times, 0)) == [NOON, NOON + TOGETHER, NOON + 3 * TOGETHER]


@given(
    seconds=st.lists(st.integers(0, 10_000), max_size=60).map(sorted),
    min_interval=st.sampled_from([0, 1, 60, 600, 100_000]),
)
def test_no_alert_is_left_out_and_no_message_comes_too_soon(seconds: list[int], min_interval: int) -> None:
    """Each alert has a message at its time or at most an interval later, and messages are an interval apart."""
    times = [NOON + timedelta(seconds=each) for each in seconds]
    sent = list(spoken(times, min_interval))
    quiet = timedelta(seconds=min_interval) if min_interval else TOGETHER
    assert len(sent) <= len(times)
    assert all(later - earlier >= quiet for earlier, later in pairwise(sent))
    for before, moment in pairwise([NOON - quiet - quiet, *sent]):
        assert any(before < at <= moment for at in times), "a message without an alert"
    for at in times:
        if min_interval:
            assert any(at <= moment <= at + quiet for moment in sent)
        else:
            assert any(at - quiet < moment <= at for moment in sent)


def test_groups_and_critical_alerts_are_spaced_by_themselves() -> None:
    """A CRITICAL alert waits for no digest of warnings, and no group for another."""
    pairs = [
        Pair(raised(0), "WARNING", 1, "a", muted=False),
        Pair(raised(1), "WARNING", 1, "a", muted=False),
        Pair(raised(2), "CRITICAL", 1, "a", muted=False),
        Pair(raised(3), "WARNING", 1, "b", muted=False),
    ]
    sent = messages(pairs, 600)
    assert [(moment - NOON) / timedelta(minutes=1) for moment in sent] == [0, 2, 3, 10]


def test_alerts_are_judged_by_the_labels_they_speak_of() -> None:
    """Right if a clear label is met, undecided if only an unclear one is, wrong if none is; labels count once."""
    alerts = [raised(0), raised(0, "merge"), raised(50), raised(100), raised(260, kind="DEGRADATION", since=200)]
    labels = [
        label(0),
        label(50, clear=False),
        label(120),
        label(210, 250, kind="level"),
        label(230, 240, kind="level"),
        label(-10_000),
    ]
    judged = judge(alerts, labels, DAY, 2)
    assert (judged.true, judged.false, judged.undecided) == (2, 2, 1)
    assert (judged.precision, judged.recall) == (0.5, 0.75)
    assert judged.by_kind == {"level": (2, 2), "spike": (1, 2)}
    assert judged.by_type == {"ANOMALY": (1, 2), "DEGRADATION": (1, 0)}
    assert judged.false_per_operation_day == 1.0


@pytest.mark.parametrize(("minute", "met"), [(39, False), (40, True), (210, True), (211, False)])
def test_what_lasts_may_be_spoken_of_an_hour_before_and_after(minute: int, *, met: bool) -> None:
    """An alert an hour from either end of a level's label is right, one a minute further is wrong."""
    judged = judge([raised(minute)], [label(100, 150, kind="level")], DAY, 1)
    assert (judged.true, judged.false) == (met, not met)


def test_a_share_of_nothing_is_unknown() -> None:
    """Without alerts there is no precision, without labels no recall, and without operations no false alarm rate."""
    judged = judge([], [], DAY, 0)
    assert (judged.precision, judged.recall, judged.false_per_operation_day) == (None, None, None)


@given(
    minutes=st.lists(st.integers(0, 600), max_size=30),
    spans=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 90), st.booleans()), max_size=30),
)
def test_verdicts_add_up(minutes: list[int], spans: list[tuple[int, int, bool]]) -> None:
    """Every alert has one verdict, and no more labels are found than there are."""
    labels = [label(start, start + length, clear=clear) for start, length, clear in spans]
    judged = judge([raised(each) for each in minutes], labels, DAY, 1)
    assert judged.true + judged.false + judged.undecided == len(minutes)
    assert judged.found <= judged.to_find == sum(clear for _, _, clear in spans)
    assert (judged.true > 0) == (judged.found > 0)
