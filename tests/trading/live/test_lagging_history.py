"""A terminal that has just logged in states the balance at once and lists its newest deals a moment later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.inputs.parameters import build_params
from engine.records import Guard, Params, Trade, from_text, new_record
from novosky.database.place import sqlite_url
from novosky.errors import StorageError
from novosky.market.instrument import BOT_MAGIC as MAGIC
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.mt5.runs import Mt5Session, open_mt5, trade_server
from tests.helpers.paper_runs import Scenario, planted_bars, settings_with
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import MemoryStore
from trading.cycle.money import PATIENCE, last_gap, take_in
from trading.journal import Journal
from trading.live.session import live_session


class Lag:
    """Hides the newest deals at the next looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks, self.last = 0, 0
        listed = SimulatedTerminal.history_deals_get

        def lagging(terminal: SimulatedTerminal, *args: Any, **named: Any) -> Any:
            rows = listed(terminal, *args, **named)
            if self.looks > 0 and rows is not None:
                self.looks -= 1
                rows = tuple(row for row in rows if row.ticket <= self.last)
            return rows

        monkeypatch.setattr(SimulatedTerminal, "history_deals_get", lagging)


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> Lag:
    return Lag(monkeypatch)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    limits = {"max_daily_loss": 10.0, "max_weekly_drawdown_pct": 15.0, "max_total_drawdown_pct": 25.0}
    return Scenario(planted_bars(200), settings=settings_with(**limits))


def holds(server: TradeServer) -> bool:
    return any(position.magic == MAGIC for position in server.book.positions.values())


def snapshot(session: Mt5Session) -> None:
    """Do what the live session does after every bar."""
    account = session.broker.account()
    session.journal.snapshot_account(session.bot.status.last_bar, account.balance, account.equity, account.margin, 0)


def away(scenario: Scenario, file: Path, *, held: bool) -> TradeServer:
    """Let a bot trade, and leave it flat or with a position that its journal has booked."""
    server = trade_server(scenario, MemoryStore())
    session = open_mt5(scenario, file, server)
    session.go_on_until(
        lambda: holds(server) == held and session.journal.is_flat() == (not held) and len(session.journal.trades()) > 1
    )
    if held:
        snapshot(session)
    session.close()
    return server


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("paid", [-180.0, -60.0, 250.0])
def test_money_moved_in_a_downtime_is_no_result_though_its_deal_comes_late(
    scenario: Scenario, tmp_path: Path, lag: Lag, paid: float, held: bool
) -> None:
    file = tmp_path / "journal.sqlite"
    server = away(scenario, file, held=held)
    lag.last = server.book.deals[-1].ticket
    server.move_money(paid)
    server.advance()
    lag.looks = 3
    session = open_mt5(scenario, file, server)
    before = session.bot.status.guard
    for _ in range(4):
        session.bot.cycle()
    guard = session.bot.status.guard
    assert session.bot.status.last_bar == server.now
    assert (guard.day_blocked, guard.week_blocked, guard.halted) == (0, 0, 0)
    assert guard.day_equity == pytest.approx(before.day_equity + paid, rel=0.1)
    assert guard.halt_moved == pytest.approx(paid, rel=0.1)
    assert guard.week_peak < before.week_peak + paid * 1.1 if paid > 0 else guard.week_peak < before.week_peak
    session.close()


