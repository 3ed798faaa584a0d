"""The pipeline as a whole against markets whose truth is known.

On the null market, a martingale without costs, whatever the models learn must earn nothing.
On the planted market they must find the edge after all costs. Bounds are stated in standard
errors of the mean result per trade, so that they neither pass by luck nor fail by it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from backtest.benchmarks import RandomEntry, random_entry_benchmark
from backtest.model_answers import model_answers
from backtest.result import BacktestResult
from backtest.risk_history import out_of_fold_sequences
from backtest.run import prepare, simulate
from backtest.trade_results import net_results, r_multiples
from engine.fills import EXIT_MODEL
from ml.load_models import load_models
from ml.sets.stage_files import STAGE_ORDER
from ml.train import train
from novosky.data.synthetic import synthetic_bars
from novosky.settings import MlSettings, Settings

TRAIN_BARS = 15_000
TEST_BARS = 8_000
EMBARGO_BARS = 200
SMALL_MODELS: dict[str, Any] = {
    "rf": {"n_estimators": 40, "max_depth": 7, "min_samples_leaf": 40, "max_features": 0.4, "max_samples": 0.5},
    "xgb": {"n_estimators": 60, "max_depth": 4, "learning_rate": 0.08, "min_child_weight": 30},
    "lgb": {"n_estimators": 60, "num_leaves": 15, "learning_rate": 0.08, "min_child_samples": 50},
    "calibration_folds": 2,
}


def unbroken_settings(root: Path, *, costs: bool) -> Settings:
    """The shipped configuration without limits that would cut a sample of trades short.

    Brackets of one ATR end soon, so that a small market holds many trades.
    """
    content = json.loads((root / "config.json").read_text())
    content["risk_management"].update(sl_atr_mult=1.0, tp_atr_mult=1.0, atr_mult_range={"least": 0.8, "most": 1.2})
    content["risk_model"]["enabled"] = True
    content["risk_profile"]["starting_balance_usd"] = 100_000
    content["dynamic_position_sizing"].update(risk_percent=0.5, max_lot=100)
    content.update(max_consecutive_losses=10_000, max_daily_loss=100)
    content.update(max_weekly_drawdown_pct=100, max_total_drawdown_pct=100)
    if not costs:
        content["costs"].update(spread=0, slippage=0, swap_long=0, swap_short=0)
    return Settings.model_validate(content)


def small_settings(root: Path, *, confidence: float, gap: float, spread: float) -> MlSettings:
    """The shipped features with labels of one ATR and small models."""
    content = json.loads((root / "ml_config.json").read_text())
    content["signal_model"].update(SMALL_MODELS)
    content["labeling"] = {"atr_tp_mult": 1.0, "atr_sl_mult": 1.0, "horizon_bars": 96, "spread": spread}
    content["position_model"].update(
        SMALL_MODELS, entry_confidence=confidence - 0.03, entry_min_gap=gap / 2, row_every_bars=1
    )
    # Eager enough to be followed often: a leak would have every chance to show.
    content["position_model"].update(enabled=True, exit_threshold=0.5, min_prob_diff=0.1, min_bars_held=1)
    content["ml_sltp"].update(enabled=True, folds=2)
    content["prediction"] = {"confidence_threshold": confidence, "min_probability_diff": gap}
    content["training"] = {"device": "cpu", "threads": 1}
    return MlSettings.model_validate(content)


@dataclass(frozen=True)
class Unseen:
    """What a market earned out of sample, with the signal models alone and with all four."""

    signal: np.ndarray
    all_models: BacktestResult
    random_entry: RandomEntry


def out_of_sample(
    kind: Literal["planted", "null"], seed: int, settings: Settings, ml_settings: MlSettings, models: Path
) -> Unseen:
    """Train all four models on the first bars, trade the later ones."""
    bars = synthetic_bars(kind, TRAIN_BARS + TEST_BARS, seed=seed)
    past = bars.iloc[:TRAIN_BARS].reset_index(drop=True)
    history = out_of_fold_sequences
    train(past, ml_settings, settings, models, STAGE_ORDER, warm_start=False, trade_history=history)
    served = load_models(models, settings, ml_settings)
    start = bars["time"].iloc[TRAIN_BARS + EMBARGO_BARS]
    assert served.signal.train_cutoff < start
    prepared = prepare(bars, settings, ml_settings, served.signal, start=start, sltp=served.sltp)
    answers = model_answers(served, prepared, settings, ml_settings)
    everything = simulate(prepared, settings, ml_settings, answers=answers)
    settings, ml_settings = switched_off(settings, ml_settings)
    result = simulate(prepared, settings, ml_settings)
    random_entry = random_entry_benchmark(
        result, prepared.atr, np.random.default_rng(seed), minutes=result.minutes, rollovers=result.rollovers
    )
    assert random_entry is not None
    return Unseen(r_multiples(result.trades), everything, random_entry)


def switched_off(settings: Settings, ml_settings: MlSettings) -> tuple[Settings, MlSettings]:
    """The same settings with the signal models alone."""
    runtime, ml = settings.model_dump(mode="json"), ml_settings.model_dump(mode="json")
    runtime["risk_model"]["enabled"] = False
    ml["position_model"]["enabled"] = ml["ml_sltp"]["enabled"] = False
    for content in (runtime, ml):
        del content["schema_reference"]
    return Settings.model_validate(runtime), MlSettings.model_validate(ml)


def standard_errors(results: np.ndarray) -> float:
    """The mean result per trade in standard errors: beyond 3 it is not luck."""
    return float(results.mean() / (results.std(ddof=1) / np.sqrt(len(results))))


@pytest.fixture
def null_seeds(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """Two null markets in every run, eight in the long campaign."""
    return tuple(range(1, 9)) if request.config.getoption("--full") else (1, 2)


def test_the_null_market_earns_nothing(root: Path, tmp_path: Path, null_seeds: tuple[int, ...]) -> None:
    settings = unbroken_settings(root, costs=False)
    # Labels pay a small spread, or HOLD would be too rare to learn; the trades pay nothing.
    ml_settings = small_settings(root, confidence=0.40, gap=0.0, spread=5.0)
    alone, together, money = [], [], []
    for seed in null_seeds:
        found = out_of_sample("null", seed, settings, ml_settings, tmp_path / f"null-{seed}")
        everything = r_multiples(found.all_models.trades)
        for name, results in (("signal", found.signal), ("all four", everything)):
            told = f"{len(results)} trades, {results.mean():+.4f} R, {standard_errors(results):+.2f} se"
            print(f"null {seed} {name}: {told}")
            assert len(results) > 300
        assert (found.all_models.trades["reason"] == EXIT_MODEL).sum() > 30, "the position model was followed"
        assert found.random_entry.profit_factor is not None
        assert 0.5 <= found.random_entry.profit_factor.percentile <= 99.5
        alone.append(found.signal)
        together.append(everything)
        # Sizes could be timed as well as sides: the money, in units of each account's mean risk.
        money.append(net_results(found.all_models.trades) / found.all_models.trades["risk"].mean())
    assert abs(standard_errors(np.concatenate(alone))) < 3.0
    for results in (np.concatenate(alone), np.concatenate(together), np.concatenate(money)):
        # A target fills at its price and not beyond it, a stop likewise. The market moves in minutes, a tenth of
        # ATR past a level on average: who leaves losers early has more targets than stops, and loses 0.02 R by it.
        assert standard_errors(results) < 3.0
        assert abs(results.mean()) < 0.05


def test_the_planted_market_is_found_after_all_costs(root: Path, tmp_path: Path) -> None:
    settings = unbroken_settings(root, costs=True)
    ml_settings = small_settings(root, confidence=0.52, gap=0.10, spread=16.95)
    found = out_of_sample("planted", 2, settings, ml_settings, tmp_path / "planted")
    results, random_entry = found.signal, found.random_entry
    print(f"planted: {len(results)} trades, {results.mean():+.4f} R, {standard_errors(results):+.2f} se")
    assert len(results) > 200
    assert results.mean() > 0.10
    assert standard_errors(results) > 3.0
    assert random_entry.expectancy_r is not None
    assert random_entry.expectancy_r.percentile > 99.0
