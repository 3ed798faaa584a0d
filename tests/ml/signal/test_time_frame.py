"""The time frame of the bars travels from the settings: what is a gap is counted in their own bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backtest.walk_forward.yardstick import fit_yardstick
from ml.ensemble.device import CPU
from ml.feature_engineering import add_all_features, warm_up_bars
from ml.labels.barrier import label_bars
from ml.labels.position import Bracket, Entries
from ml.signal.trainer import build_dataset
from ml.tune.signal_objective import SignalObjective, take_trades
from novosky.data.synthetic import synthetic_bars
from novosky.market.bars import venue_seams
from novosky.market.timeframe import TIMEFRAMES, Timeframe
from tests.helpers.paper_runs import settings_with
from tests.helpers.sets.signal_sets import small_ml_settings

BARS = 2_000
FIRST = warm_up_bars()
SHORT_HOLES = range(FIRST + 100, FIRST + BARS, 300)
"""Two bars are missing: 45 minutes between two opens, a gap to bars of M5, none to those of M15."""
LONG_HOLES = range(FIRST + 250, FIRST + BARS, 300)
"""Seven bars are missing: two hours, a gap to bars of M15, none to those of H1."""


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """Bars on the grid of M15, which that of M5 holds and H1 does not; time frames are told, not guessed."""
    whole = synthetic_bars("planted", FIRST + BARS, seed=4)
    holes = [row for begin in SHORT_HOLES for row in range(begin, begin + 2)]
    holes += [row for begin in LONG_HOLES for row in range(begin, begin + 7)]
    left = whole.drop(index=holes).reset_index(drop=True)
    left.attrs.update(whole.attrs)
    return left


def rows_lost(bars: pd.DataFrame, frame: Timeframe) -> int:
    """How many labels the gaps cost that a label would have to span."""
    atr, rule = add_all_features(bars)["atr"].to_numpy(dtype=np.float64), small_ml_settings().labeling
    never = label_bars(bars, atr, rule, TIMEFRAMES["D1"]).valid
    return int(never.sum() - label_bars(bars, atr, rule, frame).valid.sum())


@pytest.mark.parametrize("name", ["M5", "M15", "H1"])
def test_training_yardstick_and_search_count_gaps_in_their_own_bars(bars: pd.DataFrame, name: str) -> None:
    frame, ml_settings = TIMEFRAMES[name], small_ml_settings()
    whole = build_dataset(bars, ml_settings, TIMEFRAMES["D1"])
    dataset = build_dataset(bars, ml_settings, frame)
    lost = rows_lost(bars, frame)
    assert len(whole.labels) - len(dataset.labels) == lost
    assert fit_yardstick(bars, ml_settings, frame=frame, seed=1).rows == len(dataset.labels)
    settings = settings_with().model_copy(update={"timeframe": name})
    searched = SignalObjective.prepare(bars, settings, ml_settings, folds=2, devices=CPU, threads=1)
    assert searched.frame == frame
    assert searched.dataset.bar_index.tolist() == dataset.bar_index.tolist()


def test_shorter_bars_lose_more_labels_to_the_same_silence(bars: pd.DataFrame) -> None:
    lost = [rows_lost(bars, TIMEFRAMES[name]) for name in ("M5", "M15", "H1")]
    assert lost[0] > lost[1] > lost[2] == 0


def test_the_search_takes_no_trade_over_a_gap_of_its_own_bars(bars: pd.DataFrame) -> None:
    atr = add_all_features(bars)["atr"].to_numpy(dtype=np.float64)
    entries = np.arange(FIRST, len(bars) - 10, 10)
    sides = Entries(entries, np.where(entries % 20 == 0, 1, -1).astype(np.int8))
    taken = [
        len(take_trades(bars, atr, sides, Bracket(6.0, 6.0, 40, 1.0, 0.0, 0.1), TIMEFRAMES[name]))
        for name in ("M5", "M15", "H1")
    ]
    assert taken[0] < taken[1] < taken[2]


def test_a_change_of_venue_is_known_from_the_bars(bars: pd.DataFrame) -> None:
    seam = int(bars["time"].iloc[FIRST + 700].timestamp())
    moved = bars.copy()
    moved.attrs["seams"] = (seam,)
    assert venue_seams(moved).tolist() == [seam]
    assert venue_seams(bars).tolist() == []
    ml_settings, frame = small_ml_settings(), TIMEFRAMES["H1"]
    assert len(build_dataset(moved, ml_settings, frame).labels) < len(build_dataset(bars, ml_settings, frame).labels)
