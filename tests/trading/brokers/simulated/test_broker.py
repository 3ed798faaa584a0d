"""The table of hand-made bars through the bot, the MetaTrader 5 adapter and the simulated terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alerts.notify import SilentNotifier
from engine.fills import EXIT_NAMES
from engine.records import Candidate, Trade, from_text
from novosky.market.bar_arrays import BarArrays
from novosky.market.server_time import ServerClock
from tests.engine.cases.bar_cases import CASES, BarCase, Booked, case_market, case_params
from tests.engine.cases.case import Seen
from tests.helpers.paper_runs import settings_with
from trading.bot import Bot
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Access
from trading.brokers.mt5_package.constants import ModuleConstants
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.faults import FaultPlan, answers
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import SymbolSpec
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore
from trading.journal import Journal, sqlite_url

BAR = 900


class CaseSignals:
    """Hands out a case's candidates at their bars."""

    bars_needed = 1

    def __init__(self, case: BarCase) -> None:
        candidates = case_market(case).candidates
        self._by_open = {case.times[row.bar]: row for row in candidates}

    def candidate(self, bars: BarArrays) -> tuple[Candidate | None, float | None]:
        """Return the candidate of the newest bar."""
        found: Any = self._by_open.get(int(bars.times[-1]))
        return found, None if found is None else float(found.atr)


class CasePositions:
    """The position model of a case: sure to leave at the bars in `exits`, sure to hold at the others."""

    def __init__(self, case: BarCase) -> None:
        self._leaving = {case.times[bar] for bar in case.exits if bar < len(case.times)}

    def opinion(self, bars: BarArrays, inputs: tuple[float, ...]) -> tuple[float, float, float]:
        """Return the probabilities of HOLD, EXIT and ADD at the newest bar."""
        leave = int(bars.times[-1]) in self._leaving
        return (0.0, 1.0, 0.0) if leave else (1.0, 0.0, 0.0)


class CaseTerminal(SimulatedTerminal):
    """A terminal whose quotes are as late as the case wants them."""

    late = 0
    """Seconds after the close."""

    def symbol_info_tick(self, *args: Any) -> Any:
        """Return the newest tick, made as much later."""
        tick = super().symbol_info_tick(*args)
        if tick is None or not self.late:
            return tick
        time, bid, ask, last, volume, milliseconds, *rest = tick
        return type(tick)((time + self.late, bid, ask, last, volume, milliseconds + 1_000 * self.late, *rest))


class CaseClock(TerminalClock):
    """The bot's own clock, which is as late as its quotes."""

    late = 0

    def now(self) -> float:
        """Return UTC seconds since 1970-01-01."""
        return super().now() + self.late


class CaseRun:
    """A case played by the bot."""

    def __init__(self, case: BarCase, folder: Path) -> None:
        self.case = case
        market, params = case_market(case), case_params(case)
        level = 100.0 * float(params.stops_distance)
        spec = SymbolSpec("BTCUSD", stops_level=level)
        volume = np.ones(len(case.bars))
        feed = Feed(
            spec,
            market.bars,
            params,
            Stamps(ServerClock("UTC")),
            volume=volume,
            rollovers=market.rollovers,
            minutes=market.minutes,
        )
        terms = AccountTerms(stop_out=100.0 * float(params.stop_out_level), limit_positions=1)
        store = SqliteStore(folder / "account.sqlite", durable=False)
        self.server = TradeServer([feed], terms, case.balance, store=store, identity=case.id)
        settings = settings_with(
            broker={"server_clock": "UTC", "stops_level": level}, account={"leverage": float(params.leverage)}
        )
        access = Access(terms.login, terms.server, real=False)
        self._faults, self._frozen = FaultPlan(), False
        self.terminal, self.clock = CaseTerminal(self.server, self._faults), CaseClock(self.server)
        self.broker = Mt5Broker(self.terminal, settings, self.clock, access)
        self.journal = Journal(sqlite_url(folder / "journal.sqlite"), symbol="BTCUSD", durable=False)
        names = {"identity": case.id, "models": "", "frozen": lambda: self._frozen}
        signals: Any = CaseSignals(case)
        names["positions"] = CasePositions(case)
        self.bot = Bot(self.broker, self.journal, SilentNotifier(), signals, params, **names)  # type: ignore[arg-type]

    def go(self) -> None:
        """Play every bar."""
        seen = {each.bar: each for each in self.case.seen}
        for bar in range(len(self.case.bars)):
            self.server.advance()
            now = seen.get(bar, Seen(bar))
            self.terminal.late = self.clock.late = now.late
            self._frozen = now.frozen
            if now.exposed:
                self._take_the_stop()
            self.bot.cycle()
        assert self.server.at_end

    def _take_the_stop(self) -> None:
        """Take the stop of the open position away, and refuse its return once, as of a price beyond it."""
        (held,) = self.server.book.positions.values()
        held.account.sl = -held.side * float("inf")
        self._faults.plan(answers(ModuleConstants.TRADE_RETCODE_INVALID_STOPS).on("order_send"))

    @property
    def trades(self) -> tuple[Booked, ...]:
        """Closed trades in the words of the table."""
        row_of = {time: row for row, time in enumerate(self.case.times)}
        return tuple(
            Booked(
                row_of[int(trade.entry_time)],
                row_of[int(trade.exit_time)],
                int(trade.side),
                float(trade.entry_price),
                float(trade.exit_price),
                EXIT_NAMES[trade.reason],
                *(float(value) for value in (trade.profit, trade.commission, trade.swap)),
            )
            for trade in (from_text(Trade, content) for content in self.journal.trades())
        )

    @property
    def blocks(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Blocked candidates in the words of the table."""
        signal_at = {self.case.times[signal.bar]: row for row, signal in enumerate(self.case.signals)}
        return tuple((signal_at[row["bar"] - BAR], tuple(row["gates"].split())) for row in self.journal.blocks())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bar_case(case: BarCase, tmp_path: Path) -> None:
    run = CaseRun(case, tmp_path)
    run.go()
    assert run.trades == case.trades
    assert run.blocks == case.blocks
    assert sum(position.side for position in run.broker.positions()) == case.left_open
    run.broker.close()
    run.journal.close()
    run.server.close()
