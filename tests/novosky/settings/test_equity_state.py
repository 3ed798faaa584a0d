"""What the risk model is told of the account: seven numbers, one order, one formula, in every place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.breakers import judge_close, start_guard
from engine.equity import RECENT_TRADES, equity_state
from engine.records import RING, Account, Guard, Params, new_record
from ml.risk_predictor import RISK_FEATURES as SERVED
from ml.risk_trainer import RISK_FEATURES as TRAINED
from novosky.settings import MlSettings
from novosky.settings.equity_state import EQUITY_STATE

HOUR = 3_600
DAY = 24 * HOUR
MONDAY = 1_704_672_000
"""2024-01-08 00:00 UTC."""
START = 1_000.0


def params_of(balance: float = START) -> Params:
    params = new_record(Params)
    params.starting_balance = balance
    params.max_daily_loss = params.max_weekly_drawdown = params.max_total_drawdown = np.inf
    params.max_consecutive_losses = 1_000
    return params


def described(guard: Guard, params: Params) -> dict[str, float]:
    return dict(zip(EQUITY_STATE, equity_state(guard, params), strict=True))


class Life:
    """An account whose results the test dictates, judged at the closes it names."""

    def __init__(self, balance: float = START, time: int = MONDAY) -> None:
        self.params, self.account, self.guard = params_of(balance), new_record(Account), new_record(Guard)
        self.time = time
        self.account.balance = balance
        start_guard(self.guard, self.params, time, balance)

    def judge(self, seconds: int = HOUR) -> Life:
        self.time += seconds
        judge_close(self.account, self.guard, self.params, self.time, 0.0, 0.0)
        return self

    def trades(self, *results: float) -> Life:
        for net in results:
            self.account.balance += net
            self.account.last_net = net
            self.account.closed += 1
            self.judge()
        return self

    @property
    def state(self) -> dict[str, float]:
        return described(self.guard, self.params)


def test_the_list_is_the_same_in_all_places(root: Path) -> None:
    content: dict[str, Any] = json.loads((root / "ml_config.json").read_text(encoding="utf-8"))
    assert tuple(content["risk_model"]["features"]) == TRAINED == SERVED == EQUITY_STATE
    assert MlSettings.model_validate(content).risk_model.features == EQUITY_STATE


def test_the_list_is_the_one_the_owner_fixed() -> None:
    fixed = "drawdown_pct equity_ratio win_rate_recent consecutive_losses consecutive_wins weekly_drawdown_pct"
    assert list(EQUITY_STATE) == [*fixed.split(), "equity_slope"]


def test_seven_numbers_of_a_guard_written_down_by_hand() -> None:
    guard = new_record(Guard)
    guard.equity, guard.peak_equity, guard.week_peak = 900.0, 1_200.0, 1_000.0
    guard.closed, guard.losses, guard.wins = 4, 2, 3
    guard.results[:4] = [30.0, 60.0, -9.0, -45.0]
    state = equity_state(guard, params_of(600.0))
    # 300 below 1,200; 900 of 600; 2 of 4; 2 in a row; 3 in a row; 100 below 1,000; mean 9 of 900.
    assert state == pytest.approx((25.0, 1.5, 0.5, 2.0, 3.0, 10.0, 1.0), rel=1e-12)
    assert len(state) == len(EQUITY_STATE) == 7


def test_a_fresh_account_is_even() -> None:
    assert tuple(Life().state.values()) == (0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0)


def test_streaks_end_each_other() -> None:
    life = Life().trades(5.0, 5.0, 5.0)
    assert (life.state["consecutive_wins"], life.state["consecutive_losses"]) == (3.0, 0.0)
    life.trades(-5.0)
    assert (life.state["consecutive_wins"], life.state["consecutive_losses"]) == (0.0, 1.0)


def test_breaking_even_is_not_lost() -> None:
    assert Life().trades(0.0).state["win_rate_recent"] == 1.0


def test_only_the_recent_trades_count() -> None:
    life = Life().trades(*[-1.0] * 30, *[2.0] * RECENT_TRADES)
    assert RECENT_TRADES <= RING
    assert life.state["win_rate_recent"] == 1.0
    assert life.state["equity_slope"] == pytest.approx(100.0 * 2.0 / life.guard.equity)
    assert life.trades(-1.0).state["win_rate_recent"] == 0.95


def test_the_drawdown_is_from_the_highest_equity_and_the_weeks_from_the_weeks() -> None:
    life = Life().trades(200.0, -120.0)
    assert life.state["drawdown_pct"] == life.state["weekly_drawdown_pct"] == pytest.approx(10.0)
    life.judge(7 * DAY)
    assert life.state["drawdown_pct"] == pytest.approx(10.0)
    assert life.state["weekly_drawdown_pct"] == 0.0


def test_floating_profit_counts_in_the_peak() -> None:
    life = Life()
    life.account.balance = 1_250.0
    life.judge()
    life.account.balance = 1_000.0
    assert life.judge().state["drawdown_pct"] == pytest.approx(20.0)


def test_a_deposit_is_no_result() -> None:
    life, untouched = Life().trades(10.0, -5.0), Life().trades(10.0, -5.0)
    life.account.balance += 500.0
    life.judge(), untouched.judge()
    for name in ("win_rate_recent", "consecutive_losses", "consecutive_wins"):
        assert life.state[name] == untouched.state[name], name
    # The same results in dollars, in percent of an equity that has grown.
    assert life.state["equity_slope"] == pytest.approx(100.0 * 2.5 / life.guard.equity)
    assert life.state["drawdown_pct"] == 0.0


@pytest.mark.parametrize("scale", [0.01, 7.0, 1e6])
def test_the_size_of_the_account_does_not_matter(scale: float) -> None:
    results = [30.0, -80.0, 12.5, -7.0, 0.0, 55.0]
    small, large = Life().trades(*results), Life(START * scale).trades(*(scale * net for net in results))
    assert tuple(large.state.values()) == pytest.approx(tuple(small.state.values()), rel=1e-12)
