"""Every order is executed once or not at all, and the caller knows which: refusals, doubts, throttles, stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.broker import BAR, QUIET, Terms, buy, close, sell
from tests.helpers.mt5.stage import ACCESS, HEDGING, Watching, held, market, stage
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.filling import filling_modes
from trading.brokers.mt5.retcodes import (
    OUTCOMES,
    REACTIONS,
    Reaction,
    deal_reason,
    outcome_of_code,
    reaction_to,
    retcode_of_error,
)
from trading.brokers.mt5.terms import Timing
from trading.brokers.mt5_package.constants import CONSTANTS, TRADE_RETCODE_HEDGE_PROHIBITED
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.errors import API_DISABLED, INVALID_ARGUMENTS, TIMEOUT
from trading.brokers.mt5_package.structs import Tick
from trading.brokers.port import DealReason, OrderRequest, Outcome
from trading.brokers.simulated.faults import Fault, answers, partial_fill, requote
from trading.brokers.simulated.markets.symbols import SymbolSpec

ORDER = buy(comment="e6595a2c4")
MANY = replace(HEDGING, limit_positions=0)


@pytest.mark.parametrize("length", [9, 16, 25, 26, 40])
def test_10_comments_are_cut_to_25_and_keep_the_id_in_front(length: int) -> None:
    play = stage()
    order = buy(comment="e6595a2c4".ljust(length, "-"))
    assert play.broker.send(order).outcome == Outcome.FILLED
    (sent,) = play.mt5.sent
    assert len(sent["comment"]) == min(length, 25)
    assert sent["comment"].startswith("e6595a2c4")


def test_10_comments_are_ascii() -> None:
    play = stage()
    assert play.broker.send(buy(comment="e6595a2c4 £")).outcome == Outcome.FILLED
    assert play.mt5.sent[0]["comment"] == "e6595a2c4 ?"


def test_requests_hold_built_in_types_only() -> None:
    import numpy as np

    play = stage()
    order = OrderRequest(1, np.float64(0.3), np.float64(49_910.0), np.float64(50_110.0), 0, 42, "e6595a2c4")
    assert play.broker.send(order).outcome == Outcome.FILLED
    assert {type(value) for value in play.mt5.sent[0].values()} == {int, float, str}


def test_float_noise_of_a_volume_is_cleaned() -> None:
    play = stage()
    play.broker.send(buy(volume=0.1 + 0.2))
    assert play.mt5.sent[0]["volume"] == 0.3


def test_34_a_close_always_names_its_position() -> None:
    play = stage(account=MANY)
    play.broker.send(ORDER)
    play.go_on()
    (position,) = play.broker.positions()
    play.broker.send(close(position))
    assert play.mt5.sent[-1]["position"] == position.ticket
    assert "sl" not in play.mt5.sent[-1]
    assert held(play) == ()


def test_34_an_order_without_position_and_stops_never_leaves() -> None:
    play = stage(account=MANY)
    play.broker.send(ORDER)
    for naked in (replace(ORDER, sl=0.0), replace(ORDER, tp=0.0), OrderRequest(-1, 1.0, 0.0, 0.0, 0, 42, "x1")):
        assert play.broker.send(naked).outcome == Outcome.STOPS_TOO_CLOSE
    assert play.sends() == 1


def test_31_both_levels_are_sent_and_no_change_counts_as_done() -> None:
    play = stage()
    play.broker.send(ORDER)
    (position,) = play.broker.positions()
    assert play.broker.modify_stops(position.ticket, 49_910.0, 50_110.0).outcome == Outcome.UNCHANGED
    assert play.broker.modify_stops(position.ticket, 49_905.0, 50_110.0).outcome == Outcome.ACCEPTED
    assert all({"sl", "tp", "position"} <= sent.keys() for sent in play.mt5.sent[1:])
    assert [(p.sl, p.tp) for p in play.broker.positions()] == [(49_905.0, 50_110.0)]


TABLE = {
    Reaction.OK: {10008, 10009, 10010, 10025, 10036},
    Reaction.REQUOTE: {10004, 10020, 10021},
    Reaction.BACK_OFF: {10024},
    Reaction.AMBIGUOUS: {10011, 10012, 10023, 10028, 10031, 10041},
    Reaction.CALLER: {10013, 10014, 10015, 10016, 10022, 10030, 10035, 10038, 10045},
    Reaction.WAIT: {10018, 10029, 10039},
    Reaction.STOP: {10006, 10007, 10017, 10019, 10026, 10027, 10032, 10033, 10034, 10040, 10042, 10043, 10044, 10046},
}


def test_42_every_code_of_the_package_has_its_reaction() -> None:
    known = {value for name, value in CONSTANTS.items() if name.startswith("TRADE_RETCODE_")}
    assert set(REACTIONS) == known | {TRADE_RETCODE_HEDGE_PROHIBITED}
    assert {code: reaction for reaction, codes in TABLE.items() for code in codes} == dict(REACTIONS)


@pytest.mark.parametrize("code", [10005, 10037, 10047, 19_999, 0])
def test_42_a_code_nobody_knows_stops(code: int) -> None:
    assert reaction_to(code) is Reaction.STOP
    assert outcome_of_code(code) is Outcome.UNFORESEEN


def test_every_code_has_a_word_that_agrees_with_its_reaction() -> None:
    assert set(OUTCOMES) == set(REACTIONS)
    for code, reaction in REACTIONS.items():
        outcome = OUTCOMES[code]
        assert outcome is not Outcome.UNFORESEEN, code
        assert (outcome is Outcome.UNKNOWN) == (reaction is Reaction.AMBIGUOUS or code == C.TRADE_RETCODE_PLACED), code
        if reaction in (Reaction.CALLER, Reaction.STOP, Reaction.WAIT, Reaction.BACK_OFF):
            assert outcome.refused, code


def test_every_deal_reason_of_the_package_has_a_word() -> None:
    reasons = {value: deal_reason(value) for name, value in CONSTANTS.items() if name.startswith("DEAL_REASON_")}
    by_hand = {C.DEAL_REASON_CLIENT, C.DEAL_REASON_MOBILE, C.DEAL_REASON_WEB}
    assert {value for value, reason in reasons.items() if reason is DealReason.HAND} == by_hand
    assert reasons[C.DEAL_REASON_SL] is DealReason.STOP
    assert reasons[C.DEAL_REASON_ROLLOVER] is DealReason.BROKER


@pytest.mark.parametrize(
    "code", sorted(TABLE[Reaction.STOP] | TABLE[Reaction.WAIT] | TABLE[Reaction.CALLER] | {19_999})
)
def test_42_a_clear_refusal_is_passed_on_and_not_tried_again(code: int) -> None:
    play = stage()
    play.plan(answers(code).on("order_send", times=5))
    result = play.broker.send(ORDER)
    assert (result.outcome, result.code, result.order, result.deal) == (outcome_of_code(code), str(code), 0, 0)
    # An unsupported filling mode is the one refusal that has a second try.
    assert play.sends() == (2 if code == C.TRADE_RETCODE_INVALID_FILL else 1)
    assert held(play) == ()


@pytest.mark.parametrize("code", sorted(TABLE[Reaction.REQUOTE]))
def test_42_a_new_quote_is_tried_a_few_times(code: int) -> None:
    play = stage()
    play.plan(answers(code).on("order_send", times=2))
    assert play.broker.send(ORDER).outcome == Outcome.FILLED
    assert play.sends() == 3
    stubborn = stage()
    stubborn.plan(answers(code).on("order_send", times=9))
    assert stubborn.broker.send(ORDER).code == str(code)
    assert stubborn.sends() == 3


@pytest.mark.parametrize("code", sorted(TABLE[Reaction.AMBIGUOUS]))
@pytest.mark.parametrize("filled", [True, False])
def test_42_an_unclear_answer_is_looked_up_and_never_sent_again(code: int, filled: bool) -> None:
    play = stage()
    play.plan(answers(code, executes=filled))
    result = play.broker.send(ORDER)
    assert result.outcome == (Outcome.FILLED if filled else Outcome.NOT_PLACED)
    assert (play.sends(), len(held(play))) == (1, int(filled))


@pytest.mark.parametrize(
    ("failure", "code"), [(INVALID_ARGUMENTS, 10013), (API_DISABLED, 10027)], ids=["arguments", "switch"]
)
def test_a_request_that_certainly_stayed_here_is_refused_at_once(failure: Any, code: int) -> None:
    play = stage()
    play.plan(Fault(failure=failure))
    before = play.clock.now()
    assert play.broker.send(ORDER).code == str(code)
    assert (play.sends(), play.clock.now()) == (1, before)


@pytest.mark.parametrize("code", [-1, -3, -6, -10_000, -10_001, -10_002, -10_003, -10_004, -10_005])
def test_all_other_errors_of_a_send_leave_its_outcome_open(code: int) -> None:
    assert retcode_of_error(code) is None


def test_a_requote_is_not_chased_into_the_next_bar() -> None:
    play = stage()
    play.clock.sleep(BAR - 1.5)
    play.plan(requote().on("order_send", times=9))
    patient = replace(play.timing, tick_age=2.0 * BAR)
    broker = Mt5Broker(play.mt5, play.settings, play.clock, ACCESS, timing=patient)
    assert broker.send(ORDER).outcome == Outcome.PRICE_MOVED
    assert (play.sends(), held(play)) == (2, ())


def test_a_requote_past_the_stop_gives_the_trade_up() -> None:
    play = stage()

    def fall(_: float) -> None:
        newest = play.server.tick(play.server.main)
        play.server._frozen["BTCUSD"] = Tick([newest.time, 49_905.0, 49_915.0, *newest[3:]])

    broker = Mt5Broker(play.mt5, play.settings, Watching(play.server, fall), ACCESS)
    play.plan(requote())
    assert broker.send(ORDER).outcome == Outcome.STOPS_TOO_CLOSE
    assert (play.sends(), held(play)) == (1, ())


@pytest.mark.parametrize("exemode", [0, 1, 2, 3])
@pytest.mark.parametrize("mask", [0, 1, 2, 3])
def test_43_the_filling_fits_mask_and_execution_on_the_way_in_and_out(mask: int, exemode: int) -> None:
    play = stage(spec=SymbolSpec("BTCUSD", filling_mode=mask, exemode=exemode))
    entry = play.broker.send(ORDER)
    if (mask, exemode) == (0, C.SYMBOL_TRADE_EXECUTION_MARKET):
        assert (entry.outcome, play.sends()) == (Outcome.INVALID, 0), "no mode exists, none is sent"
        return
    assert (entry.outcome, play.sends()) == (Outcome.FILLED, 1)
    play.go_on()
    assert play.broker.send(close(play.broker.positions()[0])).outcome == Outcome.FILLED
    assert play.sends() == 2


def test_43_the_mask_is_not_the_enumeration() -> None:
    assert filling_modes(1, 2) == (C.ORDER_FILLING_FOK,)
    assert filling_modes(2, 2) == (C.ORDER_FILLING_IOC,)
    assert filling_modes(3, 3) == (C.ORDER_FILLING_FOK, C.ORDER_FILLING_IOC, C.ORDER_FILLING_RETURN)


@pytest.mark.parametrize("leaving", [False, True])
def test_43_a_refused_filling_has_one_fallback_which_is_remembered(leaving: bool) -> None:
    play = stage()
    if leaving:
        play.broker.send(ORDER)
        play.go_on()
    order = close(play.broker.positions()[0]) if leaving else ORDER
    play.mt5.sent.clear()
    play.plan(answers(C.TRADE_RETCODE_INVALID_FILL))
    assert play.broker.send(order).outcome == Outcome.FILLED
    first, second = (sent["type_filling"] for sent in play.mt5.sent)
    assert (first, second) == (C.ORDER_FILLING_FOK, C.ORDER_FILLING_IOC)
    order_class = "close" if leaving else "open"
    assert play.broker._desk.filling.modes("BTCUSD", order_class, 3, 2)[0] == C.ORDER_FILLING_IOC


def test_45_an_entry_filled_in_part_is_reported_as_such() -> None:
    play = stage(spec=SymbolSpec("BTCUSD", filling_mode=2))
    play.plan(partial_fill(0.4))
    result = play.broker.send(ORDER)
    assert result.outcome == Outcome.PARTLY_FILLED
    assert [position.volume for position in play.broker.positions()] == [0.4]


def test_45_the_rest_of_an_exit_filled_in_part_is_sent_after_it() -> None:
    play = stage(spec=SymbolSpec("BTCUSD", filling_mode=2))
    play.broker.send(ORDER)
    play.go_on()
    play.plan(partial_fill(0.4))
    assert play.broker.send(close(play.broker.positions()[0])).outcome == Outcome.FILLED
    assert [sent["volume"] for sent in play.mt5.sent[1:]] == [1.0, 0.6]
    assert held(play) == ()


def test_52_an_exit_is_not_lost_in_a_storm_of_refusals_and_waits_between_its_tries() -> None:
    play = stage()
    play.broker.send(ORDER)
    play.go_on()
    (position,) = play.broker.positions()
    moments: list[float] = []
    original = play.server.send
    play.server.send = lambda *args: (moments.append(play.clock.now()), original(*args))[1]  # type: ignore[method-assign,func-returns-value]
    play.plan(answers(10024).on("order_send", times=4))
    broker = Mt5Broker(play.mt5, play.settings, play.clock, ACCESS)
    before = play.clock.now()
    assert broker.send(close(position)).outcome == Outcome.FILLED
    assert play.sends() == 6
    assert play.clock.now() - before >= 2.0 + 4.0 + 8.0 + 16.0
    assert held(play) == ()


def test_52_an_entry_gives_up_within_its_bars_first_seconds() -> None:
    play = stage()
    play.plan(answers(10024).on("order_send", times=9))
    before = play.clock.now()
    assert play.broker.send(ORDER).outcome in (Outcome.TOO_MANY_REQUESTS, Outcome.NOT_SENT)
    assert play.clock.now() - before <= 15.0
    assert held(play) == ()


def test_52_while_an_exit_is_under_way_no_entry_leaves() -> None:
    play = stage(account=MANY)
    play.broker.send(ORDER)
    play.go_on()
    (position,) = play.broker.positions()
    play.mt5.sent.clear()
    play.plan(answers(10024))
    results: list[Outcome | None] = []

    def meanwhile(_: float) -> None:
        if not results:
            results.append(None)
            results.append(broker.send(buy(comment="e6595a648")).outcome)

    broker = Mt5Broker(play.mt5, play.settings, Watching(play.server, meanwhile), ACCESS)
    assert broker.send(close(position)).outcome == Outcome.FILLED
    assert results == [None, Outcome.NOT_SENT]
    assert ["position" in sent for sent in play.mt5.sent] == [True, True]


SWITCHES = {
    "algo trading": (lambda play: setattr(play.server.conditions, "algo_trading", False), 10027),
    "api": (lambda play: setattr(play.server.conditions, "api_allowed", False), 10027),
    "account": (lambda play: setattr(play.server.conditions, "account_trading", False), 10017),
    "programs": (lambda play: setattr(play.server.conditions, "expert_trading", False), 10026),
    "close only": (lambda play: play.server.respecify("BTCUSD", trade_mode=3), 10044),
    "symbol": (lambda play: play.server.respecify("BTCUSD", trade_mode=0), 10017),
    "short only": (lambda play: play.server.respecify("BTCUSD", trade_mode=2), 10043),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_53_with_a_switch_off_entries_stay_here_and_exits_are_tried(switch: str) -> None:
    turn, code = SWITCHES[switch]
    play = stage(account=MANY)
    play.broker.send(ORDER)
    play.go_on()
    (position,) = play.broker.positions()
    turn(play)
    assert play.broker.send(buy(comment="e6595a648")).code == str(code)
    assert play.sends() == 1, "no further entry was sent"
    result = play.broker.send(close(position))
    assert play.sends() == 2, "the exit was"
    closes = switch in ("close only", "short only")
    assert result.outcome == (Outcome.FILLED if closes else outcome_of_code(code))


def test_53_long_only_refuses_shorts() -> None:
    play = stage()
    play.server.respecify("BTCUSD", trade_mode=1)
    assert (play.broker.send(sell()).outcome, play.sends()) == (Outcome.LONG_ONLY, 0)
    assert play.broker.send(ORDER).outcome == Outcome.FILLED


def test_without_a_line_to_the_server_nothing_is_sent() -> None:
    play = stage()
    play.broker.send(ORDER)
    play.go_on()
    (position,) = play.broker.positions()
    play.server.conditions.connected = False
    for order in (close(position), buy(comment="e6595a648")):
        assert play.broker.send(order).outcome == Outcome.NOT_SENT
    assert play.sends() == 1


def test_55_over_the_weekend_currencies_stand_still_while_bitcoin_trades() -> None:
    friday = 1_704_488_400  # 2024-01-05 21:00 UTC, an hour before the end of the currencies' week
    rows = [(1.09, 1.0905, 1.0895, 1.09)] * 8
    fx_slots = [0, 1, 2, 3, 196, 197, 198, 199]
    spec = SymbolSpec("EURUSD", digits=5, contract_size=100_000.0, stops_level=0.0)
    fx = market(rows, spec, slots=fx_slots, start=friday, spread=0.0001)
    bitcoin = stage([QUIET] * 210, start=friday, others=(fx,), account=MANY)
    terms = {"point": 0.00001, "digits": 5, "contract_size": 100_000.0}
    settings = bitcoin.settings.model_copy(
        update={"symbol": "EURUSD", "broker": bitcoin.settings.broker.model_copy(update=terms)}
    )
    broker = Mt5Broker(bitcoin.mt5, settings, bitcoin.clock, ACCESS)
    order = buy(volume=0.1, sl=1.08, tp=1.10)
    assert broker.send(order).outcome == Outcome.FILLED
    for _ in range(60):
        bitcoin.go_on()
    bitcoin.mt5.sent.clear()
    assert broker.send(replace(order, comment="e6595a648")).outcome in (Outcome.NOT_SENT, Outcome.MARKET_CLOSED)
    assert bitcoin.sends() == 0, "a stale quote keeps the entry here"
    (position,) = broker.positions()
    assert broker.send(close(position)).outcome == Outcome.MARKET_CLOSED
    assert bitcoin.broker.send(ORDER).outcome == Outcome.FILLED, "bitcoin trades on"
    while bitcoin.server.main.following != friday + 197 * BAR:
        bitcoin.go_on()
    assert broker.send(close(position)).outcome == Outcome.FILLED, "and the exit goes out when the week begins"


def test_terms_with_a_stops_level_are_kept_on_the_wire() -> None:
    play = stage(terms=Terms(stops_distance=91.0))
    assert (play.broker.send(ORDER).outcome, play.sends()) == (Outcome.STOPS_TOO_CLOSE, 0)


def test_silent_fills_take_deal_and_price_from_the_history() -> None:
    play = stage()
    play.server.conditions.silent_fills = True
    result = play.broker.send(ORDER)
    assert (result.price, result.deal) == (50_010.0, play.broker.deals(0)[-1].ticket)


def test_timing_is_what_the_tests_reckon_with() -> None:
    assert (Timing().throttle, Timing().lookup_healthy, Timing().requote_tries) == (2.0, 30.0, 3)


def test_timeouts_are_told_apart_from_refusals() -> None:
    assert retcode_of_error(TIMEOUT.code) is None
