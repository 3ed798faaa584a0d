"""From the account's deals to closed trades: what happened at the broker since the last bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from engine.fills import EXIT_MANUAL, EXIT_STOP, EXIT_STOP_OUT, EXIT_TARGET, rounded
from engine.records import Params, Trade, new_record, to_text
from novosky.market.instrument import VOLUME_NOISE
from trading.brokers.port import MONEY_CREDIT, Deal, DealEntry, DealReason
from trading.cycle.own_orders import Books, intent_behind
from trading.journal import BotStatus, MoneyMove

__all__ = ["Booked", "ClosedTrade", "DealSource", "beginning_of", "book_deals", "entry_of"]

_EXIT_REASONS = {DealReason.STOP: EXIT_STOP, DealReason.TARGET: EXIT_TARGET, DealReason.STOP_OUT: EXIT_STOP_OUT}


_VOLUME_DIGITS = 8


class DealSource(Protocol):
    """Where the account's deals come from, see `trading.brokers.port.Broker`."""

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket, oldest first."""


@dataclass(frozen=True)
class ClosedTrade:
    """A closed position of the bot, or the part of it that was closed.

    Attributes
    ----------
    deal, position : int
        Tickets of the closing deal and of the position.
    trade : Trade
    bar : int
        The close at which its entry was decided, UTC epoch seconds.
    partial : bool
        True while a part of the position stays open.
    """

    deal: int
    position: int
    trade: Trade
    bar: int
    partial: bool

    @property
    def row(self) -> dict[str, Any]:
        """The row for the journal's `trades`."""
        return {
            "deal": self.deal,
            "position": self.position,
            "trade": to_text(self.trade),
            "exit_time": int(self.trade.exit_time),
        }


@dataclass(frozen=True)
class Booked:
    """What the deals since the last bar amount to.

    Attributes
    ----------
    deals : list of dict
        Rows for the journal's `deals`, foreign deals and deposits included, credits not:
        summed up they are the balance.
    closed : list of ClosedTrade
        The bot's own, oldest first.
    last_deal : int
        Ticket of the newest deal.
    cash : float
        The balance after it, USD.
    opened : frozenset of int
        The bot's own positions that were opened and not closed again.
    moves : list of MoneyMove
        What was paid in and out, and lent, oldest first.
    unknown : tuple of Deal
        Deals with the bot's magic whose order its journal never wrote; no trades of this bot.
    """

    deals: list[dict[str, Any]]
    closed: list[ClosedTrade]
    last_deal: int
    cash: float
    opened: frozenset[int]
    moves: list[MoneyMove] = field(default_factory=list)
    unknown: tuple[Deal, ...] = ()


def beginning_of(status: BotStatus) -> int:
    """Return the moment, UTC epoch seconds, whose balance a bot began with; 0 once that is bars ago.

    A terminal that has just logged in may list a deposit only after the balance that holds it was read.
    """
    return 0 if status.bars_processed else int(status.guard.time)


def book_deals(
    broker: DealSource,
    journal: Books,
    params: Params,
    status: BotStatus,
    seen: Callable[[Deal], None] = lambda deal: None,
) -> Booked:
    """Read the deals after `status.last_deal` and pair exits with their entries.

    Whose position it was is told by its entry deal: an exit by hand carries no magic.

    Parameters
    ----------
    seen : callable
        Called with each deal before it is paired: what the journal says of its order may have to be corrected.
    """
    cash, last = status.cash, status.last_deal
    rows: list[dict[str, Any]] = []
    moves: list[MoneyMove] = []
    closed: list[ClosedTrade] = []
    unknown: list[Deal] = []
    entries: dict[int, list[Mapping[str, Any]]] = {}
    gone: dict[int, float] = {}
    for deal in broker.deals(last):
        last = deal.ticket
        seen(deal)
        # What came before the bot is in the balance it began with; a credit is lent and in no balance.
        if deal.money != MONEY_CREDIT and deal.time >= beginning_of(status):
            cash = float(rounded(cash + deal.profit + deal.commission + deal.swap, params.money_scale))
        if deal.money:
            amount = float(rounded(deal.profit + deal.commission + deal.swap, params.money_scale))
            moves.append(MoneyMove(last, deal.time, deal.money, amount, cash, deal.comment))
        if deal.money == MONEY_CREDIT:
            continue
        row = _row(deal)
        rows.append(row)
        if deal.entry == DealEntry.IN:
            entries.setdefault(deal.position, list(journal.entry_deals(deal.position))).append(row)
            if deal.magic == journal.magic and intent_behind(journal, deal.position, deal.comment) is None:
                unknown.append(deal)
        elif deal.entry == DealEntry.OUT:
            entry = entry_of(entries.get(deal.position) or journal.entry_deals(deal.position))
            intent = _intent_of(journal, entry)
            if entry is not None and intent is not None:
                before = gone.get(deal.position)
                before = journal.closed_volume(deal.position) if before is None else before
                gone[deal.position] = before + deal.volume
                trade, bar = _trade_of(journal, params, entry, intent, deal, cash)
                paid = _commission_of_part(params, entry, before, deal.volume)
                trade.commission = rounded(paid + deal.commission, params.money_scale)
                partial = gone[deal.position] < entry["volume"] - VOLUME_NOISE
                closed.append(ClosedTrade(deal.ticket, deal.position, trade, bar, partial))
            elif deal.magic == journal.magic:
                unknown.append(deal)
    own = {position for position, opening in entries.items() if _intent_of(journal, opening[0]) is not None}
    still_open = frozenset(own - {trade.position for trade in closed})
    return Booked(rows, closed, last, cash, still_open, moves, tuple(unknown))


