"""What goes wrong, seen from the module's side, for every stand-in; numbers as in `mt5_module`."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests.contracts.mt5_module import Build, ContractBase
from tests.helpers.mt5.terminal import BAR, DOWN, QUIET, START, market, market_request, quote_market
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.faults import (
    answers,
    call_failed,
    disconnected,
    hang,
    ipc_timeout,
    late_position,
    overwritten_comment,
    pipe_cut_after,
    pipe_cut_before,
    requote,
    server_timeout,
    terminal_restart,
    truncated_comment,
)
from trading.brokers.simulated.markets.symbols import EURUSD, SymbolSpec

SATURDAY = 1_704_499_200
"""2024-01-06 00:00 UTC."""
FX_HOURS = {"saturday": "closed", "sunday": "closed"}


class FaultContract(ContractBase):
    """Lost requests, lost replies, and a broker that does as it likes."""

    @pytest.mark.parametrize("filled", [True, False])
    def test_46_47_a_server_timeout_may_hide_a_fill(self, build: Build, filled: bool) -> None:
        made = build()
        made.faults.plan(server_timeout(filled=filled))
        result = made.deal(comment="intent")
        assert (result.retcode, result.deal, result.volume, result.price) == (10012, 0, 0.0, 0.0)
        assert (result.order > 0) == filled
        assert [position.ticket for position in made.positions] == [result.order] * filled

    @pytest.mark.parametrize("filled", [True, False])
    def test_47_an_ipc_timeout_may_hide_a_fill(self, build: Build, filled: bool) -> None:
        made = build()
        before = made.server.now_msc
        made.faults.plan(ipc_timeout(filled=filled, seconds=60.0))
        assert made.mt5.order_send(market_request(comment="intent")) is None
        assert made.mt5.last_error() == (-10005, "IPC timeout")
        assert made.server.now_msc == before + 60_000
        assert [position.comment for position in made.positions] == ["intent"] * filled

    @pytest.mark.parametrize(
        ("fault", "code", "count"), [(pipe_cut_before(), -10001, 0), (pipe_cut_after(), -10002, 1)]
    )
    def test_47_a_pipe_can_break_on_either_side_of_the_execution(
        self, build: Build, fault: Any, code: int, count: int
    ) -> None:
        made = build()
        made.faults.plan(fault)
        assert made.mt5.order_send(market_request()) is None and made.mt5.last_error()[0] == code
        assert made.mt5.positions_get() is None and made.mt5.last_error()[0] == -10004
        assert made.mt5.initialize()
        assert len(made.positions) == count

    def test_48_a_failed_query_is_not_an_empty_account(self, build: Build) -> None:
        made = build()
        made.deal()
        made.faults.plan(call_failed("positions_get").on("positions_get", times=2))
        for _ in range(2):
            assert made.mt5.positions_get() is None and made.mt5.last_error()[0] == -1
        assert len(made.positions) == 1

    def test_49_a_position_can_appear_late(self, build: Build) -> None:
        made = build()
        made.faults.plan(late_position(0.5))
        result = made.deal()
        assert result.retcode == 10009 and made.positions == () and made.mt5.positions_total() == 0
        assert len(made.deals(ticket=result.order)) == 1, "the deal is there already"
        made.server.wait(0.499)
        assert made.positions == ()
        made.server.wait(0.001)
        assert made.position.ticket == result.order

    def test_50_a_broker_can_shorten_or_replace_the_comment(self, build: Build) -> None:
        made = build()
        made.faults.plan(truncated_comment(16), overwritten_comment("dealer"))
        made.deal(comment="0123456789abcdefghij")
        made.deal(comment="0123456789abcdefghij")
        assert [position.comment for position in made.positions] == ["0123456789abcdef", "dealer"]
        assert [deal.comment for deal in made.deals()] == ["0123456789abcdef", "dealer"]
        assert {position.magic for position in made.positions} == {42}

    def test_51_a_restarted_terminal_shows_what_the_broker_holds(self, build: Build) -> None:
        made = build(market(), quote_market(EURUSD, 1.1), select=False)
        for name in ("BTCUSD", "EURUSD"):
            assert made.mt5.symbol_select(name, True)
        made.deal(magic=42)
        made.deal(magic=7, comment="by hand")
        before = made.positions
        made.faults.plan(terminal_restart("account_info"))
        assert made.mt5.account_info() is None
        assert made.mt5.positions_get() is None and made.mt5.last_error()[0] == -10004
        made.server.advance()
        assert made.mt5.initialize()
        assert made.mt5.symbol_info_tick("EURUSD") is None, "selected symbols are forgotten"
        assert made.mt5.symbol_info_tick("BTCUSD") is not None, "one with a position is not"
        assert [p.ticket for p in made.positions] == [p.ticket for p in before]

    def test_52_too_many_requests_are_turned_away(self, build: Build) -> None:
        made = build()
        made.deal()
        made.faults.plan(answers(10024).on("order_send", times=3))
        assert [made.close(made.position).retcode for _ in range(4)] == [10024, 10024, 10024, 10009]

    @pytest.mark.parametrize("code", [10004, 10006, 10011, 10020, 10028])
    def test_52_an_answer_without_execution_changes_nothing(self, build: Build, code: int) -> None:
        made = build()
        made.faults.plan(answers(code))
        result = made.deal()
        assert (result.retcode, result.order, made.positions) == (code, 0, ())
        assert (result.bid > 0) == (code in (10004, 10020)), "a requote carries the new quotes"

    def test_53_the_button_stops_entries_and_exits_alike(self, build: Build) -> None:
        made = build()
        made.deal()
        made.server.conditions.algo_trading = False
        assert made.mt5.terminal_info().trade_allowed is False
        assert made.deal().retcode == 10027 and made.close(made.position).retcode == 10027
        made.server.conditions.algo_trading = True
        assert made.close(made.position).retcode == 10009

    def test_54_the_account_says_who_and_what_it_is(self, build: Build) -> None:
        made = build(terms=AccountTerms(login=77, server="Real-1", trade_mode=2, leverage=100))
        info = made.mt5.account_info()
        assert (info.login, info.server, info.trade_mode, info.margin_mode) == (77, "Real-1", 2, 2)

    def test_55_currencies_rest_at_the_weekend_while_bitcoin_trades(self, build: Build) -> None:
        bars = {"start": SATURDAY - 2 * BAR}
        forex = SymbolSpec(**{**vars(EURUSD), "trading_hours": FX_HOURS})
        price = [(1.1, 1.1, 1.1, 1.1)] * 6
        resting = [0, 1, 194, 195, 196, 197]
        made = build(
            market(rows=[QUIET] * 200, **bars),
            market(forex, price, spread=0.0, slots=resting, swap_long=-1.0, midnights=(2,), nights=(3.0,), **bars),
        )
        assert made.deal(0, 0.1, symbol="EURUSD").retcode == 10009
        euro = made.position
        stale = made.mt5.symbol_info_tick("EURUSD")
        for _ in range(10):
            made.server.advance()
        assert made.close(euro).retcode == 10018
        assert made.deal(0, 0.1).retcode == 10009
        assert made.mt5.symbol_info_tick("EURUSD").time == SATURDAY > stale.time
        assert made.mt5.symbol_info_tick("BTCUSD").time > SATURDAY
        while made.server.now < SATURDAY - 2 * BAR + 194 * BAR:
            made.server.advance()
        assert made.mt5.positions_get(symbol="EURUSD")[0].swap == 0.0
        assert made.close(euro).retcode == 10009
        (deal,) = [deal for deal in made.deals(position=euro.identifier) if deal.entry == 1]
        assert deal.swap == pytest.approx(-0.3), "three nights on a tenth of a lot"
        assert deal.time == SATURDAY - 2 * BAR + 194 * BAR

    def test_57_a_hanging_call_blocks_the_caller(self, build: Build) -> None:
        made = build()
        entered, released = threading.Event(), threading.Event()

        def block() -> None:
            entered.set()
            released.wait(5.0)

        made.faults.plan(hang(block))
        answers_: list[Any] = []
        caller = threading.Thread(target=lambda: answers_.append(made.mt5.order_send(market_request())))
        caller.start()
        assert entered.wait(5.0) and not answers_
        released.set()
        caller.join(5.0)
        assert answers_[0].retcode == 10009

    def test_58_the_same_orders_make_the_same_history(self, build: Build) -> None:
        def history() -> tuple[Any, ...]:
            generator = np.random.default_rng(3)
            steps = generator.normal(0.0, 60.0, 60).cumsum()
            rows = [(p, p + 40.0, p - 40.0, p + 5.0) for p in np.round(50_000.0 + steps, 2)]
            made = build(market(rows=rows, commission_per_lot=2.0, slippage=1.0))
            for turn in range(50):
                if turn % 7 == 0:
                    made.faults.plan(requote())
                made.deal(turn % 2, 0.1, sl=0.0)
                if len(made.positions) > 3:
                    made.close(made.positions[0])
                made.server.advance()
            return made.mt5.history_deals_get(0, 2**31), made.positions, made.balance

        assert history() == history()

    def test_a_lost_connection_stays_lost_until_initialize(self, build: Build) -> None:
        made = build()
        made.faults.plan(disconnected("account_info"))
        assert made.mt5.account_info() is None
        assert made.mt5.last_error()[0] == -10004
        assert made.mt5.positions_total() is None
        assert made.mt5.initialize() and made.mt5.account_info() is not None

    def test_behind_a_lost_line_the_server_s_stops_go_on(self, build: Build) -> None:
        made = build(market(rows=[QUIET, QUIET, DOWN, QUIET]))
        made.deal(0, 0.1, sl=49_900.0)
        made.server.advance()
        stale = made.mt5.symbol_info_tick("BTCUSD")
        made.server.lose_line()
        made.server.advance()
        assert made.mt5.terminal_info().connected is False
        assert made.mt5.account_info().trade_allowed is False
        assert made.mt5.symbol_info_tick("BTCUSD") == stale
        assert made.deal().retcode == 10031
        made.server.restore_line()
        assert made.positions == () and made.deals()[-1].reason == 4
        assert made.mt5.symbol_info_tick("BTCUSD").time == stale.time + BAR

    def test_time_passes_and_bars_close_while_waiting(self, build: Build) -> None:
        made = build()
        made.server.wait(BAR + 1.0)
        assert made.mt5.symbol_info_tick("BTCUSD").time == START + 2 * BAR
        assert made.server.now_msc == 1000 * (START + 2 * BAR + 1)
