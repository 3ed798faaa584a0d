"""The engine on the bracket benchmark: from DataFrame columns to trade records.

As a program it is one sample of `bench.engine_bench`, measured as the other libraries'
scripts measure themselves: a fresh process, 2,000 bars to warm up, then the whole series.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.measure import CPU, seconds_of
from engine.bar import DONE
from engine.breakers import start_guard
from engine.history import advance
from engine.records import (
    FOREVER,
    Account,
    Bars,
    Block,
    Candidate,
    Guard,
    Params,
    Rollovers,
    Run,
    Trade,
    Window,
    new_record,
    new_records,
    no_minutes,
)
from novosky.market.bars import PRICE_COLUMNS, epoch_seconds
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import USUAL

BALANCE = 1_000_000.0
UNITS = 1_000.0
SPREAD = 0.00010
WARM_UP_BARS = 2_000
WARM_PASSES = 20
_COLUMNS = (*PRICE_COLUMNS, "spread")


@dataclass(frozen=True)
class Prepared:
    """What `advance` reads."""

    params: Params
    bars: Bars
    candidates: npt.NDArray[Any]
    rollovers: Rollovers


def neutral_params() -> Params:
    """Return a bare bracket trade of 1,000 units: no cost, no rounding, no gate that could fail."""
    params = new_record(Params)
    params.bar_seconds = USUAL.seconds
    params.lot_units = params.volume_scale = params.volume_min = 1.0
    params.volume_max = 1e9
    params.fixed_volume = UNITS
    params.stops_distance = -np.inf
    params.entry_valid_seconds = FOREVER
    params.leverage = params.max_spread_atr = np.inf
    params.news_minutes = -1.0
    params.max_consecutive_losses = FOREVER
    params.max_daily_loss = params.max_weekly_drawdown = params.max_total_drawdown = np.inf
    params.starting_balance = BALANCE
    return params


def realistic_params() -> Params:
    """Return the same trade with every rule and cost at work, limits where this series never reaches them.

    Price, money and volume are rounded; commission, slippage and swap are charged; margin,
    stop-out, sessions, ATR, spread, news, trend and regime gates and all breakers are
    evaluated.
    """
    params = neutral_params()
    params.lot_units = 100_000.0
    params.price_scale = 1e5
    params.money_scale = params.volume_scale = 100.0
    params.volume_min = params.fixed_volume = UNITS / params.lot_units
    params.volume_max = 50.0
    params.stops_distance = 1e-5
    params.commission_per_lot = 3.5
    params.slippage = 1e-5
    params.swap_long, params.swap_short = -6.0, -2.0
    params.leverage = 50.0
    params.stop_out_level = 0.5
    params.risk_fraction, params.max_risk_fraction = 0.01, 0.03
    params.min_votes = 2
    params.confidence[:] = 0.6
    params.min_gap = 0.1
    params.min_atr = 1e-6
    params.max_spread_atr = 10.0
    params.news_minutes = 15.0
    params.ema_trend = 1
    params.min_adx = 10.0
    params.max_daily_loss = params.max_weekly_drawdown = params.max_total_drawdown = 0.9
    params.equity_curve = 1
    params.equity_curve_trades = 10
    params.equity_curve_drawdown = 0.9
    params.equity_curve_pause = 6 * 3600
    return params


def prepare(series: pd.DataFrame, params: Params) -> Prepared:
    """Turn the frame's columns into what the engine reads; its `spread` column is in USD."""
    columns = {name: np.ascontiguousarray(series[name].to_numpy(dtype=np.float64)) for name in _COLUMNS}
    bars = Bars(time=epoch_seconds(series), **columns)
    signal = series["signal"].to_numpy()
    rows = np.flatnonzero(signal != 0)
    candidates = np.repeat(_passing_candidate(), len(rows))
    candidates["bar"] = rows
    candidates["side"] = candidates["ema_distance"] = signal[rows]
    candidates["atr"] = series["atr"].to_numpy()[rows]
    nights, _ = ServerClock("NewYork+7").midnights(int(bars.time[0]), int(bars.time[-1]))
    return Prepared(params, bars, candidates, Rollovers(nights, np.ones(len(nights))))


def _passing_candidate() -> npt.NDArray[Any]:
    candidate = new_records(Candidate, 1)
    candidate["votes"] = 3
    candidate["market_open"] = 1
    candidate["confidence"] = 0.9
    candidate["gap"] = 0.8
    candidate["sl_mult"] = candidate["tp_mult"] = 1.0
    candidate["adx"] = 40.0
    candidate["news_minutes"] = np.inf
    return candidate


def run(prepared: Prepared, *, curve: bool = False) -> tuple[npt.NDArray[Any], float]:
    """Run the engine over everything and return the trade records and the CPU seconds of the loop alone.

    The breakers follow floating equity either way; `curve` also writes it down for every
    bar, which the libraries compared with do not.
    """
    params, bars, candidates = prepared.params, prepared.bars, prepared.candidates
    account, guard, state = new_record(Account), new_record(Guard), new_record(Run)
    account.balance = state.peak = BALANCE
    start_guard(guard, params, int(bars.time[0]), BALANCE)
    trades, blocks = new_records(Trade, len(candidates) + 1), new_records(Block, len(candidates))
    equity = np.empty(len(bars.time) if curve else 0)
    window = Window(bars, no_minutes(), prepared.rollovers, trades, blocks, equity)
    began = CPU()
    question = advance(account, guard, params, state, candidates, window, 0.0)
    seconds = CPU() - began
    if question != DONE:
        raise AssertionError(f"the engine stopped at bar {state.bar} with question {question}")
    if state.blocks:
        raise AssertionError(f"{state.blocks} candidates were blocked; the benchmark's limits must not be reached")
    return trades[: account.closed], seconds


def main(path: str) -> dict[str, float]:
    """Measure one fresh process on the series in a Parquet file."""
    series, params = pd.read_parquet(path), realistic_params()
    run(prepare(series.iloc[:WARM_UP_BARS], params))
    loops: list[float] = []

    def whole() -> None:
        loops.append(run(prepare(series, params))[1])

    first = seconds_of(whole, CPU)
    warm = [seconds_of(whole, CPU) for _ in range(WARM_PASSES)]
    prepared = prepare(series, params)
    with_curve = [run(prepared, curve=True)[1] for _ in range(WARM_PASSES)]
    return {
        "bars": len(series),
        "trades": len(run(prepared)[0]),
        "cpu_s": first,
        "cpu_s_loop": loops[0],
        "warm_cpu_s": float(np.median(warm)),
        "warm_cpu_s_loop": float(np.median(loops[1:])),
        "warm_cpu_s_loop_with_curve": float(np.median(with_curve)),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
