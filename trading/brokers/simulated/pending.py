"""Orders that wait for their price: placing, changing, removing, triggering and expiring."""

from __future__ import annotations

from engine.fills import EXIT_STOP, rounded, settle_touch, touched
from engine.records import Params, Trade, new_record
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import OrderSendResult, TradeDeal, TradeRequest
from trading.brokers.simulated import checks, netting
from trading.brokers.simulated.book import OpenPosition, PendingOrder, order_side
from trading.brokers.simulated.markets.market import Feed, Quote
from trading.brokers.simulated.replies import reply
from trading.brokers.simulated.settlement import book_server_exit, enter, entry_deal, exit_params, finish_order
from trading.brokers.simulated.venue import Venue, copied

DAY = 86_400
_LIMIT_OF = {C.ORDER_TYPE_BUY_STOP_LIMIT: C.ORDER_TYPE_BUY_LIMIT, C.ORDER_TYPE_SELL_STOP_LIMIT: C.ORDER_TYPE_SELL_LIMIT}


def refused(server: Venue, feed: Feed, request: TradeRequest, kind: int) -> int:
    """Return why a pending order of this type cannot stand, 0 when it can."""
    spec, side, quote = feed.spec, order_side(kind), feed.quote()
    code = checks.trade_mode(spec, side, entry=True) or checks.expiration(server, spec, request)
    if code:
        return code
    if not checks.on_grid(request.price, spec.step) or not _waits(feed, kind, request.price, quote):
        return C.TRADE_RETCODE_INVALID_PRICE
    base = request.price
    if kind in checks.STOP_LIMITS:
        base = request.stoplimit
        if base <= 0.0 or (request.price - base) * side < 0.0 or not checks.on_grid(base, spec.step):
            return C.TRADE_RETCODE_INVALID_PRICE
    spread = quote.ask - quote.bid
    # Stops of a pending order are measured from its own price.
    bid = base if side > 0 else base - spread
    return checks.levels(feed, side, request.sl, request.tp, bid, spread)


def _waits(feed: Feed, kind: int, price: float, quote: Quote) -> bool:
    """Tell whether a price is on the waiting side of the quote, at the broker's distance."""
    side = order_side(kind)
    now = quote.ask if side > 0 else quote.bid
    below = kind in checks.LIMITS
    away = side * (now - price) if below else side * (price - now)
    return price > 0.0 and away > 0.0 and away >= float(feed.params.stops_distance) - 1e-9


def refused_at_once(server: Venue, feed: Feed, request: TradeRequest) -> int:
    """Return why a new pending order is refused, 0 when it is not."""
    spec = feed.spec
    if request.type in checks.MARKET:
        return C.TRADE_RETCODE_INVALID
    code = (
        checks.trade_mode(spec, order_side(request.type), entry=True)
        or checks.order_kind(spec, request)
        or checks.expiration(server, spec, request)
        or checks.filling(spec, request)
        or checks.volume(server, spec, request, entry=True)
        or refused(server, feed, request, request.type)
    )
    if not code and len(server.book.pending) >= server.terms.limit_orders > 0:
        return C.TRADE_RETCODE_LIMIT_ORDERS
    return code


def place(server: Venue, feed: Feed, request: TradeRequest) -> OrderSendResult | int:
    """Place a pending order."""
    code = refused_at_once(server, feed, request)
    if code:
        return code
    ticket = server.book.next_order()
    server.book.pending[ticket] = PendingOrder(
        ticket,
        feed.spec.name,
        request.type,
        request.volume,
        request.price,
        request.stoplimit,
        request.sl,
        request.tp,
        request.type_time,
        request.type_filling,
        request.expiration,
        request.magic,
        request.comment,
        server.now_msc,
    )
    return reply(
        C.TRADE_RETCODE_DONE,
        request,
        order=ticket,
        volume=request.volume,
        quote=feed.quote(),
        number=server.number,
    )


def modify(server: Venue, feed: Feed, request: TradeRequest) -> OrderSendResult | int:
    """Change price, stops and lifetime of a pending order."""
    order = server.book.pending.get(request.order)
    if order is None or order.symbol != feed.spec.name:
        return C.TRADE_RETCODE_INVALID
    code = _frozen(feed, order) or refused(server, feed, request, order.type)
    if code:
        return code
    names = ("price", "stoplimit", "sl", "tp", "type_time", "expiration")
    if all(getattr(order, name) == getattr(request, name) for name in names):
        return C.TRADE_RETCODE_NO_CHANGES
    for name in names:
        setattr(order, name, getattr(request, name))
    return reply(C.TRADE_RETCODE_DONE, request, order=order.ticket, number=server.number)


def remove(server: Venue, feed: Feed, request: TradeRequest) -> OrderSendResult | int:
    """Cancel a pending order; one that is filled or gone is an invalid request."""
    order = server.book.pending.get(request.order)
    if order is None:
        return C.TRADE_RETCODE_INVALID
    code = _frozen(feed, order)
    if code:
        return code
    del server.book.pending[order.ticket]
    finish_order(server, feed, order, 0, C.ORDER_REASON_EXPERT, C.ORDER_STATE_CANCELED)
    return reply(C.TRADE_RETCODE_DONE, request, order=order.ticket, number=server.number)


