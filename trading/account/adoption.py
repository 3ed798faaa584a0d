"""Taking an account over: what its history tells of the bot, brought into a journal that lacks it.

The journal is new (lost, another machine, another database), an older copy, or another bot has
traded the account. The broker's history holds every deal, so everything can be found again but
three things: why a model left, what was decided at the bars between, and what a person ordered.
Trades are booked by `trading.cycle.bookings`, limits judged by `engine.breakers`, close by close.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.fills import rounded
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Guard, Params, from_bytes, new_record, to_bytes
from novosky.clock import Clock
from novosky.errors import BrokerError
from trading.account.guard_history import AccountHistory, Held, replay_guard
from trading.brokers.port import MONEY_CREDIT, Broker, BrokerUnavailable, Deal, DealEntry, Position
from trading.cycle.bookings import Booked, ClosedTrade, book_deals
from trading.cycle.own_orders import intent_behind
from trading.cycle.unknown_orders import LIVE_ADVICE, UNKNOWN_ORDERS, unknown_deals
from trading.journal import INTENT_FILLED, BotStatus, Intent, Journal, PositionEvent
from trading.journal.takeover import TakenOver

ADOPTED = "adopted"
MOST_BARS = 3_000
"""Closes judged one by one, a month of them: nothing before it decides a daily or weekly limit."""
_READS, _PAUSE = 10, 2.0
"""Looks at the history, and the seconds between two."""
_NAME = re.compile(r"e[0-9a-f]{8}")
"""What the bot names an entry: the close at which it was decided."""


@dataclass(frozen=True)
class Adoption:
    """What is to be written, and what a person should know before.

    Attributes
    ----------
    status : BotStatus
        Where the bot will stand.
    entries : sequence of (Intent, int)
        The entries that the journal does not know, with their orders' tickets.
    booked : Booked
        What the deals amount to.
    position : Position or None
        What the bot will hold.
    unexplained : float
        USD of the balance that the history shown by the broker does not explain.
    """

    status: BotStatus
    entries: Sequence[tuple[Intent, int]]
    booked: Booked
    position: Position | None
    unexplained: float


class _History:
    """The account's deals, read once."""

    def __init__(self, deals: Sequence[Deal]) -> None:
        self._deals = deals

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket."""
        return [deal for deal in self._deals if deal.ticket > after_ticket]


class _Books:
    """The journal with the entries it lacks; one that is booked anew has no deals of its own yet."""

    def __init__(self, journal: Journal, entries: Sequence[tuple[Intent, int]], *, anew: bool) -> None:
        self._journal, self._anew = journal, anew
        rows = [{**intent.__dict__, "state": INTENT_FILLED, "order": order} for intent, order in entries]
        self._named = {row["id"]: row for row in rows}
        self._of_order = {row["order"]: row for row in rows}

    @property
    def magic(self) -> int:
        """The mark of the bot's own orders."""
        return self._journal.magic

    def intent(self, intent_id: str) -> Mapping[str, Any] | None:
        """Return one intent's row."""
        return self._named.get(intent_id) or self._journal.intent(intent_id)

    def intent_of_order(self, order: int) -> Mapping[str, Any] | None:
        """Return the entry whose order had this ticket."""
        return self._of_order.get(order) or self._journal.intent_of_order(order)

    def exit_of(self, position: int) -> Mapping[str, Any] | None:
        """Return the newest intent to close a position."""
        return self._journal.exit_of(position)

    def entry_deals(self, position: int) -> Sequence[Mapping[str, Any]]:
        """Return the deals that opened a position."""
        return () if self._anew else self._journal.entry_deals(position)

    def closed_volume(self, position: int) -> float:
        """Return the lots that recorded deals have closed."""
        return 0.0 if self._anew else self._journal.closed_volume(position)


