"""Day, week, streaks, pauses and the halt: when each latches, and the very second it lets go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.breakers import judge_close, start_guard
from engine.gates import failing_gates, gate_names
from engine.records import FOREVER, Account, Guard, Params, from_bytes, new_record, to_bytes
from tests.engine.market import BAR, DAY, FRIDAY, MONDAY, WEDNESDAY, neutral_params, one_candidate

HOUR = 3_600
START = 10_000.0


class Life:
    """An account whose trades and prices the test dictates, judged at the closes the test names."""

    def __init__(self, time: int = WEDNESDAY, balance: float = START, **limits: Any) -> None:
        self.params: Params = neutral_params(**{"starting_balance": balance, **limits})
        self.account: Account = new_record(Account)
        self.account.balance = balance
        self.guard: Guard = new_record(Guard)
        start_guard(self.guard, self.params, time, balance)

    def judge(self, time: int, bid: float = 50_000.0) -> list[str]:
        """Judge the close at `time` and return the gates that a perfect candidate fails there."""
        judge_close(self.account, self.guard, self.params, time, bid, 0.0)
        return gate_names(int(failing_gates(one_candidate(), self.guard, self.params, 0.0, 0)))

    def trade(self, net: float, time: int) -> list[str]:
        """Book a closed position that ended in the bar closing at `time`, and judge that close."""
        self.account.balance += net
        self.account.last_net = net
        self.account.closed += 1
        self.account.side = 0
        return self.judge(time)

    def hold(self, entry_price: float = 50_000.0) -> None:
        """Open one long lot of one unit."""
        self.account.side = 1
        self.account.volume = 1.0
        self.account.entry_price = entry_price


def test_breaker_closes_after_the_last_allowed_loss() -> None:
    life = Life(max_consecutive_losses=3)
    assert life.trade(-1.0, WEDNESDAY + 1 * HOUR) == []
    assert life.trade(-1.0, WEDNESDAY + 2 * HOUR) == []
    assert life.trade(-1.0, WEDNESDAY + 3 * HOUR) == ["circuit_breaker"]


def test_breaking_even_is_no_loss() -> None:
    life = Life(max_consecutive_losses=1)
    assert life.trade(0.0, WEDNESDAY + HOUR) == []
    assert life.trade(-0.01, WEDNESDAY + 2 * HOUR) == ["circuit_breaker"]


def test_breaker_opens_at_midnight_and_not_a_bar_before() -> None:
    life = Life(max_consecutive_losses=1)
    assert life.trade(-1.0, WEDNESDAY + 1 * HOUR) == ["circuit_breaker"]
    assert life.judge(WEDNESDAY + DAY - BAR) == ["circuit_breaker"]
    assert life.judge(WEDNESDAY + DAY) == []


def test_win_between_losses_starts_the_count_again() -> None:
    life = Life(max_consecutive_losses=2)
    for k, net in enumerate([-1.0, 5.0, -1.0]):
        assert life.trade(net, WEDNESDAY + (k + 1) * HOUR) == []
    assert life.trade(-1.0, WEDNESDAY + 4 * HOUR) == ["circuit_breaker"]


def test_loss_in_the_bar_that_closes_at_midnight_is_yesterdays() -> None:
    life = Life(max_consecutive_losses=1)
    assert life.trade(-1.0, WEDNESDAY + DAY) == []
    assert life.guard.losses == 1


def test_loss_in_the_first_bar_after_midnight_is_todays() -> None:
    life = Life(max_consecutive_losses=1)
    assert life.judge(WEDNESDAY + DAY) == []
    assert life.trade(-1.0, WEDNESDAY + DAY + BAR) == ["circuit_breaker"]


def test_loss_after_a_gap_over_midnight_is_todays() -> None:
    """No bar closed at midnight itself; the loss came with the first bar of the new day."""
    life = Life(max_consecutive_losses=1)
    assert life.judge(WEDNESDAY + DAY - 2 * HOUR) == []
    assert life.trade(-1.0, WEDNESDAY + DAY + BAR) == ["circuit_breaker"]
    assert life.judge(WEDNESDAY + 2 * DAY - BAR) == ["circuit_breaker"]
    assert life.judge(WEDNESDAY + 2 * DAY) == []


def test_yesterdays_losses_are_gone_after_a_gap_over_midnight() -> None:
    life = Life(max_consecutive_losses=1)
    assert life.trade(-1.0, WEDNESDAY + DAY - 2 * HOUR) == ["circuit_breaker"]
    assert life.judge(WEDNESDAY + DAY + 5 * BAR) == []


def test_streaks_for_the_risk_model_survive_midnight() -> None:
    life = Life()
    for k in range(4):
        life.trade(-1.0, WEDNESDAY + DAY - 2 * HOUR + k * HOUR)
    assert (life.guard.losses, life.guard.day_losses, life.guard.wins) == (4, 1, 0)
    life.trade(2.0, WEDNESDAY + DAY + 3 * HOUR)
    assert (life.guard.losses, life.guard.day_losses, life.guard.wins) == (0, 0, 1)


def test_daily_loss_counts_what_floats() -> None:
    life = Life(max_daily_loss=0.02)
    life.hold()
    assert life.judge(WEDNESDAY + HOUR, 49_800.01) == []
    assert life.judge(WEDNESDAY + 2 * HOUR, 49_800.0) == ["daily_loss"]


def test_daily_loss_counts_accrued_swap() -> None:
    life = Life(max_daily_loss=0.02)
    life.hold()
    life.account.swap = -200.0
    assert life.judge(WEDNESDAY + HOUR) == ["daily_loss"]


def test_daily_loss_adds_booked_and_floating() -> None:
    life = Life(max_daily_loss=0.02)
    assert life.trade(-150.0, WEDNESDAY + HOUR) == []
    life.hold()
    assert life.judge(WEDNESDAY + 2 * HOUR, 49_950.0) == ["daily_loss"]


def test_daily_loss_stays_when_the_price_recovers() -> None:
    life = Life(max_daily_loss=0.02)
    life.hold()
    assert life.judge(WEDNESDAY + HOUR, 49_800.0) == ["daily_loss"]
    assert life.judge(WEDNESDAY + 2 * HOUR, 50_500.0) == ["daily_loss"]


def test_daily_loss_is_measured_from_the_days_opening_equity() -> None:
    life = Life(max_daily_loss=0.02)
    life.hold()
    life.judge(WEDNESDAY + DAY, 50_400.0)
    # 10,400 opened the day: 208 USD are two percent, and the trade as a whole is still winning.
    assert life.judge(WEDNESDAY + DAY + BAR, 50_192.01) == []
    assert life.judge(WEDNESDAY + DAY + 2 * BAR, 50_192.0) == ["daily_loss"]


def test_new_day_forgets_the_daily_loss_at_midnight() -> None:
    life = Life(max_daily_loss=0.02)
    assert life.trade(-500.0, WEDNESDAY + HOUR) == ["daily_loss"]
    assert life.judge(WEDNESDAY + DAY - BAR) == ["daily_loss"]
    assert life.judge(WEDNESDAY + DAY) == []


def test_loss_over_a_closed_market_belongs_to_the_new_day() -> None:
    life = Life(max_daily_loss=0.02)
    life.hold()
    assert life.judge(WEDNESDAY + DAY - HOUR) == []
    assert life.judge(WEDNESDAY + DAY + BAR, 49_700.0) == ["daily_loss"]


def test_weekly_pause_lasts_until_monday_midnight() -> None:
    life = Life(max_weekly_drawdown=0.05)
    assert life.trade(-500.0, WEDNESDAY + HOUR) == ["weekly_drawdown"]
    assert life.judge(WEDNESDAY + DAY) == ["weekly_drawdown"]
    assert life.judge(MONDAY - BAR) == ["weekly_drawdown"]
    assert life.judge(MONDAY) == []


def test_weekly_pause_ends_with_the_first_bar_after_a_weekend_gap() -> None:
    life = Life(max_weekly_drawdown=0.05)
    assert life.trade(-500.0, FRIDAY + 20 * HOUR) == ["weekly_drawdown"]
    assert life.judge(MONDAY + BAR) == []


def test_loss_over_the_weekend_belongs_to_the_new_week() -> None:
    life = Life(max_weekly_drawdown=0.05)
    life.hold()
    assert life.judge(FRIDAY + 20 * HOUR) == []
    assert life.judge(MONDAY + BAR, 49_500.0) == ["weekly_drawdown"]


def test_weekly_drawdown_is_measured_from_the_weeks_peak() -> None:
    life = Life(max_weekly_drawdown=0.05)
    life.hold()
    assert life.judge(WEDNESDAY + HOUR, 51_000.0) == []
    assert life.judge(WEDNESDAY + 2 * HOUR, 50_450.01) == []
    assert life.judge(WEDNESDAY + 3 * HOUR, 50_450.0) == ["weekly_drawdown"]


def test_last_weeks_peak_is_forgotten() -> None:
    life = Life(max_weekly_drawdown=0.05)
    life.hold()
    life.judge(WEDNESDAY + HOUR, 52_000.0)
    life.judge(MONDAY, 51_500.0)
    assert life.judge(MONDAY + BAR, 51_000.0) == []


@pytest.mark.parametrize("offset", [0, 1, DAY, 3 * DAY + 7 * HOUR, 7 * DAY - 1])
def test_fresh_guard_knows_the_next_midnight_and_monday(offset: int) -> None:
    life = Life(MONDAY + offset)
    assert life.guard.next_day == MONDAY + (offset // DAY + 1) * DAY
    assert life.guard.next_week == MONDAY + 7 * DAY


def test_halt_is_strictly_below_its_limit() -> None:
    life = Life(max_total_drawdown=0.3)
    life.hold()
    assert life.judge(WEDNESDAY + HOUR, 47_000.0) == []
    assert life.judge(WEDNESDAY + 2 * HOUR, 46_999.99) == ["hard_halt"]


def test_halt_is_measured_from_the_starting_balance_not_the_peak() -> None:
    life = Life(max_total_drawdown=0.3)
    assert life.trade(10_000.0, WEDNESDAY + HOUR) == []
    assert life.trade(-13_000.0, WEDNESDAY + 2 * HOUR) == []
    assert life.trade(-0.01, WEDNESDAY + 3 * HOUR) == ["hard_halt"]


def test_halt_outlives_days_weeks_and_recovery() -> None:
    life = Life(max_total_drawdown=0.3)
    life.trade(-3_500.0, WEDNESDAY + HOUR)
    life.trade(9_000.0, WEDNESDAY + 2 * HOUR)
    for time in (WEDNESDAY + DAY, MONDAY, MONDAY + 7 * DAY, MONDAY + 365 * DAY):
        assert life.judge(time) == ["hard_halt"]


def test_halt_survives_a_restart() -> None:
    life = Life(max_total_drawdown=0.3)
    life.trade(-3_500.0, WEDNESDAY + HOUR)
    life.guard = from_bytes(Guard, to_bytes(life.guard))
    life.account.balance = START
    assert life.judge(WEDNESDAY + 2 * HOUR) == ["hard_halt"]


def test_halt_lifts_when_the_starting_balance_is_changed() -> None:
    life = Life(max_total_drawdown=0.3)
    assert life.trade(-3_500.0, WEDNESDAY + HOUR) == ["hard_halt"]
    life.params.starting_balance = 6_500.0
    assert life.judge(WEDNESDAY + 2 * HOUR) == []
    assert life.trade(-1_950.01, WEDNESDAY + 3 * HOUR) == ["hard_halt"]


def test_halt_holds_when_the_changed_starting_balance_is_still_too_high() -> None:
    life = Life(max_total_drawdown=0.3)
    assert life.trade(-3_500.0, WEDNESDAY + HOUR) == ["hard_halt"]
    life.params.starting_balance = 9_500.0
    assert life.judge(WEDNESDAY + 2 * HOUR) == ["hard_halt"]


def test_account_that_begins_below_its_halt_never_trades() -> None:
    """The configured starting balance is 10,000, the account holds 5,000: nothing has moved, all is lost."""
    life = Life(balance=5_000.0, starting_balance=10_000.0, max_total_drawdown=0.3)
    assert life.judge(WEDNESDAY + BAR) == ["hard_halt"]


def paused_life() -> Life:
    return Life(equity_curve=1, equity_curve_trades=4, equity_curve_drawdown=0.01, equity_curve_pause=6 * HOUR)


def test_pause_when_the_balance_falls_below_its_own_mean() -> None:
    life = paused_life()
    for k in range(4):
        assert life.trade(0.0, WEDNESDAY + (k + 1) * HOUR) == []
    # Mean (10,000 * 3 + 9,867) / 4 = 9,966.75, less one percent 9,867.08: just under it.
    assert life.trade(-133.0, WEDNESDAY + 5 * HOUR) == ["equity_curve"]


def test_no_pause_a_little_above_that() -> None:
    life = paused_life()
    for k in range(4):
        life.trade(0.0, WEDNESDAY + (k + 1) * HOUR)
    assert life.trade(-132.0, WEDNESDAY + 5 * HOUR) == []


def test_no_pause_before_there_are_enough_trades() -> None:
    life = paused_life()
    for k in range(3):
        assert life.trade(-500.0, WEDNESDAY + (k + 1) * HOUR) == []


def test_pause_ends_by_the_clock() -> None:
    """Without trades the curve cannot recover, so only time can end the pause."""
    life = paused_life()
    for k in range(4):
        life.trade(-200.0, WEDNESDAY + (k + 1) * HOUR)
    assert life.judge(WEDNESDAY + 10 * HOUR - BAR) == ["equity_curve"]
    assert life.judge(WEDNESDAY + 10 * HOUR) == []


def test_pause_remembers_only_the_last_trades() -> None:
    """More trades than the ring holds: balances of long ago have left the mean."""
    life = paused_life()
    for k in range(100):
        life.trade(1_000.0, WEDNESDAY + (k + 1) * BAR)
    for k in range(100, 104):
        life.trade(0.0, WEDNESDAY + (k + 1) * BAR)
    # The last four balances are all 110,000: the years below it do not count.
    assert life.trade(-1_400.0, WEDNESDAY + 105 * BAR) == []
    assert life.trade(-1_000.0, WEDNESDAY + 106 * BAR) == ["equity_curve"]


def test_equity_is_the_balance_when_flat_and_floats_when_not() -> None:
    life = Life()
    life.judge(WEDNESDAY + BAR)
    assert life.guard.equity == START
    life.hold()
    life.account.swap = -3.0
    life.judge(WEDNESDAY + 2 * BAR, 50_100.0)
    assert life.guard.equity == START + 97.0
    assert life.guard.peak_equity == START + 97.0


def test_infinite_limits_block_nobody_however_low_the_account() -> None:
    life = Life()
    assert life.trade(-START, WEDNESDAY + HOUR) == []
    assert life.judge(WEDNESDAY + DAY) == []


def test_breakers_hold_on_an_account_below_zero() -> None:
    life = Life(max_daily_loss=0.02, max_weekly_drawdown=0.05, max_total_drawdown=0.3)
    blocked = ["daily_loss", "weekly_drawdown", "hard_halt"]
    assert life.trade(-START - 500.0, WEDNESDAY + HOUR) == blocked
    assert set(life.judge(WEDNESDAY + DAY)) >= {"weekly_drawdown", "hard_halt"}


def test_guard_before_any_trade_blocks_nobody() -> None:
    life = Life(max_consecutive_losses=1, max_daily_loss=0.01, max_weekly_drawdown=0.01, max_total_drawdown=0.01)
    assert life.judge(WEDNESDAY + BAR) == []
    assert life.guard.closed == 0


def test_guard_bytes_of_another_layout_are_refused() -> None:
    with pytest.raises(ValueError, match="Guard takes"):
        from_bytes(Guard, to_bytes(new_record(Guard)) + b"\0")


def test_time_never_overflows_the_validity_limit() -> None:
    assert np.iinfo(np.int64).max > FOREVER > MONDAY + 1_000 * 365 * DAY
