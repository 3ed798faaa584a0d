"""From intents to known outcomes: sent once, looked up when unclear, never sent again on a guess.

An intent stands in the journal before its order leaves. It is closed when the broker says
what happened; while nobody can say, it stays open, nothing else is sent, and it is looked up
at every cycle and at every start.
"""

from __future__ import annotations

import logging

from alerts.message import Message
from engine.gates import MARGIN, MARKET_CLOSED, STOPS_LEVEL, VOLUME, gate_names
from engine.outputs.tables import SIDE_NAMES, volume_text
from engine.records import Params
from novosky.errors import BrokerError
from trading.brokers.port import Broker, Deal, DealEntry, OrderRequest, OrderResult, Outcome, Position
from trading.cycle.messages import Announcer
from trading.cycle.notes import STOP_REPAIRED
from trading.cycle.own_orders import intent_behind, may_be_late
from trading.journal import INTENT_FILLED, INTENT_REJECTED, Intent, Journal

_log = logging.getLogger(__name__)

SWITCHED_OFF = {
    Outcome.REJECTED: "the broker rejected the order",
    Outcome.CANCELLED: "the dealer cancelled the order",
    Outcome.TRADING_OFF: "trading is disabled for the account or the symbol",
    Outcome.PROGRAMS_OFF_AT_SERVER: "the server does not let programs trade",
    Outcome.PROGRAMS_OFF_HERE: "Algo Trading is switched off in the terminal",
    Outcome.REAL_ONLY: "the broker deals with real accounts only",
    Outcome.LONG_ONLY: "the broker takes long positions only",
    Outcome.SHORT_ONLY: "the broker takes short positions only",
    Outcome.CLOSE_ONLY: "the broker only lets positions be closed",
    Outcome.NO_HEDGING: "the broker does not let positions be hedged",
}
"""Refusals that a person has to look into; the bot goes on, and says it once."""
_REJECTION_GATES = {
    Outcome.STOPS_TOO_CLOSE: STOPS_LEVEL,
    Outcome.BAD_PRICE: STOPS_LEVEL,
    Outcome.NO_MONEY: MARGIN,
    Outcome.BAD_VOLUME: VOLUME,
    # The account holds as much as the broker allows, someone else's among it.
    Outcome.TOO_MANY_POSITIONS: VOLUME,
    Outcome.TOO_MANY_ORDERS: VOLUME,
    Outcome.TOO_MUCH_VOLUME: VOLUME,
    Outcome.MARKET_CLOSED: MARKET_CLOSED,
    Outcome.NOT_PLACED: MARKET_CLOSED,
    Outcome.PRICE_MOVED: MARKET_CLOSED,
    Outcome.INVALID: MARKET_CLOSED,
    Outcome.TOO_MANY_REQUESTS: MARKET_CLOSED,
    Outcome.FROZEN: MARKET_CLOSED,
    Outcome.EXIT_UNDER_WAY: MARKET_CLOSED,
    Outcome.NOT_THE_OLDEST: MARKET_CLOSED,
    **dict.fromkeys(SWITCHED_OFF, MARKET_CLOSED),
}
"""Under which gate a refused entry is counted; the word itself stands beside the intent. Whatever is not here
was not foreseen, and ends the bot."""


