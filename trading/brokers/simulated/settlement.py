"""What a bar does to the account: swap, stops, targets, stop-out; and the booking of every deal.

Prices and sums come from the engine's fill rules, one engine record per position, so that
a simulated terminal and a backtest of the same trades end at the same cent.
"""

from __future__ import annotations

from dataclasses import replace

from engine.bar import place_entry, place_exit, rest_of_bar, settle_both
from engine.fills import (
    EXIT_MANUAL,
    EXIT_STOP,
    EXIT_STOP_OUT,
    EXIT_TARGET,
    ORDER_BAD_STOPS,
    ORDER_FILLED,
    close_at_quote,
    floating_profit,
    open_of_bar,
    rounded,
)
from engine.records import Account, Bar, Params, Trade, from_bytes, new_record, to_bytes
from engine.touch import BOTH_TOUCHED
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import TradeDeal
from trading.brokers.simulated.accounts import below_stop_out
from trading.brokers.simulated.book import OpenPosition, PendingOrder, order_side, order_struct, order_type
from trading.brokers.simulated.calc import margin_usd, update_conversion
from trading.brokers.simulated.checks import boundless
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.venue import Venue, copied

_REASONS = {EXIT_STOP: C.DEAL_REASON_SL, EXIT_TARGET: C.DEAL_REASON_TP, EXIT_STOP_OUT: C.DEAL_REASON_SO}
_LABELS = {C.DEAL_REASON_SL: "sl", C.DEAL_REASON_TP: "tp", C.DEAL_REASON_SO: "so"}


def begin_bar(server: Venue, feed: Feed) -> None:
    """Go on to the next bar's open: the nights before it are charged to what is held."""
    nights = feed.begin_bar()
    update_conversion(server.feeds, feed)
    i, bars, trade = feed.bar, feed.bars, new_record(Trade)
    for position in server.book.of_symbol(feed.spec.name):
        with server.book.booking(position) as account:
            open_of_bar(account, feed.params, trade, bars.time[i], bars.open[i], bars.spread[i], nights)


def settle_bar(server: Venue, feed: Feed) -> None:
    """Let the rest of the bar happen to the positions."""
    held = server.book.of_symbol(feed.spec.name)
    if not held:
        return
    i, bars = feed.bar, feed.bars
    bar = Bar(bars.time[i], bars.open[i], bars.high[i], bars.low[i], bars.close[i], bars.spread[i])
    params, alone = exit_params(server, feed), _stops_out_alone(server)
    for position in held:
        account, trade = position.account, new_record(Trade)
        commission = float(account.commission)
        with server.book.booking(position):
            touch = rest_of_bar(account, params, trade, bar)
            if touch == BOTH_TOUCHED:
                settle_both(account, params, trade, feed.minutes, i, bar)
        if touch != 0:
            book_server_exit(server, feed, position, trade, commission)
    if not alone:
        _stop_out(server, feed)


def _stops_out_alone(server: Venue) -> bool:
    """Tell whether the engine's stop-out, which knows one position and no credit, is the account's."""
    return len(server.book.positions) == 1 and server.stops_out_by_level and server.book.credit == 0.0


def exit_params(server: Venue, feed: Feed) -> Params:
    """Return the parameters of a market's exits; with several positions the account's level decides on its own."""
    if _stops_out_alone(server):
        return feed.params
    params = copied(feed.params)
    params.stop_out_level = 0.0
    return params


def _stop_out(server: Venue, feed: Feed) -> None:
    """Close the worst positions of a market while the account is too low at the bar's extremes."""
    i, bars = feed.bar, feed.bars
    spread = float(bars.spread[i])
    # Nobody knows which extreme came first, and with positions on both sides either may be the worse.
    for bid in (float(bars.low[i]), float(bars.high[i])):
        while below_stop_out(server.terms, *_figures_at(server, feed, bid, spread)):
            held = server.book.of_symbol(feed.spec.name)
            if not held:
                return
            worst = min(held, key=lambda position: floating_profit(position.account, feed.params, bid, spread))
            account, trade = worst.account, new_record(Trade)
            commission = float(account.commission)
            with server.book.booking(worst):
                close_at_quote(account, feed.params, trade, bars.time[i], bid, spread, EXIT_STOP_OUT, True)
            book_server_exit(server, feed, worst, trade, commission)


