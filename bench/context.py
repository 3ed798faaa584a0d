"""What the measures share: their size, the bars, and a trained model set made once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novosky.errors import NovoskyError
from novosky.market.timeframe import USUAL

if TYPE_CHECKING:
    import pandas as pd

    from ml.stages.report import TrainingReport
    from novosky.settings import MlSettings, Settings

ROOT = Path(__file__).resolve().parents[1]
YEAR = 365 * USUAL.bars_per_day
"""Bars of a year of the embedded market."""
SEED = 7


class BenchError(NovoskyError):
    """A measure could not be carried out."""


@dataclass(frozen=True)
class BenchContext:
    """One run of the benchmark.

    Attributes
    ----------
    quick : bool
        Small sizes, few runs; figures promised for the full size are not judged.
    folder : Path
        Temporary files of this run.
    data : Path or None
        Bars to use instead of the embedded market.
    models : Path or None
        A trained set to use instead of training one.
    peers_venv : Path or None
        Virtual environment for the libraries compared with.
    say : callable
        Takes a line of progress.
    """

    quick: bool
    folder: Path
    data: Path | None
    models: Path | None
    peers_venv: Path | None
    say: Callable[[str], None]

    def bars(self, count: int) -> pd.DataFrame:
        """Return `count` M15 bars: the newest of --data, else of the embedded market (planted).

        Raises
        ------
        BenchError
            --data holds fewer.
        """
        if self.data is None:
            from novosky.data.synthetic import synthetic_bars

            return synthetic_bars("planted", count, seed=SEED)
        from novosky.data.store import load_bars

        stored = load_bars(self.data, seconds=self.settings.frame.seconds)
        if len(stored) < count:
            raise BenchError(f"{self.data} holds {len(stored):,} bars, {count:,} are needed; leave --data out")
        newest = stored.iloc[-count:].reset_index(drop=True)
        newest.attrs.update(stored.attrs)
        return newest

    @cached_property
    def settings(self) -> Settings:
        """The checkout's config.json."""
        from novosky.settings import load_settings

        return load_settings(ROOT / "config.json")

    @cached_property
    def ml_config(self) -> Path:
        """The checkout's ml_config.json; with --quick one with smaller models that learn from fewer entries."""
        if not self.quick:
            return ROOT / "ml_config.json"
        return self.written("ml_config.json", _quick(json.loads((ROOT / "ml_config.json").read_text(encoding="utf-8"))))

    @cached_property
    def ml_config_all(self) -> Path:
        """The same with position and SLTP model switched on."""
        content = json.loads(self.ml_config.read_text(encoding="utf-8"))
        content.pop("$schema", None)
        for section in ("position_model", "ml_sltp"):
            content[section]["enabled"] = True
        return self.written("ml_config_all.json", content)

    @cached_property
    def config_all(self) -> Path:
        """The checkout's config.json with the risk model switched on."""
        content = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
        content.pop("$schema", None)
        content["risk_model"]["enabled"] = True
        return self.written("config_all.json", content)

    def written(self, name: str, content: dict[str, Any]) -> Path:
        """Write a settings file of this run."""
        from novosky.files import write_json

        write_json(self.folder / name, content)
        return self.folder / name

    @cached_property
    def ml_settings(self) -> MlSettings:
        """What `ml_config` says."""
        from novosky.settings import load_ml_settings

        return load_ml_settings(self.ml_config)

    @property
    def training_bars(self) -> int:
        """Bars of the training window: two years, with --quick two months."""
        return YEAR // 6 if self.quick else 2 * YEAR

    @cached_property
    def training(self) -> Training:
        """All four models trained as configured, once for all measures that need them."""
        return train_once(self)

    @cached_property
    def model_set(self) -> Path:
        """A model set to measure with."""
        return self.models if self.models is not None else self.training.models

    @cached_property
    def replay(self) -> dict[str, Any]:
        """A replay in a fresh process, once for the measures that read its figures."""
        return replay_once(self, 0, durable=False)

    def child(self, module: str, *arguments: object) -> dict[str, Any]:
        """Run `python -m module` in a fresh process and return the JSON object it prints last.

        Raises
        ------
        BenchError
            It failed; the message carries its last words.
        """
        return run_json([sys.executable, "-m", module, *map(str, arguments)])


@dataclass(frozen=True)
class Training:
    """One training run: where the set lies, how long it took, and the moments its steps were done."""

    models: Path
    seconds: float
    steps: tuple[tuple[str, float], ...]
    reports: tuple[TrainingReport, ...]


def replay_once(context: BenchContext, number: int, *, durable: bool) -> dict[str, Any]:
    """Replay the last bars of a window in a fresh process, all four models switched on."""
    from ml.feature_engineering import live_window_bars
    from novosky.data.store import save_bars

    count = 300 if context.quick else 2_000
    data = context.folder / "replay.parquet"
    save_bars(data, context.bars(count + live_window_bars(USUAL)), seconds=USUAL.seconds)
    context.say(f"replay of {count:,} bars{', synced journal' if durable else ''}")
    return context.child(
        "bench.runs.replay",
        data,
        context.model_set,
        context.config_all,
        context.ml_config_all,
        count,
        context.folder / f"replay-{number}.sqlite",
        "yes" if durable else "no",
    )


def train_once(context: BenchContext) -> Training:
    """Train all four models on the context's training window."""
    import time

    from backtest.risk_history import out_of_fold_sequences
    from ml.sets.stage_files import STAGE_ORDER
    from ml.train import train

    bars = context.bars(context.training_bars)
    context.say(f"training all four models on {len(bars):,} bars")
    models = context.folder / "models"
    began = time.perf_counter()
    steps: list[tuple[str, float]] = []
    report = train(
        bars,
        context.ml_settings,
        context.settings,
        models,
        STAGE_ORDER,
        warm_start=False,
        progress=lambda step, done, total: steps.append((step, time.perf_counter() - began)),
        seed=SEED,
        trade_history=out_of_fold_sequences,
    )
    return Training(models, time.perf_counter() - began, tuple(steps), (report, *report.later))


def _quick(content: dict[str, Any]) -> dict[str, Any]:
    """Return settings with small models whose later stages find enough to learn from in two months."""
    from commands.demo import reduced_ml_config
    from ml.arrays import MEMBERS

    reduced = reduced_ml_config(content)
    trees = {name: reduced["signal_model"][name] for name in MEMBERS}
    entries = {"entry_confidence": 0.4, "entry_min_gap": 0.0, "min_entries": 50}
    reduced["position_model"] = {**reduced["position_model"], **trees, **entries}
    reduced["prediction"] = {"confidence_threshold": 0.45, "min_probability_diff": 0.0}
    reduced["risk_model"] = {**reduced["risk_model"], "min_trades": 20, "horizon_trades": 5}
    return reduced


def run_json(command: list[str], **environment: str) -> dict[str, Any]:
    """Run a command in the checkout and return the JSON object on the last line of its output."""
    import os

    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        raise BenchError(f"{' '.join(command[1:3])} exited with {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
