"""What every stand-in for the MetaTrader 5 module must say of the market; numbers as in `mt5_module`."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from novosky.market.server_time import ServerClock
from tests.contracts.mt5_module import Build, ContractBase
from tests.helpers.mt5.terminal import BAR, BTCUSD, NEW_YORK, QUIET, START, UP, market, quote_market
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.faults import call_failed, nothing_yet, terminal_restart
from trading.brokers.simulated.functions.views import Installation
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import EURJPY, EURUSD


def rows(count: int) -> list[tuple[float, float, float, float]]:
    """Return bars of which no two are alike."""
    return [(50_000.0 + k, 50_020.0 + k, 49_980.0 + k, 50_005.0 + k) for k in range(count)]


class MarketDataContract(ContractBase):
    """Bars, ticks and symbols."""

    def test_16_the_last_row_is_forming(self, build: Build) -> None:
        made = build(market(rows=rows(8)))
        for _ in range(3):
            made.server.advance()
        whole = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 5)
        assert (np.diff(whole["time"]) > 0).all() and (whole["time"] % BAR == 0).all()
        assert whole["time"][-1] == made.mt5.symbol_info_tick("BTCUSD").time
        closed = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 1, 4)
        assert closed.tolist() == whole[:-1].tolist()
        assert made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 1, 1)[0] == whole[-2]
        assert closed["close"].tolist() == [50_005.0, 50_006.0, 50_007.0, 50_008.0]

    def test_16_a_forming_bar_knows_nothing_of_its_future(self, build: Build) -> None:
        made = build(market(rows=[QUIET, UP, QUIET]))
        made.deal()
        forming = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 1)[0]
        assert [forming[name] for name in ("time", "open", "high", "low", "close")] == [START + BAR] + [50_000.0] * 4
        made.server.advance()
        assert made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 1, 1)[0]["high"] == 50_150.0

    def test_16_higher_timeframes_gather_bars_on_the_server_s_clock(self, build: Build) -> None:
        made = build(market(rows=rows(12)))
        while not made.server.at_end:
            made.server.advance()
        hours = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_H1, 1, 5)
        assert hours["time"].tolist() == [START, START + 3600, START + 7200]
        assert hours["open"].tolist() == [50_000.0, 50_004.0, 50_008.0]
        assert hours["high"].tolist() == [50_023.0, 50_027.0, 50_031.0]
        assert hours["close"].tolist() == [50_008.0, 50_012.0, 50_016.0]
        day = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_D1, 0, 1)
        assert day["time"][0] % 86_400 == 0 and day["low"][0] == 49_980.0

    def test_16_a_timeframe_is_a_code_not_minutes(self, build: Build) -> None:
        mt5 = build().mt5
        assert mt5.copy_rates_from_pos("BTCUSD", 60, 0, 1) is None
        assert mt5.last_error()[0] == -2

    def test_17_a_range_includes_both_its_ends(self, build: Build) -> None:
        made = build(market(rows=rows(8)))
        for _ in range(4):
            made.server.advance()
        found = made.mt5.copy_rates_range("BTCUSD", C.TIMEFRAME_M15, START + BAR, START + 3 * BAR)
        assert found["time"].tolist() == [START + BAR, START + 2 * BAR, START + 3 * BAR]
        back = made.mt5.copy_rates_from("BTCUSD", C.TIMEFRAME_M15, START + 2 * BAR + 5, 2)
        assert back["time"].tolist() == [START + BAR, START + 2 * BAR]

    def test_18_a_date_in_seconds_and_in_utc_are_the_same(self, build: Build) -> None:
        made = build(market(rows=rows(8)))
        made.server.advance()
        moment = datetime.fromtimestamp(START, tz=UTC)
        for date in (START, moment):
            assert made.mt5.copy_rates_from("BTCUSD", C.TIMEFRAME_M15, date, 1)["time"].tolist() == [START]

    @pytest.mark.skipif(not hasattr(time, "tzset"), reason="the host's time zone cannot be changed on this system")
    def test_18_a_date_without_a_zone_shifts_with_the_host(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        made = build(market(rows=rows(8)))
        made.server.advance()
        naive = datetime.fromtimestamp(START + BAR, tz=UTC).replace(tzinfo=None)
        found = []
        before = os.environ.get("TZ")
        for zone in ("UTC", "Etc/GMT-1"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            found.append(made.mt5.copy_rates_from("BTCUSD", C.TIMEFRAME_M15, naive, 1))
        monkeypatch.undo()
        assert os.environ.get("TZ") == before
        time.tzset()
        assert found[0]["time"].tolist() == [START + BAR] and found[1] is None

    @pytest.mark.parametrize(
        ("rule", "moment", "hours"),
        [
            ("NewYork+7", "2024-03-08T12:00Z", 2),
            ("NewYork+7", "2024-03-11T12:00Z", 3),
            ("NewYork+7", "2024-03-29T12:00Z", 3),
            ("NewYork+7", "2024-11-01T12:00Z", 3),
            ("NewYork+7", "2024-11-04T12:00Z", 2),
            ("Europe/Athens", "2024-03-11T12:00Z", 2),
            ("Europe/Athens", "2024-10-28T12:00Z", 2),
            ("UTC", "2024-07-01T12:00Z", 0),
        ],
    )
    def test_19_every_stamp_is_the_server_s_wall_clock(self, build: Build, rule: str, moment: str, hours: int) -> None:
        start = int(datetime.fromisoformat(moment).timestamp())
        stamps = Stamps(ServerClock(rule))
        made = build(market(rows=[QUIET] * 4, start=start, stamps=stamps))
        made.deal()
        wall = start + BAR + 3600 * hours
        position, deal = made.position, made.deals()[0]
        assert made.mt5.symbol_info_tick("BTCUSD").time_msc == 1000 * wall
        assert made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 1)["time"][0] == wall
        assert made.mt5.copy_ticks_from("BTCUSD", wall, 1, C.COPY_TICKS_ALL)["time"][0] == wall
        assert (position.time, position.time_msc, position.time_update) == (wall, 1000 * wall, wall)
        assert (deal.time, deal.time_msc) == (wall, 1000 * wall)
        (order,) = made.mt5.history_orders_get(ticket=deal.order)
        assert (order.time_setup, order.time_done, order.time_expiration) == (wall, wall, 0)
        assert made.server.stamps.clock.to_utc(np.array([deal.time])).tolist() == [start + BAR]

    def test_19_bars_stay_unique_where_the_clock_is_set_back(self, build: Build) -> None:
        """New York repeats an hour on 2024-11-03; a history keyed by time keeps one bar per stamp."""
        start = int(pd.Timestamp("2024-11-03T05:00Z").timestamp())
        made = build(market(rows=rows(12), start=start, stamps=NEW_YORK))
        while not made.server.at_end:
            made.server.advance()
        found = made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 1, 20)
        assert len(found) == 8 and (np.diff(found["time"]) == BAR).all()
        assert found["tick_volume"].sum() == 12

    def test_20_an_unselected_symbol_has_no_tick(self, build: Build) -> None:
        made = build(installation=Installation(selection_delay=2.0), select=False)
        mt5 = made.mt5
        assert mt5.symbol_info_tick("BTCUSD") is None and mt5.last_error()[0] == -4
        assert mt5.symbol_info("BTCUSD").select is False
        assert made.deal().retcode == 10021
        assert mt5.symbol_select("BTCUSD", True) is True
        assert mt5.symbol_info_tick("BTCUSD").bid == 0.0
        made.server.wait(2.0)
        assert mt5.symbol_info_tick("BTCUSD").bid == 50_000.0
        assert made.deal().retcode == 10009
        assert mt5.symbol_select("BTCUSD", False) is False, "a position holds it"
        assert made.close(made.position).retcode == 10009
        assert mt5.symbol_info_tick("BTCUSD").bid == 50_000.0, "what was refused has changed nothing"
        assert mt5.symbol_select("BTCUSD", False) is True
        assert mt5.symbol_info_tick("BTCUSD") is None and mt5.last_error()[0] == -4

    def test_20_a_selection_outlasts_the_position_that_kept_the_symbol_in_view(self, build: Build) -> None:
        made = build(installation=Installation(selection_delay=2.0), select=False)
        assert made.mt5.symbol_select("BTCUSD", True)
        made.server.wait(2.0)
        made.deal()
        made.faults.plan(terminal_restart("account_info"))
        assert made.mt5.account_info() is None and made.mt5.initialize()
        assert made.mt5.symbol_select("BTCUSD", True) is True
        assert made.mt5.symbol_info_tick("BTCUSD").bid == 50_000.0, "and need no waiting for"
        made.close(made.position)
        assert made.mt5.symbol_info_tick("BTCUSD").bid == 50_000.0

    def test_20_a_symbol_out_of_view_has_neither_bars_nor_ticks(self, build: Build) -> None:
        mt5 = build(select=False).mt5
        for call in (
            lambda: mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 2),
            lambda: mt5.copy_rates_range("BTCUSD", C.TIMEFRAME_M15, 0, 2**31),
            lambda: mt5.copy_ticks_from("BTCUSD", START, 2, C.COPY_TICKS_ALL),
        ):
            assert call() is None and mt5.last_error()[0] == -4
        assert mt5.symbol_select("BTCUSD", True)
        assert len(mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 2)) == 2

    def test_21_the_first_deep_request_fails_and_the_second_does_not(self, build: Build) -> None:
        made = build()
        made.faults.plan(call_failed("copy_rates_from_pos"))
        assert made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 2) is None
        assert made.mt5.last_error() == (-1, "Terminal: Call failed")
        assert len(made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 2)) == 2

    def test_21_the_history_can_be_empty_right_after_a_login(self, build: Build) -> None:
        made = build()
        made.faults.plan(nothing_yet("history_deals_get"))
        assert made.mt5.history_deals_get(0, 2**31) == ()
        assert len(made.mt5.history_deals_get(0, 2**31)) == 1, "the deposit"

    def test_22_more_bars_than_the_chart_holds_are_refused(self, build: Build) -> None:
        made = build(installation=Installation(maxbars=3))
        assert made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 4) is None
        assert made.mt5.last_error()[0] == -1
        assert made.mt5.terminal_info().maxbars == 3
        assert len(made.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 0, 2)) == 2

    def test_23_frozen_quotes_repeat_the_last_tick(self, build: Build) -> None:
        made = build(market(rows=rows(5)))
        made.server.freeze_quotes()
        stale = made.mt5.symbol_info_tick("BTCUSD")
        made.server.advance()
        assert made.mt5.symbol_info_tick("BTCUSD") == stale
        made.server.thaw_quotes()
        assert made.mt5.symbol_info_tick("BTCUSD").time == stale.time + BAR

    def test_24_group_masks_are_applied_from_left_to_right(self, build: Build) -> None:
        made = build(market(), quote_market(EURUSD, 1.1), quote_market(EURJPY, 150.0))

        def names(group: str) -> list[str]:
            return [symbol.name for symbol in made.mt5.symbols_get(group)]

        assert names("*") == ["BTCUSD", "EURUSD", "EURJPY"]
        assert names("*,!*USD*") == ["EURJPY"]
        assert names("*USD*,!EUR*") == ["BTCUSD"]
        assert names("EURUSD") == ["EURUSD"]
        assert names("*,!EUR") == ["BTCUSD", "EURUSD", "EURJPY"], "no wildcard, no match"
        assert made.mt5.symbols_total() == 3
        assert [symbol.name for symbol in made.mt5.symbols_get(group="E*")] == ["EURUSD", "EURJPY"]

    def test_ticks_are_ascending_and_never_of_the_future(self, build: Build) -> None:
        made = build(market(rows=rows(6)))
        made.deal()
        ticks = made.mt5.copy_ticks_range("BTCUSD", START, START + 10 * BAR, C.COPY_TICKS_INFO)
        assert ticks["bid"].tolist() == [50_000.0, 50_005.0, 50_001.0]
        assert (ticks["ask"] - ticks["bid"] == 10.0).all() and (np.diff(ticks["time_msc"]) >= 0).all()
        assert (ticks["flags"] & 6 == 6).all()
        assert len(made.mt5.copy_ticks_from("BTCUSD", START, 9, C.COPY_TICKS_TRADE)) == 0

    def test_the_depth_of_market_lists_sells_first(self, build: Build) -> None:
        mt5 = build().mt5
        assert mt5.market_book_get("BTCUSD") is None
        assert mt5.market_book_add("BTCUSD") is True
        sell, buy = mt5.market_book_get("BTCUSD")
        assert (sell.type, sell.price, buy.type, buy.price) == (1, 50_010.0, 2, 50_000.0)
        assert mt5.market_book_release("BTCUSD") is True
        assert mt5.market_book_get("BTCUSD") is None

    def test_the_symbol_states_its_contract(self, build: Build) -> None:
        info = build(market(BTCUSD)).mt5.symbol_info("BTCUSD")
        assert (info.digits, info.point, info.trade_tick_size, info.spread) == (2, 0.01, 0.01, 1_000)
        assert (info.volume_min, info.volume_max, info.volume_step) == (0.01, 100.0, 0.01)
        assert (info.trade_tick_value, info.trade_contract_size) == (0.01, 1.0)