def _figures_at(server: Venue, feed: Feed, bid: float, spread: float) -> tuple[float, float]:
    """Return equity and margin in the account's currency with this market at another quote."""
    equity, margin = server.book.balance + server.book.credit, 0.0
    for position in server.book.positions.values():
        account, other = position.account, server.feeds[position.symbol]
        here = other.quote()
        quote = (bid, spread) if other is feed else (here.bid, here.ask - here.bid)
        equity += float(floating_profit(account, other.params, *quote)) + float(account.swap)
        margin += float(account.margin)
    return server.terms.shown(equity), server.terms.shown(margin)


def book_server_exit(server: Venue, feed: Feed, position: OpenPosition, trade: Trade, commission: float) -> None:
    """Book an exit that the server itself made; its order carries what the broker writes."""
    reason = _REASONS[int(trade.reason)]
    level = float(trade.exit_price) if reason == C.DEAL_REASON_SO else float(trade.sl)
    if reason == C.DEAL_REASON_TP:
        level = float(trade.tp)
    comment = f"[{_LABELS[reason]} {level:.{feed.spec.digits}f}]"
    order = new_order(server, feed, order_type(-int(trade.side)), float(trade.volume), position.magic, comment)
    book_exit(server, feed, position, trade, commission, order, reason)


def new_order(
    server: Venue, feed: Feed, kind: int, lots: float, magic: int, comment: str, price: float = 0.0
) -> PendingOrder:
    """Return a market order with a new ticket."""
    setup = 1000 * feed.now
    ticket = server.book.next_order()
    return PendingOrder(
        ticket, feed.spec.name, kind, lots, price, 0.0, 0.0, 0.0, C.ORDER_TIME_GTC, 0, 0, magic, comment, setup
    )


def enter(
    server: Venue, feed: Feed, order: PendingOrder, bid: float, spread: float, params: Params, reason: int
) -> OpenPosition | int:
    """Fill an entry at a quote and book it.

    Returns
    -------
    OpenPosition or int
        The new position, or the code for which the server refuses it.
    """
    account, trade = new_record(Account), new_record(Trade)
    side, time = order_side(order.type), int(feed.bars.time[feed.bar])
    place_entry(account, time, side, order.volume, *boundless(side, order.sl, order.tp))
    margin = margin_usd(server.feeds, feed, order.volume, bid + spread if side > 0 else bid)
    if margin is None or margin > server.free_usd():
        return C.TRADE_RETCODE_NO_MONEY
    # The engine would compare with the balance; what counts here is the free margin, above.
    unmargined = copied(params)
    unmargined.leverage = float("inf")
    now = 1000 * time
    ticket = order.ticket
    position = OpenPosition(ticket, ticket, feed.spec.name, order.magic, order.comment, reason, now, now, now, account)
    with server.book.booking(position):
        result = open_of_bar(account, unmargined, trade, time, bid, spread, 0.0)
    if result != ORDER_FILLED:
        return C.TRADE_RETCODE_INVALID_STOPS if result == ORDER_BAD_STOPS else C.TRADE_RETCODE_NO_MONEY
    account.margin = margin
    server.book.positions[ticket] = position
    finish_order(server, feed, order, ticket, reason)
    return position


def entry_deal(server: Venue, feed: Feed, position: OpenPosition, identifier: int) -> TradeDeal:
    """Return the deal of a position that has just been entered."""
    account = position.account
    return _deal(
        server,
        feed,
        time=int(account.entry_time),
        order=position.ticket,
        kind=order_type(position.side),
        entry=C.DEAL_ENTRY_IN,
        reason=position.reason,
        identifier=identifier,
        lots=float(account.volume),
        price=float(account.entry_price),
        commission=float(account.commission),
        magic=position.magic,
        comment=position.comment,
    )


