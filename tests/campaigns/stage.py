"""A bot on the MetaTrader 5 adapter in a world where everything goes wrong that can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from alerts.message import Message
from alerts.notify import SilentNotifier
from engine.inputs.parameters import build_params
from novosky.data.synthetic import synthetic_bars
from novosky.database.place import sqlite_url
from novosky.settings import MlSettings
from tests.campaigns.audit import Auditor, Witness
from tests.campaigns.faults import Death, Reaper, Storm, Weather
from tests.helpers.mt5.runs import trade_server
from tests.helpers.paper_runs import WARM_UP, Scenario, scattered_ml_settings, settings_with
from tests.helpers.sets.signal_models import ScatteredPositionModel, ScatteredRiskModel, ScatteredSltpModel
from trading.bot import Bot
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Access
from trading.brokers.port import AccountState, BrokerUnavailable, OrderRequest, OrderResult, Position
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.store import SqliteStore
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.journal import BarNotes, BotStatus, Decision, Intent, Journal
from trading.journal.journal import NOTHING_TO_NOTE
from trading.journal.outbox import Outbox

LOOP_SECONDS = 60
"""How often a live bot looks."""
LOOKS_PER_BAR = 14
HALTED_BARS = 60
"""So long a halted account stands before a person changes the starting balance and starts the bot again."""
CALM_BARS = 12
"""Bars at the end of the market in which nothing goes wrong any more."""
STUCK_BARS = 60
"""Bars after which a death whose place never comes is given another."""


def campaign_scenario(bars: int, seed: int = 5) -> Scenario:
    """Return a market with all four models on, limits that are reached, and costs of every kind."""
    base = scattered_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    models = {"position_model": {"enabled": True}, "ml_sltp": {"enabled": True}}
    settings = settings_with(
        costs={"spread": 5.0, "commission_per_lot": 2.0, "slippage": 0.5, "swap_long": -3.1, "swap_short": -1.3},
        risk_management={
            "sl_atr_mult": 2.0,
            "tp_atr_mult": 2.0,
            "atr_mult_range": {"least": 1.0, "most": 3.0},
        },
        risk_model={"enabled": True},
        risk_profile={"starting_balance_usd": 50_000.0},
        max_consecutive_losses=6,
        max_daily_loss=1.5,
        max_weekly_drawdown_pct=4.0,
        max_total_drawdown_pct=8.0,
        equity_curve_filter={"enabled": True},
        dynamic_position_sizing={"risk_percent": 0.4},
    )
    return Scenario(
        synthetic_bars("planted", WARM_UP + bars, seed=seed),
        settings=settings,
        ml_settings=MlSettings.model_validate(base | models),
        position_model=ScatteredPositionModel(),
        sltp_model=ScatteredSltpModel(),
        risk_model=ScatteredRiskModel(),
    )


class MortalOutbox(Outbox):
    """Written within the journal's transactions, where a process can die too."""

    def __init__(self, journal: MortalJournal) -> None:
        super().__init__(journal._database)
        self._journal = journal

    def enqueue_within(self, connection: Connection, messages: Sequence[Message]) -> None:  # type: ignore[override]
        """Queue messages, or die in the middle of the transaction."""
        super().enqueue_within(connection, messages)
        self._journal.reaper.pass_by(f"inside {self._journal.writing}")


class MortalJournal(Journal):
    """A journal at whose writes the process can die."""

    def __init__(self, path: Path, reaper: Reaper, witness: Witness) -> None:
        super().__init__(sqlite_url(path), symbol="BTCUSD", durable=False)
        self.reaper, self._witness, self.writing = reaper, witness, ""
        self.outbox = MortalOutbox(self)

    @contextmanager
    def _around(self, name: str) -> Iterator[None]:
        self.writing = name
        self.reaper.pass_by(f"before {name}")
        yield
        self.reaper.pass_by(f"after {name}")

    def save_status(self, status: BotStatus) -> None:
        """Write the first status."""
        self._witness.note_start()
        with self._around("save_status"):
            super().save_status(status)

    def record_bar(
        self,
        status: BotStatus,
        decision: Decision,
        intents: list[Intent],
        deals: Sequence[Mapping[str, Any]],
        trades: Sequence[Mapping[str, Any]],
        messages: Sequence[Message] = (),
        notes: BarNotes = NOTHING_TO_NOTE,
    ) -> None:
        """Write a bar."""
        self._witness.note_bar(status.last_bar, status.last_deal)
        with self._around("record_bar"):
            super().record_bar(status, decision, intents, deals, trades, messages, notes)

    def close_intent(
        self,
        intent: Intent,
        state: str,
        outcome: str,
        order: int,
        gates: int = 0,
        messages: Sequence[Message] = (),
        code: str = "",
    ) -> None:
        """Write an outcome."""
        with self._around("close_intent"):
            super().close_intent(intent, state, outcome, order, gates, messages, code)


