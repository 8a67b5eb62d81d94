"""Whether the program's loops still turn: each loop ticks, and a tick that stays away too long is what /livez reports.

It asks nothing of the database or the network. A database that is gone must not look like a hung process, or the
supervisor would restart what only has to wait.
"""

from dataclasses import dataclass

from pggit_alertd.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class LoopState:
    """One loop as it is now: seconds since its last tick (or its start), and how many are allowed."""

    name: str
    age: float
    limit: float
    cycled: bool

    @property
    def alive(self) -> bool:
        """Whether the last tick is recent enough."""
        return self.age <= self.limit


@dataclass(frozen=True, slots=True)
class LoopReport:
    """All loops that are meant to turn."""

    loops: tuple[LoopState, ...]

    @property
    def ok(self) -> bool:
        """Whether every loop ticked within its limit."""
        return all(loop.alive for loop in self.loops)

    @property
    def cycled(self) -> bool:
        """Whether there are loops and each has ticked at least once: the moment to tell systemd READY."""
        return bool(self.loops) and all(loop.cycled for loop in self.loops)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return a sentence for each loop that hangs."""
        return tuple(
            f"the {loop.name} loop last ticked {loop.age:.1f} s ago; {loop.limit:g} s are allowed"
            for loop in self.loops
            if not loop.alive
        )


class Beat:
    """One loop's pulse. `limit` (seconds) may be changed while the loop runs."""

    def __init__(self, name: str, limit: float, clock: Clock) -> None:
        self.name = name
        self.limit = limit
        self._clock = clock
        self._last = clock.monotonic()
        self._cycled = False
        self.ended = False

    def tick(self) -> None:
        """Say that the loop has come round."""
        self._last = self._clock.monotonic()
        self._cycled = True

    def end(self) -> None:
        """Say that the loop is meant to turn no more, as during a shutdown."""
        self.ended = True

    def state(self) -> LoopState:
        """Return how the loop is now."""
        return LoopState(self.name, max(0.0, self._clock.monotonic() - self._last), self.limit, self._cycled)


class Liveness:
    """The pulses of all loops."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._beats: dict[str, Beat] = {}

    def loop(self, name: str, limit: float) -> Beat:
        """Watch a loop from now on; it must tick every `limit` seconds. The same name again replaces the old one."""
        beat = Beat(name, limit, self._clock)
        self._beats[name] = beat
        return beat

    def report(self) -> LoopReport:
        """Return the state of every loop that has not ended."""
        return LoopReport(tuple(beat.state() for beat in self._beats.values() if not beat.ended))