class Intents:
    """Sends the bot's intents and keeps the journal's record of them.

    Parameters
    ----------
    broker : Broker
    journal : Journal
    announcer : Announcer
    magic : int
    params : Params
        Their `entry_valid_seconds` tell how long after its bar's close an order that certainly never left may
        still be sent.

    Attributes
    ----------
    unsettled : bool
        True while an intent may be without an outcome.
    """

    def __init__(self, broker: Broker, journal: Journal, announcer: Announcer, magic: int, params: Params) -> None:
        self._broker, self._journal, self._announcer = broker, journal, announcer
        self._magic, self._fresh_seconds = magic, int(params.entry_valid_seconds)
        self._bar_seconds = int(params.bar_seconds)
        self._waiting: dict[str, str] = {}
        """Orders that could not leave, and why."""
        self._alerted: str | None = None
        # Until the first look at what an earlier run may have left open.
        self.unsettled = True

    def send(self, intent: Intent) -> None:
        """Send an intent's order and record the outcome."""
        self._close(intent, self._broker.send(self._request(intent)))

    def settle(self) -> bool:
        """Find out what became of orders whose outcome was never recorded.

        An order that certainly never left is sent now if the decision is still fresh: the
        quote is the one that followed the close.

        Returns
        -------
        bool
            False while an outcome is unknown: nothing must be decided on top of it.

        Raises
        ------
        BrokerUnavailable
            The broker cannot be asked.
        """
        self.unsettled = False
        for intent in self._journal.open_intents():
            result = self._outcome(intent)
            if result.outcome is not Outcome.NOT_PLACED:
                self._close(intent, result)
            # Never placed and still fresh: it may leave now, as it was decided.
            elif self._broker.quote().time - intent.bar <= self._fresh_seconds:
                self.send(intent)
            else:
                self._close(intent, OrderResult(Outcome.MARKET_CLOSED, comment=self._stale(intent)))
        return not any(intent.id not in self._waiting for intent in self._journal.open_intents())

    def take_late(self, deal: Deal) -> None:
        """Correct an order that was taken for refused, and that the broker carried out all the same.

        A refusal can be a mistake of the terminal's, and an order that nobody found for long enough can
        come to light later: its deal is the truth.
        """
        if deal.entry not in (DealEntry.IN, DealEntry.OUT) or deal.magic != self._magic:
            return
        intent = self._journal.refused_intent(deal.comment) or self._nameless(deal)
        row = None if intent is None else self._journal.intent(intent.id)
        if intent is None or row is None or not may_be_late(row):
            return
        words = f"order {intent.id} was taken for refused and was carried out: {volume_text(deal.volume)} lots"
        text = f"{words} at {deal.price:.2f}, position {deal.position}"
        message = Message(f"late:{intent.id}", "trade", text, deal.time)
        self._journal.close_intent(intent, INTENT_FILLED, Outcome.FILLED, deal.position, 0, [message])
        _log.warning("%s", text)
        self._announcer.show([message])

    def _nameless(self, deal: Deal) -> Intent | None:
        """Return the refused entry that a deal belongs to whose comment the broker wrote over."""
        if deal.entry != DealEntry.IN:
            return None
        if self._journal.intent(deal.comment) or self._journal.intent_of_order(deal.position):
            return None
        return self._journal.refused_entry(deal.time, deal.volume, self._bar_seconds)

    def protect(self, position: Position, now: int) -> Position | None:
        """Give a position that has lost its stop or target the levels it was opened with.

        Parameters
        ----------
        position : Position
        now : int
            UTC epoch seconds, for the record.

        Returns
        -------
        Position or None
            The position as it stands now; None when it cannot be protected and has to be closed.
        """
        if position.sl and position.tp:
            return position
        row = intent_behind(self._journal, position.ticket, position.comment)
        if row is None:
            return None
        result = self._broker.modify_stops(position.ticket, row["sl"], row["tp"])
        # Unchanged is as good as set: an earlier try got through and its answer was lost.
        if result.outcome not in (Outcome.ACCEPTED, Outcome.UNCHANGED):
            self._alert(
                result.outcome,
                f"position {position.ticket} has no stop and none is taken: {result.comment}",
                position.time,
            )
            return None
        _log.warning("position %d had lost its stop or target; they are set again", position.ticket)
        text = f"stop {row['sl']:.2f}, target {row['tp']:.2f}"
        self._journal.record_position_event(position.ticket, now, STOP_REPAIRED, text)
        told = f"position {position.ticket} had lost its stop or target; set again: {text}"
        self._announcer.tell(Message(f"repaired:{position.ticket}:{now}", "risk", told, now))
        return Position(**{**position.__dict__, "sl": row["sl"], "tp": row["tp"]})

    def _request(self, intent: Intent) -> OrderRequest:
        return OrderRequest(intent.side, intent.volume, intent.sl, intent.tp, intent.position, self._magic, intent.id)

    def _outcome(self, intent: Intent) -> OrderResult:
        if intent.id in self._waiting:
            return OrderResult(Outcome.NOT_PLACED, comment="never left")
        return self._broker.outcome_of(self._request(intent), intent.bar)

    def _stale(self, intent: Intent) -> str:
        reason = self._waiting.get(intent.id)
        return "decision is stale" if reason is None else f"decision is stale, it could not be sent: {reason}"

    def _close(self, intent: Intent, result: OrderResult) -> None:
        before = self._waiting.pop(intent.id, None)
        if result.outcome is Outcome.NOT_SENT:
            # Nothing happened yet: the order waits for a quote, or for the next close to find it stale.
            reason = result.comment or "no reason given"
            if before is None:
                _log.warning("order %s could not be sent yet: %s", intent.id, reason)
            self._waiting[intent.id] = reason
            self.unsettled = True
            return
        if result.outcome is Outcome.UNKNOWN:
            self.unsettled = True
            self._alert(
                intent.id, f"order {intent.id}: {result.comment}; nothing else is sent until it is known", intent.bar
            )
            return
        # Whoever wanted to close a position that is gone has what was wanted.
        left = intent.kind == "exit" and result.outcome is Outcome.POSITION_GONE
        if result.outcome.executed or left:
            self._filled(intent, result)
            return
        self._rejected(intent, result)

    def _filled(self, intent: Intent, result: OrderResult) -> None:
        messages: list[Message] = []
        if intent.kind == "entry":
            self._alerted = None
            text = (
                f"{SIDE_NAMES[intent.side]} {volume_text(intent.volume)} at {result.price:.2f}, "
                f"stop {intent.sl:.2f}, target {intent.tp:.2f}"
            )
            messages = [Message(f"filled:{intent.id}", "trade", text, intent.bar)]
        self._journal.close_intent(intent, INTENT_FILLED, result.outcome, result.order, 0, messages, result.code)
        self._announcer.show(messages)

    def _rejected(self, intent: Intent, result: OrderResult) -> None:
        gates = _REJECTION_GATES.get(result.outcome, MARKET_CLOSED)
        self._journal.close_intent(intent, INTENT_REJECTED, result.outcome, result.order, gates, code=result.code)
        _log.warning("order %s refused: %s (%s)", intent.id, result.comment, ", ".join(gate_names(gates)))
        if result.outcome in SWITCHED_OFF:
            effect = "no entries" if intent.kind == "entry" else f"position {intent.position} stays open"
            self._alert(
                result.outcome,
                f"{SWITCHED_OFF[result.outcome]} ({result.code or result.outcome}): {effect} until that changes",
                intent.bar,
            )
        elif result.outcome not in _REJECTION_GATES:
            raise BrokerError(
                f"order {intent.id} was refused with {result.code or result.outcome} ({result.comment}); "
                "check the account and start again"
            )

    def _alert(self, trouble: str, message: str, bar: int) -> None:
        """Tell a person once; the same trouble at the next bar is no news."""
        if trouble != self._alerted:
            self._alerted = trouble
            _log.error("%s", message)
            self._announcer.tell(Message(f"trouble:{bar}:{trouble}", "broker", message, bar))
