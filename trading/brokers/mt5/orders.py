"""Sending orders so that each is executed once or not at all, and whoever asked knows which.

`order_send` is called once per attempt. A further attempt follows only a clear refusal; an
unclear answer is looked up, and while it stays unclear nothing is sent again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from novosky.clock import Clock
from trading.brokers.margin import margin_problem
from trading.brokers.mt5.desk import Desk
from trading.brokers.mt5.guard import check_account, refusal_of_entry
from trading.brokers.mt5.lookup import Before, comment_of, executed
from trading.brokers.mt5.retcodes import Reaction, outcome_of_code, reaction_to, result_of, retcode_of_error
from trading.brokers.mt5.worker import ENTRY, EXIT, LinkWedged
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import BrokerUnavailable, OrderRequest, OrderResult, Outcome

_log = logging.getLogger(__name__)

UNPROTECTED = "no stops"
"""Comment of the order that closes a position whose stops the broker would not take."""
_THROTTLED = OrderResult(Outcome.NOT_SENT, comment="the broker takes no more requests for now")
_NOISE = 1e-9


@dataclass
class _Attempt:
    """One order on its way.

    Attributes
    ----------
    request : OrderRequest
    fields : dict
        As sent; price, filling and remaining volume change between tries.
    modes : tuple of int
        Filling modes left, the one in use first.
    before : Before
    began : float
        UTC epoch seconds.
    tries : int
        Sends so far.
    refused : OrderResult
        The newest refusal.
    """

    request: OrderRequest
    fields: dict[str, Any]
    modes: tuple[int, ...]
    before: Before
    began: float
    tries: int = 0
    refused: OrderResult = _THROTTLED

    @property
    def order_class(self) -> str:
        return "close" if self.request.position else "open"


class _Refused(Exception):
    """The order is not to be sent; `result` says why."""

    def __init__(self, result: OrderResult) -> None:
        super().__init__(result.comment)
        self.result = result


class Orders:
    """Sends market orders of one symbol.

    Parameters
    ----------
    desk : Desk
    clock : Clock
    """

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk, self._clock, self._timing = desk, clock, desk.timing
        self._not_before = float("-inf")
        self._throttle = desk.timing.throttle
        self._exits = 0
        self._exits_lock = threading.Lock()

    def send(self, request: OrderRequest) -> OrderResult:
        """Send a market order and return what came of it; see `Broker.send`.

        Raises
        ------
        BrokerError
            The terminal stands at another account: nothing was sent.
        """
        with self._exit_under_way(request):
            try:
                attempt = self._prepare(request)
            except _Refused as refused:
                return refused.result
            except BrokerUnavailable as error:
                return OrderResult(Outcome.NOT_SENT, comment=str(error))
            return self._deliver(attempt)

    @contextmanager
    def _exit_under_way(self, request: OrderRequest) -> Iterator[None]:
        leaving = int(request.position != 0)
        with self._exits_lock:
            self._exits += leaving
        try:
            yield
        finally:
            with self._exits_lock:
                self._exits -= leaving

    def _prepare(self, request: OrderRequest) -> _Attempt:
        """Ask everything that can be asked before the order leaves."""
        if request.position == 0 and not (request.sl and request.tp):
            raise _Refused(OrderResult(Outcome.STOPS_TOO_CLOSE, comment="an entry needs a stop and a target"))
        desk = self._desk
        account = desk.account()
        # At every order: the terminal may have been logged in to another account meanwhile.
        check_account(account, desk.access)
        info, tick = desk.symbol_info(), desk.tick()
        if request.position == 0:
            self._check_entry(request, account, info, tick)
        elif not desk.link.read("terminal_info").connected:
            # With the line to the server down a send could only end unknown.
            raise BrokerUnavailable("the terminal is not connected to the trade server")
        before = Before(int(self._clock.now()), frozenset(p.ticket for p in desk.positions()), seen=True)
        modes = desk.filling.modes(desk.symbol, _class_of(request), int(info.filling_mode), int(info.trade_exemode))
        fields = self._fields(request, info, tick, modes[0])
        attempt = _Attempt(request, fields, modes, before, self._clock.now())
        if request.position == 0:
            self._check_order(attempt)
        return attempt

    def _check_entry(self, request: OrderRequest, account: Any, info: Any, tick: Any) -> None:
        terminal = self._desk.link.read("terminal_info")
        code = refusal_of_entry(terminal, account, info, request.side)
        if code:
            raise _Refused(result_of(code, "trading is switched off"))
        age, now = self._desk.offset.age(int(tick.time_msc), self._clock.now()), self._clock.now()
        if age > self._timing.tick_age:
            raise _Refused(OrderResult(Outcome.NOT_SENT, comment=f"the newest quote is {age:.0f} s old"))
        self._desk.offset.observe(int(tick.time_msc), now)
        problem = self._desk.sizing_problem(info, tick)
        if problem:
            raise _Refused(OrderResult(Outcome.BAD_VOLUME, comment=problem))
        problem = margin_problem(self._desk.margin_facts(info, tick), self._desk.settings)
        if problem:
            raise _Refused(OrderResult(Outcome.NO_MONEY, comment=problem))

    def _check_order(self, attempt: _Attempt) -> None:
        """Let the terminal check the request; another filling mode costs nothing here."""
        for mode in attempt.modes:
            attempt.fields["type_filling"] = mode
            answer = self._desk.link.order_check(attempt.fields)
            if answer.value is None:
                known = retcode_of_error(answer.code)
                unsaid = OrderResult(Outcome.NOT_SENT, comment=answer.text)
                raise _Refused(unsaid if known is None else result_of(known, answer.text))
            code = int(answer.value.retcode)
            if code == 0:
                attempt.modes = attempt.modes[attempt.modes.index(mode) :]
                return
            if code != C.TRADE_RETCODE_INVALID_FILL:
                break
        refused = result_of(code, str(answer.value.comment) or "refused by the check")
        # Nothing was sent, so nothing can be unclear.
        raise _Refused(replace(refused, outcome=Outcome.NOT_SENT) if refused.outcome is Outcome.UNKNOWN else refused)

    def _fields(self, request: OrderRequest, info: Any, tick: Any, mode: int) -> dict[str, Any]:
        """Return the request of the package: built-in types only, nothing that is not meant."""
        fields: dict[str, Any] = {
            "action": C.TRADE_ACTION_DEAL,
            "symbol": self._desk.symbol,
            "volume": round(float(request.volume), 8),
            "type": C.ORDER_TYPE_BUY if request.side > 0 else C.ORDER_TYPE_SELL,
            # Price and deviation bind under Instant and Request execution; Market and Exchange ignore both.
            "price": float(tick.ask if request.side > 0 else tick.bid),
            "deviation": self._desk.deviation,
            "magic": int(request.magic),
            "comment": comment_of(request),
            "type_time": C.ORDER_TIME_GTC,
            "type_filling": int(mode),
        }
        if request.position:
            # Without it a hedging account would open an opposite position.
            return {**fields, "position": int(request.position)}
        return {**fields, "sl": _on_grid(request.sl, info), "tp": _on_grid(request.tp, info)}

    def _deliver(self, attempt: _Attempt) -> OrderResult:
        priority = EXIT if attempt.request.position else ENTRY
        while True:
            if not self._await_turn(attempt) or (attempt.tries and not self._in_time(attempt)):
                return attempt.refused
            attempt.tries += 1
            try:
                answer = self._desk.link.order_send(attempt.fields, priority=priority)
            except LinkWedged as error:
                return OrderResult(Outcome.UNKNOWN, comment=str(error))
            if answer.value is None:
                code = retcode_of_error(answer.code)
                if code is None:
                    _log.warning("order %s: no answer (%s); looking it up", attempt.fields["comment"], answer.text)
                    return self._look_up(attempt, 0)
                return result_of(code, answer.text)
            outcome = self._judge(attempt, answer.value)
            if outcome is not None:
                return outcome

    def _judge(self, attempt: _Attempt, result: Any) -> OrderResult | None:
        """Return the order's outcome, or None to try again."""
        code = int(result.retcode)
        reaction = reaction_to(code)
        # Any other answer shows that the broker takes requests: the next pause begins small again.
        if code != C.TRADE_RETCODE_TOO_MANY_REQUESTS:
            self._throttle = self._timing.throttle
        if reaction is Reaction.OK and code not in (C.TRADE_RETCODE_POSITION_CLOSED, C.TRADE_RETCODE_NO_CHANGES):
            self._desk.filling.took(self._desk.symbol, attempt.order_class, attempt.fields["type_filling"])
            return self._confirm(attempt, result)
        if reaction is Reaction.AMBIGUOUS:
            _log.warning("order %s: %s (%d); looking it up", attempt.fields["comment"], result.comment, code)
            return self._look_up(attempt, int(result.order))
        refused = attempt.refused = result_of(code, str(result.comment) or f"refused with {code}")
        if code == C.TRADE_RETCODE_INVALID_FILL and len(attempt.modes) > 1:
            self._desk.filling.refused(self._desk.symbol, attempt.order_class)
            attempt.modes = attempt.modes[1:]
            attempt.fields["type_filling"] = attempt.modes[0]
            return None
        if reaction is Reaction.BACK_OFF:
            self._not_before = self._clock.now() + self._throttle
            self._throttle = min(2.0 * self._throttle, self._timing.throttle_most)
            return None if self._may_retry(attempt) else refused
        if reaction is Reaction.REQUOTE and self._may_retry(attempt):
            return self._requote(attempt, refused)
        return refused

    def _await_turn(self, attempt: _Attempt) -> bool:
        """Wait out the broker's pause; an entry also lets every exit pass first."""
        leaving = attempt.request.position != 0
        while True:
            pause = self._not_before - self._clock.now()
            if pause <= 0.0:
                if leaving or self._exits == 0:
                    return True
                pause = self._timing.throttle
            if not leaving and self._clock.now() + pause - attempt.began > self._timing.requote_seconds:
                return False
            self._clock.sleep(pause)

    def _may_retry(self, attempt: _Attempt) -> bool:
        most = self._timing.exit_tries if attempt.request.position else self._timing.requote_tries
        return attempt.tries < most and self._in_time(attempt)

    def _in_time(self, attempt: _Attempt) -> bool:
        """Tell whether another try still serves the decision: an entry's ends with its bar."""
        spent = self._clock.now() - attempt.began
        if attempt.request.position:
            return spent < self._timing.exit_seconds
        frame = self._desk.settings.frame
        same_bar = frame.floor(self._clock.now()) == frame.floor(attempt.began)
        return same_bar and spent < self._timing.requote_seconds

    def _requote(self, attempt: _Attempt, refused: OrderResult) -> OrderResult | None:
        """Take the newest quote and try again, unless the stops no longer fit it."""
        self._clock.sleep(self._timing.requote_pause)
        try:
            tick, info = self._desk.tick(), self._desk.symbol_info()
        except BrokerUnavailable:
            return refused
        request = attempt.request
        attempt.fields["price"] = float(tick.ask if request.side > 0 else tick.bid)
        if request.position == 0 and not _stops_fit(request, info, tick):
            return OrderResult(Outcome.STOPS_TOO_CLOSE, comment="the new quote is too near to a stop or target")
        return None

    def _look_up(self, attempt: _Attempt, order: int) -> OrderResult:
        try:
            result = self._desk.lookup.resolve(self._desk.symbol, attempt.request, attempt.before, order)
            if result.outcome is Outcome.FILLED and attempt.request.position == 0:
                self._protect(attempt.request, result.order)
            return result
        except LinkWedged as error:
            return OrderResult(Outcome.UNKNOWN, order, comment=str(error))

    def _confirm(self, attempt: _Attempt, result: Any) -> OrderResult | None:
        """Wait until an executed order shows, and return its fill; None when a part of an exit is left."""
        code, order = int(result.retcode), int(result.order)
        # Placed is not executed: only the lists tell whether it was filled.
        if code == C.TRADE_RETCODE_PLACED:
            return self._look_up(attempt, order)
        try:
            deals = self._await_deals(order)
            if attempt.request.position == 0:
                self._protect(attempt.request, order)
            else:
                left = self._await_exit(attempt)
                if left > _NOISE and code == C.TRADE_RETCODE_DONE_PARTIAL and self._may_retry(attempt):
                    attempt.fields["volume"] = round(left, 8)
                    attempt.request = replace(attempt.request, volume=round(left, 8))
                    return None
        except (BrokerUnavailable, LinkWedged) as error:
            _log.warning("order %s was executed, its fill could not be read yet: %s", attempt.fields["comment"], error)
            deals = ()
        outcome, comment = outcome_of_code(code), str(result.comment) or "Request executed"
        if deals:
            return replace(executed(order, deals), outcome=outcome, comment=comment, code=str(code))
        return OrderResult(outcome, order, int(result.deal), float(result.price), comment, str(code))

    def _await_deals(self, order: int) -> Any:
        """Return the deals of an order; replies under Market execution may name neither deal nor price."""
        for _ in self._looks():
            deals = self._desk.link.read("history_deals_get", ticket=order)
            if deals:
                return deals
        return ()

    def _await_exit(self, attempt: _Attempt) -> float:
        """Return the volume that is left of a position after an order of its closing was executed."""
        volume = 0.0
        for _ in self._looks():
            held = [p for p in self._desk.positions() if p.ticket == attempt.request.position]
            volume = float(held[0].volume) if held else 0.0
            if volume < attempt.request.volume - _NOISE or not held:
                break
        return volume

    def _looks(self) -> Iterator[int]:
        """Count looks at the lists, with a pause after each, until an execution should have shown."""
        deadline = self._clock.now() + self._timing.visible
        count = 0
        while True:
            yield count
            count += 1
            if self._clock.now() >= deadline:
                return
            self._clock.sleep(self._timing.visible_poll)

    def _protect(self, request: OrderRequest, order: int) -> None:
        """See that the new position has its stop and target; give it them, or close it."""
        for _ in self._looks():
            opened = [p for p in self._desk.positions() if order in (p.ticket, p.identifier)]
            if opened:
                break
            # Opened and closed already, by its stop or target: nothing is left to protect.
            if any(d.entry == C.DEAL_ENTRY_OUT for d in self._desk.link.read("history_deals_get", position=order)):
                return
        else:
            _log.warning("position of order %d does not show yet; its stops are checked at the next bar", order)
            return
        position = opened[0]
        if (position.sl or not request.sl) and (position.tp or not request.tp):
            return
        _log.warning("position %d was opened without its stops; setting them", position.ticket)
        result = self._desk.modify_stops(int(position.ticket), request.sl, request.tp)
        if result.outcome in (Outcome.ACCEPTED, Outcome.UNCHANGED, Outcome.POSITION_GONE):
            return
        _log.error("position %d cannot be protected (%s); closing it", position.ticket, result.comment)
        leave = OrderRequest(
            -request.side, float(position.volume), 0.0, 0.0, int(position.ticket), request.magic, UNPROTECTED
        )
        closed = self.send(leave)
        if closed.outcome not in (Outcome.FILLED, Outcome.POSITION_GONE):
            _log.error("position %d could not be closed either: %s", position.ticket, closed.comment)


def _class_of(request: OrderRequest) -> str:
    return "close" if request.position else "open"


def _on_grid(price: float, info: Any) -> float:
    """Return a price on the symbol's tick size, which can be coarser than its digits."""
    step = float(info.trade_tick_size)
    on_it = step <= 0.0 or abs(price / step - round(price / step)) < 1e-6
    return float(price) if on_it else round(round(price / step) * step, int(info.digits))


def _stops_fit(request: OrderRequest, info: Any, tick: Any) -> bool:
    """Tell whether stop and target still keep the broker's distance from the side they close at."""
    quote = float(tick.bid if request.side > 0 else tick.ask)
    # Half a point of room: a stop exactly at the distance must not fail for float noise.
    least = float(info.trade_stops_level) * float(info.point) - float(info.point) / 2.0
    fits_stop = not request.sl or request.side * (quote - request.sl) >= max(least, 0.0)
    fits_target = not request.tp or request.side * (request.tp - quote) >= max(least, 0.0)
    return fits_stop and fits_target
