"""Labels of all kinds end at a gap of more than so many bars, whatever the time frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ml.labels.barrier import triple_barrier
from ml.labels.excursions import ExcursionTerms, label_excursions
from ml.labels.position import Bracket, Entries, label_positions
from novosky.market.timeframe import TIMEFRAMES, Timeframe

BARS, ATR = 6, 100.0


def bars_of(frame: Timeframe, pause: int) -> pd.DataFrame:
    """Return quiet bars of which the third opens `pause` bars after the second."""
    opens = np.arange(BARS) * frame.seconds
    opens[2:] += (pause - 1) * frame.seconds
    time = pd.DatetimeIndex((opens * 10**9).view("datetime64[ns]"), tz="UTC")
    return pd.DataFrame({"time": time, "open": 1e4, "high": 1e4, "low": 1e4, "close": 1e4, "volume": 1.0})


def barrier(bars: pd.DataFrame, frame: Timeframe, most: int) -> bool:
    atr = np.full(BARS, ATR)
    return bool(triple_barrier(bars, atr, horizon_bars=3, spread=1.0, frame=frame, max_gap_bars=most).valid[0])


def position(bars: pd.DataFrame, frame: Timeframe, most: int) -> bool:
    entry, atr = Entries(np.array([0]), np.array([1], dtype=np.int8)), np.full(BARS, ATR)
    bracket = Bracket(1.0, 1.0, 3, 1.0, slippage=0.0, margin_r=0.1)
    return len(label_positions(bars, atr, entry, bracket, frame=frame, max_gap_bars=most).first) == 1


def excursions(bars: pd.DataFrame, frame: Timeframe, most: int) -> bool:
    entry, atr = Entries(np.array([0]), np.array([1], dtype=np.int8)), np.full(BARS, ATR)
    return len(label_excursions(bars, atr, entry, ExcursionTerms(1.0, 3, 1.0), frame=frame, max_gap_bars=most).bar) == 1


@pytest.mark.parametrize("labelled", [barrier, position, excursions])
@pytest.mark.parametrize("name", ["M1", "M15", "H1", "D1"])
@pytest.mark.parametrize("most", [1, 4, 7])
def test_a_label_spans_so_many_bars_of_silence_and_not_one_more(
    labelled: Callable[[pd.DataFrame, Timeframe, int], bool], name: str, most: int
) -> None:
    frame = TIMEFRAMES[name]
    assert labelled(bars_of(frame, most), frame, most)
    assert not labelled(bars_of(frame, most + 1), frame, most)


@pytest.mark.parametrize("name", ["M1", "M15", "H4"])
def test_the_bars_a_trade_was_held_are_counted_in_its_own_time_frame(name: str) -> None:
    frame = TIMEFRAMES[name]
    entry, bracket = Entries(np.array([0]), np.array([1], dtype=np.int8)), Bracket(1.0, 1.0, 3, 1.0, 0.0, 0.1)
    found = label_positions(bars_of(frame, 1), np.full(BARS, ATR), entry, bracket, frame=frame)
    assert found.inputs[:, 0].tolist() == pytest.approx([1 / 3, 2 / 3]), "shares of the horizon"
