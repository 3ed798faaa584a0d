"""The state of the account as the risk model is told it: one formula for training, backtest and bot."""

from __future__ import annotations

from engine.breakers import halt_base
from engine.records import RING, Guard, Params
from novosky.compiled import compiled

RECENT_TRADES = 20
"""Closed trades that the win rate and the slope look back on; at most `RING`."""


@compiled
def equity_state(guard: Guard, params: Params) -> tuple[float, float, float, float, float, float, float]:
    """Describe the account at the close the guard has judged last.

    Returns
    -------
    tuple of 7 float
        In the order of `novosky.settings.equity_state.EQUITY_STATE`: percent below the highest
        equity; equity over the starting balance, itself moved by money paid in and out;
        share of the recent trades that were not lost, 0.5 before the first; losses and wins
        in a row; percent below the week's highest equity; mean result of the recent trades
        in percent of equity, 0.0 before the first.
    """
    equity = guard.equity
    known = min(guard.closed, RECENT_TRADES)
    won = 0.0
    total = 0.0
    for back in range(1, known + 1):
        result = guard.results[(guard.closed - back) % RING]
        total += result
        # The same line between won and lost as `engine.breakers.count_closed` draws.
        if result >= 0.0:
            won += 1.0
    # Before the first trade nothing is known: even odds and a flat curve are what that means.
    rate = won / known if known > 0 else 0.5
    slope = 100.0 * total / (known * equity) if known > 0 and equity > 0.0 else 0.0
    drawdown = 100.0 * (guard.peak_equity - equity) / guard.peak_equity if guard.peak_equity > 0.0 else 0.0
    weekly = 100.0 * (guard.week_peak - equity) / guard.week_peak if guard.week_peak > 0.0 else 0.0
    base = halt_base(guard, params)
    # From an account emptied by its owner nothing was gained and nothing lost.
    ratio = equity / base if base > 0.0 else 1.0
    return drawdown, ratio, rate, float(guard.losses), float(guard.wins), weekly, slope
