"""The best size for the trades that followed: exact, within bounds, and never ruin while there is a choice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ml.labels.multipliers import best_multipliers, label_multipliers
from novosky.settings.equity_state import LEAST_MULTIPLIER, MOST_MULTIPLIER

GRID = np.linspace(LEAST_MULTIPLIER, MOST_MULTIPLIER, 4_601)
STEP = GRID[1] - GRID[0]


def brute_force(window: npt.NDArray[np.float64]) -> float:
    left = 1.0 + GRID[:, None] * window
    growth = np.where((left > 0.0).all(axis=1), np.log(np.maximum(left, 1e-300)).sum(axis=1), -np.inf)
    return float(GRID[growth.argmax()])


def one(*returns: float) -> float:
    return float(best_multipliers(np.array([returns]))[0])


@pytest.mark.parametrize("scale", [0.02, 0.2, 0.6, 1.5])
def test_every_label_is_what_trying_all_multipliers_finds(scale: float) -> None:
    rng = np.random.default_rng(5)
    windows = scale * rng.normal(0.05, 1.0, size=(200, 20)) * rng.uniform(0.2, 1.0, size=(200, 1))
    found = best_multipliers(windows)
    assert np.abs(found - np.array([brute_force(window) for window in windows])).max() <= STEP


def test_the_cases_inside_the_bounds_are_many_enough_to_mean_something() -> None:
    windows = np.random.default_rng(6).normal(0.1, 0.6, size=(300, 20)).clip(-0.75)
    found = best_multipliers(windows)
    assert ((found > LEAST_MULTIPLIER) & (found < MOST_MULTIPLIER)).sum() > 50


def test_a_known_optimum_is_met_to_the_last_digits() -> None:
    # Kelly's coin: p = 0.6 at even odds is worth a fraction of 0.2; returns of 40 % make that a multiplier of 0.5.
    assert one(*[0.4] * 6, *[-0.4] * 4) == pytest.approx(0.5, abs=1e-14)


@pytest.mark.parametrize(
    ("returns", "best"),
    [
        ((0.01, 0.02), MOST_MULTIPLIER),
        ((0.03, -0.02), MOST_MULTIPLIER),
        ((-0.01, -0.02), LEAST_MULTIPLIER),
        ((0.02, -0.03), LEAST_MULTIPLIER),
        ((0.0, 0.0), LEAST_MULTIPLIER),
    ],
)
def test_small_returns_are_worth_all_or_least(returns: tuple[float, ...], best: float) -> None:
    assert one(*returns) == best


def test_ruin_is_worse_than_anything() -> None:
    # Twice the account lost at a multiplier of 1: ruin from 0.5 on, whatever the others earn.
    assert LEAST_MULTIPLIER < one(-2.0, *[5.0] * 50) < 0.5
    assert one(-0.8, *[5.0] * 50) < MOST_MULTIPLIER


def test_the_edge_of_ruin_is_ruin() -> None:
    # 1 + 1.25 * -0.8 = 0: minus infinity, however much the others earn.
    found = one(-1.0 / MOST_MULTIPLIER, *[100.0] * 400)
    assert np.isfinite(np.log(1.0 + found * -1.0 / MOST_MULTIPLIER))


def test_where_every_multiplier_ruins_the_least_is_named() -> None:
    assert one(-10.0, 50.0) == LEAST_MULTIPLIER
    assert one(-25.0, 50.0, 50.0) == LEAST_MULTIPLIER


def test_a_label_looks_at_its_own_trade_and_those_after_it() -> None:
    returns = np.array([0.05, -0.01, -0.01, 0.05, 0.01])
    labels = label_multipliers(returns, 2)
    assert labels.tolist() == [1.25, 0.1, 1.25, 1.25]


def test_a_trade_without_a_whole_horizon_has_no_label() -> None:
    returns = np.full(30, 0.01)
    assert len(label_multipliers(returns, 20)) == 11
    assert len(label_multipliers(returns, 30)) == 1
    assert len(label_multipliers(returns, 31)) == 0


def test_earlier_trades_do_not_change_a_label() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.3, 60).clip(-0.7)
    whole, part = label_multipliers(returns, 20), label_multipliers(returns[25:], 20)
    assert whole[25:].tobytes() == part.tobytes()


def test_many_windows_are_solved_as_one_alone() -> None:
    returns = np.random.default_rng(2).normal(0.02, 0.4, 70_000).clip(-0.75)
    labels = label_multipliers(returns, 5)
    for at in (0, 65_535, 65_536, len(labels) - 1):
        assert labels[at] == best_multipliers(returns[None, at : at + 5])[0]
