"""Margin, profit and rates of the simulated terminal beyond what the contract asks of every stand-in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.mt5.terminal import BTCUSD, START, market, quote_market, stage
from tests.helpers.paper_runs import settings_with
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.markets.history import period_starts
from trading.brokers.simulated.markets.market import volume_scale
from trading.brokers.simulated.markets.symbols import EURJPY, EURUSD, USDJPY
from trading.brokers.simulated.opening import terms_from_settings

MARGINS = {
    C.SYMBOL_CALC_MODE_FOREX: 2.0 * 10.0 / 100.0,
    C.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE: 2.0 * 10.0,
    C.SYMBOL_CALC_MODE_CFD: 2.0 * 10.0 * 50.0,
    C.SYMBOL_CALC_MODE_CFDLEVERAGE: 2.0 * 10.0 * 50.0 / 100.0,
    C.SYMBOL_CALC_MODE_FUTURES: 2.0 * 333.0,
}


@pytest.mark.parametrize("mode", MARGINS)
def test_25_every_calculation_mode_has_its_margin(mode: int) -> None:
    """Two lots of ten units at 50 USD with a leverage of 100; a future's margin is stated per lot."""
    spec = replace(BTCUSD, calc_mode=mode, contract_size=10.0, margin_initial=333.0)
    made = stage(quote_market(spec, 50.0))
    assert made.mt5.order_calc_margin(0, "BTCUSD", 2.0, 50.0) == pytest.approx(MARGINS[mode])


def test_26_a_cross_is_converted_by_its_profit_currency() -> None:
    made = stage(quote_market(EURJPY, 160.0), quote_market(USDJPY, 150.0), quote_market(EURUSD, 1.07))
    assert made.mt5.order_calc_profit(0, "EURJPY", 1.0, 160.0, 160.3) == pytest.approx(30_000.0 / 150.0)
    assert made.mt5.order_calc_margin(0, "EURJPY", 1.0, 160.0) == pytest.approx(100_000.0 / 100.0 * 1.07)


def test_without_a_rate_for_the_margin_nothing_is_opened() -> None:
    made = stage(quote_market(EURJPY, 160.0))
    assert made.mt5.order_calc_margin(0, "EURJPY", 1.0, 160.0) is None
    assert made.deal(0, 0.1, symbol="EURJPY").retcode == 10021


@pytest.mark.parametrize("kind", [0, 1])
def test_netting_refuses_what_cannot_be_paid_and_keeps_what_is_held(kind: int) -> None:
    made = stage(balance=600.0, terms=AccountTerms(leverage=100, margin_mode=0))
    made.deal(0, 1.0)
    before = made.position
    assert made.deal(kind, 3.0 + kind).retcode == 10019
    assert made.position == before


def test_netting_keeps_the_levels_of_the_newest_order() -> None:
    made = stage(terms=AccountTerms(leverage=100, margin_mode=0))
    made.deal(0, 0.1, sl=49_000.0)
    made.deal(0, 0.1, sl=49_500.0, tp=51_000.0)
    assert (made.position.sl, made.position.tp) == (49_500.0, 51_000.0)
    change = {"action": 6, "symbol": "BTCUSD", "sl": 49_600.0, "tp": 0.0}
    assert made.send(**change).retcode == 10009, "a netting account needs no ticket"
    assert made.position.sl == 49_600.0


def test_weeks_begin_on_sunday_and_months_on_the_first() -> None:
    made = stage()
    week = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_W1, 0, 1)
    month = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_MN1, 0, 1)
    assert week is not None and month is not None
    assert week["time"].tolist() == [1_703_980_800], "2023-12-31, a Sunday"
    assert month["time"].tolist() == [1_704_067_200], "2024-01-01"
    assert period_starts(week["time"], 604_800).tolist() == week["time"].tolist()


def test_there_is_nothing_finer_than_the_bars_given() -> None:
    made = stage()
    assert made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M5, 0, 1) is None
    assert made.mt5.last_error()[0] == -1


@pytest.mark.parametrize("volume", [269.627, 1.0, 0.00000001, 123_456.78])
def test_no_volume_is_lost_in_whole_ticks(volume: float) -> None:
    scale = volume_scale(np.array([volume, 3.0]))
    assert round(volume * scale) / scale == volume


def test_the_account_s_terms_come_from_the_settings() -> None:
    account = {"leverage": 200, "margin_call_level": 80, "stop_out_level": 20}
    terms = terms_from_settings(settings_with(account=account, account_type="cent"))
    assert (terms.currency, terms.leverage, terms.margin_call, terms.stop_out) == ("USC", 200, 80.0, 20.0)
    assert terms_from_settings(settings_with()).currency == "USD"


def test_a_market_that_has_not_begun_shows_its_history_only() -> None:
    made = stage(market(first=3), begin=False)
    tick = made.mt5.symbol_info_tick("BTCUSD")
    assert tick is not None and tick.time == START + 3 * 900
    rows = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 1, 9)
    assert rows is not None and rows["time"].tolist() == [START, START + 900, START + 1800]
    assert made.server.deposit == 10_000.0
