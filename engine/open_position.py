"""What the position model is told of an open trade: one formula for labels, backtest and bot."""

from __future__ import annotations

from novosky.compiled import compiled

POSITION_INPUTS = ("bars_held_norm", "pnl_pct", "r_multiple", "pos_direction")
"""The inputs after the features, in order."""

_LEAST_RISK = 1e-9
"""Share of the entry price; an entry filled at its very stop has no distance to divide by."""


@compiled
def open_trade_inputs(
    side: int, entry_price: float, stop: float, bars_held: float, bid: float, spread: float, horizon: float
) -> tuple[float, float, float, float]:
    """Describe an open trade at the close of a bar.

    Parameters
    ----------
    side : int
        1 long, -1 short.
    entry_price, stop : float
        USD.
    bars_held : float
        Bars that have closed since the entry, the entry bar included.
    bid, spread : float
        Quote at the close, USD; a long would leave at the bid, a short at the ask.
    horizon : float
        Bars the labelled trades may last. Held longer counts as held that long: no trade
        the model learned from was older.

    Returns
    -------
    (float, float, float, float)
        Share of the horizon held (0 to 1), floating result in percent of the entry price,
        floating result in multiples of the distance between entry and stop, direction.
    """
    leave_at = bid if side > 0 else bid + spread
    result = (leave_at - entry_price) * side
    risk = max(abs(entry_price - stop), _LEAST_RISK * entry_price)
    return min(bars_held / horizon, 1.0), 100.0 * result / entry_price, result / risk, float(side)
