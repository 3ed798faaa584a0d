"""What became of an order whose answer never came, or said nothing: looked for everywhere it could show.

The comment carries the intent's id, but brokers cut comments and write over them; so the
order's ticket comes first, then magic and id, then whatever is new since before the send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from novosky.clock import Clock
from novosky.market.instrument import VOLUME_NOISE
from novosky.market.timeframe import DAY_SECONDS
from trading.brokers.mt5.clock import ServerTime
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.terms import Timing
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import BrokerUnavailable, OrderRequest, OrderResult, Outcome

COMMENT_MOST = 25
"""Longest comment that is safe to send; reported limits go from 28 to 31."""
ID_MOST = 16
"""Characters of a comment that every broker seen so far keeps."""
_LEEWAY = 60
"""Seconds before the send from which on things are looked at: clocks differ."""
_INTENT_ID = re.compile(r"[ex][0-9a-f]{8}")
"""Names an intent of the bot; whatever carries another intent's name is not what is looked for."""
_ENDED_UNFILLED = (C.ORDER_STATE_CANCELED, C.ORDER_STATE_REJECTED, C.ORDER_STATE_EXPIRED)


def comment_of(request: OrderRequest) -> str:
    """Return the comment to send: ASCII, short enough, the intent's id in front."""
    return request.comment.encode("ascii", "replace").decode("ascii")[:COMMENT_MOST]


@dataclass(frozen=True)
class Before:
    """What there was before the order was sent.

    Attributes
    ----------
    since : int
        UTC epoch seconds of the send, or of the decision.
    positions : frozenset of int
        Tickets that were open; empty when it was not seen, as after a crash.
    seen : bool
        False when nobody looked.
    """

    since: int
    positions: frozenset[int] = field(default_factory=frozenset)
    seen: bool = False


@dataclass(frozen=True)
class _Trace:
    """What one look found: a result, or that the order is still being worked on."""

    result: OrderResult | None = None
    working: bool = False


