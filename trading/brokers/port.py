"""The broker port: what the bot asks of a trading account, in MetaTrader 5's terms.

Each method answers to one function of the MetaTrader 5 package (named in its docstring),
carries the same facts and codes, and speaks UTC epoch seconds, USD and lots; conversions
of clocks and cents happen behind the port. One thread uses a broker at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import pandas as pd

from novosky.errors import BrokerError

RETCODE_UNKNOWN: Final = -1
"""Not of the package: the order may have been executed and nobody can say yet. Never send it again."""
RETCODE_NOT_PLACED: Final = -2
"""Not of the package: the outcome was unclear, was looked up, and the order never reached the market."""
RETCODE_DONE: Final = 10009
RETCODE_DONE_PARTIAL: Final = 10010
RETCODE_INVALID_STOPS: Final = 10016
RETCODE_MARKET_CLOSED: Final = 10018
RETCODE_NO_MONEY: Final = 10019
RETCODE_PRICE_OFF: Final = 10021
"""There is no quote to execute at; nothing was executed."""
RETCODE_NO_CHANGES: Final = 10025
RETCODE_POSITION_CLOSED: Final = 10036
RETCODE_LIMIT_POSITIONS: Final = 10040

DEAL_ENTRY_IN: Final = 0
DEAL_ENTRY_OUT: Final = 1
DEAL_ENTRY_BALANCE: Final = -1
"""Deposits and withdrawals; the package marks them by deal type instead."""

MONEY_CREDIT: Final = "credit"
"""Lent by the broker: part of what the terminal calls equity, never of the balance."""

DEAL_REASON_EXPERT: Final = 3
DEAL_REASON_SL: Final = 4
DEAL_REASON_TP: Final = 5
DEAL_REASON_SO: Final = 6


class BrokerUnavailable(BrokerError):
    """The broker cannot be asked at the moment; nothing was changed, and asking again later may work."""


@dataclass(frozen=True)
class Quote:
    """Bid and ask in USD at a moment (UTC epoch seconds)."""

    time: int
    bid: float
    ask: float


@dataclass(frozen=True)
class AccountState:
    """The account's money in USD."""

    login: int
    balance: float
    equity: float
    margin: float


@dataclass(frozen=True)
class Position:
    """An open position; `profit` excludes `swap`, neither is in the balance yet."""

    ticket: int
    side: int
    volume: float
    time: int
    price_open: float
    sl: float
    tp: float
    swap: float
    profit: float
    margin: float
    magic: int
    comment: str


@dataclass(frozen=True)
class Deal:
    """One booking on the account: an entry, an exit, or a balance operation.

    Attributes
    ----------
    money : str
        For money that no trade earned or cost: "deposit", "withdrawal", "credit", "charge",
        "correction" or "bonus". Empty for trading, its commissions, interest, dividends and taxes.
    """

    ticket: int
    position: int
    time: int
    entry: int
    reason: int
    volume: float
    price: float
    commission: float
    swap: float
    profit: float
    magic: int
    comment: str
    money: str = ""


@dataclass(frozen=True)
class WaitingOrder:
    """An order that was placed and is not executed yet."""

    ticket: int
    magic: int
    comment: str


@dataclass(frozen=True)
class OpeningOrder:
    """The order that opened a position: 1 buy or -1 sell, and the levels it carried, 0.0 without."""

    side: int
    sl: float
    tp: float


@dataclass(frozen=True)
class OrderRequest:
    """A market order.

    Attributes
    ----------
    side : int
        1 buy, -1 sell.
    volume : float
        Lots.
    sl, tp : float
        Absolute prices in USD, sent with the order; 0.0 on a closing order.
    position : int
        Ticket of the position to close, 0 to open one.
    magic : int
        Identifies the bot.
    comment : str
        At most 25 ASCII characters; begins with the intent's id.
    """

    side: int
    volume: float
    sl: float
    tp: float
    position: int
    magic: int
    comment: str


@dataclass(frozen=True)
class OrderResult:
    """The broker's answer; `retcode` as in the MetaTrader 5 package."""

    retcode: int
    order: int
    deal: int
    price: float
    comment: str


class Broker(Protocol):
    """A hedging account with one symbol. Implementations pass `tests/contracts/broker.py`.

    Every reading method may raise `BrokerUnavailable`; what cannot be read is never reported
    as empty. Orders do not raise it: their result says that nothing was executed
    (`RETCODE_PRICE_OFF`) or that nobody knows (`RETCODE_UNKNOWN`).
    """

    def quote(self) -> Quote:
        """Return the newest quote (`symbol_info_tick`)."""

    def account(self) -> AccountState:
        """Return balance, equity and margin (`account_info`)."""

    def positions(self) -> list[Position]:
        """Return every open position of the symbol, foreign ones too (`positions_get`)."""

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket, oldest first (`history_deals_get`)."""

    def waiting_orders(self) -> list[WaitingOrder]:
        """Return the symbol's orders that are not executed yet, foreign ones too (`orders_get`)."""

    def opening_order(self, position: int) -> OpeningOrder | None:
        """Return the order that opened a position, None when the history does not know it (`history_orders_get`)."""

    def closed_bars(self, count: int) -> pd.DataFrame:
        """Return the newest `count` closed bars as a bar frame, fewer if there are no more
        (`copy_rates_from_pos` with position 1).
        """

    def send(self, request: OrderRequest) -> OrderResult:
        """Send a market order and return the answer (`order_send`)."""

    def outcome_of(self, request: OrderRequest, since: int) -> OrderResult:
        """Look up what became of an order that may have been sent at or after `since` (UTC epoch seconds).

        Returns
        -------
        OrderResult
            `RETCODE_DONE` with the tickets of what was executed, `RETCODE_NOT_PLACED` when it
            certainly was not, `RETCODE_UNKNOWN` when that cannot be told yet.
        """

    def modify_stops(self, position: int, sl: float, tp: float) -> OrderResult:
        """Set stop and target of an open position, both of them (`order_send` with TRADE_ACTION_SLTP).

        `RETCODE_NO_CHANGES` when they already are what was asked for.
        """
