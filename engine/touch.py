"""Which level of a bracket a bar reached, and at what price that ends the trade.

The one predicate for fills and for labels. All prices here are those the trade would leave
at: the bid for a long, the ask for a short. Whoever calls knows how a bar's bids become
those prices, and whether they are rounded to the broker's grid.
"""

from __future__ import annotations

from novosky.compiled import compiled

NOT_TOUCHED = 0
STOP_TOUCHED = 1
TARGET_TOUCHED = 2
BOTH_TOUCHED = 100
"""The bar reached stop and target, and something finer must decide."""


@compiled
def bracket_touch(side: int, stop: float, target: float, first: float, worst: float, best: float) -> int:
    """Return which levels a bar reached: NOT_TOUCHED, STOP_TOUCHED, TARGET_TOUCHED or BOTH_TOUCHED.

    A bar that opens beyond the target filled it before it could turn to the stop, and one
    that opens through the stop the reverse.

    Parameters
    ----------
    side : int
        1 long, -1 short.
    stop, target : float
        The levels, USD.
    first, worst, best : float
        Open of the bar, and its extremes against and for the trade, at the prices the trade
        would leave at, USD. With `worst` given as `first` too, a bar that reached both
        levels is a stop.
    """
    # A level that is met exactly is reached: the order is a limit or stop at that very price.
    if side > 0:
        hit_stop = worst <= stop
        hit_target = best >= target
        opened_beyond = first >= target
        opened_through = first <= stop
    else:
        hit_stop = worst >= stop
        hit_target = best <= target
        opened_beyond = first <= target
        opened_through = first >= stop
    if not hit_target:
        return STOP_TOUCHED if hit_stop else NOT_TOUCHED
    if opened_beyond or not hit_stop:
        return TARGET_TOUCHED
    return STOP_TOUCHED if opened_through else BOTH_TOUCHED


@compiled
def touch_price(side: int, touch: int, level: float, first: float) -> float:
    """Return the price at which a touched level fills: the level, or the open where the bar began beyond it.

    A target is a limit order and takes the better open; a stop is a market order and suffers
    the worse one.

    Parameters
    ----------
    side : int
        1 long, -1 short.
    touch : int
        TARGET_TOUCHED or STOP_TOUCHED.
    level, first : float
        The level and the bar's open, USD; both bids or both asks.
    """
    # Longs gain upwards, shorts downwards: better is the maximum for one and the minimum for the other.
    if (side > 0) == (touch == TARGET_TOUCHED):
        return max(level, first)
    return min(level, first)
