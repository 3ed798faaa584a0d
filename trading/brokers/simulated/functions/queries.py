"""Positions, orders and deals as the terminal lists them, filtered as the package filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import TradeDeal, TradeOrder, TradePosition
from trading.brokers.simulated.book import order_struct, position_struct
from trading.brokers.simulated.functions.calls import milliseconds
from trading.brokers.simulated.markets.symbols import matches_group
from trading.brokers.simulated.venue import Venue

Listed = TypeVar("Listed", TradePosition, TradeOrder, TradeDeal)


def of_group(names: Iterable[str], group: str) -> list[str]:
    """Return the symbols of a group."""
    return [name for name in names if matches_group(name, group)]


def _chosen(rows: Iterable[Listed], filters: Mapping[str, Any]) -> tuple[Listed, ...]:
    """Filter by symbol, else by ticket, else by group."""
    if "symbol" in filters:
        return tuple(row for row in rows if row.symbol == filters["symbol"])
    if "ticket" in filters:
        return tuple(row for row in rows if row.ticket == filters["ticket"])
    group = filters.get("group")
    return tuple(row for row in rows if group is None or matches_group(row.symbol, group))


def positions(server: Venue, filters: Mapping[str, Any]) -> tuple[TradePosition, ...]:
    """Return the positions that the terminal knows of by now."""
    now = server.now_msc
    known = [held for held in server.book.positions.values() if held.visible_msc <= now]
    return _chosen([position_struct(held, server.feeds[held.symbol], server.terms) for held in known], filters)


def orders(server: Venue, filters: Mapping[str, Any]) -> tuple[TradeOrder, ...]:
    """Return the orders that are waiting."""
    waiting = server.book.pending.values()
    rows = [
        order_struct(order, server.feeds[order.symbol], C.ORDER_STATE_PLACED, 0, 0, C.ORDER_REASON_EXPERT, order.volume)
        for order in waiting
    ]
    return _chosen(rows, filters)


def past_orders(server: Venue, dates: Sequence[Any], filters: Mapping[str, Any]) -> tuple[TradeOrder, ...]:
    """Return finished orders: of an order's ticket, of a position, or between two dates."""
    if "ticket" in filters:
        return server.book.orders_by("ticket", filters["ticket"])
    if "position" in filters:
        return server.book.orders_by("position_id", filters["position"])
    begin, end = (milliseconds(date) // 1000 for date in dates)
    return _grouped(server.book.orders_between(begin, end), filters)


def past_deals(server: Venue, dates: Sequence[Any], filters: Mapping[str, Any]) -> tuple[TradeDeal, ...]:
    """Return deals: of an order (`ticket` is the order's), of a position, or between two dates."""
    if "ticket" in filters:
        return server.book.deals_by("order", filters["ticket"])
    if "position" in filters:
        return server.book.deals_by("position_id", filters["position"])
    begin, end = (milliseconds(date) // 1000 for date in dates)
    return _grouped(server.book.deals_between(begin, end), filters)


def _grouped(rows: Iterable[Listed], filters: Mapping[str, Any]) -> tuple[Listed, ...]:
    group = filters.get("group")
    return tuple(row for row in rows if group is None or matches_group(row.symbol, group))
