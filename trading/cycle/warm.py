"""Load every compiled rule before the first bar, so that no close waits for the disk.

Numba loads a compiled function at its first call: some tenths of a second over all of them,
between a close and its order. Here a bot that nobody keeps decides at one close without a
position and at one with it, on invented bars; what comes of it is thrown away.
"""

from __future__ import annotations

import numpy as np

from engine.bar import DONE, close_bar
from engine.breakers import count_closed, move_references, start_guard
from engine.equity import equity_state
from engine.exits import position_inputs, position_verdict
from engine.fills import floating_equity, rounded
from engine.inputs.models import Models
from engine.records import Account, Candidate, Close, Guard, Params, Run, new_record
from ml.feature_engineering import live_window_bars
from novosky.market.bar_arrays import BarArrays
from novosky.settings import MlSettings, Settings
from trading.brokers.port import Position, Quote
from trading.cycle.decide import Decider
from trading.cycle.money import judge_account
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
    seconds = settings.frame.seconds
    bars = invented_bars(live_window_bars(settings.frame), seconds)
    close, quote = bars.newest_close, Quote(bars.newest_close, _PRICE, _PRICE + _SPREAD)
    # Without news: a calendar's answers are numpy's, and asking a real one may leave traces.
    signals = SignalSource(models.signal, settings, ml_settings, None, models.sltp)
    positions = None if models.position is None else PositionSource(models.position, ml_settings, None)
    decider = Decider(params, signals, positions, models.risk, lambda: False)
    account, guard = new_record(Account), new_record(Guard)
    account.balance = _PRICE
    start_guard(guard, params, close - seconds, _PRICE)
    _call_breakers(account, guard, params, close)
    decider.decide(account, guard, None, bars, quote, close, exposed=False)
    # Whether the invented bars make a candidate is the model's affair: its way is called by itself.
    candidate = new_record(Candidate)
    candidate.side, candidate.atr, candidate.sl_mult, candidate.tp_mult = 1, 100.0, 1.0, 2.0
    told = (account, guard, params, new_record(Run), candidate, Close(0, close, _PRICE, _SPREAD, close, 0, 0, 0))
    question, _ = close_bar(*told, 0.0)
    if question != DONE:
        close_bar(*told, 1.0)
    if models.risk is not None:
        models.risk.multiplier(equity_state(guard, params))
    account = new_record(Account)
    account.balance = _PRICE
    account.side, account.volume, account.entry_time = 1, 0.01, close - seconds
    account.entry_price, account.sl, account.tp = _PRICE, _PRICE - 100.0, _PRICE + 200.0
    held = Position(1, 1, 0.01, close - seconds, _PRICE, account.sl, account.tp, 0.0, 0.0, 0.0, 0, "")
    decider.decide(account, guard, held, bars, quote, close, exposed=False)
    inputs = position_inputs(account, params, close, _PRICE, _SPREAD)
    if positions is not None:
        positions.opinion(bars, inputs)
    position_verdict(params, 0.4, 0.3, 0.3)


def invented_bars(count: int, seconds: int) -> BarArrays:
    """Return bars of this length in which every feature has a value: prices and volumes in waves."""
    place = np.arange(count, dtype=np.float64)
    close = _PRICE + 500.0 * np.sin(place / 7.0) + 2_000.0 * np.sin(place / 150.0)
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) + 40.0, np.minimum(opened, close) - 40.0
    times = np.arange(count, dtype=np.int64) * seconds
    return BarArrays(times, opened, high, low, close, 100.0 + 50.0 * np.sin(place / 5.0), seconds)


def _call_breakers(account: Account, guard: Guard, params: Params, close: int) -> None:
    equity = float(floating_equity(account, params, _PRICE, _SPREAD))
    net = rounded(-1.0, params.money_scale)
    count_closed(guard, params, float(rounded(equity, params.money_scale)), net, close)
    move_references(guard, params, equity, 1.0)
    judge_account(account, guard, params, (), equity, close, equity)