def test_what_no_deal_ever_explains_is_taken_after_a_restart_too(scenario: Scenario, tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    server = away(scenario, file, held=False)
    server.book.balance += 7.0
    server.advance()
    session = open_mt5(scenario, file, server)
    for look in range(PATIENCE + 1):
        assert session.bot.cycle() is (look == PATIENCE)
        assert session.bot.unexplained is (look < PATIENCE)
    session.close()
    # Once taken, the next start knows of it.
    server.advance()
    session = open_mt5(scenario, file, server)
    assert session.bot.cycle()
    session.close()


def test_of_a_position_without_a_snapshot_nothing_is_guessed(scenario: Scenario, tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    away(scenario, file, held=True)
    journal = Journal(sqlite_url(file), symbol="BTCUSD", durable=False)
    status = journal.status()
    assert status is not None
    assert last_gap(journal, status) == pytest.approx(0.0, abs=1e-9)
    (newest,) = journal.account_snapshots(status.last_bar)
    journal.snapshot_account(newest.time + 900, 1.0, 1.0, 0.0, 0)
    status = type(status)(**{**status.__dict__, "last_bar": newest.time + 1})
    assert last_gap(journal, status) is None
    journal.close()


def test_a_deposit_that_is_listed_after_the_first_start_moves_nothing(
    scenario: Scenario, tmp_path: Path, lag: Lag
) -> None:
    """It was in the balance that the bot began with."""
    server = trade_server(scenario, MemoryStore())
    server.advance()
    lag.last = server.book.deals[-1].ticket
    server.move_money(100.0)
    server.advance()
    lag.looks = 2
    session = open_mt5(scenario, tmp_path / "journal.sqlite", server)
    session.go_on(2)
    guard = session.bot.status.guard
    assert guard.halt_moved == 0.0
    assert guard.day_equity == guard.peak_equity == guard.week_peak == 600.0
    assert session.bot.status.cash == session.broker.account().balance
    assert [move.amount for move in session.journal.money_moves()] == [500.0, 100.0]
    server.move_money(50.0)
    session.go_on(1)
    assert session.bot.status.guard.halt_moved > 0.0
    session.close()


def test_two_trades_closed_in_one_bar_are_counted_on_the_balance_itself(scenario: Scenario) -> None:
    """A broker that cut old deals off: their sum is not the balance, and both trades are of the same account."""
    params: Params = build_params(scenario.settings, scenario.ml_settings)
    guard = new_record(Guard)
    first = new_record(Trade)
    first.profit, first.balance = -5.0, 95.0
    take_in(guard, params, [first], 90.0, 490.0, 900, 400.0)
    assert guard.balances[0] == 495.0


def test_a_halt_by_order_is_not_written_into_another_copy_of_the_journal(scenario: Scenario, tmp_path: Path) -> None:
    file, server = tmp_path / "journal.sqlite", trade_server(scenario, MemoryStore())
    session = open_mt5(scenario, file, server)
    session.go_on(3)
    older = Journal(sqlite_url(file), symbol="BTCUSD", durable=False)
    status = older.status()
    assert status is not None
    older.save_status(type(status)(**{**status.__dict__, "last_bar": status.last_bar - 900}))
    older.close()
    with pytest.raises(StorageError, match="replaced by another copy"):
        session.bot.halt()
    session.close()


def test_a_bot_begins_with_the_balance_itself_where_old_deals_are_cut_off(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = trade_server(scenario, MemoryStore())
    server.advance()
    server.move_money(45.0)
    listed, first = SimulatedTerminal.history_deals_get, server.book.deals[0].ticket
    monkeypatch.setattr(
        SimulatedTerminal,
        "history_deals_get",
        lambda self, *given, **named: tuple(row for row in listed(self, *given, **named) or () if row.ticket > first),
    )
    session = open_mt5(scenario, tmp_path / "journal.sqlite", server)
    assert session.bot.status.cash == 545.0
    session.go_on_until(lambda: len(session.journal.trades()) > 2)
    assert session.bot.status.cash == session.broker.account().balance
    newest = from_text(Trade, session.journal.trades()[-1])
    assert newest.balance == pytest.approx(server.book.balance, abs=1e-9) or holds(server)
    session.close()


def test_a_run_for_one_bar_waits_for_the_deals_too(tmp_path: Path, scenario: Scenario, lag: Lag) -> None:
    """Each such run is a process of its own: ending at the first look, none of them would ever get further."""
    desk = LiveDesk(scenario, tmp_path)
    desk.run(6)
    lag.last = desk.server.book.deals[-1].ticket
    for paid, looks in ((-120.0, 5), (3.0, 0)):
        if looks:
            desk.server.move_money(paid)
        else:
            desk.server.book.balance += paid
        desk.server.advance()
        with live_session(desk.parts()) as session:
            lag.looks = looks
            session.run(lambda: False, once=True)
            status = bot_of(session).status
            assert status.last_bar == desk.server.now
            assert status.guard.halted == status.guard.day_blocked == 0
