"""The features at every time frame that is traded, in a market that closes at night and at weekends and has holes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.feature_engineering import (
    CONTEXT_COLUMNS,
    FEATURES,
    add_all_features,
    get_feature_names,
    latest_bar,
    latest_features,
    live_window_bars,
    warm_up_bars,
)
from ml.features.higher_timeframes import HIGHER_TIMEFRAMES
from novosky.errors import DataError
from novosky.market.bar_arrays import BarArrays
from novosky.market.bars import timeframe_of, validate_bars
from novosky.market.timeframe import TIMEFRAMES, TRADED, Timeframe, timeframe

NAMES = [*get_feature_names(), *CONTEXT_COLUMNS]


def walk(frame: Timeframe, rows: int, *, closes: bool) -> pd.DataFrame:
    """A random walk of so many bars; where the market closes, nothing is dealt from 21:00 to 01:00 and at weekends."""
    rng = np.random.default_rng(frame.seconds)
    stamps = np.arange(3 * rows if closes else rows, dtype=np.int64) * frame.seconds + 1_704_067_200
    if closes:
        hour, weekday = stamps // 3_600 % 24, (stamps // 86_400 + 3) % 7
        dealt = (hour >= 1) & (hour < 21) & (weekday < 5)
        dealt &= rng.random(len(stamps)) > 0.01
        stamps = stamps[dealt][:rows]
    assert len(stamps) == rows
    close = 15_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, rows)))
    opened = np.concatenate(([15_000.0], close[:-1]))
    high = np.maximum(opened, close) * (1.0 + rng.uniform(0.0, 0.0005, rows))
    low = np.minimum(opened, close) * (1.0 - rng.uniform(0.0, 0.0005, rows))
    bars = pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "volume": rng.integers(1, 99, rows)})
    bars.insert(0, "time", pd.to_datetime(stamps, unit="s", utc=True))
    return validate_bars(bars.astype({"volume": float}), source="a walk", seconds=frame.seconds)


@pytest.fixture(params=TRADED, scope="module")
def frame(request: pytest.FixtureRequest) -> Timeframe:
    return timeframe(request.param)


@pytest.fixture(params=["open", "closes"], scope="module")
def bars(request: pytest.FixtureRequest, frame: Timeframe) -> pd.DataFrame:
    return walk(frame, live_window_bars(frame) + 700, closes=request.param == "closes")


def matrix(bars: pd.DataFrame, frame: Timeframe) -> np.ndarray:
    return add_all_features(bars, None, frame)[NAMES].to_numpy()


def test_no_row_after_the_warm_up_is_missing(bars: pd.DataFrame, frame: Timeframe) -> None:
    featured = add_all_features(bars, None, frame)
    for spec in FEATURES:
        missing = featured[spec.name].isna().to_numpy()
        assert not missing[spec.rows_lost(frame) :].any(), spec.name
        assert missing[: spec.rows_lost(frame)].all(), spec.name
    assert featured[NAMES].iloc[warm_up_bars(frame) :].notna().all(axis=None)


def test_the_live_window_gives_the_bytes_of_the_history(bars: pd.DataFrame, frame: Timeframe) -> None:
    window, whole = live_window_bars(frame), matrix(bars, frame)
    for row in range(window - 1, len(bars), 97):
        part = bars.iloc[row + 1 - window : row + 1]
        live = latest_bar(BarArrays.from_bars(part, frame.seconds))
        assert [*live.features, live.atr, live.adx, live.ema200_distance] == whole[row].tolist()
        assert latest_features(part, None, frame).tolist() == live.features.tolist()


def test_the_future_changes_nothing(bars: pd.DataFrame, frame: Timeframe) -> None:
    whole = matrix(bars, frame)
    for row in (len(bars) - 650, len(bars) - 401, len(bars) - 2):
        np.testing.assert_array_equal(matrix(bars.iloc[: row + 1], frame), whole[: row + 1])


def test_every_column_varies(bars: pd.DataFrame, frame: Timeframe) -> None:
    featured = matrix(bars, frame)[warm_up_bars(frame) :]
    still = {name for name, column in zip(NAMES, featured.T, strict=True) if np.ptp(column) == 0.0}
    # Without a calendar no release is ever near.
    assert {name for name in still if "news" not in name} <= {"is_asian_session", "is_london_session", "is_ny_session"}


def test_a_named_frame_that_is_no_longer_than_the_bar_is_the_bar_itself() -> None:
    names = {"M30": "m30_trend", "H1": "higher_tf_trend", "H4": "h4_trend"}
    for name, column in names.items():
        at = timeframe(name)
        bars = walk(at, live_window_bars(at) + 60, closes=False)
        close = bars["close"].to_numpy()
        featured = add_all_features(bars, None, at)
        own = pd.Series(close).rolling(20)
        expected = ((close - own.mean()) / own.std(ddof=0)).to_numpy()
        np.testing.assert_allclose(featured[column].to_numpy()[25:], expected[25:], rtol=1e-6)
        longer = [other for other, length in TIMEFRAMES.items() if other in names and length.seconds <= at.seconds]
        for other in longer:
            np.testing.assert_allclose(featured[names[other]].to_numpy()[25:], expected[25:], rtol=1e-6)


def test_a_longer_named_frame_is_the_same_from_finer_bars() -> None:
    """What M5 bars know of H1 at the end of an hour is what M15 bars know then."""
    fine, coarse = timeframe("M5"), timeframe("M15")
    bars = walk(fine, live_window_bars(fine) + 900, closes=False)
    grouped = bars.groupby(bars["time"].dt.floor("15min"))
    parts = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    merged = grouped.agg(parts).reset_index().rename(columns={"index": "time"})
    merged = validate_bars(merged, source="merged", seconds=coarse.seconds)
    columns = [spec.name for spec in HIGHER_TIMEFRAMES if spec.name != "d1_trend"]
    five = add_all_features(bars, None, fine).set_index("time")[columns]
    fifteen = add_all_features(merged, None, coarse).set_index("time")[columns]
    # The M5 bar that ends a quarter of an hour and that quarter close at one moment.
    ends = fifteen.index + pd.Timedelta(minutes=10)
    both = fifteen.set_index(ends).join(five, rsuffix="_5", how="inner").dropna()
    assert len(both) > 1_000
    for name in columns:
        np.testing.assert_allclose(both[name].to_numpy(), both[f"{name}_5"].to_numpy(), rtol=1e-9)


def test_bars_of_another_length_are_refused(frame: Timeframe) -> None:
    bars = walk(frame, 200, closes=False)
    assert timeframe_of(bars) == frame
    longer = [other for other in TIMEFRAMES.values() if other.seconds > frame.seconds]
    for other in longer:
        with pytest.raises(DataError, match=f"features need {other.name} bars"):
            add_all_features(bars, None, other)


def test_a_window_that_is_too_short_says_how_many_bars_are_needed(frame: Timeframe) -> None:
    needed = live_window_bars(frame)
    bars = walk(frame, 100, closes=False)
    with pytest.raises(DataError, match=f"request at least {needed} closed {frame.name} bars"):
        latest_features(bars, None, frame)
