"""A symbol that left the terminal's Market Watch is put back, and the bot goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contracts.broker import buy, close
from tests.helpers.live_runs import LiveDesk, live_outcome
from tests.helpers.mt5.stage import ACCESS, stage
from tests.helpers.paper_runs import Scenario, planted_bars, replay_outcome
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5_package.errors import CALL_FAILED, NOT_FOUND
from trading.brokers.mt5_package.structs import Tick
from trading.brokers.port import BrokerUnavailable, Outcome
from trading.brokers.simulated.faults import Fault, terminal_restart
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.functions.views import Installation
from trading.live.loop import Rhythm
from trading.live.session import LiveSession

HIDDEN = ("BTCUSD", False)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario(planted_bars(120))


@pytest.mark.parametrize("delay", [0.0, 1.5], ids=["at once", "first tick late"])
def test_quotes_and_bars_of_a_symbol_taken_out_of_view_come_back(delay: float) -> None:
    play = stage(selected=False, installation=Installation(selection_delay=delay))
    assert play.mt5.symbol_select(*HIDDEN)
    assert play.broker.quote().bid == 50_000.0
    assert play.mt5.symbol_select(*HIDDEN)
    assert len(play.broker.closed_bars(1)) == 1


def test_an_order_is_sent_although_the_symbol_was_taken_out_of_view() -> None:
    play = stage(selected=False)
    assert play.mt5.symbol_select(*HIDDEN)
    assert play.broker.send(buy()).outcome == Outcome.FILLED
    (position,) = play.broker.positions()
    play.go_on()
    assert play.broker.send(close(position)).outcome == Outcome.FILLED
    assert play.broker.quote().bid == 50_000.0


class Wordless(SimulatedTerminal):
    """Gives no tick of a hidden symbol and does not say why."""

    answer: Any = None

    def symbol_info_tick(self, *args: Any) -> Tick | None:
        tick = super().symbol_info_tick(*args)
        if tick is None:
            self._error = (1, "Success")
        return self.answer if tick is None else tick


@pytest.mark.parametrize("answer", [None, Tick((0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0))], ids=["none", "zeros"])
def test_a_missing_tick_without_an_error_is_a_reason_to_select_again(answer: Tick | None) -> None:
    play = stage(connect=False)
    terminal = Wordless(play.server)
    terminal.answer = answer
    broker = Mt5Broker(terminal, play.settings, play.clock, ACCESS)
    broker.connect()
    assert terminal.symbol_select(*HIDDEN)
    assert broker.quote().bid == 50_000.0


@pytest.mark.parametrize("failure", [NOT_FOUND, CALL_FAILED], ids=["-4", "-1"])
def test_bars_that_fail_have_their_symbol_selected_before_they_are_asked_for_again(failure: Any) -> None:
    play = stage()
    play.plan(Fault("copy_rates_from_pos", failure=failure))
    assert len(play.broker.closed_bars(1)) == 1
    assert (play.mt5.calls["copy_rates_from_pos"], play.mt5.calls["symbol_select"]) == (2, 1)


def test_a_symbol_the_terminal_will_not_show_is_unavailable_and_tried_again_next_time() -> None:
    play = stage(selected=False)
    play.mt5.symbol_select(*HIDDEN)
    play.plan(Fault("symbol_select", failure=CALL_FAILED))
    with pytest.raises(BrokerUnavailable, match="does not show BTCUSD"):
        play.broker.quote()
    assert play.broker.quote().bid == 50_000.0


class Watched:
    """Keeps the terminals of a live bot at hand."""

    def __init__(self) -> None:
        self.terminals: list[SimulatedTerminal] = []

    def module(self, terminal: SimulatedTerminal) -> SimulatedTerminal:
        self.terminals.append(terminal)
        return terminal


def test_a_live_bot_whose_symbol_is_hidden_again_and_again_trades_on_as_if_nothing_were(
    scenario: Scenario, tmp_path: Path
) -> None:
    watched = Watched()
    desk = LiveDesk(scenario, tmp_path, module=watched.module)
    hidden: list[bool] = []

    def hide(session: LiveSession) -> bool:
        if session.bot is not None:
            hidden.append(watched.terminals[-1].symbol_select(*HIDDEN))
        return False

    outcome = desk.run(until=hide, look=lambda session: live_outcome(session, scenario, tmp_path))
    assert outcome == replay_outcome(scenario, tmp_path)
    assert hidden.count(True) > 20 and hidden.count(False) > 5, "a position keeps its symbol in view"
    assert len(outcome.trade_rows) > 3


def test_a_terminal_that_starts_anew_with_an_empty_market_watch_while_a_position_is_open_changes_no_trade(
    scenario: Scenario, tmp_path: Path
) -> None:
    expected = replay_outcome(scenario, tmp_path)
    watched = Watched()
    desk = LiveDesk(scenario, tmp_path, module=watched.module, rhythm=Rhythm(poll=45.0, reconcile=900.0))
    desk.run(until=lambda session: session.bot is not None and bool(session.broker.positions()))
    desk.faults.plan(terminal_restart("account_info"))
    outcome = desk.run(look=lambda session: live_outcome(session, scenario, tmp_path))
    assert outcome.trades == expected.trades
    assert [fault.restarts for _, fault in desk.faults.struck] == [True]
