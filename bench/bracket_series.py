"""The bracket benchmark's bars: five-decimal prices, random signals, ATR, weekends skipped.

Beside the checkout lie the scripts other libraries are measured with; when they are there,
their generator is used, so that everybody sees the same bars. Otherwise the series below
has the same shape: bars from a path of 15 steps, volatility in slow waves, a pull to the
mean, a signal on 3 % of the bars.
"""

from __future__ import annotations

import importlib.util
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd

from bench.context import ROOT

SHARED_SCRIPTS = ROOT.parent / "shared" / "bench"
SHARED_TRADES = 5_582
"""Trades of the reference loop on the shared generator's 200,000 bars of seed 7."""

BARS = 200_000
SEED = 7
_STEPS = 15
_SCALE = 1e5
_ATR_BARS = 14


def shared_generator() -> Path | None:
    """Return the shared generator's file, None when the checkout stands alone."""
    script = SHARED_SCRIPTS / "make_data.py"
    return script if script.exists() else None


def bracket_series(bars: int = BARS, seed: int = SEED) -> pd.DataFrame:
    """Return the benchmark's bars with `signal` (-1, 0, 1) and `atr`, from the shared generator if present."""
    script = shared_generator()
    if script is None:
        return own_series(bars, seed)
    spec = importlib.util.spec_from_file_location("shared_bracket_series", script)
    if spec is None or spec.loader is None:
        raise ImportError(f"{script} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    frame: pd.DataFrame = module.make(bars, seed)
    return frame


def own_series(bars: int, seed: int) -> pd.DataFrame:
    """Return an equivalent series without the shared generator.

    Parameters
    ----------
    bars : int
    seed : int
        Same seed, same bars.

    Returns
    -------
    pandas.DataFrame
        `time` (UTC, M15, Monday to Friday), prices near 1.10, `volume`, `signal` (int8) and
        `atr` (Wilder, 14 bars, causal).
    """
    generator = np.random.default_rng(seed)
    season = 0.35 * np.sin(np.arange(bars) * (2.0 * np.pi / 96.0))
    drift = 0.25 * np.cumsum(generator.standard_normal(bars)) / np.sqrt(bars)
    step = 0.00048 * np.exp(season + drift) / np.sqrt(_STEPS)
    path = np.cumsum(generator.standard_normal((bars, _STEPS)) * step[:, None], axis=1)
    # The log price is pulled to its mean, so that it stays where five decimals are enough.
    ends = np.array(list(accumulate(path[:, -1].tolist(), lambda level, move: 0.9995 * level + move)))
    starts = np.concatenate(([0.0], ends[:-1])) * 0.9995
    logs = np.log(1.10) + starts[:, None] + np.concatenate((np.zeros((bars, 1)), path), axis=1)
    prices = np.round(np.exp(logs) * _SCALE) / _SCALE
    high, low, close = prices.max(axis=1), prices.min(axis=1), prices[:, -1]
    signal = np.where(generator.random(bars) < 0.03, generator.choice(np.array([-1, 1]), bars), 0).astype(np.int8)
    # No trade before the ATR has settled, none whose entry would lie beyond the end.
    signal[:100] = 0
    signal[-2:] = 0
    time = pd.date_range("2016-01-04", periods=bars * 7 // 5 + 1_000, freq="15min", tz="UTC")
    return pd.DataFrame(
        {
            "time": time[time.day_of_week < 5][:bars],
            "open": prices[:, 0],
            "high": high,
            "low": low,
            "close": close,
            "volume": generator.integers(100, 2_000, bars).astype(np.float64),
            "signal": signal,
            "atr": _wilder_atr(high, low, close),
        }
    )


def _wilder_atr(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    before = np.concatenate((close[:1], close[:-1]))
    true_range = np.maximum(high, before) - np.minimum(low, before)
    return pd.Series(true_range).ewm(alpha=1.0 / _ATR_BARS, adjust=False).mean().to_numpy()