class Lookup:
    """Finds orders of one symbol.

    Parameters
    ----------
    link : Link
    time : ServerTime
    clock : Clock
    timing : Timing
    """

    def __init__(self, link: Link, time: ServerTime, clock: Clock, timing: Timing) -> None:
        self._link, self._time, self._clock, self._timing = link, time, clock, timing

    def resolve(self, symbol: str, request: OrderRequest, before: Before, order: int = 0) -> OrderResult:
        """Look until the order is found, or a working link has shown nothing of it for long enough.

        Parameters
        ----------
        order : int
            Its ticket, if the answer named one.

        Returns
        -------
        OrderResult
            See `Broker.outcome_of`.
        """
        deadline = self._clock.now() + self._timing.lookup_limit
        healthy: float | None = None
        while True:
            try:
                trace = self.look(symbol, request, before, order)
            except BrokerUnavailable:
                # Only looks over a working link count as having seen nothing.
                healthy = None
            else:
                if trace.result is not None:
                    return trace.result
                now = self._clock.now()
                healthy = None if trace.working else now if healthy is None else healthy
                if healthy is not None and now - healthy >= self._timing.lookup_healthy:
                    return _not_placed("no trace of the order")
            if self._clock.now() >= deadline:
                return OrderResult(Outcome.UNKNOWN, order, comment="outcome unknown; it is looked up again")
            self._clock.sleep(self._timing.lookup_poll)

    def look(self, symbol: str, request: OrderRequest, before: Before, order: int = 0) -> _Trace:
        """Look once.

        Raises
        ------
        BrokerUnavailable
            Something could not be read, or the terminal is cut off from the server.
        """
        # A terminal that is cut off lists what it last knew: silence there must not be read as no trace.
        if not self._link.read("terminal_info").connected:
            raise BrokerUnavailable("the terminal is not connected to the trade server")
        positions = self._link.read("positions_get", symbol=symbol)
        deals = self.deals_since(before.since)
        found = (
            self._exit(request, positions, deals)
            if request.position
            else self._entry(symbol, request, before, order, positions, deals)
        )
        return found if found.result is not None else self._order_itself(symbol, request, before, order)

    def deals_since(self, since: int) -> Any:
        """Return the account's deals from a little before `since` (UTC epoch seconds) on."""
        return self._link.read("history_deals_get", self._time.stamp(since) - _LEEWAY, self.history_end())

    def history_end(self) -> int:
        """Return the stamp up to which history is asked for: less than a day ahead misses the newest."""
        return self._time.stamp(int(self._clock.now())) + DAY_SECONDS

    def _entry(
        self, symbol: str, request: OrderRequest, before: Before, order: int, positions: Any, deals: Any
    ) -> _Trace:
        own = [p for p in positions if p.magic == request.magic and _side(p.type) == request.side]
        entries = [
            deal
            for deal in deals
            if deal.symbol == symbol
            and deal.entry == C.DEAL_ENTRY_IN
            and deal.magic == request.magic
            and _side(deal.type) == request.side
        ]
        for position in own:
            if order in (position.ticket, position.identifier) or _named(position, request):
                return self._filled(int(position.identifier), deals)
        for deal in entries:
            if deal.order == order or _named(deal, request):
                return self._filled(int(deal.position_id), deals)
        since = self._time.stamp(before.since) - _LEEWAY
        # Whoever looked before knows what is new; otherwise the time alone has to tell.
        nameless = [
            int(p.identifier) for p in own if p.ticket not in before.positions and p.time >= since and _fits(p, request)
        ] + [int(d.position_id) for d in entries if d.position_id not in before.positions and _fits(d, request)]
        return self._filled(nameless[0], deals) if nameless else _Trace()

    def _filled(self, position: int, deals: Any) -> _Trace:
        entry = [deal for deal in deals if deal.position_id == position and deal.entry == C.DEAL_ENTRY_IN]
        if not entry:
            # Listed, but the history lags behind: what it cost is only known from its deal.
            return _Trace(working=True)
        return _Trace(executed(position, entry))

    def _exit(self, request: OrderRequest, positions: Any, deals: Any) -> _Trace:
        held = [p for p in positions if request.position in (p.ticket, p.identifier)]
        # Held whole as before: the exit has not happened, or not yet.
        if held and held[0].volume >= request.volume - VOLUME_NOISE:
            return _Trace()
        identifier = held[0].identifier if held else request.position
        leaves = [
            deal
            for deal in deals
            if deal.position_id == identifier and deal.entry in (C.DEAL_ENTRY_OUT, C.DEAL_ENTRY_OUT_BY)
        ]
        # Gone, or smaller, without a deal: the history lags behind the list of positions.
        return _Trace(executed(int(leaves[-1].order), leaves[-1:])) if leaves else _Trace(working=True)

    def _order_itself(self, symbol: str, request: OrderRequest, before: Before, order: int) -> _Trace:
        waiting = self._link.read("orders_get", symbol=symbol)
        if any(_is(active, request, order) for active in waiting):
            return _Trace(working=True)
        since = self._time.stamp(before.since) - _LEEWAY
        past = self._link.read("history_orders_get", since, self.history_end())
        for ended in past:
            if ended.symbol == symbol and _is(ended, request, order):
                if ended.state in _ENDED_UNFILLED:
                    return _Trace(_not_placed("the order ended unfilled"))
                return _Trace(working=True)
        return _Trace()


def executed(order: int, deals: Iterable[Any]) -> OrderResult:
    """Return the result of an order from its deals: the newest one's ticket, the mean price."""
    made = sorted(deals, key=lambda deal: deal.ticket)
    volume = sum(deal.volume for deal in made)
    price = made[0].price if len(made) == 1 else sum(deal.price * deal.volume for deal in made) / volume
    # The code is the one that the lost answer must have carried: the journal is the same with and without the loss.
    code = str(C.TRADE_RETCODE_DONE)
    return OrderResult(Outcome.FILLED, order, int(made[-1].ticket), float(price), "Request executed", code)


def _not_placed(comment: str) -> OrderResult:
    return OrderResult(Outcome.NOT_PLACED, comment=comment)


def _side(kind: int) -> int:
    return 1 if kind == C.ORDER_TYPE_BUY else -1


def _named(thing: Any, request: OrderRequest) -> bool:
    """Tell whether a comment begins with the intent's id."""
    own = comment_of(request)[:ID_MOST]
    following = thing.comment[len(own) : len(own) + 1]
    return bool(own) and thing.comment.startswith(own) and not following.isalnum()


def _fits(thing: Any, request: OrderRequest) -> bool:
    """Tell whether something that lost its name may be what was ordered."""
    return _INTENT_ID.match(thing.comment) is None and thing.volume <= request.volume + VOLUME_NOISE


def _is(order: Any, request: OrderRequest, ticket: int) -> bool:
    """Tell whether an order in the lists is the one that was sent."""
    if ticket and order.ticket == ticket:
        return True
    same = order.magic == request.magic and _named(order, request)
    return same and (not request.position or order.position_id in (0, request.position))