def _frozen(feed: Feed, order: PendingOrder) -> int:
    quote = feed.quote()
    price = quote.ask if order_side(order.type) > 0 else quote.bid
    distance = feed.spec.freeze_level * feed.spec.point
    return C.TRADE_RETCODE_FROZEN if distance and abs(price - order.price) <= distance else checks.ALLOWED


def settle_orders(server: Venue, feed: Feed) -> None:
    """Expire and trigger the symbol's orders over the bar that is ending."""
    stamp = server.stamps.seconds(int(feed.bars.time[feed.bar]))
    for order in [order for order in server.book.pending.values() if order.symbol == feed.spec.name]:
        if _expired(server, order, stamp):
            del server.book.pending[order.ticket]
            finish_order(server, feed, order, 0, C.ORDER_REASON_EXPERT, C.ORDER_STATE_EXPIRED)
            continue
        price = trigger_price(feed, order)
        if price is None:
            continue
        if order.type in _LIMIT_OF:
            # Nothing tells what the rest of the bar did after the stop; the limit waits for the next.
            order.type, order.price, order.stoplimit = _LIMIT_OF[order.type], order.stoplimit, 0.0
            continue
        del server.book.pending[order.ticket]
        _fill(server, feed, order, price)


def _expired(server: Venue, order: PendingOrder, stamp: int) -> bool:
    if order.type_time == C.ORDER_TIME_SPECIFIED:
        return stamp >= order.expiration
    if order.type_time == C.ORDER_TIME_SPECIFIED_DAY:
        return stamp // DAY > order.expiration // DAY
    placed = server.stamps.seconds(order.setup_msc // 1000)
    return order.type_time == C.ORDER_TIME_DAY and stamp // DAY > placed // DAY


def trigger_price(feed: Feed, order: PendingOrder) -> float | None:
    """Return the quote at which the bar fills an order, None when it does not.

    Buying watches the ask, selling the bid. A limit fills at its price or a better open, a
    stop at its price or a worse open.
    """
    i, bars, side = feed.bar, feed.bars, order_side(order.type)
    shift = float(bars.spread[i]) if side > 0 else 0.0
    # An ask is a price on the broker's grid, like the order's own.
    scale = feed.params.price_scale
    first, high, low = (float(rounded(column[i] + shift, scale)) for column in (bars.open, bars.high, bars.low))
    falls = (order.type in checks.LIMITS) == (side > 0)
    if falls:
        return min(order.price, first) if low <= order.price else None
    return max(order.price, first) if high >= order.price else None


def _fill(server: Venue, feed: Feed, order: PendingOrder, price: float) -> None:
    side, spread = order_side(order.type), float(feed.bars.spread[feed.bar])
    params = copied(feed.params)
    if order.type in checks.LIMITS:
        # A limit is filled at its price or a better one, whatever it opens, enlarges, reduces or turns round.
        params.slippage = 0.0
    bid = price - spread if side > 0 else price
    held = [] if server.terms.hedging else server.book.of_symbol(order.symbol)
    outcome = (
        netting.change(server, feed, held[0], order, bid, spread, params)
        if held
        else _enter(server, feed, order, bid, spread, params)
    )
    if isinstance(outcome, int):
        finish_order(server, feed, order, 0, C.ORDER_REASON_EXPERT, C.ORDER_STATE_REJECTED)
        return
    opened = server.book.positions.get(order.ticket) or (held[0] if held else None)
    if opened is not None and opened.ticket in server.book.positions and opened.side == side:
        _finish_bar(server, feed, opened, bid, spread)


def _enter(
    server: Venue, feed: Feed, order: PendingOrder, bid: float, spread: float, params: Params
) -> TradeDeal | int:
    entered = enter(server, feed, order, bid, spread, params, C.DEAL_REASON_EXPERT)
    if isinstance(entered, int):
        return entered
    booked = entry_deal(server, feed, entered, entered.identifier)
    server.book.deals.append(booked)
    return booked


def _finish_bar(server: Venue, feed: Feed, position: OpenPosition, bid: float, spread: float) -> None:
    """Let the rest of the bar reach the stop of what was just opened; a target within it is not granted."""
    i, bars, account = feed.bar, feed.bars, position.account
    high, low = (bid, float(bars.low[i])) if position.side > 0 else (float(bars.high[i]), bid)
    trade, commission, params = new_record(Trade), float(account.commission), exit_params(server, feed)
    with server.book.booking(position):
        stopped = touched(account, params, bid, high, low, spread) == EXIT_STOP
        if stopped:
            settle_touch(account, params, trade, bars.time[i], bid, spread, EXIT_STOP)
    if stopped:
        book_server_exit(server, feed, position, trade, commission)
