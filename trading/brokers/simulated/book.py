"""The broker's books: positions, orders, deals and the balance, as they stand at this moment.

Times inside are UTC milliseconds, money is USD; what the terminal shows of them carries the
server's stamps and the account's currency.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.fills import floating_profit
from engine.records import Account
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import TradeDeal, TradeOrder, TradePosition
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.markets.market import Feed

Row = TypeVar("Row", TradeDeal, TradeOrder)
FIRST_ORDER = 10_000_000
FIRST_DEAL = 50_000_000
"""Orders and deals are numbered apart, so that code which mixes them up is found out."""


@dataclass
class OpenPosition:
    """A position; the money of it is in the engine's record.

    Attributes
    ----------
    ticket, identifier : int
        The handle, and the lifetime id that orders and deals carry.
    visible_msc : int
        From when on the terminal lists it.
    """

    ticket: int
    identifier: int
    symbol: str
    magic: int
    comment: str
    reason: int
    opened_msc: int
    updated_msc: int
    visible_msc: int
    account: Account

    @property
    def side(self) -> int:
        """1 long, -1 short."""
        return int(self.account.side)


@dataclass
class PendingOrder:
    """An order that waits for its price; `expiration` is a stamp of the server's clock."""

    ticket: int
    symbol: str
    type: int
    volume: float
    price: float
    stoplimit: float
    sl: float
    tp: float
    type_time: int
    type_filling: int
    expiration: int
    magic: int
    comment: str
    setup_msc: int


@dataclass
class Book:
    """Everything the broker remembers of the account.

    Attributes
    ----------
    balance, credit : float
        Money of the account, and what the broker has lent it, USD.
    deals, orders : list
        What is done, oldest first, as the terminal shows it.
    """

    balance: float = 0.0
    credit: float = 0.0
    order_ticket: int = FIRST_ORDER
    deal_ticket: int = FIRST_DEAL
    positions: dict[int, OpenPosition] = field(default_factory=dict)
    pending: dict[int, PendingOrder] = field(default_factory=dict)
    deals: list[TradeDeal] = field(default_factory=list)
    orders: list[TradeOrder] = field(default_factory=list)
    _latest: dict[str, list[int]] = field(default_factory=lambda: {"deals": [], "orders": []})
    _groups: dict[tuple[str, str], tuple[int, dict[int, list[Any]]]] = field(default_factory=dict)

    def next_order(self) -> int:
        """Return a new order ticket."""
        self.order_ticket += 1
        return self.order_ticket

    def next_deal(self) -> int:
        """Return a new deal ticket."""
        self.deal_ticket += 1
        return self.deal_ticket

    @contextmanager
    def booking(self, position: OpenPosition) -> Iterator[Account]:
        """Lend the balance to a position's record while the engine books on it."""
        # The engine's record knows one position: the account's balance goes from one to the next.
        position.account.balance = self.balance
        yield position.account
        self.balance = float(position.account.balance)

    def of_symbol(self, symbol: str) -> list[OpenPosition]:
        """Return the symbol's positions, oldest first."""
        return [position for position in self.positions.values() if position.symbol == symbol]

    def volume(self, symbol: str, side: int) -> float:
        """Return the lots of positions and pending orders on one side of a symbol."""
        held = sum(float(p.account.volume) for p in self.of_symbol(symbol) if p.side == side)
        waiting = sum(o.volume for o in self.pending.values() if o.symbol == symbol and order_side(o.type) == side)
        return held + waiting

    def deals_between(self, begin: int, end: int) -> list[TradeDeal]:
        """Return the deals stamped from `begin` to `end`, both included, server seconds."""
        latest = self._watermarks("deals", [deal.time for deal in self.deals[len(self._latest["deals"]) :]])
        return [deal for deal in self.deals[bisect_left(latest, begin) :] if begin <= deal.time <= end]

    def orders_between(self, begin: int, end: int) -> list[TradeOrder]:
        """Return the finished orders stamped from `begin` to `end`, both included, server seconds."""
        latest = self._watermarks("orders", [order.time_done for order in self.orders[len(self._latest["orders"]) :]])
        return [order for order in self.orders[bisect_left(latest, begin) :] if begin <= order.time_done <= end]

    def deals_by(self, name: str, value: int) -> tuple[TradeDeal, ...]:
        """Return the deals with this value in a field, oldest first."""
        return self._grouped("deals", self.deals, name, value)

    def orders_by(self, name: str, value: int) -> tuple[TradeOrder, ...]:
        """Return the finished orders with this value in a field, oldest first."""
        return self._grouped("orders", self.orders, name, value)

    def _grouped(self, kind: str, rows: list[Row], name: str, value: int) -> tuple[Row, ...]:
        # Read once and kept: a search through the whole history at every trade would cost its square.
        known, groups = self._groups.get((kind, name), (0, {}))
        for row in rows[known:]:
            groups.setdefault(getattr(row, name), []).append(row)
        self._groups[kind, name] = (len(rows), groups)
        return tuple(groups.get(value, ()))

    def _watermarks(self, kind: str, added: list[int]) -> list[int]:
        # A clock set back makes stamps fall; the latest so far never does and can be searched.
        latest = self._latest[kind]
        for stamp in added:
            latest.append(max(stamp, latest[-1]) if latest else stamp)
        return latest

    def forget(self, deals: int, orders: int) -> None:
        """Cut the history back to so many deals and orders."""
        del self.deals[deals:], self.orders[orders:]
        del self._latest["deals"][deals:], self._latest["orders"][orders:]
        self._groups.clear()


