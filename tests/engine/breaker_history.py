"""The breakers, told again from the written history alone: trades, equity curve and clock.

An independent account of what must have been latched at every close, for comparison with
what the rules remembered while the history was being made.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.gates import GATE_NAMES
from tests.engine.market import BAR, DAY, MONDAY, Market, Play

CIRCUIT, DAILY, CURVE, WEEKLY, HALT = (
    1 << GATE_NAMES.index(name)
    for name in ("circuit_breaker", "daily_loss", "equity_curve", "weekly_drawdown", "hard_halt")
)
BREAKERS = CIRCUIT | DAILY | CURVE | WEEKLY | HALT


def openings(closes: npt.NDArray[np.int64], equity: npt.NDArray[np.float64], start: float, length: int) -> list[float]:
    """Return for each close the equity with which its period of `length` seconds opened.

    A close at the period's first second opens it with its own equity; otherwise the last
    equity before the period does.
    """
    result: list[float] = []
    for k, time in enumerate(closes):
        begun = (int(time) - MONDAY) // length * length + MONDAY
        at = int(np.searchsorted(closes, begun))
        exact = at < len(closes) and closes[at] == begun and at <= k
        result.append(float(equity[at]) if exact else float(equity[at - 1]) if at > 0 else start)
    return result


def breaker_history(done: Play, market: Market, balance: float) -> npt.NDArray[np.int64]:
    """Return the mask of the breakers latched at each bar's close, shape (n,)."""
    params = done.params
    closes = market.bars.time + BAR
    day_open = openings(closes, done.equity, balance, DAY)
    week_open = openings(closes, done.equity, balance, 7 * DAY)
    masks = np.zeros(len(closes), np.int64)
    ended = dict(zip((done.trades["exit_time"] + BAR).tolist(), done.trades, strict=True))
    losses, paused_until, halted, day, week = 0, 0, balance < halt_level(params), -1, -1
    day_blocked = week_blocked = False
    week_peak = balance
    balances: list[float] = []
    for k, time in enumerate(closes.tolist()):
        # A day owns the bars that open in it; its first second, a close, already sees it fresh.
        if (time - BAR) // DAY != day:
            day, losses = (time - BAR) // DAY, 0
        trade = ended.get(time)
        if trade is not None:
            losses = losses + 1 if trade.profit + trade.commission + trade.swap < -0.001 else 0
            balances.append(float(trade.balance))
            last = balances[-int(params.equity_curve_trades) :]
            if params.equity_curve and len(last) == params.equity_curve_trades:
                limit = np.mean(last) * (1 - params.equity_curve_drawdown)
                paused_until = time + params.equity_curve_pause if last[-1] < limit else paused_until
        if time % DAY == 0:
            losses = 0
        equity = float(done.equity[k])
        if k == 0 or time // DAY != closes[k - 1] // DAY:
            day_blocked = False
        if (time - MONDAY) // (7 * DAY) != week:
            week, week_blocked, week_peak = (time - MONDAY) // (7 * DAY), False, week_open[k]
        week_peak = max(week_peak, equity)
        day_blocked |= day_open[k] - equity >= params.max_daily_loss * day_open[k]
        week_blocked |= week_peak - equity >= params.max_weekly_drawdown * week_peak
        halted |= equity < halt_level(params)
        masks[k] = (
            CIRCUIT * (losses >= params.max_consecutive_losses)
            + DAILY * day_blocked
            + CURVE * (time < paused_until)
            + WEEKLY * week_blocked
            + HALT * halted
        )
    return masks


def halt_level(params: object) -> float:
    """Return the equity below which the account is halted for good, USD."""
    return float(params.starting_balance * (1.0 - params.max_total_drawdown))  # type: ignore[attr-defined]
