"""The time frame of the bars travels from the settings: what is a gap is counted in their own bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backtest.walk_forward.yardstick import fit_yardstick
from ml.ensemble.device import CPU
from ml.feature_engineering import add_all_features, warm_up_bars
from ml.labels.barrier import label_bars, triple_barrier
from ml.labels.position import Bracket, Entries
from ml.signal.trainer import build_dataset
from ml.tune.signal_objective import SignalObjective, take_trades
from novosky.market.bars import venue_seams
from novosky.market.timeframe import TIMEFRAMES, Timeframe
from tests.helpers.paper_runs import settings_with
from tests.helpers.sets.signal_sets import small_ml_settings
from tests.ml.features.test_time_frames import walk

BARS = 2_000
SHORT, LONG = 2, 7
"""Bars that lack: three lengths of a bar between two opens are no gap, eight are one."""


def holed(frame: Timeframe, lacking: int) -> pd.DataFrame:
    """Return a walk of this time frame in which so many bars lack every 300 bars."""
    first = warm_up_bars(frame)
    whole = walk(frame, first + BARS, closes=False)
    holes = [row for begin in range(first + 100, len(whole) - 50, 300) for row in range(begin, begin + lacking)]
    return whole.drop(index=holes).reset_index(drop=True)


def rows_lost(bars: pd.DataFrame, frame: Timeframe) -> int:
    """How many labels the gaps cost that a label would have to span."""
    atr = add_all_features(bars, None, frame)["atr"].to_numpy(dtype=np.float64)
    rule = small_ml_settings().labeling
    spans = {"tp_mult": rule.atr_tp_mult, "sl_mult": rule.atr_sl_mult, "horizon_bars": rule.horizon_bars}
    never = triple_barrier(bars, atr, spread=rule.spread, frame=frame, max_gap_bars=1_000, **spans).valid
    return int(never.sum() - label_bars(bars, atr, rule, frame).valid.sum())


@pytest.mark.parametrize("name", ["M5", "M15", "H1"])
def test_training_yardstick_and_search_count_gaps_in_their_own_bars(name: str) -> None:
    frame, ml_settings = TIMEFRAMES[name], small_ml_settings()
    settings = settings_with().model_copy(update={"timeframe": name})
    assert rows_lost(holed(frame, SHORT), frame) == 0
    bars = holed(frame, LONG)
    assert rows_lost(bars, frame) > 0
    dataset = build_dataset(bars, ml_settings, frame)
    valid = label_bars(
        bars, add_all_features(bars, None, frame)["atr"].to_numpy(dtype=np.float64), ml_settings.labeling, frame
    ).valid
    assert set(dataset.bar_index.tolist()) <= set(np.flatnonzero(valid).tolist())
    assert fit_yardstick(bars, ml_settings, frame=frame, seed=1).rows == len(dataset.labels)
    searched = SignalObjective.prepare(bars, settings, ml_settings, folds=2, devices=CPU, threads=1)
    assert searched.frame == frame
    assert searched.dataset.bar_index.tolist() == dataset.bar_index.tolist()


@pytest.mark.parametrize("name", ["M5", "M15", "H1"])
def test_the_search_takes_no_trade_over_a_gap_of_its_own_bars(name: str) -> None:
    frame = TIMEFRAMES[name]
    taken = []
    for lacking in (SHORT, LONG):
        bars = holed(frame, lacking)
        atr = add_all_features(bars, None, frame)["atr"].to_numpy(dtype=np.float64)
        entries = np.arange(warm_up_bars(frame), len(bars) - 60, 10)
        sides = Entries(entries, np.where(entries % 20 == 0, 1, -1).astype(np.int8))
        taken.append(len(take_trades(bars, atr, sides, Bracket(6.0, 6.0, 40, 1.0, 0.0, 0.1), frame)))
    assert taken[1] < taken[0]


def test_a_change_of_venue_is_known_from_the_bars() -> None:
    frame, ml_settings = TIMEFRAMES["H1"], small_ml_settings()
    bars = holed(frame, SHORT)
    seam = int(bars["time"].iloc[warm_up_bars(frame) + 700].timestamp())
    moved = bars.copy()
    moved.attrs["seams"] = (seam,)
    assert venue_seams(moved).tolist() == [seam]
    assert venue_seams(bars).tolist() == []
    assert len(build_dataset(moved, ml_settings, frame).labels) < len(build_dataset(bars, ml_settings, frame).labels)
