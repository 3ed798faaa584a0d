"""Why a request is refused, in the order in which a trade server is taken to ask.

Each function returns the first code that applies, 0 when there is none. Closing skips what
only concerns entries. MetaQuotes does not publish the order; this one is the fact sheet's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.fills import stops_allowed
from trading.brokers.mt5_package.constants import (
    SYMBOL_FILLING_BOC,
    SYMBOL_FILLING_FOK,
    SYMBOL_FILLING_IOC,
    SYMBOL_ORDER_CLOSEBY,
    SYMBOL_ORDER_LIMIT,
    SYMBOL_ORDER_MARKET,
    SYMBOL_ORDER_SL,
    SYMBOL_ORDER_STOP,
    SYMBOL_ORDER_STOP_LIMIT,
    SYMBOL_ORDER_TP,
)
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import TradeRequest
from trading.brokers.simulated.book import OpenPosition, order_side
from trading.brokers.simulated.calc import margin_usd
from trading.brokers.simulated.markets.market import Feed, Quote
from trading.brokers.simulated.markets.symbols import SymbolSpec

if TYPE_CHECKING:
    from trading.brokers.simulated.venue import Venue

ALLOWED = 0
_GRID = 1e-6
"""Share of a step by which a float may miss it."""
LIMITS = (C.ORDER_TYPE_BUY_LIMIT, C.ORDER_TYPE_SELL_LIMIT)
STOPS = (C.ORDER_TYPE_BUY_STOP, C.ORDER_TYPE_SELL_STOP)
STOP_LIMITS = (C.ORDER_TYPE_BUY_STOP_LIMIT, C.ORDER_TYPE_SELL_STOP_LIMIT)
MARKET = (C.ORDER_TYPE_BUY, C.ORDER_TYPE_SELL)
_TYPE_BITS = (
    dict.fromkeys(MARKET, SYMBOL_ORDER_MARKET)
    | dict.fromkeys(LIMITS, SYMBOL_ORDER_LIMIT)
    | dict.fromkeys(STOPS, SYMBOL_ORDER_STOP)
    | dict.fromkeys(STOP_LIMITS, SYMBOL_ORDER_STOP_LIMIT)
)


def on_grid(value: float, step: float) -> bool:
    """Tell whether a price or volume is a multiple of its step."""
    steps = value / step
    if not math.isfinite(steps):
        return False
    # What is less than a step and more than nothing is no multiple.
    return abs(steps - round(steps)) < _GRID and (value == 0.0 or round(steps) != 0)


def permission(server: Venue) -> int:
    """Ask whether anything may be traded at all."""
    state = server.conditions
    if not state.algo_trading:
        return C.TRADE_RETCODE_CLIENT_DISABLES_AT
    if not state.account_trading:
        return C.TRADE_RETCODE_TRADE_DISABLED
    if not state.expert_trading:
        return C.TRADE_RETCODE_SERVER_DISABLES_AT
    return ALLOWED if state.connected else C.TRADE_RETCODE_CONNECTION


def trade_mode(spec: SymbolSpec, side: int, *, entry: bool) -> int:
    """Ask whether the symbol may be traded on this side."""
    mode = spec.trade_mode
    if mode == C.SYMBOL_TRADE_MODE_DISABLED:
        return C.TRADE_RETCODE_TRADE_DISABLED
    # Every other mode lets what is open be closed.
    if not entry:
        return ALLOWED
    if mode == C.SYMBOL_TRADE_MODE_CLOSEONLY:
        return C.TRADE_RETCODE_CLOSE_ONLY
    if mode == C.SYMBOL_TRADE_MODE_LONGONLY and side < 0:
        return C.TRADE_RETCODE_LONG_ONLY
    if mode == C.SYMBOL_TRADE_MODE_SHORTONLY and side > 0:
        return C.TRADE_RETCODE_SHORT_ONLY
    return ALLOWED


def session(server: Venue, feed: Feed) -> int:
    """Ask whether the symbol deals at this moment: inside its hours, with a quote to come."""
    now = server.now
    if not feed.in_session(now):
        return C.TRADE_RETCODE_MARKET_CLOSED
    if feed.opened and feed.now == now:
        return ALLOWED
    if feed.following is None:
        return C.TRADE_RETCODE_PRICE_OFF
    return ALLOWED if feed.following == now else C.TRADE_RETCODE_MARKET_CLOSED


def order_kind(spec: SymbolSpec, request: TradeRequest) -> int:
    """Ask whether the symbol takes this type of order and its stops."""
    bits = _TYPE_BITS.get(request.type, 0)
    if request.action == C.TRADE_ACTION_CLOSE_BY:
        bits = SYMBOL_ORDER_CLOSEBY
    elif not bits:
        return C.TRADE_RETCODE_INVALID
    bits |= SYMBOL_ORDER_SL * (request.sl != 0.0) | SYMBOL_ORDER_TP * (request.tp != 0.0)
    return ALLOWED if spec.order_mode & bits == bits else C.TRADE_RETCODE_INVALID_ORDER


def expiration(server: Venue, spec: SymbolSpec, request: TradeRequest) -> int:
    """Ask whether an order's lifetime is possible; its stamp is on the server's clock."""
    kind = request.type_time
    if kind not in (C.ORDER_TIME_GTC, C.ORDER_TIME_DAY, C.ORDER_TIME_SPECIFIED, C.ORDER_TIME_SPECIFIED_DAY):
        return C.TRADE_RETCODE_INVALID_EXPIRATION
    if request.action in (C.TRADE_ACTION_PENDING, C.TRADE_ACTION_MODIFY) and not spec.expiration_mode & 1 << kind:
        return C.TRADE_RETCODE_INVALID_EXPIRATION
    timed = kind in (C.ORDER_TIME_SPECIFIED, C.ORDER_TIME_SPECIFIED_DAY)
    if timed and request.expiration <= server.stamps.seconds(server.now):
        return C.TRADE_RETCODE_INVALID_EXPIRATION
    return ALLOWED


def filling(spec: SymbolSpec, request: TradeRequest) -> int:
    """Ask whether the filling fits: the symbol's mask counts under market and exchange execution only."""
    kind, mask = request.type_filling, spec.filling_mode
    strict = spec.exemode in (C.SYMBOL_TRADE_EXECUTION_MARKET, C.SYMBOL_TRADE_EXECUTION_EXCHANGE)
    market = request.type in MARKET
    if kind == C.ORDER_FILLING_FOK:
        fits = not strict or bool(mask & SYMBOL_FILLING_FOK)
    elif kind == C.ORDER_FILLING_IOC:
        fits = not strict or bool(mask & SYMBOL_FILLING_IOC)
    elif kind == C.ORDER_FILLING_RETURN:
        fits = not market or spec.exemode != C.SYMBOL_TRADE_EXECUTION_MARKET
    else:
        fits = (
            kind == C.ORDER_FILLING_BOC
            and request.type in LIMITS + STOP_LIMITS
            and strict
            and bool(mask & SYMBOL_FILLING_BOC)
        )
    return ALLOWED if fits else C.TRADE_RETCODE_INVALID_FILL