def _row(deal: Deal) -> dict[str, Any]:
    """Return a deal's row for the journal; what kind of money it was stands in `money_moves`."""
    row = asdict(deal)
    del row["money"]
    # Plain numbers: not every database driver stores an enumeration by its value.
    return {**row, "entry": int(deal.entry), "reason": int(deal.reason)}


def _intent_of(journal: Books, entry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the intent behind an entry deal of the bot's own, None for all others."""
    if entry is None or entry["magic"] != journal.magic:
        return None
    return intent_behind(journal, entry["position"], entry["comment"])


def entry_of(deals: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the deals that opened a position as one: an order can be filled in several, at several prices.

    Parameters
    ----------
    deals : sequence of mapping
        Rows of the journal's `deals`, oldest first.

    Returns
    -------
    mapping or None
        The first deal, its volume and commission those of all together, its price the mean weighted
        by volume, which is the position's own; None without deals.
    """
    if len(deals) < 2:
        return deals[0] if deals else None
    volume = sum(deal["volume"] for deal in deals)
    return {
        **deals[0],
        "volume": round(volume, _VOLUME_DIGITS),
        "price": sum(deal["price"] * deal["volume"] for deal in deals) / volume,
        "commission": sum(deal["commission"] for deal in deals),
    }


def _commission_of_part(params: Params, entry: Mapping[str, Any], before: float, volume: float) -> float:
    """Return a part's share of what the entry cost, so that the shares of all parts sum to it.

    Parameters
    ----------
    before, volume : float
        Lots closed earlier, and by this part.
    """

    def up_to(lots: float) -> float:
        if lots >= entry["volume"] - VOLUME_NOISE:
            return float(entry["commission"])
        return float(rounded(entry["commission"] * lots / entry["volume"], params.money_scale))

    return up_to(before + volume) - up_to(before)


def _trade_of(
    journal: Books, params: Params, entry: Any, intent: Any, exit_deal: Deal, cash: float
) -> tuple[Trade, int]:
    """Return the trade and the close at which its entry was decided."""
    exit_intent = journal.intent(exit_deal.comment) if exit_deal.comment else None
    # Brokers cut comments and write over them: then it was the newest order to close this position.
    if exit_intent is None and exit_deal.magic == journal.magic:
        exit_intent = journal.exit_of(exit_deal.position)
    trade = new_record(Trade)
    trade.entry_time, trade.exit_time = entry["time"], exit_deal.time
    trade.side = intent["side"]
    trade.reason = _EXIT_REASONS.get(exit_deal.reason, exit_intent["reason"] if exit_intent else EXIT_MANUAL)
    trade.volume = exit_deal.volume
    trade.entry_price, trade.exit_price = entry["price"], exit_deal.price
    # As it was sized: a stop that somebody moved later does not change what was risked.
    trade.sl, trade.tp = intent["sl"], intent["tp"]
    trade.profit, trade.swap = exit_deal.profit, exit_deal.swap
    trade.balance = cash
    trade.risk = abs(trade.entry_price - trade.sl) * trade.volume * params.lot_units
    return trade, int(intent["bar"])
