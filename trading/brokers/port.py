"""The broker port: what the bot asks of a trading account, in words of its own.

No number of any broker's interface is known here. An adapter translates: what it was answered
into `Outcome`, its clock into UTC epoch seconds, its account's currency into USD, its sizes into
lots. Adding a broker is adding a package beside the others; see `trading.brokers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Protocol

import pandas as pd

from novosky.errors import BrokerError
from novosky.market.bar_arrays import BarArrays

LIVE_ENTRY_SECONDS: Final = 90
"""How long after a close an entry may still be sent, for `Params.entry_valid_seconds` of a live bot:
the loop looks once a minute, and an order takes seconds."""
MONEY_CREDIT: Final = "credit"
"""Lent by the broker: part of what the terminal calls equity, never of the balance."""


class Outcome(StrEnum):
    """What became of an order. The journal stores these words: a word that was once written stays.

    Every order ends in one of four ways. It was executed (`executed`). It was refused, and the word
    says why (`refused`). Nothing happened yet and it may be sent again (`NOT_SENT`), or it is certain
    that nothing ever happened (`NOT_PLACED`). Or nobody can say yet (`UNKNOWN`).
    """

    FILLED = "filled"
    PARTLY_FILLED = "partly filled"
    ACCEPTED = "accepted"
    """Taken by the broker, and there was nothing to fill: the levels of a position are set."""
    UNCHANGED = "unchanged"
    """Everything already was what was asked for."""
    NOT_SENT = "not sent"
    """There is no quote to execute at, or no way to the broker: nothing was executed, try again later."""
    NOT_PLACED = "not placed"
    """It was unclear, was looked up, and the order never reached the market."""
    UNKNOWN = "unknown"
    """The order may have been executed and nobody can say yet. Never send it again."""

    PRICE_MOVED = "price moved"
    STOPS_TOO_CLOSE = "stops too close"
    """Or on the wrong side of the quote."""
    NO_MONEY = "not enough money"
    MARKET_CLOSED = "market closed"
    BAD_VOLUME = "volume"
    """Below the least, above the most or off the steps."""
    BAD_PRICE = "price"
    INVALID = "invalid"
    """The broker could not make sense of the request; the same one would be refused again."""
    FROZEN = "frozen"
    """The position is too near to being executed to be touched."""
    TOO_MANY_REQUESTS = "too many requests"
    EXIT_UNDER_WAY = "exit under way"
    """Another order already closes the position."""
    NOT_THE_OLDEST = "not the oldest"
    """Positions may only be closed in the order in which they were opened."""
    POSITION_GONE = "position gone"
    TOO_MANY_POSITIONS = "too many positions"
    TOO_MANY_ORDERS = "too many orders"
    TOO_MUCH_VOLUME = "too much volume"
    """The account holds as much of the symbol as it may."""

    REJECTED = "rejected"
    """By the broker, without saying why."""
    CANCELLED = "cancelled"
    """By the broker's dealer."""
    TRADING_OFF = "trading off"
    """For the account or the symbol."""
    PROGRAMS_OFF_AT_SERVER = "programs off at the server"
    PROGRAMS_OFF_HERE = "programs off here"
    REAL_ONLY = "real accounts only"
    LONG_ONLY = "long only"
    SHORT_ONLY = "short only"
    CLOSE_ONLY = "close only"
    NO_HEDGING = "no hedging"
    UNFORESEEN = "unforeseen"
    """Refused in a way that nobody foresaw: a person has to look before anything else is sent."""

    @property
    def executed(self) -> bool:
        """True when a market order was carried out, in whole or in part."""
        return self in _EXECUTED

    @property
    def refused(self) -> bool:
        """True when the broker was asked, said no, and nothing was carried out."""
        return self not in _NO_REFUSAL


