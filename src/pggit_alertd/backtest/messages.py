"""How many messages a setting sends about its alerts: those of a group travel together, `min_interval` apart.

The daemon decides this at claim time, from what is due at that moment. Here it is worked out from the alerts' times
alone: every destination takes every message at once, and nothing is sent twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from pggit_alertd.backtest.model import Pair

TOGETHER = timedelta(seconds=1)
"""Alerts of a group that are this close are due at the same claim, and travel in one message."""


def spoken(times: Sequence[datetime], min_interval: float) -> Iterator[datetime]:
    """Yield when a group's messages go out, for the times of its alerts in order.

    The first goes out at once. What comes within `min_interval` seconds of a message waits for the interval's end, and
    goes out in one digest, which begins another interval. Without an interval, what comes within TOGETHER is one.
    """
    waits = min_interval > 0
    quiet = timedelta(seconds=min_interval) if waits else TOGETHER
    last: datetime | None = None
    for at in times:
        # What came while it was quiet has gone out with a digest at the end of that, unless it came with the message.
        if last is None or at >= last + quiet:
            yield (last := at)
        elif waits and at > last:
            yield (last := last + quiet)


def messages(pairs: Iterable[Pair], min_interval: float) -> list[datetime]:
    """Return when a setting's messages go out, for the pairs of that setting that are not muted.

    CRITICAL alerts are spaced apart from the others: they never wait for a digest of warnings.
    """
    groups: dict[tuple[str, bool], list[datetime]] = defaultdict(list)
    for pair in pairs:
        groups[pair.group_key, pair.severity == "CRITICAL"].append(pair.alert.at)
    return sorted(moment for times in groups.values() for moment in spoken(sorted(times), min_interval))
