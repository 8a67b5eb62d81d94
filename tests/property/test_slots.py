"""Slots of any cron expression, checked against a reading of cron that is too simple to be wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pggit_alertd.cron import Schedule
from pggit_alertd.slots import Action, Decision, JobState, LatestRun, decide

INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """Write one cron field: a star, a value, a range, a list, or steps of these."""
    value = st.integers(low, high)
    span = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    single = st.one_of(value.map(str), span)
    stepped = st.tuples(st.one_of(st.just("*"), span), st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(st.just("*"), single, stepped, st.lists(single, min_size=2, max_size=3).map(",".join))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Write a cron expression that fires."""
    text = " ".join(draw(part) for part in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)))
    try:
        Schedule.parse(text)
    except ValueError:
        assume(condition=False)
    return text


def members(text: str, low: int, high: int) -> set[int]:
    """Return the values a field stands for."""
    values: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        values |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return values


def matches(text: str, at: datetime) -> bool:
    """Say whether a minute matches, straight from the words of crontab(5)."""
    minute, hour, day, month, weekday = text.split()
    day_fits = at.day in members(day, 1, 31)
    weekday_fits = bool({at.isoweekday(), at.isoweekday() % 7} & members(weekday, 0, 7))
    both = day.startswith("*") or weekday.startswith("*")
    return (
        at.second == at.microsecond == 0
        and at.minute in members(minute, 0, 59)
        and at.hour in members(hour, 0, 23)
        and at.month in members(month, 1, 12)
        and ((day_fits and weekday_fits) if both else (day_fits or weekday_fits))
    )


@given(expressions(), INSTANTS)
def test_every_instant_lies_between_its_slots_and_the_slots_match(text: str, at: datetime) -> None:
    """latest_slot ≤ at < next_slot, and both are minutes that the expression names."""
    schedule = Schedule.parse(text)
    latest, following = schedule.latest_slot(at), schedule.next_slot(at)
    assert latest <= at < following
    assert matches(text, latest)
    assert matches(text, following)


@given(expressions(), INSTANTS, st.randoms(use_true_random=False))
def test_no_minute_between_two_neighboring_slots_matches(text: str, at: datetime, random: object) -> None:
    """Nothing is skipped: minutes picked between the latest and the next slot never match."""
    schedule = Schedule.parse(text)
    latest, following = schedule.latest_slot(at), schedule.next_slot(at)
    between = int((following - latest) / timedelta(minutes=1)) - 1
    pick = random.sample(range(1, between + 1), min(between, 50)) if between > 0 else []  # type: ignore[attr-defined]
    assert not [n for n in pick if matches(text, latest + timedelta(minutes=n))]


@given(expressions(), INSTANTS)
def test_a_slot_is_its_own_latest_and_the_next_one_of_the_instant_before(text: str, at: datetime) -> None:
    """Going forward and going back find the same slots."""
    schedule = Schedule.parse(text)
    following = schedule.next_slot(at)
    instant = timedelta(microseconds=1)
    assert schedule.latest_slot(following) == following
    assert schedule.next_slot(following - instant) == following
    assert schedule.latest_slot(following - instant) == schedule.latest_slot(at)


NOW = datetime(2026, 3, 10, 12, 34, 56, 789, tzinfo=UTC)
MINUTES = st.integers(-3000, 3000).map(lambda minutes: NOW + timedelta(minutes=minutes))


@st.composite
def states(draw: st.DrawFn) -> JobState:
    """Draw any state a job's rows can be in."""
    schedule = draw(st.sampled_from(["*/5 * * * *", "0 2 * * *", "15 * * * *", "34 12 * * *"]))
    latest = None
    if draw(st.booleans()):
        status = draw(st.sampled_from(["running", "succeeded", "failed"]))
        due = None if status == "succeeded" else draw(MINUTES if status == "running" else st.none() | MINUTES)
        slot = Schedule.parse(schedule).latest_slot(draw(st.just(NOW) | MINUTES))
        owner = draw(st.none() | st.just("worker")) if status == "running" else "worker"
        latest = LatestRun(slot, status, draw(st.integers(0, 4)), draw(st.integers(1, 9)), owner, due)
    age = NOW - Schedule.parse(schedule).latest_slot(NOW)
    grace = draw(st.just(age) | st.integers(1, 2000).map(lambda minutes: timedelta(minutes=minutes)))
    return JobState("job", schedule, draw(st.booleans()), grace, draw(MINUTES), NOW, latest, None)


