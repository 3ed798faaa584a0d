"""How requests are refused, for every stand-in of the module; numbers as in `mt5_module`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.mt5_module import Build, ContractBase
from tests.helpers.mt5.terminal import BAR, BTCUSD, QUIET, START, UP, Stage, market, market_request
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.faults import answers, partial_fill

PENDING: dict[str, Any] = {"action": 5, "type": 2, "price": 49_900.0, "type_filling": 2}


def held(made: Stage) -> None:
    """Hold a long position with a stop near the quote."""
    assert made.deal(0, 0.1, sl=49_999.0).retcode == 10009


def condition(**changes: bool) -> Callable[[Stage], None]:
    """Switch something at the broker's or the terminal's."""

    def change(made: Stage) -> None:
        for name, value in changes.items():
            setattr(made.server.conditions, name, value)

    return change


def terms(**changes: Any) -> Callable[[Stage], None]:
    """Change the symbol's terms."""
    return lambda made: made.server.respecify("BTCUSD", **changes)


def nothing(made: Stage) -> None:
    """Leave everything as it is."""


REFUSALS: dict[str, tuple[int, Callable[[Stage], None], dict[str, Any]]] = {
    "an unknown symbol": (10013, nothing, {"symbol": "NOPE"}),
    "an unknown action": (10013, nothing, {"action": 99}),
    "a volume off the steps": (10014, nothing, {"volume": 0.015}),
    "too small a volume": (10014, nothing, {"volume": 0.001}),
    "too large a volume": (10014, nothing, {"volume": 101.0}),
    "a limit on the wrong side": (10015, nothing, PENDING | {"price": 50_100.0}),
    "no price under instant execution": (10015, terms(exemode=1), {"price": 0.0}),
    "a stop above the bid": (10016, nothing, {"sl": 50_005.0}),
    "a target below the bid": (10016, nothing, {"tp": 49_990.0}),
    "a stop between two ticks": (10016, nothing, {"sl": 49_000.005}),
    "a symbol that is not traded": (10017, terms(trade_mode=0), {}),
    "an investor's password": (10017, condition(account_trading=False), {}),
    "a closed day": (10018, terms(trading_hours={"wednesday": "closed"}), {}),
    "a pause between two sessions": (10018, terms(trading_hours={"wednesday": "00:00-12:00, 16:00-24:00"}), {}),
    "a session over midnight that has ended": (
        10018,
        terms(trading_hours={"tuesday": "22:00-06:00", "wednesday": "22:00-06:00"}),
        {},
    ),
    "too little money": (10019, nothing, {"volume": 50.0}),
    "an expiration in the past": (10022, nothing, PENDING | {"type_time": 2, "expiration": START}),
    "a lifetime the symbol does not know": (10022, terms(expiration_mode=1), PENDING | {"type_time": 1}),
    "no programs on the server": (10026, condition(expert_trading=False), {}),
    "the button switched off": (10027, condition(algo_trading=False), {}),
    "an unsupported filling": (10030, nothing, {"type_filling": 2}),
    "no line to the server": (10031, condition(connected=False), {}),
    "too much on one side": (10034, terms(volume_limit=0.15), {"volume": 0.2}),
    "no market orders": (10035, terms(order_mode=126), {}),
    "no stops on orders": (10035, terms(order_mode=1), {"sl": 49_000.0}),
    "a position that is gone": (10036, nothing, {"type": 1, "position": 7}),
    "short only": (10043, terms(trade_mode=2), {}),
    "long only": (10042, terms(trade_mode=1), {"type": 1}),
    "close only": (10044, terms(trade_mode=3), {}),
}


