"""Compares what the bot wrote down with the trade server's own books, after every cycle."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.breakers import count_closed, judge_close, start_guard
from engine.fills import rounded
from engine.records import Account, Guard, Params, Trade, from_text, new_record, to_text
from novosky.market.instrument import BOT_MAGIC as MAGIC
from tests.campaigns.faults import HAND, HAND_VOLUME
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.book import OpenPosition, finite
from trading.brokers.simulated.server import TradeServer

CENT = 0.005


def own_positions(server: TradeServer) -> list[OpenPosition]:
    """Return the bot's positions in the server's books, listed by the terminal or not."""
    return [held for held in server.book.positions.values() if held.magic == MAGIC]


@dataclass
class Witness:
    """Notes what the server's books held at the very moment the bot's question was carried out.

    The notes are kept in a file, written before the journal is: of a process that was killed
    they are there for every bar in the journal.

    Attributes
    ----------
    asking : str
        The port's question under way.
    """

    server: TradeServer
    file: Path
    params: Params
    asking: str = ""
    _balance: float = 0.0
    _position: list[float] | None = None

    def __call__(self, function: str) -> None:
        """Take note of a call."""
        if (self.asking, function) == ("account", "account_info"):
            self._balance = float(self.server.book.balance)
        elif (self.asking, function) == ("positions", "positions_get"):
            now = self.server.now_msc
            listed = [held for held in own_positions(self.server) if held.visible_msc <= now]
            self._position = None
            for held in listed:
                money = self.server.terms.booked(float(held.account.swap))
                account = held.account
                self._position = [int(account.side), float(account.volume), float(account.entry_price), money]

    def note_start(self) -> None:
        """Note the moment of the first start."""
        self._write(["start", self.server.quote().time, float(self.server.book.balance), self._limit])

    def note_bar(self, bar: int, last_deal: int) -> None:
        """Note what a bar was judged on."""
        self._write([bar, last_deal, self._balance, self._position, self._limit])

    @property
    def _limit(self) -> float:
        return float(self.params.starting_balance)

    def _write(self, note: list[Any]) -> None:
        file = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, (json.dumps(note) + "\n").encode())
        os.close(file)


@dataclass
class Auditor:
    """Knows the whole history of the account and follows the journal bar by bar.

    Parameters
    ----------
    server : TradeServer
    journal, notes : Path
    params : Params
        The rules; the halt's starting balance is taken from the notes.

    Attributes
    ----------
    audits : int
    trades : int
        Closed trades found correct.
    late_quotes : int
        Bars that were judged on another quote than their close's or the next open's.
    foreign : int
        Closed positions of others.
    exposed_most : int
        Longest time without a stop in cycles, whatever the reason.
    """

    server: TradeServer
    journal: Path
    notes: Path
    params: Params
    audits: int = 0
    trades: int = 0
    late_quotes: int = 0
    foreign: int = 0
    exposed_most: int = 0
    _guard: Guard = field(default_factory=lambda: new_record(Guard))
    _last: tuple[int, int] = (0, 0)
    _place: int = 0
    _seen_entries: int = 0
    _own: set[int] = field(default_factory=set)
    _entries: dict[int, Any] = field(default_factory=dict)
    _owed: dict[int, float] = field(default_factory=dict)
    _intent_of: dict[str, int] = field(default_factory=dict)
    _unknown: dict[int, int] = field(default_factory=dict)
    _exposed: dict[int, int] = field(default_factory=dict)
    _inexcusable: dict[int, int] = field(default_factory=dict)
    _cash: float = 0.0
    _notes: dict[int, list[Any]] = field(default_factory=dict)
    _notes_read: int = 0

    def __post_init__(self) -> None:
        self._database = sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True)

    def close(self) -> None:
        """Release the journal."""
        self._database.close()

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Ask the journal's file, past the journal's own code."""
        return self._database.execute(query, values).fetchall()

    def open_intents(self) -> int:
        """Return how many intents have no outcome."""
        return int(self.ask("SELECT count(*) FROM intents WHERE state = 'new'")[0][0])

    def after_cycle(self, *, undisturbed: bool) -> None:
        """Check everything after a cycle that processed a bar."""
        self.audits += 1
        assert len(own_positions(self.server)) <= 1, "two positions of the bot"
        self._check_intents()
        self._check_foreign()
        self._check_stops(undisturbed)
        self._check_books()

    def _check_intents(self) -> None:
        """One position for an intent, and no position without one for longer than one cycle."""
        deals = self.server.book.deals
        for deal in deals[self._seen_entries :]:
            if deal.magic == MAGIC and deal.entry == C.DEAL_ENTRY_IN:
                self._unknown[int(deal.position_id)] = -1
        self._seen_entries = len(deals)
        for position in list(self._unknown):
            rows = self.ask("SELECT id FROM intents WHERE kind = 'entry' AND \"order\" = ?", position)
            if not rows:
                self._unknown[position] += 1
                assert self._unknown[position] <= 1, f"position {position} is unknown to the journal"
                continue
            ((intent,),) = rows
            assert self._intent_of.setdefault(intent, position) == position, f"intent {intent} was executed twice"
            del self._unknown[position]

    def _check_foreign(self) -> None:
        """Nobody but the person gives foreign positions anything, and the person gives no stops."""
        foreign = [held for held in self.server.book.positions.values() if held.magic != MAGIC]
        assert all(held.magic == HAND for held in foreign), "a position of nobody"
        assert not any(finite(held.account.sl) or finite(held.account.tp) for held in foreign)
        assert all(float(held.account.volume) == HAND_VOLUME for held in foreign)

    def _check_stops(self, undisturbed: bool) -> None:
        bare = {
            held.ticket
            for held in own_positions(self.server)
            if not (finite(held.account.sl) and finite(held.account.tp))
        }
        self._exposed = {ticket: self._exposed.get(ticket, 0) + 1 for ticket in bare}
        self._inexcusable = {ticket: self._inexcusable.get(ticket, 0) + undisturbed for ticket in bare}
        self.exposed_most = max(self.exposed_most, *self._exposed.values(), 0)
        assert all(cycles <= 1 for cycles in self._inexcusable.values()), "a position stayed without its stop"

    def _check_books(self) -> None:
        ((last_deal, cash, guard),) = self.ask("SELECT last_deal, cash, guard FROM bot_status")
        booked = self._check_deals(last_deal)
        assert abs(cash - self._cash) < CENT, f"the journal's cash {cash} is not the deals' {self._cash}"
        balance = sum(_money(deal) for deal in self.server.book.deals[self._place :]) + self._cash
        assert abs(balance - self.server.book.balance) < CENT, "the server's balance is not the sum of its deals"
        self._read_notes()
        for bar, price, spread, equity in self.ask(
            "SELECT bar, price, spread, equity FROM decisions WHERE bar > ? ORDER BY bar", self._last[0]
        ):
            self._judge(bar, price, spread, booked)
            assert abs(equity - float(self._guard.equity)) < CENT
        assert to_text(self._guard) == guard, f"the guard differs: {self._guard} and {guard}"

    def _check_deals(self, last_deal: int) -> list[Any]:
        """Check that each deal is written down once and each exit is a trade; return the new own exits."""
        before = self._last[1]
        names = "ticket, position, entry, reason, volume, price, commission, swap, profit, magic, comment, time"
        rows = self.ask(f"SELECT {names} FROM deals WHERE ticket > ? ORDER BY ticket", before)
        exits, deals, expected = [], self.server.book.deals, []
        while self._place < len(deals) and deals[self._place].ticket <= last_deal:
            deal = deals[self._place]
            self._place += 1
            self._cash = round(self._cash + _money(deal), 2)
            expected.append(self._row(deal))
            if deal.entry == C.DEAL_ENTRY_IN and deal.magic == MAGIC:
                self._own.add(deal.position_id)
                self._entries[deal.position_id] = deal
            if deal.position_id in self._own:
                self._owed[deal.position_id] = self._owed.get(deal.position_id, 0.0) + _money(deal)
                if deal.entry != C.DEAL_ENTRY_IN:
                    exits.append((deal, self._cash))
            elif deal.entry == C.DEAL_ENTRY_OUT:
                by_hand = deal.magic == HAND or deal.reason == C.DEAL_REASON_SO
                assert by_hand, f"foreign position {deal.position_id} was closed with magic {deal.magic}"
                self.foreign += 1
        # The journal's moments are UTC; a stamp of the server's clock can mean two.
        rows = [(*row[:-1], self.server.stamps.seconds(row[-1])) for row in rows]
        assert rows == expected, f"the journal's deals {rows} are not the server's {expected}"
        self._check_trades(before, exits)
        return exits

    def _row(self, deal: Any) -> tuple[Any, ...]:
        entry = int(deal.entry == C.DEAL_ENTRY_OUT) if deal.type != C.DEAL_TYPE_BALANCE else -1
        costs = deal.commission + deal.fee
        values = (deal.ticket, deal.position_id, entry, deal.reason, deal.volume, deal.price, costs, deal.swap)
        return (*values, deal.profit, deal.magic, deal.comment, deal.time)

    def _check_trades(self, before: int, exits: list[Any]) -> None:
        rows = self.ask("SELECT deal, position, trade FROM trades WHERE deal > ? ORDER BY deal", before)
        assert [row[:2] for row in rows] == [(deal.ticket, deal.position_id) for deal, _ in exits]
        for (_, position, content), (deal, cash) in zip(rows, exits, strict=True):
            trade, entry = from_text(Trade, content), self._entries[position]
            assert (trade.profit, trade.swap, trade.volume) == (deal.profit, deal.swap, deal.volume)
            assert (trade.entry_price, trade.exit_price) == (entry.price, deal.price)
            assert int(trade.side) == (1 if entry.type == C.DEAL_TYPE_BUY else -1)
            assert abs(trade.balance - cash) < CENT
            self._owed[position] -= trade.profit + trade.commission + trade.swap
            self.trades += 1
        later = {deal.position_id for deal in self.server.book.deals[self._place :]}
        open_then = later | set(self.server.book.positions)
        for position in {row[1] for row in rows} - open_then:
            assert abs(self._owed.pop(position)) < CENT, f"the trades of position {position} are not its deals' sum"

    def _read_notes(self) -> None:
        with self.notes.open(encoding="utf-8") as file:
            file.seek(self._notes_read)
            for line in file.read().splitlines():
                note = json.loads(line)
                if note[0] != "start":
                    self._notes[note[0]] = note
                elif self._last == (0, 0):
                    self.params.starting_balance = note[3]
                    self._guard = new_record(Guard)
                    start_guard(self._guard, self.params, note[1], note[2])
            self._notes_read = file.tell()

    def _judge(self, bar: int, price: float, spread: float, exits: list[Any]) -> None:
        """Bring the guard to a bar's close by the engine's rules from the server's books."""
        _, last_deal, balance, position, limit = self._notes.pop(bar)
        before, self._last = self._last[1], (bar, last_deal)
        self.params.starting_balance = limit
        closed = [(deal, cash) for deal, cash in exits if before < deal.ticket <= last_deal]
        nets = [self._net(deal) for deal, _ in closed]
        account, guard = new_record(Account), self._guard
        account.balance, account.closed = balance, guard.closed + len(closed)
        for (_, cash), net in zip(closed[:-1], nets[:-1], strict=True):
            count_closed(guard, self.params, cash, net, bar)
        if closed:
            account.last_net = nets[-1]
        if position is not None:
            account.side, account.volume, account.entry_price, account.swap = position
        self._check_quote(bar, price)
        judge_close(account, guard, self.params, bar, price, spread)

    def _net(self, deal: Any) -> float:
        rows = self.ask("SELECT trade FROM trades WHERE deal = ?", deal.ticket)
        trade = from_text(Trade, rows[0][0])
        return float(rounded(trade.profit + trade.commission + trade.swap, self.params.money_scale))

    def _check_quote(self, bar: int, price: float) -> None:
        bars = self.server.main.bars
        place = int(bars.time.searchsorted(bar - int(self.params.bar_seconds)))
        following = min(place + 1, len(bars.time) - 1)
        self.late_quotes += price not in (bars.close[place], bars.open[following])

    def at_the_end(self) -> None:
        """Check what can only be told once nothing is under way."""
        assert self.open_intents() == 0
        filled = {order for (order,) in self.ask("SELECT \"order\" FROM intents WHERE kind='entry' AND state='filled'")}
        entries = [deal for deal in self.server.book.deals if deal.magic == MAGIC and deal.entry == C.DEAL_ENTRY_IN]
        assert filled == {deal.position_id for deal in entries}
        assert len(filled) == len(entries), "an intent was executed twice"
        closed = {deal.position_id for deal in self.server.book.deals if deal.entry == C.DEAL_ENTRY_OUT}
        assert {deal.position_id for deal in entries} - closed <= {held.ticket for held in own_positions(self.server)}
        self._check_events()

    def _check_events(self) -> None:
        """Every opening and closing that was booked is told once, and every trade counts for its models."""
        opened = self.ask("SELECT position, time FROM deals WHERE entry = 0 AND magic = ? ORDER BY 1, 2", MAGIC)
        assert self.ask("SELECT ticket, time FROM position_events WHERE kind = 'opened' ORDER BY 1, 2") == opened
        closed = self.ask("SELECT DISTINCT position, exit_time FROM trades ORDER BY 1, 2")
        told = (
            "SELECT DISTINCT ticket, time FROM position_events WHERE kind IN ('closed', 'closed in part') ORDER BY 1, 2"
        )
        assert self.ask(told) == closed
        ((trades,),) = self.ask("SELECT count(*) FROM trades")
        counts = "SELECT value, max(time) FROM model_metrics WHERE name LIKE 'trades.closed@%' GROUP BY name"
        assert sum(value for value, _ in self.ask(counts)) == trades


def _money(deal: Any) -> float:
    return float(deal.profit + deal.commission + deal.fee + deal.swap)
