"""Connecting: the right account, the right symbol, its contract; and finding the way back after a loss."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from pydantic import SecretStr

from novosky.errors import BrokerError
from novosky.market.bars import epoch_seconds
from tests.contracts.broker import BAR, QUIET, START, buy, close
from tests.helpers.mt5.stage import ACCESS, HEDGING, market, stage
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.money import Money, money_of, sizing_problem
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.errors import AUTH_FAILED, NO_CONNECTION, TIMEOUT
from trading.brokers.port import BrokerUnavailable, Outcome
from trading.brokers.simulated.faults import Fault, call_failed, disconnected, nothing_yet, terminal_restart
from trading.brokers.simulated.functions.views import Installation
from trading.brokers.simulated.markets.symbols import EURUSD, SymbolSpec


@pytest.mark.parametrize(
    ("access", "word"),
    [
        (replace(ACCESS, login=2), r"this bot trades \.\.\.002"),
        (replace(ACCESS, server="Other-Live"), "Other-Live"),
        (replace(ACCESS, real=True), "no real account"),
    ],
)
def test_54_another_account_than_configured_is_refused_before_anything_is_sent(access: object, word: str) -> None:
    play = stage(access=access, connect=False)  # type: ignore[arg-type]
    for act in (play.broker.connect, lambda: play.broker.send(buy()), lambda: play.broker.modify_stops(1, 1.0, 2.0)):
        with pytest.raises(BrokerError, match=word):
            act()
    assert play.sends() == 0


def test_54_real_money_needs_to_be_allowed() -> None:
    real = replace(HEDGING, trade_mode=C.ACCOUNT_TRADE_MODE_REAL)
    play = stage(account=real, connect=False)
    with pytest.raises(BrokerError, match="holds real money"):
        play.broker.send(buy())
    assert play.sends() == 0
    allowed = stage(account=real, access=replace(ACCESS, real=True))
    assert allowed.broker.send(buy()).outcome == Outcome.FILLED


def test_54_an_account_switched_under_way_stops_the_next_order() -> None:
    play = stage()
    play.broker.send(buy())
    (position,) = play.broker.positions()
    play.go_on()
    play.server.terms = replace(play.server.terms, login=99)
    for order in (buy(comment="e2"), close(position)):
        with pytest.raises(BrokerError, match=r"stands at another account, \.\.\.099"):
            play.broker.send(order)
    assert play.sends() == 1, "only the first one, before"


def test_a_netting_account_is_refused() -> None:
    with pytest.raises(BrokerError, match="hedging"):
        stage(account=replace(HEDGING, margin_mode=C.ACCOUNT_MARGIN_MODE_RETAIL_NETTING))


def test_credentials_are_used_only_where_the_terminal_stands_elsewhere() -> None:
    known = replace(ACCESS, password=SecretStr("secret"))
    play = stage(access=known, connect=False)
    play.broker.connect()
    assert "login" not in play.mt5.calls
    away = stage(access=replace(known, login=2), connect=False)
    with pytest.raises(BrokerUnavailable, match="Authorization failed"):
        away.broker.connect()
    assert away.mt5.calls["login"] == 1


def test_20_a_symbol_not_yet_shown_is_selected_and_its_first_tick_awaited() -> None:
    play = stage(selected=False, installation=Installation(selection_delay=1.0))
    assert play.broker.quote().bid == 50_000.0
    assert play.broker.send(buy()).outcome == Outcome.FILLED


def test_20_a_symbol_without_a_tick_in_time_is_not_traded() -> None:
    with pytest.raises(BrokerUnavailable, match="no quote of BTCUSD within 3 s"):
        stage(selected=False, installation=Installation(selection_delay=60.0))


def test_21_a_history_still_loading_is_asked_for_again() -> None:
    play = stage()
    play.plan(call_failed("copy_rates_from_pos"))
    assert len(play.broker.closed_bars(1)) == 1


def test_21_and_not_forever() -> None:
    play = stage()
    play.plan(Fault("copy_rates_from_pos", failure=call_failed("").failure, times=3))
    with pytest.raises(BrokerUnavailable, match="copy_rates_from_pos"):
        play.broker.closed_bars(1)
    assert play.mt5.calls["copy_rates_from_pos"] == 3


@pytest.mark.parametrize("most", [1, 4, 5, 30])
def test_22_windows_longer_than_the_terminal_gives_are_paged(most: int) -> None:
    rows = [(50_000.0 + k, 50_010.0 + k, 49_990.0 + k, 50_001.0 + k) for k in range(14)]
    play = stage(rows, installation=Installation(maxbars=most))
    for _ in range(11):
        play.go_on()
    bars = play.broker.closed_bars(10)
    assert epoch_seconds(bars).tolist() == [START + BAR * k for k in range(2, 12)]
    assert bars["open"].tolist() == [row[0] for row in rows[2:12]]


def test_bars_are_read_whole_once_and_then_only_what_is_new() -> None:
    play = stage([QUIET] * 30)
    for _ in range(9):
        play.go_on()
    play.broker.closed_bars(8)
    play.mt5.calls.clear()
    for k in range(10, 28):
        play.go_on()
        bars = play.broker.closed_bars(8)
        assert epoch_seconds(bars).tolist() == [START + BAR * (k - 7 + j) for j in range(8)]
    assert play.mt5.calls == {"copy_rates_from_pos": 18}


def test_a_bar_the_broker_revises_is_read_again() -> None:
    play = stage([QUIET] * 30)
    for _ in range(12):
        play.go_on()
    play.broker.closed_bars(10)
    play.server.main.rows["close"][11] = 50_005.0
    play.go_on()
    assert play.broker.closed_bars(10)["close"].iloc[-3] == 50_005.0


def test_24_the_symbol_is_found_under_the_brokers_suffix() -> None:
    play = stage(spec=SymbolSpec("BTCUSD.pro"), others=(market([QUIET] * 8, EURUSD),))
    assert play.broker.symbol == "BTCUSD.pro"
    assert play.broker.send(buy()).outcome == Outcome.FILLED


def test_24_of_several_symbols_none_is_guessed() -> None:
    other = market([QUIET] * 8, SymbolSpec("BTCUSDc"))
    with pytest.raises(BrokerError, match=r"BTCUSD\.pro, BTCUSDc"):
        stage(spec=SymbolSpec("BTCUSD.pro"), others=(other,))


def test_24_disabled_and_foreign_currency_symbols_do_not_count() -> None:
    disabled = market([QUIET] * 8, SymbolSpec("BTCUSD.old", trade_mode=C.SYMBOL_TRADE_MODE_DISABLED))
    with pytest.raises(BrokerError, match="lists no symbol BTCUSD"):
        stage(spec=EURUSD, others=(disabled,))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"contract_size": 10.0}, "broker.contract_size is 1 in config.json, the broker says 10"),
        ({"volume_min": 0.1}, "broker.volume_min is 0.01 in config.json, the broker says 0.1"),
        ({"volume_step": 0.1}, "broker.volume_step"),
        ({"volume_max": 5.0}, "broker.volume_max"),
        ({"digits": 3}, "broker.digits"),
    ],
)
def test_a_contract_that_differs_from_the_configuration_is_named(changes: dict[str, float], word: str) -> None:
    with pytest.raises(BrokerError, match=word):
        stage(spec=replace(SymbolSpec("BTCUSD"), **changes))  # type: ignore[arg-type]


CENT = replace(HEDGING, currency="USC")


def test_29_a_cent_account_is_shown_in_dollars() -> None:
    play = stage(spec=SymbolSpec("BTCUSD", contract_size=0.01), account=CENT, settings={"account_type": "cent"})
    shown = play.mt5.account_info()
    assert shown is not None and shown.balance == 1_000_000.0
    assert play.broker.account().balance == 10_000.0
    play.broker.send(buy(volume=2.0))
    play.go_on()
    position = play.broker.positions()[0]
    assert position.profit == -0.2
    assert position.margin == pytest.approx(2.0 * 0.01 * 50_010.0 / 100.0)
    play.broker.send(close(position))
    deposit, entry, leave = play.broker.deals(0)
    assert (deposit.profit, entry.commission, leave.profit) == (10_000.0, -6.0, -0.2)
    assert play.broker.account().balance == pytest.approx(10_000.0 - 12.0 - 0.2)


@pytest.mark.parametrize(("account", "kind"), [(CENT, "standard"), (HEDGING, "cent")])
def test_29_account_type_and_currency_have_to_agree(account: object, kind: str) -> None:
    with pytest.raises(BrokerError, match="account_type"):
        stage(account=account, settings={"account_type": kind})  # type: ignore[arg-type]


def test_29_an_account_in_another_currency_is_refused() -> None:
    with pytest.raises(BrokerError, match="kept in 'EUR'"):
        money_of("EUR", "standard")


def test_29_a_tick_value_that_contradicts_the_profits_keeps_entries_away_and_lets_exits_through() -> None:
    play = stage()
    play.broker.send(buy())
    (position,) = play.broker.positions()
    play.go_on()
    play.server.respecify("BTCUSD", tick_value_factor=0.01)
    refused = play.broker.send(buy(comment="e2"))
    assert (refused.outcome, play.sends()) == (Outcome.BAD_VOLUME, 1)
    assert "tick value" in refused.comment
    assert play.broker.send(close(position)).outcome == Outcome.FILLED


@pytest.mark.parametrize(
    ("tick_value", "measured", "word"),
    [(0.0, 10.0, "no tick value"), (0.01, None, "cannot calculate"), (1.0, 10.0, "calculates"), (0.1, 100.0, "earns")],
)
def test_29_every_contradiction_in_a_lots_value_is_told(tick_value: float, measured: float | None, word: str) -> None:
    assert word in sizing_problem(Money("USD", 1.0), tick_value, 0.01, measured, 1.0)


def test_29_a_consistent_lot_is_no_problem() -> None:
    assert sizing_problem(Money("USC", 100.0), 0.01, 0.01, 10.0, 0.01) == ""


def test_51_after_a_restart_of_the_terminal_everything_is_found_again() -> None:
    play = stage(account=replace(HEDGING, limit_positions=0), selected=False)
    play.broker.send(buy())
    foreign = replace(buy(), magic=4_711, comment="by hand")
    play.broker.send(foreign)
    play.go_on()
    before = (play.broker.positions(), play.broker.deals(0), play.broker.account())
    play.plan(terminal_restart("positions_get"))
    with pytest.raises(BrokerUnavailable):
        play.broker.positions()
    assert (play.broker.positions(), play.broker.deals(0), play.broker.account()) == before
    assert play.broker.quote().bid == 50_000.0
    assert play.broker.send(close(before[0][0])).outcome == Outcome.FILLED
    (left,) = play.broker.positions()
    assert left == replace(before[0][1], profit=left.profit), "the foreign one is untouched"


def test_a_lost_connection_is_looked_for_with_growing_pauses() -> None:
    play = stage()
    play.plan(disconnected("symbol_info_tick"), Fault("initialize", failure=TIMEOUT, times=6))
    begun = play.clock.now()
    tried: list[float] = []
    while True:
        before = play.mt5.calls.get("initialize", 0)
        try:
            play.broker.quote()
            break
        except BrokerUnavailable:
            if play.mt5.calls.get("initialize", 0) > before:
                tried.append(play.clock.now() - begun)
            play.clock.sleep(0.5)
    gaps = np.diff(tried)
    assert len(tried) == 6
    assert gaps.tolist() == [1.0, 2.0, 4.0, 8.0, 16.0]


def pauses(seed: int) -> list[float]:
    """Return the times between the attempts to connect of a broker whose pauses are spread."""
    play = stage(connect=False)
    play.plan(Fault("initialize", failure=TIMEOUT, times=7))
    broker = Mt5Broker(play.mt5, play.settings, play.clock, ACCESS, rng=Random(seed))
    tried: list[float] = []
    while len(tried) < 7:
        before = play.mt5.calls.get("initialize", 0)
        with pytest.raises(BrokerUnavailable):
            broker.quote()
        if play.mt5.calls["initialize"] > before:
            tried.append(play.clock.now())
        play.clock.sleep(0.01)
    return np.diff(tried).tolist()


def test_bots_that_lost_a_terminal_together_do_not_come_back_together() -> None:
    first, second = pauses(1), pauses(2)
    assert first == pauses(1), "the same seed waits the same"
    for one, other, least in zip(first, second, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0], strict=True):
        assert least <= one <= 1.5 * least + 0.02
        assert least <= other <= 1.5 * least + 0.02
        assert abs(one - other) > 0.01


def test_wrong_credentials_are_not_tried_in_a_tight_loop() -> None:
    play = stage()
    play.plan(disconnected("symbol_info_tick"), Fault("initialize", failure=AUTH_FAILED, times=2))
    for _ in range(290):
        with pytest.raises(BrokerUnavailable):
            play.broker.quote()
        play.clock.sleep(1.0)
    assert play.mt5.calls["initialize"] == 1


def test_a_call_before_the_terminal_runs_is_unavailable_not_an_error() -> None:
    play = stage(connect=False)
    play.plan(Fault("initialize", failure=NO_CONNECTION))
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        play.broker.positions()


def test_48_positions_that_cannot_be_read_are_not_taken_for_none() -> None:
    play = stage()
    play.broker.send(buy())
    play.plan(Fault("positions_get", failure=call_failed("").failure, times=3))
    with pytest.raises(BrokerUnavailable):
        play.broker.positions()
    assert len(play.broker.positions()) == 1


def test_48_nor_is_a_list_that_has_lost_a_position_the_history_never_closed() -> None:
    play = stage()
    play.broker.send(buy())
    assert len(play.broker.positions()) == 1
    play.plan(nothing_yet("positions_get"))
    with pytest.raises(BrokerUnavailable, match="no deal that closed it"):
        play.broker.positions()
    assert len(play.broker.positions()) == 1


def test_a_history_empty_after_a_login_is_not_taken_for_no_deals() -> None:
    play = stage()
    newest = play.broker.deals(0)[-1].ticket
    play.plan(nothing_yet("history_deals_get").on("history_deals_get", times=2))
    for after in (0, newest):
        with pytest.raises(BrokerUnavailable, match="not loaded"):
            play.broker.deals(after)
    assert len(play.broker.deals(0)) == 1


def test_a_new_broker_on_the_same_account_sees_the_same() -> None:
    play = stage()
    play.broker.send(buy())
    again = Mt5Broker(play.mt5, play.settings, play.clock, ACCESS)
    assert again.positions() == play.broker.positions()
