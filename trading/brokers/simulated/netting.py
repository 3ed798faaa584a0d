"""A netting account: one position per symbol, which every deal enlarges, reduces or turns round."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.fills import rounded
from engine.records import Params
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import TradeDeal
from trading.brokers.simulated.book import OpenPosition, PendingOrder, order_side
from trading.brokers.simulated.checks import boundless
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.settlement import enter, entry_deal, leave

if TYPE_CHECKING:
    from trading.brokers.simulated.venue import Venue


def change(
    server: Venue,
    feed: Feed,
    position: OpenPosition,
    order: PendingOrder,
    bid: float,
    spread: float,
    params: Params,
) -> TradeDeal | int:
    """Let an order act on the symbol's position; returns its deal or the code of a refusal.

    Parameters
    ----------
    params : Params
        The market's, without slippage where the order is a limit.
    """
    if position.side == order_side(order.type):
        return _add(server, feed, position, order, bid, spread, params)
    surplus = round(order.volume - float(position.account.volume), 8)
    if surplus <= 0.0:
        return leave(server, feed, position, order, bid, spread, params)
    return _reverse(server, feed, position, order, surplus, bid, spread, params)


def _add(
    server: Venue,
    feed: Feed,
    position: OpenPosition,
    order: PendingOrder,
    bid: float,
    spread: float,
    params: Params,
) -> TradeDeal | int:
    added = enter(server, feed, order, bid, spread, params, C.DEAL_REASON_EXPERT)
    if isinstance(added, int):
        return added
    booked = entry_deal(server, feed, added, position.identifier)
    del server.book.positions[added.ticket]
    held, more = position.account, added.account
    volume = float(held.volume) + float(more.volume)
    price = float(held.entry_price) * float(held.volume) + float(more.entry_price) * float(more.volume)
    held.entry_price = price / volume
    held.volume = round(volume, 8)
    held.commission = rounded(float(held.commission) + float(more.commission), feed.params.money_scale)
    for name in ("margin", "spread_paid", "slippage_paid"):
        setattr(held, name, getattr(held, name) + getattr(more, name))
    if order.sl or order.tp:
        held.sl, held.tp = boundless(position.side, order.sl, order.tp)
    position.updated_msc = added.updated_msc
    server.book.deals.append(booked)
    return booked


def _reverse(
    server: Venue,
    feed: Feed,
    position: OpenPosition,
    order: PendingOrder,
    surplus: float,
    bid: float,
    spread: float,
    params: Params,
) -> TradeDeal | int:
    """Close all and open the surplus on the other side: one deal, the same identifier, a new ticket."""
    book = server.book
    out = leave(server, feed, position, replace(order, volume=float(position.account.volume)), bid, spread, params)
    book.deals.pop()
    closing = book.orders.pop()
    turned = enter(server, feed, replace(order, volume=surplus), bid, spread, params, C.DEAL_REASON_EXPERT)
    if isinstance(turned, int):
        # What is closed stays closed: the order has been carried out in part.
        book.deals.append(out)
        partly = {"state": C.ORDER_STATE_PARTIAL, "volume_initial": order.volume, "volume_current": surplus}
        book.orders.append(type(closing)((closing._asdict() | partly).values()))
        return out
    commission = round(out.commission + server.terms.booked(float(turned.account.commission)), 8)
    values = out._asdict() | {"entry": C.DEAL_ENTRY_INOUT, "volume": order.volume, "commission": commission}
    booked = TradeDeal(values.values())
    book.deals.append(booked)
    turned.identifier = position.identifier
    finished = book.orders.pop()
    whole = finished._asdict() | {"volume_initial": order.volume, "position_id": position.identifier}
    book.orders.append(type(finished)(whole.values()))
    return booked
