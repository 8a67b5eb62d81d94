"""The detectors on a past period: what each would have raised, with the thresholds in force or with others.

They are what the daemon calls, asked as of past moments: anomalies a day at a time, degradation some thirty times.
Threshold alerts are pgGit's own, raised while a metric is recorded; they are worked out from the baselines that the
nightly recalculation would have kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pggit_alertd.backtest.episodes import Sight, capped, episodes, told
from pggit_alertd.backtest.model import ANOMALY, DEGRADATION, THRESHOLD, Period, Raised, Thresholds
from pggit_alertd.database.pool import Database

Rows = Sequence[Mapping[str, Any]]

STATEMENT_SECONDS = 60.0
DAY = timedelta(days=1)
LOOKS = 30
"""How often a period is looked at for degradation. The daemon's hourly look keeps what it knows and takes milliseconds;
as of a past moment, all hours of eight days are scored anew, which takes a second at a million metrics a week."""
STEPS = (1, 2, 3, 4, 6, 8, 12, 24)
LOOKBACK_DAYS = 7
MIN_SAMPLES = 10
"""As the nightly recalculation has them."""


async def ask(database: Database, name: str, parameters: Mapping[str, Any]) -> Rows:
    """Return the rows of a named statement, run read-only, alone, and for a minute at most."""
    answers = await database.read(
        [("backtest_session", {}), (name, parameters)],
        seconds=STATEMENT_SECONDS,
    )
    return answers[1]


class Detectors:
    """The detectors over one period. What was found with the same thresholds before is not looked for again.

    `step` is called after each day that a detector has done; each detector does `days` of them.
    """

    def __init__(self, database: Database, period: Period, step: Callable[[], None]) -> None:
        self._database = database
        self._period = period
        self._step = step
        self._known: dict[tuple[object, ...], list[Raised]] = {}
        self._baselines: Rows | None = None
        self.windows = list(_windows(period))
        self.look_hours = next((hours for hours in STEPS if LOOKS * hours >= 24 * period.days), STEPS[-1])
        apart = timedelta(hours=self.look_hours)
        self._looks = [period.start + (n + 1) * apart for n in range((period.end - period.start) // apart)]

    @property
    def steps(self) -> int:
        """How often `step` is called for each set of thresholds."""
        return 3 * len(self.windows)

    async def alerts(self, thresholds: Thresholds) -> list[Raised]:
        """Return what would have been raised, in order of time."""
        detectors = (
            (self._anomalies, (thresholds.sigma, thresholds.budget, thresholds.min_ratio)),
            (self._degradations, (thresholds.degradation_percent,)),
            (self._violations, (thresholds.multiplier,)),
        )
        raised: list[Raised] = []
        for detector, changed in detectors:
            key = (detector.__name__, *changed)
            if key in self._known:
                for _ in self.windows:
                    self._step()
            else:
                self._known[key] = await detector(*changed)
            raised += self._known[key]
        return sorted(raised, key=lambda alert: (alert.at, alert.operation_type, alert.alert_type))

    async def _anomalies(self, sigma: float | None, budget: float | None, min_ratio: float | None) -> list[Raised]:
        findings: dict[str, list[Raised]] = defaultdict(list)
        rules: dict[str, tuple[timedelta, int]] = {}
        for begin, end in self.windows:
            parameters = {"from": begin, "to": end, "sigma": sigma, "budget": budget, "min_ratio": min_ratio}
            for row in await ask(self._database, "backtest_anomalies", parameters):
                at, operation = row["recorded_at"], row["operation_type"]
                findings[operation].append(Raised(at, operation, ANOMALY, row["severity"], at, at))
                rules[operation] = (timedelta(seconds=row["episode_gap"]), row["alerts_per_hour"])
            self._step()
        raised: list[Raised] = []
        for operation, (gap, per_hour) in rules.items():
            raised += capped(episodes(findings[operation], gap), per_hour)
        return raised

    async def _degradations(self, percent: float | None) -> list[Raised]:
        sights: list[Sight] = []
        for begin, end in self.windows:
            moments = [moment for moment in self._looks if begin < moment <= end]
            for row in await ask(self._database, "backtest_degradation", {"moments": moments, "percent": percent}):
                at, slower = row["moment"], row["percent_change"]
                severity = "CRITICAL" if slower >= row["critical_percent"] else "WARNING"
                finding = Raised(at, row["operation_type"], DEGRADATION, severity, row["began_at"], at)
                sights.append(Sight(finding, slower, row["worse_percent"]))
            self._step()
        return told(sights)

    async def _violations(self, multiplier: float | None) -> list[Raised]:
        if self._baselines is None:
            window = {"from": self._period.start, "to": self._period.end}
            self._baselines = await ask(
                self._database,
                "backtest_baselines",
                {**window, "lookback_days": LOOKBACK_DAYS, "min_samples": MIN_SAMPLES},
            )
        raised: list[Raised] = []
        for begin, end in self.windows:
            days = {begin.date(), (end - timedelta(microseconds=1)).date()}
            chosen = [row for row in self._baselines if row["day"].date() in days]
            parameters = {
                "operations": [row["operation_type"] for row in chosen],
                "days": [row["day"] for row in chosen],
                "p99s": [row["p99"] for row in chosen],
                "cuts": [int(row["p99"] * (multiplier or row["multiplier"])) for row in chosen],
                "from": begin,
                "to": end,
            }
            for row in await ask(self._database, "backtest_thresholds", parameters):
                at = row["recorded_at"]
                operation = chosen[row["place"] - 1]["operation_type"]
                raised.append(Raised(at, operation, THRESHOLD, row["severity"], at, at))
            self._step()
        return raised


def _windows(period: Period) -> Iterator[tuple[datetime, datetime]]:
    """Yield the period in days; the last one may be shorter."""
    begin = period.start
    while begin < period.end:
        end = min(begin + DAY, period.end)
        yield begin, end
        begin = end
