"""Orders with the bot's magic that its journal never wrote: another bot, or a journal that is not the newest.

Two bots on one account, or one that has forgotten what it did, would open twice what one decision
asked for. So the first sight of such an order or position stops new entries, for this run and the
next ones, until a person has decided; what the bot itself holds stays managed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from alerts.message import Message
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Params
from novosky.errors import BrokerError
from trading.brokers.port import Broker, Deal, DealEntry, Position
from trading.cycle.bookings import DealSource
from trading.cycle.messages import Announcer
from trading.cycle.own_orders import intent_behind
from trading.journal import Journal

UNKNOWN_ORDERS = "unknown_orders"
"""The switch in the journal; its value says what was seen."""
UNKNOWN_SEEN = "unknown seen"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Advice:
    """What to do about a journal that does not fit its account.

    Attributes
    ----------
    foreign : str
        It belongs to another account.
    incomplete : str
        The account holds deals of the bot that it does not know.
    """

    foreign: str
    incomplete: str


LIVE_ADVICE = Advice(
    "name the journal of this account with --journal, or move the other one away",
    "put the newest journal back, or run `novosky journal adopt`, which books what is missing and begins after it",
)
PAPER_ADVICE = Advice("give another --journal, or --fresh", "put the newest journal back, or start with --fresh")


class UnknownOrders:
    """Keeps entries stopped from the first sight of an unknown order on.

    Parameters
    ----------
    journal : Journal
    announcer : Announcer
    advice : Advice
    """

    def __init__(self, journal: Journal, announcer: Announcer, advice: Advice) -> None:
        self._journal, self._announcer, self._advice = journal, announcer, advice
        self.stopped = journal.flag(UNKNOWN_ORDERS) is not None
        """True while entries are stopped."""
        self._seen: set[int] = set()
        self._known: set[int] = set()

    def wrote(self, ticket: int, comment: str) -> bool:
        """Tell whether this journal wrote an order, or the one that opened a position."""
        if ticket not in self._known and intent_behind(self._journal, ticket, comment) is not None:
            self._known.add(ticket)
        return ticket in self._known

    def own(self, positions: Sequence[Position]) -> list[Position]:
        """Return the bot's own positions; others with its magic stop entries."""
        marked = [position for position in positions if position.magic == self._journal.magic]
        for position in marked:
            if not self.wrote(position.ticket, position.comment):
                what = f"position {position.ticket} ({SIDE_NAMES[position.side]} {volume_text(position.volume)})"
                self._see(position.ticket, what, position.time)
        return [position for position in marked if position.ticket in self._known]

    def look(self, broker: Broker, deals: Sequence[Deal], now: int) -> None:
        """Judge what waits at the broker, and deals that could not be traced to an order of the journal.

        Parameters
        ----------
        broker : Broker
        deals : sequence of Deal
        now : int
            UTC epoch seconds.
        """
        for order in broker.waiting_orders():
            if order.magic == self._journal.magic and not self.wrote(order.ticket, order.comment):
                self._see(order.ticket, f"order {order.ticket}", now)
        for deal in deals:
            self._see(deal.position, f"position {deal.position}", deal.time)

    def _see(self, ticket: int, what: str, time: int) -> None:
        if ticket in self._seen:
            return
        self._seen.add(ticket)
        self._journal.record_position_event(ticket, time, UNKNOWN_SEEN, what)
        if not self.stopped:
            self._journal.set_flag(UNKNOWN_ORDERS, what, time)
            self.stopped = True
        text = (
            f"no entries from now on: {what} carries this bot's mark, but this journal never wrote its order; "
            "another bot trades this account, or the journal is not the newest; stop the other bot, then "
            f"{self._advice.incomplete}"
        )
        _log.error("%s", text)
        self._announcer.tell(Message(f"unknown:{ticket}", "risk", text, time))


def unknown_deals(source: DealSource, journal: Journal, params: Params) -> list[Deal]:
    """Return the account's deals with the bot's magic that its journal does not know, of the whole history.

    Parameters
    ----------
    source : DealSource
    journal : Journal
    params : Params
        The rules: an order taken for refused is looked for in the bar of its deal.

    Raises
    ------
    BrokerUnavailable
        The history cannot be read.
    """
    status = journal.status()
    last = 0 if status is None else status.last_deal
    booked = {row["ticket"] for row in journal.deals()}
    found: list[Deal] = []
    known: dict[int, bool] = {}
    for deal in source.deals(0):
        if deal.magic != journal.magic or deal.entry not in (DealEntry.IN, DealEntry.OUT):
            continue
        if deal.entry == DealEntry.IN:
            # An order that was taken for refused and carried out late is corrected when its deal is booked.
            late = (
                deal.ticket > last
                and journal.refused_entry(deal.time, deal.volume, int(params.bar_seconds)) is not None
            )
            known[deal.position] = late or intent_behind(journal, deal.position, deal.comment) is not None
        forgotten = deal.ticket <= last and deal.ticket not in booked
        if forgotten or not known.get(deal.position, True):
            found.append(deal)
    return found


def check_complete(
    source: DealSource, journal: Journal, positions: Sequence[Position], advice: Advice, params: Params
) -> None:
    """Refuse to begin with a journal that lacks what the bot has done on this account.

    A journal in which the stop of `UnknownOrders` stands already is let through: entries are
    stopped, and what the bot holds must stay managed.

    Raises
    ------
    BrokerError
        It is new and the account is not, it is an older copy, or another bot trades the account.
    BrokerUnavailable
        The history cannot be read.
    """
    if journal.flag(UNKNOWN_ORDERS) is not None:
        return
    deals = unknown_deals(source, journal, params)
    strange = [
        position
        for position in positions
        if position.magic == journal.magic
        and intent_behind(journal, position.ticket, position.comment) is None
        and journal.refused_entry(position.time, position.volume, int(params.bar_seconds)) is None
    ]
    if not deals and not strange:
        return
    times = [deal.time for deal in deals] + [position.time for position in strange]
    tickets = sorted({deal.position for deal in deals} | {position.ticket for position in strange})
    what = f"{len(tickets)} position(s) of this bot on the account, the newest of {utc_text(max(times))},"
    open_now = f" (ticket {strange[0].ticket} is open)" if strange else ""
    raise BrokerError(
        f"{what} are not in this journal{open_now}: it is new or an older copy, or another bot trades the "
        f"account; {advice.incomplete}"
    )
