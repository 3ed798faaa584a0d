"""A year's backtest from bars to metrics, cold and with the models' answers cached."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench.context import ROOT, YEAR, BenchContext
from bench.measure import Required, Result, result_of
from novosky.market.timeframe import USUAL

COLD = Required("at most", 5.0)
CACHED = Required("at most", 0.5)


def measure_backtest(context: BenchContext) -> Iterator[Result]:
    """Measure in fresh processes; see `bench.runs.backtest` for what cold and cached mean."""
    from ml.feature_engineering import warm_up_bars
    from novosky.data.store import save_bars

    window = YEAR // 12 if context.quick else YEAR
    models = context.model_set
    data = context.folder / "year.parquet"
    save_bars(data, context.bars(window + warm_up_bars(USUAL)), seconds=USUAL.seconds)
    variants = {
        "backtest": (ROOT / "config.json", context.ml_config),
        "backtest.all_models": (context.config_all, context.ml_config_all),
    }
    for name, (config, ml_config) in variants.items():
        yield from _measure(context, name, ("bench.runs.backtest", data, models, config, ml_config, window), window)


def _measure(context: BenchContext, title: str, command: tuple[Any, ...], window: int) -> Iterator[Result]:
    # The first process after a change compiles the kernels; from then on they lie on disk.
    context.say(f"{title}: filling the cache of compiled code")
    context.child(*command)
    samples = []
    for number in range(1 if context.quick else 5):
        context.say(f"{title}: round {number + 1}")
        samples.append(context.child(*command))
    details = {
        name: statistics.median(sample[name] for sample in samples)
        for name in ("features_and_models_s", "random_entry_benchmark_s")
    }
    yield result_of(
        f"{title}.cold",
        "seconds",
        [sample["cold_s"] for sample in samples],
        None if context.quick else COLD,
        bars=window,
        trades=samples[0]["trades"],
        **details,
    )
    cached = [sample["cached_s"] for sample in samples]
    yield result_of(f"{title}.cached", "seconds", cached, None if context.quick else CACHED, bars=window)
