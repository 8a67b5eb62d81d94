"""How many messages a setting sends about its alerts: alerts of a group travel together, and `min_interval` spaces them.

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
    interval = timedelta(seconds=min_interval)
    quiet_until = datetime.min
    digest: datetime | None = None
    for at in times:
        if digest is not None and at > digest:
            yield digest
            quiet_until = digest + interval
            digest = None
        if digest is not None:
            continue
        if at < quiet_until:
            if min_interval > 0:
                digest = quiet_until
            continue
        yield at
        quiet_until = at + (interval if min_interval > 0 else TOGETHER)
    if digest is not None:
        yield digest


def messages(pairs: Iterable[Pair], min_interval: float) -> list[datetime]:
    """Return when a setting's messages go out, for the pairs of that setting that are not muted.

    CRITICAL alerts are spaced apart from the others: they never wait for a digest of warnings.
    """
    groups: dict[tuple[str, bool], list[datetime]] = defaultdict(list)
    for pair in pairs:
        groups[pair.group_key, pair.severity == "CRITICAL"].append(pair.alert.at)
    return sorted(moment for times in groups.values() for moment in spoken(sorted(times), min_interval))
