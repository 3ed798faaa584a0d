"""Play a scenario through the bot over the MetaTrader 5 adapter over the simulated terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from alerts.notify import Notifier, SilentNotifier
from engine.inputs.columns import minutes_of
from engine.inputs.parameters import build_params
from engine.records import no_minutes, to_bytes
from novosky.database.place import sqlite_url
from tests.helpers.paper_runs import Outcome, Scenario
from trading.bot import Bot
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Access, Timing
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.faults import FaultPlan
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.opening import paper_server
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore, TerminalStore
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.journal import Journal
from trading.reports.exports import export_blocks, export_trades


@dataclass
class Mt5Session:
    """A wired bot and the world it trades in."""

    server: TradeServer
    faults: FaultPlan
    mt5: SimulatedTerminal
    broker: Mt5Broker
    journal: Journal
    bot: Bot

    def close(self) -> None:
        """Release files and connection; the server's account stays."""
        self.broker.close()
        self.journal.close()

    def go_on(self, bars: int) -> None:
        """Let the market and the bot go on for some bars."""
        for _ in range(bars):
            self.server.advance()
            self.bot.cycle()

    def go_on_until(self, condition: Callable[[], bool]) -> None:
        """Let the market and the bot go on until a condition holds."""
        while not condition():
            assert not self.server.at_end, "it never happened"
            self.go_on(1)

    def finish(self) -> None:
        """Run to the end of the market."""
        while not self.server.at_end:
            self.go_on(1)

    def outcome(self, scenario: Scenario, folder: Path) -> Outcome:
        """Read the files the session writes."""
        trades, blocked = folder / "mt5-trades.csv", folder / "mt5-blocked.csv"
        digits = scenario.settings.broker.digits
        export_trades(self.journal, trades, digits, scenario.settings.money_digits)
        export_blocks(self.journal, blocked, scenario.settings.symbol, digits)
        return Outcome(trades.read_bytes(), blocked.read_bytes(), to_bytes(self.bot.status.guard))


def trade_server(scenario: Scenario, store: TerminalStore | None = None) -> TradeServer:
    """Return the broker's side of a scenario, its stamps on the settings' clock."""
    settings = scenario.settings
    return paper_server(
        scenario.bars,
        scenario.first,
        settings,
        build_params(settings, scenario.ml_settings),
        no_minutes() if scenario.m1 is None else minutes_of(scenario.bars, scenario.m1, settings.frame),
        settings.risk_profile.starting_balance_usd,
        store=store,
        identity="scenario",
        fixed_spread=scenario.fixed_spread,
        clock=settings.broker.server_clock,
    )


def open_mt5(
    scenario: Scenario,
    journal_path: Path,
    server: TradeServer | None = None,
    *,
    notifier: Notifier | None = None,
    timing: Timing | None = None,
    faults: FaultPlan | None = None,
) -> Mt5Session:
    """Open or resume the bot of a scenario on a server, in memory or beside the journal."""
    settings, ml_settings, models = scenario.settings, scenario.ml_settings, scenario.models
    if server is None:
        server = trade_server(scenario, SqliteStore(journal_path.with_suffix(".server"), durable=False))
    faults = FaultPlan() if faults is None else faults
    mt5 = SimulatedTerminal(server, faults)
    broker = Mt5Broker(
        mt5,
        settings,
        TerminalClock(server),
        Access(server.terms.login, server.terms.server, real=False),
        timing=timing,
        volume_unit=server.main.volume_scale,
    )
    journal = Journal(sqlite_url(journal_path), symbol="BTCUSD", durable=False)
    bot = Bot(
        broker,
        journal,
        notifier or SilentNotifier(),
        SignalSource(models.signal, settings, ml_settings, scenario.news, models.sltp),
        build_params(settings, ml_settings),
        positions=None if models.position is None else PositionSource(models.position, ml_settings, scenario.news),
        risk=models.risk,
        identity="scenario",
        models=models.description,
        fingerprint=models.fingerprint,
        frozen=lambda: False,
    )
    return Mt5Session(server, faults, mt5, broker, journal, bot)


def mt5_outcome(scenario: Scenario, folder: Path) -> Outcome:
    """Run the whole scenario through the bot over the adapter."""
    session = open_mt5(scenario, folder / "mt5.sqlite")
    session.finish()
    outcome = session.outcome(scenario, folder)
    session.close()
    return outcome


def with_clock(scenario: Scenario, rule: str) -> Scenario:
    """Return a scenario whose server keeps another clock."""
    broker = scenario.settings.broker.model_copy(update={"server_clock": rule})
    return replace(scenario, settings=scenario.settings.model_copy(update={"broker": broker}))
