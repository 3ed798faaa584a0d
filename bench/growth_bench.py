"""Whether cost grows in step with the bars: time(2n) over time(n)."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator

import numpy as np

from bench.bracket_series import bracket_series
from bench.context import BenchContext
from bench.measure import CPU, Required, Result, Scalar, result_of, seconds_of
from bench.runs.engine import SPREAD, prepare, realistic_params, run

GROWTH = Required("below", 2.3)
SIZES = (50_000, 100_000, 200_000, 400_000)
QUICK_SIZES = (12_500, 25_000, 50_000)

Work = Callable[[int], Callable[[], object]]
"""From a number of bars to what is measured on them; everything outside the measure happens in between."""


def measure_growth(context: BenchContext) -> Iterator[Result]:
    """Measure engine, features and backtest on doubling histories; a ratio too high is measured once more."""
    sizes = QUICK_SIZES if context.quick else SIZES
    works: dict[str, tuple[Work, int]] = {
        "engine": (_engine_work(max(sizes)), 15),
        "features": (_features_work(context, max(sizes)), 3),
        "backtest": (_backtest_work(context, max(sizes)), 3),
    }
    for name, (work, runs) in works.items():
        result = _grow(context, name, work, sizes, runs)
        if result.ok is False:
            result = _grow(context, name, work, sizes, 2 * runs)
        yield result


def _grow(context: BenchContext, name: str, work: Work, sizes: tuple[int, ...], runs: int) -> Result:
    """Return the median ratio of neighbouring sizes; sizes take turns, so that a busy moment hits all."""
    context.say(f"growth of {name} over {', '.join(f'{size:,}' for size in sizes)} bars")
    jobs = {size: work(size) for size in sizes}
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    jobs[sizes[0]]()
    for _ in range(runs):
        for size, job in jobs.items():
            seconds[size].append(seconds_of(job, CPU))
    medians = [statistics.median(seconds[size]) for size in sizes]
    ratios = [later / earlier for earlier, later in itertools.pairwise(medians)]
    details: dict[str, Scalar] = {f"cpu_s_{size}": median for size, median in zip(sizes, medians, strict=True)}
    return result_of(f"growth.{name}", "time(2n) / time(n)", ratios, GROWTH, **details)


def _engine_work(largest: int) -> Work:
    series = bracket_series(largest)
    series["spread"] = SPREAD
    params = realistic_params()

    def work(size: int) -> Callable[[], object]:
        prepared = prepare(series.iloc[:size], params)
        return lambda: run(prepared)

    return work


def _features_work(context: BenchContext, largest: int) -> Work:
    from ml.feature_engineering import add_all_features

    bars = context.bars(largest)

    def work(size: int) -> Callable[[], object]:
        part = bars.iloc[:size]
        return lambda: add_all_features(part)

    return work


def _backtest_work(context: BenchContext, largest: int) -> Work:
    from backtest.metrics import compute_metrics
    from backtest.run import prepare as prepare_backtest
    from backtest.run import simulate
    from ml.ensemble.predictor import EnsemblePredictor
    from ml.sets.loading import load_undisturbed

    bars = context.bars(largest)
    predictor = load_undisturbed(context.model_set, context.ml_settings, EnsemblePredictor)

    def work(size: int) -> Callable[[], object]:
        part = bars.iloc[:size]

        def backtest() -> None:
            prepared = prepare_backtest(part, context.settings, context.ml_settings, predictor)
            result = simulate(prepared, context.settings, context.ml_settings)
            compute_metrics(result, np.random.default_rng(0), m1=False)

        return backtest

    return work
