"""The bot: one pass per closed bar, driven by a clock, a broker, a journal and a notifier.

It holds no rule of its own. Fills belong to the broker, decisions to `engine.bar`;
the bot reads the account, asks the rules, writes its intent down, and only then sends it.
Starting is recovering: an intent without a known outcome is looked up at the broker before
anything else happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from alerts.message import Message
from alerts.notify import Notifier
from engine.breakers import start_guard
from engine.fills import EXIT_HALT, EXIT_MANUAL, floating_equity, rounded
from engine.inputs.models import RiskModel
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Account, Guard, Params, from_bytes, new_record, to_bytes
from novosky.errors import BrokerError, SettingsError
from trading.account.opening_balance import balance_problem, is_below_halt
from trading.brokers.port import Broker, BrokerUnavailable, Position, Quote
from trading.cycle.bookings import Booked, book_deals
from trading.cycle.decide import Decider, quoted_spread
from trading.cycle.intents import Intents
from trading.cycle.messages import Announcer, bar_messages, start_messages
from trading.cycle.money import ExplainedBalance, events_of, judge_account, last_gap, since_beginning
from trading.cycle.notes import FOREIGN_SEEN, NoteTaker
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.cycle.unknown_orders import LIVE_ADVICE, Advice, UnknownOrders, check_complete, unknown_deals
from trading.journal import BotStatus, Intent, Journal

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
        accept_balance: bool = False,
        advice: Advice = LIVE_ADVICE,
    ) -> None:
        self._broker, self._journal = broker, journal
        self._announcer = Announcer(journal, notifier)
        self._signals, self._params = signals, params
        self._note_taker = NoteTaker(journal, fingerprint, params)
        self._foreign: set[int] = set()
        self._repairs = REPAIRS
        self._advice = advice
        self._unknown = UnknownOrders(journal, self._announcer, advice)
        self._decider = Decider(params, signals, positions, risk, lambda: frozen() or self._unknown.stopped)
        self._held = self._held_positions()
        self._away = False
        self._accept_balance = accept_balance
        self._status = self._start(identity, models)
        self._explained = ExplainedBalance(params.money_scale, last_gap(journal, self._status))
        self._intents = Intents(broker, journal, self._announcer, journal.magic, params)
        try:
            if self._intents.settle():
                check_complete(broker, journal, broker.positions(), advice, params)
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
    def next_close(self) -> int:
        """When the bar after the newest processed one closes, UTC epoch seconds."""
        return self._status.last_bar + int(self._params.bar_seconds)

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
        owner = self._journal.stranger() if status is None else status.identity
        if owner not in (None, identity):
            raise BrokerError(f"the journal belongs to {owner}, this run is {identity}; {self._advice.foreign}")
        if status is not None:
            if status.guard.halt_balance != self._params.starting_balance:
                self._check_balance(self._broker.account().balance)
            # The first start ended between its two writes, or the account had no deals: begun again, it is the same.
            if status.last_deal == 0 and status.bars_processed == 0:
                status = self._begin_bookings(status)
            return replace(status, models=models)
        check_complete(self._broker, self._journal, self._broker.positions(), self._advice, self._params)
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
                if position.magic == self._journal.magic and not (position.sl and position.tp):
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
        self._journal.save_status(status, [message])
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
        bars = self._broker.closed_arrays(self._signals.bars_needed)
        if len(bars) == 0:
            return False
        close = bars.newest_close
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
        decision, intents = self._decider.decide(account, guard, position, bars, quote, close, exposed=exposed)
        status = replace(
            self._status,
            last_bar=close,
            bars_processed=self._status.bars_processed + 1,
            bars_missed=self._status.bars_missed + self._missed(close),
            last_deal=booked.last_deal,
            cash=booked.cash,
            guard=guard,
        )
        trades = [closed.row for closed in booked.closed]
        notes = self._note_taker.notes(booked, position, decision, self._status.last_bar)
        # Before any order leaves: one whose answer a crash swallows is looked up at the next start.
        self._journal.record_bar(status, decision, intents, booked.deals, trades, messages, notes)
        self._status = status
        # Orders before messages: whoever is told of a trade can wait, the market does not.
        for intent in intents:
            self._intents.send(intent)
        self._announcer.show(messages)
        return True

    def _missed(self, close: int) -> int:
        """Count the bars between the last processed one and this; a closed market misses none."""
        length = int(self._params.bar_seconds)
        span = (close - self._status.last_bar) // length
        if self._status.last_bar == 0 or span <= 1:
            return 0
        closes = self._broker.closed_arrays(span).times + length
        # All but the newest, which is acted on now; hours without bars miss nothing.
        missed = int((closes > self._status.last_bar).sum()) - 1
        if missed:
            _log.warning("%d bar(s) closed while the bot was away; acting on %s only", missed, utc_text(close))
        return missed

    def _judge(self, account: Account, guard: Guard, booked: Booked, close: int, quote: Quote) -> None:
        """Bring the guard to this close; closed positions and money paid in or out are taken one by one.

        `close_bar` judges the close again, for who has no such events; a second look changes nothing.
        """
        equity = float(floating_equity(account, self._params, quote.bid, quoted_spread(quote, self._params)))
        gap = float(account.balance) - booked.cash
        judge_account(account, guard, self._params, events_of(booked), booked.cash, close, equity, gap)

    def _held_positions(self) -> frozenset[int]:
        """Return the bot's own positions of which the journal knows no end."""
        held = self._journal.held_positions()
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
            self._unknown.look(
                self._broker, unknown_deals(self._broker, self._journal, self._params), self._status.last_bar
            )

    def _own_position(self, booked: Booked) -> Position | None:
        positions = self._broker.positions()
        own = self._unknown.own(positions)
        for position in positions:
            if position.magic != self._journal.magic and position.ticket not in self._foreign:
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
