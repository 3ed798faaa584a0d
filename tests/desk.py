"""A desk to run commands at: settings, a small trained model set and the bars of an embedded market."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from signal_sets import TRAIN_BARS, runtime_settings, small_ml_settings

from ml.train import train
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars

LATER_BARS = 2_000
"""Bars after the training window, for tests out of sample."""
EAGER = {"confidence_threshold": 0.4, "min_probability_diff": 0.02}
"""Thresholds that the weak opinions of a few small trees can pass, so that there are trades to write."""


@dataclass(frozen=True)
class Desk:
    """A folder laid out like a checkout after training; tests read it and never write to it."""

    folder: Path

    @property
    def bars(self) -> Path:
        return self.folder / "data" / "BTCUSD_M15.parquet"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def ml_config(self) -> Path:
        return self.folder / "ml_config.json"

    @property
    def flags(self) -> list[str]:
        """The file flags that every command about settings and models takes."""
        return ["--config", str(self.config), "--ml-config", str(self.ml_config), "--models", str(self.models)]


def lay_out_desk(root: Path, folder: Path) -> Desk:
    """Train on the first bars of a planted market and store everything a command needs."""
    desk = Desk(folder)
    market = synthetic_bars("planted", TRAIN_BARS + LATER_BARS, seed=3)
    save_bars(desk.bars, market)
    shutil.copy(root / "config.json", desk.config)
    ml_settings = small_ml_settings()
    content = ml_settings.model_dump(mode="json", exclude={"schema_reference"}) | {"prediction": EAGER}
    desk.ml_config.write_text(json.dumps(content))
    train(market.iloc[:TRAIN_BARS], ml_settings, runtime_settings(root), desk.models, ("signal",))
    return desk
