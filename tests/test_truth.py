"""The pipeline as a whole against markets whose truth is known.

On the null market, a martingale without costs, whatever the models learn must earn nothing.
On the planted market they must find the edge after all costs. Bounds are stated in standard
errors of the mean result per trade, so that they neither pass by luck nor fail by it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from backtest.benchmarks import RandomEntry, random_entry_benchmark
from backtest.metrics import r_multiples
from backtest.run import prepare, simulate
from ml.ensemble_predictor import EnsemblePredictor
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
    """The shipped configuration without limits that would cut a sample of trades short."""
    content = json.loads((root / "config.json").read_text())
    content["risk_profile"]["starting_balance_usd"] = 100_000
    content["dynamic_position_sizing"].update(risk_percent=0.5, max_lot=100)
    content.update(max_consecutive_losses=10_000, max_daily_loss=100)
    content.update(max_weekly_drawdown_pct=100, max_total_drawdown_pct=100)
    if not costs:
        content["costs"].update(spread=0, slippage=0, swap_long=0, swap_short=0)
    return Settings.model_validate(content)


def small_settings(root: Path, *, confidence: float, gap: float, spread: float) -> MlSettings:
    """The shipped features and labels with small models."""
    content = json.loads((root / "ml_config.json").read_text())
    content["signal_model"].update(SMALL_MODELS)
    content["labeling"]["spread"] = spread
    content["prediction"] = {"confidence_threshold": confidence, "min_probability_diff": gap}
    content["training"] = {"device": "cpu", "threads": 1}
    return MlSettings.model_validate(content)


def out_of_sample(
    kind: Literal["planted", "null"], seed: int, settings: Settings, ml_settings: MlSettings, models: Path
) -> tuple[np.ndarray, RandomEntry]:
    """Train on the first bars, trade the later ones; return the R multiples and the random-entry benchmark."""
    bars = synthetic_bars(kind, TRAIN_BARS + TEST_BARS, seed=seed)
    train(bars.iloc[:TRAIN_BARS].reset_index(drop=True), ml_settings, settings, models, warm_start=False)
    predictor = EnsemblePredictor(models, ml_settings)
    start = bars["time"].iloc[TRAIN_BARS + EMBARGO_BARS]
    assert predictor.train_cutoff < start
    prepared = prepare(bars, settings, ml_settings, predictor, start=start)
    result = simulate(prepared, settings, ml_settings)
    random_entry = random_entry_benchmark(
        result, prepared.atr, np.random.default_rng(seed), minutes=result.minutes, rollovers=result.rollovers
    )
    assert random_entry is not None
    return r_multiples(result.trades), random_entry


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
    pooled = []
    for seed in null_seeds:
        results, random_entry = out_of_sample("null", seed, settings, ml_settings, tmp_path / f"null-{seed}")
        print(f"null {seed}: {len(results)} trades, {results.mean():+.4f} R, {standard_errors(results):+.2f} se")
        assert len(results) > 300
        assert random_entry.profit_factor is not None
        assert 0.5 <= random_entry.profit_factor.percentile <= 99.5
        pooled.append(results)
    everything = np.concatenate(pooled)
    assert abs(standard_errors(everything)) < 3.0
    assert abs(everything.mean()) < 0.05


def test_the_planted_market_is_found_after_all_costs(root: Path, tmp_path: Path) -> None:
    settings = unbroken_settings(root, costs=True)
    ml_settings = small_settings(root, confidence=0.52, gap=0.10, spread=16.95)
    results, random_entry = out_of_sample("planted", 2, settings, ml_settings, tmp_path / "planted")
    print(f"planted: {len(results)} trades, {results.mean():+.4f} R, {standard_errors(results):+.2f} se")
    assert len(results) > 200
    assert results.mean() > 0.10
    assert standard_errors(results) > 3.0
    assert random_entry.expectancy_r is not None
    assert random_entry.expectancy_r.percentile > 99.0
