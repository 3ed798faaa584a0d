"""The broker's side: markets, books and time. It knows nothing of the terminals that ask it.

The driver of a simulation holds this object and lets time pass; the bot holds only a
`SimulatedTerminal` on it, which offers the package's functions and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from engine.fills import rounded
from engine.records import Account, from_bytes, from_text, to_text
from novosky.errors import StorageError, UsageError
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import OrderSendResult, TradeDeal, TradeRequest
from trading.brokers.simulated import pending, settlement
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.book import OpenPosition, PendingOrder
from trading.brokers.simulated.dealing import execute
from trading.brokers.simulated.faults import Fault
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.replies import reply
from trading.brokers.simulated.store import MemoryStore, TerminalStore
from trading.brokers.simulated.venue import Venue


class TradeServer(Venue):
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
        super().__init__(feeds, terms)
        self.identity = identity
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
        # Now, and not when the market opens again: a history that is asked for up to tomorrow must hold it.
        self._list_money(balance, C.DEAL_TYPE_BALANCE, "deposit", self.now)
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

    def send(self, request: TradeRequest, fault: Fault) -> OrderSendResult:
        """Carry out a request and store what came of it."""
        result = execute(self, request, fault)
        self.save()
        done = result.retcode in (C.TRADE_RETCODE_DONE, C.TRADE_RETCODE_DONE_PARTIAL, C.TRADE_RETCODE_PLACED)
        # Carried out and answered otherwise: what became of it a bot has to find out by itself.
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
            # What could not be stored has not happened: the account goes back to what the file holds.
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
                vars(position) | {"account": to_text(position.account)} for position in book.positions.values()
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
                OpenPosition(**fields | {"account": _account_of(fields["account"])}) for fields in content["positions"]
            ]
        except ValueError as error:
            raise StorageError(
                f"the simulated account was written by another version ({error}); start with --fresh"
            ) from error
        book.positions = {position.ticket: position for position in positions}
        book.pending = {fields["ticket"]: PendingOrder(**fields) for fields in content["pending"]}


def _account_of(stored: str) -> Account:
    """Return a position's record; files of earlier versions hold its bytes in hexadecimal digits."""
    return from_text(Account, stored) if stored.startswith("{") else from_bytes(Account, bytes.fromhex(stored))
