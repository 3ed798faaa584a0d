"""The simulated terminal's own ways: planned and drawn faults, threads, groups, and sums that add up."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.mt5.terminal import BTCUSD, QUIET, Row, market, market_request, quote_market, stage
from tests.helpers.paper_runs import settings_with
from trading.brokers.mt5_package.structs import STRUCTS
from trading.brokers.simulated.accounts import AccountTerms, below_stop_out
from trading.brokers.simulated.faults import (
    Fault,
    FaultPlan,
    SeededFaults,
    answers,
    call_failed,
    disconnected,
    hang,
    ipc_timeout,
    late_position,
    partial_fill,
    pipe_cut_after,
    pipe_cut_before,
    requote,
    server_timeout,
    terminal_restart,
    truncated_comment,
)
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.functions.views import Installation
from trading.brokers.simulated.markets.symbols import EURUSD, USDJPY, matches_group, spec_from_settings


def test_faults_strike_the_calls_they_were_planned_for() -> None:
    plan = FaultPlan([call_failed("version").on("version", skip=1, times=2), requote()])
    drawn = [plan.draw(name) for name in ("version", "order_send", "version", "version", "version", "order_send")]
    assert [fault is not None for fault in drawn] == [False, True, True, True, False, False]
    assert [name for name, _ in plan.struck] == ["order_send", "version", "version"]


def test_a_fault_for_any_function_strikes_the_next_one() -> None:
    plan = FaultPlan([Fault("*", empty=True)])
    assert plan.draw("positions_get") is not None and plan.draw("positions_get") is None


def test_58_drawn_faults_repeat_with_their_seed() -> None:
    def struck() -> list[bool]:
        plan = SeededFaults(generator=np.random.default_rng(4), rate=0.3, choices=[requote()])
        assert plan.draw("version") is None, "no fault of the list belongs to it"
        return [plan.draw("order_send") is not None for _ in range(200)]

    assert struck() == struck()
    assert 30 < sum(struck()) < 90


def test_56_two_threads_at_once_spoil_the_second_call() -> None:
    made = stage()
    entered, released = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        released.wait(5.0)

    made.faults.plan(hang(block, "account_info"))
    caller = threading.Thread(target=made.mt5.account_info)
    caller.start()
    assert entered.wait(5.0)
    assert made.mt5.positions_get() is None and made.mt5.last_error()[0] == -1
    released.set()
    caller.join(5.0)
    assert made.mt5.positions_get() == ()


def test_nothing_but_the_package_s_functions_and_types_is_public() -> None:
    public = {name for name in dir(SimulatedTerminal) if not name.startswith("_") and not name.isupper()}
    types = {kind.__name__ for kind in STRUCTS}
    assert public >= types
    assert public - types == {
        "initialize",
        "login",
        "shutdown",
        "version",
        "last_error",
        "account_info",
        "terminal_info",
        "symbols_total",
        "symbols_get",
        "symbol_info",
        "symbol_info_tick",
        "symbol_select",
        "market_book_add",
        "market_book_get",
        "market_book_release",
        "copy_rates_from",
        "copy_rates_from_pos",
        "copy_rates_range",
        "copy_ticks_from",
        "copy_ticks_range",
        "orders_total",
        "orders_get",
        "positions_total",
        "positions_get",
        "order_calc_margin",
        "order_calc_profit",
        "order_check",
        "order_send",
        "history_orders_total",
        "history_orders_get",
        "history_deals_total",
        "history_deals_get",
        "Buy",
        "Sell",
        "Close",
    }
    assert not [name for name in vars(stage().mt5) if not name.startswith("_")]


def test_the_contract_comes_from_the_settings() -> None:
    chosen = settings_with(broker={"contract_size": 10.0, "stops_level": 50}, account_type="cent")
    spec = spec_from_settings(chosen)
    assert (spec.name, spec.digits, spec.point, spec.contract_size) == ("BTCUSD", 2, 0.01, 0.1)
    assert (spec.stops_level, spec.volume_step, spec.swap_rollover3days) == (50.0, 0.01, 5)


@pytest.mark.parametrize(
    ("group", "inside"), [("*", True), ("BTC*", True), ("*USD", True), ("B*D", True), ("BTC", False), ("!*,*", True)]
)
def test_24_a_mask_matches_whole_names(group: str, inside: bool) -> None:
    assert matches_group("BTCUSD", group) == inside


def test_a_stop_out_in_money_watches_equity_alone() -> None:
    terms = AccountTerms(margin_so_mode=1, stop_out=50.0)
    assert below_stop_out(terms, 50.0, 1_000.0) and not below_stop_out(terms, 51.0, 1_000.0)
    assert not below_stop_out(terms, 10.0, 0.0), "nothing to close"


def test_a_yen_position_is_counted_in_dollars() -> None:
    made = stage(quote_market(BTCUSD, 50_000.0), market(USDJPY, [(150.0, 150.0, 150.0, 150.0)] * 6, spread=0.0))
    made.deal(0, 0.1, symbol="USDJPY")
    made.server.feeds["USDJPY"].bars.close[1:] = 151.0
    made.server.advance()
    assert made.position.profit == pytest.approx(0.1 * 100_000 / 150.0, rel=0.01)


Act = st.tuples(st.sampled_from(["buy", "sell", "part", "close", "by", "go"]), st.integers(1, 5))


@given(st.lists(Act, max_size=30), st.integers(0, 2**16), st.sampled_from([0, 2]))
@settings(max_examples=30, deadline=None)
def test_the_balance_is_the_sum_of_the_deals_whatever_is_done(
    acts: list[tuple[str, int]], seed: int, mode: int
) -> None:
    generator = np.random.default_rng(seed)
    rows: list[Row] = []
    for price in np.round(50_000.0 + generator.normal(0.0, 100.0, 40).cumsum(), 2):
        rows.append((float(price), float(price) + 90.0, float(price) - 90.0, float(price) + 10.0))
    feed = market(rows=rows, commission_per_lot=1.7, slippage=1.3, swap_long=-2.0, swap_short=0.7, midnights=(3, 9, 20))
    made = stage(feed, balance=5_000.0, terms=AccountTerms(leverage=100, margin_mode=mode))
    for act, tenths in acts:
        held = made.positions
        if act == "go" and not made.server.at_end:
            made.server.advance()
        elif act in ("buy", "sell"):
            made.deal(int(act == "sell"), tenths / 10, sl=0.0)
        elif act == "close" and held:
            made.close(held[tenths % len(held)])
        elif act == "part" and held:
            made.close(held[0], max(0.1, round(held[0].volume / 2, 1)))
        elif act == "by" and len(held) > 1:
            made.send(action=10, position=held[0].ticket, position_by=held[-1].ticket)
    deals = made.mt5.history_deals_get(0, 2**31)
    account = made.mt5.account_info()
    assert deals is not None and account is not None
    assert account.balance == pytest.approx(sum(d.profit + d.swap + d.commission + d.fee for d in deals), abs=1e-6)
    assert account.equity == pytest.approx(account.balance + account.profit)
    for position in made.positions:
        mine = [deal for deal in deals if deal.position_id == position.identifier]
        signed = sum(deal.volume * (1 if deal.type == 0 else -1) for deal in mine)
        assert signed == pytest.approx(position.volume * (1 if position.type == 0 else -1))


def test_margins_of_a_pair_are_held_in_its_base_currency() -> None:
    made = stage(quote_market(EURUSD, 1.1))
    made.deal(0, 0.1, symbol="EURUSD")
    account = made.mt5.account_info()
    assert account is not None and account.margin == pytest.approx(110.0)
    checked = made.mt5.order_check(market_request(symbol="EURUSD", volume=0.1))
    assert checked is not None and checked.margin == pytest.approx(220.0)


STORM = [
    *(answers(code) for code in (10004, 10006, 10011, 10020, 10024, 10028)),
    server_timeout(filled=True),
    server_timeout(filled=False),
    ipc_timeout(filled=True),
    ipc_timeout(),
    pipe_cut_before(),
    pipe_cut_after(),
    partial_fill(0.1),
    late_position(2.0),
    truncated_comment(5),
    terminal_restart(),
    disconnected(),
    Fault("*", failure=ipc_timeout().failure),
    call_failed("positions_get"),
]


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_faults_ends_in_answers_and_books_that_agree(seed: int) -> None:
    """Whatever goes wrong, a call answers or fails with a code, and the server's books stay whole."""
    generator = np.random.default_rng(seed)
    made = stage(market(rows=[QUIET] * 80, commission_per_lot=1.0), balance=50_000.0)
    plan = SeededFaults(generator=np.random.default_rng(seed), rate=0.4, choices=STORM)
    mt5 = SimulatedTerminal(made.server, plan, Installation(selected=("BTCUSD",)))
    codes = set()
    while not made.server.at_end:
        mt5.initialize()
        answer = mt5.order_send(market_request(int(generator.integers(2)), 0.2, type_filling=1, comment="x" * 20))
        codes.add(mt5.last_error()[0] if answer is None else answer.retcode)
        held = mt5.positions_get()
        assert held is not None or mt5.last_error()[0] < 0
        if held and generator.random() < 0.3:
            mt5.order_send(market_request(1 - held[0].type, held[0].volume, position=held[0].ticket))
        made.server.advance()
    assert 10009 in codes and len(codes) > 6 and len(plan.struck) > 20
    deals = made.mt5.history_deals_get(0, 2**31)
    assert deals is not None
    assert made.balance == pytest.approx(sum(deal.profit + deal.commission for deal in deals))
    net = sum(deal.volume * (1 - 2 * deal.type) for deal in deals if deal.type < 2)
    assert net == pytest.approx(sum(position.volume * (1 - 2 * position.type) for position in made.positions))
