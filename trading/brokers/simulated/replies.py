"""Answers to requests: the code, its text, and the fields a terminal fills or leaves at zero."""

from __future__ import annotations

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import OrderSendResult, TradeRequest
from trading.brokers.simulated.markets.market import Quote

COMMENTS = {
    C.TRADE_RETCODE_REQUOTE: "Requote",
    C.TRADE_RETCODE_REJECT: "Request rejected",
    C.TRADE_RETCODE_CANCEL: "Request canceled by trader",
    C.TRADE_RETCODE_PLACED: "Order placed",
    C.TRADE_RETCODE_DONE: "Request executed",
    C.TRADE_RETCODE_DONE_PARTIAL: "Only part of the request was completed",
    C.TRADE_RETCODE_ERROR: "Request processing error",
    C.TRADE_RETCODE_TIMEOUT: "Request timeout",
    C.TRADE_RETCODE_INVALID: "Invalid request",
    C.TRADE_RETCODE_INVALID_VOLUME: "Invalid volume",
    C.TRADE_RETCODE_INVALID_PRICE: "Invalid price",
    C.TRADE_RETCODE_INVALID_STOPS: "Invalid stops",
    C.TRADE_RETCODE_TRADE_DISABLED: "Trade disabled",
    C.TRADE_RETCODE_MARKET_CLOSED: "Market closed",
    C.TRADE_RETCODE_NO_MONEY: "No money",
    C.TRADE_RETCODE_PRICE_CHANGED: "Prices changed",
    C.TRADE_RETCODE_PRICE_OFF: "No prices",
    C.TRADE_RETCODE_INVALID_EXPIRATION: "Invalid expiration",
    C.TRADE_RETCODE_ORDER_CHANGED: "Order state changed",
    C.TRADE_RETCODE_TOO_MANY_REQUESTS: "Too many trade requests",
    C.TRADE_RETCODE_NO_CHANGES: "No changes",
    C.TRADE_RETCODE_SERVER_DISABLES_AT: "AutoTrading disabled by server",
    C.TRADE_RETCODE_CLIENT_DISABLES_AT: "AutoTrading disabled by client",
    C.TRADE_RETCODE_LOCKED: "Request locked for processing",
    C.TRADE_RETCODE_FROZEN: "Order or position frozen",
    C.TRADE_RETCODE_INVALID_FILL: "Unsupported filling mode",
    C.TRADE_RETCODE_CONNECTION: "Request rejected due to absence of network connection",
    C.TRADE_RETCODE_LIMIT_ORDERS: "Limit of pending orders reached",
    C.TRADE_RETCODE_LIMIT_VOLUME: "Limit of orders and positions volume reached",
    C.TRADE_RETCODE_INVALID_ORDER: "Invalid or prohibited order type",
    C.TRADE_RETCODE_POSITION_CLOSED: "Position doesn't exist",
    C.TRADE_RETCODE_INVALID_CLOSE_VOLUME: "Invalid close volume",
    C.TRADE_RETCODE_LIMIT_POSITIONS: "Limit of positions reached",
    C.TRADE_RETCODE_LONG_ONLY: "Only long positions are allowed",
    C.TRADE_RETCODE_SHORT_ONLY: "Only short positions are allowed",
    C.TRADE_RETCODE_CLOSE_ONLY: "Only position closing is allowed",
    C.TRADE_RETCODE_FIFO_CLOSE: "Position closing is allowed only by FIFO rule",
}
"""Texts of an English terminal; code that branches on them is wrong."""

LOCAL = {
    C.TRADE_RETCODE_INVALID,
    C.TRADE_RETCODE_INVALID_VOLUME,
    C.TRADE_RETCODE_INVALID_PRICE,
    C.TRADE_RETCODE_CLIENT_DISABLES_AT,
}
"""Codes the terminal gives itself: such a request has no number, it was never sent."""
QUOTED = {C.TRADE_RETCODE_REQUOTE, C.TRADE_RETCODE_PRICE_CHANGED}
"""Codes whose answer carries the new quotes."""


def comment_of(retcode: int) -> str:
    """Return the text of a code, empty for one without."""
    return COMMENTS.get(retcode, "")


def reply(
    retcode: int,
    request: TradeRequest,
    *,
    deal: int = 0,
    order: int = 0,
    volume: float = 0.0,
    price: float = 0.0,
    quote: Quote | None = None,
    number: int = 0,
) -> OrderSendResult:
    """Return an answer; without quotes its bid and ask are zero."""
    bid, ask = (0.0, 0.0) if quote is None else (quote.bid, quote.ask)
    text = comment_of(retcode)
    return OrderSendResult((retcode, deal, order, volume, price, bid, ask, text, number, 0, request))


def refusal(retcode: int, request: TradeRequest, quote: Quote, number: int) -> OrderSendResult:
    """Return the answer to a request that changed nothing."""
    return reply(
        retcode,
        request,
        quote=quote if retcode in QUOTED else None,
        number=0 if retcode in LOCAL else number,
    )
