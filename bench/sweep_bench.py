"""Thousands of configurations on two cores, the signal model's outputs computed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.context import ROOT, YEAR, BenchContext
from bench.measure import Required, Result, result_of
from novosky.market.timeframe import USUAL

QUARTER = 90 * USUAL.bars_per_day
"""Bars of 90 days."""
JOBS = 2
YEAR_REQUIRED = Required("at most", 15.0)
QUARTER_REQUIRED = Required("at most", 20.0)


def measure_sweep(context: BenchContext) -> Iterator[Result]:
    """Measure a year as configured, and 90 days with the position model on; the risk model is on in both."""
    from ml.feature_engineering import warm_up_bars
    from novosky.data.store import save_bars

    data = context.folder / "sweep.parquet"
    save_bars(data, context.bars((YEAR // 12 if context.quick else YEAR) + warm_up_bars(USUAL)), seconds=USUAL.seconds)
    share = 12 if context.quick else 1
    sizes = {
        "sweep.year": (context.ml_config, YEAR // share, 10_000 // share, YEAR_REQUIRED),
        "sweep.position": (_with_position(context), QUARTER // (4 if context.quick else 1), 1000, QUARTER_REQUIRED),
    }
    for title, (ml_config, window, configurations, required) in sizes.items():
        command = (data, context.model_set, ROOT / "config.json", ml_config, window, configurations, JOBS)
        # The first process after a change compiles the kernels; from then on they lie on disk.
        context.say(f"{title}: filling the cache of compiled code")
        context.child("bench.runs.sweep", *command)
        samples = []
        for number in range(1 if context.quick else 3):
            context.say(f"{title}: round {number + 1}")
            samples.append(context.child("bench.runs.sweep", *command))
        yield result_of(
            title,
            "seconds",
            [sample["seconds"] for sample in samples],
            None if context.quick else required,
            bars=window,
            configurations=configurations,
            jobs=JOBS,
            cpu_seconds=statistics.median(sample["cpu_seconds"] for sample in samples),
            trades_median=samples[0]["trades_median"],
        )


def _with_position(context: BenchContext) -> Path:
    content = json.loads(context.ml_config.read_text(encoding="utf-8"))
    content.pop("$schema", None)
    content["position_model"]["enabled"] = True
    return context.written("ml_config_position.json", content)
