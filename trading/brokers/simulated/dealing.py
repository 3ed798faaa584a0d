"""Requests become deals: market orders, stops and targets, closing one position by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.fills import EXIT_MANUAL, close_position
from engine.records import Trade, new_record
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import OrderSendResult, TradeDeal, TradeRequest
from trading.brokers.simulated import checks, netting, pending
from trading.brokers.simulated.book import OpenPosition, PendingOrder, finite, order_side, order_type
from trading.brokers.simulated.faults import Fault
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.replies import refusal, reply
from trading.brokers.simulated.settlement import begin_bar, book_exit, enter, entry_deal, leave, new_order, split

if TYPE_CHECKING:
    from trading.brokers.simulated.venue import Venue

NO_FAULT = Fault()


def execute(server: Venue, request: TradeRequest, fault: Fault) -> OrderSendResult:
    """Carry out a request, as far as the broker does."""
    server.number += 1
    code = checks.permission(server)
    feed = server.feeds.get(_symbol(server, request))
    if not code and feed is None:
        code = C.TRADE_RETCODE_POSITION_CLOSED if request.position else C.TRADE_RETCODE_INVALID
    if code or feed is None:
        return refusal(code, request, server.main.quote(), server.number)
    if request.action == C.TRADE_ACTION_DEAL:
        return deal(server, feed, request, fault)
    handlers = {
        C.TRADE_ACTION_SLTP: change_levels,
        C.TRADE_ACTION_CLOSE_BY: close_by,
        C.TRADE_ACTION_PENDING: pending.place,
        C.TRADE_ACTION_MODIFY: pending.modify,
        C.TRADE_ACTION_REMOVE: pending.remove,
    }
    handler = handlers.get(request.action)
    code = C.TRADE_RETCODE_INVALID if handler is None else checks.session(server, feed)
    if not code and fault.retcode and not fault.executes:
        code = fault.retcode
    if code or handler is None:
        return refusal(code, request, feed.quote(), server.number)
    outcome = handler(server, feed, request)
    if isinstance(outcome, int):
        return refusal(outcome, request, feed.quote(), server.number)
    return outcome


def _symbol(server: Venue, request: TradeRequest) -> str:
    """Return the symbol a request is about, by its position or order where it names none."""
    if request.symbol:
        return str(request.symbol)
    held = server.book.positions.get(request.position)
    waiting = server.book.pending.get(request.order)
    return held.symbol if held else waiting.symbol if waiting else ""


def deal(server: Venue, feed: Feed, request: TradeRequest, fault: Fault) -> OrderSendResult:
    """Carry out a market order at the next quote."""
    target = target_of(server, request)
    code = before_quote(server, feed, request, target)
    if not code:
        if not feed.opened:
            begin_bar(server, feed)
        code = at_quote(server, feed, request, target)
    if not code and fault.retcode and not fault.executes:
        code = fault.retcode
    lots = request.volume
    if not code and 0.0 < fault.volume < lots:
        lots = fault.volume
        # Fill or kill is killed where the market has not enough.
        code = C.TRADE_RETCODE_REJECT if request.type_filling == C.ORDER_FILLING_FOK else code
    if code:
        return refusal(code, request, feed.quote(), server.number)
    comment = request.comment if fault.comment is None else fault.comment(request.comment)
    order = new_order(server, feed, request.type, lots, request.magic, comment, request.price)
    order.sl, order.tp, order.type_filling = request.sl, request.tp, request.type_filling
    booked = _fill(server, feed, request, order, target)
    if isinstance(booked, int):
        return refusal(booked, request, feed.quote(), server.number)
    opened = server.book.positions.get(order.ticket)
    if opened is not None:
        opened.visible_msc = server.now_msc + round(1000 * fault.delay)
    return _filled(server, feed, request, order, booked)


def _filled(
    server: Venue, feed: Feed, request: TradeRequest, order: PendingOrder, booked: TradeDeal
) -> OrderSendResult:
    whole = order.volume >= request.volume
    silent = server.conditions.silent_fills
    return reply(
        C.TRADE_RETCODE_DONE if whole else C.TRADE_RETCODE_DONE_PARTIAL,
        request,
        deal=0 if silent else booked.ticket,
        order=order.ticket,
        volume=order.volume,
        price=0.0 if silent else booked.price,
        quote=feed.quote(),
        number=server.number,
    )


def target_of(server: Venue, request: TradeRequest) -> OpenPosition | None:
    """Return the position a market order closes or, on a netting account, changes."""
    if request.position:
        return server.book.positions.get(request.position)
    held = [] if server.terms.hedging else server.book.of_symbol(request.symbol)
    return held[0] if held else None


def is_entry(server: Venue, request: TradeRequest, target: OpenPosition | None) -> bool:
    """Tell whether a market order adds exposure."""
    if server.terms.hedging:
        return not request.position
    if target is None or target.side == order_side(request.type):
        return True
    return request.volume > float(target.account.volume)


def before_quote(server: Venue, feed: Feed, request: TradeRequest, target: OpenPosition | None) -> int:
    """Return why a market order is refused whatever the quote, 0 when it is not."""
    spec, entry = feed.spec, is_entry(server, request, target)
    if request.type not in checks.MARKET:
        return C.TRADE_RETCODE_INVALID
    code = (
        checks.trade_mode(spec, order_side(request.type), entry=entry)
        or checks.session(server, feed)
        or checks.order_kind(spec, request)
        or checks.expiration(server, spec, request)
        or checks.filling(spec, request)
        or checks.volume(server, spec, request, entry=entry)
    )
    if code:
        return code
    if request.position and (server.terms.hedging or target is None):
        return checks.closing(server, request, target)
    limit = server.terms.limit_positions
    if entry and target is None and limit and len(server.book.positions) >= limit:
        return C.TRADE_RETCODE_LIMIT_POSITIONS
    return checks.ALLOWED


def at_quote(server: Venue, feed: Feed, request: TradeRequest, target: OpenPosition | None) -> int:
    """Return why a market order is refused at the present quote, 0 when it is not."""
    quote, side = feed.quote(), order_side(request.type)
    code = checks.asked_price(feed, request, quote)
    if code:
        return code
    entry = is_entry(server, request, target)
    if entry:
        spread = float(feed.bars.spread[max(feed.bar, 0)])
        code = checks.levels(feed, side, request.sl, request.tp, quote.bid, spread)
        lots = request.volume
        if target is not None and target.side != side:
            lots -= float(target.account.volume)
        return code or checks.margin(server, feed, side, lots, quote)
    return checks.ALLOWED if target is None else checks.frozen(feed, target)


def _fill(
    server: Venue, feed: Feed, request: TradeRequest, order: PendingOrder, target: OpenPosition | None
) -> TradeDeal | int:
    bid, spread = float(feed.bars.open[feed.bar]), float(feed.bars.spread[feed.bar])
    if not server.terms.hedging and target is not None:
        return netting.change(server, feed, target, order, bid, spread, feed.params)
    if request.position and target is not None:
        return leave(server, feed, target, order, bid, spread)
    entered = enter(server, feed, order, bid, spread, feed.params, C.DEAL_REASON_EXPERT)
    if isinstance(entered, int):
        return entered
    booked = entry_deal(server, feed, entered, entered.identifier)
    server.book.deals.append(booked)
    return booked


def change_levels(server: Venue, feed: Feed, request: TradeRequest) -> OrderSendResult | int:
    """Set stop and target of a position; a level left out is removed."""
    position = target_of(server, request)
    code = checks.trade_mode(feed.spec, 0, entry=False)
    if code:
        return code
    if position is None or position.symbol != feed.spec.name:
        return C.TRADE_RETCODE_POSITION_CLOSED
    account, quote = position.account, feed.quote()
    if finite(account.sl) == request.sl and finite(account.tp) == request.tp:
        return C.TRADE_RETCODE_NO_CHANGES
    code = checks.levels(feed, position.side, request.sl, request.tp, quote.bid, quote.ask - quote.bid)
    code = code or checks.frozen(feed, position)
    if code:
        return code
    account.sl, account.tp = checks.boundless(position.side, request.sl, request.tp)
    position.updated_msc = server.now_msc
    return reply(C.TRADE_RETCODE_DONE, request, number=server.number)


def close_by(server: Venue, feed: Feed, request: TradeRequest) -> OrderSendResult | int:
    """Close two opposite positions by each other; the larger keeps its surplus."""
    book = server.book
    first, second = book.positions.get(request.position), book.positions.get(request.position_by)
    code = checks.order_kind(feed.spec, request)
    if code:
        return code
    if first is None or second is None:
        return C.TRADE_RETCODE_POSITION_CLOSED
    if not server.terms.hedging or first.symbol != second.symbol or first.side == second.side:
        return C.TRADE_RETCODE_INVALID
    lots = min(float(first.account.volume), float(second.account.volume))
    order = new_order(server, feed, C.ORDER_TYPE_CLOSE_BY, lots, request.magic, request.comment)
    price, own = float(second.account.entry_price), float(second.account.entry_price)
    booked = _close_part(server, feed, first, order, price)
    mirrored = new_order(server, feed, order_type(-second.side), lots, request.magic, request.comment)
    # One request is one order: its two deals share the ticket.
    mirrored.ticket = order.ticket
    book.orders.pop()
    _close_part(server, feed, second, mirrored, own)
    last = book.orders.pop()
    values = last._asdict() | {"type": C.ORDER_TYPE_CLOSE_BY, "position_id": first.identifier}
    book.orders.append(type(last)((values | {"position_by_id": second.identifier}).values()))
    return reply(
        C.TRADE_RETCODE_DONE, request, deal=booked.ticket, order=order.ticket, volume=lots, number=server.number
    )


def _close_part(server: Venue, feed: Feed, position: OpenPosition, order: PendingOrder, price: float) -> TradeDeal:
    part = split(position, order.volume, feed.params)
    account, trade = part.account, new_record(Trade)
    commission = float(account.commission)
    with server.book.booking(part):
        close_position(account, feed.params, trade, feed.now, price, EXIT_MANUAL)
    reason = C.DEAL_REASON_EXPERT
    return book_exit(server, feed, position, trade, commission, order, reason, C.DEAL_ENTRY_OUT_BY)
