"""The score of a result, the bands that say what it is worth, and the score at equal risk, by which results compare.

The drawdown stands under a root, so whoever bets half as much loses less than half of the score's
divisor and wins: half the risk is worth 1.41 times the score. Two results are therefore compared as
accounts that both risk 1 % of their equity at a trade's stop on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from novosky.measures.statistics import Floats, profit_factor

MIN_TRADES = 20
"""With fewer trades the score is not a number to act on, and the profit factor has no interval."""

DRAWDOWN_FLOOR = 0.001

SCORE_DIGITS = 6

TOO_FEW_TRADES = "too few trades"


def score_of(win_rate: float, profit_factor: float, max_drawdown: float) -> float:
    """Return win rate x profit factor / sqrt(drawdown), the drawdown floored at 0.1 %.

    Examples
    --------
    >>> score_of(0.5, 2.0, 0.25)
    2.0
    """
    return win_rate * profit_factor / math.sqrt(max(max_drawdown, DRAWDOWN_FLOOR))


EQUAL_RISK = 0.01
"""Share of the equity at stake at a trade's stop, on average, at which results are compared."""


@dataclass(frozen=True)
class AtEqualRisk:
    """A sequence of trades as an account lives through it that risks 1 % of its equity a trade on average.

    Attributes
    ----------
    stated_risk : float
        Share of the equity that the trades had at stake on average.
    max_drawdown : float
        Largest fall from a peak, as a share, counted at closed trades.
    score : float or None
        `score_of` with that drawdown; None with fewer than `MIN_TRADES` trades.
    """

    stated_risk: float
    max_drawdown: float
    score: float | None

    @property
    def scale(self) -> float:
        """By how much the account's own returns are multiplied to be those at equal risk."""
        return EQUAL_RISK / self.stated_risk


def at_equal_risk(returns: Floats, risks: Floats) -> AtEqualRisk | None:
    """Return what trades come to at 1 % risk a trade, None where no trade had anything at stake.

    A trade that was sized larger than others stays larger by the same factor: only the level of risk
    is taken out, not the judgement of the risk model. Trades are closed one after another, so
    the fall inside of a trade, at most about its stop, is not counted; it is the same for all levels.

    Parameters
    ----------
    returns : ndarray, shape (n,)
        Net result of each trade as a share of the equity before it, in order of time.
    risks : ndarray, shape (n,)
        What it lost at its stop, before costs, as a share of that equity; 0 where it had none.

    Examples
    --------
    >>> import numpy as np
    >>> won_and_lost = np.array([0.02, -0.02] * 10)
    >>> bold, timid = (at_equal_risk(x * won_and_lost, x * np.full(20, 0.02)) for x in (1.0, 0.25))
    >>> bold.score == timid.score, round(bold.max_drawdown, 4)
    (True, 0.0109)
    """
    at_stake = risks[risks > 0.0]
    if len(at_stake) == 0:
        return None
    stated = float(at_stake.mean())
    # Ruin at this level is ruin: an account cannot fall below nothing and recover.
    growth = np.maximum(1.0 + returns * (EQUAL_RISK / stated), 0.0)
    equity = np.concatenate(([1.0], np.cumprod(growth)))
    drawdown = float((1.0 - equity / np.maximum.accumulate(equity)).max())
    factor = profit_factor(returns)
    score = None
    if len(returns) >= MIN_TRADES and factor is not None:
        # Rounded: what differs by less than the noise of lot steps compares as equal.
        score = round(score_of(float(np.mean(returns > 0.0)), factor, drawdown), SCORE_DIGITS)
    return AtEqualRisk(stated, drawdown, score)


def band_of(score: float) -> str:
    """Name the band of a score: 6 and 10 open the next band, 15 still closes its own."""
    if score < 6.0:
        return "pause"
    if score < 10.0:
        return "below target"
    return "production grade" if score <= 15.0 else "excellent"
