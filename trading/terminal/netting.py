"""A netting account: one position per symbol, which every deal enlarges, reduces or turns round."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trading.engine.fills import rounded
from trading.terminal.book import OpenPosition, PendingOrder, order_side
from trading.terminal.checks import boundless
from trading.terminal.constants import ModuleConstants as C
from trading.terminal.market import Feed
from trading.terminal.settlement import enter, entry_deal, leave
from trading.terminal.structs import TradeDeal

if TYPE_CHECKING:
    from trading.terminal.server import TradeServer


def change(
    server: TradeServer, feed: Feed, position: OpenPosition, order: PendingOrder, bid: float, spread: float
) -> TradeDeal | int:
    """Let a market order act on the symbol's position; returns its deal or the code of a refusal."""
    if position.side == order_side(order.type):
        return _add(server, feed, position, order, bid, spread)
    surplus = round(order.volume - float(position.account.volume), 8)
    if surplus <= 0.0:
        return leave(server, feed, position, order, bid, spread)
    return _reverse(server, feed, position, order, surplus, bid, spread)


def _add(
    server: TradeServer, feed: Feed, position: OpenPosition, order: PendingOrder, bid: float, spread: float
) -> TradeDeal | int:
    added = enter(server, feed, order, bid, spread, feed.params, C.DEAL_REASON_EXPERT)
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
    server: TradeServer,
    feed: Feed,
    position: OpenPosition,
    order: PendingOrder,
    surplus: float,
    bid: float,
    spread: float,
) -> TradeDeal | int:
    """Close all and open the surplus on the other side: one deal, the same identifier, a new ticket."""
    book = server.book
    out = leave(server, feed, position, replace(order, volume=float(position.account.volume)), bid, spread)
    book.deals.pop()
    book.orders.pop()
    turned = enter(server, feed, replace(order, volume=surplus), bid, spread, feed.params, C.DEAL_REASON_EXPERT)
    if isinstance(turned, int):
        # The margin was asked for the surplus before; what is closed stays closed.
        book.deals.append(out)
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
