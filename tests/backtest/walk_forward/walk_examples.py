"""A short walk over the embedded market, for the tests of the walk-forward rooms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from backtest.walk_forward.folds import FoldOutcome, FoldWindow, Leg, fold_windows
from backtest.walk_forward.run import WalkPlan
from novosky.data.synthetic import synthetic_bars
from novosky.market.timeframe import USUAL
from novosky.settings import MlSettings, Settings
from tests.helpers.sets.signal_sets import SMALL_MODELS

BARS = 9_000
START, END = pd.Timestamp("2022-03-01", tz="UTC"), pd.Timestamp("2022-04-06", tz="UTC")
TRAIN_DAYS = 35
EMBARGO = 96


def example_settings(root: Path, *, costs: bool) -> Settings:
    """The shipped configuration with narrow brackets and without limits that would cut a sample of trades short."""
    content = json.loads((root / "config.json").read_text())
    content["risk_management"].update(sl_atr_mult=1.0, tp_atr_mult=1.0, atr_mult_range={"least": 0.8, "most": 1.2})
    content["risk_profile"]["starting_balance_usd"] = 100_000
    content["dynamic_position_sizing"].update(risk_percent=0.5, max_lot=100)
    content.update(max_consecutive_losses=10_000, max_daily_loss=100)
    content.update(max_weekly_drawdown_pct=100, max_total_drawdown_pct=100)
    if not costs:
        content["costs"].update(spread=0, slippage=0, swap_long=0, swap_short=0)
    return Settings.model_validate(content)


def example_models(root: Path, *, spread: float) -> dict[str, Any]:
    """The shipped features and labels with few trees and eager thresholds."""
    content: dict[str, Any] = json.loads((root / "ml_config.json").read_text())
    content.pop("$schema")
    content["signal_model"].update(SMALL_MODELS)
    content["labeling"] = {"atr_tp_mult": 1.0, "atr_sl_mult": 1.0, "horizon_bars": 96, "spread": spread}
    content["prediction"] = {"confidence_threshold": 0.42, "min_probability_diff": 0.0}
    eager = {"entry_confidence": 0.40, "entry_min_gap": 0.0, "min_entries": 50, "row_every_bars": 1}
    # Few small trees are seldom sure: this is followed now and then.
    followed = {"exit_threshold": 0.5, "min_prob_diff": 0.1, "min_bars_held": 2}
    content["position_model"].update(SMALL_MODELS | eager | followed)
    content["ml_sltp"].update(folds=2)
    content["risk_model"].update(min_trades=20, horizon_trades=5, samples=5000)
    content["training"] = {"device": "cpu", "threads": 1}
    return content


def example_plan(root: Path, kind: Literal["planted", "null"]) -> WalkPlan:
    """The planted market at full cost, or the null market at none."""
    planted = kind == "planted"
    return WalkPlan(
        history=synthetic_bars(kind, BARS, seed=3),
        settings=example_settings(root, costs=planted),
        # Labels pay a small spread even where trades pay none, or HOLD would be too rare to learn.
        ml_settings=MlSettings.model_validate(example_models(root, spread=16.95 if planted else 5.0)),
        random_runs=60,
    )


def example_windows(folds: int = 2) -> list[FoldWindow]:
    """Folds of the example."""
    return fold_windows(START, END, folds, TRAIN_DAYS, EMBARGO, USUAL)


def leg(net: list[float], equity: list[float], max_drawdown: float = 0.0) -> Leg:
    """A leg whose trades risk 10 USD each."""
    results = np.array(net, dtype=np.float64)
    return Leg(results, results / 10.0, np.array(equity, dtype=np.float64), max_drawdown, halted=False)


def outcome(number: int, signal: Leg) -> FoldOutcome:
    """A fold of hourly steps whose every leg is `signal`, without random runs."""
    begin = 1_700_000_000 + number * 3600 * len(signal.equity)
    times = begin + 3600 * np.arange(len(signal.equity), dtype=np.int64)
    none = np.empty(0)
    return FoldOutcome(
        window=FoldWindow(number, begin - 7200, begin - 3600, begin, begin + 3600 * len(signal.equity)),
        train_rows=1000,
        train_cutoff=begin - 7200,
        times=times,
        signal=signal,
        yardstick=signal,
        hold=signal,
        random_run=none.astype(np.int64),
        random_net=none,
        random_r=none,
        random_growth=none,
        variants={},
    )
