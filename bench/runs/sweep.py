"""A sweep in a fresh process, the signal model's outputs already there: one sample of `bench.sweep_bench`.

Timed is all that a sweep does then: the rows' parameters, the position model's word on every trade
that could be made, the processes and their start, the configurations, and the evidence.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

from backtest.run import prepare
from backtest.sweep.run import SweepPlan, run_sweep
from bench.measure import WALL
from ml.load_models import load_models
from novosky.data.store import load_bars
from novosky.settings import load_ml_settings, load_settings


def main(
    data: str, models: str, config: str, ml_config: str, window: str, configurations: str, jobs: str
) -> dict[str, float]:
    """Measure a sweep over the last `window` bars of a file."""
    settings, ml_settings = load_settings(Path(config)), load_ml_settings(Path(ml_config))
    history = load_bars(Path(data), seconds=settings.frame.seconds)
    served = load_models(Path(models), settings, ml_settings, selectivity=True)
    start = history["time"].iloc[-int(window)]
    prepared = prepare(history, settings, ml_settings, served.signal, start=start, sltp=served.sltp)
    plan = SweepPlan("signal", settings, ml_settings, int(configurations))
    with tempfile.TemporaryDirectory(prefix="novosky-bench-sweep-") as folder:
        began, used = WALL(), _cpu_seconds()
        outcome = run_sweep(plan, prepared, served, folder=Path(folder), jobs=int(jobs))
        seconds = WALL() - began
    # Processes count once they have ended.
    get_reusable_executor().shutdown(wait=True)
    return {
        "bars": len(prepared.frame),
        "configurations": len(outcome.table),
        "trades_median": float(outcome.table["trades"].median()),
        "seconds": seconds,
        "cpu_seconds": _cpu_seconds() - used,
    }


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