class RejectionContract(ContractBase):
    """Each code by its condition."""

    @pytest.mark.parametrize("case", REFUSALS)
    def test_42_a_refused_request_changes_nothing(self, build: Build, case: str) -> None:
        code, prepare, fields = REFUSALS[case]
        made = build()
        before = (made.mt5.account_info(), made.positions, made.mt5.orders_get(), made.deals())
        prepare(made)
        checked = made.mt5.order_check(market_request(**fields))
        result = made.send(**market_request(**fields))
        assert (result.retcode, checked.retcode) == (code, code)
        assert (result.deal, result.order, result.volume, result.price) == (0, 0, 0.0, 0.0)
        assert (result.bid, result.ask) == (0.0, 0.0)
        assert result.comment != "Request executed"
        made.server.conditions.connected = True
        made.server.conditions.account_trading = made.server.conditions.expert_trading = True
        assert (made.mt5.account_info(), made.positions, made.mt5.orders_get(), made.deals()) == before

    def test_42_the_market_is_closed_where_no_bar_follows(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET], slots=[0, 9]))
        assert made.deal().retcode == 10018

    def test_42_after_the_last_bar_there_are_no_prices(self, build: Build) -> None:
        made = build(market(rows=[QUIET]))
        assert made.deal().retcode == 10021

    def test_42_close_to_a_level_a_position_is_frozen(self, build: Build) -> None:
        made = build()
        held(made)
        made.server.respecify("BTCUSD", freeze_level=200.0)
        position = made.position
        assert made.close(position).retcode == 10029
        assert made.send(action=6, symbol="BTCUSD", position=position.ticket, sl=49_000.0, tp=0.0).retcode == 10029
        made.server.respecify("BTCUSD", freeze_level=50.0)
        assert made.close(position).retcode == 10009

    def test_42_stops_keep_the_broker_s_distance(self, build: Build) -> None:
        made = build(market(replace(BTCUSD, stops_level=5_000.0)))
        assert made.mt5.symbol_info("BTCUSD").trade_stops_level == 5_000
        assert made.deal(sl=49_950.01).retcode == 10016
        assert made.deal(sl=49_950.0).retcode == 10009

    def test_42_only_so_many_positions(self, build: Build) -> None:
        made = build(terms=AccountTerms(leverage=100, limit_positions=1))
        held(made)
        assert made.deal(0, 0.1).retcode == 10040

    def test_42_first_in_first_out(self, build: Build) -> None:
        made = build(terms=AccountTerms(leverage=100, fifo_close=True))
        made.deal()
        made.server.advance()
        made.deal()
        first, second = made.positions
        assert made.close(second).retcode == 10045
        assert made.close(first).retcode == 10009
        assert made.close(second).retcode == 10009

    def test_42_what_may_not_be_entered_may_still_be_left(self, build: Build) -> None:
        made = build()
        held(made)
        made.server.respecify("BTCUSD", trade_mode=3)
        assert made.deal().retcode == 10044
        assert made.close(made.position).retcode == 10009

    def test_42_the_switch_for_programs_is_an_error_or_a_code(self, build: Build) -> None:
        made = build()
        made.server.conditions.api_allowed = False
        assert made.mt5.terminal_info().tradeapi_disabled is True
        assert made.mt5.order_send(market_request()) is None and made.mt5.last_error()[0] == -8
        made.server.conditions.api_answers = True
        assert made.deal().retcode == 10027

    def test_42_unknown_codes_reach_the_caller_as_they_are(self, build: Build) -> None:
        made = build()
        for code in (10046, 19_999):
            made.faults.plan(answers(code))
            assert made.deal().retcode == code
        assert made.positions == ()

    @pytest.mark.parametrize("exemode", [0, 1, 2, 3])
    @pytest.mark.parametrize("mask", [0, 1, 2, 3])
    def test_43_the_filling_must_fit_mask_and_execution(self, build: Build, mask: int, exemode: int) -> None:
        made = build(market(replace(BTCUSD, filling_mode=mask, exemode=exemode)))
        instant = exemode in (0, 1)
        expected = {0: instant or mask & 1, 1: instant or mask & 2, 2: exemode != 2, 3: False}
        for filling, fits in expected.items():
            request = market_request(type_filling=filling, price=50_010.0)
            assert (made.mt5.order_check(request).retcode == 0) == bool(fits)
            assert made.send(**request).retcode == (10009 if fits else 10030)

    def test_43_waiting_orders_may_book_or_cancel(self, build: Build) -> None:
        made = build(market(replace(BTCUSD, filling_mode=4)))
        assert made.send(**market_request(**PENDING | {"type_filling": 3})).retcode == 10009
        assert (
            made.send(**market_request(**PENDING | {"type": 4, "price": 50_100.0, "type_filling": 3})).retcode == 10030
        )

    def test_44_instant_execution_requotes_beyond_the_deviation(self, build: Build) -> None:
        moved = (50_030.0, 50_040.0, 50_020.0, 50_030.0)
        made = build(market(replace(BTCUSD, exemode=1), [QUIET, moved, QUIET], slippage=0.0))
        result = made.deal(price=50_010.0, deviation=2_999)
        assert (result.retcode, result.deal, result.price) == (10004, 0, 0.0)
        assert (result.bid, result.ask) == (50_030.0, 50_040.0)
        assert made.positions == () and made.deals() == ()
        assert made.deal(price=50_010.0, deviation=3_000).price == 50_040.0

    def test_44_market_execution_fills_wherever_the_price_is(self, build: Build) -> None:
        moved = (50_030.0, 50_040.0, 50_020.0, 50_030.0)
        made = build(market(rows=[QUIET, moved, QUIET], slippage=4.0))
        result = made.deal(price=50_010.0, deviation=0)
        assert (result.retcode, result.price, made.position.price_open) == (10009, 50_044.0, 50_044.0)

    def test_45_immediate_or_cancel_takes_what_there_is(self, build: Build) -> None:
        made = build()
        made.faults.plan(partial_fill(0.04))
        result = made.deal(0, 0.1, type_filling=C.ORDER_FILLING_IOC)
        assert (result.retcode, result.volume, made.position.volume) == (10010, 0.04, 0.04)

    def test_45_fill_or_kill_takes_all_or_nothing(self, build: Build) -> None:
        made = build()
        made.faults.plan(partial_fill(0.04))
        assert made.deal(0, 0.1, type_filling=C.ORDER_FILLING_FOK).retcode == 10006
        assert made.positions == ()

    def test_a_silent_fill_names_neither_deal_nor_price(self, build: Build) -> None:
        made = build()
        made.server.conditions.silent_fills = True
        result = made.deal()
        assert (result.retcode, result.deal, result.price) == (10009, 0, 0.0)
        (deal,) = made.deals(ticket=result.order)
        assert deal.price == 50_010.0

    def test_levels_cannot_be_changed_while_the_market_is_closed(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET, UP], slots=[0, 1, 9]))
        made.deal(0, 0.1, sl=49_500.0)
        made.server.advance()
        ticket = made.position.ticket
        assert made.server.now == START + 2 * BAR
        assert made.send(action=6, symbol="BTCUSD", position=ticket, sl=49_000.0, tp=0.0).retcode == 10018