_EXECUTED: Final = frozenset({Outcome.FILLED, Outcome.PARTLY_FILLED})
_NO_REFUSAL: Final = _EXECUTED | {
    Outcome.ACCEPTED,
    Outcome.UNCHANGED,
    Outcome.NOT_SENT,
    Outcome.NOT_PLACED,
    Outcome.UNKNOWN,
}


class DealEntry(IntEnum):
    """What a booking did to a position. The journal stores these numbers: they never change."""

    IN = 0
    OUT = 1
    BALANCE = -1
    """Neither: money paid in or out, interest, corrections."""


class DealReason(IntEnum):
    """Who or what caused a booking. The journal stores these numbers: they never change.

    Numbers that are not here (1 and 2) stand in journals of before and mean `HAND`.
    """

    HAND = 0
    """A person, whatever the device."""
    PROGRAM = 3
    STOP = 4
    TARGET = 5
    STOP_OUT = 6
    """The broker, for want of margin."""
    BROKER = 7
    """The broker, for another reason: a roll-over, a split, the end of a contract."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be asked at the moment; nothing was changed, and asking again later may work.

    The loop answers it by waiting. Every other `BrokerError` says that a person has to act: it ends
    the bot with its exit code.
    """


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
    entry: DealEntry
    reason: DealReason
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
    """The broker's answer to an order.

    Attributes
    ----------
    outcome : Outcome
        All that anything is decided by.
    order, deal : int
        Tickets, 0 where there is none.
    price : float
        Of the fill, USD; 0.0 without one.
    comment : str
        For people; in whatever language the broker speaks.
    code : str
        The broker's own code for it, for whoever asks its support; empty where it gave none.
    """

    outcome: Outcome
    order: int = 0
    deal: int = 0
    price: float = 0.0
    comment: str = ""
    code: str = ""


class Broker(Protocol):
    """A hedging account with one symbol. Implementations pass `tests/contracts/broker.py`.

    Ownership: whoever opened a broker closes it, and nobody else. One thread uses it at a time.

    Reading: every reading method may raise `BrokerUnavailable`; what cannot be read is never
    reported as empty. A `BrokerError` that is not one says that the account is not what the
    settings name; nothing may be sent to it.

    Orders do not raise `BrokerUnavailable`: their result says that nothing was executed
    (`Outcome.NOT_SENT`) or that nobody knows (`Outcome.UNKNOWN`). An order is executed once or
    not at all, however often the connection is lost on its way.
    """

    def quote(self) -> Quote:
        """Return the newest quote."""

    def account(self) -> AccountState:
        """Return balance, equity and margin."""

    def positions(self) -> list[Position]:
        """Return every open position of the symbol, foreign ones too."""

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket, oldest first."""

    def waiting_orders(self) -> list[WaitingOrder]:
        """Return the symbol's orders that are not executed yet, foreign ones too."""

    def opening_order(self, position: int) -> OpeningOrder | None:
        """Return the order that opened a position, None when the history does not know it."""

    def closed_bars(self, count: int) -> pd.DataFrame:
        """Return the newest `count` closed bars as a bar frame, fewer if there are no more."""

    def closed_arrays(self, count: int) -> BarArrays:
        """Return the same bars as arrays: what a bot reads at every close."""

    def send(self, request: OrderRequest) -> OrderResult:
        """Send a market order and return the answer."""

    def outcome_of(self, request: OrderRequest, since: int) -> OrderResult:
        """Look up what became of an order that may have been sent at or after `since` (UTC epoch seconds).

        Returns
        -------
        OrderResult
            `Outcome.FILLED` with the tickets of what was executed, `Outcome.NOT_PLACED` when it
            certainly was not, `Outcome.UNKNOWN` when that cannot be told yet.
        """

    def modify_stops(self, position: int, sl: float, tp: float) -> OrderResult:
        """Set stop and target of an open position, both of them.

        `Outcome.ACCEPTED` when they are set, `Outcome.UNCHANGED` when they already were what was asked for.
        """

    def close(self) -> None:
        """Leave the broker; positions and their levels stay as they are."""
