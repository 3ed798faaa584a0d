"""The score of a result, and the bands that say what it is worth."""

from __future__ import annotations

import math

MIN_TRADES = 20
"""With fewer trades the score is not a number to act on, and the profit factor has no interval."""

DRAWDOWN_FLOOR = 0.001

TOO_FEW_TRADES = "too few trades"


def score_of(win_rate: float, profit_factor: float, max_drawdown: float) -> float:
    """Return win rate x profit factor / sqrt(drawdown), the drawdown floored at 0.1 %.

    Examples
    --------
    >>> score_of(0.5, 2.0, 0.25)
    2.0
    """
    return win_rate * profit_factor / math.sqrt(max(max_drawdown, DRAWDOWN_FLOOR))


def band_of(score: float) -> str:
    """Name the band of a score: 6 and 10 open the next band, 15 still closes its own."""
    if score < 6.0:
        return "pause"
    if score < 10.0:
        return "below target"
    return "production grade" if score <= 15.0 else "excellent"
