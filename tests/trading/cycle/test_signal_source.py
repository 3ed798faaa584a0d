"""The bot's candidate at a close is the history's candidate of that bar, to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backtest.run import prepare
from engine.inputs.signals import signal_candidates
from ml.feature_engineering import live_window_bars
from novosky.market.bar_arrays import BarArrays
from novosky.market.bars import epoch_seconds
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import USUAL
from tests.helpers.paper_runs import planted_bars, scattered_ml_settings, settings_with
from tests.helpers.sets.signal_models import ScatteredModel, ScatteredSltpModel
from trading.cycle.news import FixedNews
from trading.cycle.signal_source import SignalSource

BARS = 150


@dataclass(frozen=True)
class Case:
    """Models and calendar of a comparison."""

    sltp: ScatteredSltpModel | None = None
    news: bool = False


def bytes_but_the_bar(candidate: Any) -> bytes:
    """The candidate without the name of its bar: a row in a history, a close in the bot."""
    copied: npt.NDArray[Any] = np.array([candidate])
    copied["bar"] = 0
    return copied.tobytes()


@pytest.mark.parametrize("case", [Case(), Case(ScatteredSltpModel()), Case(ScatteredSltpModel(), news=True)])
def test_the_bot_names_the_candidates_of_the_history(case: Case) -> None:
    bars = planted_bars(BARS)
    first = len(bars) - BARS
    closes = epoch_seconds(bars) + 900
    calendar = NewsCalendar.from_times(closes[first + 20 :: 37]) if case.news else None
    ml_settings = scattered_ml_settings()
    section = ml_settings.ml_sltp.model_copy(update={"enabled": case.sltp is not None})
    ml_settings = ml_settings.model_copy(update={"ml_sltp": section})
    settings, model = settings_with(), ScatteredModel()
    start = bars["time"].iloc[first]
    prepared = prepare(bars, settings, ml_settings, model, start=start, news=calendar, sltp=case.sltp)
    history = {int(each["bar"]): each for each in signal_candidates(prepared.signals, settings, ml_settings)}
    assert 20 < len(history) < BARS
    source = SignalSource(model, settings, ml_settings, None if calendar is None else FixedNews(calendar), case.sltp)
    for row in range(BARS):
        window = BarArrays.from_bars(bars.iloc[first + row + 1 - live_window_bars(USUAL) : first + row + 1])
        candidate, atr = source.candidate(window)
        assert atr == prepared.atr[row]
        assert (candidate is None) == (row not in history)
        if candidate is not None:
            assert int(candidate.bar) == closes[first + row]
            assert bytes_but_the_bar(candidate) == bytes_but_the_bar(history[row])
