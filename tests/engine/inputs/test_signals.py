"""One composition of candidates: a row alone, a part and a whole history give the same bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from engine.inputs.models import SltpModel
from engine.inputs.signals import MeasuredBars, Signals, ask_signals, signal_candidates
from novosky.errors import UsageError
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings
from tests.helpers.paper_runs import scattered_ml_settings, settings_with
from tests.helpers.sets.signal_models import ScatteredModel, ScatteredSltpModel

BARS = 700
START = int(pd.Timestamp("2024-03-06 00:00", tz="UTC").timestamp())
BAR = 900
NEWS = NewsCalendar.from_times(START + np.array([5 * 3_600, 30 * 3_600, 31 * 3_600 + 60]))
WEEKDAYS = {"server_clock": "UTC", "trading_hours": {"wednesday": "01:00-22:00", "thursday": "00:00-24:00"}}


class Counting(ScatteredModel):
    """Refuses rows in which something is unknown, as served models do."""

    def predict_proba(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        assert len(features) and np.isfinite(features).all()
        return super().predict_proba(features)


def measured_bars() -> MeasuredBars:
    """Bars of a week with days off; each kind of column is unknown somewhere, at the start and in between."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(BARS, 55))
    atr, distance, adx = 50.0 + 40.0 * rng.random(BARS), rng.normal(size=BARS), 60.0 * rng.random(BARS)
    features[:9, 3], features[100, 54] = np.nan, np.inf
    atr[[10, 200]], distance[[11, 300]], adx[[12, 400]] = np.nan, np.nan, np.nan
    numbers = np.arange(BARS, dtype=np.int64)
    return MeasuredBars(numbers, START + BAR * numbers, features, atr, distance, adx)


def part(bars: MeasuredBars, rows: slice) -> MeasuredBars:
    return MeasuredBars(**{name: column[rows] for name, column in vars(bars).items()})


def with_brackets(on: bool) -> MlSettings:
    plain = scattered_ml_settings()
    return plain.model_copy(update={"ml_sltp": plain.ml_sltp.model_copy(update={"enabled": on})})


def composed(bars: MeasuredBars, on: bool, sltp: SltpModel | None, news: NewsCalendar | None, missing: str) -> Any:
    settings = settings_with(news={"missing": missing}, broker=WEEKDAYS)
    signals = ask_signals(bars, settings, Counting(), sltp, news)
    return b"" if signals is None else signal_candidates(signals, settings, with_brackets(on)).tobytes()


@pytest.mark.parametrize("length", [1, 2, 61])
@pytest.mark.parametrize(("on", "sltp"), [(False, None), (False, ScatteredSltpModel()), (True, ScatteredSltpModel())])
@pytest.mark.parametrize(("news", "missing"), [(NEWS, "block"), (None, "block"), (None, "trade")])
def test_every_row_alone_gives_the_bytes_of_the_history(
    length: int, on: bool, sltp: SltpModel | None, news: NewsCalendar | None, missing: str
) -> None:
    bars = measured_bars()
    whole = composed(bars, on, sltp, news, missing)
    parts = [composed(part(bars, slice(row, row + length)), on, sltp, news, missing) for row in range(0, BARS, length)]
    assert len(whole) > 0
    assert b"".join(parts) == whole


def test_a_bar_of_which_something_is_unknown_is_mute() -> None:
    bars, settings = measured_bars(), settings_with()
    signals = ask_signals(bars, settings, Counting(), ScatteredSltpModel(), None)
    assert signals is not None
    mute = [*range(9), 10, 11, 12, 100, 200, 300, 400]
    assert np.setdiff1d(bars.number, signals.rows).tolist() == mute
    atr = signals.atr_of_bars(BARS)
    assert np.flatnonzero(np.isnan(atr)).tolist() == mute
    assert (atr[signals.rows] == bars.atr[signals.rows]).all()
    assert ask_signals(part(bars, slice(0, 9)), settings, Counting(), None, None) is None


def test_a_candidate_calls_its_bar_by_the_number_it_was_given() -> None:
    bars, settings = measured_bars(), settings_with()
    closes = replace(bars, number=bars.opens + BAR)
    by_row, by_close = (signal_candidates(_asked(each), settings, with_brackets(False)) for each in (bars, closes))
    assert len(by_row) > 100
    assert (by_close["bar"] == START + BAR * (by_row["bar"] + 1)).all()


def test_candidates_with_the_models_brackets_need_its_distances() -> None:
    with pytest.raises(UsageError, match="the model was not given"):
        signal_candidates(_asked(measured_bars()), settings_with(), with_brackets(True))


def test_the_bracket_may_be_asked_for_later() -> None:
    bars, sltp = measured_bars(), ScatteredSltpModel()
    at_once = ask_signals(bars, settings_with(), Counting(), sltp, None)
    assert at_once is not None and at_once.distances is not None
    np.testing.assert_array_equal(_asked(bars).with_distances(sltp).distances, at_once.distances)
    assert _asked(bars).with_distances(None).distances is None


def test_other_answers_take_the_place_of_the_models() -> None:
    signals = _asked(measured_bars())
    rows, certain = np.array([4, 9, 20]), np.tile([0.0, 0.0, 1.0], (3, 3, 1))
    brackets = np.array([[1.0, 2.0]] * 3)
    found = signal_candidates(signals.answered(rows, certain, brackets), settings_with(), with_brackets(False))
    assert found["bar"].tolist() == signals.rows[rows].tolist()
    assert found["side"].tolist() == [-1, -1, -1]
    assert found["atr"].tolist() == signals.context.atr[rows].tolist()


def _asked(bars: MeasuredBars) -> Signals:
    signals = ask_signals(bars, settings_with(), Counting(), None, None)
    assert signals is not None
    return signals