def leave(
    server: Venue,
    feed: Feed,
    position: OpenPosition,
    order: PendingOrder,
    bid: float,
    spread: float,
    params: Params | None = None,
) -> TradeDeal:
    """Close a position, or the part of it that the order names, at a quote; `params` stand in for the market's."""
    part = split(position, order.volume, feed.params)
    account, trade = part.account, new_record(Trade)
    commission, time = float(account.commission), int(feed.bars.time[feed.bar])
    with server.book.booking(part):
        place_exit(account, time, EXIT_MANUAL)
        open_of_bar(account, feed.params if params is None else params, trade, time, bid, spread, 0.0)
    return book_exit(server, feed, position, trade, commission, order, C.DEAL_REASON_EXPERT)


def split(position: OpenPosition, lots: float, params: Params) -> OpenPosition:
    """Take `lots` out of a position with their share of its costs; all of it is the position itself."""
    whole = position.account
    if lots >= float(whole.volume) - 1e-9:
        return position
    part = from_bytes(Account, to_bytes(whole))
    share = lots / float(whole.volume)
    part.volume = lots
    part.swap = rounded(float(whole.swap) * share, params.money_scale)
    part.commission = rounded(float(whole.commission) * share, params.money_scale)
    whole.swap = rounded(float(whole.swap) - float(part.swap), params.money_scale)
    whole.commission = rounded(float(whole.commission) - float(part.commission), params.money_scale)
    for name in ("margin", "spread_paid", "slippage_paid"):
        setattr(part, name, getattr(whole, name) * share)
        setattr(whole, name, getattr(whole, name) * (1.0 - share))
    whole.volume = round(float(whole.volume) - lots, 8)
    return replace(position, account=part)


def book_exit(
    server: Venue,
    feed: Feed,
    position: OpenPosition,
    trade: Trade,
    commission: float,
    order: PendingOrder,
    reason: int,
    entry: int = C.DEAL_ENTRY_OUT,
) -> TradeDeal:
    """Book what the engine wrote into `trade`; a position without lots is gone.

    Parameters
    ----------
    commission : float
        Booked at the entry already, USD.
    """
    book, terms = server.book, server.terms
    position.updated_msc = 1000 * int(trade.exit_time)
    if float(position.account.volume) == 0.0:
        del book.positions[position.ticket]
    finish_order(server, feed, order, position.identifier, reason)
    deal = _deal(
        server,
        feed,
        time=int(trade.exit_time),
        order=order.ticket,
        kind=order_type(-int(trade.side)),
        entry=entry,
        reason=reason,
        identifier=position.identifier,
        lots=float(trade.volume),
        price=float(trade.exit_price),
        commission=round(float(trade.commission) - commission, 8),
        swap=terms.booked(float(trade.swap)),
        profit=terms.booked(float(trade.profit)),
        magic=order.magic,
        comment=order.comment,
    )
    book.deals.append(deal)
    return deal


def finish_order(
    server: Venue,
    feed: Feed,
    order: PendingOrder,
    identifier: int,
    reason: int,
    state: int = C.ORDER_STATE_FILLED,
    by: int = 0,
) -> None:
    """Move an order into the history."""
    left = 0.0 if state == C.ORDER_STATE_FILLED else order.volume
    done = 1000 * feed.now
    server.book.orders.append(order_struct(order, feed, state, done, identifier, reason, left, by))


def _deal(
    server: Venue,
    feed: Feed,
    *,
    time: int,
    order: int,
    kind: int,
    entry: int,
    reason: int,
    identifier: int,
    lots: float,
    price: float,
    commission: float,
    swap: float = 0.0,
    profit: float = 0.0,
    magic: int,
    comment: str,
) -> TradeDeal:
    stamp = server.stamps.seconds(time)
    return filled(
        TradeDeal,
        ticket=server.book.next_deal(),
        order=order,
        time=stamp,
        time_msc=1000 * stamp,
        type=kind,
        entry=entry,
        magic=magic,
        position_id=identifier,
        reason=reason,
        volume=lots,
        price=price,
        commission=server.terms.booked(commission),
        swap=swap,
        profit=profit,
        symbol=feed.spec.name,
        comment=comment,
    )
