"""The 55 features: their list, their causality, their memory, their meaning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import talib

from ml.feature_engineering import (
    CONTEXT_COLUMNS,
    FEATURES,
    PROTECTED_FEATURES,
    FeatureSpec,
    add_all_features,
    get_feature_names,
    latest_bar,
    latest_features,
    live_window_bars,
    warm_up_bars,
)
from ml.features.leakage import replace_future
from novosky.data.store import load_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError
from novosky.market.bars import validate_bars
from novosky.market.news import NewsCalendar, load_calendar
from novosky.market.timeframe import USUAL

GOLDEN_ORDER = [
    "bb_upper",
    "bb_lower",
    "range_position",
    "price_vs_ema200",
    "atr_14",
    "drawdown_pct",
    "bb_width",
    "trend_strength",
    "macd_signal",
    "macd_line",
    "volume_ratio",
    "price_vs_ema50",
    "price_vs_ema20",
    "rsi_14",
    "hourly_return",
    "daily_range_position",
    "ema_stack",
    "candle_direction",
    "volume_delta",
    "rsi_slope",
    "consecutive_direction",
    "macd_hist",
    "ema_crossover",
    "ema_slope_5",
    "rsi_divergence",
    "momentum_5",
    "momentum_10",
    "rate_of_change",
    "close_vs_open",
    "atr_ratio",
    "volatility_20",
    "high_low_ratio",
    "volume_trend",
    "higher_tf_trend",
    "m30_trend",
    "h1_rsi_norm",
    "h4_rsi_norm",
    "is_news_near",
    "news_minutes_away",
    "news_count_today",
    "is_news_risk_window",
    "is_london_session",
    "is_ny_session",
    "is_asian_session",
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "h4_trend",
    "d1_trend",
    "return_96",
    "volatility_96",
    "volatility_ratio",
    "adx_14",
    "round_distance",
]

NEWS_COLUMNS = ["is_news_near", "news_minutes_away", "news_count_today", "is_news_risk_window"]


def matrix(bars: pd.DataFrame, news: NewsCalendar | None = None) -> npt.NDArray[np.float64]:
    """Features and context as an array, one row per bar."""
    return add_all_features(bars, news)[[*get_feature_names(), *CONTEXT_COLUMNS]].to_numpy(dtype=np.float64)


def seconds(moment: str) -> int:
    """UTC text as seconds since 1970."""
    return int(pd.Timestamp(moment, tz="UTC").timestamp())


def flat_bars(rows: int, price: float = 100.0, volume: float = 0.0) -> pd.DataFrame:
    """A market that stands still."""
    time = pd.date_range("2024-01-01", periods=rows, freq="15min", tz="UTC")
    columns = dict.fromkeys(("open", "high", "low", "close"), price) | {"volume": volume}
    return validate_bars(pd.DataFrame({"time": time, **columns}), source="flat market")


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """Unbroken synthetic bars that begin in the middle of a day and of an H4 bar."""
    return synthetic_bars("null", 3_000, seed=11).iloc[37:].reset_index(drop=True)


@pytest.fixture(scope="module")
def gappy(bars: pd.DataFrame) -> pd.DataFrame:
    """The same with single bars, the ends of hours and whole days missing."""
    generator = np.random.default_rng(3)
    keep = generator.uniform(size=len(bars)) > 0.02
    keep[700:703] = False
    keep[1_500:1_560] = False
    keep[1_900:2_200] = False
    whole = synthetic_bars("null", 4_000, seed=11).iloc[37:].reset_index(drop=True)
    keep = np.concatenate((keep, np.ones(len(whole) - len(keep), dtype=bool)))
    return whole.loc[keep].reset_index(drop=True)


def test_the_list_is_the_contract() -> None:
    assert get_feature_names() == GOLDEN_ORDER
    assert len(set(GOLDEN_ORDER)) == len(GOLDEN_ORDER) == 55


def test_news_and_session_features_are_protected() -> None:
    assert list(PROTECTED_FEATURES) == GOLDEN_ORDER[37:44]


def test_the_frame_keeps_the_bars_and_adds_features_in_order(bars: pd.DataFrame) -> None:
    sliced = bars.iloc[5:400]
    frame = add_all_features(sliced)
    assert list(frame.columns) == [*bars.columns, *GOLDEN_ORDER, "atr", "adx", "ema200_distance"]
    pd.testing.assert_index_equal(frame.index, sliced.index)
    pd.testing.assert_frame_equal(frame[list(bars.columns)], sliced)


def test_a_label_of_the_bars_travels_on(bars: pd.DataFrame) -> None:
    marked = bars.iloc[:10].copy()
    marked.attrs["synthetic"] = "null"
    assert add_all_features(marked).attrs["synthetic"] == "null"


def test_exactly_the_declared_warm_up_is_missing(gappy: pd.DataFrame) -> None:
    frame = add_all_features(gappy)
    for spec in FEATURES:
        missing = frame[spec.name].isna().to_numpy()
        assert missing[: spec.rows_lost(USUAL)].all(), spec.name
        assert not missing[spec.rows_lost(USUAL) :].any(), spec.name
    assert frame[list(CONTEXT_COLUMNS)].iloc[warm_up_bars(USUAL) :].notna().all(axis=None)
    assert frame[list(CONTEXT_COLUMNS)].iloc[:100].isna().all(axis=None)


def test_fewer_bars_than_the_warm_up_give_missing_values_not_zeros(bars: pd.DataFrame) -> None:
    frame = add_all_features(bars.iloc[:10])
    assert frame["rsi_14"].isna().all()
    assert frame["price_vs_ema200"].isna().all()


@pytest.mark.parametrize("spec", FEATURES, ids=lambda spec: spec.name)
def test_a_value_is_decided_by_its_declared_warm_up_alone(spec: FeatureSpec, gappy: pd.DataFrame) -> None:
    whole = add_all_features(gappy)[spec.name].to_numpy()
    for row in (spec.rows_lost(USUAL), spec.rows_lost(USUAL) + 37, 2_100, 2_500, len(gappy) - 1):
        window = add_all_features(gappy.iloc[row - spec.rows_lost(USUAL) : row + 1].reset_index(drop=True))[spec.name]
        assert window.iloc[-1] == whole[row]


def test_removing_the_future_changes_nothing(gappy: pd.DataFrame) -> None:
    whole = matrix(gappy)
    for row in (0, 95, 701, 1_510, 2_040, 2_500, 3_333):
        np.testing.assert_array_equal(matrix(gappy.iloc[: row + 1]), whole[: row + 1])


def test_replacing_the_future_by_noise_changes_nothing(gappy: pd.DataFrame) -> None:
    whole = matrix(gappy)
    for row in (701, 1_510, 2_040, 2_500, 3_333):
        noisy = matrix(replace_future(gappy, row, np.random.default_rng(row)))
        np.testing.assert_array_equal(noisy[: row + 1], whole[: row + 1])
        assert (noisy[row + 1 :] != whole[row + 1 :]).any()


def test_the_live_window_gives_the_same_bytes_as_the_whole_history(gappy: pd.DataFrame) -> None:
    window = live_window_bars(USUAL)
    whole = matrix(gappy)
    for row in range(window - 1, len(gappy), 83):
        live = latest_bar(gappy.iloc[row + 1 - window : row + 1])
        expected = whole[row]
        np.testing.assert_array_equal(live.features, expected[:55])
        assert [live.atr, live.adx, live.ema200_distance] == expected[55:].tolist()


def test_a_longer_window_gives_the_same(gappy: pd.DataFrame) -> None:
    np.testing.assert_array_equal(latest_features(gappy), latest_features(gappy.iloc[-live_window_bars(USUAL) :]))


def test_the_live_window_equals_the_history_around_the_gaps_of_real_bars(shared_data: Path) -> None:
    real = load_bars(shared_data / "BTCUSD_M15.parquet")
    window = live_window_bars(USUAL)
    steps = real["time"].diff().dt.total_seconds().to_numpy()
    after_gaps = np.flatnonzero(steps > 3600)
    rows = np.unique(np.concatenate([after_gaps + offset for offset in (-1, 0, 1, 40, 500, 2_000)]))
    rows = rows[(rows >= window - 1) & (rows < len(real))]
    whole = matrix(real)[:, :55]
    assert len(rows) > 100
    for row in rows:
        np.testing.assert_array_equal(latest_features(real.iloc[row + 1 - window : row + 1]), whole[row])


def test_real_bars_give_finite_columns_that_vary(shared_data: Path) -> None:
    frame = add_all_features(
        load_bars(shared_data / "BTCUSD_M15.parquet"), load_calendar(shared_data / "calendar")
    ).iloc[warm_up_bars(USUAL) :]
    for name in get_feature_names():
        column = frame[name].to_numpy()
        assert np.isfinite(column).all(), name
        assert column.std() > 0, name


def test_a_short_window_is_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="request at least 2016 closed M15 bars"):
        latest_features(bars.iloc[: live_window_bars(USUAL) - 1])


def test_the_live_window_is_three_weeks() -> None:
    assert live_window_bars(USUAL) == 21 * 96


def test_prices_ten_times_higher_leave_every_feature_equal(bars: pd.DataFrame) -> None:
    higher = bars.copy()
    for name in ("open", "high", "low", "close"):
        higher[name] = higher[name] * 10.0
    names = get_feature_names()
    actual, expected = add_all_features(higher)[names], add_all_features(bars)[names]
    np.testing.assert_allclose(actual.to_numpy(), expected.to_numpy(), rtol=1e-9, atol=1e-9)


def test_other_volume_units_leave_every_feature_equal(bars: pd.DataFrame) -> None:
    scaled = bars.assign(volume=bars["volume"] * 1000.0)
    np.testing.assert_allclose(matrix(scaled), matrix(bars), rtol=1e-9, atol=1e-9)


def test_a_market_that_stands_still_shows_the_declared_neutral_values() -> None:
    frame = add_all_features(flat_bars(2_200))
    last = frame.iloc[-1]
    for spec in FEATURES:
        assert np.isfinite(last[spec.name]), spec.name
        if spec.neutral is not None:
            assert last[spec.name] == spec.neutral, spec.name


def test_no_volume_shows_the_declared_neutral_values(bars: pd.DataFrame) -> None:
    frame = add_all_features(bars.assign(volume=0.0)).iloc[warm_up_bars(USUAL) :]
    assert (frame[["volume_ratio", "volume_trend"]] == 1.0).all(axis=None)
    assert (frame["volume_delta"] == 0.0).all()


def test_a_bar_without_range_among_others_stays_finite(bars: pd.DataFrame) -> None:
    still = bars.copy()
    price = float(still["close"].iloc[2_499])
    for name, value in {"open": price, "high": price, "low": price, "close": price, "volume": 0.0}.items():
        still.loc[2_500, name] = value
    row = add_all_features(still).loc[2_500]
    assert np.isfinite(row[get_feature_names()].to_numpy(dtype=np.float64)).all()
    assert row["volume_delta"] == row["candle_direction"] == row["high_low_ratio"] == 0.0


def converged(reference: npt.NDArray[np.float64], column: pd.Series[float], tolerance: float) -> None:
    """Compare with an independent implementation once both have forgotten their beginnings."""
    np.testing.assert_allclose(column.to_numpy()[2_700:], reference[2_700:], rtol=tolerance, atol=tolerance)


def test_indicators_agree_with_ta_lib(bars: pd.DataFrame) -> None:
    frame = add_all_features(bars)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    atr = talib.ATR(high, low, close, 14)
    converged(atr, frame["atr"], 1e-9)
    converged(atr / close, frame["atr_14"], 1e-9)
    converged(talib.RSI(close, 14), frame["rsi_14"], 1e-9)
    converged(talib.ADX(high, low, close, 14), frame["adx"], 1e-9)
    for span in (20, 50):
        converged((close - talib.EMA(close, span)) / atr, frame[f"price_vs_ema{span}"], 1e-9)
    # TA-Lib has seen 2,700 bars, the anchored average 1,920 before the day: 5e-9 of the first bars is left.
    converged((close - talib.EMA(close, 200)) / atr, frame["ema200_distance"], 1e-5)
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    converged((upper - close) / atr, frame["bb_upper"], 1e-6)
    converged((close - lower) / atr, frame["bb_lower"], 1e-6)
    fast, slow = talib.EMA(close, 12), talib.EMA(close, 26)
    signal = talib.EMA((fast - slow)[100:], 9)
    converged((fast - slow) / atr, frame["macd_line"], 1e-9)
    converged(np.concatenate((np.full(100, np.nan), signal)) / atr, frame["macd_signal"], 1e-9)


@pytest.mark.parametrize(
    ("name", "rule", "length"),
    [("m30_trend", "30min", 30), ("higher_tf_trend", "1h", 60), ("h4_trend", "4h", 240), ("d1_trend", "1D", 1440)],
)
def test_higher_trends_equal_a_resampling_of_what_is_closed(
    name: str, rule: str, length: int, gappy: pd.DataFrame
) -> None:
    closes = gappy.set_index("time")["close"].resample(rule).last().dropna()
    ends = pd.DatetimeIndex(closes.index) + pd.Timedelta(minutes=length)
    frame = add_all_features(gappy)
    for row in range(warm_up_bars(USUAL), len(gappy), 7):
        known = closes[ends <= gappy["time"].iloc[row] + pd.Timedelta(minutes=15)].iloc[-20:]
        expected = (known.iloc[-1] - known.mean()) / known.std(ddof=0)
        assert frame[name].iloc[row] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_an_h1_bar_counts_from_the_close_of_its_last_quarter_on(bars: pd.DataFrame) -> None:
    frame = add_all_features(bars)
    changed = frame["higher_tf_trend"].diff().iloc[warm_up_bars(USUAL) :] != 0
    minutes = bars["time"].iloc[warm_up_bars(USUAL) :].dt.minute
    assert set(minutes[changed.to_numpy()]) == {45}


def test_an_unfinished_h4_bar_is_not_seen(bars: pd.DataFrame) -> None:
    row = int(np.flatnonzero((bars["time"].dt.hour == 15) & (bars["time"].dt.minute == 15))[-1])
    moved = bars.copy()
    within = slice(row - 12, row)
    assert bars["time"].iloc[row - 12].hour == 12
    moved.loc[within, ["open", "high", "low", "close"]] *= 1.01
    before, after = add_all_features(bars).loc[row], add_all_features(moved).loc[row]
    assert before["h4_trend"] == after["h4_trend"]
    assert before["h4_rsi_norm"] == after["h4_rsi_norm"]
    assert before["higher_tf_trend"] != after["higher_tf_trend"]


def test_a_run_of_candles_is_counted_with_its_sign_up_to_ten() -> None:
    still = flat_bars(40)
    up = np.array([1, 1, 1, -1, -1, 0, -1] + [1] * 13, dtype=np.float64)
    still.loc[:19, "close"] += up
    still["high"] = still[["open", "close"]].max(axis=1)
    still["low"] = still[["open", "close"]].min(axis=1)
    counted = add_all_features(still)["consecutive_direction"].to_numpy()[9:24]
    assert counted.tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 10.0, 10.0, 10.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("price", "distance"),
    [(62_000.0, 0.0), (62_500.0, 0.5), (62_900.0, 0.1), (320.0, 0.0), (323.0, 0.3), (99_900.0, 0.1), (100_000.0, 0.0)],
)
def test_round_numbers_scale_with_the_price(price: float, distance: float) -> None:
    assert add_all_features(flat_bars(1, price))["round_distance"].iloc[0] == pytest.approx(distance, abs=1e-12)


def test_the_daily_range_begins_at_midnight_utc(bars: pd.DataFrame) -> None:
    frame = add_all_features(bars)
    day = bars["time"].dt.floor("D")
    low, high = bars.groupby(day)["low"].cummin(), bars.groupby(day)["high"].cummax()
    expected = ((bars["close"] - low) / (high - low)).iloc[95:]
    np.testing.assert_allclose(frame["daily_range_position"].iloc[95:], expected, rtol=1e-12)


def test_the_drawdown_is_the_fall_from_the_high_of_ten_days(bars: pd.DataFrame) -> None:
    expected = 1.0 - bars["close"] / bars["high"].rolling(960).max()
    np.testing.assert_allclose(add_all_features(bars)["drawdown_pct"], expected, rtol=1e-12, atol=1e-15)


def test_simple_returns_and_ratios_are_what_their_names_say(bars: pd.DataFrame) -> None:
    frame = add_all_features(bars)
    close, volume = bars["close"], bars["volume"]
    moves = np.log(close).diff()
    for name, expected in {
        "hourly_return": np.log(close / close.shift(4)),
        "return_96": np.log(close / close.shift(96)),
        "rate_of_change": close.pct_change(24),
        "volume_ratio": volume / volume.rolling(20).mean(),
        "volume_trend": volume.rolling(10).mean() / volume.rolling(50).mean(),
        "volatility_20": moves.rolling(20).std(ddof=0),
        "volatility_96": moves.rolling(96).std(ddof=0),
        "candle_direction": np.sign(close - bars["open"]),
        "momentum_5": (close - close.shift(5)) / frame["atr"],
        "close_vs_open": (close - bars["open"]) / frame["atr"],
    }.items():
        np.testing.assert_allclose(frame[name].iloc[600:], expected.iloc[600:], rtol=1e-7, atol=1e-10, err_msg=name)


def test_session_columns_follow_the_bar_open() -> None:
    time = pd.to_datetime(["2024-06-05 06:45", "2024-06-05 07:00", "2024-06-05 13:30"], utc=True)
    rows = flat_bars(3).assign(time=time)
    frame = add_all_features(rows)
    assert frame["is_london_session"].tolist() == [0.0, 1.0, 1.0]
    assert frame["is_ny_session"].tolist() == [0.0, 0.0, 1.0]
    assert frame["is_asian_session"].tolist() == [1.0, 1.0, 0.0]


def test_without_a_calendar_news_features_are_at_their_declared_neutral_value(bars: pd.DataFrame) -> None:
    neutral = {spec.name: spec.neutral for spec in FEATURES}
    frame = add_all_features(bars.iloc[:50])
    for name in NEWS_COLUMNS:
        assert (frame[name] == neutral[name]).all()


def test_news_is_seen_from_the_close_of_the_bar() -> None:
    # The release at 13:30 UTC; a bar that opens at 13:00 is decided upon at 13:15.
    news = NewsCalendar.from_times(np.array([seconds("2024-06-05 13:30"), seconds("2024-06-05 18:00")]))
    opens = ["12:00", "12:15", "12:45", "13:00", "13:45", "14:00", "14:15", "23:45"]
    rows = flat_bars(8).assign(time=pd.to_datetime([f"2024-06-05 {clock}" for clock in opens], utc=True))
    frame = add_all_features(rows, news)
    assert frame["is_news_near"].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    assert frame["is_news_risk_window"].tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert frame["news_minutes_away"].tolist() == pytest.approx([m / 1440 for m in (75, 60, 30, 15, 30, 45, 60, 360)])
    assert frame["news_count_today"].tolist() == [2.0] * 7 + [0.0]


def test_minutes_to_the_nearest_event_are_infinite_beyond_a_day() -> None:
    news = NewsCalendar.from_times(np.array([seconds("2024-06-05 12:00"), seconds("2024-06-05 12:00")]))
    moments = np.array(
        [
            seconds(f"2024-06-{clock}")
            for clock in ("04 11:59", "04 12:00", "05 11:50", "05 12:00", "06 12:00", "06 12:01")
        ]
    )
    assert news.minutes_to_nearest(moments).tolist() == [np.inf, 1440.0, 10.0, 0.0, 1440.0, np.inf]
    assert NewsCalendar.from_times(np.empty(0, dtype=np.int64)).minutes_to_nearest(moments).tolist() == [np.inf] * 6


def write_calendar(path: Path, owner: str) -> None:
    """A small calendar with one placeholder, one euro release and one of medium impact."""
    owners = ["USD", "USD", "EUR", "USD", "USD"] if owner == "currency" else ["US", "US", "EA", "US", "US"]
    pd.DataFrame(
        {
            "time": pd.to_datetime(
                [
                    "2024-06-07 12:30:00",
                    "2024-06-02 22:59:59",
                    "2024-06-06 12:15:00",
                    "2024-06-05 14:00:00",
                    "2024-06-03 14:00:00",
                ],
                utc=True,
            ),
            owner: owners,
            "impact": ["High Impact Expected", "high", "high", "Medium Impact Expected", "high"],
            "actual": ["272K", "1", "2", "3", "4"],
        }
    ).to_parquet(path)


@pytest.mark.parametrize("owner", ["currency", "country"])
def test_a_calendar_file_gives_high_impact_times_of_the_currency(tmp_path: Path, owner: str) -> None:
    write_calendar(tmp_path / "calendar.parquet", owner)
    news = load_calendar(tmp_path / "calendar.parquet")
    assert news.event_times.tolist() == [seconds("2024-06-03 14:00"), seconds("2024-06-07 12:30")]
    assert news.placeholders == 1
    both = load_calendar(tmp_path / "calendar.parquet", currencies=("USD", "EUR"))
    assert len(both.event_times) == 3


def test_a_folder_of_calendars_is_joined_without_doubles(tmp_path: Path) -> None:
    write_calendar(tmp_path / "a.parquet", "currency")
    write_calendar(tmp_path / "b.parquet", "country")
    news = load_calendar(tmp_path)
    assert len(news.event_times) == 2
    assert news.placeholders == 2


def test_real_calendar_rows_without_a_time_are_left_out(shared_data: Path) -> None:
    news = load_calendar(shared_data / "calendar" / "forexfactory_high_impact.parquet")
    assert len(news.event_times) > 500
    assert not (news.event_times % 3600 == 3599).any()
    # The jobs report of June 2024.
    assert seconds("2024-06-07 12:30") in news.event_times


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"time": ["2024-06-07"]}, "not a calendar"),
        ({"time": ["2024-06-07"], "impact": ["high"], "currency": ["USD"]}, "no time zone"),
    ],
)
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, table: dict[str, list[str]], message: str) -> None:
    path = tmp_path / "calendar.parquet"
    pd.DataFrame(table).assign(time=pd.to_datetime(table["time"])).to_parquet(path)
    with pytest.raises(DataError, match=message):
        load_calendar(path)


def test_a_missing_calendar_and_one_without_events_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such calendar"):
        load_calendar(tmp_path / "none.parquet")
    write_calendar(tmp_path / "calendar.parquet", "currency")
    with pytest.raises(DataError, match="no high-impact JPY event"):
        load_calendar(tmp_path / "calendar.parquet", currencies=("JPY",))


def test_compiled_and_plain_python_give_the_same_bytes(tmp_path: Path, root: Path, bars: pd.DataFrame) -> None:
    program = (
        "import sys, pandas as pd; from ml.feature_engineering import add_all_features; "
        "add_all_features(pd.read_parquet(sys.argv[1])).to_parquet(sys.argv[2])"
    )
    window = bars.iloc[: live_window_bars(USUAL) + 50]
    window.to_parquet(tmp_path / "bars.parquet")
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bars.parquet"), str(tmp_path / "plain.parquet")],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=root,
        check=True,
    )
    np.testing.assert_array_equal(
        matrix(window), pd.read_parquet(tmp_path / "plain.parquet")[[*get_feature_names(), *CONTEXT_COLUMNS]].to_numpy()
    )


def test_bars_that_are_no_m15_bars_are_refused(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="row 1"):
        add_all_features(bars.iloc[[1, 0]].reset_index(drop=True))
    with pytest.raises(DataError, match="off the 15-minute grid"):
        add_all_features(bars.assign(time=bars["time"] + pd.Timedelta(minutes=5)))
    with pytest.raises(DataError, match="volume missing"):
        add_all_features(bars.drop(columns="volume"))
    with pytest.raises(DataError, match="no bars"):
        add_all_features(bars.iloc[:0])


def test_features_are_not_added_twice(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="already have column"):
        add_all_features(add_all_features(bars.iloc[:20]))
