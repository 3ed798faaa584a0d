"""The bot over a terminal that fails in every way: one position at most, nothing lost, one message per trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from novosky.market.instrument import BOT_MAGIC as MAGIC
from tests.helpers.mt5.runs import Mt5Session, open_mt5, trade_server
from tests.helpers.paper_runs import Scenario, backtest_outcome, planted_bars, settings_with
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.faults import (
    Fault,
    FaultPlan,
    SeededFaults,
    answers,
    call_failed,
    disconnected,
    ipc_timeout,
    overwritten_comment,
    pipe_cut_after,
    pipe_cut_before,
    process_death,
    requote,
    server_timeout,
    terminal_restart,
)
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import MemoryStore


class Messages:
    """Keeps what people would be told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def send(self, message: str) -> None:
        """Keep the message."""
        self.texts.append(message)

    def about(self, word: str) -> int:
        """Count the messages that contain a word."""
        return sum(word in text for text in self.texts)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario(planted_bars(150))


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def session(scenario: Scenario, tmp_path: Path, messages: Messages) -> Mt5Session:
    server = trade_server(scenario, MemoryStore())
    return open_mt5(scenario, tmp_path / "journal.sqlite", server, notifier=messages)


def own(session: Mt5Session) -> list[int]:
    return [ticket for ticket, held in session.server.book.positions.items() if held.magic == MAGIC]


def until_a_position(session: Mt5Session) -> int:
    session.go_on_until(lambda: bool(own(session)))
    (ticket,) = own(session)
    return ticket


def test_48_a_broker_that_cannot_be_asked_is_waited_for_and_told_once(session: Mt5Session, messages: Messages) -> None:
    until_a_position(session)
    before = session.bot.status
    session.faults.plan(call_failed("positions_get").on("positions_get", times=9))
    session.server.advance()
    assert [session.bot.cycle() for _ in range(3)] == [False] * 3
    assert session.bot.status == before, "nothing was recorded"
    assert session.bot.cycle() is True
    assert session.bot.status.last_bar == before.last_bar + 900
    assert messages.about("cannot be asked") == messages.about("answers again") == 1
    assert len(session.journal.trades()) == int(not own(session))


def test_48_a_position_missing_from_one_list_is_not_booked_as_closed(session: Mt5Session) -> None:
    until_a_position(session)
    session.go_on(1)
    if not own(session):
        until_a_position(session)
        session.go_on(1)
    trades = len(session.journal.trades())
    session.faults.plan(Fault("positions_get", empty=True))
    session.server.advance()
    still = bool(own(session))
    acted = session.bot.cycle()
    assert acted is not still
    assert session.bot.cycle() is still
    assert len(session.journal.trades()) == trades + (not still)


def test_47_an_unknown_order_stays_open_is_told_once_and_adopted_when_the_line_is_back(
    session: Mt5Session, messages: Messages
) -> None:
    session.faults.plan(server_timeout(filled=True))
    original = session.server.send

    def lose_the_line(*args: object) -> object:
        result = original(*args)  # type: ignore[arg-type]
        session.server.conditions.connected = False
        return result

    session.server.send = lose_the_line  # type: ignore[method-assign,assignment]
    session.go_on_until(lambda: bool(session.journal.open_intents()))
    session.server.send = original  # type: ignore[method-assign]
    (intent,) = session.journal.open_intents()
    bars = session.bot.status.bars_processed
    for _ in range(3):
        assert session.bot.cycle() is False
    assert session.bot.status.bars_processed == bars
    assert messages.about(f"order {intent.id}") == 1
    assert len(session.faults.struck) == 1
    session.server.conditions.connected = True
    session.bot.cycle()
    assert session.journal.open_intents() == []
    row = session.journal.intent(intent.id)
    assert row is not None and (row["state"], row["order"]) == ("filled", own(session)[0])


def test_53_with_the_button_off_entries_wait_with_one_message_and_trading_resumes(
    session: Mt5Session, messages: Messages
) -> None:
    session.server.conditions.algo_trading = False
    session.go_on(60)
    refused = [row for row in session.journal.blocks() if row["gates"] == "market_closed"]
    assert len(refused) > 3
    assert messages.about("Algo Trading is switched off") == 1
    assert session.server.book.orders == []
    session.server.conditions.algo_trading = True
    until_a_position(session)


def test_53_a_close_only_symbol_blocks_entries_with_one_message(session: Mt5Session, messages: Messages) -> None:
    session.server.respecify("BTCUSD", trade_mode=C.SYMBOL_TRADE_MODE_CLOSEONLY)
    session.go_on(60)
    assert messages.about("only lets positions be closed") == 1
    assert own(session) == []


def halting(tmp_path: Path, messages: Messages) -> Mt5Session:
    """Return a session whose open position is about to be closed by the hard halt."""
    settings = settings_with(
        costs={"spread": 30.0},
        max_total_drawdown_pct=3.0,
        max_consecutive_losses=20,
        dynamic_position_sizing={"risk_percent": 4.0},
        risk_management={"sl_atr_mult": 5.0, "tp_atr_mult": 1.0, "max_spread_atr": 1.0},
    )
    scenario = Scenario(planted_bars(400), settings=settings)
    server = trade_server(scenario, MemoryStore())
    return open_mt5(scenario, tmp_path / "journal.sqlite", server, notifier=messages)


