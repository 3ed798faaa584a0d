"""`order_check`: what the terminal says of a request without sending it."""

from __future__ import annotations

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import OrderCheckResult, TradeRequest
from trading.brokers.simulated import checks, dealing, pending
from trading.brokers.simulated.book import order_side
from trading.brokers.simulated.calc import margin_usd
from trading.brokers.simulated.functions.views import check_result
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.replies import comment_of
from trading.brokers.simulated.venue import Venue

_UNPRICED = (C.TRADE_ACTION_SLTP, C.TRADE_ACTION_MODIFY, C.TRADE_ACTION_REMOVE, C.TRADE_ACTION_CLOSE_BY)
"""Actions that take no margin; only sending tells whether they are taken."""


def check(server: Venue, request: TradeRequest) -> OrderCheckResult:
    """Return whether a request would be taken at the present quote, and the account after it."""
    feed = server.feeds.get(request.symbol)
    if feed is None:
        code = C.TRADE_RETCODE_INVALID
        return check_result(server, request, code, comment_of(code), 0.0)
    code, added = checks.permission(server), 0.0
    if not code and request.action == C.TRADE_ACTION_DEAL:
        code, added = _deal(server, feed, request)
    elif not code and request.action == C.TRADE_ACTION_PENDING:
        code = checks.session(server, feed) or pending.refused_at_once(server, feed, request)
    elif not code and request.action not in _UNPRICED:
        code = C.TRADE_RETCODE_INVALID
    return check_result(server, request, code, comment_of(code), server.terms.shown(added))


def _deal(server: Venue, feed: Feed, request: TradeRequest) -> tuple[int, float]:
    target = dealing.target_of(server, request)
    code = dealing.before_quote(server, feed, request, target) or dealing.at_quote(server, feed, request, target)
    if code or not dealing.is_entry(server, request, target):
        return code, 0.0
    quote, side = feed.quote(), order_side(request.type)
    needed = margin_usd(server.feeds, feed, request.volume, quote.ask if side > 0 else quote.bid)
    return code, needed or 0.0