class WatchedBroker(Mt5Broker):
    """The adapter, its questions announced to the witness and its orders' outcomes counted."""

    def watch(self, witness: Witness, outcomes: Counter[str]) -> None:
        """Name who watches."""
        self._witness, self._outcomes = witness, outcomes

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        self._witness.asking = name
        yield
        self._witness.asking = ""

    def account(self) -> AccountState:
        """Return the account's money."""
        with self._asking("account"):
            return super().account()

    def positions(self) -> list[Position]:
        """Return the positions."""
        with self._asking("positions"):
            return super().positions()

    def send(self, request: OrderRequest) -> OrderResult:
        """Send an order."""
        result = super().send(request)
        self._outcomes[f"{'exit' if request.position else 'entry'} sent: {result.outcome}"] += 1
        return result

    def outcome_of(self, request: OrderRequest, since: int) -> OrderResult:
        """Look an order up."""
        result = super().outcome_of(request, since)
        self._outcomes[f"looked up: {result.outcome}"] += 1
        return result

    def modify_stops(self, position: int, sl: float, tp: float) -> OrderResult:
        """Set stops."""
        result = super().modify_stops(position, sl, tp)
        self._outcomes[f"stops set: {result.outcome}"] += 1
        return result


@dataclass(frozen=True)
class Rates:
    """Probabilities: per send, per read, per bar."""

    send: float = 0.25
    read: float = 0.004
    death: float = 0.0
    weather: float = 0.03


