"""Training of the models and what their answers cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.context import YEAR, BenchContext, Training
from bench.measure import Required, Result, Scalar, repeated, result_of

TRAINING = Required("at most", 300.0)
ROW = Required("at most", 0.3)


def measure_training(context: BenchContext) -> Iterator[Result]:
    """Measure one training of all four models on two years with the checkout's ml_config.json."""
    training = context.training
    for report in training.reports:
        details: dict[str, Scalar] = seconds_per_step(training) if report.stages == ("signal",) else {}
        yield result_of(
            f"training.{report.stages[0]}",
            "seconds",
            [report.seconds],
            None,
            bars=context.training_bars,
            rows=report.rows,
            device=report.device,
            **details,
        )
    required = None if context.quick else TRAINING
    yield result_of("training.all_models", "seconds", [training.seconds], required, bars=context.training_bars)


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
        "calibrate_and_write_s": training.reports[0].seconds - max(xgb, lgb),
    }


def measure_inference(context: BenchContext) -> Iterator[Result]:
    """Measure the models' answers: a year in one call, and one row as the bot asks for it.

    The last figure is one bar on which all four are asked, which no bar of the bot exceeds:
    the position model is asked while a trade is open, the others while none is.
    """
    from engine.open_position import POSITION_INPUTS
    from ml.load_models import load_models
    from novosky.settings import load_ml_settings, load_settings

    models = load_models(context.model_set, load_settings(context.config_all), load_ml_settings(context.ml_config_all))
    position, sltp, risk = models.position, models.sltp, models.risk
    assert position is not None
    assert sltp is not None
    assert risk is not None
    width = len(context.ml_settings.features)
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((YEAR // 4 if context.quick else YEAR, width))
    held = np.concatenate((rows, draw.standard_normal((len(rows), len(POSITION_INPUTS)))), axis=1)
    sides = np.where(draw.random(len(rows)) < 0.5, 1, -1).astype(np.int8)
    state = (3.0, 1.1, 0.5, 1.0, 0.0, 2.0, 0.1)
    batches: dict[str, Callable[[], object]] = {
        "signal": lambda: models.signal.predict_proba(rows),
        "position": lambda: position.predict_proba(held),
        "sltp": lambda: sltp.distances(rows, sides),
    }
    singles: dict[str, Callable[[], object]] = {
        "signal": lambda: models.signal.predict_proba(rows[:1]),
        "position": lambda: position.predict_proba(held[:1]),
        "sltp": lambda: sltp.distances(rows[:1], sides[:1]),
        "risk": lambda: risk.multiplier(state),
    }
    context.say(f"inference on {len(rows):,} rows")
    for name, ask in batches.items():
        seconds = repeated(ask, 3)
        yield result_of(f"inference.batch.{name}", "rows per second", [len(rows) / s for s in seconds])
    for name, ask in singles.items():
        single = [1e3 * s for s in repeated(ask, 200)]
        yield result_of(f"inference.row.{name}", "milliseconds", single, p99=float(np.percentile(single, 99)))
    every = [1e3 * s for s in repeated(lambda: [ask() for ask in singles.values()], 200)]
    yield result_of("inference.row.all_models", "milliseconds", every, ROW, p99=float(np.percentile(every, 99)))