def order_side(kind: int) -> int:
    """Return 1 for the buying order types, -1 for the selling ones."""
    # MetaTrader numbers its order types in pairs, the buying one even.
    return 1 if kind % 2 == 0 else -1


def order_type(side: int) -> int:
    """Return the market order type of a side."""
    return C.ORDER_TYPE_BUY if side > 0 else C.ORDER_TYPE_SELL


def finite(price: float) -> float:
    """Return a stop or target as the terminal shows it: 0.0 where there is none."""
    return 0.0 if abs(price) == float("inf") else float(price)


def position_struct(position: OpenPosition, feed: Feed, terms: AccountTerms) -> TradePosition:
    """Return a position as the terminal lists it."""
    account, quote, stamps = position.account, feed.quote(), feed.stamps
    opened, updated = stamps.milliseconds(position.opened_msc), stamps.milliseconds(position.updated_msc)
    return filled(
        TradePosition,
        ticket=position.ticket,
        time=opened // 1000,
        time_msc=opened,
        time_update=updated // 1000,
        time_update_msc=updated,
        type=order_type(position.side),
        magic=position.magic,
        identifier=position.identifier,
        reason=position.reason,
        volume=float(account.volume),
        price_open=float(account.entry_price),
        sl=finite(account.sl),
        tp=finite(account.tp),
        price_current=quote.bid if position.side > 0 else quote.ask,
        swap=terms.booked(float(account.swap)),
        profit=terms.shown(float(floating_profit(account, feed.params, quote.bid, quote.ask - quote.bid))),
        symbol=position.symbol,
        comment=position.comment,
    )


def order_struct(
    order: PendingOrder, feed: Feed, state: int, done_msc: int, position: int, reason: int, left: float, by: int = 0
) -> TradeOrder:
    """Return an order as the terminal lists it; `left` is the volume still to be filled."""
    quote, stamps = feed.quote(), feed.stamps
    setup, done = stamps.milliseconds(order.setup_msc), stamps.milliseconds(done_msc)
    return filled(
        TradeOrder,
        ticket=order.ticket,
        time_setup=setup // 1000,
        time_setup_msc=setup,
        time_done=done // 1000,
        time_done_msc=done,
        time_expiration=order.expiration,
        type=order.type,
        type_time=order.type_time,
        type_filling=order.type_filling,
        state=state,
        magic=order.magic,
        position_id=position,
        position_by_id=by,
        reason=reason,
        volume_initial=order.volume,
        volume_current=left,
        price_open=order.price,
        sl=order.sl,
        tp=order.tp,
        price_current=quote.ask if order_side(order.type) > 0 else quote.bid,
        price_stoplimit=order.stoplimit,
        symbol=order.symbol,
        comment=order.comment,
    )
