"""When a loop counts as hung."""

from datetime import UTC, datetime

from pggit_alertd.liveness import Liveness


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> datetime:
        """Return a wall time."""
        return datetime(2024, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return where the hand stands."""
        return self.at


def test_a_loop_is_alive_until_its_limit() -> None:
    """A loop counts from its start, ticks renew it, and just past the limit it is hung."""
    clock = HandClock()
    liveness = Liveness(clock)
    beat = liveness.loop("router", 10.0)
    clock.at += 10.0
    assert liveness.report().ok
    assert not liveness.report().cycled
    beat.tick()
    clock.at += 10.1
    report = liveness.report()
    assert not report.ok
    assert report.cycled
    assert report.reasons == ("the router loop last ticked 10.1 s ago; 10 s are allowed",)
    beat.tick()
    assert liveness.report().ok


def test_one_hung_loop_is_enough() -> None:
    """Every loop must tick; the report names the one that doesn't."""
    clock = HandClock()
    liveness = Liveness(clock)
    liveness.loop("router", 1.0)
    liveness.loop("scheduler", 100.0)
    clock.at += 2.0
    assert [loop.name for loop in liveness.report().loops if not loop.alive] == ["router"]
    assert not liveness.report().ok


def test_a_loop_that_ended_on_purpose_is_not_missed() -> None:
    """During a shutdown loops end one by one, and the process is still alive."""
    clock = HandClock()
    liveness = Liveness(clock)
    beat = liveness.loop("router", 1.0)
    beat.end()
    clock.at += 100.0
    assert liveness.report().ok
    assert liveness.report().loops == ()


def test_without_loops_nothing_has_cycled() -> None:
    """Before the loops start the process is alive, but READY would be too early."""
    assert Liveness().report().ok
    assert not Liveness().report().cycled


def test_the_same_name_again_is_a_new_loop() -> None:
    """A loop that is started anew starts with a fresh pulse."""
    clock = HandClock()
    liveness = Liveness(clock)
    liveness.loop("web", 1.0).tick()
    clock.at += 5.0
    liveness.loop("web", 1.0)
    assert liveness.report().ok
    assert not liveness.report().cycled
