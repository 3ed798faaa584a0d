"""The test of "this is still the bot that was approved", on trades of the engine in markets whose truth is known.

A year of the null market at no cost earns nothing: whoever claims no more is rarely called degraded,
however often he is looked at. A set that was approved on the planted market and finds itself in the
null market has lost its edge, and that shows within 150 trades.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from backtest.benchmarks import random_entry_runs
from backtest.run import simulate
from backtest.trade_results import r_multiples
from novosky.measures.sequential import FALSE_ALARMS, lower_bound, wealth
from tests.backtest.sweep.test_sweep import scene_of

YEAR = 365 * 96
TRADES = 150
POWER = 0.8


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> int:
    return 1_000 if request.config.getoption("--full") else 200


@pytest.fixture(scope="module")
def null_years(root: Path, runs: int) -> list[np.ndarray]:
    """R of random entries over a year of the null market, under the rules and at no cost."""
    scene = scene_of(root, "null", YEAR, 1, seed=5, knowing=True)
    result = simulate(scene.prepared, scene.plan.settings, scene.plan.ml_settings)
    assert len(result.trades) > 300
    entered = random_entry_runs(
        result, scene.prepared.atr, np.random.default_rng(9), runs, minutes=result.minutes, rollovers=result.rollovers
    )
    return [r_multiples(trades) for trades, _ in entered]


def edge(root: Path, kind: Literal["planted", "null"], seed: int) -> np.ndarray:
    """R of a quarter of trades to the announced side: an edge on the planted market, nothing on the null one."""
    scene = scene_of(root, kind, YEAR // 4, 1, seed=seed, knowing=True)
    return r_multiples(simulate(scene.prepared, scene.plan.settings, scene.plan.ml_settings).trades)


def alarmed(results: np.ndarray, claim: float) -> bool:
    return bool(wealth(results, claim).max() >= 1.0 / FALSE_ALARMS)


def test_a_bot_without_an_edge_that_claims_none_is_rarely_called_degraded(
    null_years: list[np.ndarray], runs: int
) -> None:
    alarms = [alarmed(year, 0.0) for year in null_years]
    assert np.mean([len(year) for year in null_years]) > 300
    # Ville's bound holds for a martingale; a sample of runs may lie three of its standard errors above.
    assert np.mean(alarms) <= FALSE_ALARMS + (0.0 if runs == 200 else 3.0 * np.sqrt(FALSE_ALARMS * 0.95 / runs))


def test_a_bot_with_the_edge_it_was_approved_with_is_not(root: Path) -> None:
    claim = lower_bound(edge(root, "planted", 3))
    assert claim > 0.1
    assert not any(alarmed(edge(root, "planted", seed), claim) for seed in range(4, 14))


def test_a_bot_whose_edge_is_gone_is_seen_within_150_trades(root: Path, null_years: list[np.ndarray]) -> None:
    claim = lower_bound(edge(root, "planted", 3))
    assert np.mean([alarmed(year[:TRADES], claim) for year in null_years]) >= POWER
