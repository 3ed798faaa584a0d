"""A journal that is lost, old, or another's is brought up to the account, and the bot goes on as if it never was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.inputs.parameters import build_params
from engine.records import Guard, Trade, from_text
from novosky.database.place import sqlite_url
from novosky.errors import BrokerError
from novosky.market.instrument import BOT_MAGIC as MAGIC
from tests.helpers.mt5.runs import Mt5Session, open_mt5, trade_server
from tests.helpers.paper_runs import Scenario, planted_bars, settings_with
from trading.account.adoption import adopt, survey
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Access
from trading.brokers.port import OpeningOrder, OrderRequest
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import MemoryStore
from trading.cycle.unknown_orders import UNKNOWN_ORDERS
from trading.journal import Journal

LIMITS = {"max_daily_loss": 2.0, "max_weekly_drawdown_pct": 4.0}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario(planted_bars(300))


class World:
    """A server, the bot on it, and the journal's file."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.file = folder / "journal.sqlite"
        self.server: TradeServer = trade_server(scenario, MemoryStore())
        self.session: Mt5Session = open_mt5(scenario, self.file, self.server)

    def start(self) -> None:
        self.session = open_mt5(self.scenario, self.file, self.server)

    def stop(self) -> None:
        self.session.close()

    def copy(self) -> Path:
        """Put a whole copy aside."""
        self.stop()
        shutil.copy(self.file, self.folder / "old.sqlite")
        self.start()
        return self.folder / "old.sqlite"

    def lose(self) -> None:
        self.stop()
        for file in self.folder.glob("journal.sqlite*"):
            file.unlink()

    def adopt(self) -> None:
        """Do what the command does."""
        settings, terms = self.scenario.settings, self.server.terms
        params = build_params(settings, self.scenario.ml_settings)
        journal = Journal(sqlite_url(self.file), symbol="BTCUSD", durable=False)
        access = Access(terms.login, terms.server, real=False)
        broker = Mt5Broker(SimulatedTerminal(self.server), settings, TerminalClock(self.server), access)
        adopt(journal, survey(broker, journal, params, "scenario"), int(self.server.now))
        broker.close()
        journal.close()

    def own(self) -> list[int]:
        return [ticket for ticket, held in self.server.book.positions.items() if held.magic == MAGIC]

    def trades(self) -> list[bytes]:
        return self.session.journal.trades()

    def guard(self) -> Guard:
        return self.session.bot.status.guard


@pytest.fixture
def world(scenario: Scenario, tmp_path: Path) -> World:
    return World(scenario, tmp_path)


def facts_of(trade: bytes) -> dict[str, Any]:
    """Return what a history can tell of a trade: all but the bot's own reason to leave."""
    record = from_text(Trade, trade)
    names = [name for name in record.dtype.names or () if name != "reason"]
    return {name: record[name].item() for name in names}


def assert_same_guard(found: Guard, expected: Guard) -> None:
    for name in expected.dtype.names or ():
        assert np.allclose(found[name], expected[name], atol=0.011), name


def flat(world: World) -> bool:
    return not world.own() and len(world.trades()) > 4


def holding(world: World) -> bool:
    return bool(world.own()) and len(world.trades()) > 4


@pytest.mark.parametrize("moment", [flat, holding])
def test_a_lost_journal_is_rebuilt_from_the_account(world: World, moment: Callable[[World], bool]) -> None:
    world.session.go_on_until(lambda: moment(world))
    # The bar after an entry knows it; the forming bar's own deals are for the bot to book.
    before, trades, cash = world.guard(), world.trades(), world.session.bot.status.cash
    deals = [row["ticket"] for row in world.session.journal.deals()]
    world.lose()
    with pytest.raises(BrokerError, match="novosky journal adopt") as refusal:
        world.start()
    assert refusal.value.exit_code == 8
    world.adopt()
    world.start()
    assert [facts_of(each) for each in world.trades()] == [facts_of(each) for each in trades]
    assert [row["ticket"] for row in world.session.journal.deals()] == deals
    assert world.session.bot.status.cash == cash
    assert_same_guard(world.guard(), before)
    assert world.session.bot.status.last_bar == world.server.now


