"""From intents to known outcomes: sent once, looked up when unclear, never sent again on a guess.

An intent stands in the journal before its order leaves. It is closed when the broker says
what happened; while nobody can say, it stays open, nothing else is sent, and it is looked up
at every cycle and at every start.
"""

from __future__ import annotations

import logging

from engine.gates import MARGIN, MARKET_CLOSED, STOPS_LEVEL, VOLUME, gate_names
from engine.outputs.tables import SIDE_NAMES, volume_text
from engine.records import Params
from novosky.errors import BrokerError
from trading.brokers.port import (
    DEAL_ENTRY_IN,
    DEAL_ENTRY_OUT,
    RETCODE_DONE,
    RETCODE_DONE_PARTIAL,
    RETCODE_INVALID_STOPS,
    RETCODE_LIMIT_POSITIONS,
    RETCODE_MARKET_CLOSED,
    RETCODE_NO_CHANGES,
    RETCODE_NO_MONEY,
    RETCODE_NOT_PLACED,
    RETCODE_POSITION_CLOSED,
    RETCODE_PRICE_OFF,
    RETCODE_UNKNOWN,
    Broker,
    Deal,
    OrderRequest,
    OrderResult,
    Position,
)
from trading.cycle.messages import Announcer
from trading.cycle.notes import STOP_REPAIRED
from trading.cycle.own_orders import intent_behind, may_be_late
from trading.journal import INTENT_FILLED, INTENT_REJECTED, Intent, Journal, Message

_log = logging.getLogger(__name__)

SWITCHED_OFF = {
    10006: "the broker rejected the order",
    10007: "the dealer cancelled the order",
    10017: "trading is disabled for the account or the symbol",
    10026: "the server does not let programs trade",
    10027: "Algo Trading is switched off in the terminal",
    10032: "the broker deals with real accounts only",
    10042: "the broker takes long positions only",
    10043: "the broker takes short positions only",
    10044: "the broker only lets positions be closed",
    10046: "the broker does not let positions be hedged",
}
"""Return codes that a person has to look into; the bot goes on, and says it once."""
_REJECTION_GATES = {
    RETCODE_INVALID_STOPS: STOPS_LEVEL,
    RETCODE_NO_MONEY: MARGIN,
    RETCODE_MARKET_CLOSED: MARKET_CLOSED,
    # The account holds as many positions as the broker allows, someone else's among them.
    RETCODE_LIMIT_POSITIONS: VOLUME,
    RETCODE_NOT_PLACED: MARKET_CLOSED,
    10004: MARKET_CLOSED,
    10013: MARKET_CLOSED,
    10014: VOLUME,
    10015: STOPS_LEVEL,
    10020: MARKET_CLOSED,
    10022: MARKET_CLOSED,
    10024: MARKET_CLOSED,
    10029: MARKET_CLOSED,
    10030: MARKET_CLOSED,
    10033: VOLUME,
    10034: VOLUME,
    10035: MARKET_CLOSED,
    10038: VOLUME,
    10039: MARKET_CLOSED,
    10045: MARKET_CLOSED,
    **dict.fromkeys(SWITCHED_OFF, MARKET_CLOSED),
}
"""Under which gate a refused entry is counted; the code itself stands beside the intent."""


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
        self._alerted: int | str | None = None
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
            if result.retcode != RETCODE_NOT_PLACED:
                self._close(intent, result)
            elif self._broker.quote().time - intent.bar <= self._fresh_seconds:
                self.send(intent)
            else:
                self._close(intent, OrderResult(RETCODE_MARKET_CLOSED, 0, 0, 0.0, self._stale(intent)))
        return not any(intent.id not in self._waiting for intent in self._journal.open_intents())

    def take_late(self, deal: Deal) -> None:
        """Correct an order that was taken for refused, and that the broker carried out all the same.

        A refusal can be a mistake of the terminal's, and an order that nobody found for long enough can
        come to light later: its deal is the truth.
        """
        if deal.entry not in (DEAL_ENTRY_IN, DEAL_ENTRY_OUT) or deal.magic != self._magic:
            return
        intent = self._journal.refused_intent(deal.comment) or self._nameless(deal)
        row = None if intent is None else self._journal.intent(intent.id)
        if intent is None or row is None or not may_be_late(row):
            return
        words = f"order {intent.id} was taken for refused and was carried out: {volume_text(deal.volume)} lots"
        text = f"{words} at {deal.price:.2f}, position {deal.position}"
        message = Message(f"late:{intent.id}", "trade", text, deal.time)
        within = self._announcer.within([message])
        self._journal.close_intent(intent, INTENT_FILLED, RETCODE_DONE, deal.position, 0, within)
        _log.warning("%s", text)
        self._announcer.show([message])

    def _nameless(self, deal: Deal) -> Intent | None:
        """Return the refused entry that a deal belongs to whose comment the broker wrote over."""
        if deal.entry != DEAL_ENTRY_IN:
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
        if result.retcode not in (RETCODE_DONE, RETCODE_NO_CHANGES):
            self._alert(
                result.retcode,
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
            return OrderResult(RETCODE_NOT_PLACED, 0, 0, 0.0, "never left")
        return self._broker.outcome_of(self._request(intent), intent.bar)

    def _stale(self, intent: Intent) -> str:
        reason = self._waiting.get(intent.id)
        return "decision is stale" if reason is None else f"decision is stale, it could not be sent: {reason}"

    def _close(self, intent: Intent, result: OrderResult) -> None:
        before = self._waiting.pop(intent.id, None)
        if result.retcode == RETCODE_PRICE_OFF:
            # Nothing happened yet: the order waits for a quote, or for the next close to find it stale.
            reason = result.comment or "no reason given"
            if before is None:
                _log.warning("order %s could not be sent yet: %s", intent.id, reason)
            self._waiting[intent.id] = reason
            self.unsettled = True
            return
        if result.retcode == RETCODE_UNKNOWN:
            self.unsettled = True
            self._alert(
                intent.id, f"order {intent.id}: {result.comment}; nothing else is sent until it is known", intent.bar
            )
            return
        if result.retcode in (RETCODE_DONE, RETCODE_DONE_PARTIAL) or (
            intent.kind == "exit" and result.retcode == RETCODE_POSITION_CLOSED
        ):
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
        within = self._announcer.within(messages)
        self._journal.close_intent(intent, INTENT_FILLED, result.retcode, result.order, 0, within)
        self._announcer.show(messages)

    def _rejected(self, intent: Intent, result: OrderResult) -> None:
        gates = _REJECTION_GATES.get(result.retcode, MARKET_CLOSED)
        self._journal.close_intent(intent, INTENT_REJECTED, result.retcode, result.order, gates)
        _log.warning("order %s refused: %s (%s)", intent.id, result.comment, ", ".join(gate_names(gates)))
        if result.retcode in SWITCHED_OFF:
            effect = "no entries" if intent.kind == "entry" else f"position {intent.position} stays open"
            self._alert(
                result.retcode,
                f"{SWITCHED_OFF[result.retcode]} ({result.retcode}): {effect} until that changes",
                intent.bar,
            )
        elif result.retcode not in _REJECTION_GATES:
            raise BrokerError(
                f"order {intent.id} was refused with {result.retcode} ({result.comment}); "
                "check the account and start again"
            )

    def _alert(self, trouble: int | str, message: str, bar: int) -> None:
        """Tell a person once; the same trouble at the next bar is no news."""
        if trouble != self._alerted:
            self._alerted = trouble
            _log.error("%s", message)
            self._announcer.tell(Message(f"trouble:{bar}:{trouble}", "broker", message, bar))