def volume(server: Venue, spec: SymbolSpec, request: TradeRequest, *, entry: bool) -> int:
    """Ask whether the lots lie on the symbol's steps and within its limits."""
    lots = request.volume
    if not spec.volume_min - _GRID <= lots <= spec.volume_max + _GRID or not on_grid(lots, spec.volume_step):
        return C.TRADE_RETCODE_INVALID_VOLUME
    if entry and spec.volume_limit:
        held = server.book.volume(spec.name, order_side(request.type))
        if held + lots > spec.volume_limit + _GRID:
            return C.TRADE_RETCODE_LIMIT_VOLUME
    return ALLOWED


def closing(server: Venue, request: TradeRequest, position: OpenPosition | None) -> int:
    """Ask whether the position can be closed with this request."""
    if position is None:
        return C.TRADE_RETCODE_POSITION_CLOSED
    if position.symbol != request.symbol or position.side == order_side(request.type):
        return C.TRADE_RETCODE_INVALID
    left = float(position.account.volume) - request.volume
    least = server.feeds[position.symbol].spec.volume_min
    if left < -_GRID or (left > _GRID and left < least - _GRID):
        return C.TRADE_RETCODE_INVALID_CLOSE_VOLUME
    oldest = min(server.book.of_symbol(position.symbol), key=lambda held: held.opened_msc)
    if server.terms.fifo_close and oldest.opened_msc < position.opened_msc:
        return C.TRADE_RETCODE_FIFO_CLOSE
    return ALLOWED


def levels(feed: Feed, side: int, sl: float, tp: float, bid: float, spread: float) -> int:
    """Ask whether stop and target (0.0 for none) are on the grid and far enough from the quote."""
    if not (on_grid(sl, feed.spec.step) and on_grid(tp, feed.spec.step)):
        return C.TRADE_RETCODE_INVALID_STOPS
    stop, target = boundless(side, sl, tp)
    allowed = stops_allowed(feed.params, side, bid, spread, stop, target)
    return ALLOWED if allowed else C.TRADE_RETCODE_INVALID_STOPS


def boundless(side: int, sl: float, tp: float) -> tuple[float, float]:
    """Return stop and target with a missing one put where no price goes."""
    return sl if sl else -side * float("inf"), tp if tp else side * float("inf")


def frozen(feed: Feed, position: OpenPosition) -> int:
    """Ask whether the quote is too near to a level of the position for any change."""
    if feed.spec.freeze_level == 0.0:
        return ALLOWED
    distance = feed.spec.freeze_level * feed.spec.point
    quote, account = feed.quote(), position.account
    price = quote.bid if position.side > 0 else quote.ask
    near = min(abs(price - account.sl), abs(price - account.tp))
    return C.TRADE_RETCODE_FROZEN if near <= distance else ALLOWED


def asked_price(feed: Feed, request: TradeRequest, quote: Quote) -> int:
    """Ask, where the broker deals at the price asked for, whether it still can."""
    if feed.spec.exemode not in (C.SYMBOL_TRADE_EXECUTION_INSTANT, C.SYMBOL_TRADE_EXECUTION_REQUEST):
        return ALLOWED
    if request.price <= 0.0:
        return C.TRADE_RETCODE_INVALID_PRICE
    price = quote.ask if order_side(request.type) > 0 else quote.bid
    # Half a point of room for the noise of two floats; a deviation is counted in whole points.
    moved = abs(price - request.price) > (request.deviation + 0.5) * feed.spec.point
    return C.TRADE_RETCODE_REQUOTE if moved else ALLOWED


def margin(server: Venue, feed: Feed, side: int, lots: float, quote: Quote) -> int:
    """Ask whether the account can carry the position."""
    price = quote.ask if side > 0 else quote.bid
    needed = margin_usd(server.feeds, feed, lots, price)
    if needed is None:
        return C.TRADE_RETCODE_PRICE_OFF
    return C.TRADE_RETCODE_NO_MONEY if needed > server.free_usd() else ALLOWED
