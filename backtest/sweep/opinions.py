"""The position model's word on every trade that a sweep could make, asked for in large batches.

What the model says of a trade depends on its entry, its stop and the bars, not on thresholds,
balance or volume. So each candidate that some configuration lets through is entered once with each
stop, its target at the farthest of the sweep and no stop-out: longer than that no configuration
can stay in it. The entry itself, and what the model is told, are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.run import Prepared
from backtest.sweep.inputs import Opinions, SweepInputs
from backtest.sweep.rows import RowRunner
from engine.bar import place_entry
from engine.candidates import mean_of_members
from engine.exits import bars_held, fill_position_inputs, last_bar_open
from engine.fills import ORDER_FILLED, open_of_bar, touched
from engine.inputs.models import PositionModel
from engine.records import Account, Bars, Candidate, Params, Trade, from_bytes, new_record, new_records, to_bytes
from engine.sizing import bracket
from novosky.compiled import compiled
from novosky.measures.statistics import Floats, Ints

_BATCH_ROWS = 65_536
"""Rows the model is asked about at once; bounds memory at any length of the window."""
_DEEP_POCKETS = 1e12
"""USD; every entry is affordable, so that it is made if any account could make it."""


@compiled
def _enter(candidate: Candidate, account: Account, params: Params, trade: Trade, bars: Bars) -> bool:
    """Enter a candidate at the next open; whether the position is open at that bar's close."""
    entry = candidate.bar + 1
    if entry >= len(bars.time):
        return False
    sl, tp = bracket(candidate, params, bars.close[candidate.bar], bars.spread[candidate.bar])
    account.side = 0
    account.pending_exit = 0
    account.balance = _DEEP_POCKETS
    time = bars.time[candidate.bar] + params.bar_seconds
    place_entry(account, time, candidate.side, params.volume_min, sl, tp)
    spread = bars.spread[entry]
    if open_of_bar(account, params, trade, bars.time[entry], bars.open[entry], spread, 0.0) != ORDER_FILLED:
        return False
    return touched(account, params, bars.open[entry], bars.high[entry], bars.low[entry], spread) == 0


@compiled
def _lifetimes(
    candidates: npt.NDArray[Any],
    asked: npt.NDArray[np.int64],
    account: Account,
    params: Params,
    trade: Trade,
    bars: Bars,
    row_of: npt.NDArray[np.int64],
    until: npt.NDArray[np.int64],
    warm: npt.NDArray[np.int64],
) -> None:
    """Write the first bar each asked candidate's trade is over by, and its warm closes at which the rule may ask."""
    for at in asked:
        entry = candidates[at].bar + 1
        until[at] = entry
        if _enter(candidates[at], account, params, trade, bars):
            until[at] = last_bar_open(account, params, bars, entry) + 1
            for bar in range(entry, until[at]):
                held = bars_held(account, params, bars.time[bar] + params.bar_seconds)
                if row_of[bar] >= 0 and held >= params.min_bars_held:
                    warm[at] += 1


@compiled
def _describe(
    candidates: npt.NDArray[Any],
    asked: npt.NDArray[np.int64],
    account: Account,
    params: Params,
    trade: Trade,
    bars: Bars,
    row_of: npt.NDArray[np.int64],
    until: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    inputs: npt.NDArray[Any],
) -> None:
    """Write the bars at whose closes the model is asked, trade after trade, and what it is told there."""
    place = 0
    for at in asked:
        entry = candidates[at].bar + 1
        if until[at] > entry and _enter(candidates[at], account, params, trade, bars):
            first = place
            for bar in range(entry, until[at]):
                held = bars_held(account, params, bars.time[bar] + params.bar_seconds)
                if row_of[bar] >= 0 and held >= params.min_bars_held:
                    rows[place] = bar
                    place += 1
            fill_position_inputs(account, params, bars, rows[first:place], inputs[first:place])


def gather_opinions(
    model: PositionModel,
    prepared: Prepared,
    inputs: SweepInputs,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Opinions:
    """Ask the position model about every trade the configurations of a sweep can make.

    Parameters
    ----------
    model : PositionModel
    prepared : Prepared
        What `inputs` was made of; the model is told its features.
    inputs : SweepInputs
    progress : callable, optional
        Takes the rows answered and the rows there are.
    """
    candidates, bars = inputs.candidates, prepared.bars
    row_of = np.full(len(bars.time), -1, dtype=np.int64)
    row_of[prepared.signals.rows] = np.arange(len(prepared.signals.rows))
    asked = _asked(inputs)
    shape = (len(asked), len(candidates))
    until, warm = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    params = _longest(inputs)
    account, trade = new_record(Account), new_record(Trade)
    held = [_bracketed(inputs, at) for at in range(len(asked))]
    for at, wanted in enumerate(asked):
        _lifetimes(held[at], wanted, account, params, trade, bars, row_of, until[at], warm[at])
    total = int(warm.sum())
    rows, told = np.empty(total, np.int64), np.empty((total, 4))
    end = np.cumsum(warm.ravel()).reshape(shape)
    for at, wanted in enumerate(asked):
        first, last = int(end[at, 0] - warm[at, 0]), int(end[at, -1])
        _describe(held[at], wanted, account, params, trade, bars, row_of, until[at], rows[first:last], told[first:last])
    probabilities = np.empty((total, 3))
    for first in range(0, total, _BATCH_ROWS):
        part = slice(first, min(first + _BATCH_ROWS, total))
        features = prepared.signals.features[row_of[rows[part]]]
        probabilities[part] = mean_of_members(model.predict_proba(np.concatenate((features, told[part]), axis=1)))
        if progress is not None:
            progress(part.stop, total)
    return Opinions(end - warm, end, until, rows, probabilities)


def _asked(inputs: SweepInputs) -> list[Ints]:
    """Return, for each bracket, the candidates that the gates of a configuration with it let through."""
    wanted = np.zeros((int(inputs.bracket_of.max()) + 1, len(inputs.candidates)), dtype=np.bool_)
    runner = RowRunner(inputs)
    pairs = np.stack((inputs.gates, inputs.bracket_of), axis=1)
    _, rows = np.unique(pairs, axis=0, return_index=True)
    for row in rows.tolist():
        wanted[inputs.bracket_of[row], runner.passed(row)] = True
    return [np.flatnonzero(line).astype(np.int64) for line in wanted]


def _longest(inputs: SweepInputs) -> Params:
    """Return parameters under which a trade lasts longest and the rule may ask earliest."""
    params = from_bytes(Params, to_bytes(inputs.params[0]))
    params.stop_out_level = 0.0
    params.min_bars_held = int(inputs.params["min_bars_held"].min())
    return params


def _bracketed(inputs: SweepInputs, bracket_row: int) -> npt.NDArray[Any]:
    """Return the candidates with a bracket's stop and the farthest target any configuration gives it."""
    stops: Floats = inputs.brackets[inputs.bracket_of == bracket_row]
    candidates = new_records(Candidate, len(inputs.candidates))
    candidates[:] = inputs.candidates
    if not np.isnan(stops[0, 0]):
        candidates["sl_mult"], candidates["tp_mult"] = stops[0, 0], stops[:, 1].max()
    return candidates


def with_opinions(
    model: PositionModel,
    prepared: Prepared,
    inputs: SweepInputs,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SweepInputs:
    """Return the inputs with the position model's table."""
    return replace(inputs, opinions=gather_opinions(model, prepared, inputs, progress=progress))
