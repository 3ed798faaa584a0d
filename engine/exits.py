"""Exits by the position model: what it is told of an open trade, and when its answer is followed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.fills import touched
from engine.open_position import open_trade_inputs
from engine.records import Account, Bars, Params
from novosky.compiled import compiled

VERDICT_HOLD = 0
VERDICT_EXIT = 1
VERDICT_ADD = 2
"""Logged, never executed."""


@compiled
def bars_held(account: Account, params: Params, time: int) -> int:
    """Return the bars from the open position's entry to the close at `time`, the entry bar being the first."""
    return (time - account.entry_time) // params.bar_seconds


@compiled
def trade_key(account: Account) -> tuple[int, int, float, float]:
    """Return side, entry time, entry price and stop: all of a position that its inputs depend on."""
    return account.side, account.entry_time, account.entry_price, account.sl


@compiled
def position_inputs(
    account: Account, params: Params, time: int, bid: float, spread: float
) -> tuple[float, float, float, float]:
    """Return what the position model is told of the open position at a close.

    Parameters
    ----------
    account : Account
        With an open position.
    params : Params
    time : int
        The close, UTC epoch seconds.
    bid, spread : float
        Quote at the close, USD.

    Returns
    -------
    (float, float, float, float)
        In the order of `engine.open_position.POSITION_INPUTS`.
    """
    held = float(bars_held(account, params, time))
    return open_trade_inputs(account.side, account.entry_price, account.sl, held, bid, spread, params.position_horizon)


@compiled
def position_verdict(params: Params, hold: float, leave: float, add: float) -> int:
    """Turn the probabilities of HOLD, EXIT and ADD at a close into VERDICT_HOLD, _EXIT or _ADD.

    EXIT needs its threshold and a lead over HOLD; ADD its threshold. From which close on
    the model is asked at all is `engine.bar.asks_position`.
    """
    # EXIT first: where both thresholds are met, leaving is what can be executed and ADD is only logged.
    if leave >= params.exit_threshold and leave - hold >= params.exit_min_gap:
        return VERDICT_EXIT
    if add >= params.add_threshold:
        return VERDICT_ADD
    return VERDICT_HOLD


@compiled
def first_exit(params: Params, rows: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], begin: int) -> int:
    """Return the first of the bars `rows` from `begin` on at whose close the model is followed out, -1 when none.

    Parameters
    ----------
    params : Params
    rows : ndarray of int64, shape (k,)
        Ascending.
    probabilities : ndarray, shape (k, 3)
        HOLD, EXIT, ADD at their closes.
    begin : int
        The bar at whose close the engine asked: the first one that counts.
    """
    for k in range(len(rows)):
        if rows[k] >= begin:
            verdict = position_verdict(params, probabilities[k, 0], probabilities[k, 1], probabilities[k, 2])
            if verdict == VERDICT_EXIT:
                return int(rows[k])
    return -1


@compiled
def last_bar_open(account: Account, params: Params, bars: Bars, bar: int) -> int:
    """Return the last bar at whose close the position would still be open if nobody left it.

    A forecast for asking the model once per trade: swap charged later can move a stop-out,
    so a position may end earlier or, rarely, later.

    Parameters
    ----------
    account : Account
        With the position open at the close of `bar`.
    params : Params
    bars : Bars
    bar : int
    """
    last = bar
    for j in range(bar + 1, len(bars.time)):
        if touched(account, params, bars.open[j], bars.high[j], bars.low[j], bars.spread[j]) != 0:
            break
        last = j
    return last


@compiled
def fill_position_inputs(
    account: Account, params: Params, bars: Bars, rows: npt.NDArray[np.int64], inputs: npt.NDArray[np.float64]
) -> None:
    """Write `position_inputs` at the closes of the bars `rows`, shape (k,), into `inputs`, shape (k, 4)."""
    for k in range(len(rows)):
        i = rows[k]
        held, percent, r_multiple, direction = position_inputs(
            account, params, bars.time[i] + params.bar_seconds, bars.close[i], bars.spread[i]
        )
        inputs[k, 0] = held
        inputs[k, 1] = percent
        inputs[k, 2] = r_multiple
        inputs[k, 3] = direction
