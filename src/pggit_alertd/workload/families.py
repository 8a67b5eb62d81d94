"""Shapes of latency: how durations of one operation are spread while nothing is wrong.

A family speaks of multiples of an operation's scale, so one shape serves microseconds and minutes. Each knows its
survival function exactly; without it nobody could say whether a slow call was an event or the tail of an ordinary day.
Log-normal, gamma and Weibull are what services measure; `CacheMiss` is two peaks far apart, and `HeavyTail` a power
law, on which z-scores fail most.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_HALVINGS = 60  # of a bracket of e^60 on the logarithmic scale: far below a double's precision


class Family(ABC):
    """A distribution of positive numbers, its scale being 1."""

    __slots__ = ()

    @abstractmethod
    def sampler(self, source: Random) -> Callable[[], float]:
        """Return a function that draws once each time it is called, from `source` and nothing else."""

    @abstractmethod
    def survival(self, multiple: float) -> float:
        """Return the probability that a draw is greater than `multiple`."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """The expected draw."""

    def quantile(self, probability: float) -> float:
        """Return the multiple that a share `probability` (above 0, below 1) of all draws does not exceed."""
        low, high = -30.0, 30.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.survival(math.exp(middle)) > 1 - probability:
                low = middle
            else:
                high = middle
        return math.exp(high)


@dataclass(frozen=True, slots=True)
class LogNormal(Family):
    """exp of a normal; the scale is the median. Sigma 0.05 is a computation, 0.5 a query, 1 a call over a network."""

    sigma: float

    def sampler(self, source: Random) -> Callable[[], float]:
        """Draw exp(sigma * N)."""
        gauss, sigma, exp = source.gauss, self.sigma, math.exp
        return lambda: exp(gauss(0.0, sigma))

    def survival(self, multiple: float) -> float:
        """Return the normal's upper tail at ln(multiple)."""
        return 0.5 * math.erfc(math.log(multiple) / (self.sigma * math.sqrt(2)))

    @property
    def mean(self) -> float:
        """exp(sigma² / 2)."""
        return math.exp(self.sigma**2 / 2)


@dataclass(frozen=True, slots=True)
class Weibull(Family):
    """A stretched exponential, shape 1 being the exponential itself; smaller shapes have heavier tails."""

    shape: float

    def sampler(self, source: Random) -> Callable[[], float]:
        """Draw by inversion."""
        draw, power, log = source.random, 1 / self.shape, math.log
        return lambda: math.pow(-log(1.0 - draw()), power)

    def survival(self, multiple: float) -> float:
        """exp(-multiple^shape)."""
        return math.exp(-math.pow(multiple, self.shape))

    @property
    def mean(self) -> float:
        """Γ(1 + 1/shape)."""
        return math.gamma(1 + 1 / self.shape)


def exponential() -> Weibull:
    """Return the waiting time of something that never ages."""
    return Weibull(1.0)


@dataclass(frozen=True, slots=True)
class Gamma(Family):
    """The sum of `stages` exponential steps, each of mean 1: a gamma distribution whose survival is a finite sum."""

    stages: int

    def sampler(self, source: Random) -> Callable[[], float]:
        """Draw the steps as one product of uniforms."""
        draw, log = source.random, math.log
        stages = range(self.stages)
        return lambda: -log(math.prod(1.0 - draw() for _ in stages))

    def survival(self, multiple: float) -> float:
        """Return the probability of fewer than `stages` events in a Poisson process of that length."""
        term = total = math.exp(-multiple)
        for stage in range(1, self.stages):
            term *= multiple / stage
            total += term
        return total

    @property
    def mean(self) -> float:
        """One per stage."""
        return float(self.stages)


@dataclass(frozen=True, slots=True)
class CacheMiss(Family):
    """Hits around 1, and a share of misses that take `slower` times as long; both log-normal."""

    misses: float
    slower: float = 12.0
    sigma: float = 0.25

    def sampler(self, source: Random) -> Callable[[], float]:
        """Draw a hit or a miss."""
        draw, gauss, exp = source.random, source.gauss, math.exp
        misses, sigma, slower = self.misses, self.sigma, math.log(self.slower)
        return lambda: exp(gauss(slower if draw() < misses else 0.0, sigma))

    def survival(self, multiple: float) -> float:
        """Weigh the survival of hits and misses."""
        each = LogNormal(self.sigma)
        return (1 - self.misses) * each.survival(multiple) + self.misses * each.survival(multiple / self.slower)

    @property
    def mean(self) -> float:
        """Weigh the means of hits and misses."""
        return LogNormal(self.sigma).mean * (1 + self.misses * (self.slower - 1))


@dataclass(frozen=True, slots=True)
class HeavyTail(Family):
    """Log-normal, but a share of the calls follows a power law that begins at 2: Pareto with exponent `alpha` > 1."""

    share: float = 0.05
    alpha: float = 2.5
    sigma: float = 0.3

    BEGINS = 2.0

    def sampler(self, source: Random) -> Callable[[], float]:
        """Draw from the body or from the tail."""
        draw, gauss, exp = source.random, source.gauss, math.exp
        share, sigma, power, begins = self.share, self.sigma, -1 / self.alpha, self.BEGINS
        return lambda: begins * math.pow(1.0 - draw(), power) if draw() < share else exp(gauss(0.0, sigma))

    def survival(self, multiple: float) -> float:
        """Weigh the survival of body and tail."""
        tail = min(1.0, math.pow(multiple / self.BEGINS, -self.alpha))
        return (1 - self.share) * LogNormal(self.sigma).survival(multiple) + self.share * tail

    @property
    def mean(self) -> float:
        """Weigh the means of body and tail."""
        tail = self.BEGINS * self.alpha / (self.alpha - 1)
        return (1 - self.share) * LogNormal(self.sigma).mean + self.share * tail