def test_the_bot_goes_on_as_if_the_journal_had_never_been_lost(
    world: World, scenario: Scenario, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    undisturbed = World(scenario, tmp_path / "other")
    undisturbed.session.finish()
    world.session.go_on_until(lambda: holding(world))
    (ticket,) = world.own()
    world.lose()
    with pytest.raises(BrokerError):
        world.start()
    world.adopt()
    world.start()
    held = world.server.book.positions[ticket].account
    assert held.sl and held.tp
    world.session.finish()
    expected = [facts_of(each) for each in undisturbed.trades()]
    assert [facts_of(each) for each in world.trades()] == expected
    assert len(expected) > 10
    assert_same_guard(world.guard(), undisturbed.guard())


@pytest.mark.parametrize("moment", [flat, holding])
def test_an_older_copy_is_brought_up_to_date(world: World, moment: Callable[[World], bool]) -> None:
    world.session.go_on_until(lambda: len(world.trades()) == 2 and bool(world.own()))
    old = world.copy()
    world.session.go_on_until(lambda: moment(world))
    before, trades = world.guard(), world.trades()
    world.lose()
    shutil.copy(old, world.file)
    with pytest.raises(BrokerError, match="novosky journal adopt"):
        world.start()
    world.adopt()
    world.start()
    assert [facts_of(each) for each in world.trades()] == [facts_of(each) for each in trades]
    assert_same_guard(world.guard(), before)


@pytest.mark.parametrize("latch", ["day_blocked", "week_blocked", "halted", "paused_until"])
def test_a_limit_that_was_reached_is_reached_again(tmp_path: Path, latch: str) -> None:
    terms: dict[str, Any] = {
        "day_blocked": {"max_daily_loss": 1.0},
        "week_blocked": {"max_weekly_drawdown_pct": 2.0},
        "halted": {"max_total_drawdown_pct": 1.5},
        "paused_until": {"equity_curve_filter": {"enabled": True, "lookback_trades": 3, "max_drawdown_pct": 0.3}},
    }
    settings = settings_with(costs={"spread": 60.0}, **terms[latch])
    world = World(Scenario(planted_bars(600), settings=settings), tmp_path)
    world.session.go_on_until(lambda: bool(getattr(world.guard(), latch)) and not world.own())
    world.session.go_on(1)
    before = world.guard()
    assert getattr(before, latch)
    world.lose()
    with pytest.raises(BrokerError):
        world.start()
    world.adopt()
    world.start()
    assert_same_guard(world.guard(), before)


def test_a_halt_by_a_person_stays_with_an_older_copy(world: World) -> None:
    world.session.go_on_until(lambda: len(world.trades()) >= 2 and not world.own())
    world.session.bot.halt()
    old = world.copy()
    world.stop()
    status = Journal(sqlite_url(old), symbol="BTCUSD", durable=False).status()
    assert status is not None and status.guard.halted
    world.adopt()
    world.start()
    assert world.guard().halted


def test_nothing_is_booked_twice_by_a_second_adoption(world: World) -> None:
    world.session.go_on_until(lambda: holding(world))
    trades = world.trades()
    world.lose()
    with pytest.raises(BrokerError):
        world.start()
    world.adopt()
    world.adopt()
    world.start()
    assert len(world.trades()) == len(trades)
    assert world.guard().closed == len(trades)


def test_two_open_positions_have_to_be_one_first(world: World) -> None:
    world.session.go_on_until(lambda: holding(world))
    (ticket,) = world.own()
    world.server.book.positions[ticket + 10**6] = replace(world.server.book.positions[ticket], ticket=ticket + 10**6)
    world.lose()
    with pytest.raises(BrokerError, match="close all but one by hand"):
        world.adopt()
    del world.server.book.positions[ticket + 10**6]
    world.adopt()
    world.start()


def test_a_position_without_a_stop_has_to_get_one_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.session.go_on_until(lambda: holding(world))
    (ticket,) = world.own()
    held = world.server.book.positions[ticket].account
    stop, held.sl = held.sl, 0.0
    monkeypatch.setattr(Mt5Broker, "opening_order", lambda self, position: OpeningOrder(1, 0.0, 0.0))
    world.lose()
    with pytest.raises(BrokerError, match="has no stop or no target"):
        world.adopt()
    held.sl = stop
    world.adopt()
    world.start()


def rival(world: World) -> OrderRequest:
    """Return the order of another bot with the same magic, which decided at the same close."""
    name = f"e{world.session.bot.status.last_bar:x}"
    price = world.session.broker.quote().bid
    return OrderRequest(1, 0.01, price * 0.9, price * 1.1, 0, MAGIC, name)


def test_an_order_of_another_bot_stops_entries_at_once_and_stays_alone(world: World) -> None:
    world.session.go_on_until(lambda: flat(world))
    world.session.broker.send(rival(world))
    (foreign,) = world.own()
    world.session.go_on(1)
    assert world.session.journal.flag(UNKNOWN_ORDERS) is not None
    entries = len(world.session.journal.intents())
    world.session.go_on(60)
    assert len(world.session.journal.intents()) == entries, "no entry, and no exit of what is not its own"
    blocked = [row for row in world.session.journal.decisions() if row["action"] == "blocked"]
    assert blocked
    world.stop()
    world.start()
    world.session.go_on(20)
    assert len(world.session.journal.intents()) == entries, "a restart is no decision of a person"
    world.stop()
    world.adopt()
    world.start()
    assert world.session.journal.flag(UNKNOWN_ORDERS) is None
    if foreign in world.own():
        assert foreign in world.session.journal.held_positions()
    assert world.guard().closed == len(world.trades())
    world.session.go_on_until(lambda: len(world.session.journal.intents()) > entries + 1)


def test_of_two_positions_with_one_name_the_bot_knows_its_own(world: World) -> None:
    world.session.go_on_until(lambda: holding(world))
    (ticket,) = world.own()
    name = world.server.book.positions[ticket].comment
    world.server.terms = replace(world.server.terms, limit_positions=0)
    assert world.session.broker.send(replace(rival(world), comment=name)).order
    world.session.go_on(2)
    assert world.session.journal.flag(UNKNOWN_ORDERS) is not None
    closes = [row["position"] for row in world.session.journal.intents() if row["kind"] == "exit"]
    assert set(world.own()) - {ticket} and not set(closes) & (set(world.own()) - {ticket})
    assert not world.session.bot.away


def test_trades_of_another_bot_between_two_bars_are_no_trades_of_this_one(world: World) -> None:
    world.session.go_on_until(lambda: flat(world))
    trades = len(world.trades())
    sent = world.session.broker.send(rival(world))
    world.session.broker.send(OrderRequest(-1, 0.01, 0.0, 0.0, sent.order, MAGIC, "x00000000"))
    assert not world.own()
    world.session.go_on(1)
    assert len(world.trades()) == trades
    assert world.session.bot.status.cash == pytest.approx(world.session.broker.account().balance)
    assert world.session.journal.flag(UNKNOWN_ORDERS) is not None


def test_the_hourly_look_finds_what_the_journal_has_forgotten(world: World) -> None:
    world.session.go_on_until(lambda: flat(world))
    world.session.bot.reconcile()
    assert world.session.journal.flag(UNKNOWN_ORDERS) is None
    import sqlite3

    with sqlite3.connect(world.file) as outside:
        outside.execute("DELETE FROM deals WHERE ticket = (SELECT max(ticket) FROM deals WHERE magic = ?)", (MAGIC,))
    world.session.bot.reconcile()
    assert world.session.journal.flag(UNKNOWN_ORDERS) is not None


def test_an_account_whose_money_came_in_the_forming_bar_is_not_born_halted(world: World) -> None:
    world.server.move_money(40.0)
    world.lose()
    world.adopt()
    world.start()
    guard = world.guard()
    assert (guard.halted, guard.equity, guard.day_equity) == (0, 540.0, 540.0)
    world.session.go_on(2)
    assert world.guard().halted == 0
    assert world.guard().halt_moved == 0.0


@pytest.mark.parametrize("grown", [1_500.0, 90.0])
def test_a_starting_balance_that_was_stated_later_halts_nothing_in_the_past(
    scenario: Scenario, tmp_path: Path, grown: float
) -> None:
    world = World(scenario, tmp_path)
    world.session.go_on_until(lambda: len(world.trades()) > 2)
    world.server.move_money(grown)
    world.session.go_on_until(lambda: flat(world))
    stated = round(float(world.guard().equity), 2) if grown > 1_000.0 else 5_000.0
    world.lose()
    world.scenario = replace(
        scenario, settings=settings_with(risk_profile={"starting_balance_usd": stated}, max_total_drawdown_pct=30.0)
    )
    world.adopt()
    world.start()
    assert world.guard().halt_moved == 0.0
    # Below the line that is stated now the bot stays halted.
    assert world.guard().halted == (grown < 1_000.0)
    world.stop()


def test_a_position_whose_beginning_the_history_hides_leads_to_a_way_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken over without it, the bot would be refused at its start, and sent back here."""
    world.session.go_on_until(lambda: holding(world))
    (ticket,) = world.own()
    listed = SimulatedTerminal.history_deals_get
    with monkeypatch.context() as patch:
        patch.setattr(
            SimulatedTerminal,
            "history_deals_get",
            lambda self, *given, **named: tuple(
                row for row in listed(self, *given, **named) or () if row.position_id != ticket
            ),
        )
        world.lose()
        with pytest.raises(BrokerError, match=rf"opened position {ticket}; show the whole history"):
            world.adopt()
    world.adopt()
    world.start()
    world.session.go_on(2)
    world.session.bot.reconcile()
    assert world.session.journal.flag(UNKNOWN_ORDERS) is None
