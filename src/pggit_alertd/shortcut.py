"""Alerts that have just been raised are routed and claimed in one round trip, if the dispatcher has nothing else to do.

The router hears of new alerts and asks here first. A dispatcher that sleeps is woken and its next claim routes a few
alerts on the way; what is too much for that, or fails, or takes long, is the router's own work, as everything is while
the dispatcher is busy. A transaction that routes slowly must not hold up what is due, so it is not tried again at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pggit_alertd.clock import Clock
from pggit_alertd.errors import DatabaseError
from pggit_alertd.model import Claim
from pggit_alertd.store import Lane, Room, Routed, Store

FEW = 20
"""Alerts routed on the way to a claim. Those beyond it wait for no claim: the router takes them, many at a time."""

SLOW_SECONDS = 0.1
AFTER_SLOW_SECONDS = 10.0


class Shortcut:
    """What the router and the dispatcher agree on. `horizon` and `horizon_critical` are seconds of retrying.

    The dispatcher sets `wake`; the router sets `told`, which gets what was routed, or None if the router has to do it
    itself.
    """

    def __init__(self, store: Store, clock: Clock, *, horizon_critical: float, horizon: float) -> None:
        self._store = store
        self._clock = clock
        self._horizon_critical = horizon_critical
        self._horizon = horizon
        self._asked = False
        self._done: Routed | None = None
        self._closed_until = 0.0
        self._open = False
        self.wake: Callable[[], None] = _nobody
        self.told: Callable[[Routed | None], None] = _nobody

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let it be asked for as long as the block lasts: the dispatcher sleeps."""
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def ask(self) -> bool:
        """Have the dispatcher route what was just raised; return False if it can't now."""
        if not self._open or self._clock.monotonic() < self._closed_until:
            return False
        self._asked = True
        self.wake()
        return True

    def decline(self) -> None:
        """Give what was asked for back to the router: the dispatcher claims nothing now."""
        if self._asked:
            self._asked = False
            self.told(None)

    async def claim(self, rooms: Sequence[Room], *, take_expired: bool, known: Mapping[Lane, int]) -> list[Claim]:
        """Claim as the store does, and route on the way if that was asked for. Raises DatabaseError."""
        if not self._asked:
            return await self._store.claim(rooms, take_expired=take_expired, known=known)
        started = self._clock.monotonic()
        try:
            routed, claims = await self._store.route_and_claim(
                rooms,
                take_expired=take_expired,
                known=known,
                limit=FEW,
                horizon_critical=self._horizon_critical,
                horizon=self._horizon,
            )
        except DatabaseError:
            # It may be routing alone that fails, which must not keep what is due from being claimed.
            self.decline()
            self._closed_until = self._clock.monotonic() + AFTER_SLOW_SECONDS
            return await self._store.claim(rooms, take_expired=take_expired, known=known)
        finally:
            self._asked = False
            if self._clock.monotonic() - started > SLOW_SECONDS:
                self._closed_until = self._clock.monotonic() + AFTER_SLOW_SECONDS
        self._done = routed
        return claims

    def report(self) -> None:
        """Tell the router what was routed. Not before the deliveries have begun: it counts and logs."""
        if self._done is None:
            return
        done, self._done = self._done, None
        self.told(done)
        # A batch that was full has more behind it, and who was woken for no alert was woken for something else.
        if not 0 < done.alerts < FEW:
            self.told(None)


def _nobody(*_: object) -> None:
    """Stand in for a callback that nobody has set."""
