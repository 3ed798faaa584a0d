"""The score at equal risk: the level of risk drops out, its distribution over trades stays, ruin stays ruin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.measures.score import EQUAL_RISK, MIN_TRADES, at_equal_risk, score_of
from novosky.measures.statistics import profit_factor


def trades(count: int, seed: int, edge: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return R of a bracket, and what each trade had at stake."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.05, 1.2], count, p=[0.5 - edge, 0.5 + edge]), rng.uniform(0.01, 0.03, count)


@given(st.integers(MIN_TRADES, 400), st.integers(0, 99), st.floats(0.05, 4.0))
def test_betting_less_or_more_changes_nothing(count: int, seed: int, times: float) -> None:
    r, risks = trades(count, seed)
    plain, scaled = at_equal_risk(r * risks, risks), at_equal_risk(r * risks * times, risks * times)
    assert plain is not None and scaled is not None
    assert scaled.score == pytest.approx(plain.score, abs=2e-6)
    assert scaled.max_drawdown == pytest.approx(plain.max_drawdown, rel=1e-9)
    assert scaled.stated_risk == pytest.approx(plain.stated_risk * times)
    assert scaled.scale * scaled.stated_risk == pytest.approx(EQUAL_RISK)


def test_equal_stakes_of_one_percent_are_themselves() -> None:
    r, _ = trades(60, 1)
    found = at_equal_risk(0.01 * r, np.full(60, 0.01))
    equity = np.concatenate(([1.0], np.cumprod(1.0 + 0.01 * r)))
    fall = float((1.0 - equity / np.maximum.accumulate(equity)).max())
    assert found is not None
    assert found.max_drawdown == pytest.approx(fall)
    factor = profit_factor(r)
    assert factor is not None
    assert found.score == pytest.approx(score_of(float(np.mean(r > 0)), factor, fall), abs=1e-6)


def test_a_trade_that_was_sized_larger_stays_larger() -> None:
    r = np.array([1.2, -1.05] * 20)
    wise, unwise = np.where(r > 0, 0.03, 0.01), np.where(r > 0, 0.01, 0.03)
    better, worse = at_equal_risk(r * wise, wise), at_equal_risk(r * unwise, unwise)
    assert better is not None and worse is not None
    assert better.score is not None and worse.score is not None
    assert better.score > 3 * worse.score, "who sizes well is worth more at the same average risk"


def test_ruin_at_this_level_is_a_fall_of_everything() -> None:
    returns = np.concatenate((np.full(30, 0.01), [-3.0], np.full(30, 0.05)))
    found = at_equal_risk(returns, np.full(61, 0.01))
    assert found is not None
    assert found.max_drawdown == 1.0


def test_few_trades_have_no_score_and_none_at_stake_have_nothing() -> None:
    few = at_equal_risk(np.full(MIN_TRADES - 1, 0.01), np.full(MIN_TRADES - 1, 0.01))
    assert few is not None and few.score is None
    assert at_equal_risk(np.empty(0), np.empty(0)) is None
    assert at_equal_risk(np.array([0.01]), np.array([0.0])) is None
