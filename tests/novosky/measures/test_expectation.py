"""What a month and a year may look like: known cases by hand, honest chances, nothing about a future it cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from novosky.measures.expectation import MONTH_DAYS, YEAR_DAYS, Expectation, TradeRecord, expect
from novosky.measures.score import MIN_TRADES


def record(r: np.ndarray, *, every: int = 1, first: int = 19_000) -> TradeRecord:
    """Trades on every so many-th day."""
    days = first + every * np.arange(len(r), dtype=np.int64)
    return TradeRecord(first, int(days[-1]) + every - 1, days, r)


def known(found: Expectation | None) -> Expectation:
    assert found is not None
    return found


def expected(r: np.ndarray, risk: float = 0.01, **options: int) -> Expectation:
    every = options.pop("every", 1)
    return known(expect(record(r, every=every), risk, 0.08, 0.2, np.random.default_rng(1), **options))


def test_a_result_without_luck_is_what_it_is() -> None:
    found = expected(np.full(100, 0.5))
    month = 1.005**MONTH_DAYS - 1.0
    assert (found.month_low, found.month_median, found.month_high) == pytest.approx((month, month, month))
    assert (found.losing_months, found.drawdown_high, found.pauses, found.halts) == (0.0, 0.0, 0.0, 0.0)
    assert (found.trades, found.days, found.trades_a_month) == (100, 100, 30.0)


def test_a_sure_loss_pauses_and_halts() -> None:
    found = expected(np.full(50, -1.0), risk=0.02)
    assert (found.losing_months, found.pauses, found.halts) == (1.0, 1.0, 1.0)
    assert found.drawdown_median == pytest.approx(1.0 - 0.98**YEAR_DAYS)
    assert found.may_be_worthless


def test_days_without_a_trade_are_days() -> None:
    daily, weekly = expected(np.full(60, 0.5)), expected(np.full(60, 0.5), every=7)
    assert weekly.trades_a_month == pytest.approx(30.0 / 7.0, rel=0.02)
    assert weekly.month_median < 0.2 * daily.month_median


def test_more_risk_is_a_deeper_fall_and_a_wider_month() -> None:
    r = np.random.default_rng(2).choice([-1.05, 1.2], 300)
    careful, bold = expected(r, 0.005), expected(r, 0.03)
    assert bold.drawdown_high > 3.0 * careful.drawdown_high
    assert bold.month_high - bold.month_low > 4.0 * (careful.month_high - careful.month_low)
    assert bold.pauses > careful.pauses
    assert bold.halts > careful.halts
    assert (bold.profit_factor, bold.pf_low, bold.pf_high) == (careful.profit_factor, careful.pf_low, careful.pf_high)


def test_losses_that_come_together_stay_together() -> None:
    rng = np.random.default_rng(3)
    apart = rng.permutation(np.repeat([-1.0, 1.1], 150))
    together = np.concatenate([np.repeat(rng.permutation([-1.0, 1.1]), 10) for _ in range(15)])
    assert expected(together).drawdown_median > 1.3 * expected(apart).drawdown_median


def test_the_interval_of_months_holds_as_many_months_as_it_says() -> None:
    rng = np.random.default_rng(4)
    mean, inside = 0.05, []
    r = rng.choice([-1.0, 1.0], 1_500, p=[0.5 - mean / 2, 0.5 + mean / 2])
    found = expected(r)
    for _ in range(2_000):
        month = float(np.prod(1.0 + 0.01 * rng.choice([-1.0, 1.0], MONTH_DAYS, p=[0.5 - mean / 2, 0.5 + mean / 2])) - 1)
        inside.append(found.month_low <= month <= found.month_high)
    assert 0.85 <= np.mean(inside) <= 0.95


def test_whether_it_may_be_worth_nothing_follows_from_the_interval() -> None:
    rng = np.random.default_rng(5)
    coin = rng.choice([-1.0, 1.0], 200)
    edge = rng.choice([-1.0, 1.0], 400, p=[0.3, 0.7])
    assert expected(coin).may_be_worthless
    assert not expected(edge).may_be_worthless


def test_the_same_seed_gives_the_same_figures_and_few_trades_none() -> None:
    r = np.random.default_rng(6).choice([-1.0, 1.1], 80)
    assert expected(r) == expected(r)
    few = record(np.full(MIN_TRADES - 1, 0.5))
    assert expect(few, 0.01, 0.1, 0.2, np.random.default_rng(1)) is None
    short = TradeRecord(5, 5, np.full(30, 5), np.random.default_rng(7).choice([-1.0, 1.0], 30))
    assert known(expect(short, 0.01, 0.1, 0.2, np.random.default_rng(1), paths=50)).days == 1


@pytest.mark.parametrize(
    ("days", "r", "window", "words"),
    [
        ([1], [0.5, 0.5], (0, 9), "a day and a known result"),
        ([1], [float("nan")], (0, 9), "a day and a known result"),
        ([11], [0.5], (0, 9), "outside of the days"),
        ([1], [0.5], (9, 0), "outside of the days"),
        ([3, 1], [0.5, 0.5], (0, 9), "backwards"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(
    days: list[int], r: list[float], window: tuple[int, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        TradeRecord(*window, np.array(days, dtype=np.int64), np.array(r))
