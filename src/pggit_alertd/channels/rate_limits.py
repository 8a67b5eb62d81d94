"""How long to leave a key alone that says 429 and no more: 30 s, 60 s, 120 s, … as long as it keeps saying so.

Twenty requests that were under way together and are refused together are one refusal, not twenty. So only a 429 to a
request that began after the last pause lengthens the next one, and only a success of such a request ends the series.
What is remembered is this process's: a restart, or another replica, begins with the shortest pause again.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

SHORTEST = 30.0
LONGEST = 480.0
KEYS = 1000


@dataclass(frozen=True, slots=True)
class Pause:
    """The last pause of a key: the how manieth in a row, and its end on the monotonic clock."""

    number: int
    until: float


def lengthen(last: Pause | None, began: float, now: float) -> Pause:
    """Return the pause that a 429 asks for; `began` is when the refused request was sent."""
    if last is not None and began < last.until:
        return last
    number = 1 if last is None else last.number + 1
    return Pause(number, now + min(SHORTEST * 2.0 ** min(number - 1, 16), LONGEST))


class RateLimits:
    """The pauses of the keys that were limited lately, forgetting the oldest beyond KEYS."""

    def __init__(self) -> None:
        self._pauses: OrderedDict[bytes, Pause] = OrderedDict()

    def limited(self, key: str, began: float, now: float) -> float:
        """Return the seconds to wait after a 429; never less than one, which would count as no told time."""
        name = _name(key)
        pause = lengthen(self._pauses.get(name), began, now)
        self._pauses[name] = pause
        self._pauses.move_to_end(name)
        if len(self._pauses) > KEYS:
            self._pauses.popitem(last=False)
        return min(max(pause.until - now, 1.0), LONGEST)

    def passed(self, key: str, began: float) -> None:
        """Take note that a request was accepted."""
        if not self._pauses:
            return
        name = _name(key)
        pause = self._pauses.get(name)
        if pause is not None and began >= pause.until:
            del self._pauses[name]


def _name(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
