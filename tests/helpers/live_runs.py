"""Run the live bot's whole stack against a simulated terminal, in the market's own time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from alerts.channels.telegram import ChatsAccess
from alerts.telegram.access import TelegramAccess
from engine.records import to_bytes
from novosky.market.news import NewsCalendar
from tests.helpers.mt5.runs import trade_server
from tests.helpers.paper_runs import Outcome, Scenario
from trading.bot import Bot
from trading.brokers.mt5.entry import TerminalReach
from trading.brokers.mt5.terms import Access
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.faults import FaultPlan
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore
from trading.cycle.news import FixedNews
from trading.live.loop import Rhythm
from trading.live.parts import LiveParts
from trading.live.session import LiveSession, live_session
from trading.reports.exports import export_blocks, export_trades

NO_NEWS = NewsCalendar.from_times(np.empty(0, dtype=np.int64))


@dataclass
class LiveDesk:
    """A folder, a server beside it, and the bot that is started there again and again."""

    scenario: Scenario
    folder: Path
    telegram: TelegramAccess | None = None
    module: Callable[[SimulatedTerminal], Any] = lambda terminal: terminal
    rhythm: Rhythm = field(default_factory=lambda: Rhythm(poll=900.0, reconcile=900.0))
    faults: FaultPlan = field(default_factory=FaultPlan)

    def __post_init__(self) -> None:
        store = SqliteStore(self.folder / "server.db", durable=False)
        self.server: TradeServer = trade_server(self.scenario, store)
        self.codes = itertools.count(1001)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def freeze_flag(self) -> Path:
        return self.logs / "trading_frozen.flag"

    def parts(self, **changes: Any) -> LiveParts:
        terms = self.server.terms
        terminal = SimulatedTerminal(self.server, self.faults)
        values: dict[str, Any] = {
            "settings": self.scenario.settings,
            "ml_settings": self.scenario.ml_settings,
            "models": self.scenario.models,
            "reach": TerminalReach(
                Access(terms.login, terms.server, real=False),
                lambda: self.module(terminal),
                True,
                volume_unit=self.server.main.volume_scale,
            ),
            "folder": self.logs,
            "journal": self.logs / "novosky.sqlite",
            # Simulated accounts all have one number; those of one test share a place, as bots of one machine do.
            "locks": self.folder / "locks",
            "news": FixedNews(self.scenario.news or NO_NEWS),
            "channels": () if self.telegram is None else (ChatsAccess(self.telegram),),
            "clock": TerminalClock(self.server),
            "rng": Random(1),
            "new_code": lambda: str(next(self.codes)),
            "freeze_flag": self.freeze_flag,
            "rhythm": self.rhythm,
            "durable": False,
        }
        return LiveParts(**(values | changes))

    def run(
        self,
        bars: int | None = None,
        *,
        until: Callable[[LiveSession], bool] = lambda session: False,
        look: Callable[[LiveSession], object] = lambda session: None,
        **changes: Any,
    ) -> Any:
        """Run for some bars of the market, or to its end; returns what `look` finds before the bot ends."""
        if not self.server.begun:
            self.server.advance()
        last = self.server.bar + (10**9 if bars is None else bars)
        with live_session(self.parts(**changes)) as session:
            seen: list[bool] = []

            def stopping() -> bool:
                # At the end the last bar is still to be judged.
                over = self.server.at_end or self.server.bar >= last
                seen.append(over)
                return (over and seen.count(True) > 2) or until(session)

            session.run(stopping)
            return look(session)


def bot_of(session: LiveSession) -> Bot:
    assert session.bot is not None
    return session.bot


def live_outcome(session: LiveSession, scenario: Scenario, folder: Path) -> Outcome:
    """Read the files a live session writes."""
    trades, blocked = folder / "live-trades.csv", folder / "live-blocked.csv"
    digits = scenario.settings.broker.digits
    export_trades(session.journal, trades, digits, scenario.settings.money_digits)
    export_blocks(session.journal, blocked, scenario.settings.symbol, digits)
    return Outcome(trades.read_bytes(), blocked.read_bytes(), to_bytes(bot_of(session).status.guard))