@dataclass
class World:
    """A market, an account on disk, a bot with its journal on disk, and what befalls them.

    Parameters
    ----------
    scenario : Scenario
    folder : Path
    rates : Rates
    seed : int
    """

    scenario: Scenario
    folder: Path
    rates: Rates
    seed: int = 0
    cycles: int = 0
    waits: int = 0
    restarts: int = 0
    halts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        streams = [np.random.default_rng([self.seed, k]) for k in range(4)]
        self.server = trade_server(self.scenario, SqliteStore(self.folder / "server.sqlite", durable=False))
        # Two positions must be possible: only the bot's own care may prevent them.
        self.server.terms = self.server.terms.__class__(**{**vars(self.server.terms), "limit_positions": 0})
        self.journal_file = self.folder / "journal.sqlite"
        params = build_params(self.scenario.settings, self.scenario.ml_settings)
        self.witness = Witness(self.server, self.folder / "notes.jsonl", params)
        self.reaper = Reaper(streams[0])
        self.storm = Storm(generator=streams[1], reaper=self.reaper, seen=self.witness)
        self.storm.send_rate, self.storm.read_rate = self.rates.send, self.rates.read
        self.weather = Weather(self.server, streams[2], self.rates.weather)
        self._chance = streams[3]
        self._bot: Bot | None = None
        self._broker: WatchedBroker | None = None
        self._journal: MortalJournal | None = None
        self._armed_for = self._halted_for = 0
        Journal(sqlite_url(self.journal_file), symbol="BTCUSD", durable=False).close()
        audited = build_params(self.scenario.settings, self.scenario.ml_settings)
        self.auditor = Auditor(self.server, self.journal_file, self.witness.file, audited)

    def run(self, until: int | None = None) -> None:
        """Go on to a bar, or to a little before the end of the market."""
        last = len(self.server.main.bars.time) - CALM_BARS
        while self.server.bar < (last if until is None else until):
            self._arm()
            self.weather.act()
            self.weather.pass_bar()
            self.server.advance()
            self._live_one_bar()
            self._lift_halt()

    def calm_down(self) -> None:
        """Let nothing more go wrong, and the bot find out what has happened."""
        self.storm.calm()
        self.weather.clear_up()
        while not self.server.at_end:
            self._live_one_bar()
            if self.server.bar + 2 >= len(self.server.main.bars.time) and not self.auditor.open_intents():
                break
            self.server.advance()
        self.auditor.at_the_end()

    def close(self) -> None:
        """Drop the bot and release the files."""
        self._drop()
        self.auditor.close()
        self.server.close()

    @property
    def deaths(self) -> int:
        """How often the process died."""
        return sum(self.reaper.deaths.values())

    def _arm(self) -> None:
        self._armed_for = self._armed_for + 1 if self.reaper.armed else 0
        due = not self.reaper.armed and self._chance.random() < self.rates.death
        if due or self._armed_for > STUCK_BARS:
            self.reaper.arm()
            self._armed_for = 0

    def _live_one_bar(self) -> None:
        for _ in range(LOOKS_PER_BAR):
            if self._look() and not self.auditor.open_intents():
                return
            self.waits += 1
            self.server.wait(LOOP_SECONDS)

    def _look(self) -> bool:
        """Let the bot look once, starting it if need be; False when it has to look again."""
        struck = self.storm.sends_struck
        try:
            bot = self._bot or self._start()
            acted = bot.cycle()
        except Death:
            self._die()
            return False
        except BrokerUnavailable:
            # The first start needs the broker: the program ends, and is started again.
            self._drop()
            return False
        self.cycles += 1
        if acted:
            self.auditor.after_cycle(undisturbed=self.weather.clear and self.storm.sends_struck == struck)
        feed = self.server.main
        return bot.status.last_bar >= int(feed.bars.time[feed.closed - 1]) + int(feed.params.bar_seconds)

    def _start(self) -> Bot:
        scenario = self.scenario
        settings, ml_settings, models = scenario.settings, scenario.ml_settings, scenario.models
        assert models.position is not None
        self.restarts += 1
        access = Access(self.server.terms.login, self.server.terms.server, real=False)
        terminal = SimulatedTerminal(self.server, self.storm)
        clock, unit = TerminalClock(self.server), self.server.main.volume_scale
        self._broker = WatchedBroker(terminal, settings, clock, access, volume_unit=unit)
        self._broker.watch(self.witness, self.outcomes)
        self._journal = MortalJournal(self.journal_file, self.reaper, self.witness)
        self._bot = Bot(
            self._broker,
            self._journal,
            SilentNotifier(),
            SignalSource(models.signal, settings, ml_settings, None, models.sltp),
            self.witness.params,
            positions=PositionSource(models.position, ml_settings, None),
            risk=models.risk,
            identity="campaign",
            models=models.description,
            fingerprint=models.fingerprint,
            frozen=lambda: False,
        )
        return self._bot

    def _die(self) -> None:
        self._drop()
        if self._chance.random() < 0.25:
            # The next one dies while it finds out what the last one left behind.
            self.reaper.arm()

    def _drop(self) -> None:
        """Forget everything but the files; the terminal is another process and runs on."""
        if self._journal is not None:
            self._journal.close()
        if self._broker is not None:
            self._broker._link._worker.stop()
        self._bot = self._broker = self._journal = None

    def _lift_halt(self) -> None:
        halted = self._bot is not None and bool(self._bot.status.guard.halted)
        self._halted_for = self._halted_for + 1 if halted else 0
        if self._halted_for > HALTED_BARS:
            self.halts += 1
            self._halted_for = 0
            self._drop()
            self.witness.params.starting_balance = float(round(self.server.book.balance))

    def figures(self) -> dict[str, Any]:
        """Return what happened, for people to read."""
        deals = self.server.book.deals
        return {
            "bars": self.auditor.audits,
            "cycles": self.cycles,
            "waits of a minute": self.waits,
            "deaths": self.deaths,
            "deaths by place": dict(self.reaper.deaths.most_common()),
            "starts": self.restarts,
            "faults": sum(self.storm.counts.values()),
            "faults by kind": dict(self.storm.counts.most_common()),
            "weather": dict(self.weather.counts),
            "orders at the server": len(self.server.book.orders),
            "deals": len(deals),
            "trades": self.auditor.trades,
            "closed positions of others": self.auditor.foreign,
            "halts lifted": self.halts,
            "outcomes": dict(self.outcomes.most_common()),
            "most cycles without a stop": self.auditor.exposed_most,
            "bars judged on a late quote": self.auditor.late_quotes,
        }