def test_53_an_exit_is_tried_at_every_close_while_trading_is_off(tmp_path: Path, messages: Messages) -> None:
    session = halting(tmp_path, messages)
    tries: list[int] = []
    original = session.server.send

    def switched_off(request: object, fault: object) -> object:
        if getattr(request, "position", 0):
            tries.append(1)
            session.server.conditions.algo_trading = len(tries) > 3
        return original(request, fault)  # type: ignore[arg-type]

    session.server.send = switched_off  # type: ignore[method-assign,assignment]
    session.go_on_until(lambda: bool(session.bot.status.guard.halted))
    session.go_on(6)
    assert own(session) == []
    assert 1 < len(tries) <= 4
    assert messages.about("Algo Trading is switched off") == 1


def lose_stops(session: Mt5Session) -> tuple[int, float, float]:
    """Take stop and target off a position at a close before the bot looks; return its ticket and levels."""
    while True:
        ticket = until_a_position(session)
        session.server.advance()
        if ticket in own(session):
            break
        session.bot.cycle()
    held = session.server.book.positions[ticket].account
    levels = float(held.sl), float(held.tp)
    held.sl, held.tp = -float(held.side) * float("inf"), float(held.side) * float("inf")
    return ticket, *levels


def test_lost_stops_are_set_again(session: Mt5Session) -> None:
    ticket, sl, tp = lose_stops(session)
    session.bot.cycle()
    held = session.server.book.positions[ticket].account
    assert (float(held.sl), float(held.tp)) == (sl, tp)


def test_a_position_whose_lost_stops_are_refused_is_closed(session: Mt5Session, messages: Messages) -> None:
    ticket, *_ = lose_stops(session)
    session.faults.plan(answers(C.TRADE_RETCODE_INVALID_STOPS))
    trades = len(session.journal.trades())
    session.bot.cycle()
    assert ticket not in own(session)
    assert messages.about("has no stop") == 1
    session.go_on(1)
    assert len(session.journal.trades()) == trades + 1


def test_50_a_broker_that_writes_over_every_comment_changes_nothing_in_the_files(
    scenario: Scenario, tmp_path: Path
) -> None:
    expected = backtest_outcome(scenario, tmp_path)
    faults = FaultPlan([overwritten_comment("broker").on("order_send", times=10_000)])
    session = open_mt5(scenario, tmp_path / "j.sqlite", trade_server(scenario, MemoryStore()), faults=faults)
    session.finish()
    assert session.outcome(scenario, tmp_path) == expected
    assert len(faults.struck) > 5


class Killed(BaseException):
    """The process ends here."""


def killed_again_and_again(scenario: Scenario, folder: Path, death: Callable[[int], Fault]) -> Mt5Session:
    """Run a scenario with a process that dies at every second order, starting it again each time."""
    server = trade_server(scenario, MemoryStore())
    deaths = 0
    while True:
        faults = FaultPlan([death(deaths).on("order_send", skip=1)])
        try:
            session = open_mt5(scenario, folder / "j.sqlite", server, faults=faults)
            if server.begun:
                session.bot.cycle()
            session.finish()
            return session
        except Killed:
            deaths += 1
            assert deaths < 200


@pytest.mark.parametrize("filled", [True, False], ids=["after the order", "before the order"])
def test_47_a_bot_killed_at_its_sends_leaves_the_backtests_files(
    scenario: Scenario, tmp_path: Path, filled: bool
) -> None:
    expected = backtest_outcome(scenario, tmp_path)
    session = killed_again_and_again(scenario, tmp_path, lambda _: process_death(Killed(), filled=filled))
    assert session.outcome(scenario, tmp_path) == expected
    assert len(expected.trade_rows) > 3


CHOICES = (
    server_timeout(filled=True),
    server_timeout(filled=False),
    ipc_timeout(filled=True),
    ipc_timeout(filled=False),
    pipe_cut_before(),
    pipe_cut_after(),
    requote(),
    answers(10024),
    answers(10006),
    Fault(retcode=10012, executes=True, comment=lambda _: ""),
    call_failed("positions_get"),
    call_failed("history_deals_get"),
    call_failed("copy_rates_from_pos"),
    call_failed("symbol_info_tick"),
    Fault("positions_get", empty=True),
    Fault("history_deals_get", empty=True),
    disconnected("account_info"),
    terminal_restart("symbol_info_tick"),
)


@pytest.mark.parametrize("seed", range(4))
def test_under_faults_at_random_there_is_one_position_at_most_and_the_books_agree(
    scenario: Scenario, tmp_path: Path, seed: int
) -> None:
    faults = SeededFaults(generator=np.random.default_rng(seed), choices=CHOICES)
    server: TradeServer = trade_server(scenario, MemoryStore())
    # Two positions would be possible here; only the bot's own care prevents them.
    server.terms = replace(server.terms, limit_positions=0)
    session = open_mt5(scenario, tmp_path / "j.sqlite", server, faults=faults)
    faults.rate = 0.03
    while not server.at_end:
        session.go_on(1)
        assert len(own(session)) <= 1
    faults.rate = 0.0
    for _ in range(3):
        session.bot.cycle()
        server.wait(70.0)
    # Trades after the newest processed bar are not booked yet.
    entries = {deal.position_id for deal in server.book.deals if deal.magic == MAGIC and deal.entry == 0}
    closed = {deal.position_id for deal in server.book.deals if deal.entry == 1 and deal.position_id in entries}
    assert entries - closed == set(own(session))
    assert len(session.journal.trades()) in (len(closed), len(closed) - 1)
    assert len(faults.struck) > 10
