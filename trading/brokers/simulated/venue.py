"""The state of the simulated broker: markets, account and time. The rules of the other files work on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.fills import floating_profit
from engine.records import Params, from_bytes, to_bytes
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import Tick
from trading.brokers.simulated.accounts import AccountTerms, Funds
from trading.brokers.simulated.book import Book
from trading.brokers.simulated.markets.history import current_tick
from trading.brokers.simulated.markets.market import Feed, Quote
from trading.brokers.simulated.markets.stamps import Stamps


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


def copied(params: Params) -> Params:
    """Return parameters that can be changed without the market's own."""
    return from_bytes(Params, to_bytes(params))


class Venue:
    """One account over known markets.

    Parameters
    ----------
    feeds : sequence of Feed
        The first leads the clock; all are on the same stamps.
    terms : AccountTerms

    Attributes
    ----------
    conditions : Conditions
        Change them at will.
    book : Book
        Positions, orders and deals of the account.
    number : int
        Requests so far.
    """

    def __init__(self, feeds: Sequence[Feed], terms: AccountTerms) -> None:
        self.feeds = {feed.spec.name: feed for feed in feeds}
        self.main, self.terms = feeds[0], terms
        for feed in feeds:
            if feed.params.money_scale != terms.money_scale:
                # Whatever the symbol, sums are booked in the account's currency.
                feed.params = copied(feed.params)
                feed.params.money_scale = terms.money_scale
        self.stamps: Stamps = feeds[0].stamps
        self.conditions = Conditions()
        self.book = Book()
        self.number = 0
        # Time that has passed since the newest quote: waiting moves the clock, not the market.
        self._elapsed_msc = 0
        self._frozen: dict[str, Tick] = {}

    @property
    def now(self) -> int:
        """Time of the leading market, UTC epoch seconds."""
        return self.main.now

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
        closes = feed.bars.time[feed.first : feed.closed] + feed.bar_seconds
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
