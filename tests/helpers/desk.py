"""A desk to run commands at: settings, a small trained model set and the bars of an embedded market."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from backtest.risk_history import out_of_fold_sequences
from ml.sets.stage_files import STAGE_ORDER
from ml.train import train
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.settings import load_ml_settings, load_settings
from tests.helpers.sets.position_sets import SMALL_POSITION
from tests.helpers.sets.signal_sets import TRAIN_BARS, small_ml_settings

LATER_BARS = 2_000
"""Bars after the training window, for tests out of sample."""
EAGER = {"confidence_threshold": 0.4, "min_probability_diff": 0.02}
"""Thresholds that the weak opinions of a few small trees can pass, so that there are trades to write."""
BRACKET = {"sl_atr_mult": 1.0, "tp_atr_mult": 1.0, "atr_mult_range": {"least": 0.8, "most": 1.2}}
"""Narrow enough that trades end within the window."""


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
    """Train all four models on the first bars of a planted market and store everything a command needs."""
    desk = Desk(folder)
    market = synthetic_bars("planted", TRAIN_BARS + LATER_BARS, seed=3)
    save_bars(desk.bars, market)
    runtime = json.loads((root / "config.json").read_text(encoding="utf-8"))
    runtime["risk_management"].update(BRACKET)
    runtime["risk_model"]["enabled"] = True
    desk.config.write_text(json.dumps(runtime))
    content = small_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    content |= {"prediction": EAGER, "position_model": SMALL_POSITION}
    content["ml_sltp"] |= {"enabled": True, "folds": 2}
    content["risk_model"] |= {"min_trades": 20, "horizon_trades": 5, "samples": 5000}
    desk.ml_config.write_text(json.dumps(content))
    train(
        market.iloc[:TRAIN_BARS],
        load_ml_settings(desk.ml_config),
        load_settings(desk.config),
        desk.models,
        STAGE_ORDER,
        trade_history=out_of_fold_sequences,
    )
    return desk
