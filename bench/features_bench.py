"""Features and labels: a whole history, and the newest bar of a live window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.context import BenchContext
from bench.measure import Required, Result, repeated, result_of
from novosky.market.timeframe import USUAL

HISTORY_BARS = 320_000
HISTORY = Required("at most", 0.5)
LIVE = Required("at most", 0.4)


def measure_features(context: BenchContext) -> Iterator[Result]:
    """Measure 55 features over a history, and of one further bar: as the bot asks, and by the batch over its window."""
    from ml.feature_engineering import add_all_features, get_feature_names, latest_bar, live_window_bars, warm
    from novosky.market.bar_arrays import BarArrays

    bars = context.bars(40_000 if context.quick else HISTORY_BARS)
    window = bars.iloc[-live_window_bars(USUAL) :].reset_index(drop=True)
    context.say(f"features on {len(bars):,} bars")
    # Loading the compiled kernels is start-up, not speed.
    warm()
    yield result_of(
        "features.history",
        "seconds",
        repeated(lambda: add_all_features(bars), 3 if context.quick else 5),
        None if context.quick else HISTORY,
        bars=len(bars),
        features=len(get_feature_names()),
    )
    rounds = 50 if context.quick else 200
    arrays = BarArrays.from_bars(window)
    live = [1e3 * seconds for seconds in repeated(lambda: latest_bar(arrays), rounds)]
    whole = [1e3 * seconds for seconds in repeated(lambda: add_all_features(window), rounds)]
    yield result_of("features.live", "milliseconds", live, LIVE, window_bars=len(window), p99=_p99(live))
    yield result_of("features.live_by_batch", "milliseconds", whole, window_bars=len(window), p99=_p99(whole))


def measure_labels(context: BenchContext) -> Iterator[Result]:
    """Measure triple-barrier labels over a history."""
    from ml.feature_engineering import add_all_features
    from ml.labels.barrier import label_bars

    bars = context.bars(40_000 if context.quick else HISTORY_BARS)
    atr = add_all_features(bars)["atr"].to_numpy(dtype=np.float64)
    rule = context.ml_settings.labeling
    context.say(f"labels on {len(bars):,} bars")

    def label() -> None:
        label_bars(bars, atr, rule, context.settings.frame)

    label()
    yield result_of("labels.history", "seconds", repeated(label, 5), bars=len(bars), horizon_bars=rule.horizon_bars)


def _p99(values: list[float]) -> float:
    return float(np.percentile(values, 99))
