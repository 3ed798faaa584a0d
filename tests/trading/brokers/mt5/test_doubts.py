"""Orders whose answer says nothing: found under any name, never sent twice; positions never left without stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.broker import BAR, QUIET, START, UP, buy, close
from tests.helpers.mt5.stage import ACCESS, HEDGING, Counted, Mt5Stage, Watching, held, stage
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.errors import INTERNAL
from trading.brokers.port import Outcome
from trading.brokers.simulated.faults import (
    Fault,
    FaultPlan,
    answers,
    ipc_timeout,
    late_position,
    overwritten_comment,
    pipe_cut_after,
    pipe_cut_before,
    process_death,
    server_timeout,
    truncated_comment,
)
from trading.brokers.simulated.functions.views import Installation

ORDER = buy(comment="e6595a2c4")
MANY = replace(HEDGING, limit_positions=0)


DOUBTS = {
    "10012": lambda filled: server_timeout(filled=filled),
    "10012 without a ticket": lambda filled: Fault(retcode=10012, executes=filled, seconds=30.0),
    "no answer": lambda filled: ipc_timeout(filled=filled),
    "pipe": lambda filled: pipe_cut_after() if filled else pipe_cut_before(),
    "call failed": lambda filled: Fault(failure=INTERNAL, executes=filled),
}


@pytest.mark.parametrize("filled", [True, False], ids=["filled", "lost"])
@pytest.mark.parametrize("doubt", DOUBTS)
def test_46_47_a_doubtful_entry_is_adopted_or_known_not_to_be(doubt: str, filled: bool) -> None:
    play = stage()
    play.plan(DOUBTS[doubt](filled))
    result = play.broker.send(ORDER)
    assert (play.sends(), len(held(play))) == (1, int(filled))
    if filled:
        (position,) = play.broker.positions()
        assert (result.outcome, result.order, result.price) == (Outcome.FILLED, position.ticket, 50_010.0)
        assert result.deal == play.broker.deals(0)[-1].ticket
    else:
        assert (result.outcome, result.order, result.deal) == (Outcome.NOT_PLACED, 0, 0)


@pytest.mark.parametrize("filled", [True, False], ids=["filled", "lost"])
@pytest.mark.parametrize("doubt", DOUBTS)
def test_47_a_doubtful_exit_is_known_to_have_closed_or_not(doubt: str, filled: bool) -> None:
    play = stage()
    play.broker.send(ORDER)
    play.go_on()
    (position,) = play.broker.positions()
    play.plan(DOUBTS[doubt](filled))
    result = play.broker.send(close(position, comment="x6595a648"))
    assert play.sends() == 2
    assert result.outcome == (Outcome.FILLED if filled else Outcome.NOT_PLACED)
    assert len(held(play)) == int(not filled)


def test_47_nothing_is_called_not_placed_before_a_working_link_has_shown_nothing_for_long() -> None:
    play = stage()
    play.plan(ipc_timeout(seconds=0.0))
    before = play.clock.now()
    play.broker.send(ORDER)
    assert play.clock.now() - before >= 30.0


def test_47_while_the_line_is_down_the_outcome_stays_unknown_and_is_found_later() -> None:
    play = stage()
    calls = iter(range(1_000))
    original = play.server.send

    def send_and_lose_the_line(*args: Any) -> Any:
        result = original(*args)
        play.server.conditions.connected = next(calls) > 5
        return result

    play.server.send = send_and_lose_the_line  # type: ignore[method-assign,assignment]
    play.plan(server_timeout(filled=True))
    assert play.broker.send(ORDER).outcome == Outcome.UNKNOWN
    assert play.sends() == 1
    play.server.conditions.connected = True
    assert play.broker.outcome_of(ORDER, START + BAR).outcome == Outcome.FILLED
    assert len(held(play)) == 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("filled", [True, False])
def test_47_a_process_killed_at_the_send_finds_out_at_its_next_start(filled: bool) -> None:
    play = stage()
    play.plan(process_death(Killed(), filled=filled))
    with pytest.raises(Killed):
        play.broker.send(ORDER)
    terminal = Counted(play.server, FaultPlan(), Installation(selected=("BTCUSD",)))
    restarted = Mt5Broker(terminal, play.settings, play.clock, ACCESS)
    found = restarted.outcome_of(ORDER, START + BAR)
    assert found.outcome == (Outcome.FILLED if filled else Outcome.NOT_PLACED)
    assert len(held(play)) == int(filled)


def test_47_an_entry_that_was_stopped_out_meanwhile_is_still_found() -> None:
    play = stage([QUIET, UP, QUIET, QUIET])
    play.plan(process_death(Killed(), filled=True))
    with pytest.raises(Killed):
        play.broker.send(ORDER)
    play.go_on()
    assert held(play) == ()
    assert play.broker.outcome_of(ORDER, START + BAR).outcome == Outcome.FILLED


def test_47_an_older_trade_of_the_same_bot_is_not_taken_for_the_lost_order() -> None:
    play = stage(account=MANY)
    play.broker.send(buy(comment="e65959f40"))
    play.plan(ipc_timeout(filled=False, seconds=0.0))
    assert play.broker.send(ORDER).outcome == Outcome.NOT_PLACED


@pytest.mark.parametrize("delay", [0.5, 3.0])
def test_49_a_position_that_shows_late_is_waited_for(delay: float) -> None:
    play = stage()
    play.plan(late_position(delay))
    result = play.broker.send(ORDER)
    assert result.outcome == Outcome.FILLED
    assert [position.ticket for position in play.broker.positions()] == [result.order]


@pytest.mark.parametrize("timeout", [False, True], ids=["answered", "doubtful"])
@pytest.mark.parametrize("name", ["truncated 16", "truncated 5", "overwritten", "erased"])
def test_50_whatever_the_broker_makes_of_the_comment_the_trade_is_found(name: str, timeout: bool) -> None:
    renamed = {
        "truncated 16": truncated_comment(16),
        "truncated 5": truncated_comment(5),
        "overwritten": overwritten_comment("broker ref 77"),
        "erased": overwritten_comment(""),
    }[name]
    play = stage()
    play.plan(replace(renamed, retcode=10012, executes=True) if timeout else renamed)
    result = play.broker.send(ORDER)
    (position,) = play.broker.positions()
    assert (result.outcome, result.order, play.sends()) == (Outcome.FILLED, position.ticket, 1)


def test_50_a_foreign_position_opened_meanwhile_is_not_adopted() -> None:
    play = stage(account=MANY)
    play.plan(ipc_timeout(filled=False, seconds=0.0))

    def someone_trades(_: float) -> None:
        if not held(play):
            fields = {"action": 1, "symbol": "BTCUSD", "volume": 1.0, "type": 0, "magic": 4_711, "comment": "by hand"}
            assert play.mt5.order_send(fields).retcode == 10009

    broker = Mt5Broker(play.mt5, play.settings, Watching(play.server, someone_trades), ACCESS)
    assert broker.send(ORDER).outcome == Outcome.NOT_PLACED


def strip_stops(play: Mt5Stage) -> None:
    """Let the broker open positions without the levels that were asked for."""
    original = play.server.send

    def send(request: Any, fault: Any) -> Any:
        result = original(request, fault)
        if request.action == C.TRADE_ACTION_DEAL and not request.position:
            for position in play.server.book.positions.values():
                position.account.sl, position.account.tp = -float("inf"), float("inf")
        return result

    play.server.send = send  # type: ignore[method-assign]


def test_a_position_opened_without_its_stops_gets_them() -> None:
    play = stage()
    strip_stops(play)
    assert play.broker.send(ORDER).outcome == Outcome.FILLED
    (position,) = play.broker.positions()
    assert (position.sl, position.tp) == (49_910.0, 50_110.0)
    assert [sent["action"] for sent in play.mt5.sent] == [C.TRADE_ACTION_DEAL, C.TRADE_ACTION_SLTP]


def test_a_position_whose_stops_are_not_taken_is_closed() -> None:
    play = stage()
    strip_stops(play)
    play.plan(answers(C.TRADE_RETCODE_INVALID_STOPS).on("order_send", skip=1, times=1))
    assert play.broker.send(ORDER).outcome == Outcome.FILLED
    assert held(play) == ()
    leave = play.broker.deals(0)[-1]
    assert (leave.comment, leave.entry) == ("no stops", 1)
