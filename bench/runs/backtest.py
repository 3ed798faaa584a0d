"""A backtest in a fresh process, from bars to metrics: one sample of `bench.backtest_bench`.

Cold: modules imported, bars and models loaded, and nothing called before, so that the first
run loads the compiled kernels from their cache on disk. Cached: the same with the models'
answers already there, as a sweep runs it.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import numpy as np

from backtest.benchmarks import random_entry_benchmark
from backtest.metrics import compute_metrics
from backtest.model_answers import model_answers
from backtest.run import prepare, simulate
from bench.measure import WALL, repeated, seconds_of
from ml.load_models import load_models
from novosky.data.store import load_bars
from novosky.settings import load_ml_settings, load_settings

CACHED_RUNS = 5


def main(data: str, models: str, config: str, ml_config: str, window: str) -> dict[str, float]:
    """Measure a backtest of the last `window` bars of a file."""
    settings, ml_settings = load_settings(Path(config)), load_ml_settings(Path(ml_config))
    history = load_bars(Path(data), seconds=settings.frame.seconds)
    served = load_models(Path(models), settings, ml_settings)
    ml_settings = served.decided(ml_settings)
    start = history["time"].iloc[-int(window)]
    began = WALL()
    prepared = prepare(history, settings, ml_settings, served.signal, start=start, sltp=served.sltp)
    answered = WALL()
    # The position model's opinions are kept once asked for, as a sweep keeps them.
    answers = model_answers(served, prepared, settings, ml_settings)
    result = simulate(prepared, settings, ml_settings, answers=answers)
    metrics = compute_metrics(result, np.random.default_rng(0), m1=False)
    cold = WALL() - began

    def cached() -> None:
        again = simulate(prepared, settings, ml_settings, answers=answers)
        compute_metrics(again, np.random.default_rng(0), m1=False)

    runs = repeated(cached, CACHED_RUNS)
    benchmark = seconds_of(
        lambda: random_entry_benchmark(
            result, prepared.atr, np.random.default_rng(0), minutes=result.minutes, rollovers=result.rollovers
        )
    )
    return {
        "bars": len(prepared.frame),
        "trades": metrics.trades,
        "cold_s": cold,
        "features_and_models_s": answered - began,
        "cached_s": statistics.median(runs),
        "random_entry_benchmark_s": benchmark,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
