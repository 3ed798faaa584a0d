"""Load every compiled rule before the first bar, so that no close waits for the disk.

Numba loads a compiled function at its first call: some tenths of a second over all of them,
between a close and its order. Here each is called once, with records nobody keeps, and the
models once with invented bars; what they answer is thrown away.
"""

from __future__ import annotations

import numpy as np

from engine.breakers import count_closed, judge_equity, move_references, start_guard
from engine.equity import equity_state
from engine.exits import position_inputs, position_verdict
from engine.fills import floating_equity, rounded
from engine.history import asks_multiplier, judge_candidate, wants_exit
from engine.inputs.models import Models
from engine.records import Account, Candidate, Guard, Params, new_record
from ml.feature_engineering import live_window_bars
from novosky.market.bar_arrays import BarArrays
from novosky.market.bars import M15_SECONDS
from novosky.settings import MlSettings, Settings
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource

_PRICE = 50_000.0
_SPREAD = 10.0


def warm_up(models: Models, settings: Settings, ml_settings: MlSettings, params: Params) -> None:
    """Call everything compiled that a bar may need, in the types in which the bot calls it.

    Parameters
    ----------
    models : Models
    settings : Settings
    ml_settings : MlSettings
    params : Params
        The rules in force; they are read and stay as they are.
    """
    bars = invented_bars(live_window_bars())
    # Without news: a calendar's answers are numpy's, and asking a real one may leave traces.
    SignalSource(models.signal, settings, ml_settings, None, models.sltp).candidate(bars)
    close = bars.newest_close
    account = new_record(Account)
    account.balance = _PRICE
    guard = new_record(Guard)
    _call_breakers(account, guard, params, close)
    inputs = _call_exits(account, guard, params, close)
    if models.position is not None:
        PositionSource(models.position, ml_settings, None).opinion(bars, inputs)
    candidate = new_record(Candidate)
    candidate.side, candidate.atr, candidate.sl_mult, candidate.tp_mult = 1, 100.0, 1.0, 2.0
    mask, *_ = judge_candidate(candidate, new_record(Account), guard, params, _PRICE, _SPREAD, 1.0, 0)
    asks_multiplier(mask, params)
    if models.risk is not None:
        models.risk.multiplier(equity_state(guard, params))


def invented_bars(count: int) -> BarArrays:
    """Return bars in which every feature has a value: prices and volumes in waves."""
    place = np.arange(count, dtype=np.float64)
    close = _PRICE + 500.0 * np.sin(place / 7.0) + 2_000.0 * np.sin(place / 150.0)
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) + 40.0, np.minimum(opened, close) - 40.0
    times = np.arange(count, dtype=np.int64) * M15_SECONDS
    return BarArrays(times, opened, high, low, close, 100.0 + 50.0 * np.sin(place / 5.0))


def _call_breakers(account: Account, guard: Guard, params: Params, close: int) -> None:
    start_guard(guard, params, close - M15_SECONDS, _PRICE)
    equity = float(floating_equity(account, params, _PRICE, _SPREAD))
    net = rounded(-1.0, params.money_scale)
    count_closed(guard, params, float(rounded(equity, params.money_scale)), net, close)
    move_references(guard, params, equity, 1.0)
    judge_equity(account, guard, params, close, equity)


def _call_exits(account: Account, guard: Guard, params: Params, close: int) -> tuple[float, float, float, float]:
    account.side, account.volume, account.entry_time = 1, 0.01, close - M15_SECONDS
    account.entry_price, account.sl, account.tp = _PRICE, _PRICE - 100.0, _PRICE + 200.0
    wants_exit(account, guard)
    position_verdict(account, params, close, 0.4, 0.3, 0.3)
    return position_inputs(account, params, close, _PRICE, _SPREAD)
