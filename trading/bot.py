"""The bot: one pass per closed bar, driven by a clock, a broker, a journal and a notifier.

It holds no rule of its own. Fills belong to the broker, decisions to `engine`;
the bot reads the account, asks the rules, writes its intent down, and only then sends it.
Starting is recovering: an intent without a known outcome is looked up at the broker before
anything else happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pandas as pd

from alerts.notify import Notifier
from engine.breakers import judge_equity, start_guard
from engine.equity import equity_state
from engine.exits import VERDICT_ADD, VERDICT_EXIT, position_inputs, position_verdict
from engine.fills import EXIT_HALT, EXIT_MANUAL, EXIT_MODEL, EXIT_NAMES, floating_equity, rounded
from engine.gates import MARKET_CLOSED
from engine.history import asks_multiplier, judge_candidate, wants_exit
from engine.inputs.models import RiskModel
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Account, Candidate, Guard, Params, from_bytes, new_record, to_bytes, to_text
from novosky.errors import BrokerError, SettingsError
from novosky.market.bars import M15_SECONDS, epoch_seconds
from trading.account.opening_balance import balance_problem, is_below_halt
from trading.brokers.port import Broker, BrokerUnavailable, Position, Quote
from trading.cycle.bookings import MAGIC, Booked, book_deals
from trading.cycle.intents import Intents
from trading.cycle.messages import Announcer, bar_messages, start_messages
from trading.cycle.money import ExplainedBalance, events_of, last_gap, since_beginning, take_in
from trading.cycle.notes import FOREIGN_SEEN, NoteTaker
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.cycle.unknown_orders import LIVE_ADVICE, Advice, UnknownOrders, check_complete, unknown_deals
from trading.journal import BotStatus, Decision, Intent, Journal, Message

__all__ = ["MAGIC", "Bot"]

REPAIRS = 3
"""Tries to give a position its stop back between two closes; at the close one without it has to go."""
_log = logging.getLogger(__name__)


class Bot:
    """Trades one symbol on one account.

    Parameters
    ----------
    broker, journal, notifier
        The ports.
    signals : SignalSource
    params : Params
        The rules, from `engine.inputs.parameters.build_params`.
    positions : PositionSource or None
        Asked about the open position; needed when the rules have the position model switched on.
    risk : RiskModel or None
        Asked about the size of a candidate when the rules have the risk model switched on;
        without it the size stays as it is.
    identity : str
        What the journal must belong to.
    models : str
        Which artifact serves each model, for the status.
    fingerprint : str
        Identifies what the models say, for their figures in the journal; empty keeps none.
    frozen : callable
        Tells whether the freeze flag is set; asked before every entry.
    queued : bool
        True when something sends the journal's outbox on: messages are then queued in it, too.
    accept_balance : bool
        Begin although the balance is far from the one the hard halt measures from: a person said so.
    advice : Advice
        What to do about a journal that does not fit its account.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Journal,
        notifier: Notifier,
        signals: SignalSource,
        params: Params,
        *,
        positions: PositionSource | None = None,
        risk: RiskModel | None = None,
        identity: str,
        models: str,
        fingerprint: str = "",
        frozen: Callable[[], bool],
        queued: bool = False,
        accept_balance: bool = False,
        advice: Advice = LIVE_ADVICE,
    ) -> None:
        self._broker, self._journal = broker, journal
        self._announcer = Announcer(journal, notifier, queued=queued)
        self._signals, self._positions, self._risk = signals, positions, risk
        self._params, self._frozen = params, frozen
        self._note_taker = NoteTaker(journal, fingerprint, params)
        self._foreign: set[int] = set()
        self._repairs = REPAIRS
        self._advice = advice
        self._unknown = UnknownOrders(journal, self._announcer, advice)
        self._held = self._held_positions()
        self._away = False
        self._accept_balance = accept_balance
        self._status = self._start(identity, models)
        self._explained = ExplainedBalance(params.money_scale, last_gap(journal, self._status))
        self._intents = Intents(broker, journal, self._announcer, MAGIC, int(params.entry_valid_seconds))
        try:
            if self._intents.settle():
                check_complete(broker, journal, broker.positions(), advice)
        except BrokerUnavailable as error:
            # The first cycle that finds the broker looks them up.
            self._intents.unsettled = True
            _log.warning("open orders cannot be looked up yet: %s", error)
        for message in start_messages(self._status.guard, params, self._status.last_bar):
            self._announcer.tell(message)

    @property
    def status(self) -> BotStatus:
        """Where the bot stands."""
        return self._status

    @property
    def away(self) -> bool:
        """True while the broker cannot be asked."""
        return self._away

    @property
    def unexplained(self) -> bool:
        """True while the balance has moved and the deals that explain it are waited for."""
        return self._away and self._explained.waiting

    def _start(self, identity: str, models: str) -> BotStatus:
        status = self._journal.status()
        if status is not None:
            if status.identity != identity:
                raise BrokerError(
                    f"the journal belongs to {status.identity}, this run is {identity}; {self._advice.foreign}"
                )
            if status.guard.halt_balance != self._params.starting_balance:
                self._check_balance(self._broker.account().balance)
            if status.last_deal == 0 and status.bars_processed == 0:
                status = self._begin_bookings(status)
            return replace(status, models=models)
        check_complete(self._broker, self._journal, self._broker.positions(), self._advice)
        balance = self._broker.account().balance
        self._check_balance(balance)
        guard = new_record(Guard)
        start_guard(guard, self._params, self._broker.quote().time, balance)
        status = BotStatus(identity, 0, 0, 0, 0, 0.0, guard, models, finished=False)
        self._journal.save_status(status)
        return self._begin_bookings(status)

    def _check_balance(self, balance: float) -> None:
        """Refuse to begin, or to go on from another starting balance, where the halt stands at the wrong place."""
        base = float(self._params.starting_balance)
        problem = balance_problem(balance, base, self._params)
        if problem and (is_below_halt(balance, base, self._params) or not self._accept_balance):
            _log.error("%s", problem)
            raise SettingsError(problem)

    def _begin_bookings(self, status: BotStatus) -> BotStatus:
        """Begin after everything the account has done: it is in the balance that the guard began with."""
        past = book_deals(self._broker, self._journal, self._params, replace(status, guard=new_record(Guard)))
        # Where a broker has cut old deals off, those that are left do not make the balance.
        status = replace(status, last_deal=past.last_deal, cash=float(status.guard.equity))
        self._journal.begin(status, past.deals, past.moves)
        return status

    def cycle(self) -> bool:
        """Act on the newest closed bar unless that was done before.

        Returns
        -------
        bool
            True when a bar was processed. False also while the broker cannot be asked or an
            order's outcome is unknown: nothing is recorded, and the next call tries again.
        """
        return self._reaching_broker(self._act)

    def close_position(self) -> bool:
        """Close the bot's own position at the market, because a person says so.

        Returns
        -------
        bool
            True once there is none; False asks for another try later.
        """
        return self._reaching_broker(self._close_now)

    def guard_stops(self) -> None:
        """Give the bot's own position back the stop or target that somebody took from it since the last look.

        What cannot be read or set now is left to the next look, or to the close.
        """
        if self._repairs == 0 or self._intents.unsettled:
            return
        try:
            for position in self._broker.positions():
                if position.magic == MAGIC and not (position.sl and position.tp):
                    self._repairs -= 1
                    self._intents.protect(position, self._broker.quote().time)
        except BrokerUnavailable as error:
            _log.info("the position could not be looked at between two closes: %s", error)

    def halt(self) -> None:
        """Latch the hard halt, because a person says so; it outlives restarts like the guard's own."""
        if self._status.guard.halted:
            return
        guard = from_bytes(Guard, to_bytes(self._status.guard))
        guard.halted = 1
        status = replace(self._status, guard=guard)
        text = "HARD HALT by order: no entries until risk_profile.starting_balance_usd is changed"
        message = Message(f"halted:{status.last_bar}", "risk", text, status.last_bar)
        self._journal.save_status(status, self._announcer.within([message]))
        self._status = status
        self._announcer.show([message])

    def _reaching_broker(self, action: Callable[[], bool]) -> bool:
        """Do what needs the broker; False while it cannot be asked, which a person is told once."""
        bar = self._status.last_bar
        try:
            done = action()
        except BrokerUnavailable as error:
            self._intents.unsettled = True
            if not self._away:
                self._away = True
                _log.warning("the broker cannot be asked, the bot waits: %s", error)
                text = f"the broker cannot be asked, the bot waits: {error}"
                self._announcer.tell(Message(f"away:{bar}", "broker", text, bar))
            return False
        if self._away:
            self._away = False
            self._announcer.tell(Message(f"back:{bar}", "broker", "the broker answers again", bar))
        return done

    def _close_now(self) -> bool:
        if self._intents.unsettled and not self._intents.settle():
            return False
        own = self._unknown.own(self._broker.positions())
        for position in own:
            bar, reason = self._status.last_bar, EXIT_HALT if self._status.guard.halted else EXIT_MANUAL
            # Several tries may fall into one bar, each an order of its own.
            names = (f"m{bar:x}-{number}" for number in count())
            name = next(name for name in names if self._journal.intent(name) is None)
            intent = Intent(name, bar, "exit", -position.side, position.volume, 0.0, 0.0, position.ticket, reason)
            self._journal.record_order(intent)
            self._intents.send(intent)
        return not own or not self._unknown.own(self._broker.positions())

    def _act(self) -> bool:
        bars = self._broker.closed_bars(self._signals.bars_needed)
        if len(bars) == 0:
            return False
        close = int(bars["time"].iloc[-1].timestamp()) + M15_SECONDS
        if self._intents.unsettled and not self._intents.settle():
            return False
        if close <= self._status.last_bar:
            return False
        quote = self._broker.quote()
        booked = book_deals(self._broker, self._journal, self._params, self._status, self._intents.take_late)
        self._unknown.look(self._broker, booked.unknown, quote.time)
        self._repairs = REPAIRS
        position = self._own_position(booked)
        protected = position if position is None else self._intents.protect(position, quote.time)
        exposed = position is not None and protected is None
        position = protected or position
        account = self._account_record(position, booked)
        guard = from_bytes(Guard, to_bytes(self._status.guard))
        told = since_beginning(booked, self._status)
        self._judge(account, guard, told, close, quote)
        messages = bar_messages(told, self._status.guard, guard, close, self._params)
        if account.side != 0:
            decision, intents = self._manage(account, guard, position, bars, close, quote, exposed=exposed)
        else:
            decision, intents = self._seek(account, guard, bars, close, quote)
        status = replace(
            self._status,
            last_bar=close,
            bars_processed=self._status.bars_processed + 1,
            bars_missed=self._status.bars_missed + self._missed(close),
            last_deal=booked.last_deal,
            cash=booked.cash,
            guard=guard,
        )
        decision = replace(decision, spread=self._spread(quote), equity=float(guard.equity))
        trades = [closed.row for closed in booked.closed]
        notes = self._note_taker.notes(booked, position, decision, self._status.last_bar)
        within = self._announcer.within(messages)
        self._journal.record_bar(status, decision, intents, booked.deals, trades, within, notes)
        self._status = status
        # Orders before messages: whoever is told of a trade can wait, the market does not.
        for intent in intents:
            self._intents.send(intent)
        self._announcer.show(messages)
        return True

    def _missed(self, close: int) -> int:
        """Count the bars between the last processed one and this; a closed market misses none."""
        span = (close - self._status.last_bar) // M15_SECONDS
        if self._status.last_bar == 0 or span <= 1:
            return 0
        closes = epoch_seconds(self._broker.closed_bars(span)) + M15_SECONDS
        missed = int((closes > self._status.last_bar).sum()) - 1
        if missed:
            _log.warning("%d bar(s) closed while the bot was away; acting on %s only", missed, utc_text(close))
        return missed

    def _spread(self, quote: Quote) -> float:
        # Ask minus bid carries float noise; spreads lie on the price grid.
        return float(rounded(quote.ask - quote.bid, self._params.price_scale))

    def _judge(self, account: Account, guard: Guard, booked: Booked, close: int, quote: Quote) -> None:
        """Bring the guard to this close; closed positions and money paid in or out are taken one by one."""
        equity = float(floating_equity(account, self._params, quote.bid, self._spread(quote)))
        gap = float(account.balance) - booked.cash
        take_in(guard, self._params, events_of(booked), booked.cash, equity, close, gap)
        judge_equity(account, guard, self._params, close, equity)

    def _held_positions(self) -> frozenset[int]:
        """Return the bot's own positions of which the journal knows no end."""
        held = self._journal.held_positions(MAGIC)
        comments = {ticket: self._journal.entry_deals(ticket)[0]["comment"] for ticket in held}
        return frozenset(ticket for ticket in held if self._unknown.wrote(ticket, comments[ticket]))

    def reconcile(self) -> None:
        """Hold the account's whole history against the journal; what it does not know stops entries.

        Raises
        ------
        BrokerUnavailable
            The history cannot be read.
        """
        if not self._intents.unsettled:
            self._unknown.look(self._broker, unknown_deals(self._broker, self._journal), self._status.last_bar)

    def _own_position(self, booked: Booked) -> Position | None:
        positions = self._broker.positions()
        own = self._unknown.own(positions)
        for position in positions:
            if position.magic != MAGIC and position.ticket not in self._foreign:
                self._foreign.add(position.ticket)
                _log.warning("position %d was opened by someone else; it is left alone", position.ticket)
                text = f"{SIDE_NAMES[position.side]} {volume_text(position.volume)} at {position.price_open:.2f}"
                self._journal.record_position_event(position.ticket, position.time, FOREIGN_SEEN, text)
        if len(own) > 1:
            tickets = ", ".join(str(position.ticket) for position in own)
            raise BrokerError(f"{len(own)} positions carry this bot's magic ({tickets}); close all but one by hand")
        left = (booked.opened | self._held) - {closed.position for closed in booked.closed}
        if left and not own:
            # It closed between the two questions, or a list is incomplete: both are asked again.
            raise BrokerUnavailable(f"position {min(left)} is not listed and no deal is known that closed it")
        self._held = frozenset(position.ticket for position in own)
        return own[0] if own else None

    def _account_record(self, position: Position | None, booked: Booked) -> Account:
        """Describe the broker's account as the engine's record."""
        account = new_record(Account)
        account.balance = self._explained.balance(self._broker.account().balance, booked.cash)
        account.closed = self._status.guard.closed + len(booked.closed)
        if booked.closed:
            last = booked.closed[-1].trade
            account.last_net = rounded(last.profit + last.commission + last.swap, self._params.money_scale)
        if position is not None:
            account.side = position.side
            account.volume = position.volume
            account.entry_time = position.time
            account.entry_price = position.price_open
            account.sl = position.sl
            account.tp = position.tp
            account.swap = position.swap
            account.margin = position.margin
        return account

    def _manage(
        self,
        account: Account,
        guard: Guard,
        position: Position | None,
        bars: pd.DataFrame,
        close: int,
        quote: Quote,
        *,
        exposed: bool,
    ) -> tuple[Decision, list[Intent]]:
        """Decide about the open position; one that is `exposed`, without its stop, has to go."""
        decision = Decision(close, "hold", quote.bid, 0.0, 0.0)
        reason = int(wants_exit(account, guard)) or (EXIT_MANUAL if exposed else 0)
        if reason == 0 and self._params.position_model != 0:
            decision, reason = self._ask_position(decision, account, bars, close, quote)
        if reason == 0 or position is None:
            return decision, []
        intent = Intent(
            f"x{close:x}", close, "exit", -position.side, position.volume, 0.0, 0.0, position.ticket, reason
        )
        return replace(decision, action=f"exit:{EXIT_NAMES[reason]}"), [intent]

    def _ask_position(
        self, decision: Decision, account: Account, bars: pd.DataFrame, close: int, quote: Quote
    ) -> tuple[Decision, int]:
        """Return the decision with the position model's word on the open position, and the exit reason or 0."""
        assert self._positions is not None, "the session refuses to start without the model"
        spread = self._spread(quote)
        opinion = self._positions.opinion(bars, position_inputs(account, self._params, close, quote.bid, spread))
        if opinion is None:
            return decision, 0
        hold, leave, add = opinion
        verdict = int(position_verdict(account, self._params, close, hold, leave, add))
        # Of an open position the journal keeps the probability of EXIT and its lead over HOLD.
        decision = replace(decision, side=int(account.side), confidence=leave, gap=leave - hold)
        if verdict == VERDICT_ADD:
            _log.info("the position model would add to the open position (%.2f); it is only logged", add)
            return replace(decision, action="add"), 0
        return decision, EXIT_MODEL if verdict == VERDICT_EXIT else 0

    def _seek(
        self, account: Account, guard: Guard, bars: Any, close: int, quote: Quote
    ) -> tuple[Decision, list[Intent]]:
        candidate, atr = self._signals.candidate(bars)
        decision = Decision(close, "none", quote.bid, 0.0, 0.0, atr=atr)
        if candidate is None:
            return decision, []
        judged = self._judge_candidate(candidate, account, guard, quote, 1.0)
        if asks_multiplier(judged[0], self._params) and self._risk is not None:
            multiplier = self._risk.multiplier(equity_state(guard, self._params))
            _log.info("the risk model scales this trade to %.3f of its size", multiplier)
            judged = self._judge_candidate(candidate, account, guard, quote, multiplier)
            decision = replace(decision, multiplier=multiplier)
        mask, volume, sl, tp = judged
        if quote.time - close > self._params.entry_valid_seconds:
            # The market was closed, or the bot away, since the close: this is no longer its quote.
            if mask == 0:
                late, most = quote.time - close, int(self._params.entry_valid_seconds)
                _log.warning("no entry at %s: the quote came %d s later, %d at most", utc_text(close), late, most)
            mask |= MARKET_CLOSED
        decision = _describe(decision, candidate, int(mask))
        if mask != 0:
            return decision, []
        intent = Intent(f"e{close:x}", close, "entry", int(candidate.side), float(volume), float(sl), float(tp), 0, 0)
        return decision, [intent]

    def _judge_candidate(
        self, candidate: Candidate, account: Account, guard: Guard, quote: Quote, multiplier: float
    ) -> tuple[int, float, float, float]:
        return judge_candidate(
            candidate,
            account,
            guard,
            self._params,
            quote.bid,
            self._spread(quote),
            multiplier,
            int(self._frozen() or self._unknown.stopped),
        )


def _describe(decision: Decision, candidate: Candidate, mask: int) -> Decision:
    return replace(
        decision,
        action="blocked" if mask else "entry",
        side=int(candidate.side),
        votes=int(candidate.votes),
        confidence=float(candidate.confidence),
        gap=float(candidate.gap),
        gates=mask,
        candidate=to_text(candidate),
    )
