"""The simulated broker: the contract, its memory on disk, and the table of hand-made bars."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contracts.broker import BAR, QUIET, SPREAD, START, UP, BrokerContract, Row, Terms, buy
from engine.bar_cases import CASES, BarCase, Booked, case_market, case_params
from engine.market import neutral_params

from novosky.errors import StorageError, UsageError
from trading.bookings import MAGIC
from trading.bot import Bot
from trading.broker import OrderRequest
from trading.engine.fills import EXIT_NAMES
from trading.engine.gates import gate_names
from trading.engine.records import Bars, Candidate, Rollovers, Trade, from_bytes, no_minutes
from trading.journal import Journal, sqlite_url
from trading.notify import SilentNotifier
from trading.paper import PaperBroker
from trading.paper_store import PaperStore


def frame_of(bars: Bars) -> pd.DataFrame:
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close")}
    times = pd.to_datetime(bars.time, unit="s", utc=True).astype("datetime64[ns, UTC]")
    return pd.DataFrame({"time": times, **columns, "volume": 1.0})


class PaperStage:
    """A simulated broker that can be closed and opened again."""

    def __init__(self, file: Path, rows: list[Row], terms: Terms, slots: list[int] | None) -> None:
        times = START + BAR * np.array(slots or range(len(rows)), dtype=np.int64)
        table = np.array(rows)
        self.bars = Bars(times, *(table[:, k].copy() for k in range(4)), np.full(len(rows), SPREAD))
        self.params = neutral_params(
            price_scale=100.0,
            money_scale=100.0,
            volume_scale=100.0,
            volume_min=0.01,
            fixed_volume=1.0,
            stops_distance=terms.stops_distance,
            entry_valid_seconds=0,
            commission_per_lot=terms.commission,
            slippage=terms.slippage,
            swap_long=terms.swap,
            swap_short=terms.swap,
            leverage=terms.leverage,
            stop_out_level=terms.stop_out,
        )
        moments = times[list(terms.midnights)]
        self.rollovers = Rollovers(moments, np.ones(len(moments)))
        self.file, self.balance = file, terms.balance
        self.broker = self.open()
        if not self.broker.begun:
            self.broker.advance()

    def open(self, identity: str = "stage") -> PaperBroker:
        """Open the account on disk."""
        store = PaperStore(self.file, durable=False)
        parts = (self.params, self.rollovers, no_minutes(), store, identity, self.balance)
        return PaperBroker(frame_of(self.bars), self.bars, 0, *parts)

    def go_on(self) -> None:
        """Move to the next close."""
        self.broker.advance()

    def reconnect(self) -> None:
        """Close the file and open it again."""
        self.broker.close()
        self.broker = self.open()


class TestPaperBroker(BrokerContract):
    """The simulated broker keeps the contract."""

    def stage(self, folder: Path, rows: list[Row], terms: Terms, slots: list[int] | None = None) -> PaperStage:
        return PaperStage(folder / "account.sqlite", rows, terms, slots)


@pytest.fixture
def stage(tmp_path: Path) -> PaperStage:
    return PaperStage(tmp_path / "account.sqlite", [QUIET, QUIET, UP, QUIET], Terms(), None)


def test_an_account_of_other_bars_is_refused(stage: PaperStage) -> None:
    with pytest.raises(UsageError, match="--fresh"):
        stage.open("other")


def test_a_damaged_account_is_named(tmp_path: Path) -> None:
    file = tmp_path / "account.sqlite"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"account\.sqlite"):
        PaperStore(file, durable=True)


def test_an_account_of_another_layout_is_refused(stage: PaperStage) -> None:
    with sqlite3.connect(stage.file) as connection:
        connection.execute("UPDATE state SET account = X'00'")
    with pytest.raises(StorageError, match="another version"):
        stage.reconnect()


def test_what_could_not_be_stored_did_not_happen(stage: PaperStage) -> None:
    before = (stage.broker.bar, stage.broker.quote(), stage.broker.positions(), stage.broker.deals(0))
    blocker = sqlite3.connect(stage.file, isolation_level=None)
    blocker.execute("CREATE TRIGGER full BEFORE INSERT ON deals BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(StorageError, match="disk is full"):
        stage.broker.send(buy())
    assert (stage.broker.bar, stage.broker.quote(), stage.broker.positions(), stage.broker.deals(0)) == before
    blocker.execute("DROP TRIGGER full")
    assert stage.broker.send(buy()).price == 50_010.0
    stage.reconnect()
    assert len(stage.broker.positions()) == 1


class CaseSignals:
    """Hands out a case's candidates at their bars."""

    bars_needed = 1

    def __init__(self, case: BarCase) -> None:
        candidates = case_market(case).candidates
        self._by_open = {case.times[row.bar]: row for row in candidates}

    def candidate(self, bars: pd.DataFrame) -> tuple[Candidate | None, float | None]:
        """Return the candidate of the newest bar."""
        found: Any = self._by_open.get(int(bars["time"].iloc[-1].timestamp()))
        return found, None if found is None else float(found.atr)


class CaseRun:
    """A case played through the simulated broker by the bot."""

    def __init__(self, case: BarCase, folder: Path) -> None:
        self.case, self.market = case, case_market(case)
        bars, params = self.market.bars, case_params(case)
        params.position_model = 0
        tail = (PaperStore(folder / "account.sqlite", durable=False), case.id, case.balance)
        self.broker = PaperBroker(frame_of(bars), bars, 0, params, self.market.rollovers, self.market.minutes, *tail)
        self.journal = Journal(sqlite_url(folder / "journal.sqlite"), durable=False)
        names = {"identity": case.id, "models": "", "frozen": lambda: False}
        signals: Any = CaseSignals(case)
        self.bot = Bot(self.broker, self.journal, SilentNotifier(), signals, params, **names)  # type: ignore[arg-type]

    def go(self) -> None:
        """Play every bar; where the case's position model leaves, a closing order is sent by hand."""
        while not self.broker.at_end:
            self.broker.advance()
            row = self.broker.bar
            leaving = self.broker.positions() if row in self.case.exits else []
            self.bot.cycle()
            for position in leaving:
                closing = (-position.side, position.volume, 0.0, 0.0, position.ticket, MAGIC, "")
                self.broker.send(OrderRequest(*closing))

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
            for trade in (from_bytes(Trade, content) for content in self.journal.trades())
        )

    @property
    def blocks(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Blocked candidates in the words of the table."""
        signal_at = {self.case.times[signal.bar]: row for row, signal in enumerate(self.case.signals)}
        return tuple((signal_at[row["bar"] - BAR], tuple(gate_names(row["gates"]))) for row in self.journal.blocks())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bar_case(case: BarCase, tmp_path: Path) -> None:
    run = CaseRun(case, tmp_path)
    run.go()
    # The terminal is told to leave, never why.
    trades = tuple(
        replace(trade, reason="manual" if trade.reason == "model" else trade.reason) for trade in case.trades
    )
    assert run.trades == trades
    assert run.blocks == case.blocks
    assert sum(position.side for position in run.broker.positions()) == case.left_open
    run.broker.close()
    run.journal.close()
