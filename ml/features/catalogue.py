"""The ordered list of the 55 features: what each one measures and how much history it needs.

The order is a contract between training, backtest and bot. New features are appended.
Distances are in ATR (Wilder's 14-bar average true range), fractions are of price, the bars
are M15. Every value at a row is known when that row's bar has closed.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import memory
from .bar_arrays import BARS_PER_DAY


@dataclass(frozen=True)
class FeatureSpec:
    """One column of the feature matrix.

    Attributes
    ----------
    name : str
    room : str
        Module of `ml.features` that computes it.
    warm_up : int
        Rows at the start of a history that are NaN; also the number of earlier bars that
        decide the value of any row.
    neutral : float or None
        The value where the definition has nothing to measure (no range, no volume, no
        move, no calendar); None when that cannot happen.
    definition : str
        One line, with the unit.
    """

    name: str
    room: str
    warm_up: int
    neutral: float | None
    definition: str


_ATR = memory.WILDER_WARM_UP

_OWNER: tuple[FeatureSpec, ...] = (
    FeatureSpec("bb_upper", "volatility", _ATR, None, "Upper Bollinger band (20, 2) minus close, in ATR."),
    FeatureSpec("bb_lower", "volatility", _ATR, None, "Close minus lower Bollinger band (20, 2), in ATR."),
    FeatureSpec(
        "range_position", "volatility", memory.RANGE_BARS - 1, 0.5, "Close in the 48-bar range: 0 low, 1 high."
    ),
    FeatureSpec("price_vs_ema200", "trend", memory.EMA200_WARM_UP, None, "Close minus EMA200, in ATR."),
    FeatureSpec("atr_14", "volatility", _ATR, None, "ATR as a fraction of the close."),
    FeatureSpec(
        "drawdown_pct",
        "volatility",
        memory.DRAWDOWN_BARS - 1,
        None,
        "Fall of the close from the 960-bar high, fraction.",
    ),
    FeatureSpec(
        "bb_width", "volatility", memory.BAND_BARS - 1, None, "Distance between the bands as a fraction of their mean."
    ),
    FeatureSpec("trend_strength", "trend", memory.TREND_BARS, 0.0, "Net move over path length, 48 bars, -1 to 1."),
    FeatureSpec("macd_signal", "trend", memory.MACD_SIGNAL_WARM_UP, None, "EMA9 of the MACD line, in ATR."),
    FeatureSpec("macd_line", "trend", _ATR, None, "EMA12 minus EMA26, in ATR."),
    FeatureSpec("volume_ratio", "volume", memory.VOLUME_BARS - 1, 1.0, "Volume over its 20-bar mean."),
    FeatureSpec("price_vs_ema50", "trend", memory.EMA50_WARM_UP, None, "Close minus EMA50, in ATR."),
    FeatureSpec("price_vs_ema20", "trend", _ATR, None, "Close minus EMA20, in ATR."),
    FeatureSpec("rsi_14", "momentum", _ATR, 50.0, "Wilder's RSI, 0 to 100."),
    FeatureSpec("hourly_return", "momentum", 4, None, "Log return of 4 bars."),
    FeatureSpec(
        "daily_range_position",
        "volatility",
        BARS_PER_DAY - 1,
        0.5,
        "Close in the UTC day's range so far: 0 low, 1 high.",
    ),
    FeatureSpec(
        "ema_stack", "trend", memory.EMA200_WARM_UP, None, "How well close, EMA20, EMA50, EMA200 are stacked, -1 to 1."
    ),
    FeatureSpec("candle_direction", "momentum", 0, 0.0, "Sign of close minus open."),
    FeatureSpec(
        "volume_delta", "volume", memory.VOLUME_BARS - 1, 0.0, "Close's place in the bar, -1 to 1, times volume_ratio."
    ),
    FeatureSpec("rsi_slope", "momentum", _ATR + memory.SLOPE_BARS, 0.0, "Change of RSI per bar over 5 bars."),
    FeatureSpec(
        "consecutive_direction",
        "momentum",
        memory.RUN_CAP - 1,
        0.0,
        "Bars in a row of this direction, signed, at most 10.",
    ),
    FeatureSpec("macd_hist", "trend", memory.MACD_SIGNAL_WARM_UP, None, "MACD line minus its signal, in ATR."),
    FeatureSpec("ema_crossover", "trend", memory.EMA50_WARM_UP, None, "EMA20 minus EMA50, in ATR."),
    FeatureSpec("ema_slope_5", "trend", _ATR + memory.SLOPE_BARS, None, "Change of EMA20 over 5 bars, in ATR."),
    FeatureSpec(
        "rsi_divergence",
        "momentum",
        _ATR + memory.WILDER_PERIOD - 1,
        0.0,
        "Close minus RSI, each placed in its own 14-bar range, -1 to 1.",
    ),
    FeatureSpec("momentum_5", "momentum", _ATR, None, "Change of the close over 5 bars, in ATR."),
    FeatureSpec("momentum_10", "momentum", _ATR, None, "Change of the close over 10 bars, in ATR."),
    FeatureSpec("rate_of_change", "momentum", memory.RATE_BARS, None, "Return over 24 bars, fraction."),
    FeatureSpec("close_vs_open", "momentum", _ATR, None, "Body of the bar, in ATR."),
    FeatureSpec("atr_ratio", "volatility", _ATR, 1.0, "ATR over the 96-bar mean true range."),
    FeatureSpec("volatility_20", "volatility", memory.BAND_BARS, None, "Standard deviation of 20 log returns."),
    FeatureSpec("high_low_ratio", "volatility", _ATR, None, "Range of the bar, in ATR."),
    FeatureSpec("volume_trend", "volume", 49, 1.0, "10-bar mean volume over 50-bar mean volume."),
    FeatureSpec(
        "higher_tf_trend",
        "higher_timeframes",
        memory.higher_warm_up(20, 4),
        None,
        "Last closed H1 close in deviations from its 20-bar mean.",
    ),
    FeatureSpec(
        "m30_trend",
        "higher_timeframes",
        memory.higher_warm_up(20, 2),
        None,
        "Last closed M30 close in deviations from its 20-bar mean.",
    ),
    FeatureSpec(
        "h1_rsi_norm",
        "higher_timeframes",
        memory.higher_warm_up(15, 4),
        0.0,
        "Cutler's RSI(14) of closed H1 bars, -1 to 1.",
    ),
    FeatureSpec(
        "h4_rsi_norm",
        "higher_timeframes",
        memory.higher_warm_up(15, 16),
        0.0,
        "Cutler's RSI(14) of closed H4 bars, -1 to 1.",
    ),
)

_PROTECTED: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        "is_news_near",
        "news_features",
        0,
        0.0,
        "1 within 60 minutes of a high-impact release, seen from the bar's close.",
    ),
    FeatureSpec("news_minutes_away", "news_features", 0, 1.0, "Time to the nearest release over one day, at most 1."),
    FeatureSpec("news_count_today", "news_features", 0, 0.0, "Releases scheduled on the UTC day."),
    FeatureSpec(
        "is_news_risk_window", "news_features", 0, 0.0, "1 from 15 minutes before to 30 minutes after a release."
    ),
    FeatureSpec(
        "is_london_session", "time_of_week", 0, None, "1 when the bar opens in 08:00-16:30 London, Monday to Friday."
    ),
    FeatureSpec(
        "is_ny_session", "time_of_week", 0, None, "1 when the bar opens in 09:30-16:00 New York, Monday to Friday."
    ),
    FeatureSpec(
        "is_asian_session", "time_of_week", 0, None, "1 when the bar opens in 09:00-18:00 Tokyo, Monday to Friday."
    ),
)

_CHOSEN: tuple[FeatureSpec, ...] = (
    FeatureSpec("hour_sin", "time_of_week", 0, None, "Sine of the UTC time of day."),
    FeatureSpec("hour_cos", "time_of_week", 0, None, "Cosine of the UTC time of day."),
    FeatureSpec("weekday_sin", "time_of_week", 0, None, "Sine of the UTC weekday."),
    FeatureSpec("weekday_cos", "time_of_week", 0, None, "Cosine of the UTC weekday."),
    FeatureSpec(
        "h4_trend",
        "higher_timeframes",
        memory.higher_warm_up(20, 16),
        None,
        "Last closed H4 close in deviations from its 20-bar mean.",
    ),
    FeatureSpec(
        "d1_trend",
        "higher_timeframes",
        memory.higher_warm_up(20, 96),
        None,
        "Last closed D1 close in deviations from its 20-bar mean.",
    ),
    FeatureSpec("return_96", "momentum", BARS_PER_DAY, None, "Log return of 96 bars."),
    FeatureSpec("volatility_96", "volatility", BARS_PER_DAY, None, "Standard deviation of 96 log returns."),
    FeatureSpec("volatility_ratio", "volatility", BARS_PER_DAY, 1.0, "volatility_20 over volatility_96."),
    FeatureSpec("adx_14", "trend", memory.ADX_WARM_UP, 0.0, "Wilder's ADX, 0 to 100."),
    FeatureSpec("round_distance", "volatility", 0, None, "Distance to the nearest round price, 0 to 0.5 of its step."),
)

FEATURES: tuple[FeatureSpec, ...] = _OWNER + _PROTECTED + _CHOSEN

# Near zero in training when the calendar is thin, filled at inference: never dropped for low importance.
PROTECTED_FEATURES: tuple[str, ...] = tuple(spec.name for spec in _PROTECTED)
