"""The deflated Sharpe ratio against the numbers of the paper it comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from novosky.measures.deflated_sharpe import MIN_RETURNS, deflated_sharpe, expected_maximum_sharpe, probabilistic_sharpe

# Bailey and Lopez de Prado (2014), section "A numerical example": a yearly Sharpe ratio of 2.5 on
# five years of 250 days, the variance of the yearly ratios across the trials being one half.
DAYS = 1250
SHARPE = 2.5 / math.sqrt(250)
VARIANCE = 0.5 / 250


def returns_of(seed: int, count: int = 500) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.001, 0.01, count)


def test_the_expected_maximum_is_that_of_the_paper() -> None:
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "stated"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_deflated_ratio_is_that_of_the_paper(trials: int, skewness: float, kurtosis: float, stated: float) -> None:
    best = expected_maximum_sharpe(trials, VARIANCE)
    found = probabilistic_sharpe(SHARPE, best, DAYS, skewness=skewness, kurtosis=kurtosis)
    assert found == pytest.approx(stated, abs=5e-5)


def test_a_normal_ratio_by_hand() -> None:
    # Phi((0.2 - 0.1) * sqrt(100) / sqrt(1 + 0.2^2 / 2)) = Phi(1 / sqrt(1.02)) = Phi(0.990148)
    assert probabilistic_sharpe(0.2, 0.1, 101) == pytest.approx(0.838949, abs=1e-5)


def test_the_moments_are_those_of_the_returns() -> None:
    # Ten times -1 %, twenty times +1 %: mean 1/3, second moment 8/9, third -16/27, fourth 32/27 (in %).
    found = deflated_sharpe(np.repeat([-0.01, 0.01], [10, 20]), 1)
    assert found is not None
    assert found.sharpe == pytest.approx((1 / 3) / math.sqrt(8 / 9 * 30 / 29))
    assert found.skewness == pytest.approx(-(16 / 27) / (8 / 9) ** 1.5)
    assert found.kurtosis == pytest.approx((32 / 27) / (8 / 9) ** 2)
    assert found.observations == 30


def test_one_trial_selects_nothing() -> None:
    found = deflated_sharpe(returns_of(1), 1)
    assert found is not None
    assert found.expected_maximum == 0.0
    assert found.deflated == found.probabilistic


def test_more_trials_leave_less() -> None:
    left = [deflated_sharpe(returns_of(1), trials) for trials in (1, 2, 3, 10, 100, 10_000)]
    values = [one.deflated for one in left if one is not None]
    assert len(values) == 6
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 6


def test_the_default_variance_is_that_of_worthless_trials() -> None:
    # The best of 50 series of pure noise shows, on average, what the formula expects of it.
    noise = np.random.default_rng(5).normal(0.0, 0.01, (400, 50, 250))
    best = (noise.mean(axis=2) / noise.std(axis=2, ddof=1)).max(axis=1).mean()
    found = deflated_sharpe(noise[0, 0], 50)
    assert found is not None
    assert found.expected_maximum == pytest.approx(best, rel=0.03)


@pytest.mark.parametrize(
    "returns",
    [np.full(MIN_RETURNS, 0.01), returns_of(1, MIN_RETURNS - 1), np.append(returns_of(1), -1.0), np.empty(0)],
    ids=["no variance", "too few", "ruined", "none"],
)
def test_what_returns_cannot_carry_is_unknown(returns: np.ndarray) -> None:
    assert deflated_sharpe(returns, 1) is None


@pytest.mark.parametrize(("trials", "variance"), [(0, 0.1), (5, -0.1), (5, math.nan)])
def test_impossible_trials_are_refused(trials: int, variance: float) -> None:
    with pytest.raises(ValueError, match="trials"):
        deflated_sharpe(returns_of(1), trials, variance)
