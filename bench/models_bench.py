"""Training of the signal models and what their answers cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.context import YEAR, BenchContext, Training
from bench.measure import Required, Result, Scalar, repeated, result_of

TRAINING = Required("at most", 300.0)


def measure_training(context: BenchContext) -> Iterator[Result]:
    """Measure one training of the signal models on two years with the checkout's ml_config.json."""
    training = context.training
    yield result_of(
        "training.signal",
        "seconds",
        [training.seconds],
        None if context.quick else TRAINING,
        bars=context.training_bars,
        rows=training.rows,
        device=training.device,
        **seconds_per_step(training),
    )


def seconds_per_step(training: Training) -> dict[str, Scalar]:
    """Split a training's seconds: features, labels and forest, boosters (side by side), writing.

    The boosters share the cores; the time of each is from the beginning of both to its last fit.
    """
    done = dict(training.steps)
    # A member's steps are named after it: "rf all rows", "xgb fold 2".
    rf, xgb, lgb = (
        max(at for name, at in done.items() if name.startswith(f"{member} ")) for member in ("rf", "xgb", "lgb")
    )
    return {
        "features_labels_rf_s": rf,
        "xgb_s": xgb - rf,
        "lgb_s": lgb - rf,
        "calibrate_and_write_s": training.seconds - max(xgb, lgb),
    }


def measure_inference(context: BenchContext) -> Iterator[Result]:
    """Measure the ensemble's answers: a year in one call, and one row as the bot asks for it."""
    from ml.ensemble_predictor import EnsemblePredictor

    predictor = EnsemblePredictor(context.model_set, context.ml_settings)
    width = len(context.ml_settings.features)
    rows = np.random.default_rng(0).standard_normal((YEAR // 4 if context.quick else YEAR, width))
    context.say(f"inference on {len(rows):,} rows")
    predictor.predict_proba(rows[:100])
    seconds = repeated(lambda: predictor.predict_proba(rows), 3)
    sources = ", ".join(sorted(set(predictor.sources.values())))
    yield result_of("inference.batch", "rows per second", [len(rows) / s for s in seconds], served_from=sources)
    single = [1e3 * s for s in repeated(lambda: predictor.predict_proba(rows[:1]), 200)]
    yield result_of("inference.row", "milliseconds", single, p99=float(np.percentile(single, 99)))
