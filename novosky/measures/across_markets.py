"""What a method earns per trade over several markets, and whether another method earns more.

Every market weighs the same, however often it trades. Uncertainty is over days: trades of one day
share that day's moves, in one market and across them, so a day is one observation and not its trades.
With n trades of mean m in each of M markets, a day's part is the sum of (R - m) / (n M) over the
trades entered on it; the standard error is the root of the sum of the squared parts. That is the
cluster-robust error of a mean of means (D. Cameron and D. Miller, "A practitioner's guide to
cluster-robust inference", Journal of Human Resources 50, 2015), with the days as clusters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from novosky.measures.statistics import Z_95, Floats, Ints


@dataclass(frozen=True, eq=False)
class MarketTrades:
    """What a method's trades in one market came to.

    Attributes
    ----------
    days : ndarray of int, shape (n,)
        UTC days since 1970-01-01 on which the trades were entered.
    r : ndarray, shape (n,)
        Net results in multiples of the risk at the stop.
    """

    days: Ints
    r: Floats

    def __post_init__(self) -> None:
        if self.days.shape != self.r.shape:
            raise ValueError(f"{len(self.days)} days for {len(self.r)} results")
        if not np.isfinite(self.r).all():
            raise ValueError("a result in R is not known: the trade had no stop, or its risk was zero")


@dataclass(frozen=True)
class AcrossMarkets:
    """A mean over markets, each market weighing the same.

    Attributes
    ----------
    mean : float
        R per trade; of a comparison, the difference.
    error : float
        Standard error over days.
    days : int
        Days that carried a trade in any market.
    trades : int
        In all markets; of a comparison, of both methods.
    means : mapping of str to float
        Each market's own mean.
    """

    mean: float
    error: float
    days: int
    trades: int
    means: Mapping[str, float]

    @property
    def t(self) -> float | None:
        """The mean over its error; None where the error is zero."""
        return self.mean / self.error if self.error > 0.0 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        return self.mean - Z_95 * self.error, self.mean + Z_95 * self.error

    @property
    def p_above(self) -> float | None:
        """One-sided p against "not above zero", by the normal law: days are many."""
        return None if self.t is None else 0.5 * math.erfc(self.t / math.sqrt(2.0))

    @property
    def p_below(self) -> float | None:
        """One-sided p against "not below zero"."""
        return None if self.t is None else 0.5 * math.erfc(-self.t / math.sqrt(2.0))


def mean_across(markets: Mapping[str, MarketTrades]) -> AcrossMarkets:
    """Return the mean R per trade over markets.

    Parameters
    ----------
    markets : mapping of str to MarketTrades
        By name; at least one.

    Raises
    ------
    ValueError
        There is no market, or one without a trade: its mean is unknown, which zero would hide.

    Examples
    --------
    >>> import numpy as np
    >>> one = MarketTrades(np.array([0, 1, 2, 3]), np.array([1.0, -1.0, 1.0, 1.0]))
    >>> other = MarketTrades(np.array([0, 5]), np.array([-1.0, 1.0]))
    >>> mean_across({"BTCUSD": one, "GER40": other}).mean
    0.25
    """
    means, parts = _means(markets), _parts(markets)
    return _across(means, _of_days([parts]), sum(len(trades.r) for trades in markets.values()))


def difference_across(one: Mapping[str, MarketTrades], other: Mapping[str, MarketTrades]) -> AcrossMarkets:
    """Return by how much one method earns more per trade than another on the same markets.

    What both had of a day cancels before days are squared, so methods that share most of their
    trades are told apart by the others.

    Raises
    ------
    ValueError
        The markets differ, or one of them has no trade.
    """
    if set(one) != set(other):
        raise ValueError(f"compared over different markets: {sorted(set(one) ^ set(other))}")
    first, second = _means(one), _means(other)
    means = {name: first[name] - second[name] for name in one}
    against = [(days, -parts) for days, parts in _parts(other)]
    trades = sum(len(trades.r) for method in (one, other) for trades in method.values())
    return _across(means, _of_days([_parts(one), against]), trades)


def holm(p_values: Sequence[float], level: float = 0.05) -> tuple[bool, ...]:
    """Tell which of several hypotheses are refuted when all are judged together.

    The smallest p is held against level / k, the next against level / (k - 1), and so on until one
    fails (S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979): the chance that any true one is refuted stays below `level`.

    Examples
    --------
    >>> holm([0.04, 0.01, 0.03])
    (False, True, False)
    """
    refuted = [False] * len(p_values)
    for done, at in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if p_values[at] > level / (len(p_values) - done):
            break
        refuted[at] = True
    return tuple(refuted)


_Parts = list[tuple[Ints, Floats]]
"""Per market, the days of its trades and what each trade adds to its day."""


def _means(markets: Mapping[str, MarketTrades]) -> dict[str, float]:
    if not markets:
        raise ValueError("a mean over markets needs one")
    for name, trades in markets.items():
        if len(trades.r) == 0:
            raise ValueError(f"{name} has no trade, so no mean")
    return {name: float(trades.r.mean()) for name, trades in markets.items()}


def _parts(markets: Mapping[str, MarketTrades]) -> _Parts:
    return [(trades.days, (trades.r - trades.r.mean()) / (len(trades.r) * len(markets))) for trades in markets.values()]


def _of_days(parts: Sequence[_Parts]) -> Floats:
    """Return each day's part: of all markets and, where two methods are compared, of both."""
    flat = [pair for method in parts for pair in method]
    days = np.concatenate([days for days, _ in flat])
    values = np.concatenate([values for _, values in flat])
    _, place = np.unique(days, return_inverse=True)
    return np.bincount(place, weights=values).astype(np.float64)


def _across(means: Mapping[str, float], days: Floats, trades: int) -> AcrossMarkets:
    mean = math.fsum(means.values()) / len(means)
    return AcrossMarkets(mean, float(np.sqrt(np.square(days).sum())), len(days), trades, means)
