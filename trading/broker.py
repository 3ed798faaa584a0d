"""The broker port: what the bot asks of a trading account, in MetaTrader 5's terms.

Each method answers to one function of the MetaTrader 5 package (named in its docstring),
carries the same facts and codes, and speaks UTC epoch seconds, USD and lots; conversions
of clocks and cents happen behind the port. One thread uses a broker at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import pandas as pd

RETCODE_DONE: Final = 10009
RETCODE_INVALID_STOPS: Final = 10016
RETCODE_MARKET_CLOSED: Final = 10018
RETCODE_NO_MONEY: Final = 10019
RETCODE_PRICE_OFF: Final = 10021
"""There is no quote to execute at; nothing was executed."""
RETCODE_POSITION_CLOSED: Final = 10036
RETCODE_LIMIT_POSITIONS: Final = 10040

DEAL_ENTRY_IN: Final = 0
DEAL_ENTRY_OUT: Final = 1
DEAL_ENTRY_BALANCE: Final = -1
"""Deposits and withdrawals; the package marks them by deal type instead."""

DEAL_REASON_EXPERT: Final = 3
DEAL_REASON_SL: Final = 4
DEAL_REASON_TP: Final = 5
DEAL_REASON_SO: Final = 6


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
    """One booking on the account: an entry, an exit, or a balance operation."""

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
    """A hedging account with one symbol. Implementations pass `tests/contracts/broker.py`."""

    def quote(self) -> Quote:
        """Return the newest quote (`symbol_info_tick`)."""

    def account(self) -> AccountState:
        """Return balance, equity and margin (`account_info`)."""

    def positions(self) -> list[Position]:
        """Return every open position of the symbol, foreign ones too (`positions_get`)."""

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket, oldest first (`history_deals_get`)."""

    def closed_bars(self, count: int) -> pd.DataFrame:
        """Return the newest `count` closed bars as a bar frame, fewer if there are no more
        (`copy_rates_from_pos` with position 1).
        """

    def send(self, request: OrderRequest) -> OrderResult:
        """Send a market order and return the answer (`order_send`)."""