def survey(broker: Broker, journal: Journal, params: Params, identity: str) -> Adoption:
    """Read the account and work out what the journal lacks; nothing is written.

    Raises
    ------
    BrokerError
        The journal belongs to another account, or the account is in a state that a person has to
        settle first; the message says how.
    BrokerUnavailable
        The broker cannot be asked, or its history is still loading.
    """
    before = _own_status(journal, identity)
    deals = broker.deals(0)
    bars, quote = broker.closed_bars(MOST_BARS), broker.quote()
    spread = float(rounded(quote.ask - quote.bid, params.price_scale))
    if len(bars) == 0:
        raise BrokerUnavailable("the terminal has no closed bars of the symbol yet; try again in a minute")
    until = int(bars["time"].iloc[-1].timestamp()) + int(params.bar_seconds)
    source = _History(deals)
    forgotten = unknown_deals(source, journal, params)
    # What lies before the newest bar it knows was never counted: everything is then counted anew.
    anew = before is None or any(deal.ticket <= before.last_deal for deal in forgotten)
    known = 0 if anew or before is None else before.last_deal
    positions = _marked_positions(broker, journal)
    entries = [
        _entry_of(broker, journal, group, {each.ticket: each for each in positions}, int(params.bar_seconds))
        for group in _unknown_entries(journal, deals)
    ]
    books = _Books(journal, entries, anew=anew)
    _require_entries(books, positions)
    balance = broker.account().balance
    opening = float(rounded(balance - sum(_amount(deal) for deal in deals if deal.ticket > known), params.money_scale))
    # What the forming bar holds is for the bot itself to book at its close; one that has done nothing
    # before begins after everything, as at any first start.
    begun = before is not None or any(deal.magic == journal.magic and deal.time < until for deal in deals)
    closed = _History([deal for deal in deals if deal.time < until or not begun])
    empty = BotStatus(identity, 0, 0, 0, known, opening, new_record(Guard), "", finished=False)
    booked = book_deals(closed, books, params, empty)
    expected = 0.0 if anew or before is None else before.cash
    history = AccountHistory(
        _held(books, booked, positions), booked, opening, 0 if anew or before is None else before.last_bar, bars, spread
    )
    guard = _guard(params, history, before, anew=anew, until=until)
    status = replace(
        before or replace(empty, last_deal=0, cash=0.0),
        last_bar=max(until, 0 if before is None else before.last_bar),
        last_deal=max(booked.last_deal, known),
        cash=booked.cash,
        guard=guard,
    )
    return Adoption(status, entries, booked, positions[0] if positions else None, opening - expected)


def _own_status(journal: Journal, identity: str) -> BotStatus | None:
    """Return the journal's status, None when it is empty; refuse a journal of another account."""
    before = journal.status()
    owner = journal.stranger() if before is None else before.identity
    if owner not in (None, identity):
        raise BrokerError(f"the journal belongs to {owner}, this is {identity}; {LIVE_ADVICE.foreign}")
    return before


def _marked_positions(broker: Broker, journal: Journal) -> list[Position]:
    """Return the position that carries the bot's mark, at most one: the bot holds no second one."""
    positions = [position for position in broker.positions() if position.magic == journal.magic]
    if len(positions) > 1:
        tickets = ", ".join(str(position.ticket) for position in positions)
        raise BrokerError(
            f"{len(positions)} positions carry this bot's mark ({tickets}); close all but one by hand in the terminal, "
            "then run this again"
        )
    return positions


def _require_entries(books: _Books, positions: list[Position]) -> None:
    """Refuse an open position whose opening deal the terminal does not show: its risk and costs are unknown."""
    for position in positions:
        if intent_behind(books, position.ticket, position.comment) is None:
            raise BrokerError(
                f"the terminal's history holds no deal that opened position {position.ticket}; show the whole history "
                "in the terminal (History tab, All history), or close the position by hand, then run this again"
            )


def settled_survey(broker: Broker, journal: Journal, params: Params, identity: str, clock: Clock) -> Adoption:
    """Survey until two surveys agree: a terminal that has just logged in lists only some deals at first.

    Raises
    ------
    BrokerError
        See `survey`.
    BrokerUnavailable
        The broker cannot be asked, or its history goes on growing.
    """
    before = survey(broker, journal, params, identity)
    for _ in range(_READS):
        clock.sleep(_PAUSE)
        found = survey(broker, journal, params, identity)
        # A deal between the questions is in the balance and not yet in the list.
        if (found.booked.deals, found.unexplained) == (before.booked.deals, before.unexplained):
            return found
        before = found
    raise BrokerUnavailable("the terminal is still loading the account's history; try again in a minute")


def adopt(journal: Journal, adoption: Adoption, now: int) -> None:
    """Write what `survey` found, in one transaction.

    Parameters
    ----------
    journal : Journal
    adoption : Adoption
    now : int
        UTC epoch seconds.

    Raises
    ------
    StorageError
        Nothing was written.
    """
    events = [
        PositionEvent(order, now, ADOPTED, f"{SIDE_NAMES[intent.side]} {volume_text(intent.volume)}, from the history")
        for intent, order in adoption.entries
    ]
    trades = [closed.row for closed in adoption.booked.closed]
    booked = adoption.booked
    rows = TakenOver(adoption.entries, booked.deals, trades, booked.moves, events, UNKNOWN_ORDERS)
    journal.take_over(adoption.status, rows)


def _amount(deal: Deal) -> float:
    # A credit is lent: no part of the balance.
    return 0.0 if deal.money == MONEY_CREDIT else deal.profit + deal.commission + deal.swap


