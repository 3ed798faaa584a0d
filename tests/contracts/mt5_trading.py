"""What every stand-in for the MetaTrader 5 module must do with orders; numbers as in `mt5_module`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.mt5_module import Build, ContractBase
from tests.helpers.mt5.terminal import BTCUSD, DOWN, MAGIC, QUIET, UP, market, market_request, quote_market
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.markets.symbols import EURJPY, EURUSD, USDJPY


class CalculationContract(ContractBase):
    """Margin, profit and the identities of the account."""

    def test_25_margins_are_those_of_the_recorded_vectors(self, build: Build) -> None:
        made = build(quote_market(EURUSD, 1.0991), quote_market(USDJPY, 108.0), quote_market(EURJPY, 118.7))
        mt5 = made.mt5
        assert mt5.order_calc_margin(0, "USDJPY", 0.1, 108.0) == pytest.approx(100.00)
        assert mt5.order_calc_margin(0, "EURUSD", 0.1, 1.0991) == pytest.approx(109.91)
        assert mt5.order_calc_margin(1, "EURJPY", 0.1, 118.7) == pytest.approx(109.91)
        assert mt5.order_calc_margin(2, "EURUSD", 0.1, 1.0991) is None, "only buying and selling have a margin"

    def test_25_leverage_divides_the_margin(self, build: Build) -> None:
        made = build(quote_market(EURUSD, 1.195, leverage=500.0), terms=AccountTerms(leverage=500))
        assert made.mt5.order_calc_margin(0, "EURUSD", 0.01, 1.195) == pytest.approx(2.39)

    def test_26_profits_are_those_of_the_recorded_vectors(self, build: Build) -> None:
        mt5 = build(quote_market(EURUSD, 1.1), quote_market(USDJPY, 108.0)).mt5
        assert mt5.order_calc_profit(0, "EURUSD", 1.0, 1.1, 1.103) == pytest.approx(300.00)
        assert mt5.order_calc_profit(1, "EURUSD", 1.0, 1.1, 1.103) == pytest.approx(-300.00)
        assert mt5.order_calc_profit(0, "USDJPY", 1.0, 108.183, 108.483) == pytest.approx(276.54, abs=0.005)

    def test_26_without_a_cross_rate_there_is_no_result(self, build: Build) -> None:
        made = build(quote_market(EURJPY, 160.0))
        assert made.mt5.order_calc_profit(0, "EURJPY", 1.0, 160.0, 161.0) is None
        assert made.mt5.symbol_info("EURJPY").trade_tick_value == 0.0

    def test_27_the_account_s_sums_belong_together(self, build: Build) -> None:
        rows = [(1.195, 1.195, 1.195, 1.195), (1.195, 1.197, 1.194, 1.19683)]
        made = build(
            market(EURUSD, rows + rows[1:], spread=0.0, leverage=500.0),
            balance=928.29,
            terms=AccountTerms(leverage=500),
        )
        empty = made.mt5.account_info()
        assert (empty.margin, empty.margin_level, empty.margin_free) == (0.0, 0.0, 928.29)
        made.deal(0, 0.01, symbol="EURUSD")
        made.server.advance()
        account = made.mt5.account_info()
        assert account.profit == pytest.approx(1.83)
        assert account.equity == pytest.approx(930.12)
        assert account.margin_free == pytest.approx(927.73)
        assert account.margin_level == pytest.approx(38_917.15, abs=0.005)

    def test_28_a_check_that_passes_answers_zero_and_the_account_after_it(self, build: Build) -> None:
        price = 51_193.67
        made = build(quote_market(BTCUSD, price, leverage=1.0), balance=68_319.53, terms=AccountTerms(leverage=1))
        result = made.mt5.order_check(market_request(volume=1.0))
        assert (result.retcode, result.comment) == (0, "Done")
        assert (result.balance, result.equity, result.profit) == (68_319.53, 68_319.53, 0.0)
        assert result.margin == pytest.approx(51_193.67)
        assert result.margin_free == pytest.approx(17_125.86)
        assert result.margin_level == pytest.approx(133.45, abs=0.005)
        assert result.request.volume == 1.0

    def test_28_a_check_adds_to_the_margin_in_use_and_changes_nothing(self, build: Build) -> None:
        made = build()
        made.deal(0, 0.1)
        before = made.mt5.account_info()
        result = made.mt5.order_check(market_request(volume=0.2))
        assert result.margin == pytest.approx(3 * before.margin)
        assert made.mt5.account_info() == before and len(made.positions) == 1

    def test_28_a_check_that_fails_names_the_code_alone(self, build: Build) -> None:
        made = build()
        result = made.mt5.order_check(market_request(volume=0.015))
        assert (result.retcode, result.comment, result.margin, result.balance) == (10014, "Invalid volume", 0.0, 0.0)

    def test_29_a_cent_account_counts_in_cents(self, build: Build) -> None:
        cents = AccountTerms(leverage=100, currency="USC")
        made = build(market(BTCUSD, [QUIET, QUIET, UP], commission_per_lot=3.0), balance=100.0, terms=cents)
        assert (made.mt5.account_info().currency, made.balance) == ("USC", 10_000.0)
        made.deal(0, 0.1)
        made.server.advance()
        assert made.position.profit == pytest.approx(-100.0), "the spread of 10 on a tenth of a lot is 1 USD"
        assert made.mt5.account_info().equity == made.balance + made.position.profit
        assert made.deals()[0].commission == -30.0
        assert made.mt5.symbol_info("BTCUSD").trade_tick_value == pytest.approx(1.0)
        assert made.mt5.order_calc_profit(0, "BTCUSD", 1.0, 50_000.0, 50_000.01) == pytest.approx(1.0)

    def test_29_a_broker_s_tick_value_can_contradict_its_profits(self, build: Build) -> None:
        made = build()
        made.server.respecify("BTCUSD", tick_value_factor=0.01)
        assert made.mt5.symbol_info("BTCUSD").trade_tick_value == pytest.approx(0.0001)
        assert made.mt5.order_calc_profit(0, "BTCUSD", 1.0, 50_000.0, 50_000.01) == pytest.approx(0.01)


class HedgingContract(ContractBase):
    """Trades on an account where every order opens a position of its own."""

    def test_30_a_market_buy_opens_a_position_at_the_ask(self, build: Build) -> None:
        made = build(market(rows=[QUIET, UP, QUIET]))
        result = made.deal(0, 0.1, sl=49_000.0, tp=51_000.0, comment="intent")
        assert (result.retcode, result.volume, result.price, result.comment) == (
            10009,
            0.1,
            50_010.0,
            "Request executed",
        )
        assert result.deal > 0 and result.order > 0 and result.request_id > 0
        assert (result.bid, result.ask) == (50_000.0, 50_010.0)
        position = made.position
        assert position.ticket == result.order == position.identifier
        assert (position.price_open, position.sl, position.tp) == (50_010.0, 49_000.0, 51_000.0)
        assert (position.type, position.reason, position.magic, position.comment) == (0, 3, MAGIC, "intent")
        assert position.profit == pytest.approx(-1.0)
        (deal,) = made.deals(ticket=result.order)
        assert (deal.ticket, deal.position_id, deal.entry, deal.reason) == (result.deal, position.identifier, 0, 3)
        (order,) = made.mt5.history_orders_get(ticket=result.order)
        assert (order.state, order.position_id, order.volume_current) == (4, position.identifier, 0.0)

    def test_30_a_market_sell_opens_a_position_at_the_bid(self, build: Build) -> None:
        made = build()
        assert made.deal(1, 0.1, sl=51_000.0).price == 50_000.0
        assert (made.position.type, made.position.tp, made.position.price_current) == (1, 0.0, 50_010.0)

    def test_31_stop_and_target_are_set_together(self, build: Build) -> None:
        made = build()
        made.deal(sl=49_000.0, tp=51_000.0)
        change = {"action": 6, "symbol": "BTCUSD", "position": made.position.ticket, "sl": 49_500.0, "tp": 51_000.0}
        result = made.send(**change)
        assert (result.retcode, result.deal, result.order) == (10009, 0, 0)
        assert (result.volume, result.price, result.bid, result.ask) == (0.0, 0.0, 0.0, 0.0)
        assert (made.position.sl, made.position.tp) == (49_500.0, 51_000.0)
        assert made.send(**change).retcode == 10025
        del change["tp"]
        assert made.send(**change).retcode == 10009
        assert (made.position.sl, made.position.tp) == (49_500.0, 0.0)

    def test_32_a_full_close_ends_the_position(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET, UP, UP], commission_per_lot=3.0))
        made.deal(0, 0.1)
        position, before = made.position, made.balance
        made.server.advance()
        made.server.advance()
        result = made.close(position, comment="out")
        assert result.order not in (0, position.ticket) and made.positions == ()
        entry, exit_ = made.deals(position=position.identifier)
        assert (exit_.type, exit_.entry, exit_.reason, exit_.order) == (1, 1, 3, result.order)
        assert (exit_.magic, exit_.comment) == (MAGIC, "out")
        booked = sum(deal.profit + deal.swap + deal.commission + deal.fee for deal in (entry, exit_))
        assert made.balance - 10_000.0 == pytest.approx(booked)
        assert before == pytest.approx(10_000.0 + entry.commission)

    def test_33_a_partial_close_keeps_the_rest_as_it_was(self, build: Build) -> None:
        made = build(market(swap_long=-2.0, midnights=(2,), commission_per_lot=1.0))
        made.deal(0, 0.3, sl=49_000.0, tp=51_000.0)
        position = made.position
        made.server.advance()
        made.server.advance()
        assert made.position.swap == pytest.approx(-0.6)
        made.close(position, 0.1)
        rest = made.position
        assert (rest.ticket, rest.identifier, rest.price_open) == (position.ticket, position.identifier, 50_010.0)
        assert (rest.volume, rest.sl, rest.tp, rest.swap) == (pytest.approx(0.2), 49_000.0, 51_000.0, -0.4)
        made.close(rest)
        _, first, second = made.deals(position=position.identifier)
        assert (first.entry, first.volume, first.swap) == (1, 0.1, -0.2)
        assert (second.entry, second.volume, second.swap) == (1, pytest.approx(0.2), -0.4)
        assert (first.commission, second.commission) == (-0.1, -0.2)
        total = sum(deal.profit + deal.swap + deal.commission for deal in made.deals())
        assert made.balance == pytest.approx(10_000.0 + total)

    def test_33_a_part_must_fit_the_position_and_the_steps(self, build: Build) -> None:
        made = build()
        made.deal(0, 0.1)
        assert made.close(made.position, 0.2).retcode == 10038
        assert made.close(made.position, 0.055).retcode == 10014
        assert made.position.volume == 0.1

    def test_34_a_close_that_names_no_position_opens_another(self, build: Build) -> None:
        made = build()
        made.deal(0, 0.1)
        made.deal(1, 0.1)
        assert [position.type for position in made.positions] == [0, 1]
        assert made.mt5.positions_total() == 2

    def test_35_two_positions_close_each_other(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET, UP, UP]))
        made.deal(0, 0.3)
        made.server.advance()
        made.server.advance()
        made.deal(1, 0.1)
        long, short = made.positions
        result = made.send(action=10, position=long.ticket, position_by=short.ticket, magic=MAGIC)
        assert result.retcode == 10009
        assert (made.position.ticket, made.position.volume) == (long.ticket, pytest.approx(0.2))
        first, second = made.deals(ticket=result.order)
        assert (first.entry, second.entry, first.volume, second.volume) == (3, 3, 0.1, 0.1)
        assert first.profit + second.profit == pytest.approx((50_000.0 - 50_010.0) * 0.1)
        assert made.balance == pytest.approx(10_000.0 + first.profit + second.profit)
        (order,) = made.mt5.history_orders_get(ticket=result.order)
        assert (order.type, order.position_id, order.position_by_id) == (8, long.identifier, short.identifier)

    def test_35_a_symbol_may_not_allow_it(self, build: Build) -> None:
        made = build()
        made.deal(0)
        made.deal(1)
        made.server.respecify("BTCUSD", order_mode=63)
        long, short = made.positions
        assert made.send(action=10, position=long.ticket, position_by=short.ticket).retcode == 10035
        assert len(made.positions) == 2

    @pytest.mark.parametrize(("kind", "row", "price"), [(0, DOWN, 49_900.0), (1, UP, 50_100.0)])
    def test_37_a_stop_watches_the_side_it_leaves_at(self, build: Build, kind: int, row: Any, price: float) -> None:
        """A buy leaves at the bid. A sell leaves at the ask, the spread above the bar."""
        made = build(market(rows=[QUIET, QUIET, row, QUIET]))
        made.deal(kind, 0.1, sl=price)
        made.server.advance()
        assert made.position.sl == price
        made.server.advance()
        assert made.positions == ()
        deal = made.deals()[-1]
        assert (deal.price, deal.reason, deal.entry) == (price, 4, 1)
        (order,) = made.mt5.history_orders_get(ticket=deal.order)
        assert (order.reason, order.state, order.position_id) == (4, 4, deal.position_id)

    def test_37_a_sell_is_stopped_by_the_ask_alone(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET, UP, QUIET]))
        made.deal(1, 0.1, sl=50_160.0)
        made.server.advance()
        made.server.advance()
        assert made.positions == () and made.deals()[-1].price == 50_160.0, "the bid only reached 50,150"

    def test_37_a_target_fills_at_its_price(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET, UP, QUIET], slippage=5.0))
        made.deal(0, 0.1, tp=50_100.0)
        made.server.advance()
        made.server.advance()
        assert (made.deals()[-1].price, made.deals()[-1].reason) == (50_100.0, 5)

    def test_37_a_gap_through_the_stop_fills_at_the_open(self, build: Build) -> None:
        gap = (49_500.0, 49_600.0, 49_400.0, 49_550.0)
        made = build(market(rows=[QUIET, QUIET, gap, QUIET], slippage=2.0))
        made.deal(0, 0.1, sl=49_900.0)
        made.server.advance()
        made.server.advance()
        assert (made.deals()[-1].price, made.deals()[-1].reason) == (49_498.0, 4)

    def test_38_the_worst_position_goes_first_when_margin_runs_out(self, build: Build) -> None:
        fall = (50_000.0, 50_000.0, 49_400.0, 49_450.0)
        made = build(market(rows=[QUIET, QUIET, fall, QUIET, QUIET]), balance=1_100.0)
        made.deal(0, 1.0)
        made.deal(0, 0.5)
        assert made.deal(0, 1.0).retcode == 10019, "the free margin is used up"
        first, second = made.positions
        made.server.advance()
        made.server.advance()
        assert made.position.ticket == second.ticket, "the smaller loss survives"
        deal = made.deals()[-1]
        assert (deal.reason, deal.position_id, deal.volume) == (6, first.identifier, 1.0)

    def test_38_one_position_is_stopped_out_at_the_level(self, build: Build) -> None:
        fall = (50_000.0, 50_000.0, 49_000.0, 49_100.0)
        made = build(market(rows=[QUIET, QUIET, fall, QUIET]), balance=600.0)
        made.deal(0, 1.0)
        made.server.advance()
        made.server.advance()
        assert made.positions == () and made.deals()[-1].reason == 6
        assert made.balance == pytest.approx(0.5 * 500.1), "half of the margin is left"

    def test_39_swap_is_charged_at_midnight_and_booked_at_the_exit(self, build: Build) -> None:
        made = build(market(rows=[QUIET] * 6, swap_long=-2.0, swap_short=1.0, midnights=(2, 4), nights=(1.0, 3.0)))
        made.deal(0, 1.0)
        made.deal(1, 1.0)
        swaps = []
        for _ in range(4):
            made.server.advance()
            swaps.append([position.swap for position in made.positions])
        assert swaps == [[0.0, 0.0], [-2.0, 1.0], [-2.0, 1.0], [-8.0, 4.0]]
        assert made.balance == 10_000.0
        made.close(made.positions[0])
        assert made.deals()[-1].swap == -8.0
        info = made.mt5.symbol_info("BTCUSD")
        assert (info.swap_long, info.swap_short, info.swap_rollover3days) == (-2.0, 1.0, 5)

    def test_40_commission_is_on_the_deals_alone(self, build: Build) -> None:
        made = build(market(commission_per_lot=4.0))
        made.deal(0, 0.5)
        assert made.position.profit == pytest.approx(-5.0)
        assert made.balance == 9_998.0
        made.close(made.position)
        assert [deal.commission for deal in made.deals()] == [-2.0, -2.0]
        assert made.balance == pytest.approx(10_000.0 + sum(d.profit + d.commission for d in made.deals()))