@settings(max_examples=200)
@given(states())
def test_what_is_decided_is_allowed_and_never_asks_to_look_again_in_the_past(state: JobState) -> None:
    """A claim is of the latest slot, in its grace, of this schedule, and beside no run that may be alive."""
    decision = decide(state, 3)
    assert decision.wake > state.now
    if state.latest is None or state.latest.status != "running":
        assert decision.wake <= Schedule.parse(state.schedule).next_slot(state.now)
    if decision.action is Action.CLAIM:
        assert_claimable(state, decision)
    if decision.action is Action.ABANDON:
        assert state.latest is not None
        assert decision.slot == state.latest.slot
        assert state.latest.next_attempt_at is not None
        assert state.latest.next_attempt_at <= state.now
        assert decision.reason


@settings(max_examples=200)
@given(states())
def test_a_slot_that_nothing_forbids_is_claimed(state: JobState) -> None:
    """The latest slot is taken if it is in time and newer than the job's last run, and that one is not alive."""
    slot, latest = Schedule.parse(state.schedule).latest_slot(state.now), state.latest
    alive = latest is not None and latest.status == "running" and (latest.next_attempt_at or state.now) > state.now
    in_time = state.enabled and state.since <= slot and state.now - slot <= state.grace
    if in_time and not alive and (latest is None or latest.slot < slot):
        assert decide(state, 3).action is Action.CLAIM


@pytest.mark.parametrize(("attempt", "action"), [(2, Action.CLAIM), (3, Action.ABANDON)])
def test_a_run_is_tried_again_while_an_attempt_is_left(attempt: int, action: Action) -> None:
    """Of three attempts the third is the last: a run that died in it is closed."""
    slot, day = Schedule.parse("15 * * * *").latest_slot(NOW), timedelta(days=1)
    run = LatestRun(slot, "running", attempt, 1, "worker", NOW)
    assert decide(JobState("job", "15 * * * *", True, day, NOW - day, NOW, run, None), 3).action is action  # noqa: FBT003


def assert_claimable(state: JobState, decision: Decision) -> None:
    """Check a claim against the rules one by one."""
    assert decision.slot == Schedule.parse(state.schedule).latest_slot(state.now)
    assert state.enabled
    assert state.since <= decision.slot
    assert state.now - decision.slot <= state.grace
    latest = state.latest
    if latest is not None:
        assert latest.slot <= decision.slot
        if latest.next_attempt_at is not None and latest.status == "running":
            assert latest.next_attempt_at <= state.now
        if latest.slot == decision.slot:
            assert latest.next_attempt_at is not None
            assert latest.next_attempt_at <= state.now
            assert latest.attempt < 3


def test_a_switched_off_job_is_never_claimed_nor_reported_as_missed() -> None:
    """Off means off: no claim, no complaint."""
    state = JobState("job", "0 2 * * *", False, timedelta(hours=1), datetime(2026, 1, 1, tzinfo=UTC), NOW, None, None)  # noqa: FBT003 - a row
    assert decide(state, 3).action is Action.WAIT


@pytest.mark.parametrize(
    ("hours", "action"), [(12, Action.CLAIM), (10, Action.MISSED)], ids=["inside its grace", "outside its grace"]
)
def test_a_slot_that_was_missed_is_made_up_only_inside_its_grace(hours: int, action: Action) -> None:
    """The 02:00 slot, seen at 12:34, is claimed with a grace of twelve hours and reported with one of ten."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    state = JobState("job", "0 2 * * *", True, timedelta(hours=hours), since, NOW, None, None)  # noqa: FBT003 - a row
    decision = decide(state, 3)
    assert (decision.action, decision.slot) == (action, datetime(2026, 3, 10, 2, tzinfo=UTC))