def _unknown_entries(journal: Journal, deals: Sequence[Deal]) -> list[list[Deal]]:
    """Return the entry deals of the bot's positions that the journal does not know, one list each."""
    found: dict[int, list[Deal]] = {}
    for deal in deals:
        if deal.magic == journal.magic and deal.entry == DealEntry.IN:
            found.setdefault(deal.position, []).append(deal)
    return [group for position, group in found.items() if intent_behind(journal, position, group[0].comment) is None]


def _entry_of(
    broker: Broker, journal: Journal, deals: Sequence[Deal], open_now: Mapping[int, Position], bar_seconds: int
) -> tuple[Intent, int]:
    """Return the intent that must have been behind a position, and its order's ticket."""
    first, ticket = deals[0], deals[0].position
    order = broker.opening_order(ticket)
    if order is None:
        raise BrokerError(
            f"the terminal's history holds no order that opened position {ticket} of {utc_text(first.time)}; show the "
            "whole history in the terminal (History tab, All history), then run this again"
        )
    held = open_now.get(ticket)
    # What stands at an open position comes first: somebody may have moved it.
    sl, tp = (order.sl, order.tp) if held is None else (held.sl or order.sl, held.tp or order.tp)
    if held is not None and not (sl and tp):
        raise BrokerError(
            f"position {ticket} has no stop or no target, and none is known; set both in the terminal, or close it by "
            "hand, then run this again"
        )
    # A comment that the broker kept names the close that decided; otherwise the bar of the fill stands for it.
    named = _NAME.fullmatch(first.comment) is not None and journal.intent(first.comment) is None
    bar = int(first.comment[1:], 16) if named else first.time // bar_seconds * bar_seconds
    name = first.comment if named else f"a{ticket}"
    volume = round(sum(deal.volume for deal in deals), 8)
    return Intent(name, bar, "entry", order.side, volume, sl, tp, 0, 0), ticket


def _held(books: _Books, booked: Booked, positions: Sequence[Position]) -> list[Held]:
    """Return the bot's positions that the deals tell of, and the open one."""
    own: dict[int, Held] = {}
    for position in positions:
        intent = intent_behind(books, position.ticket, position.comment)
        if intent is not None:
            _of_position(own, books, position.ticket, intent)
    for row in booked.deals:
        intent = intent_behind(books, row["position"], row["comment"]) if row["entry"] == DealEntry.IN else None
        if intent is not None and row["magic"] == books.magic:
            _of_position(own, books, row["position"], intent).entries.append(row)
    for closed in booked.closed:
        # One of which every entry was known before is in these deals by its exit alone.
        earlier = books.entry_deals(closed.position)
        intent = intent_behind(books, closed.position, earlier[0]["comment"]) if earlier else None
        if closed.position in own or intent is not None:
            held = own.get(closed.position) or _of_position(own, books, closed.position, intent or {})
            held.exits.append((int(closed.trade.exit_time), float(closed.trade.volume)))
    return list(own.values())


def _of_position(own: dict[int, Held], books: _Books, position: int, intent: Mapping[str, Any]) -> Held:
    if position not in own:
        earlier, gone = list(books.entry_deals(position)), books.closed_volume(position)
        exits = [(0, gone)] if gone else []
        own[position] = Held(int(intent["side"]), float(intent["sl"]), float(intent["tp"]), earlier, exits)
    return own[position]


def _guard(params: Params, history: AccountHistory, before: BotStatus | None, *, anew: bool, until: int) -> Guard:
    """Return the breakers as they stand at the newest close."""
    if not anew and before is not None:
        guard = from_bytes(Guard, to_bytes(before.guard))
        replay_guard(guard, params, history, until)
        return guard
    guard = new_record(Guard)
    replay_guard(guard, params, history, until)
    if before is not None:
        _keep_latches(guard, before.guard)
    return guard


def _keep_latches(guard: Guard, earlier: Guard) -> None:
    """Keep what an earlier guard had latched: a halt by a person is in no history."""
    if earlier.halt_balance == guard.halt_balance:
        guard.halted = max(guard.halted, earlier.halted)
    if earlier.next_day == guard.next_day:
        guard.day_blocked = max(guard.day_blocked, earlier.day_blocked)
    if earlier.next_week == guard.next_week:
        guard.week_blocked = max(guard.week_blocked, earlier.week_blocked)
    guard.paused_until = max(guard.paused_until, earlier.paused_until)


def closed_text(closed: Sequence[ClosedTrade]) -> str:
    """Return a few words on the trades that are booked."""
    if not closed:
        return "no closed trades"
    net = sum(float(each.trade.profit + each.trade.commission + each.trade.swap) for each in closed)
    first, last = utc_text(int(closed[0].trade.exit_time)), utc_text(int(closed[-1].trade.exit_time))
    return f"{len(closed)} closed trade(s), net {net:+.2f} USD, from {first} to {last}"
