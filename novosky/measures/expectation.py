"""What a trader may live through: months, drawdowns and pauses, drawn from what a set earned out of sample.

Whole days are drawn, in runs of some days (stationary bootstrap), so that trades of one day stay
together and losing streaks stay streaks; a day without a trade is a day too. What was earned out of
sample is itself an estimate from a few hundred trades: the interval of the profit factor says how
little it may be worth, and no simulation can know of a market that the sample has not seen.

Source: D. Politis and J. Romano, "The stationary bootstrap", Journal of the American Statistical
Association 89 (1994).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from novosky.market.timeframe import DAY_SECONDS, WEEK_SECONDS
from novosky.measures.score import MIN_TRADES
from novosky.measures.statistics import Floats, Ints, profit_factor, profit_factor_interval, stationary_bootstrap

WEEK_DAYS, MONTH_DAYS, YEAR_DAYS = WEEK_SECONDS // DAY_SECONDS, 30, 365
BLOCK_DAYS = 5.0
"""Mean length of a run of days."""
PATHS = 2_000
TAIL = 5.0
"""Percent of the paths beyond either end of an interval."""


@dataclass(frozen=True, eq=False)
class TradeRecord:
    """What a set earned on days it had not seen.

    Attributes
    ----------
    first_day, last_day : int
        UTC days since 1970-01-01 that were traded, the last one included.
    days : ndarray of int, shape (n,)
        Days on which the trades were entered, ascending.
    r : ndarray, shape (n,)
        Their results in multiples of the risk at the stop.
    """

    first_day: int
    last_day: int
    days: Ints
    r: Floats

    def __post_init__(self) -> None:
        if self.days.shape != self.r.shape or not np.isfinite(self.r).all():
            raise ValueError("every trade has a day and a known result in R")
        if self.first_day > self.last_day or (
            len(self.days) and not (self.first_day <= self.days[0] and self.days[-1] <= self.last_day)
        ):
            raise ValueError("a trade lies outside of the days that were traded")
        if (np.diff(self.days) < 0).any():
            raise ValueError("days go backwards")


@dataclass(frozen=True)
class Expectation:
    """What a month and a year may look like at a trader's risk; shares are fractions.

    Attributes
    ----------
    risk : float
        Share of the equity at stake a trade.
    trades, days : int
        Of the record.
    trades_a_month : float
    month_low, month_median, month_high : float
        Return of 30 days, the 5th, 50th and 95th percentile.
    losing_months : float
        Share of months that lose.
    drawdown_median, drawdown_high : float
        Deepest fall within a year at closed trades, the 50th and 95th percentile.
    pauses : float
        Chance that the weekly pause is reached within a year.
    halts : float
        Chance that the hard halt is reached within a year.
    profit_factor : float
    pf_low, pf_high : float
        Its 95 % interval.
    """

    risk: float
    trades: int
    days: int
    trades_a_month: float
    month_low: float
    month_median: float
    month_high: float
    losing_months: float
    drawdown_median: float
    drawdown_high: float
    pauses: float
    halts: float
    profit_factor: float
    pf_low: float
    pf_high: float

    @property
    def may_be_worthless(self) -> bool:
        """True where the profit factor's interval contains 1 or lies below it."""
        return self.pf_low <= 1.0


def expect(
    record: TradeRecord,
    risk: float,
    weekly_limit: float,
    total_limit: float,
    rng: np.random.Generator,
    *,
    paths: int = PATHS,
) -> Expectation | None:
    """Simulate a year at a risk, None where the record has too few trades to speak of.

    The simulated account goes on through its limits: chances count the years in which they would
    have been reached, and months and drawdowns are those of a bot that nobody stopped.

    Parameters
    ----------
    record : TradeRecord
    risk : float
        Share of the equity at stake a trade.
    weekly_limit, total_limit : float
        Fall from the week's highest equity that pauses the bot, and fall below the starting balance
        that halts it; shares.
    rng : numpy.random.Generator
        The same seed gives the same figures.
    paths : int
        Simulated years.
    """
    if len(record.r) < MIN_TRADES:
        return None
    growth = _log_growth_of_days(record, risk)
    # A draw is as long as the record: years are cut from as many draws, one after another, as it takes.
    drawn = stationary_bootstrap(len(growth), BLOCK_DAYS, -(-YEAR_DAYS * paths // len(growth)), rng)
    logs = growth[drawn.ravel()[: YEAR_DAYS * paths]].reshape(paths, YEAR_DAYS)
    equity = np.exp(np.concatenate((np.zeros((paths, 1)), np.cumsum(logs, axis=1)), axis=1))
    falls = 1.0 - equity / np.maximum.accumulate(equity, axis=1)
    months = np.expm1(logs[:, : YEAR_DAYS // MONTH_DAYS * MONTH_DAYS].reshape(-1, MONTH_DAYS).sum(axis=1))
    factor = profit_factor(record.r)
    low, high = profit_factor_interval(record.r, rng)
    assert factor is not None
    traded = record.last_day - record.first_day + 1
    return Expectation(
        risk=risk,
        trades=len(record.r),
        days=traded,
        trades_a_month=len(record.r) * MONTH_DAYS / traded,
        month_low=float(np.percentile(months, TAIL)),
        month_median=float(np.median(months)),
        month_high=float(np.percentile(months, 100.0 - TAIL)),
        losing_months=float(np.mean(months < 0.0)),
        drawdown_median=float(np.median(falls.max(axis=1))),
        drawdown_high=float(np.percentile(falls.max(axis=1), 100.0 - TAIL)),
        pauses=float(np.mean(_weekly_falls(equity).max(axis=1) >= weekly_limit)),
        halts=float(np.mean(equity.min(axis=1) <= 1.0 - total_limit)),
        profit_factor=factor,
        pf_low=low,
        pf_high=high,
    )


def _log_growth_of_days(record: TradeRecord, risk: float) -> Floats:
    """Return the logarithm of each day's growth; trades of a day follow one another."""
    # A loss beyond the whole account is the whole account, as nearly as a logarithm can say.
    each = np.log(np.maximum(1.0 + risk * record.r, 1e-9))
    days = np.zeros(record.last_day - record.first_day + 1)
    np.add.at(days, record.days - record.first_day, each)
    return days


def _weekly_falls(equity: Floats) -> Floats:
    """Return the fall from the week's highest equity at the end of each day, shape (paths, days)."""
    weeks = (equity.shape[1] - 1) // WEEK_DAYS
    # The close before a week belongs to it: that is where its first day begins.
    starts = np.arange(weeks) * WEEK_DAYS
    windows = equity[:, starts[:, None] + np.arange(WEEK_DAYS + 1)]
    falls: Floats = (1.0 - windows / np.maximum.accumulate(windows, axis=2)).reshape(len(equity), -1)
    return falls
