"""The broker's side: markets, books and time. It knows nothing of the terminals that ask it.

The driver of a simulation holds this object and lets time pass; the bot holds only a
`SimulatedTerminal` on it, which offers the package's functions and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from engine.fills import floating_profit, rounded
from engine.records import Account, from_bytes, to_bytes
from novosky.errors import StorageError, UsageError
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import OrderSendResult, Tick, TradeDeal, TradeRequest
from trading.brokers.simulated import pending, settlement
from trading.brokers.simulated.accounts import AccountTerms, Funds
from trading.brokers.simulated.book import Book, OpenPosition, PendingOrder
from trading.brokers.simulated.dealing import execute
from trading.brokers.simulated.faults import Fault
from trading.brokers.simulated.history import current_tick
from trading.brokers.simulated.market import Feed, Quote
from trading.brokers.simulated.replies import reply
from trading.brokers.simulated.stamps import Stamps
from trading.brokers.simulated.store import MemoryStore, TerminalStore


@dataclass
class Conditions:
    """What a person or the broker can switch at any moment.

    Attributes
    ----------
    connected : bool
        The terminal's line to the trade server.
    algo_trading : bool
        The terminal's Algo Trading button.
    api_allowed : bool
        The terminal's switch for this package.
    account_trading, expert_trading : bool
        What the server lets the account and its programs do.
    api_answers : bool
        With the switch off, orders are answered with 10027 instead of failing with -8.
    silent_fills : bool
        Answers to filled orders name neither the deal nor its price.
    """

    connected: bool = True
    algo_trading: bool = True
    api_allowed: bool = True
    account_trading: bool = True
    expert_trading: bool = True
    api_answers: bool = False
    silent_fills: bool = False


class TradeServer:
    """A broker with one account over known markets.

    Parameters
    ----------
    feeds : sequence of Feed
        The first leads the clock; all are on the same stamps.
    terms : AccountTerms
    balance : float
        The first deposit in USD.
    store : TerminalStore or None
        Where the account lives; None keeps it in memory.
    identity : str
        Names these markets and terms; a store made for others is refused.

    Attributes
    ----------
    conditions : Conditions
        Change them at will.
    number : int
        Requests so far.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        terms: AccountTerms,
        balance: float,
        *,
        store: TerminalStore | None = None,
        identity: str = "",
    ) -> None:
        self.feeds = {feed.spec.name: feed for feed in feeds}
        self.main, self.terms, self.identity = feeds[0], terms, identity
        for feed in feeds:
            if feed.params.money_scale != terms.money_scale:
                # Whatever the symbol, sums are booked in the account's currency.
                feed.params = settlement.copied(feed.params)
                feed.params.money_scale = terms.money_scale
        self.stamps: Stamps = feeds[0].stamps
        self.conditions = Conditions()
        self.book = Book()
        self.number = 0
        self._elapsed_msc = 0
        self._frozen: dict[str, Tick] = {}
        self._store: TerminalStore = MemoryStore() if store is None else store
        self._saved = self._store.load()
        self._stored = (0, 0)
        if self._saved is None:
            self._open_account(balance)
        else:
            self.book.deals, self.book.orders = self._store.deals(), self._store.orders()
            self._stored = (len(self.book.deals), len(self.book.orders))
            self._restore(self._saved)

    def _open_account(self, balance: float) -> None:
        self._list_money(balance, C.DEAL_TYPE_BALANCE, "deposit", int(self.main.bars.time[self.main.first]))
        self.book.balance = balance
        self.save()

    def move_money(self, usd: float, kind: int = C.DEAL_TYPE_BALANCE, comment: str = "") -> None:
        """Let money come to the account, or leave it, without a trade.

        Parameters
        ----------
        usd : float
            Negative when it is paid out.
        kind : int
            DEAL_TYPE_...: a credit is lent and does not touch the balance.
        comment : str
        """
        book, scale = self.book, self.terms.money_scale
        if kind == C.DEAL_TYPE_CREDIT:
            book.credit = float(rounded(book.credit + usd, scale))
        else:
            book.balance = float(rounded(book.balance + usd, scale))
        self._list_money(usd, kind, comment, self.now)
        self.save()

    def _list_money(self, usd: float, kind: int, comment: str, moment: int) -> None:
        stamp = self.stamps.seconds(moment)
        deal = filled(
            TradeDeal,
            ticket=self.book.next_deal(),
            time=stamp,
            time_msc=1000 * stamp,
            type=kind,
            profit=self.terms.booked(usd),
            comment=comment,
        )
        self.book.deals.append(deal)

    @property
    def now(self) -> int:
        """Time of the leading market, UTC epoch seconds."""
        return self.main.quote().time

    @property
    def now_msc(self) -> int:
        """The broker's clock, UTC epoch milliseconds, waiting included."""
        return 1000 * self.now + self._elapsed_msc

    @property
    def bar(self) -> int:
        """Index of the leading market's newest bar that has begun."""
        return self.main.bar

    @property
    def deposit(self) -> float:
        """The money the account was opened with, USD."""
        return float(self.book.deals[0].profit) / self.terms.unit

    @property
    def begun(self) -> bool:
        """True once the account's first bar has begun."""
        return self.main.bar >= self.main.first

    @property
    def at_end(self) -> bool:
        """True once the leading market's last bar has closed."""
        return self.main.at_end

    @property
    def next_close(self) -> int:
        """UTC epoch seconds at which the leading market's next bar closes."""
        return self.main.next_close

    @property
    def stops_out_by_level(self) -> bool:
        """True when the engine's own stop-out, in percent of margin, is the account's."""
        return self.terms.margin_so_mode == C.ACCOUNT_STOPOUT_MODE_PERCENT

    def advance(self) -> None:
        """Move to the close of the leading market's next bar; every market goes along."""
        moment = self.next_close
        self._end_bar(self.main)
        for feed in self.feeds.values():
            while feed is not self.main and not feed.at_end and feed.next_close <= moment:
                self._end_bar(feed)
        self._elapsed_msc = 0
        self.save()

    def _end_bar(self, feed: Feed) -> None:
        if not feed.opened:
            settlement.begin_bar(self, feed)
        settlement.settle_bar(self, feed)
        pending.settle_orders(self, feed)
        feed.end_bar()

    def wait(self, seconds: float) -> None:
        """Let time pass without a person waiting; bars whose time has come close."""
        moment = self.now_msc + round(1000 * seconds)
        while not self.at_end and 1000 * self.next_close <= moment:
            self.advance()
        self._elapsed_msc = moment - 1000 * self.now

    def begin_due(self) -> None:
        """Begin the leading market's next bar if its time has come: its open is the quote then."""
        feed, moment = self.main, self.now_msc
        if not feed.opened and feed.following is not None and 1000 * feed.following <= moment:
            settlement.begin_bar(self, feed)
            self._elapsed_msc = moment - 1000 * self.now
            self.save()

    def respecify(self, symbol: str, **changes: Any) -> None:
        """Let the broker change a symbol's terms, such as its `trade_mode`."""
        feed = self.feeds[symbol]
        feed.spec = replace(feed.spec, **changes)

    def tick(self, feed: Feed) -> Tick:
        """Return a market's newest tick as terminals get it."""
        return self._frozen.get(feed.spec.name) or current_tick(feed)

    def freeze_quotes(self) -> None:
        """Let no new tick reach the terminals, while the market goes on."""
        self._frozen = {name: current_tick(feed) for name, feed in self.feeds.items()}

    def thaw_quotes(self) -> None:
        """Let ticks through again."""
        self._frozen = {}

    def lose_line(self) -> None:
        """Cut the terminals off: quotes stand still and orders are refused, the server goes on."""
        self.conditions.connected = False
        self.freeze_quotes()

    def restore_line(self) -> None:
        """Connect the terminals again."""
        self.conditions.connected = True
        self.thaw_quotes()

    def quote(self) -> Quote:
        """Return the leading market's newest quote, its time in UTC epoch seconds."""
        return self.main.quote()

    def closed_since(self, moment: int) -> int:
        """Return how many of the account's bars closed after `moment` (UTC epoch seconds)."""
        feed = self.main
        closes = feed.bars.time[feed.first : feed.closed] + feed.params.bar_seconds
        return int((closes > moment).sum())

    def funds(self) -> Funds:
        """Return the account's money at the present quotes."""
        balance = self.book.balance
        equity, profit, margin = balance + self.book.credit, 0.0, 0.0
        for position in self.book.positions.values():
            account, feed = position.account, self.feeds[position.symbol]
            quote = feed.quote()
            floating = float(floating_profit(account, feed.params, quote.bid, quote.ask - quote.bid))
            equity = equity + floating + float(account.swap)
            profit += floating + float(account.swap)
            margin += float(account.margin)
        shown = self.terms.shown
        return Funds(self.terms.booked(balance), shown(equity), shown(profit), shown(margin))

    def free_usd(self) -> float:
        """Return the free margin in USD."""
        if not self.book.positions:
            return self.book.balance + self.book.credit
        return self.funds().free / self.terms.unit

    def send(self, request: TradeRequest, fault: Fault) -> OrderSendResult:
        """Carry out a request and store what came of it."""
        result = execute(self, request, fault)
        self.save()
        done = result.retcode in (C.TRADE_RETCODE_DONE, C.TRADE_RETCODE_DONE_PARTIAL, C.TRADE_RETCODE_PLACED)
        if done and fault.executes and fault.retcode:
            order = result.order if fault.shows_order else 0
            return reply(fault.retcode, request, order=order, number=self.number)
        return result

    def save(self) -> None:
        """Store the account.

        Raises
        ------
        StorageError
            Nothing was stored, and memory stands where the disk does: what was not stored
            did not happen.
        """
        content = self._content()
        deals, orders = self._stored
        try:
            self._store.save(content, self.book.deals[deals:], self.book.orders[orders:])
        except StorageError:
            self.book.forget(deals, orders)
            if self._saved is not None:
                self._restore(self._saved)
            raise
        self._saved, self._stored = content, (len(self.book.deals), len(self.book.orders))

    def close(self) -> None:
        """Release the account's file."""
        self._store.close()

    def _content(self) -> str:
        book = self.book
        content = {
            "identity": self.identity,
            "balance": float(book.balance),
            "credit": float(book.credit),
            "tickets": [book.order_ticket, book.deal_ticket, self.number],
            "feeds": {
                name: [int(feed.bars.time[feed.bar]) if feed.bar >= 0 else None, feed.opened]
                for name, feed in self.feeds.items()
            },
            "positions": [
                vars(position) | {"account": to_bytes(position.account).hex()} for position in book.positions.values()
            ],
            "pending": [asdict(order) for order in book.pending.values()],
        }
        return json.dumps(content)

    def _restore(self, text: str) -> None:
        content = json.loads(text)
        if content["identity"] != self.identity:
            raise UsageError(
                "the simulated account on disk belongs to other bars, settings or models; "
                "give another --journal, or --fresh to discard it"
            )
        book = self.book
        # An account of an earlier version has none.
        book.balance, book.credit = content["balance"], content.get("credit", 0.0)
        book.order_ticket, book.deal_ticket, self.number = content["tickets"]
        for name, (opened_at, opened) in content["feeds"].items():
            feed = self.feeds[name]
            feed.bar = -1 if opened_at is None else int(feed.bars.time.searchsorted(opened_at))
            feed.opened = opened
        try:
            positions = [
                OpenPosition(**fields | {"account": from_bytes(Account, bytes.fromhex(fields["account"]))})
                for fields in content["positions"]
            ]
        except ValueError as error:
            raise StorageError(
                f"the simulated account was written by another version ({error}); start with --fresh"
            ) from error
        book.positions = {position.ticket: position for position in positions}
        book.pending = {fields["ticket"]: PendingOrder(**fields) for fields in content["pending"]}
